//! AVX2 and FMA: the 64 lanes are eight ymm registers.
//!
//! Two loads feed each fused multiply-add, so two load ports allow one of them a cycle: 8 MACs.
//! Eight accumulators cover its latency of 4 twice over. Halves are widened by `vcvtph2ps` for f16 (two
//! operations), and by `vpmovzxwd` and a shift for bf16: with the multiply-add, three vector operations for each
//! eight values, so still one a cycle on three ports.

use core::arch::x86_64::*;

use half::{bf16, f16};

use super::LANES;

const WIDTH: usize = 8;
const N: usize = LANES / WIDTH;

#[target_feature(enable = "avx2,fma,f16c")]
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b)
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn dot_f16(a: &[f16], b: &[f32]) -> f32 {
    dot(a, b)
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn dot_bf16(a: &[bf16], b: &[f32]) -> f32 {
    dot(a, b)
}

/// A number of which eight are loaded as f32.
trait Load: Copy {
    /// What pads the end of a row.
    const ZERO: Self;

    /// The eight values at `from`.
    ///
    /// # Safety
    /// They can be read; the call is where AVX2 and F16C are enabled.
    unsafe fn load(from: *const Self) -> __m256;

    /// The `n < 9` values at `from`, and zeros.
    ///
    /// # Safety
    /// As for [`load`](Self::load), of `n` values.
    #[inline(always)]
    unsafe fn load_first(from: *const Self, n: usize) -> __m256 {
        let mut padded = [Self::ZERO; WIDTH];
        // SAFETY: the caller promises `n` values and the features; `padded` has room for them.
        unsafe {
            if n == WIDTH {
                return Self::load(from);
            }
            for (i, padded) in padded.iter_mut().enumerate().take(n) {
                *padded = *from.add(i);
            }
            Self::load(padded.as_ptr())
        }
    }
}

impl Load for f32 {
    const ZERO: f32 = 0.0;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: the caller promises the values and the features.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> __m256 {
        // SAFETY: as in `load`; a masked load reads the first `n` elements only.
        unsafe { _mm256_maskload_ps(from, first_lanes(n)) }
    }
}

impl Load for f16 {
    const ZERO: f16 = f16::ZERO;

    #[inline(always)]
    unsafe fn load(from: *const f16) -> __m256 {
        // SAFETY: the caller promises the values and the features.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }
}

impl Load for bf16 {
    const ZERO: bf16 = bf16::ZERO;

    #[inline(always)]
    unsafe fn load(from: *const bf16) -> __m256 {
        // SAFETY: the caller promises the values and the features.
        unsafe {
            let upper = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(upper))
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn dot<A: Load>(a: &[A], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let mut acc = [_mm256_setzero_ps(); N];
    let body = n - n % LANES;
    let mut i = 0;
    while i < body {
        for (j, acc) in acc.iter_mut().enumerate() {
            let at = i + j * WIDTH;
            // SAFETY: `i + 64 <= body <= n`, and `j < 8`.
            let (a, b) =
                unsafe { (A::load(a.as_ptr().add(at)), _mm256_loadu_ps(b.as_ptr().add(at))) };
            *acc = _mm256_fmadd_ps(a, b, *acc);
        }
        i += LANES;
    }
    for (j, acc) in acc.iter_mut().enumerate() {
        let at = body + j * WIDTH;
        let left = n.saturating_sub(at).min(WIDTH);
        if left == 0 {
            break;
        }
        // SAFETY: `left <= 8`, and `at + left <= n`.
        let (a, b) = unsafe {
            (A::load_first(a.as_ptr().add(at), left), f32::load_first(b.as_ptr().add(at), left))
        };
        let sum = _mm256_fmadd_ps(a, b, *acc);
        // Absent lanes are left alone: adding 0 * 0 would turn a lane of -0 into +0.
        *acc = _mm256_blendv_ps(*acc, sum, _mm256_castsi256_ps(first_lanes(left)));
    }
    fold(acc)
}

/// All bits set in lanes `0..n`, none in the others.
#[inline]
#[target_feature(enable = "avx2")]
fn first_lanes(n: usize) -> __m256i {
    let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lane)
}

/// Folds the 64 lanes in halves: registers first, then halves of one register.
#[inline]
#[target_feature(enable = "avx2")]
pub fn fold(mut acc: [__m256; N]) -> f32 {
    let mut half = N / 2;
    while half > 0 {
        for j in 0..half {
            acc[j] = _mm256_add_ps(acc[j], acc[j + half]);
        }
        half /= 2;
    }
    let x = _mm_add_ps(_mm256_castps256_ps128(acc[0]), _mm256_extractf128_ps::<1>(acc[0]));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    let x = _mm_add_ss(x, _mm_movehdup_ps(x));
    _mm_cvtss_f32(x)
}
