//! How fast threads do the same work side by side.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::{Duration, Instant};

/// A window. Shorter than the time for which a system lets a thread run when others wait (1.4 to 4 ms on Linux with
/// two CPUs): on a busy machine too, some begin and end in one such time.
pub const WINDOW: Duration = Duration::from_millis(1);
/// Windows that follow each other; a visit is one more, in which caches fill and clocks rise.
pub const WINDOWS: usize = 3;
/// Windows in which a visit that has found nothing gives up.
const MOST_WINDOWS: usize = 24;
/// Calls between two looks at the clock take about this long: much more than a look, much less than a window.
const BATCH: Duration = Duration::from_micros(20);

/// What a visit found, per second, of all threads together.
pub struct Rate {
    /// In the best window; none if something else had a CPU in each.
    pub best: Option<f64>,
    /// In all the time, with what else had a CPU meanwhile.
    pub overall: f64,
}

/// The rate at which `threads` threads work side by side. `make` gives the work of a thread by its number; a call of that
/// returns how much it did.
pub fn visit<W: FnMut() -> f64>(
    threads: usize,
    window: Duration,
    make: impl Fn(usize) -> W + Sync,
) -> io::Result<Rate> {
    let visit = Visit {
        threads,
        window,
        came: AtomicUsize::new(0),
        start: OnceLock::new(),
        through: [const { AtomicUsize::new(0) }; MOST_WINDOWS],
        found: AtomicBool::new(false),
    };
    let by_thread: Vec<Rates> = thread::scope(|scope| {
        let (visit, make) = (&visit, &make);
        let spawn =
            |i| thread::Builder::new().spawn_scoped(scope, move || visit.rates(&mut make(i)));
        let workers: io::Result<Vec<_>> = (0..threads).map(spawn).collect();
        if workers.is_err() {
            visit.give_up();
        }
        let join = |w: thread::ScopedJoinHandle<'_, _>| {
            w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        io::Result::Ok(workers?.into_iter().map(join).collect())
    })?;
    let together = |i: usize| by_thread.iter().map(|rates| rates.windows[i]).sum::<Option<f64>>();
    Ok(Rate {
        best: (0..MOST_WINDOWS).filter_map(together).reduce(f64::max),
        overall: by_thread.iter().map(|rates| rates.overall).sum(),
    })
}

/// What a thread did.
struct Rates {
    /// None where it was not at work all the time. What the others did then they did with its share of caches and memory.
    windows: [Option<f64>; MOST_WINDOWS],
    overall: f64,
}

/// What the threads of a visit share.
struct Visit {
    threads: usize,
    window: Duration,
    came: AtomicUsize,
    /// When the first window begins: one window after the last thread has come, which all wait for in work. A thread that
    /// waited without would lose its CPU to others. Never, if a thread could not be started.
    start: OnceLock<Option<Instant>>,
    /// Threads that were at work all through a window.
    through: [AtomicUsize; MOST_WINDOWS],
    /// All were, in one of the windows.
    found: AtomicBool,
}

impl Visit {
    fn rates(&self, work: &mut impl FnMut() -> f64) -> Rates {
        if self.came.fetch_add(1, AcqRel) + 1 == self.threads {
            self.start.get_or_init(|| Some(Instant::now() + self.window));
        }
        let (batch, start) = warm_up(work, &self.start);
        let mut rates = Rates { windows: [None; MOST_WINDOWS], overall: 0.0 };
        let Some(start) = start else { return rates };
        let (begun, mut done) = (Instant::now(), 0.0);
        for (i, rate) in rates.windows.iter_mut().enumerate() {
            if i >= WINDOWS && self.found.load(Acquire) {
                break;
            }
            let begin = start + self.window * i as u32;
            let counted = || {
                let more = work();
                done += more;
                more
            };
            *rate = rate_between(begin, begin + self.window, batch, counted);
            if rate.is_some() && self.through[i].fetch_add(1, AcqRel) + 1 == self.threads {
                self.found.store(true, Release);
            }
        }
        if done == 0.0 {
            // It has missed them all.
            done = work();
        }
        rates.overall = done / begun.elapsed().as_secs_f64();
        rates
    }

    fn give_up(&self) {
        self.start.get_or_init(|| None);
    }
}

/// Works until the start, and finds how many calls make a batch.
fn warm_up(
    work: &mut impl FnMut() -> f64,
    start: &OnceLock<Option<Instant>>,
) -> (usize, Option<Instant>) {
    let mut calls = 1;
    loop {
        let begin = Instant::now();
        (0..calls).for_each(|_| {
            work();
        });
        let took = begin.elapsed();
        match start.get() {
            Some(None) => return (calls, None),
            // The batch at hand is not to reach into the first window.
            Some(&Some(start)) if Instant::now() + took >= start => return (calls, Some(start)),
            _ if took < BATCH / 2 => calls *= 2,
            _ => {}
        }
    }
}

/// The rate from `begin` to `end`, by batches of calls; none if the thread comes late, or is away at the end.
fn rate_between(
    begin: Instant,
    end: Instant,
    batch: usize,
    mut work: impl FnMut() -> f64,
) -> Option<f64> {
    let grace = (end - begin) / 8;
    while Instant::now() < begin {
        std::hint::spin_loop();
    }
    let begun = Instant::now();
    if begun > begin + grace {
        return None;
    }
    let mut done = 0.0;
    loop {
        done += (0..batch).map(|_| work()).sum::<f64>();
        let now = Instant::now();
        if now >= end {
            return (now <= end + grace).then(|| done / (now - begun).as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naps(nap: Duration) -> impl FnMut() -> f64 {
        move || {
            thread::sleep(nap);
            1.0
        }
    }

    #[test]
    fn threads_that_sleep_work_at_the_rate_of_their_sleep_each() {
        let work = |_| naps(Duration::from_millis(2));
        // On a busy machine a visit may find no window.
        let window = Duration::from_millis(50);
        let found = (0..20).find_map(|_| visit(3, window, work).unwrap().best);
        let rate = found.expect("a window of sleep");
        assert!((300.0..=1500.0).contains(&rate), "{rate} naps a second, of at most 1500");
    }

    #[test]
    fn a_visit_without_a_window_tells_what_was_done() {
        let rate = visit(2, Duration::from_millis(1), |_| naps(Duration::from_millis(10))).unwrap();
        assert_eq!(rate.best, None);
        assert!((1.0..=200.0).contains(&rate.overall), "{} naps a second", rate.overall);
    }

    #[test]
    fn a_window_that_a_thread_begins_or_ends_late_does_not_count() {
        let window = Duration::from_millis(80);
        let now = Instant::now;
        let mut short = naps(Duration::from_millis(1));
        assert_eq!(rate_between(now() - window / 4, now() + window, 1, &mut short), None);
        let mut long = naps(2 * window);
        assert_eq!(rate_between(now(), now() + window, 1, &mut long), None);
    }
}
