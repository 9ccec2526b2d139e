//! Formats with one scale per 32 values, a group of eight blocks at a time: a lane a block, the contract's eight lanes.
//!
//! Two blocks are a register of weights, so a group is four, and `vpdpbusd` leaves eight lanes for each block. Blocks lie
//! close: the 64 bytes from every second one hold both, so one load and one `vpermw` bring their nibbles together, and the
//! scales come from the same loads. Those of the last two blocks of a group begin earlier, so as to end with it.
//!
//! Stored quants are larger than the weights by a power of two where the format has no minimum: the sum of activations,
//! shifted, is taken off. Q8_0's signed bytes are made so by turning their top bit over.

use core::arch::x86_64::*;
use core::hint::black_box;

use super::super::RowDot;
use super::{Rows, halves, products};
use crate::formats::{ActBlock, Block, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0};
use crate::kernels::gemv::{AHEAD, Gemv, fetch};
use crate::kernels::sibling::sibling;
use crate::kernels::uninterpreted::{_mm512_permutex2var_epi16, _mm512_permutexvar_epi16};

/// Blocks of a group.
const GROUP: usize = 8;

/// What the unpacked bytes of a format are: numbers of so many bits, larger than the weights by `2^offset_log2` where there
/// is one.
#[derive(Clone, Copy)]
struct Quants {
    bits: u32,
    offset_log2: Option<u32>,
}

/// A group of weights, unpacked once for all columns.
struct Group {
    quants: [__m512i; 4],
    d: __m256,
    m: __m256,
}

/// A group of blocks, unpacked. They are given twice: of `$apart` the compiler must not know that it is the same, or loads of
/// what windows hold as well become shuffles of these.
macro_rules! unpacked {
    ($block:ty, $unpack:ident, $blocks:expr, $apart:expr) => {{
        let windows = [
            window::<$block, 0>($blocks),
            window::<$block, 1>($blocks),
            window::<$block, 2>($blocks),
            window::<$block, 3>($blocks),
        ];
        let [d, m] = heads::<$block>(windows);
        let quants = [
            $unpack::<0>(windows[0], $apart),
            $unpack::<1>(windows[1], $apart),
            $unpack::<2>(windows[2], $apart),
            $unpack::<3>(windows[3], $apart),
        ];
        Group { quants, d, m }
    }};
}

/// The siblings of a format, from the function that unpacks two blocks.
macro_rules! rows {
    ($block:ty, $unpack:ident, $quants:expr) => {{
        /// The blocks behind the last whole group, and which lanes they are.
        #[inline]
        fn rest(blocks: &[$block]) -> ([$block; GROUP], __mmask8) {
            let mut bytes = [0; GROUP * size_of::<$block>()];
            <$block>::slice_mut(&mut bytes)[..blocks.len()].copy_from_slice(blocks);
            (<$block>::slice(&bytes).as_chunks::<GROUP>().0[0], !(u8::MAX << blocks.len()))
        }
        /// One row; with `FETCH` what lies [`AHEAD`] is asked for. Each has one caller, so that it is inlined.
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn row<const FETCH: bool>(row: &[u8], x: &[ActBlock]) -> f32 {
            let (groups, tail) = <$block>::slice(row).as_chunks::<GROUP>();
            let (apart, order) = (black_box(groups), black_box(&IN_TURN));
            let mut lanes = _mm256_setzero_ps();
            for ((blocks, apart), x) in groups.iter().zip(apart).zip(x) {
                if FETCH {
                    fetch(blocks.as_ptr().cast::<u8>().wrapping_add(AHEAD), size_of_val(blocks));
                }
                let group = unpacked!($block, $unpack, blocks, apart);
                lanes = add_group(&group, $quants, x, lanes, order);
            }
            if let (false, Some(x)) = (tail.is_empty(), x.get(groups.len())) {
                let (blocks, present) = rest(tail);
                let group = unpacked!($block, $unpack, &blocks, black_box(&blocks));
                let sum = add_group(&group, $quants, x, lanes, order);
                lanes = _mm256_mask_mov_ps(lanes, present, sum);
            }
            fold(lanes)
        }
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn x1(w: &[u8], x: &[ActBlock]) -> f32 {
            row::<false>(w, x)
        }
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
            let (groups, tail) = <$block>::slice(row).as_chunks::<GROUP>();
            let (apart, order) = (black_box(groups), black_box(&IN_TURN));
            let mut lanes = [_mm256_setzero_ps(); 4];
            for (i, (blocks, apart)) in groups.iter().zip(apart).enumerate() {
                let group = unpacked!($block, $unpack, blocks, apart);
                for (lanes, x) in lanes.iter_mut().zip(x) {
                    *lanes = add_group(&group, $quants, &x[i], *lanes, order);
                }
            }
            if !tail.is_empty() {
                let (blocks, present) = rest(tail);
                let group = unpacked!($block, $unpack, &blocks, black_box(&blocks));
                for (lanes, x) in lanes.iter_mut().zip(x) {
                    let sum = add_group(&group, $quants, &x[groups.len()], *lanes, order);
                    *lanes = _mm256_mask_mov_ps(*lanes, present, sum);
                }
            }
            [fold(lanes[0]), fold(lanes[1]), fold(lanes[2]), fold(lanes[3])]
        }
        /// Row after row, as one stream: what a row fetches last is the next one's.
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn gemv(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
            let row_bytes = w.len() / out.len();
            for (w, out) in w.chunks_exact(row_bytes).zip(out) {
                *out = row::<true>(w, x);
            }
        }
        Rows {
            dot: RowDot { x1: sibling!(x1), x4: sibling!(x4) },
            gemv: sibling!(gemv as Gemv),
        }
    }};
}

