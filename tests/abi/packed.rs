//! Assembly that takes packed rows and columns, called as in [`assembly`](crate::assembly).

use crate::assembly::{Kind, functions};
use crate::guard::{Buffer, Side};
use crate::registers::call_assembly;
use crate::{bits_of, values};

#[test]
fn the_assembled_micro_kernels_of_packed_columns_leave_the_registers_of_their_caller() {
    /// Bytes of a panel, and of columns, whole lines of a cache.
    const SIZES: [usize; 2] =
        [2048 + 1024 + 2 * 64 + 2 * 32, (36 * 48 + 48usize).next_multiple_of(64)];
    const STRIDE: usize = 11;
    let (mut w, mut x) = (Buffer::new(SIZES[0]), Buffer::new(SIZES[1]));
    let mut out = Buffer::new(5 * STRIDE + 8);
    for (name, kind, f) in functions() {
        let Kind::Packed(columns) = kind else { continue };
        for side in Side::BOTH {
            let w = w.input(side, &[0u8; SIZES[0]]).as_ptr() as usize;
            let x = x.input(side, &[0u8; SIZES[1]]).as_ptr() as usize;
            let before = values((columns - 1) * STRIDE + 8, 4);
            let place = out.output(side, &before).as_mut_ptr() as usize;
            let label = format_args!("{name}, {side:?}");
            // SAFETY: both structures, and place for eight elements of each column.
            unsafe { call_assembly(label, f, &[w, x, place, STRIDE]) };
            assert_eq!(
                bits_of(out.written()),
                bits_of(&before),
                "{label}: nothing was to be added"
            );
        }
    }
}

#[test]
fn the_assembled_micro_kernels_of_packed_blocks_leave_the_registers_of_their_caller() {
    /// Bytes of a block of rows, and of columns; lanes of a tile.
    const SIZES: [usize; 2] = [4 * 64 + 2 * 64, 4 * 48 + 2 * 48];
    const LANES: usize = 8 * 6 * 8;
    let (mut w, mut x) = (Buffer::new(3 * 8 * SIZES[0]), Buffer::new(3 * 8 * SIZES[1]));
    let mut lanes = Buffer::new(LANES);
    for (name, kind, f) in functions() {
        let Kind::PackedBlocks(columns) = kind else { continue };
        for (side, count) in Side::BOTH.into_iter().flat_map(|s| [1, 3].map(|n| (s, n))) {
            let w = w.input(side, &vec![0u8; 8 * count * SIZES[0]]).as_ptr() as usize;
            let x = x.input(side, &vec![0u8; 8 * count * SIZES[1]]).as_ptr() as usize;
            let before = values(LANES, 4);
            let place = lanes.output(side, &before).as_mut_ptr() as usize;
            let label = format_args!("{name} of {count}, {columns} columns, {side:?}");
            // SAFETY: `count` super-blocks of both, and a tile.
            unsafe { call_assembly(label, f, &[w, x, place, count]) };
            assert_eq!(
                bits_of(lanes.written()),
                bits_of(&before),
                "{label}: nothing was to be added"
            );
        }
    }
}
