//! Super-blocks of eight rows, unpacked and interleaved: unsigned bytes, and what they are multiplied by.
//!
//! Words of 32 bits are interleaved as they are packed, and unpacked then, eight rows at once: a word of nibbles is moved once for
//! the two words of bytes that it becomes.

use core::arch::x86_64::*;

use super::MR;
use crate::formats::{
    Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, q3_k_scale_words, scale_min_words,
};
use crate::kernels::qdot::avx2::super_blocks::{load, two_bits};

/// Four neighbours of each row.
pub type Four = [u8; 32];

/// Of each run of values that share one, the scale of a row; and what multiplies the sum of such a run of activations, which is nothing
/// where there is an offset. All are below 128 but the scales of Q3_K and Q6_K, which have a sign.
pub type Factors = [[u8; 16]; 2];

/// A format whose rows can be interleaved.
pub trait Interleave: Block {
    /// Values that share a scale: 16 or 32.
    const SHARED: usize;
    /// What quants are above their weights; 0 where there are minimums instead.
    const OFFSET: i16;

    /// Values `4 i` to `4 i + 3` of each row, unsigned, to `out[i]`.
    ///
    /// # Safety
    /// The caller enables AVX2.
    unsafe fn quants(rows: [&Self; MR], out: &mut [Four; 64]);

    /// The scales and minimums of a row: 16, or 8 and what does not matter.
    fn factors(&self) -> Factors;

    /// `d` and `dmin`, which is 0 where there are no minimums.
    fn halves(&self) -> [[u8; 2]; 2];
}

/// Of Q4_K and Q5_K.
#[inline(always)]
fn scales_and_mins(packed: &[u8; 12]) -> Factors {
    scale_min_words(packed).map(|words| u128::from(words).to_le_bytes())
}

/// Words `8 part` to `8 part + 7` of each row, as `of` finds its bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn words<B, const N: usize>(
    rows: &[&B; MR],
    part: usize,
    of: impl Fn(&B) -> &[u8; N],
) -> [__m256i; 8] {
    let mut parts = [_mm256_setzero_si256(); MR];
    for (bytes, row) in parts.iter_mut().zip(rows) {
        *bytes = load(&of(row).as_chunks().0[part]);
    }
    transposed(parts)
}

#[inline]
#[target_feature(enable = "avx2")]
fn and(x: __m256i, mask: i8) -> __m256i {
    _mm256_and_si256(x, _mm256_set1_epi8(mask))
}

/// The low nibbles of bytes, then their high ones.
#[inline]
#[target_feature(enable = "avx2")]
fn nibbles(bytes: __m256i) -> [__m256i; 2] {
    [and(bytes, 0x0f), and(_mm256_srli_epi16::<4>(bytes), 0x0f)]
}

/// Bytes shifted to the right, or by a negative count to the left, and masked.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(bytes: __m256i, right: i32, mask: i8) -> __m256i {
    // Of words of 16 bits: what crosses from the other byte is masked away.
    let moved = if right >= 0 {
        _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(right))
    } else {
        _mm256_sll_epi16(bytes, _mm_cvtsi32_si128(-right))
    };
    and(moved, mask)
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(register: __m256i, out: &mut Four) {
    // SAFETY: the array holds 32 bytes.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), register) };
}

impl Interleave for BlockQ4K {
    const SHARED: usize = 32;
    const OFFSET: i16 = 0;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(rows: [&Self; MR], out: &mut [Four; 64]) {
        for (g, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            for (i, packed) in words(&rows, g, |b| &b.qs).into_iter().enumerate() {
                let [low, high] = nibbles(packed);
                store(low, &mut out[i]);
                store(high, &mut out[8 + i]);
            }
        }
    }
    #[inline(always)]
    fn factors(&self) -> Factors {
        scales_and_mins(&self.scales)
    }
    #[inline(always)]
    fn halves(&self) -> [[u8; 2]; 2] {
        [self.d, self.dmin]
    }
}

impl Interleave for BlockQ5K {
    const SHARED: usize = 32;
    const OFFSET: i16 = 0;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(rows: [&Self; MR], out: &mut [Four; 64]) {
        let fifths = words(&rows, 0, |b| &b.qh);
        for (g, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let packed = words(&rows, g, |b| &b.qs);
            for (i, (packed, fifths)) in packed.into_iter().zip(fifths).enumerate() {
                let [low, high] = nibbles(packed);
                let fifth = |j: usize| bits(fifths, j as i32 - 4, 0x10);
                store(_mm256_or_si256(low, fifth(2 * g)), &mut out[i]);
                store(_mm256_or_si256(high, fifth(2 * g + 1)), &mut out[8 + i]);
            }
        }
    }
    #[inline(always)]
    fn factors(&self) -> Factors {
        scales_and_mins(&self.scales)
    }
    #[inline(always)]
    fn halves(&self) -> [[u8; 2]; 2] {
        [self.d, self.dmin]
    }
}

