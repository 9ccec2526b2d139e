//! Every figure is measured again and again, in short visits spread over the whole time: what else runs on the machine
//! rarely does so all the time, and the best visit of each counts.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::caches::{Caches, Level};
use super::timing::{Rate, WINDOW, WINDOWS, visit};
use super::{CLOCK_CHAIN, Loops, Read};

/// Small enough to look at the clock often, large enough for four streams to run.
const PIECE: usize = 256 << 10;

/// What the loops reached, all a second.
pub struct Found {
    pub threads: Vec<usize>,
    figures: Vec<Figure>,
}

/// The fastest loop that read a level.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fastest {
    pub name: &'static str,
    pub rate: f64,
    /// Of each thread's set.
    pub bytes: usize,
}

struct Figure {
    what: What,
    threads: usize,
    /// None if in no window all threads had a CPU.
    best: Option<f64>,
    /// Of the best visit, which then is all that there is.
    overall: f64,
}

impl Figure {
    fn rate(&self) -> f64 {
        self.best.unwrap_or(self.overall)
    }

    fn add(&mut self, rate: Rate) {
        self.best = [self.best, rate.best].into_iter().flatten().reduce(f64::max);
        self.overall = self.overall.max(rate.overall);
    }
}

enum What {
    Clock(fn(usize)),
    /// By its place among the loops.
    Compute(usize),
    /// By its place among the loops that read; of a set of so many bytes for each thread.
    Read(Level, usize, usize),
}

impl Found {
    pub fn clock(&self) -> Option<f64> {
        let clock = self.figures.iter().find(|figure| matches!(figure.what, What::Clock(_)));
        clock.map(Figure::rate)
    }

    /// The rate of a loop by its place.
    pub fn compute(&self, place: usize, threads: usize) -> f64 {
        let is = |what: &What| matches!(what, What::Compute(at) if *at == place);
        let mut found = self.figures.iter().filter(|f| f.threads == threads && is(&f.what));
        found.next().map_or(0.0, Figure::rate)
    }

    pub fn read(&self, loops: &Loops, level: Level, threads: usize) -> Option<Fastest> {
        let found = self.figures.iter().filter(|figure| figure.threads == threads);
        let rates = found.filter_map(|figure| match figure.what {
            What::Read(of, place, bytes) if of == level => {
                Some(Fastest { name: loops.reads[place].name, rate: figure.rate(), bytes })
            }
            _ => None,
        });
        rates.max_by(|a, b| a.rate.total_cmp(&b.rate))
    }
}

/// Measures all figures for `budget`, each at least once.
pub fn measure(
    loops: &Loops,
    caches: &Caches,
    memory: &[u8],
    threads: Vec<usize>,
    budget: Duration,
) -> io::Result<Found> {
    let mut figures = list(loops, caches, memory.len(), &threads);
    let cursor = AtomicUsize::new(0);
    let visits = figures.len() * (WINDOWS + 1);
    let window = WINDOW.min(budget / visits as u32);
    let visit = |figure: &mut Figure| -> io::Result<()> {
        figure.add(rate(figure, loops, memory, &cursor, window)?);
        Ok(())
    };
    let start = Instant::now();
    loop {
        let begin = Instant::now();
        figures.iter_mut().try_for_each(visit)?;
        // Another round, if it will end in time.
        if start.elapsed() + begin.elapsed() > budget {
            break;
        }
    }
    // On a machine so busy that in no window all threads had a CPU, as long again for what has none.
    while figures.iter().any(|figure| figure.best.is_none()) && start.elapsed() < 2 * budget {
        figures.iter_mut().filter(|figure| figure.best.is_none()).try_for_each(visit)?;
    }
    Ok(Found { threads, figures })
}

/// What is to be measured.
fn list(loops: &Loops, caches: &Caches, room: usize, threads: &[usize]) -> Vec<Figure> {
    let mut list = Vec::new();
    let mut add = |what, threads| list.push(Figure { what, threads, best: None, overall: 0.0 });
    if let Some(run) = loops.clock {
        add(What::Clock(run), 1);
    }
    for place in 0..loops.compute.len() {
        threads.iter().for_each(|&n| add(What::Compute(place), n));
    }
    for level in Level::ALL {
        for &n in threads {
            let Some(bytes) = caches.working_set(level, n, room) else { continue };
            (0..loops.reads.len()).for_each(|place| add(What::Read(level, place, bytes), n));
        }
    }
    list
}

