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
#[cfg(feature = "driver")]
mod layer;
mod machine;
mod perf;
mod summary;

use std::cell::LazyCell;
use std::hint::black_box;
use std::iter::repeat_n;
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkGroup, BenchmarkId, Throughput};
use half::{bf16, f16};
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::{Caches, Isa};
use quintile::kernels::Kernels;
use quintile::kernels::attention::{CHUNK, CacheElement, HeadCache, Queries, Softmax};
use quintile::kernels::elementwise::RopePairs;
use quintile::kernels::gemm::{MC, Workspace};
use quintile::kernels::sgemm::{Line, Start, View, ViewMut, space_len};
use quintile::matmul::{self, Activations, Epilogue, Outputs, Plan, Scratch, Weights};

use clock::Clock;
use machine::Limits;

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

/// Sets what is measured next: so many values in so many bytes, fewer times where each takes milliseconds.
fn measure(group: &mut BenchmarkGroup<'_, Clock>, size: &str, values: usize, bytes: usize) {
    let samples = if size == "DRAM" { 12 } else { SAMPLES };
    group.throughput(throughput(values, bytes)).sample_size(samples);
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

/// The same ones for every [`ROW`]: memory is filled as fast as it can be.
fn rows_of<T: Clone>(row: Vec<T>, values: usize) -> Vec<T> {
    let mut rows = repeat_n(row, values.div_ceil(ROW)).collect::<Vec<_>>().concat();
    rows.truncate(values);
    rows
}

/// Rows whose scales are ordinary numbers, whatever the format.
fn weights(format: Format, values: usize) -> Vec<u8> {
    let bytes = format.row_bytes(values).expect("whole blocks");
    let pattern: Vec<u8> = (0..251).map(|i| (i * 7919 % 251) as u8 & 0x3f).collect();
    let mut row = pattern.repeat(bytes.div_ceil(251));
    row.truncate(bytes);
    row
}

fn dot_f32(c: &mut Criterion) {
    let mut group = c.benchmark_group("dot_f32");
    for (name, n) in sizes(8 * ROW) {
        let rows = LazyCell::new(|| (rows_of(floats(ROW), n), rows_of(floats(ROW), n)));
        measure(&mut group, name, n, 8 * n);
        for isa in levels(name) {
            let kernels = Kernels::new(isa);
            group.bench_function(BenchmarkId::new(isa.level().name(), name), |bench| {
                let (a, b) = &*rows;
                bench.iter(|| kernels.dot_f32(black_box(a), black_box(b)));
            });
        }
    }
}

/// f16 and bf16 with f32.
fn dot_halves(c: &mut Criterion) {
    let mut group = c.benchmark_group("dot_halves");
    let halves = floats(ROW).into_iter();
    let f16s: Vec<f16> = halves.clone().map(f16::from_f32).collect();
    let bf16s: Vec<bf16> = halves.map(bf16::from_f32).collect();
    for (name, n) in sizes(6 * ROW) {
        let b = LazyCell::new(|| rows_of(floats(ROW), n));
        let f16s = LazyCell::new(|| rows_of(f16s.clone(), n));
        let bf16s = LazyCell::new(|| rows_of(bf16s.clone(), n));
        measure(&mut group, name, n, 6 * n);
        for isa in levels(name) {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), at("f16", name));
            group.bench_function(id, |bench| {
                let (a, b) = (&f16s[..], &b[..]);
                bench.iter(|| kernels.dot_f16(black_box(a), black_box(b)));
            });
            let id = BenchmarkId::new(isa.level().name(), at("bf16", name));
            group.bench_function(id, |bench| {
                let (a, b) = (&bf16s[..], &b[..]);
                bench.iter(|| kernels.dot_bf16(black_box(a), black_box(b)));
            });
        }
    }
}

