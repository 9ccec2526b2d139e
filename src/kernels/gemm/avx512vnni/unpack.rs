//! Super-blocks of sixteen rows, unpacked: transposed as they are packed, so that fewer bytes are moved, and each
//! operation unpacks four values of every row.

use core::arch::x86_64::*;

use super::{LANES, Panel, Sums};
use crate::formats::{ActBlock, Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K};

/// A format whose rows can be interleaved.
pub trait Interleave: Block {
    /// Values that share a scale of the panel: 16 or 32; 256 where weights were multiplied by theirs.
    const SHARED: usize;
    /// Pairs of minimums, which `dmin` multiplies; 0 where there are none.
    const PAIRS: usize;
    /// Whether each sum begins at what [`sums`](Self::sums) tells, because weights are stored above themselves.
    const HAS_OFFSET: bool;

    /// Writes half of a panel.
    ///
    /// # Safety
    /// The caller enables AVX2, F16C and AVX-512 F, BW, DQ and VL.
    unsafe fn interleave(rows: [&Self; LANES], half: usize, panel: &mut Panel);

    /// The offsets of each sum, or the sums that pairs of minimums multiply, two of 16 bits.
    ///
    /// # Safety
    /// As for [`interleave`](Self::interleave).
    unsafe fn sums(x: &ActBlock, out: &mut Sums);
}

// Weight times scale fits an unsigned byte: of Q2_K as it is, of Q3_K with 127 added.
const _: () = {
    assert!(3 * 15 <= u8::MAX as i32);
    let (mut weight, mut scale) = (-4, -32);
    while scale < 32 {
        while weight < 4 {
            assert!(weight * scale + 127 >= 0 && weight * scale + 127 <= u8::MAX as i32);
            weight += 1;
        }
        (weight, scale) = (-4, scale + 1);
    }
};

/// The 16 bytes at `AT` of each row: in register `i`, word `i` of every row.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn words<B: Block, const AT: usize>(rows: &[&B; LANES]) -> [__m512i; 4] {
    const { assert!(AT + 16 <= size_of::<B>()) };
    // SAFETY: the bytes lie in the block.
    let load = |r: usize| unsafe {
        _mm_loadu_si128(core::ptr::from_ref(rows[r]).cast::<u8>().add(AT).cast())
    };
    // A lane of 128 bits takes four rows, and a register one of each four.
    let [a, b, c, d] = core::array::from_fn(|r| {
        let x = _mm512_castsi128_si512(load(r));
        let x = _mm512_inserti32x4::<1>(x, load(r + 4));
        let x = _mm512_inserti32x4::<2>(x, load(r + 8));
        _mm512_inserti32x4::<3>(x, load(r + 12))
    });
    let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
    let (ef, gh) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab, cd),
        _mm512_unpackhi_epi64(ab, cd),
        _mm512_unpacklo_epi64(ef, gh),
        _mm512_unpackhi_epi64(ef, gh),
    ]
}

