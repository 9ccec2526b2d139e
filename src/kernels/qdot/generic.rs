//! Portable SIMD: Q5_K in the operations that pulp offers on every machine.
//!
//! pulp has neither byte multiplication nor widening nor i32-to-f32 conversion. So the integer sums are
//! formed in f32, exactly: a lane is a word of four bytes, shifted to one byte at a time, and the byte set
//! into the mantissa of 2²³ is the number 2²³ plus the byte. With at least four lanes, a lane's sum over a
//! super-block is at most `64 · 31 · 127 · 63 < 2²⁴`: every step is exact, whatever its order.

use pulp::{Arch, Simd, WithSimd};

use super::{RowDot, RowDots, scalar};
use crate::formats::{ActBlock, Block, BlockQ5K, f16_value, scale_min_k4};
use crate::kernels::arith::{Arith, Exact};
use crate::kernels::sibling::sibling;

pub const ROW_DOTS: RowDots =
    RowDots { q5_k: RowDot { x1: sibling!(q5_k), x4: sibling!(q5_k_x4) }, ..scalar::ROW_DOTS };

fn q5_k(row: &[u8], x: &[ActBlock]) -> f32 {
    Arch::new().dispatch(Q5K { row, x })
}

fn q5_k_x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
    x.map(|x| q5_k(row, x))
}

struct Q5K<'a> {
    row: &'a [u8],
    x: &'a [ActBlock],
}

impl WithSimd for Q5K<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        if !matches!(S::U32_LANES, 4 | WORDS) {
            return scalar::dot_256::<Exact, BlockQ5K>(self.row, self.x);
        }
        let mut acc = 0.0;
        for (w, x) in BlockQ5K::slice(self.row).iter().zip(self.x) {
            let scales: [(u8, u8); 8] = core::array::from_fn(|j| scale_min_k4(&w.scales, j));
            let isum = integer_sum(simd, w, &scales, x);
            let msum: i32 =
                (0..16).map(|j| i32::from(scales[j / 2].1) * i32::from(x.bsums[j])).sum();
            acc = Exact::fma(f16_value(w.d) * x.d[0], isum as f32, acc);
            acc = Exact::fma(-(f16_value(w.dmin) * x.d[0]), msum as f32, acc);
        }
        acc
    }
}

/// Words of a sub-block of 32 bytes.
const WORDS: usize = 8;

#[inline(always)]
fn integer_sum<S: Simd>(simd: S, w: &BlockQ5K, scales: &[(u8, u8); 8], x: &ActBlock) -> i32 {
    let qh = words(|i| w.qh[i]);
    let mut acc = simd.splat_f32s(0.0);
    for (g, qs) in w.qs.as_chunks::<32>().0.iter().enumerate() {
        let qs = words(|i| qs[i]);
        for half in 0..2 {
            let j = 2 * g + half;
            let scale = simd.splat_f32s(f32::from(scales[j].0));
            let x = &x.qs.as_chunks::<32>().0[j];
            let x = words(|i| x[i] as u8);
            for ((&qs, &qh), &x) in
                vectors::<S>(&qs).iter().zip(vectors::<S>(&qh)).zip(vectors::<S>(&x))
            {
                let low = shift_right(simd, qs, 4 * half as u32);
                let low = simd.and_u32s(low, simd.splat_u32s(0x0f0f_0f0f));
                let fifth = shift_right(simd, qh, j as u32);
                let fifth = simd.and_u32s(fifth, simd.splat_u32s(0x0101_0101));
                let fifth = simd.wrapping_dyn_shl_u32s(fifth, simd.splat_u32s(4));
                let weights = simd.or_u32s(low, fifth);
                // Adding 128 to a signed byte, as an exclusive or, makes it unsigned.
                let x = simd.xor_u32s(x, simd.splat_u32s(0x8080_8080));
                let mut sum = simd.splat_f32s(0.0);
                for b in 0..4 {
                    let weight = byte_as_f32(simd, weights, b, 0.0);
                    let x = byte_as_f32(simd, x, b, 128.0);
                    sum = simd.mul_add_f32s(weight, x, sum);
                }
                acc = simd.mul_add_f32s(sum, scale, acc);
            }
        }
    }
    let mut lanes = [0.0; WORDS];
    simd.partial_store_f32s(&mut lanes[..S::F32_LANES], acc);
    lanes.iter().map(|&lane| lane as i32).sum()
}

/// Byte `b` of each word, minus `bias`.
#[inline(always)]
fn byte_as_f32<S: Simd>(simd: S, words: S::u32s, b: u32, bias: f32) -> S::f32s {
    const TWO_23: f32 = 8_388_608.0;
    let byte = simd.and_u32s(shift_right(simd, words, 8 * b), simd.splat_u32s(0xff));
    let biased = simd.or_u32s(byte, simd.splat_u32s(TWO_23.to_bits()));
    simd.sub_f32s(simd.transmute_f32s_u32s(biased), simd.splat_f32s(TWO_23 + bias))
}

#[inline(always)]
fn shift_right<S: Simd>(simd: S, words: S::u32s, count: u32) -> S::u32s {
    simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(count))
}

/// The words of a sub-block, given its bytes.
#[inline(always)]
fn words(byte: impl Fn(usize) -> u8) -> [u32; WORDS] {
    core::array::from_fn(|i| {
        u32::from_le_bytes([byte(4 * i), byte(4 * i + 1), byte(4 * i + 2), byte(4 * i + 3)])
    })
}

#[inline(always)]
fn vectors<S: Simd>(words: &[u32; WORDS]) -> &[S::u32s] {
    S::as_simd_u32s(words).0
}
