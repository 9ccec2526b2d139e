//! What super-blocks hold: scales, minimums and quants, of four blocks at once where they are small.

use core::arch::x86_64::*;

use super::super::{by_half, select, twice};
use super::{GROUP, high, low, words};
use crate::formats::{Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K};
use crate::kernels::uninterpreted::_mm512_permutexvar_epi16;

/// What a group's super-blocks hold beside their quants.
pub struct Heads {
    /// The scales of sub-blocks as i16, of super-blocks 0 and 1, and of 2 and 3: see [`Place`].
    pub scales: [__m512i; 2],
    /// What multiplies the sums of sixteen activations: of super-blocks 0 and 1, and of 2 and 3.
    pub beside: [__m512i; 2],
    /// The four scales of scales; the four of minimums, or anything.
    pub d: __m256,
}

/// 16 bytes from offset `AT` of each of four blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn sixteens<B: Block, const AT: usize>(blocks: [&B; GROUP]) -> __m512i {
    const { assert!(AT + 16 <= size_of::<B>()) };
    // SAFETY: the 16 bytes lie in the block; the load takes any address.
    let [a, b, c, d] = blocks
        .map(|b| unsafe { _mm_loadu_si128(core::ptr::from_ref(b).cast::<u8>().add(AT).cast()) });
    let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
    let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(c), d);
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

