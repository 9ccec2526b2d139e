//! Formats with blocks of 32: sixteen rows times four columns, over all of k in one call.
//!
//! The bound of each is beside the micro-kernels in assembly, `asm/x86_64/gemm_16x4_avx2.S`.
//!
//! # Weights of eight bits
//! Two products of weights and activations of eight bits fit 16 bits, as [`bounds`](crate::kernels::qdot) proves of magnitudes of
//! weights and activations with the weight's sign. To change a sign takes `vpsignb`, which on Zen 5 has but two pipes, one of which
//! multiplies. `x xor -1 = -x - 1` takes any pipe; then, with `m` = -1 where `w` is negative and else 0,
//!
//! ```text
//! Σ w·x = Σ |w|·(x xor m) + Σ_{w<0} |w|
//! ```
//!
//! where the last sum belongs to the rows, and is made when these are unpacked. `x xor m` is -128 at least, and |w| is 128
//! where `w` is negative only, so that two products are `-2·128·128 = -2¹⁵` at least, and `2·127·127` or `2·128·126` at most.
//!
//! # Loops
//! The contract wants eight sums for each element, which take turns: more than there are registers. A micro-kernel keeps
//! them in memory, a [`Tile`] in the first-level cache, and each block costs a load and a store, which nothing waits for, beside
//! its 20 operations or more. Taking all blocks of a lane before those of the next would need neither, but reads every second line
//! of the columns eight times.
//!
//! With two registers of rows for each broadcast, 48 loads serve 64 multiplications, so that activations are read as they are:
//! nothing is laid out for [`NR`](super::super::NR) columns, and rows need not be many to share it. So panels hold few rows and all of
//! k, and the loops are: rows, whose panels fit [`PANELS`]; columns, four at a time; tiles of sixteen rows; blocks. Where
//! k is too long for that, some columns at a time go through it in parts, and their tiles wait in memory. Packed, a panel has
//! all of k, and no part is too long.

mod micro;
mod unpack;

use core::arch::x86_64::*;

use super::super::packed::{Packing, Packings, Rows, elements, elements_mut};
use super::super::{Gemm, Gemms, Layout, MR, Workspace};
use super::unpack::transposed;
use super::{GROUP, Intrinsics};
use crate::formats::{ActBlock, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0};
use crate::kernels::gemv::fetch;
use crate::kernels::sgemm::Line;
use crate::kernels::sibling::sibling;
pub use unpack::Interleave;

/// Rows of a tile: two registers.
const ROWS: usize = 2 * MR;
/// Columns of a tile: eight registers of sums leave eight for weights, activations and products.
const COLUMNS: usize = 4;
/// Registers of panels: 320 KiB, sixteen rows of 9,088 values of Q8_0.
const PANELS: usize = 10 << 10;
/// Registers of panels that several tiles share: what stays in a second-level cache of 256 KiB beside the columns.
const SHARED: usize = 4 << 10;
/// Tiles that wait where k comes in parts. Weights are then unpacked for each 64 columns: 11% of the time of Q8_0.
const WAITING: usize = 16;

/// Of each lane: element `2 c + p` belongs to column `c` and the eight rows of panel `p`. The other eight are to spare.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Tile([[[f32; MR]; 2 * 2 * COLUMNS]; 8]);

impl Tile {
    fn clear(&mut self) {
        for lane in &mut self.0 {
            lane[..2 * COLUMNS].copy_from_slice(&[[0.0; MR]; 2 * COLUMNS]);
        }
    }
}

/// How a [`Workspace`] is laid out.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Space {
    panels: [[u8; 32]; PANELS],
    tiles: [Tile; WAITING],
}

// SAFETY: numbers all through.
unsafe impl Layout for Space {}
// SAFETY: numbers.
unsafe impl Layout for [u8; 32] {}

/// The siblings of these formats.
pub const fn gemms(of_super_blocks: Gemms) -> Gemms {
    Gemms {
        q4_0: Some(sibling!(gemm::<BlockQ4_0, Intrinsics> as Gemm)),
        q4_1: Some(sibling!(gemm::<BlockQ4_1, Intrinsics> as Gemm)),
        q5_0: Some(sibling!(gemm::<BlockQ5_0, Intrinsics> as Gemm)),
        q5_1: Some(sibling!(gemm::<BlockQ5_1, Intrinsics> as Gemm)),
        q8_0: Some(sibling!(gemm::<BlockQ8_0, Intrinsics> as Gemm)),
        ..of_super_blocks
    }
}