/// Rows and their f32. The throughput is of the bytes that are written; `fill` writes as many zeros, as fast as the system's
/// library does.
fn dequantize(c: &mut Criterion) {
    let mut group = c.benchmark_group("dequantize");
    for (name, n) in sizes(4 * ROW) {
        let mut out = Operands::new(|| vec![0.0; n]);
        measure(&mut group, name, n, 4 * n);
        group.bench_function(BenchmarkId::new("any", at("fill", name)), |bench| {
            let out = out.get();
            bench.iter(|| black_box(&mut *out).fill(0.0));
        });
        for format in Format::ALL {
            let row = LazyCell::new(|| weights(format, n));
            for isa in levels(name) {
                let kernels = Kernels::new(isa);
                let what = at(&format.name().to_lowercase(), name);
                group.bench_function(BenchmarkId::new(isa.level().name(), what), |bench| {
                    let (row, out) = (&row[..], out.get());
                    bench.iter(|| kernels.dequantize(format, black_box(row), black_box(out)));
                });
            }
        }
    }
}

fn qdot_exact(c: &mut Criterion) {
    let x = floats(ROW);
    let mut group = c.benchmark_group("qdot_exact");
    for format in Format::ALL.into_iter().filter(|format| format.activation().is_some()) {
        let row_bytes = format.row_bytes(ROW).expect("whole blocks");
        for (name, n) in sizes(row_bytes) {
            let w = LazyCell::new(|| weights(format, n));
            measure(&mut group, name, n, n / ROW * row_bytes);
            for isa in levels(name) {
                let kernels = Kernels::new(isa);
                let what = at(&format.name().to_lowercase(), name);
                group.bench_function(BenchmarkId::new(isa.level().name(), what), |bench| {
                    let w = &w[..];
                    bench.iter(|| {
                        let rows = black_box(w).chunks_exact(row_bytes);
                        rows.map(|row| kernels.qdot_exact(format, row, black_box(&x))).sum::<f32>()
                    });
                });
            }
        }
    }
}

fn qdot(c: &mut Criterion) {
    let kernels = Kernels::new(Isa::detect());
    for format in Format::ALL {
        let Some(scale) = format.activation() else { continue };
        let mut x = vec![ActBlock::ZERO; ROW / 256];
        kernels.quantize(scale, &floats(ROW), &mut x);
        let row_bytes = format.row_bytes(ROW).expect("whole blocks");
        let mut group = c.benchmark_group(format!("qdot_{}", format.name().to_lowercase()));
        for (name, n) in sizes(row_bytes) {
            let w = LazyCell::new(|| weights(format, n));
            for isa in levels(name) {
                let kernels = Kernels::new(isa);
                let level = isa.level();
                measure(&mut group, name, n, n / ROW * row_bytes);
                group.bench_function(BenchmarkId::new(level.name(), name), |bench| {
                    let w = &w[..];
                    bench.iter(|| {
                        let rows = black_box(w).chunks_exact(row_bytes);
                        rows.map(|row| kernels.qdot(format, row, black_box(&x))).sum::<f32>()
                    });
                });
                if n == ROW {
                    group.throughput(throughput(4 * n, row_bytes));
                    let id = BenchmarkId::new(format!("{level} x 4 columns"), name);
                    group.bench_function(id, |bench| {
                        let w = &w[..];
                        bench.iter(|| kernels.qdot4(format, black_box(w), black_box([&x; 4])));
                    });
                    group.throughput(throughput(4 * n, 2 * row_bytes));
                    let id = BenchmarkId::new(format!("{level} 2 x 2"), name);
                    group.bench_function(id, |bench| {
                        let rows = [&w[..]; 2];
                        bench.iter(|| kernels.qdot2x2(format, black_box(rows), black_box([&x; 2])));
                    });
                }
            }
        }
    }
}

