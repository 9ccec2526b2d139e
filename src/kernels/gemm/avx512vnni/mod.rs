//! AVX-512 with VNNI.
//!
//! A register holds four neighbours of each of sixteen rows, and `vpdpbusd` adds their products to a lane a row, in
//! 32 bits. Two such registers meet six columns: twelve sums of a sub-block, twelve of the super-block, two
//! registers of weights, two of scales, and what is left takes activations, which are broadcast from where they lie.
//!
//! # Bound
//! Operations that multiply, of a super-block of 16 rows and a column, 4096 products: 64 `vpdpbusd`, a `vpmulld` for each
//! scale, a `vpdpwssd` for each two minimums, and two of f32 for each of the two steps. On two multipliers (Zen 5):
//!
//! | format | `vpdpbusd` | scales | minimums | f32 | products a cycle |
//! |---|---:|---:|---:|---:|---:|
//! | Q4_K, Q5_K | 64 | 8 | 4 | 4 | 102.4 |
//! | Q6_K | 64 | 16 | | 2 | 99.9 |
//! | Q2_K | 64 | | 8 | 4 | 107.8 |
//! | Q3_K, Q8_K | 64 | | | 2 | 124.1 |
//!
//! An offset of all weights multiplies nothing: sums begin at minus the offset times the sum of the activations. In Q2_K and
//! Q3_K, weight times scale fits a byte, and what is interleaved is their product. A step of four values loads eight
//! registers in six cycles.

pub(super) mod blocks_of_32;
mod micro;
pub(super) mod unpack;

use core::arch::x86_64::*;

use super::packed::{Packing, Packings, Rows, elements, elements_mut};
use super::{Gemm, Gemms, Layout, MC, NR, ROWS, Workspace};
use crate::formats::{
    ActBlock, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K,
    BlockQ6K, BlockQ8_0,
};
use crate::kernels::sgemm::Line;
use crate::kernels::sibling::sibling;
use unpack::Interleave;

pub const GEMMS: Gemms = Gemms {
    q4_0: Some(sibling!(blocks_of_32::gemm::<BlockQ4_0, Intrinsics> as Gemm)),
    q4_1: Some(sibling!(blocks_of_32::gemm::<BlockQ4_1, Intrinsics> as Gemm)),
    q5_0: Some(sibling!(blocks_of_32::gemm::<BlockQ5_0, Intrinsics> as Gemm)),
    q5_1: Some(sibling!(blocks_of_32::gemm::<BlockQ5_1, Intrinsics> as Gemm)),
    q8_0: Some(sibling!(blocks_of_32::gemm::<BlockQ8_0, Intrinsics> as Gemm)),
    q2_k: Some(sibling!(gemm::<BlockQ2K, Intrinsics> as Gemm)),
    q3_k: Some(sibling!(gemm::<BlockQ3K, Intrinsics> as Gemm)),
    q4_k: Some(sibling!(gemm::<BlockQ4K, Intrinsics> as Gemm)),
    q5_k: Some(sibling!(gemm::<BlockQ5K, Intrinsics> as Gemm)),
    q6_k: Some(sibling!(gemm::<BlockQ6K, Intrinsics> as Gemm)),
    ..Gemms::NONE
};

pub const PACKINGS: Packings = Packings {
    q4_0: Some(sibling!(blocks_of_32::packing::<BlockQ4_0, Intrinsics>())),
    q4_1: Some(sibling!(blocks_of_32::packing::<BlockQ4_1, Intrinsics>())),
    q5_0: Some(sibling!(blocks_of_32::packing::<BlockQ5_0, Intrinsics>())),
    q5_1: Some(sibling!(blocks_of_32::packing::<BlockQ5_1, Intrinsics>())),
    q8_0: Some(sibling!(blocks_of_32::packing::<BlockQ8_0, Intrinsics>())),
    q2_k: Some(sibling!(packing::<BlockQ2K, Intrinsics>())),
    q3_k: Some(sibling!(packing::<BlockQ3K, Intrinsics>())),
    q4_k: Some(sibling!(packing::<BlockQ4K, Intrinsics>())),
    q5_k: Some(sibling!(packing::<BlockQ5K, Intrinsics>())),
    q6_k: Some(sibling!(packing::<BlockQ6K, Intrinsics>())),
    ..Packings::NONE
};

