//! The micro-kernel in intrinsics.

use core::arch::x86_64::*;

use super::super::{Columns, Panel};
use super::unpack::Interleave;

/// Adds a super-block of a panel and `N` columns to their elements of `out`.
///
/// # Safety
/// Of each column, `stride` elements behind the one before, eight elements are at `out`; the CPU has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe extern "sysv64" fn add<B: Interleave, const N: usize>(
    w: *const Panel,
    x: *const Columns,
    out: *mut f32,
    stride: usize,
) {
    // SAFETY: the caller promises both.
    let (w, x) = unsafe { (&*w, &*x) };
    // Of 16 values, registers of each column: four of quants, and one of what the offset takes from them.
    let step = (if B::OFFSET == 0 { 4 } else { 5 }) * N;
    let (columns, sums) = x.registers.split_at(16 * step);
    let mut isum = [_mm256_setzero_si256(); N];
    for (s, (quants, x)) in
        w.quants.as_chunks::<4>().0.iter().zip(columns.chunks_exact(step)).enumerate()
    {
        let quants = [load(&quants[0]), load(&quants[1]), load(&quants[2]), load(&quants[3])];
        let scales = words(&w.scales[16 * s / B::SHARED]);
        for (c, isum) in isum.iter_mut().enumerate() {
            let product = |i: usize| _mm256_maddubs_epi16(quants[i], load(&x[i * N + c]));
            let mut low = _mm256_add_epi16(product(0), product(1));
            if B::OFFSET != 0 {
                // What wraps here comes back: the four sums are of weights, and fit.
                low = _mm256_add_epi16(low, load(&x[4 * N + c]));
            }
            let high = _mm256_add_epi16(product(2), product(3));
            let scaled = _mm256_madd_epi16(_mm256_add_epi16(low, high), scales);
            *isum = _mm256_add_epi32(*isum, scaled);
        }
    }
    let (d, dmin) = (floats(&w.d), floats(&w.dmin));
    for (c, isum) in isum.into_iter().enumerate() {
        let mut msum = _mm256_setzero_si256();
        if B::OFFSET == 0 {
            for (g, mins) in w.mins[..128 / B::SHARED].iter().enumerate() {
                let sums = load(&sums[g * N + c]);
                msum = _mm256_add_epi32(msum, _mm256_madd_epi16(words(mins), sums));
            }
        }
        // SAFETY: the caller promises the elements.
        unsafe { scaled::<B>(out.add(c * stride), d, dmin, x.dx[c], isum, msum) };
    }
}

/// The end of a super-block in the contract: adds `(d · dx) · isum` to eight elements, and takes `(dmin · dx) · msum` away where a format
/// has minimums.
///
/// # Safety
/// Eight elements are at `out`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn scaled<B: Interleave>(
    out: *mut f32,
    d: __m256,
    dmin: __m256,
    dx: f32,
    isum: __m256i,
    msum: __m256i,
) {
    let dx = _mm256_set1_ps(dx);
    // SAFETY: the caller promises the elements.
    let mut acc = unsafe { _mm256_loadu_ps(out) };
    acc = _mm256_fmadd_ps(_mm256_mul_ps(d, dx), _mm256_cvtepi32_ps(isum), acc);
    if B::OFFSET == 0 {
        acc = _mm256_fnmadd_ps(_mm256_mul_ps(dmin, dx), _mm256_cvtepi32_ps(msum), acc);
    }
    // SAFETY: as above.
    unsafe { _mm256_storeu_ps(out, acc) };
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array holds 32 bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn words(words: &[u32; 8]) -> __m256i {
    // SAFETY: the array holds 32 bytes.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn floats(floats: &[f32; 8]) -> __m256 {
    // SAFETY: the array holds eight numbers.
    unsafe { _mm256_loadu_ps(floats.as_ptr()) }
}