/// Rows times one column, as decoding multiplies them; in the first-level cache, eight short ones.
fn gemv(c: &mut Criterion) {
    const SHORT: usize = ROW / 8;
    let mut group = c.benchmark_group("gemv");
    for format in Format::ALL {
        let Some(scale) = format.activation() else { continue };
        let mut x = vec![ActBlock::ZERO; ActBlock::count(ROW)];
        Kernels::new(Isa::detect()).quantize(scale, &floats(ROW), &mut x);
        let row_bytes = format.row_bytes(ROW).expect("whole blocks");
        for (name, n) in sizes(row_bytes) {
            let w = LazyCell::new(|| weights(format, n));
            let len = if n == ROW { SHORT } else { ROW };
            let (x, mut out) = (&x[..ActBlock::count(len)], vec![0.0; n / len]);
            measure(&mut group, name, n, n / ROW * row_bytes);
            for isa in levels(name) {
                let kernels = Kernels::new(isa);
                let what = at(&format.name().to_lowercase(), name);
                group.bench_function(BenchmarkId::new(isa.level().name(), what), |bench| {
                    let w = &w[..];
                    bench.iter(|| kernels.gemv(format, black_box(w), black_box(x), &mut out));
                });
            }
        }
    }
}

/// Rows that are unpacked together, of 1536 values, times 512 columns, everything included. The throughput is of
/// multiplications, and of bytes of weights.
fn gemm(c: &mut Criterion) {
    const K: usize = 1536;
    const COLUMNS: usize = 512;
    let x = floats(COLUMNS * K);
    let (mut space, mut out) = (Box::new(Workspace::ZERO), vec![0.0; MC * COLUMNS]);
    let mut group = c.benchmark_group("gemm");
    for format in Format::ALL {
        let Some(scale) = format.activation() else { continue };
        let w = weights(format, MC * K);
        group.throughput(throughput(MC * K * COLUMNS, w.len()));
        let mut blocks = vec![ActBlock::ZERO; COLUMNS * ActBlock::count(K)];
        for (x, blocks) in x.chunks(K).zip(blocks.chunks_mut(ActBlock::count(K))) {
            Kernels::new(Isa::detect()).quantize(scale, x, blocks);
        }
        for kernels in Isa::available().map(Kernels::new).filter(|k| k.has_gemm(format)) {
            let id = BenchmarkId::new(kernels.isa().level().name(), format.name().to_lowercase());
            group.bench_function(id, |bench| {
                bench.iter(|| {
                    let (w, x) = (black_box(&w), black_box(&blocks));
                    kernels.gemm(format, w, x, ActBlock::count(K), &mut space, &mut out);
                });
            });
        }
    }
}

/// A matrix of a model, packed beforehand: 1536 rows of 1536 values times 512 columns and times few, on one thread. The
/// throughput is of multiplications; the FMA peak of AVX2 is 16 a cycle, of AVX-512 32. `rows as they are` unpacks them each time.
fn gemm_packed(c: &mut Criterion) {
    const ROWS: usize = 1536;
    const K: usize = 1536;
    let format = Format::Q5K;
    let scale = format.activation().expect("a quantised format");
    let w = weights(format, ROWS * K);
    let mut group = c.benchmark_group("gemm_packed");
    let columns: &[usize] = if full() { &[512, 64, 16, 8, 4, 1] } else { &[512, 64, 8, 1] };
    for &columns in columns {
        let mut x = vec![ActBlock::ZERO; columns * ActBlock::count(K)];
        let detected = Kernels::new(Isa::detect());
        matmul::quantize_columns(&detected, scale, &floats(columns * K), K, K, &mut x);
        let x = Activations::Blocks(&x);
        let mut out = vec![0.0; columns * ROWS];
        group.throughput(throughput(ROWS * K * columns, w.len()));
        for kernels in Isa::available().map(Kernels::new).filter(|k| k.has_gemm(format)) {
            let level = kernels.isa().level().name();
            let plan = Plan::new(&kernels, format, ROWS, K, columns).expect("whole blocks");
            let mut packed = vec![Line::ZERO; plan.packed_lines()];
            plan.pack(0..ROWS, &w, &mut packed);
            let mut scratch = vec![Line::ZERO; plan.scratch_lines()];
            let name = format!("q5_k, {columns} columns");
            group.bench_function(BenchmarkId::new(level, &name), |bench| {
                bench.iter(|| {
                    let mut out = Outputs::new(&mut out, columns, ROWS);
                    plan.run(black_box(&packed), x, &mut out, Epilogue::NONE, &mut scratch);
                });
            });
            let weights = Weights::new(format, ROWS, K, &w).expect("as long");
            let (mut space, mut tile) =
                (Box::new(Workspace::ZERO), vec![0.0; Scratch::tile_len(columns)]);
            let name = format!("{name}, rows as they are");
            group.bench_function(BenchmarkId::new(level, &name), |bench| {
                bench.iter(|| {
                    let mut out = Outputs::new(&mut out, columns, ROWS);
                    let mut scratch = Scratch::new(&mut space, &mut tile, &mut []);
                    matmul::run(&kernels, black_box(&weights), x, &mut out, Some(&mut scratch));
                });
            });
            if columns == 1 {
                group.bench_function(BenchmarkId::new(level, "q5_k, packing"), |bench| {
                    bench.iter(|| plan.pack(0..ROWS, black_box(&w), &mut packed));
                });
            }
        }
    }
}

