//! Ticks of the CPU's counter, shown as time, as GB/s and as cycles of the core.
//!
//! The counter (TSC; CNTVCT_EL0) runs at a rate of its own, whatever the core does; reading it is fenced, so that what is timed neither
//! begins before it nor ends after. Two rates make a figure of it. Nanoseconds a tick are found against the system's clock.
//! Cycles a nanosecond are found by a chain of dependent additions, one cycle each on every CPU that these kernels know; the
//! error told beside it is how far the median of the windows lies below the fastest: a core whose clock moves cannot be told better.

use std::cell::Cell;
use std::time::{Duration, Instant};

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

use crate::perf::{Counters, Counts};

/// What a tick is.
#[derive(Clone, Copy)]
pub struct Ticks {
    ns_per_tick: Rate,
    /// Cycles a nanosecond.
    pub ghz: Rate,
    /// Ticks between two readings with nothing between them.
    overhead: u64,
}

/// The counter of ticks, beside that of perf.
pub struct Clock {
    pub ticks: Ticks,
    perf: Result<Counters, std::io::Error>,
    /// What perf has counted of the benchmark at hand, in how many nanoseconds.
    counted: Cell<(Counts, f64)>,
    /// Whether that was told: criterion does not say when the next benchmark begins.
    told: Cell<bool>,
}

/// A rate, and how far it may be off, as a part of it.
#[derive(Clone, Copy)]
pub struct Rate {
    pub value: f64,
    pub error: f64,
}

impl Rate {
    /// Of windows that something else on the machine can only have lowered.
    fn fastest(mut windows: Vec<f64>) -> Rate {
        windows.sort_by(f64::total_cmp);
        let (median, value) = (windows[windows.len() / 2], windows[windows.len() - 1]);
        Rate { value, error: 1.0 - median / value }
    }

    /// Of windows that may be off either way.
    fn median(mut windows: Vec<f64>) -> Rate {
        windows.sort_by(f64::total_cmp);
        let value = windows[windows.len() / 2];
        Rate { value, error: (windows[windows.len() - 1] - windows[0]) / value }
    }
}

impl Ticks {
    /// Finds the rates.
    fn find() -> Ticks {
        let overhead = (0..1000).map(|_| ticks_of(|| ())).min().unwrap_or(0);
        let ns_per_tick = Rate::median((0..7).map(|_| ns_per_tick()).collect());
        Ticks { ns_per_tick, ghz: ghz(ns_per_tick.value), overhead }
    }

    /// Cycles a nanosecond, as a new measurement finds them.
    pub fn ghz_now(&self) -> Rate {
        ghz(self.ns_per_tick.value)
    }
}

impl Clock {
    /// Finds the rates.
    pub fn find() -> Clock {
        Clock::of(Ticks::find())
    }

    /// One whose rates were found before.
    pub fn of(ticks: Ticks) -> Clock {
        Clock { ticks, perf: Counters::open(), counted: Cell::default(), told: Cell::new(true) }
    }

    /// Says what is measured with, each tier by its name.
    pub fn print_tiers(&self) {
        let Ticks { ns_per_tick, ghz, overhead } = self.ticks;
        println!("tier 1, static: scripts/mca_x86_64.py, scripts/mca_aarch64.py (llvm-mca)");
        println!("tier 2, simulated: cargo bench --features iai --bench instructions (Valgrind)");
        println!(
            "tier 3, ticks, below: {COUNTER} at {:.4} GHz ± {:.3}%, {overhead} ticks a reading; core at {:.3} GHz ± {:.2}% \
             by a chain of additions",
            1.0 / ns_per_tick.value,
            100.0 * ns_per_tick.error,
            ghz.value,
            100.0 * ghz.error,
        );
        match &self.perf {
            Ok(_) => println!("tier 4, perf events: cycles and instructions of user code, beside"),
            Err(error) => println!("tier 4, perf events: not supported ({error})"),
        }
    }
}

/// What the counter is called.
#[cfg(target_arch = "x86_64")]
const COUNTER: &str = "TSC";
#[cfg(target_arch = "aarch64")]
const COUNTER: &str = "CNTVCT_EL0";
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const COUNTER: &str = "the system's clock";

/// The counter, after everything before it and before everything after it.
#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 CPU has both; they write nothing.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// The counter, after everything before it and before everything after it.
#[cfg(target_arch = "aarch64")]
fn ticks() -> u64 {
    let ticks;
    // SAFETY: systems that run programs let them read it; nothing is written.
    unsafe {
        std::arch::asm!("isb", "mrs {}, cntvct_el0", "isb", out(reg) ticks, options(nostack));
    }
    ticks
}

