//! Every kernel at every ISA level, by size: `cargo bench --bench kernels -- q5_k` filters by name.
//!
//! Rows of 4096 values, or of 2048 where two of f32 are read, stay in the first-level cache; there every level is timed. The level that is chosen is also timed in
//! the second and the third, and in memory: on half of the second, four times the second, four times the third. Products of
//! many columns and the quantisation of weights are bound by arithmetic wherever their operands lie, and have one size.
//! `QUINTILE_BENCH=full` times every level at every size, which takes far longer. Where a name has no size, it is the first.
//!
//! The CPU, its levels and its limits (as `quintile limits` measures them) are told first, and a table of all results last: it
//! is also left in `target/criterion/summary.json`. Shown are time, cycles of the core for 32 values (or multiply-adds), and
//! GB/s of what is read (of `dequantize`, written). What is timed is made when it is first needed, so a filter spares that too.

mod clock;
mod floating;
#[cfg(feature = "driver")]
mod layer;
mod machine;
mod perf;
mod quantised;
mod summary;

use std::iter::repeat_n;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant, SystemTime};

use criterion::{BenchmarkGroup, Throughput};
use quintile::formats::Format;
use quintile::isa::{Caches, Isa};

use clock::Clock;
use machine::Limits;
use summary::Found;

type Criterion = criterion::Criterion<Clock>;

/// The rows of large weights; so many values of them stay in the first-level cache.
const ROW: usize = 4096;

/// A level of the memory, and how many values make a set that lies there.
type Size = (&'static str, usize);

/// The sizes by bytes for each row of [`ROW`] values.
fn sizes(row_bytes: usize) -> [Size; 4] {
    const LARGEST: usize = 512 << 20;
    let Caches { l2, l3, .. } = Caches::get();
    let rows = |bytes: usize| bytes.div_ceil(row_bytes) * ROW;
    let memory = (4 * l3).clamp(128 << 20, LARGEST);
    // Less than all of the smallest first level: the stack is there too.
    let first = if row_bytes <= 24 << 10 { ROW } else { ROW / 2 };
    [("L1", first), ("L2", rows(l2 / 2)), ("L3", rows(4 * l2)), ("DRAM", rows(memory))]
}

/// Whether all is timed: every level everywhere.
fn full() -> bool {
    std::env::var_os("QUINTILE_BENCH").is_some_and(|value| value == "full")
}

/// The levels that are timed at a size.
fn levels(size: &str) -> impl Iterator<Item = Isa> {
    let all = size == "L1" || full();
    Isa::available().filter(move |&isa| all || isa == Isa::detect())
}

/// A name, with the size if it is not the first.
fn at(what: &str, size: &str) -> String {
    if size == "L1" { what.into() } else { format!("{what}, {size}") }
}

/// So many values in so many bytes.
fn throughput(values: usize, bytes: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: values as u64, bytes: bytes as u64 }
}

/// Sets what is measured next: so many values in so many bytes.
fn measure(group: &mut BenchmarkGroup<'_, Clock>, values: usize, bytes: usize) {
    group.throughput(throughput(values, bytes));
}

/// What a kernel reads and writes, made when it is first asked for.
struct Operands<T, F> {
    made: Option<T>,
    make: F,
}

impl<T, F: Fn() -> T> Operands<T, F> {
    fn new(make: F) -> Self {
        Operands { made: None, make }
    }

    fn get(&mut self) -> &mut T {
        self.made.get_or_insert_with(&self.make)
    }
}

/// Small numbers of both signs, never subnormal: denormal operands would be timed otherwise.
fn floats(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

/// Elements that begin at a line of the cache: where they lay by chance, loads that cross lines would be timed in one run and not in
/// the next.
struct Aligned<T> {
    elements: Vec<T>,
    start: usize,
}

impl<T: Copy> Aligned<T> {
    fn of(row: &[T]) -> Self {
        let mut elements: Vec<T> = Vec::with_capacity(row.len() + LINE / size_of::<T>());
        let start = elements.as_ptr().align_offset(LINE);
        elements.extend(repeat_n(row[0], start).chain(row.iter().copied()));
        Aligned { elements, start }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[self.start..]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[self.start..]
    }
}

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// The same ones for every [`ROW`]: memory is filled as fast as it can be.
fn rows_of<T: Copy>(row: Vec<T>, values: usize) -> Aligned<T> {
    let mut rows = repeat_n(row, values.div_ceil(ROW)).collect::<Vec<_>>().concat();
    rows.truncate(values);
    Aligned::of(&rows)
}

/// Rows whose scales are ordinary numbers, whatever the format.
fn weights(format: Format, values: usize) -> Vec<u8> {
    let bytes = format.row_bytes(values).expect("whole blocks");
    let pattern: Vec<u8> = (0..251).map(|i| (i * 7919 % 251) as u8 & 0x3f).collect();
    let mut row = pattern.repeat(bytes.div_ceil(251));
    row.truncate(bytes);
    row
}

/// Passes over all benchmarks, of which the quickest counts: what another guest of the machine does for some seconds is in one of
/// them. One where results are compared with saved ones, which a second pass would write over.
const PASSES: usize = 3;

/// What few benchmarks take more passes for: a machine that others share has states that last seconds.
const LEAST: Duration = Duration::from_secs(12);

/// Medians of ten samples, the fewest that criterion takes, in a tenth of a second.
fn configured(clock: Clock) -> Criterion {
    criterion::Criterion::default()
        .with_measurement(clock)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(80))
        .nresamples(2000)
        .without_plots()
        .configure_from_args()
}

const GROUPS: [fn(&mut Criterion); 15] = [
    floating::dot_f32,
    floating::dot_halves,
    floating::dequantize,
    quantised::qdot,
    quantised::gemv,
    quantised::qdot_exact,
    quantised::gemm,
    quantised::gemm_packed,
    quantised::quantize,
    quantised::quantize_weights,
    floating::narrow,
    floating::elementwise,
    floating::chain,
    floating::sgemm,
    floating::attention,
];

fn main() {
    let is = |flag: &str| std::env::args().any(|arg| arg == flag);
    let timed = is("--bench") && !["--list", "--test", "--help", "--version"].into_iter().any(is);
    let limits = if timed { Limits::measure() } else { Limits::none() };
    let clock = Clock::find();
    if timed {
        machine::print(&limits);
        clock.print_tiers();
    }
    let ticks = clock.ticks;
    let compared = std::env::args().any(|arg| arg.contains("baseline"));
    let (passes, least) = if timed && !compared { (PASSES, LEAST) } else { (1, Duration::ZERO) };
    let (mut found, begin) = (Found::default(), Instant::now());
    let mut pass = 0;
    while pass < passes || begin.elapsed() < least {
        pass += 1;
        if passes > 1 {
            println!("pass {pass} of {passes} or more, in {} s or more", least.as_secs());
        }
        let start = SystemTime::now();
        let mut criterion = configured(Clock::of(ticks));
        GROUPS.iter().for_each(|group| group(&mut criterion));
        #[cfg(feature = "driver")]
        layer::layer(&mut criterion);
        found.add(start);
    }
    if timed {
        found.print(ticks, &limits);
    }
}