/// The rate that one visit finds.
fn rate(
    figure: &Figure,
    loops: &Loops,
    memory: &[u8],
    cursor: &AtomicUsize,
    window: Duration,
) -> io::Result<Rate> {
    let turns = |run: fn(usize), per_step: f64| {
        move |_: usize| {
            move || {
                run(64);
                64.0 * per_step
            }
        }
    };
    let n = figure.threads;
    match figure.what {
        What::Clock(run) => visit(n, window, turns(run, CLOCK_CHAIN)),
        What::Compute(place) => {
            let compute = &loops.compute[place];
            visit(n, window, turns(compute.run, compute.per_step))
        }
        What::Read(level, place, bytes) => visit(n, window, |thread| {
            let share = memory.len() / n;
            let set = &memory[thread * share..][..bytes.min(share)];
            let cursor = (level == Level::Dram).then_some(cursor);
            reading(set, &loops.reads[place], cursor)
        }),
    }
}

/// How many pieces a thread has read, of a set that all threads leave where they stop.
struct Place<'a> {
    pieces: usize,
    cursor: Option<&'a AtomicUsize>,
}

impl Place<'_> {
    /// The number of the next piece.
    fn advance(&mut self) -> usize {
        self.pieces += 1;
        self.pieces - 1
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(cursor) = self.cursor {
            cursor.fetch_max(self.pieces, Relaxed);
        }
    }
}

/// The work of one thread: reads its set in a circle, a piece at a call. With a `cursor`, goes on where the foremost of the
/// threads before it stopped: what lies ahead has not been read for longest.
fn reading(set: &[u8], read: &Read, cursor: Option<&AtomicUsize>) -> impl FnMut() -> f64 {
    let run = read.run;
    let pieces = set.len().div_ceil(PIECE).max(1);
    let mut place = Place { pieces: cursor.map_or(0, |cursor| cursor.load(Relaxed)), cursor };
    move || {
        let at = place.advance() % pieces * PIECE;
        let piece = &set[at.min(set.len())..(at + PIECE).min(set.len())];
        run(piece);
        // What is left over by the loops' turns of 256 bytes was not read.
        (piece.len() / 256 * 256) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_in_a_circle_from_where_the_last_reader_stopped() {
        use std::sync::Mutex;
        static SEEN: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());
        let note = |bytes: &[u8]| SEEN.lock().unwrap().push((bytes.as_ptr() as usize, bytes.len()));
        let read = Read { name: "noted", run: note };
        let set = vec![0u8; 2 * PIECE + 1000];
        let (cursor, whole) = (AtomicUsize::new(0), PIECE as f64);
        let mut first = reading(&set, &read, Some(&cursor));
        // One beside it that lags behind.
        let mut lagging = reading(&set, &read, Some(&cursor));
        assert_eq!([first(), first(), first(), first()], [whole, whole, 768.0, whole]);
        assert_eq!(lagging(), whole);
        drop(first);
        drop(lagging);
        assert_eq!(reading(&set, &read, None)(), whole);
        assert_eq!(reading(&set, &read, Some(&cursor))(), whole);
        let start = set.as_ptr() as usize;
        let places: Vec<_> =
            SEEN.lock().unwrap().iter().map(|&(at, _)| (at - start) / PIECE).collect();
        assert_eq!(places, [0, 1, 2, 0, 0, 0, 1]);
        assert!(SEEN.lock().unwrap().iter().all(|&(at, len)| at + len <= start + set.len()));
    }

    #[test]
    fn every_figure_is_measured_within_the_time() {
        let loops = Loops::find();
        let caches = Caches::find();
        let memory = vec![1; caches.beyond()];
        let budget = Duration::from_millis(500);
        let start = Instant::now();
        let found = measure(&loops, &caches, &memory, vec![1], budget).unwrap();
        // Last visits, on a busy machine, may take longer.
        assert!(start.elapsed() < 20 * budget, "{:?}", start.elapsed());
        assert_eq!(found.clock().is_some(), loops.clock.is_some());
        assert!((0..loops.compute.len()).all(|place| found.compute(place, 1) > 0.0));
        for level in [Level::L1, Level::Dram] {
            assert!(found.read(&loops, level, 1).is_some_and(|fastest| fastest.rate > 1e8));
        }
    }
}