fn quantize(c: &mut Criterion) {
    let mut group = c.benchmark_group("quantize");
    for (name, n) in sizes(4 * ROW) {
        let mut operands =
            Operands::new(|| (rows_of(floats(ROW), n), vec![ActBlock::ZERO; n / 256]));
        measure(&mut group, name, n, 4 * n);
        for isa in levels(name) {
            let kernels = Kernels::new(isa);
            for (what, scale) in [("per 32", ActScale::Per32), ("per 256", ActScale::Per256)] {
                let id = BenchmarkId::new(isa.level().name(), at(what, name));
                group.bench_function(id, |bench| {
                    let (x, out) = operands.get();
                    bench.iter(|| kernels.quantize(scale, black_box(x), black_box(out)));
                });
            }
        }
    }
}

fn quantize_weights(c: &mut Criterion) {
    const N: usize = 4096;
    let x = floats(N);
    let mut group = c.benchmark_group("quantize_weights");
    group.throughput(Throughput::Elements(N as u64));
    for isa in Isa::available() {
        let kernels = Kernels::new(isa);
        for format in Format::ALL {
            let mut row = vec![0; format.row_bytes(N).expect("whole blocks")];
            let name = format.name().to_lowercase();
            group.bench_function(BenchmarkId::new(isa.level().name(), name), |bench| {
                bench.iter(|| kernels.quantize_weights(format, black_box(&x), &mut row));
            });
        }
    }
}

fn narrow(c: &mut Criterion) {
    let mut group = c.benchmark_group("narrow");
    for (name, n) in sizes(4 * ROW) {
        let mut operands =
            Operands::new(|| (rows_of(floats(ROW), n), (vec![f16::ZERO; n], vec![bf16::ZERO; n])));
        measure(&mut group, name, n, 4 * n);
        for isa in levels(name) {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), at("f16", name));
            group.bench_function(id, |bench| {
                let (x, (halves, _)) = operands.get();
                bench.iter(|| kernels.narrow_f16(black_box(x), black_box(halves)));
            });
            let id = BenchmarkId::new(isa.level().name(), at("bf16", name));
            group.bench_function(id, |bench| {
                let (x, (_, brains)) = operands.get();
                bench.iter(|| kernels.narrow_bf16(black_box(x), black_box(brains)));
            });
        }
    }
}

/// An operation on `x` in place, with `y` beside it.
type InPlace = fn(&Kernels, x: &mut [f32], y: &[f32]);

