//! What each thread did when.
//!
//! A session that was given a [`Tracer`] records what its threads do as [`Event`]s: operations, waits at barriers, and
//! around them the passes of tokens through the layers. Each thread writes to memory of its own, which is reserved when the
//! tracer is made: a token allocates no more than without it.
//!
//! ```no_run
//! use std::num::NonZeroUsize;
//! use std::sync::Arc;
//! use quintile::gguf::{Gguf, OpenOptions};
//! use quintile::isa::Isa;
//! use quintile::model::{Model, Pool, Session, SessionOptions, trace::Tracer};
//!
//! let file = Gguf::open("model.gguf".as_ref(), &OpenOptions::default())?;
//! let model = Model::load(file, Isa::detect())?;
//! let pool = Pool::new(NonZeroUsize::new(2).unwrap())?;
//! let mut session = Session::new(&model, &pool, &SessionOptions::default())?;
//! let tracer = Arc::new(Tracer::new(pool.size(), 100_000));
//! session.set_tracer(Some(Arc::clone(&tracer)));
//! session.forward(&[1, 2, 3])?;
//! for (thread, events) in tracer.take().threads.iter().enumerate() {
//!     println!("thread {thread}: {events:?}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cmp::Reverse;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pool;
use super::stats::Operation;

/// A stretch of a thread's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds from [`Tracer::start`] to its beginning.
    pub start_ns: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// What the thread did.
    pub activity: Activity,
}

// Millions of them are kept.
const _: () = assert!(size_of::<Event>() == 32);

impl Event {
    /// Nanoseconds from [`Tracer::start`] to its end.
    pub fn end_ns(&self) -> u64 {
        self.start_ns + self.duration_ns
    }
}

/// What a thread did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// Had tokens go through all layers: what the calling thread did itself lies inside.
    Pass {
        /// How many; one is decoding.
        tokens: u32,
        /// The position of the first.
        position: u32,
    },
    /// Had logits computed, likewise.
    Logits {
        /// After how many tokens.
        tokens: u32,
    },
    /// Did one piece of an operation.
    Operation {
        /// Which.
        operation: Operation,
        /// The layer; none before the first and after the last.
        layer: Option<u16>,
        /// Of a product, the matrix: its number among the tensors of the [file](super::Model::file).
        tensor: Option<u32>,
    },
    /// Found nothing left to do in a parallel loop, and waited until the others had done their parts.
    Barrier {
        /// The number of the loop, the same for all threads that took part.
        number: u32,
    },
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Of each thread, in the order of their beginnings, the longer first: the thread that asked, then those of the pool. Two
    /// events of a thread either have no time in common, or one lies inside the other.
    pub threads: Vec<Vec<Event>>,
    /// Events that there was no room for.
    pub dropped: u64,
}

/// Records what the threads of a pool do for a session, or for several that take turns.
pub struct Tracer {
    start: Instant,
    /// Events that a thread keeps.
    limit: usize,
    tracks: Vec<Track>,
}

/// What one thread writes; apart from what others write, by as much as CPUs fetch together.
#[derive(Default)]
#[repr(align(128))]
struct Track(Mutex<Events>);

#[derive(Default)]
struct Events {
    kept: Vec<Event>,
    dropped: u64,
}

impl Tracer {
    /// Reserves memory for at most so many events of all threads of a pool together, 32 bytes each; systems give it only
    /// when it is written. Every thread keeps its first ones, as many as any other.
    pub fn new(threads: NonZeroUsize, events: usize) -> Tracer {
        let tracks = (0..threads.get()).map(|_| Track::default()).collect();
        let tracer = Tracer { start: Instant::now(), limit: events / threads, tracks };
        tracer.take();
        tracer
    }

    /// When it was made: what the times of events count from.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// What was recorded since the last call; the memory is reserved anew. Not to be called while a session computes.
    pub fn take(&self) -> Trace {
        let mut trace = Trace::default();
        for track in &self.tracks {
            let fresh = Events { kept: Vec::with_capacity(self.limit), dropped: 0 };
            let Events { kept, dropped } = mem::replace(&mut *track.lock(), fresh);
            trace.threads.push(kept);
            trace.dropped += dropped;
        }
        trace.dropped += end_barriers(&mut trace.threads);
        for events in &mut trace.threads {
            events.sort_by_key(|event| (event.start_ns, Reverse(event.duration_ns)));
        }
        trace
    }

    /// Adds to what the calling thread did.
    pub(super) fn record(&self, start: Instant, end: Instant, activity: Activity) {
        self.push(pool::current(), start, end, activity);
    }