/// As [`words`], of 32 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn eight<B: Block, const AT: usize, const NEXT: usize>(rows: &[&B; LANES]) -> [__m512i; 8] {
    const { assert!(NEXT == AT + 16) };
    let ([a, b, c, d], [e, f, g, h]) = (words::<B, AT>(rows), words::<B, NEXT>(rows));
    [a, b, c, d, e, f, g, h]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<T>(x: __m512i, out: &mut [T; LANES]) {
    const { assert!(size_of::<T>() == 4) };
    // SAFETY: the array holds 64 bytes; its elements are numbers.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), x) };
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store_quants(x: __m512i, out: &mut [u8; 4 * LANES]) {
    // SAFETY: the array holds 64 bytes.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), x) };
}

/// Halves in the lower 16 bits of each lane.
#[inline]
#[target_feature(enable = "avx512f,f16c")]
pub(super) fn store_halves(x: __m512i, out: &mut [f32; LANES]) {
    let halves = _mm512_cvtepi32_epi16(x);
    let (low, high) = out.split_at_mut(8);
    // SAFETY: each half of the array holds eight numbers.
    unsafe {
        let eight = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
        _mm256_storeu_ps(low.as_mut_ptr(), eight);
        let eight = _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(halves));
        _mm256_storeu_ps(high.as_mut_ptr(), eight);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn and(x: __m512i, mask: i32) -> __m512i {
    _mm512_and_si512(x, _mm512_set1_epi32(mask))
}

/// Bits of bytes moved up by `up`, or down if it is negative, and masked: what crosses from another byte is masked away.
#[inline]
#[target_feature(enable = "avx512f")]
fn bits(x: __m512i, up: i32, mask: i32) -> __m512i {
    and(_mm512_rolv_epi32(x, _mm512_set1_epi32(up & 31)), mask)
}

const LOW_4: i32 = 0x0f0f_0f0f;

/// Of Q4_K and Q5_K: scales, minimums and what multiplies both.
#[inline]
#[target_feature(enable = "avx2,f16c,avx512f")]
fn scales_and_mins<B: Block>(rows: &[&B; LANES], half: usize, panel: &mut Panel) {
    // As `formats::scale_min_words`.
    let [d, s, m, low] = words::<B, 0>(rows);
    store_halves(d, &mut panel.d[half]);
    store_halves(_mm512_srli_epi32::<16>(d), &mut panel.dmin[half]);
    let six = |low, top| {
        let top = bits(top, -2, 0x3030_3030);
        [and(low, 0x3f3f_3f3f), _mm512_or_si512(top, low_4(low))]
    };
    let scales = [and(s, 0x3f3f_3f3f), six(low, s)[1]];
    let mins = [and(m, 0x3f3f_3f3f), six(_mm512_srli_epi32::<4>(low), m)[1]];
    for (j, out) in panel.scales[..8].iter_mut().enumerate() {
        let down = _mm512_set1_epi32(8 * (j % 4) as i32);
        store(and(_mm512_srlv_epi32(scales[j / 4], down), 0xff), &mut out[half]);
    }
    for (g, out) in panel.mins[..4].iter_mut().enumerate() {
        let two = _mm512_srlv_epi32(mins[g / 2], _mm512_set1_epi32(16 * (g % 2) as i32));
        let second = _mm512_slli_epi32::<8>(and(two, 0xff00));
        store(_mm512_or_si512(and(two, 0xff), second), &mut out[half]);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn low_4(x: __m512i) -> __m512i {
    and(x, LOW_4)
}

/// The sums of 32 activations, two a word.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn pairs_of_32(x: &ActBlock, out: &mut Sums) {
    // SAFETY: `bsums` are 32 bytes, and `out` has room for 16.
    unsafe {
        let sums = _mm256_loadu_si256(x.bsums.as_ptr().cast());
        let sums = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
        // A sum of 32 fits 16 bits: `qdot::bounds`.
        _mm_storeu_si128(out.as_mut_ptr().cast(), _mm256_cvtepi32_epi16(sums));
    }
}

impl Interleave for BlockQ4K {
    const SHARED: usize = 32;
    const PAIRS: usize = 4;
    const HAS_OFFSET: bool = false;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, panel: &mut Panel) {
        scales_and_mins(&rows, half, panel);
        let qs = [
            eight::<_, 16, 32>(&rows),
            eight::<_, 48, 64>(&rows),
            eight::<_, 80, 96>(&rows),
            eight::<_, 112, 128>(&rows),
        ];
        for (out, qs) in panel.quants.as_chunks_mut::<16>().0.iter_mut().zip(qs) {
            for (i, q) in qs.into_iter().enumerate() {
                store_quants(low_4(q), &mut out[i][half]);
                store_quants(low_4(_mm512_srli_epi32::<4>(q)), &mut out[8 + i][half]);
            }
        }
    }
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn sums(x: &ActBlock, out: &mut Sums) {
        pairs_of_32(x, out);
    }
}

impl Interleave for BlockQ5K {
    const SHARED: usize = 32;
    const PAIRS: usize = 4;
    const HAS_OFFSET: bool = false;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, panel: &mut Panel) {
        scales_and_mins(&rows, half, panel);
        let qh = eight::<_, 16, 32>(&rows);
        let qs = [
            eight::<_, 48, 64>(&rows),
            eight::<_, 80, 96>(&rows),
            eight::<_, 112, 128>(&rows),
            eight::<_, 144, 160>(&rows),
        ];
        for (p, (out, qs)) in panel.quants.as_chunks_mut::<16>().0.iter_mut().zip(qs).enumerate() {
            for (i, q) in qs.into_iter().enumerate() {
                let fifth = |j: i32| bits(qh[i], 4 - j, 0x1010_1010);
                let (low, high) = (low_4(q), low_4(_mm512_srli_epi32::<4>(q)));
                let j = 2 * p as i32;
                store_quants(_mm512_or_si512(low, fifth(j)), &mut out[i][half]);
                store_quants(_mm512_or_si512(high, fifth(j + 1)), &mut out[8 + i][half]);
            }
        }
    }
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn sums(x: &ActBlock, out: &mut Sums) {
        pairs_of_32(x, out);
    }
}

impl Interleave for BlockQ6K {
    const SHARED: usize = 16;
    const PAIRS: usize = 0;
    const HAS_OFFSET: bool = true;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, panel: &mut Panel) {
        let parts = [
            [eight::<_, 0, 16>(&rows), eight::<_, 32, 48>(&rows), eight::<_, 128, 144>(&rows)],
            [eight::<_, 64, 80>(&rows), eight::<_, 96, 112>(&rows), eight::<_, 160, 176>(&rows)],
        ];
        for (out, [a, b, top]) in panel.quants.as_chunks_mut::<32>().0.iter_mut().zip(parts) {
            for i in 0..8 {
                let low = [a[i], b[i], _mm512_srli_epi32::<4>(a[i]), _mm512_srli_epi32::<4>(b[i])];
                for (part, low) in low.into_iter().enumerate() {
                    let top = bits(top[i], 4 - 2 * part as i32, 0x3030_3030);
                    store_quants(_mm512_or_si512(low_4(low), top), &mut out[8 * part + i][half]);
                }
            }
        }
        for (w, word) in words::<_, 192>(&rows).into_iter().enumerate() {
            for b in 0..4 {
                let scale = _mm512_sllv_epi32(word, _mm512_set1_epi32(24 - 8 * b as i32));
                store(_mm512_srai_epi32::<24>(scale), &mut panel.scales[4 * w + b][half]);
            }
        }
        let [.., last] = words::<_, 194>(&rows);
        store_halves(_mm512_srli_epi32::<16>(last), &mut panel.d[half]);
    }
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn sums(x: &ActBlock, out: &mut Sums) {
        *out = x.bsums.map(|sum| -32 * i32::from(sum));
    }
}