const IN_PLACE: [(&str, InPlace); 10] = [
    ("copy", |_, _, _| ()),
    ("exp", |k, x, _| k.exp(x)),
    ("exp_sum", |k, x, _| {
        black_box(k.exp_sum(x));
    }),
    ("softmax", |k, x, _| k.softmax(x)),
    ("silu_mul", |k, x, y| k.silu_mul(x, y)),
    ("gelu_mul", |k, x, y| k.gelu_mul(x, y)),
    ("add", |k, x, y| k.add(x, y)),
    ("scale", |k, x, y| k.rms_norm(y, y, 1e-5, x)),
    ("rope_neighbours", |k, x, y| k.rope(RopePairs::Neighbours, x, y.as_chunks().0)),
    ("rope_halves", |k, x, y| k.rope(RopePairs::Halves, x, y.as_chunks().0)),
];

/// Each time the values are copied first, so that they stay of ordinary size: `copy` is that alone. `scale` is a norm,
/// with its dot.
fn elementwise(c: &mut Criterion) {
    let mut group = c.benchmark_group("elementwise");
    for (name, n) in sizes(8 * ROW) {
        let mut operands = Operands::new(|| (rows_of(floats(ROW), n), rows_of(floats(ROW), n)));
        measure(&mut group, name, n, 8 * n);
        for (what, operation) in IN_PLACE {
            for isa in levels(name) {
                let kernels = Kernels::new(isa);
                let id = BenchmarkId::new(isa.level().name(), at(what, name));
                group.bench_function(id, |bench| {
                    let (x, y) = operands.get();
                    bench.iter(|| {
                        x.copy_from_slice(black_box(y));
                        operation(&kernels, black_box(x), black_box(y));
                    });
                });
            }
        }
    }
}

/// Rows of weights times a column of f32: 16 of 256, and as many of [`ROW`] as a size has.
fn chain(c: &mut Criterion) {
    const SHORT: usize = 256;
    let mut group = c.benchmark_group("chain");
    for format in [Format::F32, Format::F16, Format::Bf16] {
        let row_bytes = format.row_bytes(ROW).expect("any length");
        let mut row = vec![0; row_bytes];
        format.quantize(&floats(ROW), &mut row);
        for (name, n) in sizes(row_bytes) {
            let len = if n == ROW { SHORT } else { ROW };
            let mut operands =
                Operands::new(|| (row.repeat(n / ROW), floats(len), vec![0.0; n / len]));
            measure(&mut group, name, n, n / ROW * row_bytes);
            for isa in levels(name) {
                let kernels = Kernels::new(isa);
                let what = at(&format.name().to_lowercase(), name);
                group.bench_function(BenchmarkId::new(isa.level().name(), what), |bench| {
                    let (rows, x, out) = operands.get();
                    bench.iter(|| kernels.chain(format, black_box(rows), black_box(x), out));
                });
            }
        }
    }
}

/// 64 columns of 256 activations times 64 rows of weights, as a model has them.
fn sgemm(c: &mut Criterion) {
    const N: usize = 64;
    const DEPTH: usize = 256;
    let x = floats(N * DEPTH);
    let (mut out, mut space) = (vec![0.0; N * N], vec![Line::ZERO; space_len(N, DEPTH, N)]);
    let mut group = c.benchmark_group("sgemm");
    group.throughput(Throughput::Elements((N * DEPTH * N) as u64));
    for format in [Format::F32, Format::F16, Format::Bf16] {
        let mut rows = vec![0; N * format.row_bytes(DEPTH).expect("any length")];
        format.quantize(&floats(N * DEPTH), &mut rows);
        for isa in Isa::available() {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), format.name().to_lowercase());
            group.bench_function(id, |bench| {
                bench.iter(|| {
                    let a = View::row_major(black_box(&x), N, DEPTH);
                    let b = View::weights(format, black_box(&rows), [DEPTH, N], [1, DEPTH]);
                    let c = ViewMut::row_major(&mut out, N, N);
                    kernels.sgemm(a, b, c, Start::Zero, None, &mut space);
                });
            });
        }
    }
}

