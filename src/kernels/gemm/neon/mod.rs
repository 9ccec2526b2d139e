//! Advanced SIMD with dotprod or i8mm. The micro-kernels are assembly, `asm/aarch64/gemm_8x6.S`, as the intrinsics of both
//! extensions are not stable; here are the loops, and what lays out their operands.
//!
//! `sdot` multiplies four values of each of four rows by four of one column, which it takes from any quarter of a register,
//! so that nothing is broadcast; `smmla` multiplies eight values of two rows by eight of two columns. For either, eight
//! values of eight rows are four registers, and eight of six columns three: what 24 `sdot` take, or 12 `smmla`, whose sums
//! are twelve registers. With twelve more for the sums of the super-block, 31 of 32 are in use. Columns are packed for
//! all panels of [`MC`] rows.
//!
//! # Bound
//! Slots of vector operations for a super-block of four rows and a column, 1024 products (with `smmla`, of two rows and two
//! columns): 64 `sdot` or 32 `smmla`; an `mla` for each scale, of two slots on Neoverse N1; for minimums five or nine, with
//! `smmla` three or five; two or three that zero sums; four of f32, or eight with minimums, as a conversion takes two; after
//! `smmla` one or two that bring lanes in order. Products a cycle on two pipes of N1, and on four (Neoverse V1):
//!
//! | format | `sdot`: slots, of N1 | two pipes | four | `smmla`: slots | four |
//! |---|---:|---:|---:|---:|---:|
//! | Q4_K, Q5_K | 88, 96 | 21.3 | 46.5 | 56 | 73.1 |
//! | Q6_K | 86, 102 | 20.1 | 47.6 | 55 | 74.5 |
//! | Q2_K | 83, 83 | 24.7 | 49.3 | 49 | 83.6 |
//! | Q3_K | 69, 69 | 29.7 | 59.4 | 38 | 107.8 |

pub(super) mod blocks_of_32;

use core::arch::aarch64::*;
use core::arch::asm;

use super::{Layout, MC, MR, NR, Workspace};
use crate::formats::{ActBlock, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K};
use crate::kernels::qdot::neon::super_blocks::SuperBlock;

/// Pairs of columns of a micro-kernel, at most.
pub(super) const PAIRS: usize = NR / 2;

/// Eight values of each of eight rows.
type RowOct = [[i8; 16]; 4];
/// Eight values of each of six columns: those of two columns in an element.
type ColumnOct = [[i8; 16]; PAIRS];

/// A super-block of eight rows, in the [`Order`] of the level.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Panel {
    quants: [RowOct; 32],
    /// Of each run of values that share one: the scale of each row less that of the run behind, which the last has not.
    scales: [[i32; MR]; 32],
    /// The minimums of runs, as other octs.
    mins: [RowOct; 2],
    d: [f32; MR],
    dmin: [f32; MR],
}

/// A super-block of six columns, or of fewer.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Columns {
    octs: [ColumnOct; 32],
    /// The upper bytes of sums of runs, then the lower ones: a sum is 256 times the former and the latter, both signed.
    sums: [[ColumnOct; 2]; 2],
    /// The scales of each two columns, twice.
    dx: [[f32; 4]; PAIRS],
}

/// How a [`Workspace`] is laid out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Space {
    panels: [Panel; MC / MR],
    columns: Columns,
    /// Elements of columns of which the last has no second.
    edge: [[f32; MR]; NR],
}

// SAFETY: numbers all through.
unsafe impl Layout for Space {}

/// Adds a super-block of a panel and some columns to their elements of `out`, a column `stride` elements behind the one before.
///
/// # Safety
/// `out` has eight elements of each column; the CPU has the features of the level.
pub(super) type Micro =
    unsafe extern "C" fn(w: *const Panel, x: *const Columns, out: *mut f32, stride: usize);

/// How the rows of a panel share registers at a level.
pub(super) trait Order {
    /// How often a number of a row stands in its place.
    const TIMES: usize;

