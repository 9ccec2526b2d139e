//! Super-blocks, in two steps: all their quants to bytes, then 32 at a time to values.
//!
//! Between the steps bytes and scales lie in memory, in the first-level cache, where a scale is broadcast by its
//! load. To keep them in registers, the compiler stores accumulators instead, and spreads scales by shuffles:
//! with that and the two shuffles of `halves_order`, a Q5_K row took 1.3 times as long.

use core::arch::x86_64::*;

use super::{TOP_BYTE, splat_top_byte, spread};
use crate::formats::{Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K};
use crate::kernels::qdot::avx2::super_blocks::{load, q3_k_scales, scale_min_bytes, two_bits};

/// A super-block whose values come in registers.
pub trait Values256: Block {
    /// The block, ready for [`values`](Self::values).
    type Unpacked<'a>;

    /// Does what all values need; `order` is [`halves_order`](super::halves_order).
    ///
    /// # Safety
    /// To be called where AVX2, FMA and F16C are enabled.
    unsafe fn unpack(&self, order: __m256i) -> Self::Unpacked<'_>;

    /// The values of sub-block `j < 8`, 32 of them, in order.
    ///
    /// # Safety
    /// As for [`unpack`](Self::unpack).
    unsafe fn values(unpacked: &Self::Unpacked<'_>, j: usize) -> [__m256; 4];
}

/// A super-block of `N` sub-blocks, with minimums or without.
pub struct Bytes<const N: usize, const MINS: bool> {
    /// 32 quants each, in the order of `halves_order`.
    pub quants: [__m256i; 8],
    /// `d · scale · 2⁻²⁴` of the sub-blocks.
    pub d: [f32; N],
    /// `dmin · min` of the sub-blocks.
    pub m: [f32; N],
}

impl<const N: usize, const MINS: bool> Bytes<N, MINS> {
    #[inline(always)]
    unsafe fn values(&self, j: usize) -> [__m256; 4] {
        // SAFETY: called by the methods below only, whose callers promise the features.
        unsafe {
            let mut out = [_mm256_setzero_ps(); 4];
            for (k, out) in out.iter_mut().enumerate() {
                let scale = (32 * j + 8 * k) * N / 256;
                let (d, q) = (_mm256_set1_ps(self.d[scale]), spread(self.quants[j], k));
                *out = if MINS {
                    _mm256_fmsub_ps(d, q, _mm256_set1_ps(self.m[scale]))
                } else {
                    _mm256_mul_ps(d, q)
                };
            }
            out
        }
    }
}

/// Implements the trait for a block that unpacks into [`Bytes`].
macro_rules! by_bytes {
    ($block:ty, $unpack:ident, $n:literal, mins: $mins:literal) => {
        impl Values256 for $block {
            type Unpacked<'a> = Bytes<$n, $mins>;

            #[inline(always)]
            unsafe fn unpack(&self, order: __m256i) -> Bytes<$n, $mins> {
                // SAFETY: the caller promises the features.
                unsafe { $unpack(self, order) }
            }

            #[inline(always)]
            unsafe fn values(unpacked: &Bytes<$n, $mins>, j: usize) -> [__m256; 4] {
                // SAFETY: the caller promises the features.
                unsafe { unpacked.values(j) }
            }
        }
    };
}

by_bytes!(BlockQ2K, q2_k, 16, mins: true);
by_bytes!(BlockQ3K, q3_k, 16, mins: false);
by_bytes!(BlockQ4K, q4_k, 8, mins: true);
by_bytes!(BlockQ5K, q5_k, 8, mins: true);
by_bytes!(BlockQ6K, q6_k, 16, mins: false);

/// Loads of 32 bytes in the order of `halves_order`.
#[inline]
#[target_feature(enable = "avx2")]
fn load_in_halves<const N: usize>(bytes: &[[u8; 32]], order: __m256i) -> [__m256i; N] {
    let mut out = [_mm256_setzero_si256(); N];
    for (out, bytes) in out.iter_mut().zip(bytes) {
        *out = _mm256_permutevar8x32_epi32(load(bytes), order);
    }
    out
}

/// Eight of the sixteen signed bytes times `d`.
#[inline]
#[target_feature(enable = "avx2")]
fn products(bytes: __m128i, d: __m256) -> [f32; 8] {
    let products = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
    let mut out = [0.0; 8];
    // SAFETY: the array holds eight f32; the store takes any address.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), products) }
    out
}

/// The sixteen signed bytes times `d`.
#[inline]
#[target_feature(enable = "avx2")]
fn all_products(bytes: __m128i, d: __m256) -> [f32; 16] {
    let mut out = [0.0; 16];
    out[..8].copy_from_slice(&products(bytes, d));
    out[8..].copy_from_slice(&products(_mm_unpackhi_epi64(bytes, bytes), d));
    out
}

/// `d · 2⁻²⁴` and `dmin`, each in every lane.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn splat_pair(d: [u8; 2], dmin: [u8; 2]) -> (__m256, __m256) {
    let both = i32::from_le_bytes([d[0], d[1], dmin[0], dmin[1]]);
    let both = _mm_cvtph_ps(_mm_cvtsi32_si128(both));
    let both = _mm_mul_ps(both, _mm_setr_ps(TOP_BYTE, 1.0, 0.0, 0.0));
    (_mm256_broadcastss_ps(both), _mm256_broadcastss_ps(_mm_movehdup_ps(both)))
}

