//! Products of matrices of f32, f16 and bf16.

use half::{bf16, f16};
use quickcheck::{Arbitrary, Gen};
use quintile::formats::Format;
use quintile::kernels::sgemm::{KC, Line, MC, NC, Start, View, ViewMut, space_len};

use crate::draw::*;

/// A matrix as it lies in memory, with elements that belong to none of its own.
struct Matrix {
    format: Format,
    shape: [usize; 2],
    strides: [usize; 2],
    floats: Vec<f32>,
    /// The same, behind some bytes.
    bytes: Vec<u8>,
    native: bool,
}

/// Bytes before a matrix: an odd address.
const BEFORE: usize = 3;

impl Matrix {
    fn new(g: &mut Gen, shape: [usize; 2], format: Format, transposed: bool, gap: usize) -> Self {
        let [rows, columns] = shape;
        let strides = if transposed { [1, rows + gap] } else { [columns + gap, 1] };
        let n = (strides[0] * rows).max(strides[1] * columns);
        let drawn = if bool::arbitrary(g) { any(g, n) } else { tame(g, n) };
        let (mut floats, mut bytes) = (Vec::new(), vec![0; BEFORE]);
        for x in drawn {
            match format {
                Format::F16 => {
                    let x = f16::from_f32(x);
                    bytes.extend(x.to_le_bytes());
                    floats.push(x.to_f32());
                }
                Format::Bf16 => {
                    let x = bf16::from_f32(x);
                    bytes.extend(x.to_le_bytes());
                    floats.push(x.to_f32());
                }
                _ => {
                    bytes.extend(x.to_le_bytes());
                    floats.push(x);
                }
            }
        }
        let native = format == Format::F32 && bool::arbitrary(g);
        Matrix { format, shape, strides, floats, bytes, native }
    }

    fn arbitrary(g: &mut Gen, shape: [usize; 2]) -> Self {
        let formats = [Format::F32, Format::F32, Format::F16, Format::Bf16];
        let format = formats[usize::arbitrary(g) % formats.len()];
        let (transposed, gap) = (bool::arbitrary(g), usize::arbitrary(g) % 3);
        Matrix::new(g, shape, format, transposed, gap)
    }

    fn view(&self) -> View<'_> {
        if self.native {
            View::strided(&self.floats, self.shape, self.strides)
        } else {
            View::weights(self.format, &self.bytes[BEFORE..], self.shape, self.strides)
        }
    }

    fn at(&self, i: usize, j: usize) -> f32 {
        self.floats[i * self.strides[0] + j * self.strides[1]]
    }

    /// Row `i`, and column `j`.
    fn row(&self, i: usize) -> Vec<f32> {
        (0..self.shape[1]).map(|j| self.at(i, j)).collect()
    }

    fn column(&self, j: usize) -> Vec<f32> {
        (0..self.shape[0]).map(|i| self.at(i, j)).collect()
    }
}

/// One chain, from `start`: what the contract says, by the scalar row products.
fn chain(row: &[f32], column: &[f32], start: Option<f32>) -> f32 {
    // A chain that begins with `start` is one of 1 · start before the others.
    let (mut x, mut w) = (start.map_or(vec![], |_| vec![1.0]), Vec::from_iter(start));
    x.extend(row);
    w.extend(column);
    let bytes: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
    let mut out = [0.0];
    SCALAR.chain(Format::F32, &bytes, &x, &mut out);
    // fma(1, -0, +0) is +0: a chain that begins with -0 and has nothing further stays it.
    if row.is_empty() { start.unwrap_or(0.0) } else { out[0] }
}

fn assert_product(g: &mut Gen, a: &Matrix, b: &Matrix) {
    let ([rows, depth], columns) = (a.shape, b.shape[1]);
    let row_stride = columns + usize::arbitrary(g) % 3;
    let before = tame(g, (rows * row_stride).max(1));
    let bias = any(g, columns);
    let bias = bool::arbitrary(g).then_some(&bias[..]);
    let start = if bool::arbitrary(g) { Start::Zero } else { Start::Output };
    let mut want = before.clone();
    for i in 0..rows {
        let row = a.row(i);
        for j in 0..columns {
            let out = &mut want[i * row_stride + j];
            let acc = chain(&row, &b.column(j), (start == Start::Output).then_some(*out));
            *out = bias.map_or(acc, |bias| acc + bias[j]);
        }
    }
    for kernels in siblings().chain([SCALAR]) {
        let mut space = vec![Line::ZERO; space_len(rows, depth, columns)];
        let mut got = before.clone();
        let c = ViewMut::strided(&mut got, rows, columns, row_stride);
        kernels.sgemm(a.view(), b.view(), c, start, bias, &mut space);
        for (at, (&got, &want)) in got.iter().zip(&want).enumerate() {
            let place = (at / row_stride.max(1), at % row_stride.max(1));
            assert!(
                same(got, want),
                "{kernels:?} {rows} x {depth} x {columns}, {start:?}, {} {:?} times {} {:?}, {place:?}: {got:e}, not {want:e}",
                a.format,
                a.strides,
                b.format,
                b.strides,
            );
        }
    }
}

#[test]
fn a_product_of_matrices_equals_scalar_chains_for_any_shape_strides_formats_start_and_bias() {
    check(1_000, |g| {
        let size = |g: &mut Gen| usize::arbitrary(g) % 40;
        let [rows, depth, columns] = [size(g), size(g), size(g)];
        let (a, b) = (Matrix::arbitrary(g, [rows, depth]), Matrix::arbitrary(g, [depth, columns]));
        assert_product(g, &a, &b);
    });
}

#[test]
fn a_product_of_more_than_a_block_in_each_direction_equals_scalar_chains() {
    let mut g = Gen::from_size_and_seed(64, 11);
    for [rows, depth, columns] in [
        [MC + 9, 3, 35],
        [7, KC + 1, 70],
        [14, 2 * KC + 5, 17],
        [8, 2, NC + 19],
        [67, 66, 65],
        [15, 230, 64],
    ] {
        for transposed in [false, true] {
            let a = Matrix::new(&mut g, [rows, depth], Format::F32, transposed, 1);
            let b = Matrix::new(&mut g, [depth, columns], Format::F32, transposed, 1);
            assert_product(&mut g, &a, &b);
        }
    }
}

#[test]
fn naive_and_blocked_loops_equal_the_product() {
    check(200, |g| {
        let size = |g: &mut Gen| usize::arbitrary(g) % 80;
        let [rows, depth, columns] = [size(g), size(g), 1 + size(g)];
        let (a, b) = (any(g, rows * depth), any(g, depth * columns));
        let mut want = vec![1.0; rows * columns];
        let mut space = vec![Line::ZERO; space_len(rows, depth, columns)];
        SCALAR.sgemm(
            View::row_major(&a, rows, depth),
            View::row_major(&b, depth, columns),
            ViewMut::row_major(&mut want, rows, columns),
            Start::Zero,
            None,
            &mut space,
        );
        for kernels in siblings().chain([SCALAR]) {
            let mut got = vec![2.0; rows * columns];
            kernels.sgemm_naive(&a, &b, &mut got, depth, columns);
            assert_all_same(
                &got,
                &want,
                format_args!("{kernels:?} naive {rows} x {depth} x {columns}"),
            );
            got.fill(3.0);
            kernels.sgemm_blocked(&a, &b, &mut got, depth, columns);
            assert_all_same(
                &got,
                &want,
                format_args!("{kernels:?} blocked {rows} x {depth} x {columns}"),
            );
        }
    });
}