    /// Sixteen values of eight rows: the registers of two octs.
    fn octs(rows: [int8x16_t; MR]) -> [[int8x16_t; 4]; 2];

    /// The sums of a pair of columns: of the first, rows 0 to 3 and 4 to 7, then of the second.
    fn sums(pair: [float32x4_t; 4]) -> [[float32x4_t; 2]; 2];
}

/// Micro-kernels of a format, for `2 (i + 1)` columns.
pub(super) trait Micros<B>: Order {
    const MICROS: [Micro; PAIRS];
}

/// A format whose rows can be interleaved.
pub(super) trait Interleave: SuperBlock {
    /// Whether minus a weight times its scale fits a byte, and is what is interleaved; then `d` changes its sign, and
    /// there are no other scales.
    const FLAT: bool;
}

impl Interleave for BlockQ4K {
    const FLAT: bool = false;
}

impl Interleave for BlockQ5K {
    const FLAT: bool = false;
}

impl Interleave for BlockQ6K {
    const FLAT: bool = false;
}

impl Interleave for BlockQ2K {
    const FLAT: bool = true;
}

impl Interleave for BlockQ3K {
    const FLAT: bool = true;
}

const _: () = {
    // Q2_K: quants to 3, scales to 15. Q3_K: quants from -4 to 3, scales from -32 to 31; without the minus, 128 would not fit.
    assert!(-(3 * 15) >= i8::MIN as i32);
    assert!(-(-4 * 31) <= i8::MAX as i32 && -(-4 * -32) >= i8::MIN as i32);
    assert!(-(3 * 31) >= i8::MIN as i32 && -(3 * -32) <= i8::MAX as i32);
};

#[target_feature(enable = "neon")]
pub(super) fn gemm<B: Interleave, M: Micros<B>>(
    w: &[u8],
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let w = B::slice(w);
    let rows = w.len().checked_div(blocks).unwrap_or(0);
    let Space { panels, columns, edge } = space.layout();
    out.fill(0.0);
    for (i, w) in w.chunks(MC * blocks).enumerate() {
        for k in 0..blocks {
            let panels = &mut panels[..w.len() / (MR * blocks)];
            for (panel, w) in panels.iter_mut().zip(w.chunks_exact(MR * blocks)) {
                interleave::<B, M>(core::array::from_fn(|r| &w[r * blocks + k]), panel);
                for row in w.chunks_exact(blocks) {
                    row.get(k + 1).inspect(|next| prefetch(next));
                }
            }
            for (j, x) in x.chunks(NR * blocks).enumerate() {
                let n = x.len() / blocks;
                pack::<B>(x, blocks, k, columns);
                let micro = M::MICROS[n.div_ceil(2) - 1];
                for (p, panel) in panels.iter().enumerate() {
                    let out = &mut out[NR * j * rows + MC * i + MR * p..];
                    if n.is_multiple_of(2) {
                        debug_assert!(out.len() >= (n - 1) * rows + MR);
                        // SAFETY: eight rows of `n` columns lie in `out`, as their numbers say; `M` is of the level.
                        unsafe { micro(panel, columns, out.as_mut_ptr(), rows) };
                        continue;
                    }
                    for (edge, out) in edge.iter_mut().zip(out.chunks(rows)).take(n) {
                        edge.copy_from_slice(&out[..MR]);
                    }
                    // SAFETY: the edge has eight elements of six columns; `M` is of the level.
                    unsafe { micro(panel, columns, edge.as_mut_ptr().cast(), MR) };
                    for (edge, out) in edge.iter().zip(out.chunks_mut(rows)).take(n) {
                        out[..MR].copy_from_slice(edge);
                    }
                }
            }
        }
    }
}