/// The packings of these formats.
pub const fn packings(of_super_blocks: Packings) -> Packings {
    Packings {
        q4_0: Some(sibling!(packing::<BlockQ4_0, Intrinsics>())),
        q4_1: Some(sibling!(packing::<BlockQ4_1, Intrinsics>())),
        q5_0: Some(sibling!(packing::<BlockQ5_0, Intrinsics>())),
        q5_1: Some(sibling!(packing::<BlockQ5_1, Intrinsics>())),
        q8_0: Some(sibling!(packing::<BlockQ8_0, Intrinsics>())),
        ..of_super_blocks
    }
}

/// Adds `blocks` blocks of two panels, the other `second` bytes behind the first, times one or [`COLUMNS`] columns, `stride`
/// bytes apart, to the lanes of a tile. The first block belongs to lane 0.
///
/// # Safety
/// Both panels and each column hold so many blocks; the CPU has AVX2, FMA and F16C.
pub type Micro = unsafe extern "sysv64" fn(
    w: *const [u8; 32],
    second: usize,
    x: *const ActBlock,
    stride: usize,
    tile: *mut Tile,
    blocks: usize,
);

/// Micro-kernels of a format.
pub trait Micros<B> {
    const ONE: Micro;
    const FOUR: Micro;
}

impl<B: Interleave> Micros<B> for Intrinsics {
    const ONE: Micro = micro::add::<B, 1>;
    const FOUR: Micro = micro::add::<B, COLUMNS>;
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn gemm<B: Interleave, M: Micros<B>>(
    w: &[u8],
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let w = B::slice(w);
    let per_row = w.len() / (out.len() / (x.len() / blocks));
    product::<B, M>(Rows::Blocks(w), per_row, x, blocks, space, out);
}

pub const fn packing<B: Interleave, M: Micros<B>>() -> Packing {
    const { assert!(size_of::<[[u8; 32]; GROUP]>().is_multiple_of(size_of::<Line>())) };
    Packing {
        lines: |per_row| {
            per_row * B::REGISTERS * (size_of::<[[u8; 32]; GROUP]>() / size_of::<Line>())
        },
        pack: pack::<B>,
        gemm: gemm_packed::<B, M>,
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn pack<B: Interleave>(w: &[u8], per_row: usize, out: &mut [Line]) {
    let w = B::slice(w);
    let last = w.len() / per_row - 1;
    let panels = elements_mut::<[u8; 32]>(out).chunks_exact_mut(per_row * B::REGISTERS);
    for (p, panel) in panels.enumerate() {
        let row = |r: usize| (MR * p + r).min(last);
        interleave(core::array::from_fn(|r| &w[row(r) * per_row..][..per_row]), panel);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn gemm_packed<B: Interleave, M: Micros<B>>(
    w: &[Line],
    per_row: usize,
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    product::<B, M>(Rows::Panels(elements(w)), per_row, x, blocks, space, out);
}

/// The loops, for rows of `k` blocks.
#[target_feature(enable = "avx2,fma,f16c")]
fn product<B: Interleave, M: Micros<B>>(
    w: Rows<'_, B, [u8; 32]>,
    k: usize,
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let Space { panels: unpacked, tiles } = space.layout();
    let columns = x.len() / blocks;
    let rows = out.len() / columns;
    // Blocks of a tile that fit, in whole turns of the lanes.
    let part = match w {
        Rows::Blocks(_) => PANELS / (2 * B::REGISTERS) / 8 * 8,
        Rows::Panels(_) => k.next_multiple_of(8),
    };
    let (shared, waiting) =
        if k <= part { ((SHARED / (2 * B::REGISTERS * k)).max(1), 1) } else { (1, WAITING) };
    // The last four columns may be among those before: they become what they are.
    let (micro, n) = if columns < COLUMNS { (M::ONE, 1) } else { (M::FOUR, COLUMNS) };
    let groups = columns.div_ceil(n);
    for top in (0..rows).step_by(shared * ROWS) {
        let bottom = rows.min(top + shared * ROWS);
        for first in (0..groups).step_by(waiting) {
            for start in (0..k).step_by(part) {
                let count = part.min(k - start);
                // From panel to panel.
                let (panels, panel) = match w {
                    Rows::Blocks(w) => {
                        let panel = count * B::REGISTERS;
                        if first == 0 || k > part {
                            let rows = w[top * k..bottom * k].chunks_exact(MR * k);
                            for (w, panel) in rows.zip(unpacked.chunks_exact_mut(panel)) {
                                let row = |r: usize| &w[r * k + start..][..count];
                                interleave(core::array::from_fn(row), panel);
                            }
                        }
                        (&unpacked[..], panel)
                    }
                    Rows::Panels(w) => (&w[top / MR * k * B::REGISTERS..], k * B::REGISTERS),
                };
                for (group, tile) in (first..groups).zip(&mut tiles[..waiting]) {
                    let column = (n * group).min(columns - n);
                    for (r, row) in (top..bottom).step_by(ROWS).enumerate() {
                        if start == 0 {
                            tile.clear();
                        }
                        let panels = &panels[2 * r * panel..];
                        // Of the last eight rows, the tile has both.
                        let both = row + ROWS <= bottom;
                        let second = if both { 32 * panel } else { 0 };
                        let x = &x[column * blocks + start / 8..(column + n) * blocks];
                        debug_assert!(panels.len() >= count * B::REGISTERS + second / 32);
                        debug_assert!(x.len() >= (n - 1) * blocks + count.div_ceil(8));
                        if start + count == k {
                            // Results go where nothing was read: stores would wait there, and those behind them.
                            let line = out.as_ptr().wrapping_add(column * rows + row);
                            (0..n).for_each(|c| fetch(line.wrapping_add(c * rows).cast(), 1));
                        }
                        // SAFETY: the panels hold `count` blocks of each row, the columns, `blocks` apart, as many; the
                        // features are enabled.
                        unsafe {
                            let stride = blocks * size_of::<ActBlock>();
                            micro(panels.as_ptr(), second, x.as_ptr(), stride, tile, count);
                        }
                        if start + count == k {
                            let out = &mut out[column * rows + row..];
                            fold(tile, n, 1 + usize::from(both), rows, out);
                        }
                    }
                }
            }
        }
    }
}

/// The contract's sums of the lanes of `n` columns and one or two panels, to their places, columns `stride` apart.
#[target_feature(enable = "avx2")]
fn fold(tile: &Tile, n: usize, panels: usize, stride: usize, out: &mut [f32]) {
    for (c, out) in out.chunks_mut(stride).enumerate().take(n) {
        for (p, out) in out.as_chunks_mut::<MR>().0.iter_mut().enumerate().take(panels) {
            // SAFETY: an element holds eight numbers.
            let lane = |b: usize| unsafe { _mm256_loadu_ps(tile.0[b][2 * c + p].as_ptr()) };
            let pair = |b: usize| _mm256_add_ps(lane(b), lane(b + 1));
            let sum =
                _mm256_add_ps(_mm256_add_ps(pair(0), pair(2)), _mm256_add_ps(pair(4), pair(6)));
            // SAFETY: the array holds eight numbers.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
}

/// Unpacks blocks of eight rows.
#[target_feature(enable = "avx2,fma,f16c")]
fn interleave<B: Interleave>(w: [&[B]; MR], panel: &mut [[u8; 32]]) {
    for (b, panel) in panel.chunks_exact_mut(B::REGISTERS).enumerate() {
        let w = w.map(|row| &row[b]);
        // SAFETY: the features are enabled.
        let quants = transposed(w.map(|w| unsafe { w.quants() }));
        let (quads, scales) = panel.split_at_mut(B::QUANTS);
        if B::SIGNED {
            let (masks, magnitudes) = quads.split_at_mut(8);
            let mut negative = _mm256_setzero_si256();
            for (i, quants) in quants.into_iter().enumerate() {
                let mask = _mm256_cmpgt_epi8(_mm256_setzero_si256(), quants);
                let magnitude = _mm256_abs_epi8(quants);
                store(mask, &mut masks[i]);
                store(magnitude, &mut magnitudes[i]);
                let pairs = _mm256_and_si256(magnitude, mask);
                let pairs = _mm256_maddubs_epi16(pairs, _mm256_set1_epi8(1));
                negative = _mm256_add_epi16(negative, pairs);
            }
            store(_mm256_madd_epi16(negative, _mm256_set1_epi16(1)), &mut scales[1]);
        } else {
            for (quants, quad) in quants.into_iter().zip(quads) {
                store(quants, quad);
            }
        }
        store(scales_of(w.map(B::d)), &mut scales[0]);
        if B::HAS_MINS {
            store(scales_of(w.map(B::m)), &mut scales[1]);
        }
    }
}

/// Eight f16 as f32.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn scales_of(scales: [[u8; 2]; MR]) -> __m256i {
    // SAFETY: the array holds 16 bytes.
    let scales = unsafe { _mm_loadu_si128(scales.as_ptr().cast()) };
    _mm256_castps_si256(_mm256_cvtph_ps(scales))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(register: __m256i, out: &mut [u8; 32]) {
    // SAFETY: the array holds 32 bytes.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), register) };
}
