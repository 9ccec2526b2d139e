//! AVX2.
//!
//! # Bound
//! For 16 values of 8 rows and one column: 4 `vpmaddubsw`, 3 `vpaddw`, 1 `vpmaddwd` by the scales, 1 `vpaddd`. Of these
//! nine, five multiply: on two multipliers 2.5 cycles for 128 products (Zen), on three vector ports 3 (Intel). A super-block
//! takes 16 of these, 8 or 16 more operations for minimums, and 6 in f32, of which 4 multiply: with minimums of 32
//! values 44 cycles for 2048 products on two multipliers, 46.5 a cycle. An offset takes a `vpaddw` more, which any pipe can.
//!
//! # Six bits in 16
//! Only two pairs of products of unsigned 6-bit quants fit 16 bits: `4 · 2 · 63 · 127 > 32767`. But of weights, which lie 32 below,
//! four do, and addition modulo 2^16 does not care in which order it leaves the range and comes back: so four pairs of quants
//! and `-32` times the sum of their activations, which belongs to the column, give the sum of weights.

pub(super) mod blocks_of_32;
mod few;
mod micro;
pub(super) mod unpack;

use core::arch::x86_64::*;

use super::packed::{Packing, Packings, Rows, elements, elements_mut};
use super::{Columns, Gemm, Gemms, Layout, MC, MR, NR, Panel, ROWS, Workspace};
use crate::formats::{ActBlock, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K};
use crate::kernels::gemv::fetch;
use crate::kernels::sgemm::Line;
use crate::kernels::sibling::sibling;
use unpack::{Interleave, byte_pairs, word_pairs};

pub const GEMMS: Gemms = blocks_of_32::gemms(Gemms {
    q2_k: Some(sibling!(gemm::<BlockQ2K, Intrinsics> as Gemm)),
    q3_k: Some(sibling!(gemm::<BlockQ3K, Intrinsics> as Gemm)),
    q4_k: Some(sibling!(gemm::<BlockQ4K, Intrinsics> as Gemm)),
    q5_k: Some(sibling!(gemm::<BlockQ5K, Intrinsics> as Gemm)),
    q6_k: Some(sibling!(gemm::<BlockQ6K, Intrinsics> as Gemm)),
    ..Gemms::NONE
});

pub const PACKINGS: Packings = blocks_of_32::packings(Packings {
    q2_k: Some(sibling!(packing::<BlockQ2K, Intrinsics>())),
    q3_k: Some(sibling!(packing::<BlockQ3K, Intrinsics>())),
    q4_k: Some(sibling!(packing::<BlockQ4K, Intrinsics>())),
    q5_k: Some(sibling!(packing::<BlockQ5K, Intrinsics>())),
    q6_k: Some(sibling!(packing::<BlockQ6K, Intrinsics>())),
    ..Packings::NONE
});

/// Panels of [`ROWS`] rows, which lie together, packed: of each super-block of theirs, one behind the other.
const GROUP: usize = ROWS / MR;

/// How a [`Workspace`] is laid out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Space {
    panels: [Panel; MC / MR],
    columns: Columns,
}

// SAFETY: numbers all through.
unsafe impl Layout for Space {}
// SAFETY: numbers all through.
unsafe impl Layout for Panel {}

/// Adds a super-block of a panel and some columns to their elements of `out`, a column `stride` elements behind the one before.
///
/// # Safety
/// `out` has eight elements of each column; the CPU has AVX2, FMA and F16C.
pub(super) type Micro =
    unsafe extern "sysv64" fn(w: *const Panel, x: *const Columns, out: *mut f32, stride: usize);

/// Micro-kernels of a format, for `i + 1` columns.
pub(super) trait Micros<B> {
    const MICROS: [Micro; NR];
}

/// Written in intrinsics.
pub(super) struct Intrinsics;

