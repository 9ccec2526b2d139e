//! Instruction counts under Valgrind, exact and the same on every machine:
//! `cargo bench --features iai --bench instructions` (needs Valgrind, and `iai-callgrind-runner` of the version
//! in Cargo.lock).

#![allow(missing_docs)] // the macros make public modules

use std::hint::black_box;

use half::{bf16, f16};
use iai_callgrind::{library_benchmark, library_benchmark_group, main};
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::{Isa, Level};
use quintile::kernels::Kernels;
use quintile::kernels::attention::{HeadCache, Q8_0, Queries, Softmax};
use quintile::kernels::elementwise::RopePairs;
use quintile::kernels::gemm::{MR, NR, Workspace};
use quintile::kernels::sgemm::{Line, Start, View, ViewMut, space_len};

const N: usize = 4096;

/// The table by reference: by value, its copy would be counted, and the counts would move with its size.
type Table = &'static Kernels;

fn kernels(level: Level) -> Table {
    let table = Kernels::new(Isa::force(level).expect("a level that Valgrind shows"));
    Box::leak(Box::new(table))
}

fn floats() -> Vec<f32> {
    (0..N).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

fn dot_operands(level: Level) -> (Table, Vec<f32>, Vec<f32>) {
    (kernels(level), floats(), floats())
}

fn row_operands(level: Level, format: Format) -> (Table, Format, Vec<u8>, Vec<ActBlock>) {
    let bytes = format.row_bytes(N).expect("whole blocks");
    let row = (0..bytes).map(|i| (i * 7919 % 251) as u8 & 0x3f).collect();
    let mut x = vec![ActBlock::ZERO; ActBlock::count(N)];
    let scale = format.activation().expect("a quantised format");
    Kernels::new(Isa::SCALAR).quantize(scale, &floats(), &mut x);
    (kernels(level), format, row, x)
}

#[library_benchmark(setup = dot_operands)]
#[bench::scalar(Level::Scalar)]
#[bench::generic(Level::Generic)]
#[bench::avx2(Level::Avx2)]
#[bench::avx2_asm(Level::Avx2Asm)]
fn dot_f32((kernels, a, b): (Table, Vec<f32>, Vec<f32>)) -> f32 {
    black_box(kernels.dot_f32(black_box(&a), black_box(&b)))
}

type Row = (Table, Format, Vec<u8>, Vec<ActBlock>);

#[library_benchmark(setup = row_operands)]
#[bench::q2_k_avx2(Level::Avx2, Format::Q2K)]
#[bench::q2_k_avx2_asm(Level::Avx2Asm, Format::Q2K)]
#[bench::q3_k_avx2(Level::Avx2, Format::Q3K)]
#[bench::q3_k_avx2_asm(Level::Avx2Asm, Format::Q3K)]
#[bench::q8_k_avx2(Level::Avx2, Format::Q8K)]
#[bench::q4_0_avx2(Level::Avx2, Format::Q4_0)]
#[bench::q4_0_avx2_asm(Level::Avx2Asm, Format::Q4_0)]
#[bench::q5_1_avx2(Level::Avx2, Format::Q5_1)]
#[bench::q5_1_avx2_asm(Level::Avx2Asm, Format::Q5_1)]
#[bench::q4_k_scalar(Level::Scalar, Format::Q4K)]
#[bench::q4_k_generic(Level::Generic, Format::Q4K)]
#[bench::q4_k_avx2(Level::Avx2, Format::Q4K)]
#[bench::q4_k_avx2_asm(Level::Avx2Asm, Format::Q4K)]
#[bench::q5_k_scalar(Level::Scalar, Format::Q5K)]
#[bench::q5_k_generic(Level::Generic, Format::Q5K)]
#[bench::q5_k_avx2(Level::Avx2, Format::Q5K)]
#[bench::q5_k_avx2_asm(Level::Avx2Asm, Format::Q5K)]
#[bench::q8_0_scalar(Level::Scalar, Format::Q8_0)]
#[bench::q8_0_avx2(Level::Avx2, Format::Q8_0)]
#[bench::q8_0_avx2_asm(Level::Avx2Asm, Format::Q8_0)]
#[bench::q4_1_avx2(Level::Avx2, Format::Q4_1)]
#[bench::q4_1_avx2_asm(Level::Avx2Asm, Format::Q4_1)]
#[bench::q5_0_avx2(Level::Avx2, Format::Q5_0)]
#[bench::q5_0_avx2_asm(Level::Avx2Asm, Format::Q5_0)]
#[bench::q6_k_scalar(Level::Scalar, Format::Q6K)]
#[bench::q6_k_generic(Level::Generic, Format::Q6K)]
#[bench::q6_k_avx2(Level::Avx2, Format::Q6K)]
#[bench::q6_k_avx2_asm(Level::Avx2Asm, Format::Q6K)]
fn qdot((kernels, format, row, x): Row) -> f32 {
    black_box(kernels.qdot(format, black_box(&row), black_box(&x)))
}

#[library_benchmark(setup = row_operands)]
#[bench::q4_k_avx2(Level::Avx2, Format::Q4K)]
#[bench::q5_k_avx2(Level::Avx2, Format::Q5K)]
#[bench::q6_k_avx2(Level::Avx2, Format::Q6K)]
fn qdot4((kernels, format, row, x): Row) -> [f32; 4] {
    black_box(kernels.qdot4(format, black_box(&row), black_box([&x; 4])))
}

fn quantize_operands(level: Level, scale: ActScale) -> (Table, ActScale, Vec<f32>, Vec<ActBlock>) {
    (kernels(level), scale, floats(), vec![ActBlock::ZERO; ActBlock::count(N)])
}

type Quantize = (Table, ActScale, Vec<f32>, Vec<ActBlock>);

#[library_benchmark(setup = quantize_operands)]
#[bench::per_256_scalar(Level::Scalar, ActScale::Per256)]
#[bench::per_256_avx2(Level::Avx2, ActScale::Per256)]
#[bench::per_32_scalar(Level::Scalar, ActScale::Per32)]
#[bench::per_32_avx2(Level::Avx2, ActScale::Per32)]
fn quantize((kernels, scale, x, mut out): Quantize) -> Vec<ActBlock> {
    kernels.quantize(scale, black_box(&x), black_box(&mut out));
    out
}

fn weight_operands(level: Level, format: Format) -> (Table, Format, Vec<f32>, Vec<u8>) {
    let bytes = format.row_bytes(N).expect("whole blocks");
    (kernels(level), format, floats(), vec![0; bytes])
}

type Weights = (Table, Format, Vec<f32>, Vec<u8>);

#[library_benchmark(setup = weight_operands)]
#[bench::q4_0_scalar(Level::Scalar, Format::Q4_0)]
#[bench::q4_0_avx2(Level::Avx2, Format::Q4_0)]
#[bench::q5_k_scalar(Level::Scalar, Format::Q5K)]
#[bench::q5_k_avx2(Level::Avx2, Format::Q5K)]
#[bench::q6_k_scalar(Level::Scalar, Format::Q6K)]
#[bench::q6_k_avx2(Level::Avx2, Format::Q6K)]
fn quantize_weights((kernels, format, x, mut row): Weights) -> Vec<u8> {
    kernels.quantize_weights(format, black_box(&x), black_box(&mut row));
    row
}

type Halves<A> = (Table, Vec<A>, Vec<f32>);

fn halves<A>(level: Level, narrow: fn(f32) -> A) -> Halves<A> {
    (kernels(level), floats().into_iter().map(narrow).collect(), floats())
}

#[library_benchmark]
#[bench::generic(halves(Level::Generic, f16::from_f32))]
#[bench::avx2(halves(Level::Avx2, f16::from_f32))]
fn dot_f16((kernels, a, b): Halves<f16>) -> f32 {
    black_box(kernels.dot_f16(black_box(&a), black_box(&b)))
}

#[library_benchmark]
#[bench::generic(halves(Level::Generic, bf16::from_f32))]
#[bench::avx2(halves(Level::Avx2, bf16::from_f32))]
fn dot_bf16((kernels, a, b): Halves<bf16>) -> f32 {
    black_box(kernels.dot_bf16(black_box(&a), black_box(&b)))
}

/// A row, and as many f32: the activations, or room for the values.
type ExactRow = (Table, Format, Vec<u8>, Vec<f32>);

fn exact_row(level: Level, format: Format) -> ExactRow {
    let bytes = format.row_bytes(N).expect("whole blocks");
    let row = (0..bytes).map(|i| (i * 7919 % 251) as u8 & 0x3f).collect();
    (kernels(level), format, row, floats())
}

#[library_benchmark(setup = exact_row)]
#[bench::f16_avx2(Level::Avx2, Format::F16)]
#[bench::bf16_avx2(Level::Avx2, Format::Bf16)]
#[bench::q4_0_avx2(Level::Avx2, Format::Q4_0)]
#[bench::q4_1_avx2(Level::Avx2, Format::Q4_1)]
#[bench::q5_0_avx2(Level::Avx2, Format::Q5_0)]
#[bench::q5_1_avx2(Level::Avx2, Format::Q5_1)]
#[bench::q8_0_avx2(Level::Avx2, Format::Q8_0)]
#[bench::q2_k_avx2(Level::Avx2, Format::Q2K)]
#[bench::q3_k_avx2(Level::Avx2, Format::Q3K)]
#[bench::q4_k_avx2(Level::Avx2, Format::Q4K)]
#[bench::q5_k_scalar(Level::Scalar, Format::Q5K)]
#[bench::q5_k_avx2(Level::Avx2, Format::Q5K)]
#[bench::q6_k_avx2(Level::Avx2, Format::Q6K)]
#[bench::q8_k_avx2(Level::Avx2, Format::Q8K)]
fn dequantize((kernels, format, row, mut out): ExactRow) -> Vec<f32> {
    kernels.dequantize(format, black_box(&row), black_box(&mut out));
    out
}

#[library_benchmark(setup = exact_row)]
#[bench::q4_k_avx2(Level::Avx2, Format::Q4K)]
#[bench::q4_k_avx2_asm(Level::Avx2Asm, Format::Q4K)]
#[bench::q5_k_scalar(Level::Scalar, Format::Q5K)]
#[bench::q5_k_avx2(Level::Avx2, Format::Q5K)]
#[bench::q5_k_avx2_asm(Level::Avx2Asm, Format::Q5K)]
#[bench::q6_k_avx2(Level::Avx2, Format::Q6K)]
#[bench::q8_0_avx2(Level::Avx2, Format::Q8_0)]
fn qdot_exact((kernels, format, row, x): ExactRow) -> f32 {
    black_box(kernels.qdot_exact(format, black_box(&row), black_box(&x)))
}

fn narrow_operands<A: Clone>(level: Level, zero: A) -> (Table, Vec<f32>, Vec<A>) {
    (kernels(level), floats(), vec![zero; N])
}

#[library_benchmark]
#[bench::scalar(narrow_operands(Level::Scalar, f16::ZERO))]
#[bench::generic(narrow_operands(Level::Generic, f16::ZERO))]
#[bench::avx2(narrow_operands(Level::Avx2, f16::ZERO))]
fn narrow_f16((kernels, x, mut out): (Table, Vec<f32>, Vec<f16>)) -> Vec<f16> {
    kernels.narrow_f16(black_box(&x), black_box(&mut out));
    out
}

#[library_benchmark]
#[bench::scalar(narrow_operands(Level::Scalar, bf16::ZERO))]
#[bench::generic(narrow_operands(Level::Generic, bf16::ZERO))]
#[bench::avx2(narrow_operands(Level::Avx2, bf16::ZERO))]
fn narrow_bf16((kernels, x, mut out): (Table, Vec<f32>, Vec<bf16>)) -> Vec<bf16> {
    kernels.narrow_bf16(black_box(&x), black_box(&mut out));
    out
}

/// An operation on `x` in place, with `y` beside it.
type InPlace = fn(&Kernels, x: &mut [f32], y: &[f32]);

const EXP: InPlace = |k, x, _| k.exp(x);
const EXP_SUM: InPlace = |k, x, _| {
    black_box(k.exp_sum(x));
};
const SILU_MUL: InPlace = |k, x, y| k.silu_mul(x, y);
const GELU_MUL: InPlace = |k, x, y| k.gelu_mul(x, y);
const ADD: InPlace = |k, x, y| k.add(x, y);
const RMS_NORM: InPlace = |k, x, y| k.rms_norm(y, y, 1e-5, x);
const ROPE_NEIGHBOURS: InPlace = |k, x, y| k.rope(RopePairs::Neighbours, x, y.as_chunks().0);
const ROPE_HALVES: InPlace = |k, x, y| k.rope(RopePairs::Halves, x, y.as_chunks().0);

fn in_place(level: Level, operation: InPlace) -> (Table, InPlace, Vec<f32>, Vec<f32>) {
    (kernels(level), operation, floats(), floats())
}

#[library_benchmark(setup = in_place)]
#[bench::exp_generic(Level::Generic, EXP)]
#[bench::exp_avx2(Level::Avx2, EXP)]
#[bench::exp_sum_generic(Level::Generic, EXP_SUM)]
#[bench::exp_sum_avx2(Level::Avx2, EXP_SUM)]
#[bench::silu_mul_generic(Level::Generic, SILU_MUL)]
#[bench::silu_mul_avx2(Level::Avx2, SILU_MUL)]
#[bench::gelu_mul_generic(Level::Generic, GELU_MUL)]
#[bench::gelu_mul_avx2(Level::Avx2, GELU_MUL)]
#[bench::add_generic(Level::Generic, ADD)]
#[bench::add_avx2(Level::Avx2, ADD)]
#[bench::rms_norm_generic(Level::Generic, RMS_NORM)]
#[bench::rms_norm_avx2(Level::Avx2, RMS_NORM)]
#[bench::rope_neighbours_generic(Level::Generic, ROPE_NEIGHBOURS)]
#[bench::rope_neighbours_avx2(Level::Avx2, ROPE_NEIGHBOURS)]
#[bench::rope_halves_generic(Level::Generic, ROPE_HALVES)]
#[bench::rope_halves_avx2(Level::Avx2, ROPE_HALVES)]
fn elementwise((kernels, operation, mut x, y): (Table, InPlace, Vec<f32>, Vec<f32>)) -> Vec<f32> {
    operation(kernels, black_box(&mut x), black_box(&y));
    x
}

/// 16 rows of 256 weights.
fn rows(level: Level, format: Format) -> (Table, Format, Vec<u8>, Vec<f32>) {
    let mut rows = vec![0; N * format.block_bytes()];
    format.quantize(&floats(), &mut rows);
    (kernels(level), format, rows, floats())
}

#[library_benchmark(setup = rows)]
#[bench::f32_generic(Level::Generic, Format::F32)]
#[bench::f32_avx2(Level::Avx2, Format::F32)]
#[bench::f16_generic(Level::Generic, Format::F16)]
#[bench::f16_avx2(Level::Avx2, Format::F16)]
#[bench::bf16_generic(Level::Generic, Format::Bf16)]
#[bench::bf16_avx2(Level::Avx2, Format::Bf16)]
fn chain((kernels, format, rows, x): (Table, Format, Vec<u8>, Vec<f32>)) -> [f32; 16] {
    let mut out = [0.0; 16];
    kernels.chain(format, black_box(&rows), black_box(&x[..256]), &mut out);
    black_box(out)
}

// A head of 64 over 64 keys.
#[library_benchmark]
#[bench::generic(halves(Level::Generic, f16::from_f32))]
#[bench::avx2(halves(Level::Avx2, f16::from_f32))]
fn attend((kernels, cache, q): Halves<f16>) -> [f32; 64] {
    let mut out = [0.0; 64];
    let cache = HeadCache::<f16> { keys: &cache, values: &cache };
    black_box(kernels.attend(black_box(&q[..64]), black_box(cache), 0..64, &mut out));
    out
}

// Seven heads of 64 of one token over 64 keys: blocks of four queries and of three.
#[library_benchmark]
#[bench::avx2(halves(Level::Avx2, f16::from_f32))]
fn attend_queries((kernels, cache, q): Halves<f16>) -> [f32; 7 * 64] {
    let (mut out, mut states) = ([0.0; 7 * 64], [Softmax::EMPTY; 7]);
    let cache = HeadCache::<f16> { keys: &cache, values: &cache };
    let queries = Queries { q: &q[..7 * 64], head_dim: 64, heads: 7, stride: 7 * 64, cap: None };
    kernels.attend_queries(
        black_box(queries),
        black_box(cache),
        std::slice::from_ref(&(0..64)),
        &mut out,
        &mut states,
    );
    black_box(states);
    out
}

/// 64 keys or values of 64, in blocks.
fn blocks(level: Level) -> (Table, Vec<u8>, Vec<f32>) {
    let (kernels, _, row, q) = exact_row(level, Format::Q8_0);
    (kernels, row, q)
}

#[library_benchmark]
#[bench::generic(blocks(Level::Generic))]
#[bench::avx2(blocks(Level::Avx2))]
fn attend_q8_0((kernels, cache, q): (Table, Vec<u8>, Vec<f32>)) -> [f32; 64] {
    let mut out = [0.0; 64];
    let cache = HeadCache::<Q8_0> { keys: &cache, values: &cache };
    black_box(kernels.attend(black_box(&q[..64]), black_box(cache), 0..64, &mut out));
    out
}

// A block of six queries.
#[library_benchmark]
#[bench::avx2(blocks(Level::Avx2))]
fn attend_queries_q8_0((kernels, cache, q): (Table, Vec<u8>, Vec<f32>)) -> [f32; 6 * 64] {
    let (mut out, mut states) = ([0.0; 6 * 64], [Softmax::EMPTY; 6]);
    let cache = HeadCache::<Q8_0> { keys: &cache, values: &cache };
    let queries = Queries { q: &q[..6 * 64], head_dim: 64, heads: 6, stride: 6 * 64, cap: None };
    kernels.attend_queries(
        black_box(queries),
        black_box(cache),
        std::slice::from_ref(&(0..64)),
        &mut out,
        &mut states,
    );
    black_box(states);
    out
}

/// Three rows of two super-blocks.
type Rows = (Table, Format, Vec<u8>, Vec<ActBlock>);

fn three_rows(level: Level, format: Format) -> Rows {
    let (kernels, format, row, x) = row_operands(level, format);
    (
        kernels,
        format,
        row[..3 * format.row_bytes(512).expect("whole blocks")].to_vec(),
        x[..2].to_vec(),
    )
}

#[library_benchmark(setup = three_rows)]
#[bench::q4_k_avx2_asm(Level::Avx2Asm, Format::Q4K)]
#[bench::q5_k_avx2_asm(Level::Avx2Asm, Format::Q5K)]
#[bench::q6_k_avx2_asm(Level::Avx2Asm, Format::Q6K)]
#[bench::q8_0_avx2(Level::Avx2, Format::Q8_0)]
fn gemv((kernels, format, w, x): Rows) -> [f32; 3] {
    let mut out = [0.0; 3];
    kernels.gemv(format, black_box(&w), black_box(&x), &mut out);
    out
}

/// Sixteen rows of one super-block, and seven columns.
type Product = (Table, Format, Vec<u8>, Vec<ActBlock>, Box<Workspace>, Vec<f32>);

fn product(level: Level, format: Format) -> Product {
    const COLUMNS: usize = NR + 1;
    const ROWS: usize = 2 * MR;
    let (kernels, format, row, x) = row_operands(level, format);
    let w = row[..ROWS * format.row_bytes(256).expect("whole blocks")].to_vec();
    (
        kernels,
        format,
        w,
        x[..COLUMNS].to_vec(),
        Box::new(Workspace::ZERO),
        vec![0.0; ROWS * COLUMNS],
    )
}

#[library_benchmark(setup = product)]
#[bench::q2_k_avx2_asm(Level::Avx2Asm, Format::Q2K)]
#[bench::q3_k_avx2_asm(Level::Avx2Asm, Format::Q3K)]
#[bench::q4_k_avx2_asm(Level::Avx2Asm, Format::Q4K)]
#[bench::q4_k_generic(Level::Generic, Format::Q4K)]
#[bench::q5_k_generic(Level::Generic, Format::Q5K)]
#[bench::q5_k_avx2(Level::Avx2, Format::Q5K)]
#[bench::q5_k_avx2_asm(Level::Avx2Asm, Format::Q5K)]
#[bench::q6_k_avx2(Level::Avx2, Format::Q6K)]
#[bench::q6_k_avx2_asm(Level::Avx2Asm, Format::Q6K)]
#[bench::q4_0_avx2(Level::Avx2, Format::Q4_0)]
#[bench::q4_0_avx2_asm(Level::Avx2Asm, Format::Q4_0)]
#[bench::q4_1_avx2_asm(Level::Avx2Asm, Format::Q4_1)]
#[bench::q5_0_avx2_asm(Level::Avx2Asm, Format::Q5_0)]
#[bench::q5_1_avx2_asm(Level::Avx2Asm, Format::Q5_1)]
#[bench::q8_0_avx2(Level::Avx2, Format::Q8_0)]
#[bench::q8_0_avx2_asm(Level::Avx2Asm, Format::Q8_0)]
fn gemm((kernels, format, w, x, mut space, mut out): Product) -> Vec<f32> {
    kernels.gemm(format, black_box(&w), black_box(&x), 1, &mut space, black_box(&mut out));
    out
}

/// As [`Product`], the rows packed.
type PackedProduct = (Table, Format, Vec<Line>, Vec<ActBlock>, Box<Workspace>, Vec<f32>);

fn packed_product(level: Level, format: Format) -> PackedProduct {
    let (kernels, format, w, x, space, out) = product(level, format);
    let run = kernels.packed_lines(format, 256).expect("the level packs rows");
    let mut packed = vec![Line::ZERO; run];
    kernels.pack(format, &w, 256, &mut packed);
    (kernels, format, packed, x, space, out)
}

#[library_benchmark(setup = packed_product)]
#[bench::q5_k_avx2_asm(Level::Avx2Asm, Format::Q5K)]
#[bench::q4_0_avx2_asm(Level::Avx2Asm, Format::Q4_0)]
fn gemm_packed((kernels, format, w, x, mut space, mut out): PackedProduct) -> Vec<f32> {
    kernels.gemm_packed(format, black_box(&w), 256, black_box(&x), &mut space, &mut out);
    out
}

/// Sixteen rows of a super-block, and the lines of 32.
fn rows_to_pack(level: Level, format: Format) -> (Table, Format, Vec<u8>, Vec<Line>) {
    let (kernels, format, w, ..) = product(level, format);
    let run = kernels.packed_lines(format, 256).expect("the level packs rows");
    (kernels, format, w, vec![Line::ZERO; run])
}

#[library_benchmark(setup = rows_to_pack)]
#[bench::q5_k_avx2(Level::Avx2, Format::Q5K)]
#[bench::q4_0_avx2(Level::Avx2, Format::Q4_0)]
fn pack((kernels, format, w, mut packed): (Table, Format, Vec<u8>, Vec<Line>)) -> Vec<Line> {
    kernels.pack(format, black_box(&w), 256, &mut packed);
    packed
}

/// Rows, depth and columns of products of matrices.
const MATRICES: [usize; 3] = [64, 64, 64];

/// The second operand as rows of weights, as in a model, and the space of packing.
type Matrices = (Table, Format, Vec<u8>, Vec<f32>, Vec<Line>, Vec<f32>);

fn matrices(level: Level, format: Format) -> Matrices {
    let [rows, depth, columns] = MATRICES;
    let mut w = vec![0; depth * columns * format.block_bytes()];
    format.quantize(&floats(), &mut w);
    let space = vec![Line::ZERO; space_len(rows, depth, columns)];
    (kernels(level), format, w, floats(), space, vec![0.0; rows * columns])
}

#[library_benchmark(setup = matrices)]
#[bench::f32_generic(Level::Generic, Format::F32)]
#[bench::f32_avx2(Level::Avx2, Format::F32)]
#[bench::f16_avx2(Level::Avx2, Format::F16)]
#[bench::bf16_avx2(Level::Avx2, Format::Bf16)]
fn sgemm((kernels, format, w, x, mut space, mut out): Matrices) -> Vec<f32> {
    let [rows, depth, columns] = MATRICES;
    let b = View::weights(format, black_box(&w), [depth, columns], [1, depth]);
    let c = ViewMut::row_major(black_box(&mut out), rows, columns);
    let a = View::row_major(black_box(&x), rows, depth);
    kernels.sgemm(a, b, c, Start::Zero, None, &mut space);
    out
}

library_benchmark_group!(
    name = kernels_group;
    benchmarks = dot_f32, dot_f16, dot_bf16, dequantize, qdot, qdot4, qdot_exact, gemv, gemm, gemm_packed, pack, sgemm, quantize, quantize_weights, narrow_f16, narrow_bf16,
        elementwise, chain, attend, attend_queries, attend_q8_0, attend_queries_q8_0
);
main!(library_benchmark_groups = kernels_group);
