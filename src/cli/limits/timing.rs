//! How fast threads do the same work side by side.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Windows of a measurement; the best counts, since whatever disturbs one only makes it slower.
const WINDOWS: u32 = 5;
/// Calls between two looks at the clock take about this long: much more than a look.
const BATCH: Duration = Duration::from_micros(50);

/// The largest rate, per second, at which `threads` threads together work in one window; `budget` is the time
/// for all windows. `make` gives the work of a thread by its number; a call of that returns how much it did.
pub fn best_rate<W: FnMut() -> f64>(
    threads: usize,
    budget: Duration,
    make: impl Fn(usize) -> W + Sync,
) -> io::Result<f64> {
    // One more than is counted: in the first, threads start, caches fill and clocks rise. All windows begin
    // at the same time for every thread, without a barrier that a thread which cannot start would block.
    let window = budget / (WINDOWS + 1);
    let start = Instant::now();
    let rates = |thread: usize| -> [f64; WINDOWS as usize] {
        let mut work = make(thread);
        let batch = calls_in_a_batch(&mut work, start + window);
        std::array::from_fn(|i| {
            let (begin, end) = (start + window * (i as u32 + 1), start + window * (i as u32 + 2));
            while Instant::now() < begin {
                std::hint::spin_loop();
            }
            let begin = Instant::now();
            let mut done = 0.0;
            loop {
                done += (0..batch).map(|_| work()).sum::<f64>();
                let now = Instant::now();
                if now >= end {
                    return done / (now - begin).as_secs_f64();
                }
            }
        })
    };
    let by_thread: Vec<_> = thread::scope(|scope| {
        let rates = &rates;
        let spawn = |i| thread::Builder::new().spawn_scoped(scope, move || rates(i));
        let workers: io::Result<Vec<_>> = (0..threads).map(spawn).collect();
        let join = |w: thread::ScopedJoinHandle<'_, _>| {
            w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        io::Result::Ok(workers?.into_iter().map(join).collect())
    })?;
    let together =
        |i: usize| by_thread.iter().map(|rates: &[f64; WINDOWS as usize]| rates[i]).sum();
    Ok((0..WINDOWS as usize).map(together).fold(0.0, f64::max))
}

/// Works until `end`, and finds how many calls make a batch.
fn calls_in_a_batch(work: &mut impl FnMut() -> f64, end: Instant) -> usize {
    let mut calls = 1;
    loop {
        let begin = Instant::now();
        (0..calls).for_each(|_| {
            work();
        });
        let now = Instant::now();
        if now - begin < BATCH {
            calls *= 2;
        } else if now >= end {
            return calls;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_sleep_work_at_the_rate_of_their_sleep_each() {
        let nap = Duration::from_millis(2);
        let work = |_| {
            move || {
                thread::sleep(nap);
                1.0
            }
        };
        let rate = best_rate(3, Duration::from_millis(120), work).unwrap();
        assert!((300.0..=1500.0).contains(&rate), "{rate} naps a second, of at most 1500");
    }
}