impl Interleave for BlockQ2K {
    const SHARED: usize = 256;
    const PAIRS: usize = 8;
    const HAS_OFFSET: bool = false;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, panel: &mut Panel) {
        let scales = words::<_, 0>(&rows);
        let parts = [eight::<_, 16, 32>(&rows), eight::<_, 48, 64>(&rows)];
        for (h, (out, qs)) in panel.quants.as_chunks_mut::<32>().0.iter_mut().zip(parts).enumerate()
        {
            for (i, q) in qs.into_iter().enumerate() {
                for part in 0..4 {
                    let j = 8 * h + 2 * part + i / 4;
                    let scale = and(byte(scales[j / 4], j % 4), 15);
                    // 3 · 15 fits a byte, so a word multiplies two bytes.
                    let two = bits(q, -2 * part as i32, 0x0303_0303);
                    let product = _mm512_mullo_epi16(two, both(scale));
                    store_quants(product, &mut out[8 * part + i][half]);
                }
            }
        }
        for (w, word) in scales.into_iter().enumerate() {
            let mins = low_4(_mm512_srli_epi32::<4>(word));
            for (i, out) in panel.mins[2 * w..2 * w + 2].iter_mut().enumerate() {
                let second = _mm512_slli_epi32::<16>(byte(mins, 2 * i + 1));
                store(_mm512_or_si512(byte(mins, 2 * i), second), &mut out[half]);
            }
        }
        let [.., last] = words::<_, 68>(&rows);
        store_halves(last, &mut panel.d[half]);
        store_halves(_mm512_srli_epi32::<16>(last), &mut panel.dmin[half]);
    }
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn sums(x: &ActBlock, out: &mut Sums) {
        for (out, [a, b]) in out.iter_mut().zip(x.bsums.as_chunks().0) {
            *out = i32::from(*a) & 0xffff | i32::from(*b) << 16;
        }
    }
}

