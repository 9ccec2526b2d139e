//! AVX2: eight values a step, 32 packed into a register of bytes.
//!
//! `vcvtps2dq` rounds as the definition's addition does: to nearest even, by MXCSR. A step of 32 values
//! is 4 loads, 4 products, 4 conversions and 4 packs, and about 10 for the two sums.

use core::arch::x86_64::*;

use super::scalar;
use crate::formats::{ActBlock, BLOCK_32, SUPER_BLOCK};

#[target_feature(enable = "avx2,fma,f16c")]
pub fn quantize_32(x: &[f32], out: &mut [ActBlock]) {
    scalar::for_each_block(x, out, |x, present, out| quantize_block::<BLOCK_32>(x, present, out));
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn quantize_256(x: &[f32], out: &mut [ActBlock]) {
    scalar::for_each_block(x, out, |x, present, out| {
        quantize_block::<SUPER_BLOCK>(x, present, out)
    });
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
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
    for (j, x) in x.as_chunks::<BLOCK_32>().0.iter().enumerate() {
        // A group with the inverse 0 may hold NaN, which must not be converted.
        let quants = match inverse[j] {
            0.0 => _mm256_setzero_si256(),
            inverse => round_32(x, inverse),
        };
        let sums = sums_of_16(quants);
        out.bsums[2 * j..2 * j + 2].copy_from_slice(&sums);
        // SAFETY: `j < 8`, so the 32 bytes lie in `qs`; a block is aligned to 64.
        unsafe { _mm256_store_si256(out.qs[j * BLOCK_32..].as_mut_ptr().cast(), quants) };
    }
}

/// The largest magnitude, as its bits; a multiple of eight values.
#[inline]
#[target_feature(enable = "avx2")]
fn magnitude_bits(x: &[f32]) -> i32 {
    let mut max = _mm256_setzero_si256();
    for x in x.as_chunks::<8>().0 {
        // SAFETY: the array holds 32 bytes.
        let bits = unsafe { _mm256_loadu_si256(x.as_ptr().cast()) };
        let magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(i32::MAX));
        max = _mm256_max_epi32(max, magnitude);
    }
    let max = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256::<1>(max));
    let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b01_00_11_10>(max));
    let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b10_11_00_01>(max));
    _mm_cvtsi128_si32(max)
}

/// The nearest integers to `x * inverse`, which lie in -127..=127, as bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn round_32(x: &[f32; BLOCK_32], inverse: f32) -> __m256i {
    let inverse = _mm256_set1_ps(inverse);
    let words = |i: usize| {
        // SAFETY: `i < 4`: eight values of the 32.
        let x = unsafe { _mm256_loadu_ps(x[8 * i..8 * i + 8].as_ptr()) };
        _mm256_cvtps_epi32(_mm256_mul_ps(x, inverse))
    };
    let low = _mm256_packs_epi32(words(0), words(1));
    let high = _mm256_packs_epi32(words(2), words(3));
    // The packs work on halves: groups of four bytes come out in the order 0 2 4 6 1 3 5 7.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order)
}

/// The sums of the lower and of the upper 16 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn sums_of_16(quants: __m256i) -> [i16; 2] {
    let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), quants);
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    let eights = _mm256_hadd_epi32(fours, fours);
    let sums = _mm256_hadd_epi32(eights, eights);
    [_mm256_extract_epi32::<0>(sums) as i16, _mm256_extract_epi32::<4>(sums) as i16]
}
