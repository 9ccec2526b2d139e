//! Every kernel at every ISA level, by size: `cargo bench --bench kernels -- q5_k` filters by name.
//!
//! Rows of 4096 values stay in the first-level cache; 64 Ki and 640 Ki values of weights reach the second
//! and third, 64 Mi the memory. The throughput shown is of the bytes that are read, and the cycles of the core for 32
//! values; the CPU is named first.

mod clock;

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
        let (a, b) = (floats(n), floats(n));
        group.throughput(throughput(n, 8 * n));
        for isa in Isa::available() {
            let kernels = Kernels::new(isa);
            group.bench_function(BenchmarkId::new(isa.level().name(), name), |bench| {
                bench.iter(|| kernels.dot_f32(black_box(&a), black_box(&b)));
            });
        }
    }
}

/// f16 and bf16 with f32, values in the first-level cache.
fn dot_halves(c: &mut Criterion) {
    const N: usize = 4096;
    let b = floats(N);
    let f16s: Vec<f16> = b.iter().map(|&x| f16::from_f32(x)).collect();
    let bf16s: Vec<bf16> = b.iter().map(|&x| bf16::from_f32(x)).collect();
    let mut group = c.benchmark_group("dot_halves");
    group.throughput(throughput(N, 6 * N));
    for isa in Isa::available() {
        let kernels = Kernels::new(isa);
        group.bench_function(BenchmarkId::new(isa.level().name(), "f16"), |bench| {
            bench.iter(|| kernels.dot_f16(black_box(&f16s), black_box(&b)));
        });
        group.bench_function(BenchmarkId::new(isa.level().name(), "bf16"), |bench| {
            bench.iter(|| kernels.dot_bf16(black_box(&bf16s), black_box(&b)));
        });
    }
}

/// Rows in the first-level cache, and their f32. The throughput is of the bytes that are written; `fill` writes
/// as many of one value.
fn dequantize(c: &mut Criterion) {
    const N: usize = 4096;
    let mut out = vec![0.0; N];
    let mut group = c.benchmark_group("dequantize");
    group.throughput(throughput(N, 4 * N));
    group.bench_function("fill", |bench| bench.iter(|| black_box(&mut out).fill(black_box(1.0))));
    for format in Format::ALL {
        let row = weights(format, N);
        for isa in [Isa::SCALAR, Isa::detect()] {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), format.name().to_lowercase());
            group.bench_function(id, |bench| {
                bench.iter(|| kernels.dequantize(format, black_box(&row), black_box(&mut out)));
            });
        }
    }
}

fn qdot_exact(c: &mut Criterion) {
    const N: usize = 4096;
    let x = floats(N);
    let mut group = c.benchmark_group("qdot_exact");
    for format in Format::ALL.into_iter().filter(|format| format.activation().is_some()) {
        let row = weights(format, N);
        group.throughput(throughput(N, row.len()));
        for isa in [Isa::SCALAR, Isa::detect()] {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), format.name().to_lowercase());
            group.bench_function(id, |bench| {
                bench.iter(|| kernels.qdot_exact(format, black_box(&row), black_box(&x)));
            });
        }
    }
}

fn qdot(c: &mut Criterion) {
    const ROW: usize = 4096;
    let kernels = Kernels::new(Isa::detect());
    for format in Format::ALL {
        let Some(scale) = format.activation() else { continue };
        let mut x = vec![ActBlock::ZERO; ROW / 256];
        kernels.quantize(scale, &floats(ROW), &mut x);
        let mut group = c.benchmark_group(format!("qdot_{}", format.name().to_lowercase()));
        for (name, values) in SIZES {
            let w = weights(format, values);
            let row_bytes = format.row_bytes(ROW).expect("whole blocks");
            for isa in Isa::available() {
                let kernels = Kernels::new(isa);
                group.throughput(throughput(values, w.len()));
                group.bench_function(BenchmarkId::new(isa.level().name(), name), |bench| {
                    bench.iter(|| {
                        black_box(&w)
                            .chunks_exact(row_bytes)
                            .map(|row| kernels.qdot(format, row, black_box(&x)))
                            .sum::<f32>()
                    });
                });
                if name == "L1" {
                    let id = BenchmarkId::new(format!("{} x 4 columns", isa.level()), name);
                    group.bench_function(id, |bench| {
                        bench.iter(|| kernels.qdot4(format, black_box(&w), black_box([&x; 4])));
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
    const N: usize = 4096;
    let x = floats(N);
    let mut out = vec![ActBlock::ZERO; N / 256];
    let mut group = c.benchmark_group("quantize");
    group.throughput(throughput(N, 4 * N));
    for isa in Isa::available() {
        let kernels = Kernels::new(isa);
        for (name, scale) in [("per 32", ActScale::Per32), ("per 256", ActScale::Per256)] {
            group.bench_function(BenchmarkId::new(isa.level().name(), name), |bench| {
                bench.iter(|| kernels.quantize(scale, black_box(&x), black_box(&mut out)));
            });
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
    const N: usize = 4096;
    let x = floats(N);
    let (mut halves, mut brains) = (vec![f16::ZERO; N], vec![bf16::ZERO; N]);
    let mut group = c.benchmark_group("narrow");
    group.throughput(throughput(N, 4 * N));
    for isa in Isa::available() {
        let kernels = Kernels::new(isa);
        group.bench_function(BenchmarkId::new(isa.level().name(), "f16"), |bench| {
            bench.iter(|| kernels.narrow_f16(black_box(&x), black_box(&mut halves)));
        });
        group.bench_function(BenchmarkId::new(isa.level().name(), "bf16"), |bench| {
            bench.iter(|| kernels.narrow_bf16(black_box(&x), black_box(&mut brains)));
        });
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

/// 4096 values in the first-level cache. Each time they are copied first, so that they stay of ordinary size:
/// `copy` is that alone. `scale` is a norm, with its dot.
fn elementwise(c: &mut Criterion) {
    const N: usize = 4096;
    let y = floats(N);
    let mut x = y.clone();
    let mut group = c.benchmark_group("elementwise");
    group.throughput(Throughput::Elements(N as u64));
    for (name, operation) in IN_PLACE {
        for isa in Isa::available() {
            let kernels = Kernels::new(isa);
            group.bench_function(BenchmarkId::new(isa.level().name(), name), |bench| {
                bench.iter(|| {
                    x.copy_from_slice(black_box(&y));
                    operation(&kernels, black_box(&mut x), black_box(&y));
                });
            });
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
