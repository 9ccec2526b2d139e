//! Formats with super-blocks of 256.
//!
//! A sub-block of 32 weights times one column is `vpmaddubsw` (pairs of u8 × i8 summed in i16: no pair
//! reaches 2¹⁵, see `bounds` in the operation's module), `vpmaddwd` by the sub-block's scale, and `vpaddd`: three
//! operations beside one load, 24 a super-block and column. The weights are unpacked once for all columns.

use core::arch::x86_64::*;

use super::super::RowDot;
use super::{activations, bsums};
use crate::formats::{
    ActBlock, Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K, q3_k_scale_words,
    scale_min_words,
};
use crate::kernels::arith::{Arith, Fast};
use crate::kernels::sibling::sibling;

/// A row from a function that forms the integer sums of one super-block.
macro_rules! by_hand {
    ($block:ty, $sums:ident) => {{
        #[target_feature(enable = "avx2,fma,f16c")]
        fn x1(row: &[u8], x: &[ActBlock]) -> f32 {
            let mut acc = 0.0;
            for (w, x) in <$block>::slice(row).iter().zip(x) {
                acc = add_super_block_1($sums(w, [x]), x.d[0], acc);
            }
            acc
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        fn x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
            let mut acc = _mm_setzero_ps();
            let blocks = <$block>::slice(row);
            let x = x.map(|x| &x[..blocks.len()]);
            for (i, w) in blocks.iter().enumerate() {
                let x = [&x[0][i], &x[1][i], &x[2][i], &x[3][i]];
                let dx = _mm_setr_ps(x[0].d[0], x[1].d[0], x[2].d[0], x[3].d[0]);
                acc = add_super_block_4($sums(w, x), dx, acc);
            }
            let mut out = [0.0; 4];
            // SAFETY: `out` holds four f32.
            unsafe { _mm_storeu_ps(out.as_mut_ptr(), acc) };
            out
        }
        RowDot { x1: sibling!(x1), x4: sibling!(x4) }
    }};
}

pub const Q2_K: RowDot = by_hand!(BlockQ2K, q2_k);
pub const Q3_K: RowDot = by_hand!(BlockQ3K, q3_k);
pub const Q4_K: RowDot = by_hand!(BlockQ4K, q4_k);
pub const Q5_K: RowDot = by_hand!(BlockQ5K, q5_k);
pub const Q6_K: RowDot = by_hand!(BlockQ6K, q6_k);
pub const Q8_K: RowDot = by_hand!(BlockQ8K, q8_k);

