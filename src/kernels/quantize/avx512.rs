//! AVX-512: sixteen values a step, whose low bytes `vpmovdb` takes.
//!
//! Rounding is the definition's own, by an addition: its low bytes are the quants. The sums of sixteen bytes are those of a quarter of a register: `vpdpbusd` is not part
//! of this level, so `vpmaddubsw` and `vpmaddwd` by ones, and two shuffles.

use core::arch::x86_64::*;

use super::scalar;
use crate::formats::{ActBlock, BLOCK_32, SUPER_BLOCK};

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn quantize_32(x: &[f32], out: &mut [ActBlock]) {
    scalar::for_each_block(x, out, |x, present, out| quantize_block::<BLOCK_32>(x, present, out));
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn quantize_256(x: &[f32], out: &mut [ActBlock]) {
    scalar::for_each_block(x, out, |x, present, out| {
        quantize_block::<SUPER_BLOCK>(x, present, out)
    });
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn quantize_block<const GROUP: usize>(x: &[f32; SUPER_BLOCK], present: usize, out: &mut ActBlock) {
    const SCALES: usize = SUPER_BLOCK / BLOCK_32;
    let mut inverse = [0.0; SCALES];
    for (i, group) in x.chunks_exact(GROUP).enumerate() {
        let (d, inv) = scalar::scale(magnitude_bits(group));
        let scales = i * GROUP / BLOCK_32..(i + 1) * GROUP / BLOCK_32;
        inverse[scales.clone()].fill(inv);
        for j in scales {
            out.d[j] = if j * BLOCK_32 < present { d } else { 0.0 };
        }
    }
    let sixteens = x.as_chunks::<16>().0;
    for (t, qs) in out.qs.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let quants = |i: usize| round_16(&sixteens[4 * t + i], inverse[2 * t + i / 2]);
        let low = _mm256_set_m128i(quants(1), quants(0));
        let high = _mm256_set_m128i(quants(3), quants(2));
        let quants = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
        // SAFETY: the array holds 64 bytes.
        unsafe { _mm512_storeu_si512(qs.as_mut_ptr().cast(), quants) };
        let pairs = _mm512_maddubs_epi16(_mm512_set1_epi8(1), quants);
        let fours = _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
        let eights = _mm512_add_epi32(fours, _mm512_shuffle_epi32::<0b10_11_00_01>(fours));
        let sums = _mm512_add_epi32(eights, _mm512_shuffle_epi32::<0b01_00_11_10>(eights));
        // Lane 0 of each quarter first.
        let order = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        let words = _mm512_cvtepi32_epi16(_mm512_permutexvar_epi32(order, sums));
        let words = _mm_cvtsi128_si64(_mm256_castsi256_si128(words)) as u64;
        for (i, sum) in out.bsums[4 * t..4 * t + 4].iter_mut().enumerate() {
            *sum = (words >> (16 * i)) as i16;
        }
    }
}

/// The largest magnitude, as its bits; a multiple of 32 values.
#[inline]
#[target_feature(enable = "avx512f")]
fn magnitude_bits(x: &[f32]) -> i32 {
    let mut max = [_mm512_setzero_si512(); 2];
    for x in x.as_chunks::<32>().0 {
        for (max, x) in max.iter_mut().zip(x.as_chunks::<16>().0) {
            // SAFETY: the array holds 64 bytes.
            let bits = unsafe { _mm512_loadu_si512(x.as_ptr().cast()) };
            *max = _mm512_max_epi32(*max, _mm512_and_si512(bits, _mm512_set1_epi32(i32::MAX)));
        }
    }
    _mm512_reduce_max_epi32(_mm512_max_epi32(max[0], max[1]))
}

/// The nearest integers to `x * inverse`, which lie in -127..=127, as bytes; zeros where the inverse is 0: the group may hold NaN.
#[inline]
#[target_feature(enable = "avx512f")]
fn round_16(x: &[f32; 16], inverse: f32) -> __m128i {
    // SAFETY: the array holds 64 bytes.
    let x = unsafe { _mm512_loadu_ps(x.as_ptr()) };
    let scaled = _mm512_mul_ps(x, _mm512_set1_ps(inverse));
    let rounded = _mm512_add_ps(scaled, _mm512_set1_ps(scalar::ROUND));
    match inverse {
        0.0 => _mm_setzero_si128(),
        _ => _mm512_cvtepi32_epi8(_mm512_castps_si512(rounded)),
    }
}
