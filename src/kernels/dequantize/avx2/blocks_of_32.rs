//! Blocks with one scale per 32 values.

use core::arch::x86_64::*;

use super::{HALVES, splat_f16, splat_top_byte, spread};
use crate::formats::{Block, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0};
use crate::kernels::qdot::avx2::blocks_of_32::{q4_0, q4_1, q5_0, q5_1};

/// Bytes in the order [`HALVES`].
#[inline]
#[target_feature(enable = "avx2")]
fn in_halves(bytes: __m256i) -> __m256i {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    _mm256_permutevar8x32_epi32(bytes, unsafe { _mm256_loadu_si256(HALVES.as_ptr().cast()) })
}

/// A block of 32 whose values come in registers.
pub trait Values32: Block {
    /// The values, in order.
    ///
    /// # Safety
    /// To be called where AVX2, FMA and F16C are enabled.
    unsafe fn values(&self) -> [__m256; 4];
}

/// The block, its unpacked quants, what they are larger than the weights by, and its minimum.
macro_rules! values {
    ($block:ty, $unpack:ident, minus: $minus:literal) => {
        impl Values32 for $block {
            #[inline(always)]
            unsafe fn values(&self) -> [__m256; 4] {
                // SAFETY: the caller promises the features.
                unsafe {
                    let quants = _mm256_sub_epi8($unpack(self), _mm256_set1_epi8($minus));
                    let d = splat_top_byte(self.d);
                    let q = in_halves(quants);
                    let mut out = [d; 4];
                    for (k, out) in out.iter_mut().enumerate() {
                        *out = _mm256_mul_ps(d, spread(q, k));
                    }
                    out
                }
            }
        }
    };
    ($block:ty, $unpack:ident, plus: m) => {
        impl Values32 for $block {
            #[inline(always)]
            unsafe fn values(&self) -> [__m256; 4] {
                // SAFETY: the caller promises the features.
                unsafe {
                    let d = splat_top_byte(self.d);
                    let m = splat_f16(self.m);
                    let q = in_halves($unpack(self));
                    let mut out = [d; 4];
                    for (k, out) in out.iter_mut().enumerate() {
                        *out = _mm256_fmadd_ps(d, spread(q, k), m);
                    }
                    out
                }
            }
        }
    };
}

values!(BlockQ4_0, q4_0, minus: 8);
values!(BlockQ4_1, q4_1, plus: m);
values!(BlockQ5_0, q5_0, minus: 16);
values!(BlockQ5_1, q5_1, plus: m);

impl Values32 for BlockQ8_0 {
    #[inline(always)]
    unsafe fn values(&self) -> [__m256; 4] {
        // SAFETY: the caller promises the features; each load reads 8 of the 32 quants.
        unsafe {
            let d = splat_f16(self.d);
            let mut out = [d; 4];
            for (out, q) in out.iter_mut().zip(self.qs.as_chunks::<8>().0) {
                let q = _mm256_cvtepi8_epi32(_mm_loadl_epi64(q.as_ptr().cast()));
                *out = _mm256_mul_ps(d, _mm256_cvtepi32_ps(q));
            }
            out
        }
    }
}