/// Asks for a block that is read when the one before has been multiplied: rows lie apart, which no prefetcher of today
/// foresees.
#[inline]
#[target_feature(enable = "neon")]
fn prefetch<B>(block: &B) {
    let start = core::ptr::from_ref(block).cast::<u8>();
    for line in (0..size_of::<B>()).step_by(64) {
        // SAFETY: a hint, which reads nothing that the program could see.
        unsafe {
            asm!(
                "prfm pldl2keep, [{line}]",
                line = in(reg) start.wrapping_add(line),
                options(readonly, nostack, preserves_flags)
            );
        }
    }
}

/// Unpacks a super-block of eight rows.
#[target_feature(enable = "neon")]
fn interleave<B: Interleave, O: Order>(w: [&B; MR], panel: &mut Panel) {
    // SAFETY: the feature is enabled.
    let mut w = w.map(|w| unsafe { w.unpack() });
    if B::FLAT {
        for w in &mut w {
            for (quants, scale) in w.quants.iter_mut().zip(w.scales) {
                *quants = vmulq_s8(*quants, vdupq_n_s8(-(scale as i8)));
            }
            w.d = -w.d;
        }
    } else {
        let runs = 16 / B::SHARED;
        let scales = panel.scales.as_flattened_mut().chunks_exact_mut(MR * O::TIMES);
        for (j, scales) in scales.enumerate().take(runs) {
            for (scales, w) in scales.chunks_exact_mut(O::TIMES).zip(&w) {
                let next = if j + 1 < runs { w.scales[j + 1] } else { 0 };
                scales.fill(w.scales[j] - next);
            }
        }
    }
    for (j, octs) in panel.quants.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        store_octs(O::octs(core::array::from_fn(|r| w[r].quants[j])), octs);
    }
    if B::HAS_MINS {
        let mins = w.each_ref().map(|w| {
            // Where 32 values share a minimum, each stands there twice.
            let mins = if B::SHARED == 2 { vuzp1q_u8(w.mins, w.mins) } else { w.mins };
            vreinterpretq_s8_u8(mins)
        });
        store_octs(O::octs(mins), &mut panel.mins);
    }
    panel.d = w.each_ref().map(|w| w.d);
    panel.dmin = w.each_ref().map(|w| w.dmin);
}

/// Lays out super-block `k` of up to six columns; of an odd number, the last is its own second.
#[target_feature(enable = "neon")]
fn pack<B: Interleave>(x: &[ActBlock], blocks: usize, k: usize, out: &mut Columns) {
    let n = x.len() / blocks;
    for p in 0..n.div_ceil(2) {
        let pair = [2 * p, (2 * p + 1).min(n - 1)].map(|c| &x[c * blocks + k]);
        let quants = pair.map(|x| x.qs.as_chunks::<16>().0);
        for (j, octs) in out.octs.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            store_columns(quants.map(|q| load(&q[j])), octs, p);
        }
        if B::HAS_MINS {
            let sums = pair.map(|x| bytes_of_sums(&x.bsums, B::SHARED));
            for (i, octs) in out.sums.iter_mut().enumerate() {
                store_columns(sums.map(|sums| sums[i]), octs, p);
            }
        }
        let [a, b] = pair.map(|x| x.d[0]);
        out.dx[p] = [a, b, a, b];
    }
}

