//! Products of several rows and several columns.

use quickcheck::{Arbitrary, Gen};
use quintile::kernels::gemm::{MC, MR, NR, Workspace};

use crate::draw::*;

#[test]
fn a_product_equals_scalar_row_dots_for_every_format_on_any_bytes() {
    check(1_000, |g| {
        let (rows, columns) = (MR * (usize::arbitrary(g) % 4), usize::arbitrary(g) % (3 * NR));
        let blocks = usize::arbitrary(g) % 4;
        assert_product(g, rows, blocks, columns);
    });
}

#[test]
fn a_product_of_more_rows_than_are_unpacked_together_equals_scalar_row_dots() {
    assert_product(&mut Gen::from_size_and_seed(64, 3), MC + MR, 1, NR + 1);
}

#[test]
fn rows_times_a_column_equal_scalar_row_dots_for_every_format_on_any_bytes() {
    check(1_000, |g| {
        let (rows, blocks) = (usize::arbitrary(g) % 6, usize::arbitrary(g) % 10);
        for format in quantised_formats() {
            let row: Vec<_> = (0..rows).map(|_| hard_row(g, format, blocks)).collect();
            let act = format.activation().expect("a quantised format");
            let x = activations(g, act, blocks * format.block_len());
            let want: Vec<_> = row.iter().map(|w| SCALAR.qdot(format, w, &x)).collect();
            for kernels in siblings() {
                let mut out = vec![9.0; rows];
                kernels.gemv(format, &row.concat(), &x, &mut out);
                for (r, (&got, &want)) in out.iter().zip(&want).enumerate() {
                    assert!(same(got, want), "{kernels:?} {format} {r}: {got:e}, not {want:e}");
                }
            }
        }
    });
}

fn assert_product(g: &mut Gen, rows: usize, blocks: usize, columns: usize) {
    let mut space = Box::new(Workspace::ZERO);
    for format in quantised_formats().filter(|format| siblings().any(|k| k.has_gemm(*format))) {
        let per_row = blocks * 256 / format.block_len();
        let row: Vec<_> = (0..rows).map(|_| hard_row(g, format, per_row)).collect();
        let act = format.activation().expect("a quantised format");
        let column: Vec<_> = (0..columns).map(|_| activations(g, act, 256 * blocks)).collect();
        // Without blocks, there is nothing that tells how many rows and columns there are.
        let (rows, columns) = if blocks == 0 { (0, 0) } else { (rows, columns) };
        for kernels in siblings().filter(|kernels| kernels.has_gemm(format)) {
            let mut out = vec![9.0; rows * columns];
            let (w, x) = (row.concat(), column.concat());
            kernels.gemm(format, &w, &x, blocks, &mut space, &mut out);
            for (c, x) in column.iter().enumerate().take(columns) {
                for (r, w) in row.iter().enumerate() {
                    let (got, want) = (out[c * rows + r], SCALAR.qdot(format, w, x));
                    assert!(same(got, want), "{kernels:?} {format} {r} {c}: {got:e}, not {want:e}");
                }
            }
        }
    }
}
