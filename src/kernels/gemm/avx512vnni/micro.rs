//! The micro-kernel in intrinsics.

use core::arch::x86_64::*;

use super::unpack::Interleave;
use super::{LANES, Panel, Sums};
use crate::formats::ActBlock;

/// Adds a super-block of a panel and `N` columns to their elements of `out`.
///
/// # Safety
/// As for [`Micro`](super::Micro).
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe extern "sysv64" fn add<B: Interleave, const N: usize>(
    w: *const Panel,
    x: *const ActBlock,
    step: usize,
    sums: *const Sums,
    out: *mut f32,
    stride: usize,
) {
    // SAFETY: the caller promises all of them.
    let (w, sums, x) = unsafe {
        let x: [&ActBlock; N] = core::array::from_fn(|c| &*x.byte_add(c * step));
        (&*w, &*sums.cast::<[Sums; N]>(), x)
    };
    let zero = _mm512_setzero_si512();
    let mut isum = [[zero; 2]; N];
    for (s, quants) in w.quants.chunks_exact(B::SHARED / 4).enumerate() {
        let mut sum: [_; N] = core::array::from_fn(|c| match B::HAS_OFFSET {
            true => [_mm512_set1_epi32(sums[c][s]); 2],
            false => [zero; 2],
        });
        for (g, quants) in quants.iter().enumerate() {
            let quants = [load(&quants[0]), load(&quants[1])];
            for (x, sum) in x.iter().zip(&mut sum) {
                let four = x.qs.as_chunks::<4>().0[B::SHARED / 4 * s + g].map(|q| q as u8);
                let four = _mm512_set1_epi32(i32::from_le_bytes(four));
                sum[0] = _mm512_dpbusd_epi32(sum[0], quants[0], four);
                sum[1] = _mm512_dpbusd_epi32(sum[1], quants[1], four);
            }
        }
        for (isum, sum) in isum.iter_mut().zip(sum) {
            for (half, isum) in isum.iter_mut().enumerate() {
                let scaled = match B::SHARED {
                    256 => sum[half],
                    _ => _mm512_mullo_epi32(sum[half], words(&w.scales[s][half])),
                };
                *isum = _mm512_add_epi32(*isum, scaled);
            }
        }
    }
    let mut msum = [[zero; 2]; N];
    for (g, mins) in w.mins[..B::PAIRS].iter().enumerate() {
        let mins = mins.each_ref().map(|mins| words(mins));
        for (msum, sums) in msum.iter_mut().zip(sums) {
            let two = _mm512_set1_epi32(sums[g]);
            // Not `vpdpwssd`, which Miri lacks: the compiler joins most of these two to it.
            for (msum, mins) in msum.iter_mut().zip(mins) {
                *msum = _mm512_add_epi32(*msum, _mm512_madd_epi16(mins, two));
            }
        }
    }
    for (c, x) in x.iter().enumerate() {
        let dx = _mm512_set1_ps(x.d[0]);
        for half in 0..2 {
            // SAFETY: the caller promises the elements.
            unsafe {
                let out = out.add(c * stride + LANES * half);
                let mut acc = _mm512_loadu_ps(out);
                let d = _mm512_mul_ps(floats(&w.d[half]), dx);
                acc = _mm512_fmadd_ps(d, _mm512_cvtepi32_ps(isum[c][half]), acc);
                if B::PAIRS > 0 {
                    let dmin = _mm512_mul_ps(floats(&w.dmin[half]), dx);
                    acc = _mm512_fnmadd_ps(dmin, _mm512_cvtepi32_ps(msum[c][half]), acc);
                }
                _mm512_storeu_ps(out, acc);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the array holds 64 bytes.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words<T>(words: &[T; 16]) -> __m512i {
    const { assert!(size_of::<T>() == 4) };
    // SAFETY: the array holds 64 bytes, of numbers.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn floats(floats: &[f32; 16]) -> __m512 {
    // SAFETY: the array holds sixteen numbers.
    unsafe { _mm512_loadu_ps(floats.as_ptr()) }
}
