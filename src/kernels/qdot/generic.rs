//! Portable SIMD: Q4_K, Q5_K and Q6_K in the operations that pulp offers on every machine.
//!
//! pulp has neither products of bytes nor widening nor signed shifts; it has products of 16 and of 32 bits that keep the lower
//! half. So a word of four quants `w` and one of four activations `x` are split into even and odd bytes, two lanes of
//! 16 bits each, and what follows is exact in integers that wrap:
//!
//! ```text
//! lanes   w[0]·x[0] + w[1]·x[1]  and  w[2]·x[2] + w[3]·x[3]        at most 2 · 63 · 127 < 2¹⁵ in magnitude: exact in 16 bits
//! word    low + 2¹⁶·high, times 2¹⁶ + 1: low + 2¹⁶·(low + high)    the upper half is the sum of four, at most 4 · 63 · 127 < 2¹⁵
//! four    the upper half, plus 2¹⁵, moved down: from 0 to 2¹⁶      a shift without sign, of a number without sign
//! acc     acc + scale · four                                       modulo 2³²
//! ```
//!
//! The 2¹⁵ of every word come off at the end: `isum = Σ lanes of acc - 2¹⁵ · Σ scale of each word`, modulo 2³², and the true
//! sum fits 32 bits.
//!
//! Registers are of eight words at most: 32 quants that lie together belong to one sub-block, and the 32 behind them to the next
//! but one in some formats, whose activations lie elsewhere.
//!
//! A register of 32 quants of Q5_K takes 21.5 operations: 4.5 unpack, 3 split the quants, 6 the activations, 8 multiply and add.

use core::array::from_fn;
use core::marker::PhantomData;

use pulp::bytemuck::cast;
use pulp::{Simd, WithSimd};

use super::{RowDot, RowDots, scalar};
use crate::formats::{
    ActBlock, BlockQ4K, BlockQ5K, BlockQ6K, Integers256, f16_value, scale_min_words,
};
use crate::kernels::arith::Exact;
use crate::kernels::portable::{dispatch_256, shift_right, word};
use crate::kernels::sibling::sibling;

pub const ROW_DOTS: RowDots = RowDots {
    q4_k: row_dot::<BlockQ4K>(),
    q5_k: row_dot::<BlockQ5K>(),
    q6_k: row_dot::<BlockQ6K>(),
    ..scalar::ROW_DOTS
};

const fn row_dot<B: Quants>() -> RowDot {
    RowDot {
        x1: sibling!(|row, x| {
            let [dot] = dispatch_256(Dots::<B, 1> { row, x: [x], format: PhantomData });
            dot
        }),
        x4: sibling!(|row, x| dispatch_256(Dots::<B, 4> { row, x, format: PhantomData })),
    }
}

/// One row times `N` columns.
struct Dots<'a, B, const N: usize> {
    row: &'a [u8],
    x: [&'a [ActBlock]; N],
    format: PhantomData<B>,
}

impl<B: Quants, const N: usize> WithSimd for Dots<'_, B, N> {
    type Output = [f32; N];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; N] {
        if !matches!(S::U32_LANES, 4 | WORDS) {
            return self.x.map(|x| scalar::dot_256::<Exact, B>(self.row, x));
        }
        // All lanes of a sum are the same: pulp's multiply-add is an instruction, that of a scalar is not in every build.
        let mut acc = [simd.splat_f32s(0.0); N];
        for (i, w) in B::slice(self.row).iter().enumerate() {
            let (scales, mins) = w.scales_mins();
            let [d, dmin] = w.d_dmin();
            let columns = from_fn(
                #[inline(always)]
                |n| &self.x[n][i],
            );
            let isums = integer_sums::<S, B, N>(simd, w, &scales, columns);
            for n in 0..N {
                let x = columns[n];
                let scale = simd.splat_f32s(d * x.d[0]);
                acc[n] = simd.mul_add_f32s(scale, simd.splat_f32s(isums[n] as f32), acc[n]);
                if B::HAS_MINS {
                    let msum: i32 =
                        (0..16).map(|j| i32::from(mins[j / 2]) * i32::from(x.bsums[j])).sum();
                    let scale = simd.splat_f32s(-(dmin * x.d[0]));
                    acc[n] = simd.mul_add_f32s(scale, simd.splat_f32s(msum as f32), acc[n]);
                }
            }
        }
        let mut out = [0.0; N];
        for n in 0..N {
            let mut lanes = [0.0; WORDS];
            S::as_mut_simd_f32s(&mut lanes).0[0] = acc[n];
            out[n] = lanes[0];
        }
        out
    }
}

