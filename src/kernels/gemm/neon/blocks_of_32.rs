//! Formats with blocks of 32.
//!
//! The contract rounds after each block, in one of eight lanes, which are added at the end of the row. So the blocks of a
//! lane are multiplied one behind the other, those of lane 0 first, and the registers that hold sums of a super-block
//! elsewhere hold a lane of each element. Rows are unpacked whole where they have at most [`CHUNK`] super-blocks; of longer
//! ones, so many at a time, and the lanes of [`GROUPS`] groups of columns wait in memory meanwhile.
//!
//! # Bound
//! Vector operations for a block of four rows and a column, 128 products (with `smmla`, of two rows and two columns): 8 `sdot`
//! or 4 `smmla`, and three of f32, or five with minimums. So 11 or 13 with `sdot`, 7 or 9 with `smmla`: on two pipes 23.3 or
//! 19.7 products a cycle, on four 46.5 or 39.4, with `smmla` 73.1 or 56.9.

use core::arch::aarch64::*;

use super::super::{Layout, MR, NR, Workspace};
use super::{ColumnOct, Order, PAIRS, RowOct, load, store_columns, store_octs};
use crate::formats::ActBlock;
use crate::kernels::qdot::neon::blocks_of_32::Block32;
use crate::kernels::qdot::neon::f16;

/// Super-blocks whose rows are unpacked together.
const CHUNK: usize = 8;
/// Panels of so many super-blocks that share what is packed of the columns, which costs about what two panels cost to
/// multiply with it: 192 KiB.
const PANELS: usize = 8;
/// Groups of columns whose lanes wait in memory: 144 KiB.
const GROUPS: usize = 12;

/// A block of eight rows, in the [`Order`] of the level.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Blocks {
    quants: [RowOct; 4],
    d: [f32; 2 * MR],
    m: [f32; 2 * MR],
}

/// A block of six columns, or of fewer.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub struct BlockColumns {
    octs: [ColumnOct; 4],
    /// The scales of each two columns, twice; then the sums of their activations.
    dx: [[f32; 4]; PAIRS],
    sums: [[f32; 4]; PAIRS],
}

/// Eight lanes of the elements of a tile: of each pair of columns, four registers.
pub type Lanes = [[[[f32; 4]; 4]; PAIRS]; 8];

/// How a [`Workspace`] is laid out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Space {
    /// Of one panel or several: the blocks of lane 0, then those of the others.
    blocks: [Blocks; 8 * CHUNK * PANELS],
    columns: [BlockColumns; 8 * CHUNK],
    lanes: [[Lanes; PANELS]; GROUPS],
}

// SAFETY: numbers all through.
unsafe impl Layout for Space {}

/// Adds `count` super-blocks of a panel and some columns to the lanes of their elements.
///
/// # Safety
/// There are so many, at least one, of both; the CPU has the features of the level.
pub type Micro =
    unsafe extern "C" fn(w: *const Blocks, x: *const BlockColumns, lanes: *mut Lanes, count: usize);

/// Micro-kernels of a format, for `2 (i + 1)` columns.
pub trait Micros<B>: Order {
    const MICROS: [Micro; PAIRS];
}

#[target_feature(enable = "neon")]
pub fn gemm<B: Block32, M: Micros<B>>(
    w: &[u8],
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let rows = out.len() / (x.len() / blocks);
    let w = B::slice(w);
    let per_row = w.len() / rows;
    let space: &mut Space = space.layout();
    let whole = blocks <= CHUNK;
    let (panels, columns) =
        if whole { (CHUNK * PANELS / blocks, x.len() / blocks) } else { (PANELS, GROUPS * NR) };
    for (i, w) in w.chunks(panels * MR * per_row).enumerate() {
        for (h, x) in x.chunks(columns * blocks).enumerate() {
            for first in (0..blocks).step_by(CHUNK) {
                let count = CHUNK.min(blocks - first);
                for (p, w) in w.chunks(MR * per_row).enumerate() {
                    let panel = &mut space.blocks[8 * count * p..][..8 * count];
                    interleave::<B, M>(w, per_row, first, panel);
                }
                for (j, x) in x.chunks(NR * blocks).enumerate() {
                    let n = x.len() / blocks;
                    pack::<B>(x, blocks, first, &mut space.columns[..8 * count]);
                    for (p, w) in w.chunks(MR * per_row).enumerate() {
                        let panel = &space.blocks[8 * count * p..][..8 * count];
                        let lanes = &mut space.lanes[if whole { 0 } else { j }];
                        let lanes = &mut lanes[if whole { 0 } else { p }];
                        if first == 0 {
                            *lanes = [[[[0.0; 4]; 4]; PAIRS]; 8];
                        }
                        let micro = M::MICROS[n.div_ceil(2) - 1];
                        // SAFETY: panel and columns have `count` super-blocks; `M` is of the level.
                        unsafe { micro(panel.as_ptr(), space.columns.as_ptr(), lanes, count) };
                        if first + count == blocks {
                            debug_assert_eq!(w.len(), MR * per_row);
                            let at = (columns * h + NR * j) * rows + (panels * i + p) * MR;
                            fold::<M>(lanes, n, rows, &mut out[at..]);
                        }
                    }
                }
            }
        }
    }
}

