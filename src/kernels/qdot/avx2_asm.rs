//! Assembly, `asm/x86_64/q*_dot_avx2.S`, for one column of all formats but Q8_K; the rest as at AVX2.

use super::{RowDot, RowDots, avx2};
use crate::formats::{
    ActBlock, Block, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1,
    BlockQ5K, BlockQ6K, BlockQ8_0,
};
use crate::kernels::sibling::sibling;

crate::kernels::assembly::symbols! {
    extern "sysv64";
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values, rounded up to 256, at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q4_0_dot_avx2(row: *const BlockQ4_0, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values, rounded up to 256, at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q4_1_dot_avx2(row: *const BlockQ4_1, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values, rounded up to 256, at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q5_0_dot_avx2(row: *const BlockQ5_0, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values, rounded up to 256, at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q5_1_dot_avx2(row: *const BlockQ5_1, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values, rounded up to 256, at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q8_0_dot_avx2(row: *const BlockQ8_0, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q2_k_dot_avx2(row: *const BlockQ2K, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q3_k_dot_avx2(row: *const BlockQ3K, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q4_k_dot_avx2(row: *const BlockQ4K, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q5_k_dot_avx2(row: *const BlockQ5K, x: *const ActBlock, blocks: usize) -> f32;
    /// # Safety
    /// `blocks` blocks can be read at `row`, and as many values at `x`; the CPU has AVX2, FMA and F16C.
    fn quintile_q6_k_dot_avx2(row: *const BlockQ6K, x: *const ActBlock, blocks: usize) -> f32;
}

/// A sibling from its symbol.
macro_rules! row {
    ($format:ident, $block:ty, $symbol:ident) => {{
        /// # Safety
        /// `row` is whole blocks of the format, `x` has as many values, rounded up to 256; the CPU has AVX2, FMA and F16C.
        unsafe fn $format(row: &[u8], x: &[ActBlock]) -> f32 {
            let blocks = <$block>::slice(row);
            // SAFETY: the caller promises the lengths and the features.
            unsafe { $symbol(blocks.as_ptr(), x.as_ptr(), blocks.len()) }
        }
        RowDot { x1: sibling!($format), x4: avx2::ROW_DOTS.$format.x4 }
    }};
}

pub const ROW_DOTS: RowDots = RowDots {
    q4_0: row!(q4_0, BlockQ4_0, quintile_q4_0_dot_avx2),
    q4_1: row!(q4_1, BlockQ4_1, quintile_q4_1_dot_avx2),
    q5_0: row!(q5_0, BlockQ5_0, quintile_q5_0_dot_avx2),
    q5_1: row!(q5_1, BlockQ5_1, quintile_q5_1_dot_avx2),
    q8_0: row!(q8_0, BlockQ8_0, quintile_q8_0_dot_avx2),
    q2_k: row!(q2_k, BlockQ2K, quintile_q2_k_dot_avx2),
    q3_k: row!(q3_k, BlockQ3K, quintile_q3_k_dot_avx2),
    q4_k: row!(q4_k, BlockQ4K, quintile_q4_k_dot_avx2),
    q5_k: row!(q5_k, BlockQ5K, quintile_q5_k_dot_avx2),
    q6_k: row!(q6_k, BlockQ6K, quintile_q6_k_dot_avx2),
    ..avx2::ROW_DOTS
};
