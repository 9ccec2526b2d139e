//! The definition's body with hardware's fused multiply-add and f16 conversion; blocks of queries with eight keys or
//! elements in a register.

use core::arch::x86_64::*;
use core::ops::Range;

use half::f16;

use super::blocked::{self, Lanes};
use super::{HeadCache, Queries, Softmax, scalar};
use crate::kernels::arith::Fast;

#[target_feature(enable = "avx2,fma,f16c")]
pub fn attend_f32(
    q: &[f32],
    cache: HeadCache<'_, f32>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    scalar::attend::<Fast, f32>(q, cache, None, visible, out)
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn attend_f16(
    q: &[f32],
    cache: HeadCache<'_, f16>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    scalar::attend::<Fast, f16>(q, cache, None, visible, out)
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn merge_chunks(state: &mut Softmax, out: &mut [f32], next: Softmax, next_out: &[f32]) {
    scalar::merge_chunks::<Fast>(state, out, next, next_out);
}

/// Eight elements. To be used inside functions that enable AVX2, FMA and F16C only.
#[derive(Clone, Copy)]
struct Ymm;

// SAFETY: every function is what its name says, for eight elements.
unsafe impl Lanes for Ymm {
    type Register = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: by the caller.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: by the caller.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> __m256 {
        // SAFETY: by the caller.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m256) {
        // SAFETY: by the caller.
        unsafe { _mm256_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: by the caller.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: by the caller.
        unsafe { _mm256_mul_ps(a, b) }
    }
}

/// # Safety
/// As [`AttendQueries`](super::AttendQueries).
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn attend_queries_f32(
    queries: Queries<'_>,
    cache: HeadCache<'_, f32>,
    visible: &[Range<usize>],
    out: &mut [f32],
    states: &mut [Softmax],
) {
    // SAFETY: by the caller; the features are enabled.
    unsafe { blocked::attend_queries::<Fast, Ymm, f32>(queries, cache, visible, out, states) }
}

/// # Safety
/// As [`AttendQueries`](super::AttendQueries).
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn attend_queries_f16(
    queries: Queries<'_>,
    cache: HeadCache<'_, f16>,
    visible: &[Range<usize>],
    out: &mut [f32],
    states: &mut [Softmax],
) {
    // SAFETY: by the caller; the features are enabled.
    unsafe { blocked::attend_queries::<Fast, Ymm, f16>(queries, cache, visible, out, states) }
}
