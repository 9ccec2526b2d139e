//! As at AVX2, sixteen values a step. The last few by a mask.

use core::arch::x86_64::*;

use super::Bytes;
use crate::kernels::uninterpreted::{_mm512_cmp_ps_mask, _mm512_cvtps_ph};

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn narrow_f16(x: &[f32], out: &mut [Bytes]) {
    for_each_16(x, out, |x| _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x));
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn narrow_bf16(x: &[f32], out: &mut [Bytes]) {
    for_each_16(x, out, |x| {
        let bits = _mm512_castps_si512(x);
        let last = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), last);
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
        let quiet = _mm512_set1_epi32(0x0040_0000);
        let chosen = _mm512_mask_or_epi32(rounded, nan, bits, quiet);
        _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(chosen))
    });
}

/// Stores what `narrow` makes of each sixteen values.
#[inline(always)]
fn for_each_16(x: &[f32], out: &mut [Bytes], narrow: impl Fn(__m512) -> __m256i) {
    let n = x.len().min(out.len());
    for i in (0..n).step_by(16) {
        let present = u16::MAX >> 16usize.saturating_sub(n - i);
        // SAFETY: the mask has elements below `n` only; the callers enable AVX-512.
        unsafe {
            let x = _mm512_maskz_loadu_ps(present, x.as_ptr().add(i));
            _mm256_mask_storeu_epi16(out.as_mut_ptr().add(i).cast(), present, narrow(x));
        }
    }
}