impl<B: Interleave> Micros<B> for Intrinsics {
    const MICROS: [Micro; NR] = [
        micro::add::<B, 1>,
        micro::add::<B, 2>,
        micro::add::<B, 3>,
        micro::add::<B, 4>,
        micro::add::<B, 5>,
        micro::add::<B, 6>,
    ];
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn gemm<B: Interleave, M: Micros<B>>(
    w: &[u8],
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let w = B::slice(w);
    if few::suits::<B>(x.len() / blocks, blocks) {
        return few::product::<B>(w, x, blocks, space, out);
    }
    product::<B, M>(Rows::Blocks(w), x, blocks, space, out);
}

pub(super) const fn packing<B: Interleave, M: Micros<B>>() -> Packing {
    Packing {
        lines: |blocks| GROUP * blocks * (size_of::<Panel>() / size_of::<Line>()),
        pack: pack::<B>,
        gemm: gemm_packed::<B, M>,
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn pack<B: Interleave>(w: &[u8], blocks: usize, out: &mut [Line]) {
    let w = B::slice(w);
    let last = w.len() / blocks - 1;
    for (i, panel) in elements_mut::<Panel>(out).iter_mut().enumerate() {
        let (group, k, p) = (i / GROUP / blocks, i / GROUP % blocks, i % GROUP);
        let row = |r: usize| (ROWS * group + MR * p + r).min(last);
        interleave::<B, false>(core::array::from_fn(|r| &w[row(r) * blocks + k]), panel);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn gemm_packed<B: Interleave, M: Micros<B>>(
    w: &[Line],
    _: usize,
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    product::<B, M>(Rows::Panels(elements(w)), x, blocks, space, out);
}

/// The loops. Rows that are packed are one block: their number is the caller's choice.
#[target_feature(enable = "avx2,fma,f16c")]
fn product<B: Interleave, M: Micros<B>>(
    w: Rows<'_, B, Panel>,
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let rows = out.len() / (x.len() / blocks);
    let Space { panels: unpacked, columns } = space.layout();
    out.fill(0.0);
    let is_packed = matches!(w, Rows::Panels(_));
    let block = if is_packed { rows } else { MC };
    for first in (0..rows).step_by(block) {
        let count = block.min(rows - first) / MR;
        for k in 0..blocks {
            // Panels lie in groups, each `step` panels behind the one before.
            let (panels, step) = match w {
                Rows::Blocks(w) => {
                    let w = &w[first * blocks..][..count * MR * blocks];
                    for (p, panel) in unpacked[..count].iter_mut().enumerate() {
                        let (rows, next) = w[p * MR * blocks..].split_at(MR * blocks);
                        for row in next.chunks_exact(blocks).take(MR) {
                            prefetch::<_MM_HINT_T0, _>(&row[k]);
                        }
                        interleave::<B, false>(
                            core::array::from_fn(|r| &rows[r * blocks + k]),
                            panel,
                        );
                        for row in rows.chunks_exact(blocks) {
                            row.get(k + 1).inspect(|next| prefetch::<_MM_HINT_T1, _>(next));
                        }
                    }
                    (&unpacked[..], GROUP)
                }
                Rows::Panels(w) => (&w[first / MR * blocks + GROUP * k..], GROUP * blocks),
            };
            for (j, all) in (0..x.len()).step_by(NR * blocks).map(|start| &x[start..]).enumerate() {
                let x = &all[..all.len().min(NR * blocks)];
                let n = x.len() / blocks;
                let broadcast = match n {
                    1 => broadcast::<B, 1>,
                    2 => broadcast::<B, 2>,
                    3 => broadcast::<B, 3>,
                    4 => broadcast::<B, 4>,
                    5 => broadcast::<B, 5>,
                    _ => broadcast::<B, 6>,
                };
                broadcast(x, blocks, k, columns);
                for column in all[x.len()..].chunks_exact(blocks).take(NR) {
                    prefetch::<_MM_HINT_T0, _>(&column[k]);
                }
                let micro = M::MICROS[n - 1];
                for p in 0..count {
                    if j == 0 && is_packed {
                        fetch_ahead(panels, p, count, step);
                    }
                    let panel = &panels[p / GROUP * step + p % GROUP];
                    let out = &mut out[NR * j * rows + first + MR * p..];
                    debug_assert!(out.len() >= (n - 1) * rows + MR);
                    // SAFETY: eight rows of `n` columns lie in `out`, as their numbers say; the features are enabled.
                    unsafe { micro(panel, columns, out.as_mut_ptr(), rows) };
                }
            }
        }
    }
}

/// Asks for a panel of packed rows that is read soon: the third from `p` on of `count`, or one of those of the next super-block, `GROUP`
/// panels behind. They may come from memory, in runs that are too short for the prefetchers of today.
#[inline]
#[target_feature(enable = "avx2")]
fn fetch_ahead(panels: &[Panel], p: usize, count: usize, step: usize) {
    /// Panels of 2.8 KiB, about [`gemv::AHEAD`](crate::kernels::gemv::AHEAD) in all.
    const AHEAD: usize = 2;
    let p = p + AHEAD;
    let (p, behind) = if p < count { (p, 0) } else { (p - count, GROUP) };
    let panel = panels.as_ptr().wrapping_add(behind + p / GROUP * step + p % GROUP);
    fetch(panel.cast(), size_of::<Panel>());
}

/// Lays out super-block `k` of `N` columns for the micro-kernel of as many.
#[target_feature(enable = "avx2")]
fn broadcast<B: Interleave, const N: usize>(
    x: &[ActBlock],
    blocks: usize,
    k: usize,
    out: &mut Columns,
) {
    let x: [&ActBlock; N] = core::array::from_fn(|c| &x[c * blocks + k]);
    let step = if B::OFFSET == 0 { 4 } else { 5 };
    let (columns, sums) = out.registers.split_at_mut(16 * step * N);
    for (s, out) in columns.chunks_exact_mut(step * N).enumerate() {
        let (quants, starts) = out.split_at_mut(4 * N);
        for (i, out) in quants.as_chunks_mut::<N>().0.iter_mut().enumerate() {
            for (x, out) in x.iter().zip(out) {
                let four = x.qs.as_chunks::<4>().0[4 * s + i].map(|q| q as u8);
                store(_mm256_set1_epi32(i32::from_le_bytes(four)), out);
            }
        }
        for (x, out) in x.iter().zip(starts) {
            store(start(&x.qs.as_chunks::<16>().0[s], B::OFFSET), out);
        }
    }
    if B::OFFSET == 0 {
        let sums = sums.as_chunks_mut::<N>().0.iter_mut().take(128 / B::SHARED);
        for (g, out) in sums.enumerate() {
            for (x, out) in x.iter().zip(out) {
                let two = if B::SHARED == 32 {
                    let [a, b, c, d] = x.bsums.as_chunks::<4>().0[g];
                    // A sum of 32 fits 16 bits: `qdot::bounds`.
                    [a.wrapping_add(b), c.wrapping_add(d)]
                } else {
                    x.bsums.as_chunks::<2>().0[g]
                };
                let pair = i32::from(two[0]) & 0xffff | i32::from(two[1]) << 16;
                store(_mm256_set1_epi32(pair), out);
            }
        }
    }
    for (dx, x) in out.dx.iter_mut().zip(x) {
        *dx = x.d[0];
    }
}

/// What `offset` takes from each sum of 16 bits of a register: those of bytes 0 and 1, and of 2 and 3, of each four of the
/// values.
#[inline]
#[target_feature(enable = "avx2")]
fn start(x: &[i8; 16], offset: i16) -> __m256i {
    // SAFETY: the array holds 16 bytes.
    let x = unsafe { _mm_loadu_si128(x.as_ptr().cast()) };
    let twos = _mm_maddubs_epi16(_mm_set1_epi8(1), x);
    let fours = _mm_add_epi16(twos, _mm_shuffle_epi32::<0b01_00_11_10>(twos));
    let eights = _mm_add_epi16(fours, _mm_shuffle_epi32::<0b10_11_00_01>(fours));
    let start = _mm_mullo_epi16(eights, _mm_set1_epi16(-offset));
    _mm256_set_m128i(start, start)
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(register: __m256i, out: &mut [u8; 32]) {
    // SAFETY: the array holds 32 bytes.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), register) };
}

/// Unpacks a super-block of eight rows. Minimums are for pairs of the sums of activations: sums of 16, or of all values that share a minimum.
#[target_feature(enable = "avx2,fma,f16c")]
fn interleave<B: Interleave, const SUMS_OF_16: bool>(w: [&B; MR], panel: &mut Panel) {
    // SAFETY: AVX2 is enabled.
    unsafe { B::quants(w, &mut panel.quants) };
    let factors = w.map(B::factors);
    let [scales, mins] = [0, 1].map(|i| factors.map(|factors| factors[i]));
    for part in 0..32 / B::SHARED {
        let (scales, mins) = (byte_pairs(&scales, part), byte_pairs(&mins, part));
        let outs = panel.scales.as_chunks_mut::<2>().0.iter_mut().enumerate();
        for (i, scale_out) in outs.skip(4 * part).take(4) {
            for (out, first) in scale_out.iter_mut().zip([0, 8]) {
                store_words(word_pairs(scales[i % 4], first, first), out);
            }
            if B::OFFSET == 0 && SUMS_OF_16 && B::SHARED == 32 {
                for (out, first) in panel.mins.as_chunks_mut::<2>().0[i].iter_mut().zip([0, 8]) {
                    store_words(word_pairs(mins[i % 4], first, first), out);
                }
            } else if B::OFFSET == 0 {
                store_words(word_pairs(mins[i % 4], 0, 8), &mut panel.mins[i]);
            }
        }
    }
    let halves = w.map(B::halves);
    for (i, out) in [&mut panel.d, &mut panel.dmin].into_iter().enumerate() {
        let halves = halves.map(|halves| halves[i]);
        // SAFETY: the arrays hold eight halves and eight floats.
        unsafe {
            let halves = _mm_loadu_si128(halves.as_ptr().cast());
            _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(halves));
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_words(register: __m256i, out: &mut [u32; MR]) {
    // SAFETY: the array holds 32 bytes.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), register) };
}

/// Asks for a block that is read later: rows and columns lie apart, which no prefetcher of today foresees.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch<const HINT: i32, B>(block: &B) {
    let start = core::ptr::from_ref(block).cast::<i8>();
    for line in (0..size_of::<B>()).step_by(64) {
        _mm_prefetch::<HINT>(start.wrapping_add(line));
    }
}
