//! Products of several rows and several columns.

use quickcheck::{Arbitrary, Gen};
use quintile::formats::{ActBlock, Format};
use quintile::kernels::Kernels;
use quintile::kernels::gemm::{MC, MR, NR, ROWS, Workspace};
use quintile::kernels::sgemm::Line;

use crate::draw::*;

#[test]
fn a_product_equals_scalar_row_dots_for_every_format_on_any_bytes() {
    check(1_000, |g| {
        let (rows, columns) = (MR * (usize::arbitrary(g) % 4), usize::arbitrary(g) % (5 * NR));
        let blocks = usize::arbitrary(g) % 4;
        let absent = usize::arbitrary(g) % 8;
        assert_product(g, rows, blocks, absent, columns);
    });
}

#[test]
fn a_product_of_more_rows_than_are_unpacked_together_equals_scalar_row_dots() {
    assert_product(&mut Gen::from_size_and_seed(64, 3), MC + MR, 1, 0, 4 * NR + 1);
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

#[test]
fn a_product_at_any_edge_of_a_tile_equals_scalar_row_dots() {
    let mut g = Gen::from_size_and_seed(64, 5);
    // More than 24 are many at AVX2, and take other loops.
    for columns in (1..=13).chain(24..=30) {
        for (rows, absent) in (1..=5).map(|n| n * MR).zip([0, 7, 3, 1, 6]) {
            assert_product(&mut g, rows, 2, absent, columns);
        }
    }
}

#[test]
fn a_product_of_rows_too_long_to_be_unpacked_at_once_equals_scalar_row_dots() {
    // More than twice the 568 blocks of 32 of the smallest format that fit.
    assert_product(&mut Gen::from_size_and_seed(64, 7), 3 * MR, 145, 3, 4 * 16 + 5);
}

#[test]
fn a_product_of_more_long_rows_and_columns_than_wait_together_equals_scalar_row_dots() {
    // More than 12 super-blocks, and than 96 columns.
    assert_product(&mut Gen::from_size_and_seed(64, 9), ROWS + MR, 13, 5, 16 * NR + 1);
}

/// Of formats with blocks of 32, so many of the last super-block are `absent`.
fn assert_product(g: &mut Gen, rows: usize, blocks: usize, absent: usize, columns: usize) {
    let mut space = Box::new(Workspace::ZERO);
    for format in quantised_formats().filter(|format| siblings().any(|k| k.has_gemm(*format))) {
        let absent = if format.block_len() == 32 { absent } else { 0 };
        let per_row = (blocks * 256 / format.block_len()).saturating_sub(absent);
        let row: Vec<_> = (0..rows).map(|_| hard_row(g, format, per_row)).collect();
        let act = format.activation().expect("a quantised format");
        let column: Vec<_> =
            (0..columns).map(|_| activations(g, act, per_row * format.block_len())).collect();
        // Without blocks, there is nothing that tells how many rows and columns there are.
        let (rows, columns) = if blocks == 0 { (0, 0) } else { (rows, columns) };
        for kernels in siblings().filter(|kernels| kernels.has_gemm(format)) {
            let mut out = vec![9.0; rows * columns];
            let (w, x) = (row.concat(), column.concat());
            kernels.gemm(format, &w, &x, blocks, &mut space, &mut out);
            let packed = packed(&kernels, format, &w, &x, per_row, out.len(), &mut space);
            for (c, x) in column.iter().enumerate().take(columns) {
                for (r, w) in row.iter().enumerate() {
                    let (got, want) = (out[c * rows + r], SCALAR.qdot(format, w, x));
                    assert!(same(got, want), "{kernels:?} {format} {r} {c}: {got:e}, not {want:e}");
                    let got = packed.as_ref().map_or(want, |out| out[c * rows + r]);
                    assert!(
                        same(got, want),
                        "{kernels:?} packed {format} {r} {c}: {got:e}, not {want:e}"
                    );
                }
            }
        }
    }
}

/// The product of the same rows, packed, where the level packs them.
fn packed(
    kernels: &Kernels,
    format: Format,
    w: &[u8],
    x: &[ActBlock],
    per_row: usize,
    elements: usize,
    space: &mut Workspace,
) -> Option<Vec<f32>> {
    let values = per_row * format.block_len();
    let run = kernels.packed_lines(format, values)?;
    let rows = w.len().checked_div(format.row_bytes(values).expect("whole blocks")).unwrap_or(0);
    // No bits of before count, of the lines, the workspace or the output.
    let mut lines = vec![Line::ZERO; rows.div_ceil(ROWS) * run];
    Line::bytes_mut(&mut lines).fill(0xff);
    kernels.pack(format, w, values, &mut lines);
    let mut out = vec![f32::NAN; elements];
    kernels.gemm_packed(format, &lines, values, x, space, &mut out);
    Some(out)
}
