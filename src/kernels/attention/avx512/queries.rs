//! Blocks of queries with sixteen keys or elements in a register.

use core::arch::x86_64::*;
use core::ops::Range;

use half::f16;

use super::super::blocked;
use super::super::lanes::Lanes;
use super::super::{HeadCache, Q8_0, Queries, Softmax};
use crate::kernels::arith::Fast;
use crate::kernels::uninterpreted::_mm512_cvtph_ps;

/// Sixteen elements. To be used inside functions that enable AVX-512 only.
#[derive(Clone, Copy)]
struct Zmm;

// SAFETY: every function is what its name says, for sixteen elements.
unsafe impl Lanes for Zmm {
    type Register = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: by the caller.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: by the caller.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> __m512 {
        // SAFETY: by the caller.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn splat_f16(bits: u16) -> __m512 {
        // SAFETY: by the caller.
        unsafe { _mm512_cvtph_ps(_mm256_set1_epi16(bits as i16)) }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const u8) -> __m512 {
        // SAFETY: by the caller.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        // SAFETY: by the caller.
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: by the caller.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: by the caller.
        unsafe { _mm512_mul_ps(a, b) }
    }
}

macro_rules! siblings {
    ($($attend_queries:ident: $storage:ident;)+) => {$(
        /// # Safety
        /// As [`AttendQueries`](super::super::AttendQueries).
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
        pub unsafe fn $attend_queries(
            queries: Queries<'_>,
            cache: HeadCache<'_, $storage>,
            visible: &[Range<usize>],
            out: &mut [f32],
            states: &mut [Softmax],
        ) {
            // SAFETY: by the caller; the features are enabled.
            unsafe {
                blocked::attend_queries::<Fast, Zmm, $storage>(queries, cache, visible, out, states);
            }
        }
    )+};
}
siblings! {
    attend_queries_f32: f32;
    attend_queries_f16: f16;
    attend_queries_q8_0: Q8_0;
}
