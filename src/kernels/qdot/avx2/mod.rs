//! AVX2.

pub(in crate::kernels) mod blocks_of_32;
pub(in crate::kernels) mod super_blocks;

use core::arch::x86_64::*;

use super::RowDots;
use crate::formats::ActBlock;

pub const ROW_DOTS: RowDots = RowDots {
    q4_0: blocks_of_32::Q4_0,
    q4_1: blocks_of_32::Q4_1,
    q5_0: blocks_of_32::Q5_0,
    q5_1: blocks_of_32::Q5_1,
    q8_0: blocks_of_32::Q8_0,
    q2_k: super_blocks::Q2_K,
    q3_k: super_blocks::Q3_K,
    q4_k: super_blocks::Q4_K,
    q5_k: super_blocks::Q5_K,
    q6_k: super_blocks::Q6_K,
    q8_k: super_blocks::Q8_K,
};

/// Activations `32 j` to `32 j + 31` of a block.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn activations(x: &ActBlock, j: usize) -> __m256i {
    // SAFETY: `j < 8`, so the 32 bytes lie in `qs`; `ActBlock` is aligned to 64.
    unsafe { _mm256_load_si256(x.qs[32 * j..32 * (j + 1)].as_ptr().cast()) }
}

/// The sixteen sums of a block.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn bsums(x: &ActBlock) -> __m256i {
    // SAFETY: `bsums` are 32 bytes, at offset 256 of a block aligned to 64.
    unsafe { _mm256_load_si256(x.bsums.as_ptr().cast()) }
}
