//! AVX2: every format but Q2_K, Q3_K and Q8_K by hand; those are the definition's body, vectorised by
//! the compiler.

mod blocks_of_32;
mod super_blocks;

use core::arch::x86_64::*;

use super::scalar::dot_256;
use super::{RowDot, RowDots};
use crate::formats::{ActBlock, BlockQ2K, BlockQ3K, BlockQ8K};
use crate::kernels::arith::Fast;

/// The definition's body, compiled with the features of this level.
macro_rules! compiled {
    ($body:ident, $block:ty) => {{
        #[target_feature(enable = "avx2,fma,f16c")]
        fn x1(row: &[u8], x: &[ActBlock]) -> f32 {
            $body::<Fast, $block>(row, x)
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        fn x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
            [
                $body::<Fast, $block>(row, x[0]),
                $body::<Fast, $block>(row, x[1]),
                $body::<Fast, $block>(row, x[2]),
                $body::<Fast, $block>(row, x[3]),
            ]
        }
        RowDot { x1, x4 }
    }};
}

pub const ROW_DOTS: RowDots = RowDots {
    q4_0: blocks_of_32::Q4_0,
    q4_1: blocks_of_32::Q4_1,
    q5_0: blocks_of_32::Q5_0,
    q5_1: blocks_of_32::Q5_1,
    q8_0: blocks_of_32::Q8_0,
    q2_k: compiled!(dot_256, BlockQ2K),
    q3_k: compiled!(dot_256, BlockQ3K),
    q4_k: super_blocks::Q4_K,
    q5_k: super_blocks::Q5_K,
    q6_k: super_blocks::Q6_K,
    q8_k: compiled!(dot_256, BlockQ8K),
};

/// Activations `32 j` to `32 j + 31` of a block.
#[inline]
#[target_feature(enable = "avx2")]
fn activations(x: &ActBlock, j: usize) -> __m256i {
    // SAFETY: `j < 8`, so the 32 bytes lie in `qs`; `ActBlock` is aligned to 64.
    unsafe { _mm256_load_si256(x.qs[32 * j..32 * (j + 1)].as_ptr().cast()) }
}

/// The sixteen sums of a block.
#[inline]
#[target_feature(enable = "avx2")]
fn bsums(x: &ActBlock) -> __m256i {
    // SAFETY: `bsums` are 32 bytes, at offset 256 of a block aligned to 64.
    unsafe { _mm256_load_si256(x.bsums.as_ptr().cast()) }
}
