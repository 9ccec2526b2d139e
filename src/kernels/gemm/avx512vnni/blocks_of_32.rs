//! Formats with blocks of 32.
//!
//! The contract rounds after each block, in one of eight lanes, which are added at the end of the row. So the blocks of
//! a lane are multiplied one behind the other, those of lane 0 first, and the registers that hold sums of a super-block
//! elsewhere hold a lane of each element. Rows are unpacked whole where they have at most [`CHUNK`] super-blocks; of longer
//! ones, so many at a time, and the lanes of [`GROUPS`] groups of columns wait in memory meanwhile.
//!
//! # Bound
//! A block of 16 rows and a column takes 8 `vpdpbusd` and two operations of f32 that multiply, with minimums four: on two
//! multipliers 102.4 or 85.3 products a cycle.

use core::arch::x86_64::*;

use super::super::packed::{Packing, Rows, elements, elements_mut};
use super::super::{Layout, NR, ROWS, Workspace};
use super::micro::{floats, load};
use super::unpack::{and, low_4, store_halves, store_quants, words};
use super::{Intrinsics, LANES};
use crate::formats::{ActBlock, Block, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0};
use crate::kernels::sgemm::Line;

/// Super-blocks whose rows are unpacked together: 120 KiB, beside the lanes.
const CHUNK: usize = 12;
/// Groups of columns whose lanes wait in memory: 96 KiB. To unpack a chunk of 32 rows costs about what 5 of 96 columns
/// cost to multiply with it.
const GROUPS: usize = 16;

/// A block of 32 rows: of everything, the first 16 rows, then the others.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Blocks {
    /// Element `i`: values `4 i` to `4 i + 3` of each row, unsigned.
    quants: [[[u8; 4 * LANES]; 2]; 8],
    d: [[f32; LANES]; 2],
    m: [[f32; LANES]; 2],
}

/// Of each super-block of a column: for each of its blocks, where its sums begin (what is added to an f32, where there are
/// minimums), and the scale.
pub type Sides = [[[u32; 2]; 8]; CHUNK];

/// A lane of the elements of a tile.
pub type Lanes = [[f32; ROWS]; NR];

/// How a [`Workspace`] is laid out.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Space {
    /// Of one panel or several: the blocks of lane 0, then those of the others.
    blocks: [Blocks; 8 * CHUNK],
    sides: [Sides; NR],
    lanes: [[Lanes; 8]; GROUPS],
}

// SAFETY: numbers all through.
unsafe impl Layout for Space {}
// SAFETY: numbers all through.
unsafe impl Layout for Blocks {}

/// Adds `count / 2` super-blocks of a panel and some columns, `step` bytes from each to the next, to the eight lanes of their
/// elements; these begin at 0 where `count` is odd.
///
/// # Safety
/// There are as many super-blocks of the panel, of `x` and of `sides`, at least one; the CPU has AVX-512 F, BW, DQ, VL and VNNI.
pub type Micro = unsafe extern "sysv64" fn(
    w: *const Blocks,
    x: *const ActBlock,
    step: usize,
    sides: *const Sides,
    lanes: *mut Lanes,
    count: usize,
);

/// Micro-kernels of a format, for `i + 1` columns.
pub trait Micros<B> {
    const MICROS: [Micro; NR];
}

impl<B: Interleave32> Micros<B> for Intrinsics {
    const MICROS: [Micro; NR] =
        [add::<B, 1>, add::<B, 2>, add::<B, 3>, add::<B, 4>, add::<B, 5>, add::<B, 6>];
}

/// A format whose rows can be interleaved.
pub trait Interleave32: Block {
    /// Whether a multiple of the sum of activations is added in f32.
    const HAS_MINS: bool;
    /// What quants are stored above their weights.
    const OFFSET: i16;