    /// The thread that opened a loop waited for the others.
    pub(super) fn waited(&self, start: Instant, end: Instant, number: u32) {
        self.push(0, start, end, Activity::Barrier { number });
    }

    /// A thread of the pool found nothing left to do. It goes its way, so when the others are done is what the
    /// thread that opened the loop knows.
    pub(super) fn arrived(&self, thread: usize, at: Instant, number: u32) {
        self.push(thread, at, at, Activity::Barrier { number });
    }

    fn push(&self, thread: usize, start: Instant, end: Instant, activity: Activity) {
        // A task of another pool may run a session: alone, under a number that this pool may not have.
        let mut events = self.tracks[thread.min(self.tracks.len() - 1)].lock();
        if events.kept.len() < self.limit {
            events.kept.push(Event {
                start_ns: nanoseconds(start.saturating_duration_since(self.start)),
                duration_ns: nanoseconds(end.saturating_duration_since(start)),
                activity,
            });
        } else {
            events.dropped += 1;
        }
    }
}

impl Track {
    fn lock(&self) -> MutexGuard<'_, Events> {
        // Nothing under the lock panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives each wait of the pool's threads its end, which is that of the wait of the first; drops those that it has none for, and
/// returns how many these were. Waits of a thread are in the order of the loops.
fn end_barriers(threads: &mut [Vec<Event>]) -> u64 {
    let Some((first, others)) = threads.split_first_mut() else { return 0 };
    let mut dropped = 0;
    for events in others {
        let ends = first.iter().filter_map(|event| match event.activity {
            Activity::Barrier { number } => Some((number, event.end_ns())),
            _ => None,
        });
        let mut ends = ends.peekable();
        events.retain_mut(|event| {
            let Activity::Barrier { number } = event.activity else { return true };
            // Numbers rise, and begin anew after the last.
            while ends.next_if(|&(of, _)| (of.wrapping_sub(number) as i32) < 0).is_some() {}
            let end = ends.next_if(|&(of, _)| of == number);
            if let Some((_, end)) = end {
                event.duration_ns = end.saturating_sub(event.start_ns);
            }
            dropped += u64::from(end.is_none());
            end.is_some()
        });
    }
    dropped
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORM: Activity =
        Activity::Operation { operation: Operation::Norm, layer: None, tensor: None };

    fn tracer(threads: usize, events: usize) -> Tracer {
        Tracer::new(NonZeroUsize::new(threads).unwrap(), events)
    }

    #[test]
    fn each_thread_keeps_its_share_of_the_events_and_the_others_are_counted() {
        let tracer = tracer(2, 7);
        let at = |ns| tracer.start() + Duration::from_nanos(ns);
        for i in 0..5 {
            tracer.record(at(10 * i), at(10 * i + 4), NORM);
        }
        tracer.push(1, at(8), at(9), NORM);
        let trace = tracer.take();
        let event = |start_ns, duration_ns| Event { start_ns, duration_ns, activity: NORM };
        assert_eq!(
            trace.threads,
            [vec![event(0, 4), event(10, 4), event(20, 4)], vec![event(8, 1)]]
        );
        assert_eq!(trace.dropped, 2);
        tracer.record(at(50), at(51), NORM);
        let trace = tracer.take();
        assert_eq!((&trace.threads[0], trace.dropped), (&vec![event(50, 1)], 0));
        assert_eq!(tracer.take().threads, [vec![], vec![]]);
    }

    #[test]
    fn a_thread_waits_until_the_loop_ends_for_the_one_that_opened_it() {
        let tracer = tracer(2, 100);
        let at = |ns| tracer.start() + Duration::from_nanos(ns);
        // The second loop ended before the other thread came, and the third's end was lost.
        tracer.arrived(1, at(10), 1);
        tracer.waited(at(20), at(30), 1);
        tracer.waited(at(40), at(41), 2);
        tracer.arrived(1, at(50), 3);
        tracer.arrived(1, at(55), 4);
        tracer.waited(at(60), at(70), 4);
        let Trace { threads, dropped } = tracer.take();
        let spans: Vec<_> = threads[1].iter().map(|e| (e.start_ns, e.end_ns())).collect();
        assert_eq!((spans, dropped), (vec![(10, 30), (55, 70)], 1));
    }

    #[test]
    fn an_event_around_others_comes_before_them() {
        let tracer = tracer(1, 100);
        let at = |ns| tracer.start() + Duration::from_nanos(ns);
        let pass = Activity::Pass { tokens: 1, position: 0 };
        tracer.record(at(5), at(6), NORM);
        tracer.record(at(5), at(9), pass);
        let order: Vec<_> = tracer.take().threads[0].iter().map(|e| e.activity).collect();
        assert_eq!(order, [pass, NORM]);
    }
}
