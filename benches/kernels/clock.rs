//! Wall time, shown also as GB/s and as cycles of the core for 32 values.

use std::time::{Duration, Instant};

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Wall time beside the clock of the core.
pub struct Clock {
    /// Cycles a nanosecond.
    ghz: f64,
}

impl Clock {
    /// Finds the clock, and tells it and the CPU.
    pub fn find() -> Clock {
        let ghz = (0..50).map(|_| ghz()).fold(0.0, f64::max);
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name"));
        println!("CPU{}, {ghz:.2} GHz", name.unwrap_or(": not named by /proc/cpuinfo"));
        Clock { ghz }
    }
}

/// By a chain of multiplications of 64 bits, whose latency is three cycles on the CPUs that these kernels are tuned on.
fn ghz() -> f64 {
    const CHAIN: u32 = 100_000;
    let mut x = std::hint::black_box(3u64);
    let start = Instant::now();
    for _ in 0..CHAIN {
        x = x.wrapping_mul(x);
    }
    std::hint::black_box(x);
    3.0 * f64::from(CHAIN) / start.elapsed().as_nanos() as f64
}

impl Measurement for Clock {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        Instant::now()
    }
    fn end(&self, start: Instant) -> Duration {
        start.elapsed()
    }
    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }
    fn zero(&self) -> Duration {
        Duration::ZERO
    }
    fn to_f64(&self, time: &Duration) -> f64 {
        WallTime.to_f64(time)
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Clock {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, _: f64, of: &Throughput, values: &mut [f64]) -> &'static str {
        let (unit, convert): (_, &dyn Fn(f64) -> f64) = match *of {
            Throughput::Elements(n) | Throughput::ElementsAndBytes { elements: n, .. } => {
                (" cycles/32", &move |ns| ns * self.ghz * 32.0 / n as f64)
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