/// Nanoseconds.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn ticks() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

fn ticks_of(work: impl FnOnce()) -> u64 {
    let start = ticks();
    work();
    ticks() - start
}

fn ns_per_tick() -> f64 {
    const WINDOW: Duration = Duration::from_millis(15);
    let (start, first) = (Instant::now(), ticks());
    while start.elapsed() < WINDOW {}
    let (time, last) = (start.elapsed(), ticks());
    time.as_nanos() as f64 / (last - first) as f64
}

/// Windows of 30 microseconds or so: some begin and end while nothing else has the core.
fn ghz(ns_per_tick: f64) -> Rate {
    const STEPS: usize = 1600;
    let window = |_| (64 * STEPS) as f64 / (ticks_of(|| additions(STEPS)) as f64 * ns_per_tick);
    Rate::fastest((0..300).map(window).collect())
}

/// A chain of 64 additions of latency 1, so many times. (Of registers: some CPUs add constants without executing them.)
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn additions(steps: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: only the registers named are written.
    unsafe {
        std::arch::asm!(
            ".p2align 5", "2:", ".rept 64", "add {x}, {one}", ".endr", "dec {steps}", "jnz 2b",
            x = inout(reg) 0usize => _, one = in(reg) 1usize, steps = inout(reg) steps => _,
            options(nostack, nomem),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: only the registers named are written.
    unsafe {
        std::arch::asm!(
            ".p2align 5", "2:", ".rept 64", "add {x}, {x}, {one}", ".endr", "subs {steps}, {steps}, #1", "b.ne 2b",
            x = inout(reg) 0usize => _, one = in(reg) 1usize, steps = inout(reg) steps => _,
            options(nostack, nomem),
        );
    }
}

/// A chain of 64 additions, as the compiler leaves it.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn additions(steps: usize) {
    (0..64 * steps).for_each(|i| drop(std::hint::black_box(i)));
}

impl Measurement for Clock {
    type Intermediate = (Option<Counts>, u64);
    type Value = u64;

    fn start(&self) -> (Option<Counts>, u64) {
        if self.told.replace(false) {
            self.counted.take();
        }
        (self.perf.as_ref().ok().map(Counters::read), ticks())
    }

    fn end(&self, (counts, start): (Option<Counts>, u64)) -> u64 {
        let ticks = ticks() - start;
        if let (Some(before), Ok(counters)) = (counts, &self.perf) {
            let (counted, ns) = self.counted.get();
            self.counted.set((counted + (counters.read() - before), ns + self.to_f64(&ticks)));
        }
        ticks.saturating_sub(self.ticks.overhead)
    }

    fn add(&self, a: &u64, b: &u64) -> u64 {
        a + b
    }

    fn zero(&self) -> u64 {
        0
    }

    /// In nanoseconds, as criterion's files have them.
    fn to_f64(&self, ticks: &u64) -> f64 {
        *ticks as f64 * self.ticks.ns_per_tick.value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Clock {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        self.told.set(true);
        WallTime.formatter().scale_values(typical, values)
    }

    fn format_throughput(&self, of: &Throughput, ns: f64) -> String {
        let mut values = [ns];
        let unit = self.scale_throughputs(ns, of, &mut values);
        let mut text = format!("{:.4} {unit}", values[0]);
        let (counts, time) = self.counted.get();
        if let (Throughput::Elements(n), true) = (of, time > 0.0) {
            let per_32 = 32.0 * ns / (*n as f64 * time);
            let [cycles, instructions] =
                [counts.cycles, counts.instructions].map(|x| x as f64 * per_32);
            text += &format!(" (perf: {cycles:.4}, {instructions:.4} instructions)");
        }
        text
    }

    fn scale_throughputs(&self, _: f64, of: &Throughput, values: &mut [f64]) -> &'static str {
        let (unit, convert): (_, &dyn Fn(f64) -> f64) = match *of {
            Throughput::Elements(n) | Throughput::ElementsAndBytes { elements: n, .. } => {
                ("cycles/32", &move |ns| ns * self.ticks.ghz.value * 32.0 / n as f64)
            }
            Throughput::Bytes(n) | Throughput::BytesDecimal(n) => {
                ("GB/s", &move |ns| n as f64 / ns)
            }
            Throughput::Bits(n) => ("Gb/s", &move |ns| n as f64 / ns),
        };
        values.iter_mut().for_each(|value| *value = convert(*value));
        unit
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
