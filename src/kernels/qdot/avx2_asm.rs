//! Assembly, `asm/x86_64/q*_dot_avx2.S`, for one column of Q4_K, Q5_K and Q6_K; the rest as at AVX2.

use super::{RowDot, RowDots, avx2};
use crate::formats::{ActBlock, BlockQ4K, BlockQ5K, BlockQ6K};
use crate::kernels::sibling::sibling;

crate::kernels::assembly::symbols! {
    extern "sysv64";
    /// # Safety
    /// `blocks` blocks can be read at `row` and at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q4_k_dot_avx2(row: *const BlockQ4K, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row` and at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q5_k_dot_avx2(row: *const BlockQ5K, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row` and at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q6_k_dot_avx2(row: *const BlockQ6K, x: *const ActBlock, blocks: usize) -> f32;
}

pub const ROW_DOTS: RowDots = RowDots {
    q4_k: RowDot { x1: sibling!(q4_k), x4: avx2::ROW_DOTS.q4_k.x4 },
    q5_k: RowDot { x1: sibling!(q5_k), x4: avx2::ROW_DOTS.q5_k.x4 },
    q6_k: RowDot { x1: sibling!(q6_k), x4: avx2::ROW_DOTS.q6_k.x4 },
    ..avx2::ROW_DOTS
};

/// # Safety
/// `row` is whole blocks of Q4_K, `x` has as many; the CPU has AVX2, FMA and F16C.
unsafe fn q4_k(row: &[u8], x: &[ActBlock]) -> f32 {
    // SAFETY: the caller promises the lengths and the features.
    unsafe { quintile_q4_k_dot_avx2(row.as_ptr().cast(), x.as_ptr(), x.len()) }
}

/// # Safety
/// `row` is whole blocks of Q5_K, `x` has as many; the CPU has AVX2, FMA and F16C.
unsafe fn q5_k(row: &[u8], x: &[ActBlock]) -> f32 {
    // SAFETY: the caller promises the lengths and the features.
    unsafe { quintile_q5_k_dot_avx2(row.as_ptr().cast(), x.as_ptr(), x.len()) }
}

/// # Safety
/// `row` is whole blocks of Q6_K, `x` has as many; the CPU has AVX2, FMA and F16C.
unsafe fn q6_k(row: &[u8], x: &[ActBlock]) -> f32 {
    // SAFETY: the caller promises the lengths and the features.
    unsafe { quintile_q6_k_dot_avx2(row.as_ptr().cast(), x.as_ptr(), x.len()) }
}
