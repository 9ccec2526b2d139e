//! Inner products of f32 in an order of their own.

use core::arch::x86_64::*;

/// `N` registers of eight lanes. The slices are a multiple of eight long.
#[target_feature(enable = "avx2,fma")]
pub fn free<const N: usize>(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [_mm256_setzero_ps(); N];
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let (a_steps, b_steps) = (a.as_chunks::<N>(), b.as_chunks::<N>());
    for (a, b) in a_steps.0.iter().zip(b_steps.0) {
        for j in 0..N {
            acc[j] = _mm256_fmadd_ps(load(&a[j]), load(&b[j]), acc[j]);
        }
    }
    for (j, (a, b)) in a_steps.1.iter().zip(b_steps.1).enumerate() {
        acc[j] = _mm256_fmadd_ps(load(a), load(b), acc[j]);
    }
    let mut live = N;
    while live > 1 {
        let half = live.div_ceil(2);
        for j in half..live {
            acc[j - half] = _mm256_add_ps(acc[j - half], acc[j]);
        }
        live = half;
    }
    super::fold(acc[0])
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[f32; 8]) -> __m256 {
    // SAFETY: the array holds eight f32; the load takes any address.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}
