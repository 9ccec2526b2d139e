//! Assembly, `asm/x86_64/gemv_avx2.S`: two rows at a time.

use super::{Gemv, Gemvs};
use crate::formats::{ActBlock, BlockQ4K, BlockQ5K, BlockQ6K};
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
}

pub const GEMVS: Gemvs = Gemvs {
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