/// Unpacks the super-blocks from `first` on that fill `panel`, with zeros for blocks that rows lack.
#[target_feature(enable = "neon")]
fn interleave<B: Block32, O: Order>(w: &[B], per_row: usize, first: usize, panel: &mut [Blocks]) {
    let count = panel.len() / 8;
    for s in 0..count {
        for lane in 0..8 {
            let (out, b) = (&mut panel[count * lane + s], 8 * (first + s) + lane);
            if b >= per_row {
                *out = Blocks { quants: [[[0; 16]; 4]; 4], d: [0.0; 2 * MR], m: [0.0; 2 * MR] };
                continue;
            }
            let w: [&B; MR] = core::array::from_fn(|r| &w[r * per_row + b]);
            // SAFETY: the feature is enabled.
            let quants = w.map(|w| unsafe { w.quants() });
            for (i, octs) in out.quants.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                store_octs(O::octs(quants.map(|quants| quants[i])), octs);
            }
            for (r, w) in w.into_iter().enumerate() {
                out.d[r * O::TIMES..][..O::TIMES].fill(f16(w.scale()));
                if B::HAS_MINS {
                    out.m[r * O::TIMES..][..O::TIMES].fill(f16(w.minimum()));
                }
            }
        }
    }
}

/// Lays out the super-blocks from `first` on of up to six columns, for as many blocks as there is place for; of an odd
/// number of columns, the last is its own second.
#[target_feature(enable = "neon")]
fn pack<B: Block32>(x: &[ActBlock], blocks: usize, first: usize, out: &mut [BlockColumns]) {
    let (n, count) = (x.len() / blocks, out.len() / 8);
    for p in 0..n.div_ceil(2) {
        for s in 0..count {
            let pair = [2 * p, (2 * p + 1).min(n - 1)].map(|c| &x[c * blocks + first + s]);
            let quants = pair.map(|x| x.qs.as_chunks::<16>().0);
            for lane in 0..8 {
                let out = &mut out[count * lane + s];
                for (i, octs) in out.octs.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    store_columns(quants.map(|q| load(&q[2 * lane + i])), octs, p);
                }
                let [a, b] = pair.map(|x| x.d[lane]);
                out.dx[p] = [a, b, a, b];
                if B::HAS_MINS {
                    let [a, b] = pair.map(|x| {
                        let [low, high] = x.bsums.as_chunks::<2>().0[lane].map(i32::from);
                        (low + high) as f32
                    });
                    out.sums[p] = [a, b, a, b];
                }
            }
        }
    }
}

/// The contract's sums of the lanes of `n` columns, to their places, `stride` apart.
#[target_feature(enable = "neon")]
fn fold<O: Order>(lanes: &Lanes, n: usize, stride: usize, out: &mut [f32]) {
    for (p, out) in out.chunks_mut(2 * stride).enumerate().take(n.div_ceil(2)) {
        let pair = core::array::from_fn(|i| {
            // SAFETY: an element holds four numbers.
            let lane = |l: usize| unsafe { vld1q_f32(lanes[l][p][i].as_ptr()) };
            let pair = |l: usize| vaddq_f32(lane(l), lane(l + 1));
            let four = |l: usize| vaddq_f32(pair(l), pair(l + 2));
            vaddq_f32(four(0), four(4))
        });
        for (sums, out) in O::sums(pair).into_iter().zip(out.chunks_mut(stride)).take(n - 2 * p) {
            for (sums, out) in sums.into_iter().zip(out.as_chunks_mut::<4>().0) {
                // SAFETY: the array holds four numbers.
                unsafe { vst1q_f32(out.as_mut_ptr(), sums) };
            }
        }
    }
}
