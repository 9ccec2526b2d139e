//! AVX2 and FMA: the 64 lanes are eight ymm registers.
//!
//! Two loads feed each fused multiply-add, so two load ports allow one of them a cycle: 8 MACs.
//! Eight accumulators cover its latency of 4 twice over.

use core::arch::x86_64::*;

use super::LANES;

const WIDTH: usize = 8;
const N: usize = LANES / WIDTH;

#[target_feature(enable = "avx2,fma,f16c")]
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let mut acc = [_mm256_setzero_ps(); N];
    let body = n - n % LANES;
    let mut i = 0;
    while i < body {
        for (j, acc) in acc.iter_mut().enumerate() {
            // SAFETY: `i + 64 <= body <= n`, and `j < 8`.
            let (a, b) = unsafe {
                (_mm256_loadu_ps(a.add(i + j * WIDTH)), _mm256_loadu_ps(b.add(i + j * WIDTH)))
            };
            *acc = _mm256_fmadd_ps(a, b, *acc);
        }
        i += LANES;
    }
    for (j, acc) in acc.iter_mut().enumerate() {
        let left = n.saturating_sub(body + j * WIDTH).min(WIDTH);
        if left == 0 {
            break;
        }
        let mask = first_lanes(left);
        // SAFETY: a masked load reads the first `left` elements only, and
        // `body + 8 * j + left <= n`.
        let (a, b) = unsafe {
            (
                _mm256_maskload_ps(a.add(body + j * WIDTH), mask),
                _mm256_maskload_ps(b.add(body + j * WIDTH), mask),
            )
        };
        let sum = _mm256_fmadd_ps(a, b, *acc);
        // Absent lanes are left alone: adding 0 * 0 would turn a lane of -0 into +0.
        *acc = _mm256_blendv_ps(*acc, sum, _mm256_castsi256_ps(mask));
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
