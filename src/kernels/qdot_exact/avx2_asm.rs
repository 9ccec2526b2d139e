//! Assembly, `asm/x86_64/q4_k_q5_k_dot_exact_avx2.S`, for Q4_K and Q5_K; other formats as at AVX2.

use super::avx2;
use crate::formats::{Block, BlockQ4K, BlockQ5K, Format};

crate::kernels::assembly::symbols! {
    extern "sysv64";
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q4_k_dot_exact_avx2(row: *const BlockQ4K, x: *const f32, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q5_k_dot_exact_avx2(row: *const BlockQ5K, x: *const f32, blocks: usize) -> f32;
}

/// # Safety
/// `format` is quantised, `row` has as many values as `x`; the CPU has AVX2, FMA and F16C.
pub unsafe fn qdot_exact(format: Format, row: &[u8], x: &[f32]) -> f32 {
    // SAFETY: the caller promises the lengths and the features.
    unsafe {
        match format {
            Format::Q4K => {
                let blocks = BlockQ4K::slice(row);
                quintile_q4_k_dot_exact_avx2(blocks.as_ptr(), x.as_ptr(), blocks.len())
            }
            Format::Q5K => {
                let blocks = BlockQ5K::slice(row);
                quintile_q5_k_dot_exact_avx2(blocks.as_ptr(), x.as_ptr(), blocks.len())
            }
            other => avx2::qdot_exact(other, row, x),
        }
    }
}
