//! Every kernel at every ISA level, by size: `cargo bench --bench kernels -- q5_k` filters by name.
//!
//! Rows of 4096 values stay in the first-level cache; 64 Ki and 640 Ki values reach the second and third, 64 Mi the memory: there
//! the level that is chosen is timed alone, and operations that read weights. Where a name has no size, it is the first. The
//! throughput shown is of the bytes that are read (of `dequantize`, written), and the cycles of the core for 32 values; the CPU is
//! named first. What is timed is made when it is first needed, so a filter spares that too.

mod clock;

use std::cell::LazyCell;
use std::hint::black_box;

use criterion::{BenchmarkId, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::kernels::attention::HeadCache;
use quintile::kernels::elementwise::RopePairs;
use quintile::kernels::gemm::{MC, Workspace};
use quintile::kernels::sgemm::{Line, Start, View, ViewMut, space_len};
use quintile::matmul::{self, Activations, Epilogue, Outputs, Plan, Scratch, Weights};

type Criterion = criterion::Criterion<clock::Clock>;

const SIZES: [(&str, usize); 4] =
    [("L1", 4 << 10), ("L2", 64 << 10), ("L3", 640 << 10), ("DRAM", 64 << 20)];

/// Sizes that do not go to memory.
const CACHES: &[(&str, usize)] = SIZES.split_at(3).0;
/// The rows of large weights.
const ROW: usize = 4096;

/// Where a level is timed.
fn sizes(isa: Isa) -> &'static [(&'static str, usize)] {
    if isa == Isa::detect() { &SIZES } else { CACHES }
}

/// A name, with the size if it is not the first.
fn at(what: &str, size: &str) -> String {
    if size == SIZES[0].0 { what.into() } else { format!("{what}, {size}") }
}

/// So many values in so many bytes.
fn throughput(values: usize, bytes: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: values as u64, bytes: bytes as u64 }
}