/// The integer sums of a super-block times `N` columns: the sum of the lanes of each vector.
struct Sums<const N: usize> {
    d: f32,
    isum: [__m256i; N],
    /// The weight of the minimums and their sums, where the format has them.
    mins: Option<(f32, [__m256i; N])>,
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_super_block_1(sums: Sums<1>, dx: f32, acc: f32) -> f32 {
    let msum = sums.mins.map_or(_mm256_setzero_si256(), |(_, msum)| msum[0]);
    // Lanes 0 and 1 become the two sums.
    let pairs = _mm256_hadd_epi32(sums.isum[0], msum);
    let pairs = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
    let both = _mm_cvtepi32_ps(_mm_hadd_epi32(pairs, pairs));
    let acc = Fast::fma(sums.d * dx, _mm_cvtss_f32(both), acc);
    match sums.mins {
        Some((dmin, _)) => Fast::fma(-(dmin * dx), _mm_cvtss_f32(_mm_movehdup_ps(both)), acc),
        None => acc,
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_super_block_4(sums: Sums<4>, dx: __m128, acc: __m128) -> __m128 {
    let d = _mm_mul_ps(_mm_set1_ps(sums.d), dx);
    let acc = _mm_fmadd_ps(d, _mm_cvtepi32_ps(lane_sums(sums.isum)), acc);
    match sums.mins {
        Some((dmin, msum)) => {
            let dmin = _mm_mul_ps(_mm_set1_ps(dmin), dx);
            _mm_fnmadd_ps(dmin, _mm_cvtepi32_ps(lane_sums(msum)), acc)
        }
        None => acc,
    }
}

/// The sum of the lanes of each of four vectors.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn lane_sums(v: [__m256i; 4]) -> __m128i {
    // A horizontal addition would be the same shuffles and sums; on Zen it takes longer.
    let sum = |a, b| _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (a, b) = (sum(v[0], v[1]), sum(v[2], v[3]));
    let pairs = _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// In each half, the 16-bit element `j` of that half in all places.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(scales: __m256i, j: usize) -> __m256i {
    _mm256_shuffle_epi8(scales, _mm256_set1_epi16((0x0100 + 0x0202 * j) as i16))
}

/// Adds sub-block `j`, whose weights are `w` (unsigned) and whose scales are `scale`, to each column's
/// sum.
#[inline]
#[target_feature(enable = "avx2")]
fn add_sub_block<const N: usize>(
    isum: &mut [__m256i; N],
    w: __m256i,
    scale: __m256i,
    x: &[&ActBlock; N],
    j: usize,
) {
    for (isum, x) in isum.iter_mut().zip(x) {
        let pairs = _mm256_maddubs_epi16(w, activations(x, j));
        *isum = _mm256_add_epi32(*isum, _mm256_madd_epi16(scale, pairs));
    }
}

/// The scales of Q4_K and Q5_K as 16-bit numbers, the eight in both halves; and each minimum twice,
/// as the sums of 16 activations want them.
#[inline]
#[target_feature(enable = "avx2")]
fn scales_and_mins(packed: &[u8; 12]) -> (__m256i, __m256i) {
    let bytes = scale_min_bytes(packed);
    let scales = _mm256_broadcastsi128_si256(_mm_cvtepu8_epi16(bytes));
    let mins = _mm_unpackhi_epi8(bytes, bytes);
    (scales, _mm256_cvtepu8_epi16(mins))
}

/// The eight scales of Q4_K and Q5_K, then the eight minimums.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn scale_min_bytes(packed: &[u8; 12]) -> __m128i {
    // Two integer registers of eight take three vector operations, four of four would take seven.
    let [scales, mins] = scale_min_words(packed);
    _mm_set_epi64x(mins as i64, scales as i64)
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn f16(bits: [u8; 2]) -> f32 {
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes(bits)))))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn q4_k<const N: usize>(w: &BlockQ4K, x: [&ActBlock; N]) -> Sums<N> {
    let (scales, mins) = scales_and_mins(&w.scales);
    let nibble = _mm256_set1_epi8(0x0f);
    let mut isum = [_mm256_setzero_si256(); N];
    for (g, qs) in w.qs.as_chunks::<32>().0.iter().enumerate() {
        let qs = load(qs);
        let low = _mm256_and_si256(qs, nibble);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(qs), nibble);
        add_sub_block(&mut isum, low, spread(scales, 2 * g), &x, 2 * g);
        add_sub_block(&mut isum, high, spread(scales, 2 * g + 1), &x, 2 * g + 1);
    }
    let msum = min_sums(mins, &x);
    Sums { d: f16(w.d), isum, mins: Some((f16(w.dmin), msum)) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn q5_k<const N: usize>(w: &BlockQ5K, x: [&ActBlock; N]) -> Sums<N> {
    let (scales, mins) = scales_and_mins(&w.scales);
    let nibble = _mm256_set1_epi8(0x0f);
    let bit_4 = _mm256_set1_epi8(0x10);
    // Bit `j` of a byte of `qh` is the fifth bit of sub-block `j`: each turn consumes two. The shifts are of
    // 16-bit words; what crosses from the other byte is masked away.
    let mut qh = load(&w.qh);
    let mut isum = [_mm256_setzero_si256(); N];
    for (g, qs) in w.qs.as_chunks::<32>().0.iter().enumerate() {
        let qs = load(qs);
        let fifth_low = _mm256_and_si256(_mm256_slli_epi16::<4>(qh), bit_4);
        let fifth_high = _mm256_and_si256(_mm256_slli_epi16::<3>(qh), bit_4);
        qh = _mm256_srli_epi16::<2>(qh);
        let low = _mm256_or_si256(_mm256_and_si256(qs, nibble), fifth_low);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(qs), nibble);
        let high = _mm256_or_si256(high, fifth_high);
        add_sub_block(&mut isum, low, spread(scales, 2 * g), &x, 2 * g);
        add_sub_block(&mut isum, high, spread(scales, 2 * g + 1), &x, 2 * g + 1);
    }
    let msum = min_sums(mins, &x);
    Sums { d: f16(w.d), isum, mins: Some((f16(w.dmin), msum)) }
}

