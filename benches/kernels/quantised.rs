//! Kernels of quantised weights and activations.

use std::cell::LazyCell;
use std::hint::black_box;

use criterion::{BenchmarkId, Throughput};
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::kernels::gemm::{MC, Workspace};
use quintile::kernels::sgemm::Line;
use quintile::matmul::{self, Activations, Epilogue, Outputs, Plan, Scratch, Weights};

use crate::{
    Criterion, Operands, ROW, at, floats, full, levels, measure, rows_of, sizes, throughput,
    weights,
};

pub fn qdot_exact(c: &mut Criterion) {
    let x = floats(ROW);
    let mut group = c.benchmark_group("qdot_exact");
    for format in Format::ALL.into_iter().filter(|format| format.activation().is_some()) {
        let row_bytes = format.row_bytes(ROW).expect("whole blocks");
        for (name, n) in sizes(row_bytes) {
            let w = LazyCell::new(|| weights(format, n));
            measure(&mut group, n, n / ROW * row_bytes);
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

pub fn qdot(c: &mut Criterion) {
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
                measure(&mut group, n, n / ROW * row_bytes);
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
pub fn gemv(c: &mut Criterion) {
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
            measure(&mut group, n, n / ROW * row_bytes);
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
pub fn gemm(c: &mut Criterion) {
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
pub fn gemm_packed(c: &mut Criterion) {
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

pub fn quantize(c: &mut Criterion) {
    let mut group = c.benchmark_group("quantize");
    for (name, n) in sizes(4 * ROW) {
        let mut operands =
            Operands::new(|| (rows_of(floats(ROW), n), vec![ActBlock::ZERO; n / 256]));
        measure(&mut group, n, 4 * n);
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

pub fn quantize_weights(c: &mut Criterion) {
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
