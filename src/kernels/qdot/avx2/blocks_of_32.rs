//! Formats with one scale per 32 values, a group of eight blocks at a time.
//!
//! A block times one column is `vpmaddubsw`: sixteen sums of two products, which are added across the
//! eight blocks of a group into one register, a lane a block: the contract's eight lanes. There the scales
//! are multiplied and the sums accumulated eight at a time, so one dependent `vfmadd` serves 256 values.
//!
//! With weights of 5 bits eight products fit 16 bits (`8 · 31 · 127 < 2¹⁵`), with 4 bits sixteen: so two or three levels
//! of the addition are in 16 bits, before `vpmaddwd` by ones; with 8 bits that comes first, and all are in 32.

use core::arch::x86_64::*;

use super::super::RowDot;
use super::{activations, bsums};
use crate::formats::{ActBlock, Block, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0};
use crate::kernels::sibling::sibling;

/// Blocks of a group.
pub(in crate::kernels) const GROUP: usize = 8;

/// What the unpacked bytes of a format are.
#[derive(Clone, Copy)]
enum Quants {
    /// Numbers of 4 or 5 bits, larger than the weights by `2^offset_log2` where there is one.
    Unsigned { bits: u32, offset_log2: Option<i32> },
    /// The weights themselves.
    Signed,
}
use Quants::{Signed, Unsigned};

/// A group of weights, unpacked once for all columns; absent blocks are zeros.
struct Group {
    quants: [__m256i; GROUP],
    d: __m256,
    m: Option<__m256>,
}

