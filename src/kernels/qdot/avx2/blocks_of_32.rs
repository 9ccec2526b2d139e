//! Formats with one scale per 32 values, a group of eight blocks at a time.
//!
//! A block times one column is `vpmaddubsw`, and `vpmaddwd` by ones: eight partial sums. Those of the eight
//! blocks of a group are added across by three levels of `vphaddd` into one register, a lane a block: the
//! contract's eight lanes. There the scales are multiplied and the sums accumulated eight at a time, so one
//! dependent `vfmadd` serves 256 values.

use core::arch::x86_64::*;

use super::super::RowDot;
use super::{activations, bsums};
use crate::formats::{ActBlock, Block, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0};

/// Blocks of a group.
const GROUP: usize = 8;

/// What the unpacked bytes of a format are.
#[derive(Clone, Copy)]
enum Quants {
    /// Unsigned, and larger than the weights by `2^offset_log2` where there is one.
    Unsigned { offset_log2: Option<i32> },
    /// The weights themselves.
    Signed,
}
use Quants::{Signed, Unsigned};

/// A group of weights, unpacked once for all columns; absent blocks are zeros.
struct Group {
    quants: [__m256i; GROUP],
    d: __m256,
    m: Option<__m256>,
    /// All bits set in the lanes of blocks that are there.
    present: __m256,
}

/// The siblings of a format, from the function that unpacks a block.
macro_rules! rows {
    ($block:ty, $unpack:ident, $quants:expr, min: $min:expr) => {{
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn group(blocks: &[$block]) -> Group {
            let min: Option<fn(&$block) -> [u8; 2]> = $min;
            let mut quants = [_mm256_setzero_si256(); GROUP];
            let (mut d, mut m, mut present) = ([[0; 2]; GROUP], [[0; 2]; GROUP], [0; GROUP]);
            for (b, block) in blocks.iter().enumerate() {
                quants[b] = $unpack(block);
                d[b] = block.d;
                m[b] = min.map_or([0; 2], |min| min(block));
                present[b] = -1;
            }
            Group { quants, d: widen(d), m: min.map(|_| widen(m)), present: mask(present) }
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        fn x1(row: &[u8], x: &[ActBlock]) -> f32 {
            let mut lanes = _mm256_setzero_ps();
            for (blocks, x) in <$block>::slice(row).chunks(GROUP).zip(x) {
                lanes = add_group(&group(blocks), $quants, x, lanes);
            }
            fold(lanes)
        }
        #[target_feature(enable = "avx2,fma,f16c")]
        fn x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
            let mut lanes = [_mm256_setzero_ps(); 4];
            for (i, blocks) in <$block>::slice(row).chunks(GROUP).enumerate() {
                let group = group(blocks);
                for (lanes, x) in lanes.iter_mut().zip(x) {
                    *lanes = add_group(&group, $quants, &x[i], *lanes);
                }
            }
            [fold(lanes[0]), fold(lanes[1]), fold(lanes[2]), fold(lanes[3])]
        }
        RowDot { x1, x4 }
    }};
}

pub const Q4_0: RowDot = rows!(BlockQ4_0, q4_0, Unsigned { offset_log2: Some(3) }, min: None);
pub const Q4_1: RowDot = rows!(BlockQ4_1, q4_1, Unsigned { offset_log2: None }, min: Some(|w| w.m));
pub const Q5_0: RowDot = rows!(BlockQ5_0, q5_0, Unsigned { offset_log2: Some(4) }, min: None);
pub const Q5_1: RowDot = rows!(BlockQ5_1, q5_1, Unsigned { offset_log2: None }, min: Some(|w| w.m));
pub const Q8_0: RowDot = rows!(BlockQ8_0, q8_0, Signed, min: None);