/// Words of 32 bytes.
const WORDS: usize = 8;

/// A K format whose quants are numbers without sign, after an offset.
trait Quants: Integers256 {
    /// What is subtracted from each.
    const OFFSET: i32;
    /// Of 32 bytes of quants `32 J..`, below 64 each, the vector `v`.
    fn quants<S: Simd, const J: usize>(&self, simd: S, v: usize) -> S::u32s;
    /// The scales of each 16 quants, in pairs, and the minimums of each 32.
    fn scales_mins(&self) -> ([[i8; 2]; 8], [u8; 8]);
    /// The scales of the scales and of the minimums.
    fn d_dmin(&self) -> [f32; 2];
}

impl Quants for BlockQ4K {
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn quants<S: Simd, const J: usize>(&self, simd: S, v: usize) -> S::u32s {
        nibbles(simd, &self.qs, J / 2, J % 2, v)
    }

    #[inline(always)]
    fn scales_mins(&self) -> ([[i8; 2]; 8], [u8; 8]) {
        six_bits(&self.scales)
    }

    #[inline(always)]
    fn d_dmin(&self) -> [f32; 2] {
        [f16_value(self.d), f16_value(self.dmin)]
    }
}

impl Quants for BlockQ5K {
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn quants<S: Simd, const J: usize>(&self, simd: S, v: usize) -> S::u32s {
        let low = nibbles(simd, &self.qs, J / 2, J % 2, v);
        let fifth = moved(simd, load::<S>(&self.qh, 0, v), J as i32, 4);
        simd.or_u32s(low, simd.and_u32s(fifth, word(simd, 0x1010_1010)))
    }

    #[inline(always)]
    fn scales_mins(&self) -> ([[i8; 2]; 8], [u8; 8]) {
        six_bits(&self.scales)
    }

    #[inline(always)]
    fn d_dmin(&self) -> [f32; 2] {
        [f16_value(self.d), f16_value(self.dmin)]
    }
}

impl Quants for BlockQ6K {
    const OFFSET: i32 = 32;

    #[inline(always)]
    fn quants<S: Simd, const J: usize>(&self, simd: S, v: usize) -> S::u32s {
        let (half, part) = (J / 4, J % 4);
        let low = nibbles(simd, &self.ql, 2 * half + part % 2, part / 2, v);
        let top = moved(simd, load::<S>(&self.qh, half, v), 2 * part as i32, 4);
        simd.or_u32s(low, simd.and_u32s(top, word(simd, 0x3030_3030)))
    }

    #[inline(always)]
    fn scales_mins(&self) -> ([[i8; 2]; 8], [u8; 8]) {
        (from_fn(|j| [self.scales[2 * j], self.scales[2 * j + 1]]), [0; 8])
    }

    #[inline(always)]
    fn d_dmin(&self) -> [f32; 2] {
        [f16_value(self.d), 0.0]
    }
}

/// The eight scales, each twice, and the eight minimums of Q4_K and Q5_K.
#[inline(always)]
fn six_bits(packed: &[u8; 12]) -> ([[i8; 2]; 8], [u8; 8]) {
    let [scales, mins] = scale_min_words(packed).map(u64::to_le_bytes);
    (scales.map(|scale| [scale as i8; 2]), mins)
}

/// The low or, for `high = 1`, the high nibbles of a vector of 32 bytes.
#[inline(always)]
fn nibbles<S: Simd>(simd: S, bytes: &[u8], block: usize, high: usize, v: usize) -> S::u32s {
    let both = load::<S>(bytes, block, v);
    simd.and_u32s(moved(simd, both, 4 * high as i32, 0), word(simd, 0x0f0f_0f0f))
}

/// Words shifted so that bit `from` comes to bit `to`; a byte's bits that stay in it are not changed otherwise.
#[inline(always)]
fn moved<S: Simd>(simd: S, words: S::u32s, from: i32, to: i32) -> S::u32s {
    match to - from {
        0 => words,
        1.. => simd.wrapping_dyn_shl_u32s(words, word(simd, (to - from) as u32)),
        _ => shift_right(simd, words, (from - to) as u32),
    }
}

