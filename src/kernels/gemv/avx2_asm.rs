//! Assembly: of K formats two rows at a time, `asm/x86_64/gemv_avx2.S`; of blocks of 32 row dots that fetch ahead.

use super::{Gemv, Gemvs};
use crate::formats::{
    ActBlock, Block, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K,
    BlockQ8_0,
};
use crate::kernels::qdot::{Dot1, avx2_asm::ROW_DOTS};
use crate::kernels::sibling::sibling;

crate::kernels::assembly::symbols! {
    extern "sysv64";
    /// # Safety
    /// As for [`Pairs`].
    fn quintile_q4_k_gemv_avx2(rows: *const BlockQ4K, x: *const ActBlock, blocks: usize, pairs: usize, out: *mut f32);
    /// # Safety
    /// As for [`Pairs`].
    fn quintile_q5_k_gemv_avx2(rows: *const BlockQ5K, x: *const ActBlock, blocks: usize, pairs: usize, out: *mut f32);
    /// # Safety
    /// As for [`Pairs`].
    fn quintile_q6_k_gemv_avx2(rows: *const BlockQ6K, x: *const ActBlock, blocks: usize, pairs: usize, out: *mut f32);
    /// # Safety
    /// As for [`Row`].
    fn quintile_q4_0_dot_ahead_avx2(row: *const BlockQ4_0, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// As for [`Row`].
    fn quintile_q4_1_dot_ahead_avx2(row: *const BlockQ4_1, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// As for [`Row`].
    fn quintile_q5_0_dot_ahead_avx2(row: *const BlockQ5_0, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// As for [`Row`].
    fn quintile_q5_1_dot_ahead_avx2(row: *const BlockQ5_1, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// As for [`Row`].
    fn quintile_q8_0_dot_ahead_avx2(row: *const BlockQ8_0, x: *const ActBlock, blocks: usize) -> f32;
}

pub const GEMVS: Gemvs = Gemvs {
    q4_0: Some(sibling!(q4_0 as Gemv)),
    q4_1: Some(sibling!(q4_1 as Gemv)),
    q5_0: Some(sibling!(q5_0 as Gemv)),
    q5_1: Some(sibling!(q5_1 as Gemv)),
    q8_0: Some(sibling!(q8_0 as Gemv)),
    q4_k: Some(sibling!(q4_k as Gemv)),
    q5_k: Some(sibling!(q5_k as Gemv)),
    q6_k: Some(sibling!(q6_k as Gemv)),
    ..Gemvs::NONE
};

/// Pairs of rows.
///
/// # Safety
/// `2 * pairs` rows of `blocks` blocks can be read at `rows`, `blocks` blocks at `x`, `2 * pairs` elements written at `out`;
/// neither number is zero; the CPU has AVX2, FMA and F16C.
type Pairs<B> = unsafe extern "sysv64" fn(
    rows: *const B,
    x: *const ActBlock,
    blocks: usize,
    pairs: usize,
    out: *mut f32,
);

/// # Safety
/// As for [`Gemv`], where `pairs` and `last` are of the format whose blocks are `B`.
#[inline(always)]
unsafe fn rows<B>(pairs: Pairs<B>, last: Dot1, w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    let (even, odd) = (out.len() & !1, out.len() & 1);
    let row_bytes = w.len() / out.len();
    if even > 0 {
        // SAFETY: the caller promises the lengths and the features; there is a pair, and a row has a block.
        unsafe { pairs(w.as_ptr().cast(), x.as_ptr(), x.len(), even / 2, out.as_mut_ptr()) };
    }
    if odd > 0 {
        // SAFETY: as above, of one row.
        out[even] = unsafe { last(&w[even * row_bytes..], x) };
    }
}

/// # Safety
/// As for [`Gemv`], of Q4_K.
unsafe fn q4_k(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    // SAFETY: the caller promises it.
    unsafe { rows(quintile_q4_k_gemv_avx2, ROW_DOTS.q4_k.x1.run, w, x, out) }
}

/// # Safety
/// As for [`Gemv`], of Q5_K.
unsafe fn q5_k(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    // SAFETY: the caller promises it.
    unsafe { rows(quintile_q5_k_gemv_avx2, ROW_DOTS.q5_k.x1.run, w, x, out) }
}

/// # Safety
/// As for [`Gemv`], of Q6_K.
unsafe fn q6_k(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    // SAFETY: the caller promises it.
    unsafe { rows(quintile_q6_k_gemv_avx2, ROW_DOTS.q6_k.x1.run, w, x, out) }
}

/// A row that fetches what comes after it.
///
/// # Safety
/// `blocks` blocks can be read at `row`, and as many values, rounded up to 256, at `x`; the CPU has AVX2, FMA and F16C.
type Row<B> = unsafe extern "sysv64" fn(row: *const B, x: *const ActBlock, blocks: usize) -> f32;

/// A row of each half in turn: two streams, which the CPU's prefetchers follow.
///
/// # Safety
/// As for [`Gemv`], where `row` is of the format whose blocks are `B`.
#[inline(always)]
unsafe fn halves<B: Block>(row: Row<B>, w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    let blocks = B::slice(w);
    let per_row = blocks.len() / out.len();
    let dot = |r: usize| {
        let w = &blocks[r * per_row..][..per_row];
        // SAFETY: the slice is a row, and the caller promises as many activations, and the features.
        unsafe { row(w.as_ptr(), x.as_ptr(), per_row) }
    };
    let half = out.len() / 2;
    for r in 0..half {
        (out[r], out[half + r]) = (dot(r), dot(half + r));
    }
    (2 * half..out.len()).for_each(|r| out[r] = dot(r));
}

/// # Safety
/// As for [`Gemv`], of Q4_0.
unsafe fn q4_0(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    // SAFETY: the caller promises it.
    unsafe { halves(quintile_q4_0_dot_ahead_avx2, w, x, out) }
}

/// # Safety
/// As for [`Gemv`], of Q4_1.
unsafe fn q4_1(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    // SAFETY: the caller promises it.
    unsafe { halves(quintile_q4_1_dot_ahead_avx2, w, x, out) }
}

/// # Safety
/// As for [`Gemv`], of Q5_0.
unsafe fn q5_0(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    // SAFETY: the caller promises it.
    unsafe { halves(quintile_q5_0_dot_ahead_avx2, w, x, out) }
}

/// # Safety
/// As for [`Gemv`], of Q5_1.
unsafe fn q5_1(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    // SAFETY: the caller promises it.
    unsafe { halves(quintile_q5_1_dot_ahead_avx2, w, x, out) }
}

/// # Safety
/// As for [`Gemv`], of Q8_0.
unsafe fn q8_0(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
    // SAFETY: the caller promises it.
    unsafe { halves(quintile_q8_0_dot_ahead_avx2, w, x, out) }
}