/// Adds a group of a row, times its place in a column, to the lanes of that column.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_group(group: &Group, quants: Quants, x: &ActBlock, lanes: __m256) -> __m256 {
    let sums: [__m256i; GROUP] =
        core::array::from_fn(|b| block_sums(group.quants[b], quants, x, b));
    let mut isum = across(sums);
    let xsum = _mm256_madd_epi16(bsums(x), _mm256_set1_epi16(1));
    if let Unsigned { offset_log2: Some(n) } = quants {
        isum = _mm256_sub_epi32(isum, _mm256_sll_epi32(xsum, _mm_cvtsi32_si128(n)));
    }
    // SAFETY: `d` holds eight f32, at offset 288 of a block aligned to 64.
    let dx = unsafe { _mm256_load_ps(x.d.as_ptr()) };
    let mut sum = _mm256_fmadd_ps(_mm256_mul_ps(group.d, dx), _mm256_cvtepi32_ps(isum), lanes);
    if let Some(m) = group.m {
        sum = _mm256_fmadd_ps(_mm256_mul_ps(m, dx), _mm256_cvtepi32_ps(xsum), sum);
    }
    _mm256_blendv_ps(lanes, sum, group.present)
}

/// The contract's sum of the eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn fold(lanes: __m256) -> f32 {
    let pairs = _mm256_hadd_ps(lanes, lanes);
    let fours = _mm256_hadd_ps(pairs, pairs);
    let sum = _mm_add_ss(_mm256_castps256_ps128(fours), _mm256_extractf128_ps::<1>(fours));
    _mm_cvtss_f32(sum)
}

/// Partial sums of the products of block `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn block_sums(w: __m256i, quants: Quants, x: &ActBlock, b: usize) -> __m256i {
    let x = activations(x, b);
    let pairs = match quants {
        Unsigned { .. } => _mm256_maddubs_epi16(w, x),
        // |w| times x with the sign of w: |-128| is 128 as an unsigned byte.
        Signed => _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)),
    };
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}

/// The sum of the lanes of vector `b`, in lane `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn across(v: [__m256i; GROUP]) -> __m256i {
    let low = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    let high = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
    // Each holds four sums twice: over the lower and over the upper halves of their vectors.
    _mm256_add_epi32(
        _mm256_permute2x128_si256::<0x20>(low, high),
        _mm256_permute2x128_si256::<0x31>(low, high),
    )
}

/// Eight f16.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn widen(bits: [[u8; 2]; GROUP]) -> __m256 {
    // SAFETY: the array holds 16 bytes; the load takes any address.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bits.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn mask(lanes: [i32; GROUP]) -> __m256 {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    _mm256_castsi256_ps(unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) })
}

/// The low nibbles of 16 bytes, then the high ones.
#[inline]
#[target_feature(enable = "avx2")]
fn nibbles(qs: &[u8; 16]) -> __m256i {
    // SAFETY: the array holds 16 bytes; the load takes any address.
    let qs = unsafe { _mm_loadu_si128(qs.as_ptr().cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(qs), qs);
    _mm256_and_si256(both, _mm256_set1_epi8(0x0f))
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
fn q4_0(w: &BlockQ4_0) -> __m256i {
    nibbles(&w.qs)
}

#[inline]
#[target_feature(enable = "avx2")]
fn q4_1(w: &BlockQ4_1) -> __m256i {
    nibbles(&w.qs)
}

#[inline]
#[target_feature(enable = "avx2")]
fn q5_0(w: &BlockQ5_0) -> __m256i {
    _mm256_or_si256(nibbles(&w.qs), fifth_bits(w.qh))
}

#[inline]
#[target_feature(enable = "avx2")]
fn q5_1(w: &BlockQ5_1) -> __m256i {
    _mm256_or_si256(nibbles(&w.qs), fifth_bits(w.qh))
}

#[inline]
#[target_feature(enable = "avx2")]
fn q8_0(w: &BlockQ8_0) -> __m256i {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    unsafe { _mm256_loadu_si256(w.qs.as_ptr().cast()) }
}