/// Vector `v` of the 32 bytes `32 block..`. How bytes are ordered in words is the machine's affair: that of weights and of
/// activations is the same.
#[inline(always)]
fn load<S: Simd>(bytes: &[u8], block: usize, v: usize) -> S::u32s {
    cast(S::as_simd_u8s(bytes).0[block * (WORDS / S::U32_LANES) + v])
}

/// The sums of a super-block and `N` columns.
#[inline(always)]
fn integer_sums<S: Simd, B: Quants, const N: usize>(
    simd: S,
    w: &B,
    scales: &[[i8; 2]; 8],
    x: [&ActBlock; N],
) -> [i32; N] {
    let mut acc = [simd.splat_u32s(0); N];
    acc = add_32::<S, B, N, 0>(simd, w, scales, x, acc);
    acc = add_32::<S, B, N, 1>(simd, w, scales, x, acc);
    acc = add_32::<S, B, N, 2>(simd, w, scales, x, acc);
    acc = add_32::<S, B, N, 3>(simd, w, scales, x, acc);
    acc = add_32::<S, B, N, 4>(simd, w, scales, x, acc);
    acc = add_32::<S, B, N, 5>(simd, w, scales, x, acc);
    acc = add_32::<S, B, N, 6>(simd, w, scales, x, acc);
    acc = add_32::<S, B, N, 7>(simd, w, scales, x, acc);
    // Four words for each scale.
    let bias = scales.as_flattened().iter().map(|&scale| i32::from(scale)).sum::<i32>() * (4 << 15);
    from_fn(
        #[inline(always)]
        |n| {
            let mut lanes = [0; WORDS];
            // A partial store would jump to one of its length.
            S::as_mut_simd_u32s(&mut lanes).0[0] = acc[n];
            let sum = lanes.into_iter().fold(0, u32::wrapping_add) as i32;
            let terms = scales.as_flattened().iter().zip(&x[n].bsums);
            let offset: i32 = terms.map(|(&s, &sum)| i32::from(s) * i32::from(sum)).sum();
            sum.wrapping_sub(bias).wrapping_sub(B::OFFSET * offset)
        },
    )
}

/// Adds the quants `32 J..32 (J + 1)`.
#[inline(always)]
fn add_32<S: Simd, B: Quants, const N: usize, const J: usize>(
    simd: S,
    w: &B,
    scales: &[[i8; 2]; 8],
    x: [&ActBlock; N],
    mut acc: [S::u32s; N],
) -> [S::u32s; N] {
    let scales: [u32; WORDS] = from_fn(
        #[inline(always)]
        |i| i32::from(scales[J][i / 4]) as u32,
    );
    for (v, &scale) in S::as_simd_u32s(&scales).0.iter().enumerate() {
        let [w_even, w_odd] = split(simd, w.quants::<S, J>(simd, v));
        for n in 0..N {
            let x = S::as_simd_i8s(&x[n].qs).0[J * (WORDS / S::U32_LANES) + v];
            // 128 more, without sign; and after the split 128 less.
            let [even, odd] = split(simd, simd.xor_u32s(cast(x), word(simd, 0x8080_8080)));
            let even = simd.mul_u16s(w_even, simd.sub_u16s(even, simd.splat_u16s(128)));
            let odd = simd.mul_u16s(w_odd, simd.sub_u16s(odd, simd.splat_u16s(128)));
            let four = simd.mul_u32s(cast(simd.add_u16s(even, odd)), word(simd, 0x0001_0001));
            let four = shift_right(simd, simd.xor_u32s(four, word(simd, 1 << 31)), 16);
            acc[n] = simd.add_u32s(acc[n], simd.mul_u32s(four, scale));
        }
    }
    acc
}

/// The even and the odd bytes, in 16 bits each.
#[inline(always)]
fn split<S: Simd>(simd: S, bytes: S::u32s) -> [S::u16s; 2] {
    let mask = word(simd, 0x00ff_00ff);
    let odd = shift_right(simd, bytes, 8);
    [cast(simd.and_u32s(bytes, mask)), cast(simd.and_u32s(odd, mask))]
}