impl Interleave for BlockQ6K {
    const SHARED: usize = 16;
    const OFFSET: i16 = 32;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(rows: [&Self; MR], out: &mut [Four; 64]) {
        for (half, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let tops = words(&rows, half, |b| &b.qh);
            for part in 0..2 {
                let packed = words(&rows, 2 * half + part, |b| &b.ql);
                for (i, (packed, tops)) in packed.into_iter().zip(tops).enumerate() {
                    let [low, high] = nibbles(packed);
                    let top = |b: usize| bits(tops, 2 * b as i32 - 4, 0x30);
                    store(_mm256_or_si256(low, top(part)), &mut out[8 * part + i]);
                    store(_mm256_or_si256(high, top(2 + part)), &mut out[8 * (2 + part) + i]);
                }
            }
        }
    }
    #[inline(always)]
    fn factors(&self) -> Factors {
        [self.scales.map(|s| s as u8), [0; 16]]
    }
    #[inline(always)]
    fn halves(&self) -> [[u8; 2]; 2] {
        [self.d, [0; 2]]
    }
}

impl Interleave for BlockQ2K {
    const SHARED: usize = 16;
    const OFFSET: i16 = 0;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(rows: [&Self; MR], out: &mut [Four; 64]) {
        for (half, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (i, packed) in words(&rows, half, |b| &b.qs).into_iter().enumerate() {
                for (b, quants) in two_bits(packed).into_iter().enumerate() {
                    store(quants, &mut out[8 * b + i]);
                }
            }
        }
    }
    #[inline(always)]
    fn factors(&self) -> Factors {
        [self.scales.map(|s| s & 15), self.scales.map(|s| s >> 4)]
    }
    #[inline(always)]
    fn halves(&self) -> [[u8; 2]; 2] {
        [self.d, self.dmin]
    }
}

impl Interleave for BlockQ3K {
    const SHARED: usize = 16;
    const OFFSET: i16 = 4;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(rows: [&Self; MR], out: &mut [Four; 64]) {
        let tops = words(&rows, 0, |b| &b.hmask);
        for (half, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let packed = words(&rows, half, |b| &b.qs);
            for (i, (packed, tops)) in packed.into_iter().zip(tops).enumerate() {
                for (b, low) in two_bits(packed).into_iter().enumerate() {
                    let top = bits(tops, (4 * half + b) as i32 - 2, 4);
                    store(_mm256_or_si256(low, top), &mut out[8 * b + i]);
                }
            }
        }
    }
    #[inline(always)]
    fn factors(&self) -> Factors {
        let words = q3_k_scale_words(&self.scales).map(u32::to_le_bytes);
        [core::array::from_fn(|j| words[j / 4][j % 4].wrapping_sub(32)), [0; 16]]
    }
    #[inline(always)]
    fn halves(&self) -> [[u8; 2]; 2] {
        [self.d, [0; 2]]
    }
}

/// Bytes `8 part` to `8 part + 7` of eight rows, transposed: element `j` has byte `2 j` of every row, then byte `2 j + 1`.
#[inline]
#[target_feature(enable = "avx2")]
pub fn byte_pairs(rows: &[[u8; 16]; MR], part: usize) -> [__m128i; 4] {
    let row = |r: usize| {
        // SAFETY: the array holds eight bytes from there on.
        unsafe { _mm_loadl_epi64(rows[r][8 * part..].as_ptr().cast()) }
    };
    let two = |r| _mm_unpacklo_epi8(row(r), row(r + 1));
    let four = |r| {
        let (a, b) = (two(r), two(r + 2));
        [_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b)]
    };
    let ([a, b], [c, d]) = (four(0), four(4));
    [
        _mm_unpacklo_epi32(a, c),
        _mm_unpackhi_epi32(a, c),
        _mm_unpacklo_epi32(b, d),
        _mm_unpackhi_epi32(b, d),
    ]
}

/// Of a register of [`byte_pairs`], words of two bytes for each row, each as 16 bits with its sign: the byte of places `low` and that of `high`,
/// which count from 0 for the first byte and 8 for the second.
#[inline]
#[target_feature(enable = "avx2")]
pub fn word_pairs(pairs: __m128i, low: u8, high: u8) -> __m256i {
    // Bytes in the upper half of each 16 bits, with anything below.
    let mut places = [0u8; 32];
    for (r, place) in places.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *place = [0x80, low + r as u8, 0x80, high + r as u8];
    }
    let both = _mm256_broadcastsi128_si256(pairs);
    _mm256_srai_epi16::<8>(_mm256_shuffle_epi8(both, load(&places)))
}

/// Eight rows of eight 32-bit words, transposed.
#[inline]
#[target_feature(enable = "avx2")]
pub fn transposed(r: [__m256i; 8]) -> [__m256i; 8] {
    let pairs = |a, b| [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)];
    let fours = |a, b| [_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)];
    let quarter = |a, b, c, d| {
        let ([low_0, high_0], [low_1, high_1]) = (pairs(a, b), pairs(c, d));
        let ([w0, w1], [w2, w3]) = (fours(low_0, low_1), fours(high_0, high_1));
        [w0, w1, w2, w3]
    };
    // Words 0 to 3 of four rows in the lower halves, 4 to 7 in the upper ones.
    let first = quarter(r[0], r[1], r[2], r[3]);
    let second = quarter(r[4], r[5], r[6], r[7]);
    core::array::from_fn(|i| {
        let (a, b) = (first[i % 4], second[i % 4]);
        if i < 4 {
            _mm256_permute2x128_si256::<0x20>(a, b)
        } else {
            _mm256_permute2x128_si256::<0x31>(a, b)
        }
    })
}