/// Σ minimum · Σ activations, in lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn min_sums<const N: usize>(mins: __m256i, x: &[&ActBlock; N]) -> [__m256i; N] {
    let mut msum = [_mm256_setzero_si256(); N];
    for (msum, x) in msum.iter_mut().zip(x) {
        *msum = _mm256_madd_epi16(mins, bsums(x));
    }
    msum
}

/// Scales of 16 values each, as 16-bit numbers: even ones, of the lower halves of the sub-blocks of 32, in
/// the lower half, and odd ones in the upper half.
#[inline]
#[target_feature(enable = "avx2")]
fn by_half(scales: __m128i) -> __m256i {
    let order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scales, order))
}

/// `-2^LOG2 · Σ scale·x`, in lanes: what stored quants that are 2^LOG2 above their weights add too much.
#[inline]
#[target_feature(enable = "avx2")]
fn offset_sums<const LOG2: i32, const N: usize>(
    scales: __m128i,
    x: &[&ActBlock; N],
) -> [__m256i; N] {
    let scales = _mm256_slli_epi16::<LOG2>(_mm256_cvtepi8_epi16(scales));
    let negative = _mm256_sub_epi16(_mm256_setzero_si256(), scales);
    min_sums(negative, x)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn q2_k<const N: usize>(w: &BlockQ2K, x: [&ActBlock; N]) -> Sums<N> {
    // SAFETY: `scales` are 16 bytes: a scale in the low nibble of each, a minimum in the high one.
    let both = unsafe { _mm_loadu_si128(w.scales.as_ptr().cast()) };
    let nibble = _mm_set1_epi8(0x0f);
    let scales = by_half(_mm_and_si128(both, nibble));
    let mins = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16::<4>(both), nibble));
    let mut isum = [_mm256_setzero_si256(); N];
    for (half, qs) in w.qs.as_chunks::<32>().0.iter().enumerate() {
        for (b, bits) in two_bits(load(qs)).into_iter().enumerate() {
            let j = 4 * half + b;
            add_sub_block(&mut isum, bits, spread(scales, j), &x, j);
        }
    }
    Sums { d: f16(w.d), isum, mins: Some((f16(w.dmin), min_sums(mins, &x))) }
}