/// Rows of a register.
pub(super) const LANES: usize = 16;
const _: () = assert!(ROWS == 2 * LANES);

/// A super-block of 32 rows: of everything, the first 16 rows, then the others.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Panel {
    /// Element `i`: values `4 i` to `4 i + 3` of each row, unsigned.
    quants: [[[u8; 4 * LANES]; 2]; 64],
    /// Of each run of values that share one: the scale of each row.
    scales: [[[i32; LANES]; 2]; 16],
    /// What multiplies two sums of activations: two numbers of 16 bits for each row.
    mins: [[[u32; LANES]; 2]; 8],
    d: [[f32; LANES]; 2],
    dmin: [[f32; LANES]; 2],
}

/// Of a super-block of a column, what its format makes of the sums of activations.
pub type Sums = [i32; 16];

/// How a [`Workspace`] is laid out.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Space {
    panels: [Panel; MC / ROWS],
    sums: [Sums; NR],
    /// Elements of rows and columns that do not fill a tile.
    edge: [[f32; ROWS]; NR],
}

// SAFETY: numbers all through.
unsafe impl Layout for Space {}
// SAFETY: numbers all through.
unsafe impl Layout for Panel {}

/// Adds a super-block of a panel and some columns, `step` bytes from each to the next, to their elements of `out`, a column
/// `stride` elements behind the one before.
///
/// # Safety
/// `x` and `sums` are of as many columns, `out` has 32 elements of each; the CPU has AVX-512 F, BW, DQ, VL and VNNI.
pub(super) type Micro = unsafe extern "sysv64" fn(
    w: *const Panel,
    x: *const ActBlock,
    step: usize,
    sums: *const Sums,
    out: *mut f32,
    stride: usize,
);

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

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn gemm<B: Interleave, M: Micros<B>>(
    w: &[u8],
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    product::<B, M>(Rows::Blocks(B::slice(w)), x, blocks, space, out);
}

pub(super) const fn packing<B: Interleave, M: Micros<B>>() -> Packing {
    Packing {
        lines: |blocks| blocks * (size_of::<Panel>() / size_of::<Line>()),
        pack: pack::<B>,
        gemm: gemm_packed::<B, M>,
    }
}