/// The scales and minimums of Q4_K and Q5_K.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn scales_k4(d: [u8; 2], dmin: [u8; 2], packed: &[u8; 12]) -> ([f32; 8], [f32; 8]) {
    let bytes = scale_min_bytes(packed);
    let (d, dmin) = splat_pair(d, dmin);
    (products(bytes, d), products(_mm_unpackhi_epi64(bytes, bytes), dmin))
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn q2_k(w: &BlockQ2K, order: __m256i) -> Bytes<16, true> {
    // SAFETY: `scales` are 16 bytes: a scale in the low nibble of each, a minimum in the high one.
    let both = unsafe { _mm_loadu_si128(w.scales.as_ptr().cast()) };
    let nibble = _mm_set1_epi8(0x0f);
    let mins = _mm_and_si128(_mm_srli_epi16::<4>(both), nibble);
    let (d, dmin) = splat_pair(w.d, w.dmin);
    let [low, high] = load_in_halves::<2>(w.qs.as_chunks().0, order).map(|qs| two_bits(qs));
    Bytes {
        quants: [low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]],
        d: all_products(_mm_and_si128(both, nibble), d),
        m: all_products(mins, dmin),
    }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn q3_k(w: &BlockQ3K, order: __m256i) -> Bytes<16, false> {
    let [low, high] = load_in_halves::<2>(w.qs.as_chunks().0, order).map(|qs| two_bits(qs));
    let mut quants = [low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]];
    let four = _mm256_set1_epi8(4);
    // Bit `j` is the third one of sub-block `j`: 4 is taken away where it is clear. The shifts are of 16-bit
    // words; what crosses from the other byte is masked away.
    let third = _mm256_permutevar8x32_epi32(load(&w.hmask), order);
    let third = [
        _mm256_slli_epi16::<2>(third),
        _mm256_slli_epi16::<1>(third),
        third,
        _mm256_srli_epi16::<1>(third),
        _mm256_srli_epi16::<2>(third),
        _mm256_srli_epi16::<3>(third),
        _mm256_srli_epi16::<4>(third),
        _mm256_srli_epi16::<5>(third),
    ];
    for (q, third) in quants.iter_mut().zip(third) {
        *q = _mm256_sub_epi8(*q, _mm256_andnot_si256(third, four));
    }
    let d = all_products(q3_k_scales(&w.scales), splat_top_byte(w.d));
    Bytes { quants, d, m: [0.0; 16] }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn q4_k(w: &BlockQ4K, order: __m256i) -> Bytes<8, true> {
    let nibble = _mm256_set1_epi8(0x0f);
    let mut quants = [nibble; 8];
    for (g, qs) in load_in_halves::<4>(w.qs.as_chunks().0, order).into_iter().enumerate() {
        quants[2 * g] = _mm256_and_si256(qs, nibble);
        quants[2 * g + 1] = _mm256_and_si256(_mm256_srli_epi16::<4>(qs), nibble);
    }
    let (d, m) = scales_k4(w.d, w.dmin, &w.scales);
    Bytes { quants, d, m }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn q5_k(w: &BlockQ5K, order: __m256i) -> Bytes<8, true> {
    let nibble = _mm256_set1_epi8(0x0f);
    let bit_4 = _mm256_set1_epi8(0x10);
    // Bit `j` is the fifth one of sub-block `j`.
    let fifth = _mm256_permutevar8x32_epi32(load(&w.qh), order);
    let mut quants = [
        _mm256_slli_epi16::<4>(fifth),
        _mm256_slli_epi16::<3>(fifth),
        _mm256_slli_epi16::<2>(fifth),
        _mm256_slli_epi16::<1>(fifth),
        fifth,
        _mm256_srli_epi16::<1>(fifth),
        _mm256_srli_epi16::<2>(fifth),
        _mm256_srli_epi16::<3>(fifth),
    ];
    for (g, qs) in load_in_halves::<4>(w.qs.as_chunks().0, order).into_iter().enumerate() {
        for (h, qs) in [qs, _mm256_srli_epi16::<4>(qs)].into_iter().enumerate() {
            let fifth = _mm256_and_si256(quants[2 * g + h], bit_4);
            quants[2 * g + h] = _mm256_or_si256(_mm256_and_si256(qs, nibble), fifth);
        }
    }
    let (d, m) = scales_k4(w.d, w.dmin, &w.scales);
    Bytes { quants, d, m }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn q6_k(w: &BlockQ6K, order: __m256i) -> Bytes<16, false> {
    let nibble = _mm256_set1_epi8(0x0f);
    let bits_4_5 = _mm256_set1_epi8(0x30);
    let offset = _mm256_set1_epi8(32);
    let low = load_in_halves::<4>(w.ql.as_chunks().0, order);
    let high = load_in_halves::<2>(w.qh.as_chunks().0, order);
    let mut quants = [offset; 8];
    for half in 0..2 {
        let (low, high) = (&low[2 * half..2 * half + 2], high[half]);
        let fields = [
            (low[0], _mm256_slli_epi16::<4>(high)),
            (low[1], _mm256_slli_epi16::<2>(high)),
            (_mm256_srli_epi16::<4>(low[0]), high),
            (_mm256_srli_epi16::<4>(low[1]), _mm256_srli_epi16::<2>(high)),
        ];
        for (b, (low, high)) in fields.into_iter().enumerate() {
            let all =
                _mm256_or_si256(_mm256_and_si256(low, nibble), _mm256_and_si256(high, bits_4_5));
            quants[4 * half + b] = _mm256_sub_epi8(all, offset);
        }
    }
    // SAFETY: `scales` are 16 bytes.
    let scales = unsafe { _mm_loadu_si128(w.scales.as_ptr().cast()) };
    Bytes { quants, d: all_products(scales, splat_top_byte(w.d)), m: [0.0; 16] }
}

impl Values256 for BlockQ8K {
    type Unpacked<'a> = &'a BlockQ8K;

    #[inline(always)]
    unsafe fn unpack(&self, _: __m256i) -> &BlockQ8K {
        self
    }

    #[inline(always)]
    unsafe fn values(block: &&BlockQ8K, j: usize) -> [__m256; 4] {
        // SAFETY: the caller promises the features; each load reads 8 of the 256 quants.
        unsafe {
            let d = _mm256_set1_ps(f32::from_le_bytes(block.d));
            let mut out = [d; 4];
            let quants = &block.qs.as_chunks::<32>().0[j];
            for (out, q) in out.iter_mut().zip(quants.as_chunks::<8>().0) {
                let q = _mm256_cvtepi8_epi32(_mm_loadl_epi64(q.as_ptr().cast()));
                *out = _mm256_mul_ps(d, _mm256_cvtepi32_ps(q));
            }
            out
        }
    }
}