/// Two f16 of each of four blocks, 16-bit elements `FIRST` and `FIRST + 1` of each quarter: all the first ones, then the others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,f16c")]
fn scales_of_four<const FIRST: usize>(quarters: __m512i) -> __m256 {
    let at = core::array::from_fn(|i| (i % 4 * 8 + (FIRST + i % 8 / 4) % 8) as i16);
    _mm256_cvtph_ps(_mm512_castsi512_si128(_mm512_permutexvar_epi16(words(at), quarters)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,f16c")]
pub fn q4_k_heads(w: [&BlockQ4K; GROUP]) -> Heads {
    eight_scales_and_mins(sixteens::<_, 0>(w))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,f16c")]
pub fn q5_k_heads(w: [&BlockQ5K; GROUP]) -> Heads {
    eight_scales_and_mins(sixteens::<_, 0>(w))
}

/// The heads of Q4_K and Q5_K, a quarter each: `d`, `dmin`, then twelve bytes of packed scales.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,f16c")]
fn eight_scales_and_mins(heads: __m512i) -> Heads {
    // Words 1 and 2 hold six bits of scales and minimums 0 to 3, and the top two of 4 to 7, whose low four are in word
    // 3 (see `scale_min_k4`). Each quarter becomes: scales 0 to 3, 4 to 7, minimums 0 to 3, 4 to 7.
    let quarters = |a, b, c, d| _mm512_broadcast_i32x4(_mm_setr_epi32(a, b, c, d));
    let first =
        _mm512_srlv_epi32(_mm512_shuffle_epi32::<0b10_10_01_01>(heads), quarters(0, 2, 0, 2));
    let last =
        _mm512_srlv_epi32(_mm512_shuffle_epi32::<0b11_11_11_11>(heads), quarters(0, 0, 0, 4));
    let (six, top) = (0x3f3f_3f3f, 0x3030_3030);
    let bytes = select(quarters(six, top, six, top), first, last);
    let bytes = _mm512_and_si512(bytes, _mm512_set1_epi32(six));
    let zero = _mm512_setzero_si512();
    let scales = _mm512_unpacklo_epi8(bytes, zero);
    let mins = _mm512_unpackhi_epi8(bytes, zero);
    // Each minimum twice.
    let at = words(core::array::from_fn(|i| (i / 2) as i16));
    let mins = [_mm512_permutexvar_epi16(at, mins), _mm512_permutexvar_epi16(at, upper(mins))];
    Heads { scales: [scales, upper(scales)], beside: mins, d: scales_of_four::<0>(heads) }
}

/// The upper half, in the lower one.
#[inline]
#[target_feature(enable = "avx512f")]
fn upper(v: __m512i) -> __m512i {
    _mm512_castsi256_si512(high(v))
}

#[inline]
#[target_feature(enable = "avx512f")]
pub fn q4_k(w: &BlockQ4K) -> [__m512i; 4] {
    let qs = w.qs.as_chunks::<32>().0;
    let nibble = _mm512_set1_epi8(0x0f);
    core::array::from_fn(|g| _mm512_and_si512(nibbles(&qs[g]), nibble))
}

/// In their low four bits: the low nibbles of 32 bytes, then the high ones.
#[inline]
#[target_feature(enable = "avx512f")]
fn nibbles(bytes: &[u8; 32]) -> __m512i {
    _mm512_srlv_epi32(twice(bytes), by_half(0, 4))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub fn q5_k(w: &BlockQ5K) -> [__m512i; 4] {
    let qs = w.qs.as_chunks::<32>().0;
    // Bit `j` of a byte of `qh` is the fifth bit of sub-block `j`.
    let bits = by_nibbles(&w.qh);
    core::array::from_fn(|g| {
        let fifth = _mm512_shuffle_epi8(two_of_four::<0x10>(g % 2), bits[g / 2]);
        masked_or(nibbles(&qs[g]), _mm512_set1_epi8(0x0f), fifth)
    })
}

/// The low nibbles of 32 bytes, twice; and the high ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn by_nibbles(bytes: &[u8; 32]) -> [__m512i; 2] {
    let (bytes, nibble) = (twice(bytes), _mm512_set1_epi8(0x0f));
    [_mm512_and_si512(bytes, nibble), _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), nibble)]
}

/// By a nibble, in the lower half bit `2 n` of it as `AS`, in the upper half bit `2 n + 1`.
#[inline]
#[target_feature(enable = "avx512f")]
fn two_of_four<const AS: u8>(n: usize) -> __m512i {
    let table: [u8; 64] =
        core::array::from_fn(|i| if (i % 16) >> (2 * n + i / 32) & 1 == 1 { AS } else { 0 });
    // SAFETY: the array holds 64 bytes; the load takes any address.
    unsafe { _mm512_loadu_si512(table.as_ptr().cast()) }
}

/// `a & mask | b`.
#[inline]
#[target_feature(enable = "avx512f")]
fn masked_or(a: __m512i, mask: __m512i, b: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xec>(a, b, mask)
}

/// Sixteen scales of each block, a quarter each, as i16: of blocks 0 and 1, and of 2 and 3.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn widened(quarters: __m512i) -> [__m512i; 2] {
    [_mm512_cvtepi8_epi16(low(quarters)), _mm512_cvtepi8_epi16(high(quarters))]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,f16c")]
pub fn q2_k_heads(w: [&BlockQ2K; GROUP]) -> Heads {
    let both = sixteens::<_, 0>(w);
    let nibble = _mm512_set1_epi8(0x0f);
    let scales = widened(_mm512_and_si512(both, nibble));
    let mins = widened(_mm512_and_si512(_mm512_srli_epi16::<4>(both), nibble));
    let d = scales_of_four::<6>(sixteens::<_, 68>(w));
    Heads { scales, beside: mins, d }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub fn q2_k(w: &BlockQ2K) -> [__m512i; 4] {
    let qs = w.qs.as_chunks::<32>().0;
    core::array::from_fn(|t| _mm512_and_si512(two_bits(&qs[t / 2], t), _mm512_set1_epi8(3)))
}

/// In their low two bits: the fields `2 (t % 2)` and `2 (t % 2) + 1` of two bits of 32 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn two_bits(bytes: &[u8; 32], t: usize) -> __m512i {
    let first = 4 * (t % 2) as i32;
    _mm512_srlv_epi32(twice(bytes), by_half(first, first + 2))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,f16c")]
pub fn q3_k_heads(w: [&BlockQ3K; GROUP]) -> Heads {
    // Two bytes of quants, twelve of scales, and d. Of the scales: words `a` and `b` hold low nibbles of 0 to 7, and of 8 to 15
    // in their high ones; the last word two bits of each. (See `q3_k_scale_words`.)
    let heads = sixteens::<_, 94>(w);
    let quarters = |a, b, c, d| _mm512_broadcast_i32x4(_mm_setr_epi32(a, b, c, d));
    let (first, second, last) = (0x0504_0302, 0x0908_0706, 0x0d0c_0b0a);
    let low = _mm512_shuffle_epi8(heads, quarters(first, second, first, second));
    let low = _mm512_srlv_epi32(low, quarters(0, 0, 4, 4));
    let top = _mm512_shuffle_epi8(heads, quarters(last, last, last, last));
    let top = _mm512_rolv_epi32(top, quarters(4, 2, 0, 30));
    let bits = select(_mm512_set1_epi8(0x0f), low, top);
    let bits = _mm512_and_si512(bits, _mm512_set1_epi8(0x3f));
    let scales = widened(_mm512_sub_epi8(bits, _mm512_set1_epi8(32)));
    let d = scales_of_four::<7>(heads);
    Heads { scales, beside: scales, d }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub fn q3_k(w: &BlockQ3K) -> [__m512i; 4] {
    let qs = w.qs.as_chunks::<32>().0;
    // Bit `j` of a byte of `hmask` belongs to sub-block `j`. It counts 4, and the weight is 4 less than the three bits.
    let bits = by_nibbles(&w.hmask);
    core::array::from_fn(|t| {
        let third = _mm512_shuffle_epi8(two_of_four::<4>(t % 2), bits[t / 2]);
        masked_or(two_bits(&qs[t / 2], t), _mm512_set1_epi8(3), third)
    })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,f16c")]
pub fn q6_k_heads(w: [&BlockQ6K; GROUP]) -> Heads {
    let scales = widened(sixteens::<_, 192>(w));
    let d = scales_of_four::<7>(sixteens::<_, 194>(w));
    Heads { scales, beside: scales, d }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub fn q6_k(w: &BlockQ6K) -> [__m512i; 4] {
    let (ql, qh) = (w.ql.as_chunks::<64>().0, w.qh.as_chunks::<32>().0);
    core::array::from_fn(|t| {
        let (h, upper) = (t / 2, t % 2 == 1);
        // SAFETY: the array holds 64 bytes; the load takes any address.
        let four = unsafe { _mm512_loadu_si512(ql[h].as_ptr().cast()) };
        let four = if upper { _mm512_srli_epi16::<4>(four) } else { four };
        // Fields of two bits, to bits 4 and 5.
        let turn = if upper { by_half(0, 30) } else { by_half(4, 2) };
        let two = _mm512_rolv_epi32(twice(&qh[h]), turn);
        let bits = select(_mm512_set1_epi8(0x0f), four, two);
        _mm512_and_si512(bits, _mm512_set1_epi8(0x3f))
    })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,f16c")]
pub fn q8_k_heads(w: [&BlockQ8K; GROUP]) -> Heads {
    let [a, b, c, d] = w.map(|w| f32::from_le_bytes(w.d));
    Heads {
        scales: [_mm512_set1_epi16(1); 2],
        beside: [_mm512_set1_epi16(1); 2],
        d: _mm256_setr_ps(a, b, c, d, 0.0, 0.0, 0.0, 0.0),
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub fn q8_k(w: &BlockQ8K) -> [__m512i; 4] {
    let qs = w.qs.as_chunks::<64>().0;
    core::array::from_fn(|t| {
        // SAFETY: the array holds 64 bytes; the load takes any address.
        let signed = unsafe { _mm512_loadu_si512(qs[t].as_ptr().cast()) };
        // 128 more, as an unsigned byte.
        _mm512_xor_si512(signed, _mm512_set1_epi8(-128))
    })
}