    /// Writes half of a panel's block.
    ///
    /// # Safety
    /// The caller enables AVX2, F16C and AVX-512 F, BW, DQ and VL.
    unsafe fn interleave(rows: [&Self; LANES], half: usize, out: &mut Blocks);
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub fn gemm<B: Interleave32, M: Micros<B>>(
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

pub const fn packing<B: Interleave32, M: Micros<B>>() -> Packing {
    Packing {
        lines: |per_row| 8 * per_row.div_ceil(8) * (size_of::<Blocks>() / size_of::<Line>()),
        pack: pack::<B>,
        gemm: gemm_packed::<B, M>,
    }
}

/// Of 32 rows, the super-blocks that are multiplied together, one such [`CHUNK`] behind the other.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn pack<B: Interleave32>(w: &[u8], per_row: usize, out: &mut [Line]) {
    let runs = elements_mut::<Blocks>(out).chunks_exact_mut(per_row.next_multiple_of(8));
    for (w, run) in B::slice(w).chunks(ROWS * per_row).zip(runs) {
        for (i, panel) in run.chunks_mut(8 * CHUNK).enumerate() {
            interleave(w, per_row, CHUNK * i, panel);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn gemm_packed<B: Interleave32, M: Micros<B>>(
    w: &[Line],
    per_row: usize,
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    product::<B, M>(Rows::Panels(elements(w)), per_row, x, blocks, space, out);
}

/// The loops.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn product<B: Interleave32, M: Micros<B>>(
    w: Rows<'_, B, Blocks>,
    per_row: usize,
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let rows = out.len() / (x.len() / blocks);
    let space: &mut Space = space.layout();
    // Of short rows, several panels share what is made of the columns.
    let whole = blocks <= CHUNK;
    let (panels, columns) =
        if whole { (CHUNK / blocks, x.len() / blocks) } else { (1, GROUPS * NR) };
    for top in (0..rows).step_by(panels * ROWS) {
        let bottom = rows.min(top + panels * ROWS);
        for (h, x) in x.chunks(columns * blocks).enumerate() {
            for first in (0..blocks).step_by(CHUNK) {
                let count = CHUNK.min(blocks - first);
                if let Rows::Blocks(w) = w {
                    let w = &w[top * per_row..bottom * per_row];
                    for (p, w) in w.chunks(ROWS * per_row).enumerate() {
                        let panel = &mut space.blocks[8 * count * p..][..8 * count];
                        interleave(w, per_row, first, panel);
                    }
                }
                for (j, x) in x.chunks(NR * blocks).enumerate() {
                    let n = x.len() / blocks;
                    for (sides, x) in space.sides.iter_mut().zip(x.chunks_exact(blocks)) {
                        for (sides, x) in sides.iter_mut().zip(&x[first..first + count]) {
                            write_sides::<B>(x, sides);
                        }
                    }
                    let lanes = &mut space.lanes[if whole { 0 } else { j }];
                    for (p, row) in (top..bottom).step_by(ROWS).enumerate() {
                        let panel = match w {
                            Rows::Blocks(_) => &space.blocks[8 * count * p..],
                            Rows::Panels(w) => &w[8 * (row / ROWS * blocks + first)..],
                        };
                        let panel = &panel[..8 * count];
                        // SAFETY: panel, columns and sides have `count` super-blocks; the features are enabled.
                        unsafe {
                            M::MICROS[n - 1](
                                panel.as_ptr(),
                                x[first..].as_ptr(),
                                blocks * size_of::<ActBlock>(),
                                space.sides.as_ptr(),
                                lanes.as_mut_ptr(),
                                2 * count + usize::from(first == 0),
                            );
                        }
                        if first + count == blocks {
                            let part = ROWS.min(bottom - row);
                            let at = (columns * h + NR * j) * rows + row;
                            for (c, out) in out[at..].chunks_mut(rows).take(n).enumerate() {
                                fold(lanes, c, &mut out[..part]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Unpacks the super-blocks from `first` on that fill `panel`, of at most 32 rows; the last stands for those that are not
/// there, and zeros for blocks that rows lack.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn interleave<B: Interleave32>(w: &[B], per_row: usize, first: usize, panel: &mut [Blocks]) {
    let last = w.len() / per_row - 1;
    let count = panel.len() / 8;
    for s in 0..count {
        for lane in 0..8 {
            let (out, b) = (&mut panel[count * lane + s], 8 * (first + s) + lane);
            for half in 0..2 {
                if b < per_row {
                    let row = |r: usize| &w[(LANES * half + r).min(last) * per_row + b];
                    // SAFETY: the features are enabled.
                    unsafe { B::interleave(core::array::from_fn(row), half, out) };
                } else {
                    out.quants.iter_mut().for_each(|q| q[half] = [0; 4 * LANES]);
                    (out.d[half], out.m[half]) = ([0.0; LANES], [0.0; LANES]);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn write_sides<B: Interleave32>(x: &ActBlock, out: &mut [[u32; 2]; 8]) {
    // SAFETY: 32 bytes of sums, 32 of scales, 64 of the result.
    unsafe {
        let sums = _mm256_loadu_si256(x.bsums.as_ptr().cast());
        let first = if B::HAS_MINS {
            let sums = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
            _mm256_castps_si256(_mm256_cvtepi32_ps(sums))
        } else {
            _mm256_madd_epi16(sums, _mm256_set1_epi16(-B::OFFSET))
        };
        let d = _mm256_loadu_si256(x.d.as_ptr().cast());
        let (first, d) = (_mm512_cvtepu32_epi64(first), _mm512_cvtepu32_epi64(d));
        let both = _mm512_or_si512(first, _mm512_slli_epi64::<32>(d));
        _mm512_storeu_si512(out.as_mut_ptr().cast(), both);
    }
}

/// Writes the contract's sums of the eight lanes of a column.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold(lanes: &[Lanes; 8], c: usize, out: &mut [f32]) {
    for (half, out) in out.chunks_mut(LANES).enumerate() {
        let lane = |l: usize| floats(&lanes[l][c].as_chunks::<LANES>().0[half]);
        let pair = |l: usize| _mm512_add_ps(lane(l), lane(l + 1));
        let four = |l: usize| _mm512_add_ps(pair(l), pair(l + 2));
        let sum = _mm512_add_ps(four(0), four(4));
        // SAFETY: the mask has a bit for each element.
        unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), u16::MAX >> (LANES - out.len()), sum) };
    }
}

/// The micro-kernel in intrinsics.
///
/// # Safety
/// As for [`Micro`].
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe extern "sysv64" fn add<B: Interleave32, const N: usize>(
    w: *const Blocks,
    x: *const ActBlock,
    step: usize,
    sides: *const Sides,
    lanes: *mut Lanes,
    count: usize,
) {
    let (is_first, count) = (count % 2 == 1, count / 2);
    // SAFETY: the caller promises so many.
    let (mut w, sides, lanes, x) = unsafe {
        let x: [&[ActBlock]; N] =
            core::array::from_fn(|c| core::slice::from_raw_parts(x.byte_add(c * step), count));
        let w = core::slice::from_raw_parts(w, 8 * count);
        (w.iter(), &*sides.cast::<[Sides; N]>(), &mut *lanes.cast::<[Lanes; 8]>(), x)
    };
    for (l, lane) in lanes.iter_mut().enumerate() {
        let mut acc = [[_mm512_setzero_ps(); 2]; N];
        if !is_first {
            for (acc, lane) in acc.iter_mut().zip(&*lane) {
                let [low, high] = [0, 1].map(|half| floats(&lane.as_chunks::<LANES>().0[half]));
                *acc = [low, high];
            }
        }
        for s in 0..count {
            let Some(w) = w.next() else { return };
            let mut sum: [_; N] = core::array::from_fn(|c| {
                let first = if B::HAS_MINS { 0 } else { sides[c][s][l][0] };
                [_mm512_set1_epi32(first as i32); 2]
            });
            for (g, quants) in w.quants.iter().enumerate() {
                let quants = [load(&quants[0]), load(&quants[1])];
                for (x, sum) in x.iter().zip(&mut sum) {
                    let four = x[s].qs.as_chunks::<4>().0[8 * l + g].map(|q| q as u8);
                    let four = _mm512_set1_epi32(i32::from_le_bytes(four));
                    sum[0] = _mm512_dpbusd_epi32(sum[0], quants[0], four);
                    sum[1] = _mm512_dpbusd_epi32(sum[1], quants[1], four);
                }
            }
            for (c, acc) in acc.iter_mut().enumerate() {
                let [first, dx] = sides[c][s][l].map(|bits| _mm512_set1_ps(f32::from_bits(bits)));
                for (half, acc) in acc.iter_mut().enumerate() {
                    let d = _mm512_mul_ps(floats(&w.d[half]), dx);
                    *acc = _mm512_fmadd_ps(d, _mm512_cvtepi32_ps(sum[c][half]), *acc);
                    if B::HAS_MINS {
                        let m = _mm512_mul_ps(floats(&w.m[half]), dx);
                        *acc = _mm512_fmadd_ps(m, first, *acc);
                    }
                }
            }
        }
        for (acc, lane) in acc.into_iter().zip(lane) {
            for (acc, lane) in acc.into_iter().zip(lane.as_chunks_mut::<LANES>().0) {
                // SAFETY: the array holds sixteen numbers.
                unsafe { _mm512_storeu_ps(lane.as_mut_ptr(), acc) };
            }
        }
    }
}

/// Four bytes of nibbles of each row: elements `4 i` to `4 i + 3`, and 16 further.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store_nibbles(qs: [__m512i; 4], half: usize, out: &mut Blocks) {
    for (i, q) in qs.into_iter().enumerate() {
        store_quants(low_4(q), &mut out.quants[i][half]);
        store_quants(low_4(_mm512_srli_epi32::<4>(q)), &mut out.quants[4 + i][half]);
    }
}

/// As [`store_nibbles`], with the fifth bits: bit `i` of `qh` is that of element `i`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store_fives(qs: [__m512i; 4], qh: __m512i, half: usize, out: &mut Blocks) {
    for (g, quants) in out.quants.iter_mut().enumerate() {
        let q = if g < 4 { qs[g] } else { _mm512_srli_epi32::<4>(qs[g - 4]) };
        let four = and(_mm512_srlv_epi32(qh, _mm512_set1_epi32(4 * g as i32)), 15);
        // Bit `b` moves to bit 4 of byte `b`; no two meet, so nothing carries.
        let moved = _mm512_mullo_epi32(four, _mm512_set1_epi32(0x0204_0810));
        let q = _mm512_or_si512(low_4(q), and(moved, 0x1010_1010));
        store_quants(q, &mut quants[half]);
    }
}

impl Interleave32 for BlockQ4_0 {
    const HAS_MINS: bool = false;
    const OFFSET: i16 = 8;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, out: &mut Blocks) {
        store_halves(words::<_, 0>(&rows)[0], &mut out.d[half]);
        store_nibbles(words::<_, 2>(&rows), half, out);
    }
}

impl Interleave32 for BlockQ4_1 {
    const HAS_MINS: bool = true;
    const OFFSET: i16 = 0;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, out: &mut Blocks) {
        let [head, ..] = words::<_, 0>(&rows);
        store_halves(head, &mut out.d[half]);
        store_halves(_mm512_srli_epi32::<16>(head), &mut out.m[half]);
        store_nibbles(words::<_, 4>(&rows), half, out);
    }
}

impl Interleave32 for BlockQ5_0 {
    const HAS_MINS: bool = false;
    const OFFSET: i16 = 16;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, out: &mut Blocks) {
        let [head, next, ..] = words::<_, 0>(&rows);
        store_halves(head, &mut out.d[half]);
        let qh = _mm512_or_si512(_mm512_srli_epi32::<16>(head), _mm512_slli_epi32::<16>(next));
        store_fives(words::<_, 6>(&rows), qh, half, out);
    }
}

impl Interleave32 for BlockQ5_1 {
    const HAS_MINS: bool = true;
    const OFFSET: i16 = 0;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, out: &mut Blocks) {
        let [head, qh, ..] = words::<_, 0>(&rows);
        store_halves(head, &mut out.d[half]);
        store_halves(_mm512_srli_epi32::<16>(head), &mut out.m[half]);
        store_fives(words::<_, 8>(&rows), qh, half, out);
    }
}

impl Interleave32 for BlockQ8_0 {
    const HAS_MINS: bool = false;
    const OFFSET: i16 = 128;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, out: &mut Blocks) {
        store_halves(words::<_, 0>(&rows)[0], &mut out.d[half]);
        let quants = [words::<_, 2>(&rows), words::<_, 18>(&rows)];
        for (q, out) in quants.as_flattened().iter().zip(&mut out.quants) {
            let top = _mm512_set1_epi8(-128);
            store_quants(_mm512_xor_si512(*q, top), &mut out[half]);
        }
    }
}