/// The super-blocks of 32 rows one behind the other.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn pack<B: Interleave>(w: &[u8], blocks: usize, out: &mut [Line]) {
    let runs = elements_mut::<Panel>(out).chunks_exact_mut(blocks);
    for (w, run) in B::slice(w).chunks(ROWS * blocks).zip(runs) {
        for (k, panel) in run.iter_mut().enumerate() {
            interleave(w, blocks, k, panel);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
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
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn product<B: Interleave, M: Micros<B>>(
    w: Rows<'_, B, Panel>,
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let columns = x.len() / blocks;
    let (rows, groups) = (out.len() / columns, columns.div_ceil(NR));
    let space: &mut Space = space.layout();
    let block = match w {
        Rows::Blocks(_) => MC,
        Rows::Panels(_) => rows,
    };
    for first in (0..rows).step_by(block) {
        let end = rows.min(first + block);
        let panels = (end - first).div_ceil(ROWS);
        // The blocks of a panel and those behind it, where it has yet to be made.
        let blocks_of = |p: usize| match w {
            Rows::Blocks(w) => &w[(first + ROWS * p).min(end) * blocks..end * blocks],
            Rows::Panels(_) => &[],
        };
        prefetch(blocks_of(0), blocks, 0);
        for k in 0..blocks {
            for (j, x) in x.chunks(NR * blocks).enumerate() {
                let n = x.len() / blocks;
                for (sums, x) in space.sums.iter_mut().zip(x.chunks_exact(blocks)) {
                    // SAFETY: the features are enabled.
                    unsafe { B::sums(&x[k], sums) };
                }
                prefetch_columns(x, blocks, k);
                if k + 1 < blocks {
                    // Late, so that they are not gone before they are read.
                    for p in (groups - 1 - j..panels).step_by(groups) {
                        prefetch(blocks_of(p), blocks, k + 1);
                    }
                }
                for p in 0..panels {
                    let panel = match w {
                        Rows::Panels(w) => &w[(first / ROWS + p) * blocks + k],
                        Rows::Blocks(_) => {
                            if j == 0 {
                                if k == 0 {
                                    prefetch(blocks_of(p + 1), blocks, 0);
                                }
                                interleave(blocks_of(p), blocks, k, &mut space.panels[p]);
                            }
                            &space.panels[p]
                        }
                    };
                    let row = first + ROWS * p;
                    let out = &mut out[NR * j * rows + row..];
                    let part = ROWS.min(end - row);
                    let sums = space.sums.as_ptr();
                    let micro = |out, stride| {
                        let step = blocks * size_of::<ActBlock>();
                        // SAFETY: both calls below give 32 elements of `n` columns at `out`; the features are enabled.
                        unsafe {
                            M::MICROS[n - 1](panel, x[k..].as_ptr(), step, sums, out, stride)
                        };
                    };
                    if part == ROWS {
                        if k == 0 {
                            out.chunks_mut(rows).take(n).for_each(|out| out[..ROWS].fill(0.0));
                        }
                        debug_assert!(out.len() >= (n - 1) * rows + ROWS);
                        prefetch_tile(out.as_ptr().wrapping_add(ROWS), rows, n);
                        micro(out.as_mut_ptr(), rows);
                        continue;
                    }
                    for (edge, out) in space.edge.iter_mut().zip(out.chunks(rows)).take(n) {
                        match k {
                            0 => edge.fill(0.0),
                            _ => edge[..part].copy_from_slice(&out[..part]),
                        }
                    }
                    micro(space.edge.as_mut_ptr().cast(), ROWS);
                    for (edge, out) in space.edge.iter().zip(out.chunks_mut(rows)).take(n) {
                        out[..part].copy_from_slice(&edge[..part]);
                    }
                }
            }
        }
    }
}

/// Unpacks super-block `k` of the first 32 rows; the last stands for those that are not there.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn interleave<B: Interleave>(w: &[B], blocks: usize, k: usize, panel: &mut Panel) {
    let last = w.len() / blocks - 1;
    for half in 0..2 {
        let row = |r: usize| &w[(LANES * half + r).min(last) * blocks + k];
        let rows: [&B; LANES] = core::array::from_fn(row);
        // SAFETY: the features are enabled.
        unsafe { B::interleave(rows, half, panel) };
    }
}

/// Asks for super-block `k` of the first 32 rows, which lie apart: no prefetcher of today foresees them.
#[target_feature(enable = "avx2")]
fn prefetch<B>(w: &[B], blocks: usize, k: usize) {
    for row in w.chunks_exact(blocks).take(ROWS) {
        let start = core::ptr::from_ref(&row[k]).cast::<i8>();
        for line in (0..size_of::<B>()).step_by(64) {
            _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(line));
        }
    }
}

/// Asks for super-block `k` of the columns that follow a whole group: of 35 blocks a column, what this gives is 5%.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch_columns(x: &[ActBlock], blocks: usize, k: usize) {
    for c in NR..2 * NR {
        let start = x.as_ptr().wrapping_add(c * blocks + k).cast::<i8>();
        for line in 0..size_of::<ActBlock>() / 64 {
            _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(64 * line));
        }
    }
}

/// Asks for the elements of the next panel's tile, which may begin anywhere in a line.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch_tile(out: *const f32, stride: usize, columns: usize) {
    for c in 0..columns {
        let start = out.wrapping_add(c * stride).cast::<i8>();
        for at in [0, 64, 4 * ROWS - 4] {
            _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at));
        }
    }
}