/// The four fields of two bits in each byte, lowest first.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn two_bits(bytes: __m256i) -> [__m256i; 4] {
    let low = _mm256_set1_epi8(3);
    [
        _mm256_and_si256(bytes, low),
        _mm256_and_si256(_mm256_srli_epi16::<2>(bytes), low),
        _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low),
        _mm256_and_si256(_mm256_srli_epi16::<6>(bytes), low),
    ]
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn q3_k<const N: usize>(w: &BlockQ3K, x: [&ActBlock; N]) -> Sums<N> {
    let scales = q3_k_scales(&w.scales);
    let by_half = by_half(scales);
    // The third bit counts 4, and the weight is 4 less than the three bits.
    let mut isum = offset_sums::<2, N>(scales, &x);
    let bit_2 = _mm256_set1_epi8(4);
    let high = load(&w.hmask);
    // Bit `j` of a byte of `hmask` belongs to sub-block `j`. The shifts are of 16-bit words; what crosses from
    // the other byte is masked away.
    let third = [
        _mm256_slli_epi16::<2>(high),
        _mm256_slli_epi16::<1>(high),
        high,
        _mm256_srli_epi16::<1>(high),
        _mm256_srli_epi16::<2>(high),
        _mm256_srli_epi16::<3>(high),
        _mm256_srli_epi16::<4>(high),
        _mm256_srli_epi16::<5>(high),
    ];
    for (half, qs) in w.qs.as_chunks::<32>().0.iter().enumerate() {
        for (b, bits) in two_bits(load(qs)).into_iter().enumerate() {
            let j = 4 * half + b;
            let weight = _mm256_or_si256(bits, _mm256_and_si256(third[j], bit_2));
            add_sub_block(&mut isum, weight, spread(by_half, j), &x, j);
        }
    }
    Sums { d: f16(w.d), isum, mins: None }
}

/// The sixteen scales of Q3_K, -32 to 31.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn q3_k_scales(packed: &[u8; 12]) -> __m128i {
    let [a, b, c, d] = q3_k_scale_words(packed).map(|word| word as i32);
    let scales = _mm_setr_epi32(a, b, c, d);
    _mm_sub_epi8(scales, _mm_set1_epi8(32))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn q8_k<const N: usize>(w: &BlockQ8K, x: [&ActBlock; N]) -> Sums<N> {
    let ones = _mm256_set1_epi16(1);
    let mut isum = [_mm256_setzero_si256(); N];
    for (j, w) in w.qs.as_chunks::<32>().0.iter().enumerate() {
        // SAFETY: the array holds 32 bytes; the load takes any address.
        let w = unsafe { _mm256_loadu_si256(w.as_ptr().cast()) };
        // |w| times x with the sign of w: |-128| is 128 as an unsigned byte.
        let size = _mm256_abs_epi8(w);
        for (isum, x) in isum.iter_mut().zip(&x) {
            let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(activations(x, j), w));
            *isum = _mm256_add_epi32(*isum, _mm256_madd_epi16(pairs, ones));
        }
    }
    Sums { d: f32::from_le_bytes(w.d), isum, mins: None }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn q6_k<const N: usize>(w: &BlockQ6K, x: [&ActBlock; N]) -> Sums<N> {
    // SAFETY: `scales` are 16 bytes.
    let scales = unsafe { _mm_loadu_si128(w.scales.as_ptr().cast()) };
    let by_half = by_half(scales);
    // The stored quants are 32 above the weights: with them, the sum is 32 Σ scale·x too large.
    let mut isum = offset_sums::<5, N>(scales, &x);
    let nibble = _mm256_set1_epi8(0x0f);
    let bits_4_5 = _mm256_set1_epi8(0x30);
    for half in 0..2 {
        let ql = &w.ql.as_chunks::<32>().0[2 * half..2 * half + 2];
        let (ql_0, ql_1) = (load(&ql[0]), load(&ql[1]));
        let qh = load(&w.qh.as_chunks::<32>().0[half]);
        let weights = [
            (_mm256_and_si256(ql_0, nibble), _mm256_slli_epi16::<4>(qh)),
            (_mm256_and_si256(ql_1, nibble), _mm256_slli_epi16::<2>(qh)),
            (_mm256_and_si256(_mm256_srli_epi16::<4>(ql_0), nibble), qh),
            (_mm256_and_si256(_mm256_srli_epi16::<4>(ql_1), nibble), _mm256_srli_epi16::<2>(qh)),
        ];
        for (i, (low, high)) in weights.into_iter().enumerate() {
            let j = 4 * half + i;
            let weight = _mm256_or_si256(low, _mm256_and_si256(high, bits_4_5));
            add_sub_block(&mut isum, weight, spread(by_half, j), &x, j);
        }
    }
    Sums { d: f16(w.d), isum, mins: None }
}