/// Small numbers of both signs, never subnormal: denormal operands would be timed otherwise.
fn floats(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

/// Rows whose scales are ordinary numbers, whatever the format.
fn weights(format: Format, values: usize) -> Vec<u8> {
    let bytes = format.row_bytes(values).expect("whole blocks");
    (0..bytes).map(|i| (i * 7919 % 251) as u8 & 0x3f).collect()
}

fn dot_f32(c: &mut Criterion) {
    let mut group = c.benchmark_group("dot_f32");
    for (name, n) in SIZES {
        let rows = LazyCell::new(|| (floats(n), floats(n)));
        group.throughput(throughput(n, 8 * n));
        for isa in Isa::available().filter(|&isa| sizes(isa).contains(&(name, n))) {
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
    for (name, n) in SIZES {
        let b = LazyCell::new(|| floats(n));
        let f16s: LazyCell<Vec<f16>, _> =
            LazyCell::new(|| floats(n).into_iter().map(f16::from_f32).collect());
        let bf16s: LazyCell<Vec<bf16>, _> =
            LazyCell::new(|| floats(n).into_iter().map(bf16::from_f32).collect());
        group.throughput(throughput(n, 6 * n));
        for isa in Isa::available().filter(|&isa| sizes(isa).contains(&(name, n))) {
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

/// Rows and their f32. The throughput is of the bytes that are written; `fill` writes as many of one value.
fn dequantize(c: &mut Criterion) {
    let mut group = c.benchmark_group("dequantize");
    for &(name, n) in CACHES {
        let mut out = vec![0.0; n];
        group.throughput(throughput(n, 4 * n));
        group.bench_function(at("fill", name), |bench| {
            bench.iter(|| black_box(&mut out).fill(black_box(1.0)));
        });
        for format in Format::ALL {
            let row = LazyCell::new(|| weights(format, n));
            for isa in [Isa::SCALAR, Isa::detect()] {
                let kernels = Kernels::new(isa);
                let what = at(&format.name().to_lowercase(), name);
                group.bench_function(BenchmarkId::new(isa.level().name(), what), |bench| {
                    let row = &row[..];
                    bench.iter(|| kernels.dequantize(format, black_box(row), black_box(&mut out)));
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
        for (name, n) in SIZES {
            let w = LazyCell::new(|| weights(format, n));
            group.throughput(throughput(n, n / ROW * row_bytes));
            let levels = [Isa::SCALAR, Isa::detect()];
            for isa in levels.into_iter().filter(|&isa| sizes(isa).contains(&(name, n))) {
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
        for (name, n) in SIZES {
            let w = LazyCell::new(|| weights(format, n));
            group.throughput(throughput(n, n / ROW * row_bytes));
            for isa in Isa::available().filter(|&isa| sizes(isa).contains(&(name, n))) {
                let kernels = Kernels::new(isa);
                group.bench_function(BenchmarkId::new(isa.level().name(), name), |bench| {
                    let w = &w[..];
                    bench.iter(|| {
                        let rows = black_box(w).chunks_exact(row_bytes);
                        rows.map(|row| kernels.qdot(format, row, black_box(&x))).sum::<f32>()
                    });
                });
                if n == ROW {
                    let id = BenchmarkId::new(format!("{} x 4 columns", isa.level()), name);
                    group.bench_function(id, |bench| {
                        let w = &w[..];
                        bench.iter(|| kernels.qdot4(format, black_box(w), black_box([&x; 4])));
                    });
                    let id = BenchmarkId::new(format!("{} 2 x 2", isa.level()), name);
                    group.bench_function(id, |bench| {
                        let rows = [&w[..]; 2];
                        bench.iter(|| kernels.qdot2x2(format, black_box(rows), black_box([&x; 2])));
                    });
                }
            }
        }
    }
}

/// Rows that are unpacked together, of 1536 values, times 512 columns, everything included. The throughput is of
/// multiplications.
fn gemm(c: &mut Criterion) {
    const K: usize = 1536;
    const COLUMNS: usize = 512;
    let x = floats(COLUMNS * K);
    let (mut space, mut out) = (Box::new(Workspace::ZERO), vec![0.0; MC * COLUMNS]);
    let mut group = c.benchmark_group("gemm");
    group.throughput(Throughput::Elements((MC * K * COLUMNS) as u64));
    for format in Format::ALL {
        let Some(scale) = format.activation() else { continue };
        let w = weights(format, MC * K);
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
    for columns in [512, 64, 16, 8, 4, 1] {
        let mut x = vec![ActBlock::ZERO; columns * ActBlock::count(K)];
        let detected = Kernels::new(Isa::detect());
        matmul::quantize_columns(&detected, scale, &floats(columns * K), K, K, &mut x);
        let x = Activations::Blocks(&x);
        let mut out = vec![0.0; columns * ROWS];
        group.throughput(Throughput::Elements((ROWS * K * columns) as u64));
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
    for &(name, n) in CACHES {
        let x = floats(n);
        let mut out = vec![ActBlock::ZERO; n / 256];
        group.throughput(throughput(n, 4 * n));
        for isa in Isa::available() {
            let kernels = Kernels::new(isa);
            for (what, scale) in [("per 32", ActScale::Per32), ("per 256", ActScale::Per256)] {
                let id = BenchmarkId::new(isa.level().name(), at(what, name));
                group.bench_function(id, |bench| {
                    bench.iter(|| kernels.quantize(scale, black_box(&x), black_box(&mut out)));
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
    for &(name, n) in CACHES {
        let x = floats(n);
        let (mut halves, mut brains) = (vec![f16::ZERO; n], vec![bf16::ZERO; n]);
        group.throughput(throughput(n, 4 * n));
        for isa in Isa::available() {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), at("f16", name));
            group.bench_function(id, |bench| {
                bench.iter(|| kernels.narrow_f16(black_box(&x), black_box(&mut halves)));
            });
            let id = BenchmarkId::new(isa.level().name(), at("bf16", name));
            group.bench_function(id, |bench| {
                bench.iter(|| kernels.narrow_bf16(black_box(&x), black_box(&mut brains)));
            });
        }
    }
}

/// An operation on `x` in place, with `y` beside it.
type InPlace = fn(&Kernels, x: &mut [f32], y: &[f32]);

const IN_PLACE: [(&str, InPlace); 9] = [
    ("copy", |_, _, _| ()),
    ("exp", |k, x, _| k.exp(x)),
    ("exp_sum", |k, x, _| {
        black_box(k.exp_sum(x));
    }),
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
    for &(name, n) in CACHES {
        let y = floats(n);
        let mut x = y.clone();
        group.throughput(throughput(n, 8 * n));
        for (what, operation) in IN_PLACE {
            for isa in Isa::available() {
                let kernels = Kernels::new(isa);
                let id = BenchmarkId::new(isa.level().name(), at(what, name));
                group.bench_function(id, |bench| {
                    bench.iter(|| {
                        x.copy_from_slice(black_box(&y));
                        operation(&kernels, black_box(&mut x), black_box(&y));
                    });
                });
            }
        }
    }
}

/// 16 rows of 256 weights.
fn chain(c: &mut Criterion) {
    const ROWS: usize = 16;
    let x = floats(256);
    let mut out = [0.0; ROWS];
    let mut group = c.benchmark_group("chain");
    group.throughput(Throughput::Elements((ROWS * x.len()) as u64));
    for format in [Format::F32, Format::F16, Format::Bf16] {
        let mut rows = vec![0; ROWS * format.row_bytes(x.len()).expect("any length")];
        format.quantize(&floats(ROWS * x.len()), &mut rows);
        for isa in Isa::available() {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), format.name().to_lowercase());
            group.bench_function(id, |bench| {
                bench.iter(|| kernels.chain(format, black_box(&rows), black_box(&x), &mut out));
            });
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

/// A head of 64 over 256 keys.
fn attention(c: &mut Criterion) {
    const HEAD: usize = 64;
    const KEYS: usize = 256;
    let q = floats(HEAD);
    let wide = floats(HEAD * KEYS);
    let narrow: Vec<f16> = wide.iter().map(|&x| f16::from_f32(x)).collect();
    let mut out = [0.0; HEAD];
    let mut group = c.benchmark_group("attention");
    group.throughput(Throughput::Elements((2 * HEAD * KEYS) as u64));
    for isa in Isa::available() {
        let kernels = Kernels::new(isa);
        group.bench_function(BenchmarkId::new(isa.level().name(), "f32"), |bench| {
            let cache = HeadCache { keys: &wide, values: &wide };
            bench.iter(|| kernels.attend(black_box(&q), cache, 0..KEYS, &mut out));
        });
        group.bench_function(BenchmarkId::new(isa.level().name(), "f16"), |bench| {
            let cache = HeadCache { keys: &narrow, values: &narrow };
            bench.iter(|| kernels.attend(black_box(&q), cache, 0..KEYS, &mut out));
        });
    }
}

fn configured() -> Criterion {
    criterion::Criterion::default()
        .with_measurement(clock::Clock::find())
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(500))
        .without_plots()
}

criterion_group! {
    name = kernels;
    config = configured();
    targets = dot_f32, dot_halves, dequantize, qdot, qdot_exact, gemm, gemm_packed, quantize, quantize_weights, narrow,
        elementwise, chain, sgemm, attention
}
criterion_main!(kernels);