/// The upper bytes and the lower ones of sums of 16 activations, or of 32 where two `shared`, twice.
#[inline]
#[target_feature(enable = "neon")]
fn bytes_of_sums(sums: &[i16; 16], shared: usize) -> [int8x16_t; 2] {
    // SAFETY: sixteen numbers.
    let mut sums = unsafe { [vld1q_s16(sums.as_ptr()), vld1q_s16(sums[8..].as_ptr())] };
    if shared == 2 {
        // A sum of 32 fits 16 bits: `qdot::bounds`.
        sums = [vpaddq_s16(sums[0], sums[1]); 2];
    }
    [
        vcombine_s8(vrshrn_n_s16::<8>(sums[0]), vrshrn_n_s16::<8>(sums[1])),
        vcombine_s8(vmovn_s16(sums[0]), vmovn_s16(sums[1])),
    ]
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[i8; 16]) -> int8x16_t {
    // SAFETY: the array holds 16 bytes; the load takes any address.
    unsafe { vld1q_s8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store_octs(registers: [[int8x16_t; 4]; 2], out: &mut [RowOct; 2]) {
    for (register, out) in registers.as_flattened().iter().zip(out.as_flattened_mut()) {
        // SAFETY: the array holds 16 bytes.
        unsafe { vst1q_s8(out.as_mut_ptr(), *register) };
    }
}

/// Sixteen values of each of two columns.
#[inline]
#[target_feature(enable = "neon")]
fn store_columns([a, b]: [int8x16_t; 2], out: &mut [ColumnOct; 2], pair: usize) {
    let (a, b) = (vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b));
    let [first, second] = [vzip1q_s64(a, b), vzip2q_s64(a, b)].map(|r| vreinterpretq_s8_s64(r));
    // SAFETY: the arrays hold 16 bytes each.
    unsafe {
        vst1q_s8(out[0][pair].as_mut_ptr(), first);
        vst1q_s8(out[1][pair].as_mut_ptr(), second);
    }
}

/// As `sdot` wants them: four values of each of four rows share a register.
pub(super) struct Quads;

impl Order for Quads {
    const TIMES: usize = 1;

    #[inline(always)]
    fn octs(rows: [int8x16_t; MR]) -> [[int8x16_t; 4]; 2] {
        // SAFETY: aarch64 has Advanced SIMD.
        unsafe {
            let quads = |r: usize| transposed(core::array::from_fn(|i| rows[r + i]));
            let (first, second) = (quads(0), quads(4));
            [0, 2].map(|i| [first[i], second[i], first[i + 1], second[i + 1]])
        }
    }

    #[inline(always)]
    fn sums([a, b, c, d]: [float32x4_t; 4]) -> [[float32x4_t; 2]; 2] {
        [[a, b], [c, d]]
    }
}

/// Four rows of four words, transposed.
#[inline]
#[target_feature(enable = "neon")]
fn transposed(rows: [int8x16_t; 4]) -> [int8x16_t; 4] {
    let [a, b, c, d] = rows.map(|row| vreinterpretq_s32_s8(row));
    let wide = |word| vreinterpretq_s64_s32(word);
    let (even, odd) = (wide(vtrn1q_s32(a, b)), wide(vtrn2q_s32(a, b)));
    let (even_2, odd_2) = (wide(vtrn1q_s32(c, d)), wide(vtrn2q_s32(c, d)));
    [
        vtrn1q_s64(even, even_2),
        vtrn1q_s64(odd, odd_2),
        vtrn2q_s64(even, even_2),
        vtrn2q_s64(odd, odd_2),
    ]
    .map(|row| vreinterpretq_s8_s64(row))
}

/// As `smmla` wants them: eight values of each of two rows share a register.
pub(super) struct Pairs;

impl Order for Pairs {
    const TIMES: usize = 2;

    #[inline(always)]
    fn octs(rows: [int8x16_t; MR]) -> [[int8x16_t; 4]; 2] {
        // SAFETY: aarch64 has Advanced SIMD.
        unsafe {
            let wide = rows.map(|row| vreinterpretq_s64_s8(row));
            let pair = |p: usize| (wide[2 * p], wide[2 * p + 1]);
            let narrow = |row| vreinterpretq_s8_s64(row);
            let low = |p: usize| narrow(vzip1q_s64(pair(p).0, pair(p).1));
            let high = |p: usize| narrow(vzip2q_s64(pair(p).0, pair(p).1));
            [core::array::from_fn(low), core::array::from_fn(high)]
        }
    }

    #[inline(always)]
    fn sums([a, b, c, d]: [float32x4_t; 4]) -> [[float32x4_t; 2]; 2] {
        // SAFETY: aarch64 has Advanced SIMD.
        unsafe { [[vuzp1q_f32(a, b), vuzp1q_f32(c, d)], [vuzp2q_f32(a, b), vuzp2q_f32(c, d)]] }
    }
}