impl Interleave for BlockQ3K {
    const SHARED: usize = 256;
    const PAIRS: usize = 0;
    const HAS_OFFSET: bool = true;
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn interleave(rows: [&Self; LANES], half: usize, panel: &mut Panel) {
        let hmask = eight::<_, 0, 16>(&rows);
        let parts = [eight::<_, 32, 48>(&rows), eight::<_, 64, 80>(&rows)];
        // The last 16 bytes begin two before the scales.
        let last = words::<_, 94>(&rows);
        let [a, b, top] = core::array::from_fn(|i| {
            _mm512_or_si512(_mm512_srli_epi32::<16>(last[i]), _mm512_slli_epi32::<16>(last[i + 1]))
        });
        store_halves(_mm512_srli_epi32::<16>(last[3]), &mut panel.d[half]);
        // As `formats::q3_k_scale_words`.
        let (a_high, b_high) = (_mm512_srli_epi32::<4>(a), _mm512_srli_epi32::<4>(b));
        let mut scales = [a, b, a_high, b_high].map(|x| low_4(x));
        for (i, scales) in scales.iter_mut().enumerate() {
            *scales = _mm512_or_si512(*scales, bits(top, 4 - 2 * i as i32, 0x3030_3030));
        }
        for (h, (out, qs)) in panel.quants.as_chunks_mut::<32>().0.iter_mut().zip(parts).enumerate()
        {
            for (i, q) in qs.into_iter().enumerate() {
                for part in 0..4 {
                    let j = 8 * h + 2 * part + i / 4;
                    let scale = _mm512_sub_epi32(byte(scales[j / 4], j % 4), _mm512_set1_epi32(32));
                    let low = bits(q, -2 * part as i32, 0x0303_0303);
                    let third = bits(hmask[i], 2 - 4 * h as i32 - part as i32, 0x0404_0404);
                    // (q - 4) · s + 127 lies in 3..=255, so a word multiplies two bytes: 257 · (127 - 4 s) is what
                    // both have beside q · s.
                    let words = both(scale);
                    let rest =
                        _mm512_sub_epi16(_mm512_set1_epi16(127), _mm512_slli_epi16::<2>(words));
                    let rest = _mm512_add_epi16(rest, _mm512_slli_epi16::<8>(rest));
                    let product = _mm512_mullo_epi16(_mm512_or_si512(low, third), words);
                    store_quants(_mm512_add_epi16(product, rest), &mut out[8 * part + i][half]);
                }
            }
        }
    }
    #[inline]
    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn sums(x: &ActBlock, out: &mut Sums) {
        let sum: i32 = x.bsums.iter().map(|&sum| i32::from(sum)).sum();
        out[0] = -127 * sum;
    }
}

/// Byte `i` of each word.
#[inline]
#[target_feature(enable = "avx512f")]
fn byte(x: __m512i, i: usize) -> __m512i {
    and(_mm512_srlv_epi32(x, _mm512_set1_epi32(8 * i as i32)), 0xff)
}

/// The lower 16 bits of each lane in its upper ones too.
#[inline]
#[target_feature(enable = "avx512f")]
fn both(x: __m512i) -> __m512i {
    _mm512_or_si512(and(x, 0xffff), _mm512_slli_epi32::<16>(x))
}
