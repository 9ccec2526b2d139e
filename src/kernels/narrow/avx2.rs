//! F16C rounds to f16; to bf16, sixteen values a step in integers.
//!
//! `vcvtps2ph` takes its rounding from its operand, not from MXCSR. A step of bf16 is eight operations for each
//! eight values, and two that pack both eights: 18 on three ports, 6 cycles for sixteen values.

use core::arch::x86_64::*;

use super::{Bytes, scalar};
use crate::kernels::uninterpreted::_mm256_cvtps_ph;

#[target_feature(enable = "avx2,fma,f16c")]
pub fn narrow_f16(x: &[f32], out: &mut [Bytes]) {
    let (x_body, x_tail) = x.as_chunks::<8>();
    let (out_body, out_tail) = out.as_chunks_mut::<8>();
    for (x, out) in x_body.iter().zip(out_body) {
        // SAFETY: the arrays hold eight f32 and 16 bytes; load and store take any address.
        unsafe {
            let x = _mm256_loadu_ps(x.as_ptr());
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
            _mm_storeu_si128(out.as_mut_ptr().cast(), halves);
        }
    }
    scalar::narrow_f16(x_tail, out_tail);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn narrow_bf16(x: &[f32], out: &mut [Bytes]) {
    let (x_body, x_tail) = x.as_chunks::<16>();
    let (out_body, out_tail) = out.as_chunks_mut::<16>();
    for (x, out) in x_body.iter().zip(out_body) {
        let x = x.as_chunks::<8>().0;
        // The pack works on halves: groups of four numbers come out in the order 0 2 1 3.
        let packed = _mm256_packus_epi32(bf16_words(&x[0]), bf16_words(&x[1]));
        let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
        // SAFETY: the array holds 32 bytes; the store takes any address.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), packed) };
    }
    scalar::narrow_bf16(x_tail, out_tail);
}

/// The bits of eight bf16, each in 32.
#[inline]
#[target_feature(enable = "avx2")]
fn bf16_words(x: &[f32; 8]) -> __m256i {
    // SAFETY: the array holds eight f32; the load takes any address.
    let x = unsafe { _mm256_loadu_ps(x.as_ptr()) };
    let bits = _mm256_castps_si256(x);
    let last = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), last);
    let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
    let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
    let rounded = _mm256_castsi256_ps(rounded);
    let chosen = _mm256_blendv_ps(rounded, _mm256_castsi256_ps(quiet), nan);
    _mm256_srli_epi32::<16>(_mm256_castps_si256(chosen))
}