/// Queries of heads of 64: one over 32 keys of f32 or 64 of f16, or over as many chunks as a size has; and 64 over one chunk,
/// as prefill attends.
fn attention(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    attend(&mut group, "f32", |x| x);
    attend(&mut group, "f16", f16::from_f32);
}

fn attend<E: CacheElement>(
    group: &mut BenchmarkGroup<'_, Clock>,
    element: &str,
    convert: fn(f32) -> E,
) {
    const HEAD: usize = 64;
    const TOKENS: usize = 16;
    const HEADS: usize = 4;
    let q = floats(TOKENS * HEADS * HEAD);
    let row: Vec<E> = floats(ROW).into_iter().map(convert).collect();
    for (name, n) in sizes(ROW * size_of::<E>()) {
        let keys = if name == "L1" { 128 / size_of::<E>() } else { CHUNK };
        // Of keys and values.
        let part = 2 * keys * HEAD;
        let n = n.next_multiple_of(part);
        let cache = LazyCell::new(|| rows_of(row.clone(), n));
        let mut out = [0.0; HEAD];
        measure(group, name, n, n * size_of::<E>());
        for isa in levels(name) {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), at(element, name));
            group.bench_function(id, |bench| {
                let (q, cache) = (&q[..HEAD], &cache[..]);
                bench.iter(|| {
                    for part in black_box(cache).chunks(part) {
                        let (keys_of, values) = part.split_at(part.len() / 2);
                        let cache = HeadCache { keys: keys_of, values };
                        black_box(kernels.attend(black_box(q), cache, 0..keys, &mut out));
                    }
                });
            });
        }
    }
    let cache = rows_of(row, CHUNK * HEAD);
    let cache = HeadCache { keys: &cache, values: &cache };
    let mut out = vec![0.0; q.len()];
    let mut states = [Softmax::EMPTY; TOKENS * HEADS];
    group.sample_size(SAMPLES).throughput(Throughput::Elements((2 * q.len() * CHUNK) as u64));
    for isa in levels("L1") {
        let kernels = Kernels::new(isa);
        let id = BenchmarkId::new(isa.level().name(), format!("{element}, 64 queries"));
        group.bench_function(id, |bench| {
            bench.iter(|| {
                let q = black_box(&q[..]);
                let queries = Queries { q, head_dim: HEAD, heads: HEADS, stride: HEADS * HEAD };
                let visible = [const { 0..CHUNK }; TOKENS];
                kernels.attend_queries(queries, cache, &visible, &mut out, &mut states);
            });
        });
    }
}

const SAMPLES: usize = 30;

/// Medians of [`SAMPLES`], in a third of a second: two runs on a quiet machine agree within 3%.
fn configured(clock: Clock) -> Criterion {
    criterion::Criterion::default()
        .with_measurement(clock)
        .sample_size(SAMPLES)
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(240))
        .nresamples(2000)
        .without_plots()
        .configure_from_args()
}

const GROUPS: [fn(&mut Criterion); 15] = [
    dot_f32,
    dot_halves,
    dequantize,
    qdot,
    gemv,
    qdot_exact,
    gemm,
    gemm_packed,
    quantize,
    quantize_weights,
    narrow,
    elementwise,
    chain,
    sgemm,
    attention,
];

fn main() {
    let start = SystemTime::now();
    let is = |flag: &str| std::env::args().any(|arg| arg == flag);
    let timed = is("--bench") && !["--list", "--test", "--help", "--version"].into_iter().any(is);
    let limits = if timed { Limits::measure() } else { Limits::none() };
    let clock = Clock::find();
    if timed {
        machine::print(&limits);
        clock.print_tiers();
    }
    let ticks = clock.ticks;
    let mut criterion = configured(clock);
    GROUPS.iter().for_each(|group| group(&mut criterion));
    #[cfg(feature = "driver")]
    layer::layer(&mut criterion);
    if timed {
        summary::print(ticks, &limits, start);
    }
}
