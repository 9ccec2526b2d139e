//! AVX-VNNI: rows of signed bytes, Q8_0 and Q8_K, by `vpdpbusd`; the rest as at AVX2.
//!
//! With the top bit turned over a weight is an unsigned byte, 128 too large: the sum of activations, times 128, is taken off. A register
//! of weights takes three operations then, where `vpmaddubsw` wants magnitudes and signs, and its sums widened: five. The
//! formats of fewer bits gain nothing: their sums of products stay in 16 bits for two or three levels of addition.

use core::arch::x86_64::*;

use super::avx2::blocks_of_32::{GROUP, across_32, fold, heads, mask};
use super::avx2::super_blocks::lane_sums;
use super::avx2::{activations, bsums};
use super::{RowDot, RowDots};
use crate::formats::{ActBlock, Block, BlockQ8_0, BlockQ8K};
use crate::kernels::arith::{Arith, Fast};
use crate::kernels::sibling::sibling;

impl RowDots {
    /// These, with those of signed bytes replaced.
    pub const fn with_avxvnni(self) -> RowDots {
        RowDots {
            q8_0: RowDot { x1: sibling!(q8_0), x4: sibling!(q8_0_x4) },
            q8_k: RowDot { x1: sibling!(q8_k), x4: sibling!(q8_k_x4) },
            ..self
        }
    }
}

/// What 128 times a sum is shifted by.
const OFFSET_LOG2: i32 = 7;

/// `sums` and the products of 32 weights, 128 more than they are, with 32 activations.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn add_products(sums: __m256i, w: &[i8; 32], x: &ActBlock, j: usize) -> __m256i {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    let signed = unsafe { _mm256_loadu_si256(w.as_ptr().cast()) };
    let unsigned = _mm256_xor_si256(signed, _mm256_set1_epi8(-128));
    _mm256_dpbusd_avx_epi32(sums, unsigned, activations(x, j))
}

/// Adds a group of blocks times its place in a column to the lanes of that column.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn add_group(blocks: &[BlockQ8_0; GROUP], d: __m256, x: &ActBlock, lanes: __m256) -> __m256 {
    let mut sums = [_mm256_setzero_si256(); GROUP];
    for (b, (sum, w)) in sums.iter_mut().zip(blocks).enumerate() {
        *sum = add_products(*sum, &w.qs, x, b);
    }
    let xsum = _mm256_madd_epi16(bsums(x), _mm256_set1_epi16(1));
    let isum = _mm256_sub_epi32(across_32(sums), _mm256_slli_epi32::<OFFSET_LOG2>(xsum));
    // SAFETY: `d` holds eight f32, at offset 288 of a block aligned to 64.
    let dx = unsafe { _mm256_load_ps(x.d.as_ptr()) };
    _mm256_fmadd_ps(_mm256_mul_ps(d, dx), _mm256_cvtepi32_ps(isum), lanes)
}

/// The blocks behind the last whole group, and which lanes they are.
#[inline]
#[target_feature(enable = "avx2")]
fn rest(blocks: &[BlockQ8_0]) -> ([BlockQ8_0; GROUP], __m256) {
    let mut padded = [BlockQ8_0 { d: [0; 2], qs: [0; 32] }; GROUP];
    padded[..blocks.len()].copy_from_slice(blocks);
    let mut present = [0; GROUP];
    present[..blocks.len()].fill(-1);
    (padded, mask(present))
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn q8_0(row: &[u8], x: &[ActBlock]) -> f32 {
    let (groups, tail) = BlockQ8_0::slice(row).as_chunks::<GROUP>();
    let mut lanes = _mm256_setzero_ps();
    for (blocks, x) in groups.iter().zip(x) {
        lanes = add_group(blocks, heads(blocks)[0], x, lanes);
    }
    if let (false, Some(x)) = (tail.is_empty(), x.get(groups.len())) {
        let (blocks, present) = rest(tail);
        let sum = add_group(&blocks, heads(&blocks)[0], x, lanes);
        lanes = _mm256_blendv_ps(lanes, sum, present);
    }
    fold(lanes)
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn q8_0_x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
    let (groups, tail) = BlockQ8_0::slice(row).as_chunks::<GROUP>();
    let mut lanes = [_mm256_setzero_ps(); 4];
    for (i, blocks) in groups.iter().enumerate() {
        let d = heads(blocks)[0];
        for (lanes, x) in lanes.iter_mut().zip(x) {
            *lanes = add_group(blocks, d, &x[i], *lanes);
        }
    }
    if !tail.is_empty() {
        let (blocks, present) = rest(tail);
        let d = heads(&blocks)[0];
        for (lanes, x) in lanes.iter_mut().zip(x) {
            let sum = add_group(&blocks, d, &x[groups.len()], *lanes);
            *lanes = _mm256_blendv_ps(*lanes, sum, present);
        }
    }
    [fold(lanes[0]), fold(lanes[1]), fold(lanes[2]), fold(lanes[3])]
}

/// The sum of a super-block times a column, in lanes: four chains side by side.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn super_block(w: &BlockQ8K, x: &ActBlock) -> __m256i {
    let over = _mm256_madd_epi16(bsums(x), _mm256_set1_epi16(-(1 << OFFSET_LOG2)));
    let zero = _mm256_setzero_si256();
    let mut sums = [over, zero, zero, zero];
    for (j, w) in w.qs.as_chunks::<32>().0.iter().enumerate() {
        sums[j % 4] = add_products(sums[j % 4], w, x, j);
    }
    let [a, b, c, d] = sums;
    _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d))
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn q8_k(row: &[u8], x: &[ActBlock]) -> f32 {
    let mut acc = 0.0;
    for (w, x) in BlockQ8K::slice(row).iter().zip(x) {
        let sum = super_block(w, x);
        let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
        let isum = _mm_cvtss_f32(_mm_cvtepi32_ps(sum));
        acc = Fast::fma(f32::from_le_bytes(w.d) * x.d[0], isum, acc);
    }
    acc
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
fn q8_k_x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
    let blocks = BlockQ8K::slice(row);
    let x = x.map(|x| &x[..blocks.len()]);
    let mut acc = _mm_setzero_ps();
    for (i, w) in blocks.iter().enumerate() {
        let [a, b, c, d] = x.map(|x| &x[i]);
        let sums = [super_block(w, a), super_block(w, b), super_block(w, c), super_block(w, d)];
        let dx = _mm_setr_ps(a.d[0], b.d[0], c.d[0], d.d[0]);
        let d = _mm_mul_ps(_mm_set1_ps(f32::from_le_bytes(w.d)), dx);
        acc = _mm_fmadd_ps(d, _mm_cvtepi32_ps(lane_sums(sums)), acc);
    }
    let mut out = [0.0; 4];
    // SAFETY: `out` holds four f32.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), acc) };
    out
}
