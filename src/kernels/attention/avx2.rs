//! Blocks of queries with eight keys or elements in a register.

use core::arch::x86_64::*;
use core::ops::Range;

use half::f16;

use super::blocked;
use super::lanes::Lanes;
use super::{HeadCache, Q8_0, Queries, Softmax, scalar};
use crate::kernels::arith::Fast;

macro_rules! siblings {
    ($($attend:ident, $attend_queries:ident: $storage:ident;)+) => {$(
        /// A block of one query.
        ///
        /// # Safety
        /// As [`Attend`](super::Attend).
        #[target_feature(enable = "avx2,fma,f16c")]
        pub unsafe fn $attend(
            q: &[f32],
            cache: HeadCache<'_, $storage>,
            visible: Range<usize>,
            out: &mut [f32],
        ) -> Softmax {
            let mut state = [Softmax::EMPTY];
            let queries = Queries { q, head_dim: q.len(), heads: 1, stride: q.len(), cap: None };
            let visible = core::slice::from_ref(&visible);
            // SAFETY: by the caller: one query, one state, and an output of its length; the features are enabled.
            unsafe {
                blocked::attend_queries::<Fast, Ymm, $storage>(
                    queries, cache, visible, out, &mut state,
                );
            }
            state[0]
        }

        /// # Safety
        /// As [`AttendQueries`](super::AttendQueries).
        #[target_feature(enable = "avx2,fma,f16c")]
        pub unsafe fn $attend_queries(
            queries: Queries<'_>,
            cache: HeadCache<'_, $storage>,
            visible: &[Range<usize>],
            out: &mut [f32],
            states: &mut [Softmax],
        ) {
            // SAFETY: by the caller; the features are enabled.
            unsafe {
                blocked::attend_queries::<Fast, Ymm, $storage>(queries, cache, visible, out, states);
            }
        }
    )+};
}
siblings! {
    attend_f32, attend_queries_f32: f32;
    attend_f16, attend_queries_f16: f16;
    attend_q8_0, attend_queries_q8_0: Q8_0;
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
    unsafe fn splat_f16(bits: u16) -> __m256 {
        // SAFETY: by the caller.
        unsafe { _mm256_cvtph_ps(_mm_set1_epi16(bits as i16)) }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const u8) -> __m256 {
        // SAFETY: by the caller.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
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
