//! Tiles of rows and columns.

use quickcheck::{Arbitrary, Gen};
use quintile::kernels::gemm::{COLUMNS, PANEL, ROWS};

use crate::draw::*;

#[test]
fn tiles_equal_scalar_row_dots_for_every_format_on_any_bytes() {
    check(1_000, |g| {
        let (rows, columns) =
            (PANEL * (1 + usize::arbitrary(g) % (ROWS / PANEL)), usize::arbitrary(g) % 11);
        let blocks = usize::arbitrary(g) % 4;
        assert_tiles(g, rows, blocks, columns);
    });
}

#[test]
fn a_tile_of_all_rows_and_columns_equals_scalar_row_dots() {
    assert_tiles(&mut Gen::from_size_and_seed(64, 3), ROWS, 1, COLUMNS);
}

fn assert_tiles(g: &mut Gen, rows: usize, blocks: usize, columns: usize) {
    for format in quantised_formats().filter(|format| siblings().any(|k| k.has_tiles(*format))) {
        let per_row = blocks * 256 / format.block_len();
        let row: Vec<_> = (0..rows).map(|_| hard_row(g, format, per_row)).collect();
        let act = format.activation().expect("a quantised format");
        let column: Vec<_> = (0..columns).map(|_| activations(g, act, 256 * blocks)).collect();
        for kernels in siblings().filter(|kernels| kernels.has_tiles(format)) {
            let mut tile = [[9.0; ROWS]; COLUMNS];
            kernels.tile(format, &row.concat(), rows, &column.concat(), blocks, &mut tile);
            for (c, x) in column.iter().enumerate() {
                // Of no blocks there are no columns either.
                for (r, w) in row.iter().enumerate().filter(|_| blocks > 0) {
                    let (got, want) = (tile[c][r], SCALAR.qdot(format, w, x));
                    assert!(same(got, want), "{kernels:?} {format} {r} {c}: {got:e}, not {want:e}");
                }
            }
        }
    }
}