pub const Q4_0: Rows = rows!(BlockQ4_0, q4_0, Quants { bits: 4, offset_log2: Some(3) });
pub const Q4_1: Rows = rows!(BlockQ4_1, q4_1, Quants { bits: 4, offset_log2: None });
pub const Q5_0: Rows = rows!(BlockQ5_0, q5_0, Quants { bits: 5, offset_log2: Some(4) });
pub const Q5_1: Rows = rows!(BlockQ5_1, q5_1, Quants { bits: 5, offset_log2: None });
pub const Q8_0: Rows = rows!(BlockQ8_0, q8_0, Quants { bits: 8, offset_log2: Some(7) });

/// Where the window of blocks `2 pair` and `2 pair + 1` begins, in bytes of the group.
const fn window_start<B>(pair: usize) -> usize {
    let (start, last) = (2 * pair * size_of::<B>(), GROUP * size_of::<B>() - 64);
    if start < last { start } else { last }
}

/// The place of 16-bit element `word` of block `2 pair + second` in its window.
const fn word_at<B>(pair: usize, second: usize, word: usize) -> usize {
    ((2 * pair + second) * size_of::<B>() - window_start::<B>(pair)) / 2 + word
}

/// 64 bytes that hold blocks `2 PAIR` and `2 PAIR + 1`, or the first 64 of them.
#[inline]
#[target_feature(enable = "avx512f")]
fn window<B: Block, const PAIR: usize>(blocks: &[B; GROUP]) -> __m512i {
    const { assert!(window_start::<B>(PAIR) + 64 <= size_of::<[B; GROUP]>()) };
    // SAFETY: the 64 bytes lie in the group; the load takes any address.
    unsafe { _mm512_loadu_si512(blocks.as_ptr().cast::<u8>().add(window_start::<B>(PAIR)).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words(words: [i16; 32]) -> __m512i {
    // SAFETY: the array holds 64 bytes; the load takes any address.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// The first and the second f16 of each block.
#[inline]
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw")]
fn heads<B: Block>(windows: [__m512i; 4]) -> [__m256; 2] {
    // Four first ones, four second ones, of the blocks of two windows.
    let order = |first: usize| {
        words(core::array::from_fn(|i| {
            let (block, word) = (i % 4, i / 4 % 2);
            (word_at::<B>(first + block / 2, block % 2, word) + block / 2 * 32) as i16
        }))
    };
    let four = |a, first, b| _mm512_castsi512_si128(_mm512_permutex2var_epi16(a, order(first), b));
    let (low, high) = (four(windows[0], 0, windows[1]), four(windows[2], 2, windows[3]));
    [_mm256_cvtph_ps(_mm_unpacklo_epi64(low, high)), _mm256_cvtph_ps(_mm_unpackhi_epi64(low, high))]
}

/// The nibbles of two blocks whose 16 bytes of them begin at 16-bit element `WORD`: low ones, then high ones, of one block, then of the
/// other.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn nibbles<B: Block, const PAIR: usize, const WORD: usize>(window: __m512i) -> __m512i {
    let order = words(core::array::from_fn(|i| word_at::<B>(PAIR, i / 16, WORD + i % 8) as i16));
    let bytes = _mm512_permutexvar_epi16(order, window);
    let shifted =
        _mm512_srlv_epi32(bytes, _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4));
    _mm512_and_si512(shifted, _mm512_set1_epi8(0x0f))
}

/// The quants with 16 more where a bit of two blocks' fifth bits is set.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn with_fifth_bits(nibbles: __m512i, [first, second]: [[u8; 4]; 2]) -> __m512i {
    let set = u64::from(u32::from_le_bytes(first)) | u64::from(u32::from_le_bytes(second)) << 32;
    _mm512_mask_add_epi8(nibbles, set, nibbles, _mm512_set1_epi8(0x10))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn q4_0<const PAIR: usize>(window: __m512i, _: &[BlockQ4_0; GROUP]) -> __m512i {
    nibbles::<BlockQ4_0, PAIR, 1>(window)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn q4_1<const PAIR: usize>(window: __m512i, _: &[BlockQ4_1; GROUP]) -> __m512i {
    nibbles::<BlockQ4_1, PAIR, 2>(window)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn q5_0<const PAIR: usize>(window: __m512i, blocks: &[BlockQ5_0; GROUP]) -> __m512i {
    let nibbles = nibbles::<BlockQ5_0, PAIR, 3>(window);
    with_fifth_bits(nibbles, [blocks[2 * PAIR].qh, blocks[2 * PAIR + 1].qh])
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn q5_1<const PAIR: usize>(window: __m512i, blocks: &[BlockQ5_1; GROUP]) -> __m512i {
    let nibbles = nibbles::<BlockQ5_1, PAIR, 4>(window);
    with_fifth_bits(nibbles, [blocks[2 * PAIR].qh, blocks[2 * PAIR + 1].qh])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn q8_0<const PAIR: usize>(_: __m512i, blocks: &[BlockQ8_0; GROUP]) -> __m512i {
    let signed = halves(&blocks[2 * PAIR].qs, &blocks[2 * PAIR + 1].qs);
    _mm512_xor_si512(signed, _mm512_set1_epi8(-128))
}

/// Adds a group of a row, times its place in a column, to the lanes of that column.
#[inline]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_group(
    group: &Group,
    quants: Quants,
    x: &ActBlock,
    lanes: __m256,
    order: &[i32; 16],
) -> __m256 {
    let [a, b, c, d] = group.quants;
    let fours = [products(a, x, 0), products(b, x, 1), products(c, x, 2), products(d, x, 3)];
    let isum = if quants.bits == 8 { across_32(fours, order) } else { across_16(fours, order) };
    // SAFETY: `bsums` are 32 bytes, at offset 256 of a block aligned to 64; `d` as many behind them.
    let (bsums, dx) =
        unsafe { (_mm256_load_si256(x.bsums.as_ptr().cast()), _mm256_load_ps(x.d.as_ptr())) };
    let xsum = _mm256_madd_epi16(bsums, _mm256_set1_epi16(1));
    let isum = match quants.offset_log2 {
        Some(n) => _mm256_sub_epi32(isum, _mm256_sll_epi32(xsum, _mm_cvtsi32_si128(n as i32))),
        None => isum,
    };
    let sum = _mm256_fmadd_ps(_mm256_mul_ps(group.d, dx), _mm256_cvtepi32_ps(isum), lanes);
    match quants.offset_log2 {
        Some(_) => sum,
        None => _mm256_fmadd_ps(_mm256_mul_ps(group.m, dx), _mm256_cvtepi32_ps(xsum), sum),
    }
}

/// The sum of the eight lanes of half `b % 2` of vector `b / 2`, in lane `b`; of sums of four products that fit 15 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn across_16([a, b, c, d]: [__m512i; 4], order: &[i32; 16]) -> __m256i {
    // Eight products of 5 bits fit 16 (`8 · 31 · 127 < 2¹⁵`), so sums are packed twice; each quarter ends with one lane of
    // each vector.
    let ones = _mm512_set1_epi16(1);
    let two = |a, b| _mm512_madd_epi16(_mm512_packs_epi32(a, b), ones);
    quarters(two(two(a, b), two(c, d)), order)
}

/// The same of any sums.
#[inline]
#[target_feature(enable = "avx512f")]
fn across_32([a, b, c, d]: [__m512i; 4], order: &[i32; 16]) -> __m256i {
    let two = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (a, b) = (two(a, b), two(c, d));
    quarters(_mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)), order)
}

/// Lanes of the first quarter and of the third in turn. Kernels hide it from the compiler, which would make three
/// shuffles of the one.
const IN_TURN: [i32; 16] = [0, 8, 1, 9, 2, 10, 3, 11, 0, 0, 0, 0, 0, 0, 0, 0];

/// The sums of the two quarters of each half, of the lower and of the upper half in turn.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarters(v: __m512i, order: &[i32; 16]) -> __m256i {
    let sums = _mm512_add_epi32(v, _mm512_shuffle_i64x2::<0b10_11_00_01>(v, v));
    // SAFETY: the array holds 64 bytes; the load takes any address.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, sums))
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