/// The siblings of a format, from the function that unpacks a block.
macro_rules! rows {
    ($block:ty, $unpack:ident, $quants:expr, min: $has_min:expr) => {{
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn group(blocks: &[$block; GROUP]) -> Group {
            let mut quants = [_mm256_setzero_si256(); GROUP];
            for (quants, block) in quants.iter_mut().zip(blocks) {
                *quants = $unpack(block);
            }
            let [d, m] = heads(blocks);
            Group { quants, d, m: $has_min.then_some(m) }
        }
        /// The blocks behind the last whole group, and which lanes they are.
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn rest(blocks: &[$block]) -> (Group, __m256) {
            let mut bytes = [0; GROUP * size_of::<$block>()];
            <$block>::slice_mut(&mut bytes)[..blocks.len()].copy_from_slice(blocks);
            let mut present = [0; GROUP];
            present[..blocks.len()].fill(-1);
            (group(&<$block>::slice(&bytes).as_chunks::<GROUP>().0[0]), mask(present))
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        fn x1(row: &[u8], x: &[ActBlock]) -> f32 {
            let (groups, tail) = <$block>::slice(row).as_chunks::<GROUP>();
            let mut lanes = _mm256_setzero_ps();
            for (blocks, x) in groups.iter().zip(x) {
                lanes = add_group(&group(blocks), $quants, x, lanes);
            }
            if let (false, Some(x)) = (tail.is_empty(), x.get(groups.len())) {
                let (group, present) = rest(tail);
                let sum = add_group(&group, $quants, x, lanes);
                lanes = _mm256_blendv_ps(lanes, sum, present);
            }
            fold(lanes)
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        fn x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
            let (groups, tail) = <$block>::slice(row).as_chunks::<GROUP>();
            let mut lanes = [_mm256_setzero_ps(); 4];
            for (i, blocks) in groups.iter().enumerate() {
                let group = group(blocks);
                for (lanes, x) in lanes.iter_mut().zip(x) {
                    *lanes = add_group(&group, $quants, &x[i], *lanes);
                }
            }
            if !tail.is_empty() {
                let (group, present) = rest(tail);
                for (lanes, x) in lanes.iter_mut().zip(x) {
                    let sum = add_group(&group, $quants, &x[groups.len()], *lanes);
                    *lanes = _mm256_blendv_ps(*lanes, sum, present);
                }
            }
            [fold(lanes[0]), fold(lanes[1]), fold(lanes[2]), fold(lanes[3])]
        }
        RowDot { x1: sibling!(x1), x4: sibling!(x4) }
    }};
}

pub const Q4_0: RowDot =
    rows!(BlockQ4_0, q4_0, Unsigned { bits: 4, offset_log2: Some(3) }, min: false);
pub const Q4_1: RowDot = rows!(BlockQ4_1, q4_1, Unsigned { bits: 4, offset_log2: None }, min: true);
pub const Q5_0: RowDot =
    rows!(BlockQ5_0, q5_0, Unsigned { bits: 5, offset_log2: Some(4) }, min: false);
pub const Q5_1: RowDot = rows!(BlockQ5_1, q5_1, Unsigned { bits: 5, offset_log2: None }, min: true);
pub const Q8_0: RowDot = rows!(BlockQ8_0, q8_0, Signed, min: false);

/// Adds a group of a row, times its place in a column, to the lanes of that column.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_group(group: &Group, quants: Quants, x: &ActBlock, lanes: __m256) -> __m256 {
    let xsum = _mm256_madd_epi16(bsums(x), _mm256_set1_epi16(1));
    let isum = match quants {
        Unsigned { bits, offset_log2 } => {
            let mut pairs = group.quants;
            for (b, w) in pairs.iter_mut().enumerate() {
                *w = _mm256_maddubs_epi16(*w, activations(x, b));
            }
            let isum = if bits == 4 { across_16::<4>(pairs) } else { across_16::<5>(pairs) };
            match offset_log2 {
                Some(n) => _mm256_sub_epi32(isum, _mm256_sll_epi32(xsum, _mm_cvtsi32_si128(n))),
                None => isum,
            }
        }
        Signed => {
            let mut sums = group.quants;
            for (b, w) in sums.iter_mut().enumerate() {
                // |w| times x with the sign of w: |-128| is 128 as an unsigned byte.
                let x = _mm256_sign_epi8(activations(x, b), *w);
                let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(*w), x);
                *w = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
            }
            across_32(sums)
        }
    };
    // SAFETY: `d` holds eight f32, at offset 288 of a block aligned to 64.
    let dx = unsafe { _mm256_load_ps(x.d.as_ptr()) };
    let sum = _mm256_fmadd_ps(_mm256_mul_ps(group.d, dx), _mm256_cvtepi32_ps(isum), lanes);
    match group.m {
        Some(m) => _mm256_fmadd_ps(_mm256_mul_ps(m, dx), _mm256_cvtepi32_ps(xsum), sum),
        None => sum,
    }
}

/// The contract's sum of the eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn fold(lanes: __m256) -> f32 {
    let pairs = _mm256_hadd_ps(lanes, lanes);
    let fours = _mm256_hadd_ps(pairs, pairs);
    let sum = _mm_add_ss(_mm256_castps256_ps128(fours), _mm256_extractf128_ps::<1>(fours));
    _mm_cvtss_f32(sum)
}

/// The sum of the sixteen 16-bit lanes of vector `b`, sums of two products of `BITS`-bit weights, in lane `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn across_16<const BITS: u32>(v: [__m256i; GROUP]) -> __m256i {
    let ones = _mm256_set1_epi16(1);
    let add = |[a, b]: [__m256i; 2]| _mm256_add_epi16(a, b);
    let [v0, v1, v2, v3] = core::array::from_fn(|b| add(halves(v[b], v[b + 4])));
    let (a, b) = (add(interleaved(v0, v1)), add(interleaved(v2, v3)));
    // Two lanes of 16 bits that are neighbours belong to one vector. Eight products are in each.
    if BITS == 4 {
        _mm256_madd_epi16(add(gathered(a, b)), ones)
    } else {
        let [low, high] = gathered(_mm256_madd_epi16(a, ones), _mm256_madd_epi16(b, ones));
        _mm256_add_epi32(low, high)
    }
}

