//! Kernels of floats: dots, conversions, elementwise steps, products of matrices, attention.

use std::cell::LazyCell;
use std::hint::black_box;

use criterion::{BenchmarkGroup, BenchmarkId, Throughput};
use half::{bf16, f16};
use quintile::formats::Format;
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::kernels::attention::{CHUNK, HeadCache, Q8_0, Queries, Softmax, Storage};
use quintile::kernels::elementwise::RopePairs;
use quintile::kernels::sgemm::{Line, Start, View, ViewMut, space_len};

use crate::clock::Clock;
use crate::{Criterion, Operands, ROW, at, floats, levels, measure, rows_of, sizes, weights};

pub fn dot_f32(c: &mut Criterion) {
    let mut group = c.benchmark_group("dot_f32");
    for (name, n) in sizes(8 * ROW) {
        let rows = LazyCell::new(|| (rows_of(floats(ROW), n), rows_of(floats(ROW), n)));
        measure(&mut group, n, 8 * n);
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
pub fn dot_halves(c: &mut Criterion) {
    let mut group = c.benchmark_group("dot_halves");
    let halves = floats(ROW).into_iter();
    let f16s: Vec<f16> = halves.clone().map(f16::from_f32).collect();
    let bf16s: Vec<bf16> = halves.map(bf16::from_f32).collect();
    for (name, n) in sizes(6 * ROW) {
        let b = LazyCell::new(|| rows_of(floats(ROW), n));
        let f16s = LazyCell::new(|| rows_of(f16s.clone(), n));
        let bf16s = LazyCell::new(|| rows_of(bf16s.clone(), n));
        measure(&mut group, n, 6 * n);
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
pub fn dequantize(c: &mut Criterion) {
    let mut group = c.benchmark_group("dequantize");
    for (name, n) in sizes(4 * ROW) {
        let mut out = Operands::new(|| vec![0.0; n]);
        measure(&mut group, n, 4 * n);
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

pub fn narrow(c: &mut Criterion) {
    let mut group = c.benchmark_group("narrow");
    for (name, n) in sizes(4 * ROW) {
        let mut operands =
            Operands::new(|| (rows_of(floats(ROW), n), (vec![f16::ZERO; n], vec![bf16::ZERO; n])));
        measure(&mut group, n, 4 * n);
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
pub fn elementwise(c: &mut Criterion) {
    let mut group = c.benchmark_group("elementwise");
    for (name, n) in sizes(8 * ROW) {
        let mut operands = Operands::new(|| (rows_of(floats(ROW), n), rows_of(floats(ROW), n)));
        measure(&mut group, n, 8 * n);
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
pub fn chain(c: &mut Criterion) {
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
            measure(&mut group, n, n / ROW * row_bytes);
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
pub fn sgemm(c: &mut Criterion) {
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
pub fn attention(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    attend::<f32>(&mut group, floats(ROW));
    attend::<f16>(&mut group, floats(ROW).into_iter().map(f16::from_f32).collect());
    attend::<Q8_0>(&mut group, weights(Format::Q8_0, ROW));
}

/// As keys or as values, `row` is [`ROW`] of them.
fn attend<S: Storage>(group: &mut BenchmarkGroup<'_, Clock>, row: Vec<S::Unit>) {
    let element = S::NAME;
    let bytes = |values: usize| S::units(values) * size_of::<S::Unit>();
    const HEAD: usize = 64;
    const TOKENS: usize = 16;
    const HEADS: usize = 4;
    let q = floats(TOKENS * HEADS * HEAD);
    for (name, n) in sizes(bytes(ROW)) {
        let keys = match name {
            "L1" if size_of::<S::Unit>() == 4 => 32,
            "L1" => 64,
            _ => CHUNK,
        };
        // Of keys and values.
        let part = 2 * keys * HEAD;
        let n = n.next_multiple_of(part);
        let cache = LazyCell::new(|| row.repeat(n.div_ceil(ROW)));
        let mut out = [0.0; HEAD];
        measure(group, n, bytes(n));
        for isa in levels(name) {
            let kernels = Kernels::new(isa);
            let id = BenchmarkId::new(isa.level().name(), at(element, name));
            group.bench_function(id, |bench| {
                let (q, cache) = (&q[..HEAD], &cache[..S::units(n)]);
                bench.iter(|| {
                    for part in black_box(cache).chunks(S::units(part)) {
                        let (keys_of, values) = part.split_at(part.len() / 2);
                        let cache = HeadCache::<S> { keys: keys_of, values };
                        black_box(kernels.attend(black_box(q), cache, 0..keys, &mut out));
                    }
                });
            });
        }
    }
    let cache = row.repeat(CHUNK * HEAD / ROW);
    let cache = HeadCache::<S> { keys: &cache, values: &cache };
    let mut out = vec![0.0; q.len()];
    let mut states = [Softmax::EMPTY; TOKENS * HEADS];
    group.throughput(Throughput::Elements((2 * q.len() * CHUNK) as u64));
    for isa in levels("L1") {
        let kernels = Kernels::new(isa);
        let id = BenchmarkId::new(isa.level().name(), format!("{element}, 64 queries"));
        group.bench_function(id, |bench| {
            bench.iter(|| {
                let q = black_box(&q[..]);
                let queries =
                    Queries { q, head_dim: HEAD, heads: HEADS, stride: HEADS * HEAD, cap: None };
                let visible = [const { 0..CHUNK }; TOKENS];
                kernels.attend_queries(queries, cache, &visible, &mut out, &mut states);
            });
        });
    }
}