/// The sum of the eight 32-bit lanes of vector `b`, in lane `b`.
#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn across_32(v: [__m256i; GROUP]) -> __m256i {
    let add = |[a, b]: [__m256i; 2]| _mm256_add_epi32(a, b);
    let [v0, v1, v2, v3] = core::array::from_fn(|b| add(halves(v[b], v[b + 4])));
    add(gathered(add(interleaved(v0, v1)), add(interleaved(v2, v3))))
}

// A horizontal addition would be `interleaved` and the sum in one instruction, which on Zen takes the time of four.

/// One half of either, lower `a` and upper `b`, then the other two.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(a: __m256i, b: __m256i) -> [__m256i; 2] {
    [_mm256_blend_epi32::<0xf0>(a, b), _mm256_permute2x128_si256::<0x21>(a, b)]
}

/// Lanes of 32 bits of either in turn.
#[inline]
#[target_feature(enable = "avx2")]
fn interleaved(a: __m256i, b: __m256i) -> [__m256i; 2] {
    [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)]
}

/// Two lanes of 32 bits of either in turn.
#[inline]
#[target_feature(enable = "avx2")]
fn gathered(a: __m256i, b: __m256i) -> [__m256i; 2] {
    [_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)]
}

/// The first and the second f16 of each block. Loads that bring more than is used are free; a number at a time, by
/// `vpinsrw`, would take twice as many shuffles.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn heads<B>(blocks: &[B; GROUP]) -> [__m256; 2] {
    const { assert!(size_of::<B>() >= 16) };
    // SAFETY: a block holds 16 bytes; the load takes any address.
    let head = blocks.each_ref().map(|b| unsafe { _mm_loadu_si128(core::ptr::from_ref(b).cast()) });
    let two = |b: usize| _mm_unpacklo_epi16(head[b], head[b + 1]);
    let four = |b: usize| _mm_unpacklo_epi32(two(b), two(b + 2));
    let (low, high) = (four(0), four(4));
    [_mm256_cvtph_ps(_mm_unpacklo_epi64(low, high)), _mm256_cvtph_ps(_mm_unpackhi_epi64(low, high))]
}

#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn mask(lanes: [i32; GROUP]) -> __m256 {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    _mm256_castsi256_ps(unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) })
}

/// The low nibbles of 16 bytes, then the high ones.
#[inline]
#[target_feature(enable = "avx2")]
fn nibbles(qs: &[u8; 16]) -> __m256i {
    // SAFETY: the array holds 16 bytes; the load takes any address.
    let qs = unsafe { _mm_loadu_si128(qs.as_ptr().cast()) };
    let shifted = _mm256_srlv_epi32(
        _mm256_broadcastsi128_si256(qs),
        _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4),
    );
    _mm256_and_si256(shifted, _mm256_set1_epi8(0x0f))
}

/// Bit `i` as 0x10 in byte `i`.
#[inline]
#[target_feature(enable = "avx2")]
fn fifth_bits(qh: [u8; 4]) -> __m256i {
    // Each byte gets the byte of `qh` that holds its bit, and tests it.
    let spread = _mm256_setr_epi8(
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, //
        2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3,
    );
    let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(i32::from_le_bytes(qh)), spread);
    let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    _mm256_and_si256(set, _mm256_set1_epi8(0x10))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn q4_0(w: &BlockQ4_0) -> __m256i {
    nibbles(&w.qs)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn q4_1(w: &BlockQ4_1) -> __m256i {
    nibbles(&w.qs)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn q5_0(w: &BlockQ5_0) -> __m256i {
    _mm256_or_si256(nibbles(&w.qs), fifth_bits(w.qh))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(in crate::kernels) fn q5_1(w: &BlockQ5_1) -> __m256i {
    _mm256_or_si256(nibbles(&w.qs), fifth_bits(w.qh))
}

#[inline]
#[target_feature(enable = "avx2")]
fn q8_0(w: &BlockQ8_0) -> __m256i {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    unsafe { _mm256_loadu_si256(w.qs.as_ptr().cast()) }
}
