//! Formats with super-blocks of 256.
//!
//! Sixteen weights times one column are a product of [`Products`] and, for each scale, one `mla` in 32 bits. The
//! weights are unpacked to sixteen registers once for all columns.

use core::arch::aarch64::*;

use super::{Products, activations, f16, load, load_signed, minus, nibbles};
use crate::formats::{
    ActBlock, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K, Integers256,
    q3_k_scale_words, scale_min_words,
};
use crate::kernels::arith::{Arith, Fast};

/// A row times `N` columns.
///
/// # Safety
/// The caller enables the features of `P`.
#[inline(always)]
pub unsafe fn rows<P: Products, B: SuperBlock, const N: usize>(
    row: &[u8],
    x: [&[ActBlock]; N],
) -> [f32; N] {
    let mut acc = [0.0; N];
    let blocks = B::slice(row);
    let x = x.map(|x| &x[..blocks.len()]);
    for (i, w) in blocks.iter().enumerate() {
        // SAFETY: aarch64 has Advanced SIMD.
        let w = unsafe { w.unpack() };
        for (acc, x) in acc.iter_mut().zip(x) {
            let x = &x[i];
            // SAFETY: the caller's promise.
            let isum = unsafe { integer_sum::<P, B>(&w, x) };
            *acc = Fast::fma(w.d * x.d[0], isum as f32, *acc);
            if B::HAS_MINS {
                // SAFETY: as above.
                let msum = unsafe { min_sum(w.mins, x) };
                *acc = Fast::fma(-(w.dmin * x.d[0]), msum as f32, *acc);
            }
        }
    }
    acc
}

/// A super-block in registers.
pub struct Unpacked {
    pub d: f32,
    pub dmin: f32,
    /// For each run of weights that share one.
    pub scales: [i32; 16],
    /// For each 16 weights.
    pub mins: uint8x16_t,
    pub quants: [int8x16_t; 16],
}

/// A format that can be unpacked into registers.
pub trait SuperBlock: Integers256 {
    /// Registers of 16 weights that share a scale: a divisor of 16.
    const SHARED: usize;
    /// # Safety
    /// The CPU has Advanced SIMD.
    unsafe fn unpack(&self) -> Unpacked;
}

/// # Safety
/// The caller enables the features of `P`.
#[inline(always)]
unsafe fn integer_sum<P: Products, B: SuperBlock>(w: &Unpacked, x: &ActBlock) -> i32 {
    // SAFETY: aarch64 has Advanced SIMD; for the products, the caller's promise.
    unsafe {
        let mut sum = vdupq_n_s32(0);
        for (s, quants) in w.quants.chunks_exact(B::SHARED).enumerate() {
            let mut products = vdupq_n_s32(0);
            for (i, quants) in quants.iter().enumerate() {
                products = P::add(products, *quants, activations(x, s * B::SHARED + i));
            }
            sum = vmlaq_n_s32(sum, products, w.scales[s]);
        }
        vaddvq_s32(sum)
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn min_sum(mins: uint8x16_t, x: &ActBlock) -> i32 {
    // SAFETY: `bsums` are sixteen numbers.
    let bsums = unsafe { [vld1q_s16(x.bsums.as_ptr()), vld1q_s16(x.bsums[8..].as_ptr())] };
    let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(mins)));
    let high = vreinterpretq_s16_u16(vmovl_high_u8(mins));
    let sum = vmull_s16(vget_low_s16(low), vget_low_s16(bsums[0]));
    let sum = vmlal_high_s16(sum, low, bsums[0]);
    let sum = vmlal_s16(sum, vget_low_s16(high), vget_low_s16(bsums[1]));
    vaddvq_s32(vmlal_high_s16(sum, high, bsums[1]))
}

/// Sixteen signed bytes as 32-bit numbers.
#[inline]
#[target_feature(enable = "neon")]
fn widened(scales: int8x16_t) -> [i32; 16] {
    let (low, high) = (vmovl_s8(vget_low_s8(scales)), vmovl_high_s8(scales));
    let mut out = [0; 16];
    // SAFETY: sixteen numbers are stored to sixteen places.
    unsafe {
        let out = out.as_mut_ptr();
        vst1q_s32(out, vmovl_s16(vget_low_s16(low)));
        vst1q_s32(out.add(4), vmovl_high_s16(low));
        vst1q_s32(out.add(8), vmovl_s16(vget_low_s16(high)));
        vst1q_s32(out.add(12), vmovl_high_s16(high));
    }
    out
}

/// Bytes shifted to the right, or by a negative count to the left.
#[inline]
#[target_feature(enable = "neon")]
fn shifted(bytes: uint8x16_t, right: i8) -> uint8x16_t {
    vshlq_u8(bytes, vdupq_n_s8(-right))
}

const NO_QUANTS: [i8; 16] = [0; 16];

#[inline]
#[target_feature(enable = "neon")]
fn zeros() -> [int8x16_t; 16] {
    [load_signed(&NO_QUANTS); 16]
}

/// The scales and minimums of Q4_K and Q5_K: eight scales, and each minimum twice.
#[inline]
#[target_feature(enable = "neon")]
fn scales_and_mins(packed: &[u8; 12]) -> ([i32; 16], uint8x16_t) {
    let [scales, mins] = scale_min_words(packed).map(|bytes| vcreate_u8(bytes));
    let twice = vcombine_u8(vzip1_u8(mins, mins), vzip2_u8(mins, mins));
    (widened(vreinterpretq_s8_u8(vcombine_u8(scales, vdup_n_u8(0)))), twice)
}

impl SuperBlock for BlockQ4K {
    const SHARED: usize = 2;
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn unpack(&self) -> Unpacked {
        let (scales, mins) = scales_and_mins(&self.scales);
        let mut quants = zeros();
        for (i, qs) in self.qs.as_chunks::<16>().0.iter().enumerate() {
            // Bytes 32 g + l: elements 64 g + l, and 32 behind them.
            let first = 4 * (i / 2) + i % 2;
            let [low, high] = nibbles(load(qs));
            quants[first] = vreinterpretq_s8_u8(low);
            quants[first + 2] = vreinterpretq_s8_u8(high);
        }
        Unpacked { d: f16(self.d), dmin: f16(self.dmin), scales, mins, quants }
    }
}

impl SuperBlock for BlockQ5K {
    const SHARED: usize = 2;
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn unpack(&self) -> Unpacked {
        let (scales, mins) = scales_and_mins(&self.scales);
        let mut quants = zeros();
        for (i, qs) in self.qs.as_chunks::<16>().0.iter().enumerate() {
            let (g, half) = (i / 2, i % 2);
            let qh = load(&self.qh.as_chunks::<16>().0[half]);
            for (nibble, low) in nibbles(load(qs)).into_iter().enumerate() {
                let j = 2 * g + nibble;
                let fifth = vandq_u8(shifted(qh, j as i8 - 4), vdupq_n_u8(0x10));
                quants[2 * j + half] = vreinterpretq_s8_u8(vorrq_u8(low, fifth));
            }
        }
        Unpacked { d: f16(self.d), dmin: f16(self.dmin), scales, mins, quants }
    }
}

impl SuperBlock for BlockQ6K {
    const SHARED: usize = 1;
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn unpack(&self) -> Unpacked {
        let mut quants = zeros();
        for (i, ql) in self.ql.as_chunks::<16>().0.iter().enumerate() {
            // Bytes 64 h + 32 b + l: elements 128 h + 32 b + l, and 64 behind them.
            let (h, b, half) = (i / 4, i / 2 % 2, i % 2);
            let qh = load(&self.qh.as_chunks::<16>().0[2 * h + half]);
            for (nibble, low) in nibbles(load(ql)).into_iter().enumerate() {
                let b = b + 2 * nibble;
                let top = vandq_u8(shifted(qh, 2 * b as i8 - 4), vdupq_n_u8(0x30));
                quants[8 * h + 2 * b + half] = minus(vorrq_u8(low, top), 32);
            }
        }
        Unpacked {
            d: f16(self.d),
            dmin: 0.0,
            scales: widened(load_signed(&self.scales)),
            mins: vdupq_n_u8(0),
            quants,
        }
    }
}

/// Calls `f` with the register of each 16 elements, and their fields of two bits, which are bits `2b` and `2b + 1`
/// of byte `32 h + l` for elements `128 h + 32 b + l`.
#[inline]
#[target_feature(enable = "neon")]
fn two_bits(bytes: &[u8; 64], mut f: impl FnMut(usize, uint8x16_t)) {
    for (i, qs) in bytes.as_chunks::<16>().0.iter().enumerate() {
        let qs = load(qs);
        for b in 0..4 {
            let bits = vandq_u8(shifted(qs, 2 * b as i8), vdupq_n_u8(3));
            f(8 * (i / 2) + 2 * b + i % 2, bits);
        }
    }
}

impl SuperBlock for BlockQ2K {
    const SHARED: usize = 1;
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn unpack(&self) -> Unpacked {
        let [scales, mins] = nibbles(load(&self.scales));
        let mut quants = zeros();
        two_bits(&self.qs, |at, bits| quants[at] = vreinterpretq_s8_u8(bits));
        Unpacked {
            d: f16(self.d),
            dmin: f16(self.dmin),
            scales: widened(vreinterpretq_s8_u8(scales)),
            mins,
            quants,
        }
    }
}

impl SuperBlock for BlockQ3K {
    const SHARED: usize = 1;
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn unpack(&self) -> Unpacked {
        let [a, b, c, d] = q3_k_scale_words(&self.scales).map(u64::from);
        let scales = vcombine_u8(vcreate_u8(a | b << 32), vcreate_u8(c | d << 32));
        let mut quants = zeros();
        two_bits(&self.qs, |at, bits| {
            // Bit `j` of a byte of `hmask` belongs to sub-block `j` of 32.
            let third = load(&self.hmask.as_chunks::<16>().0[at % 2]);
            let third = vandq_u8(shifted(third, (at / 2) as i8 - 2), vdupq_n_u8(4));
            quants[at] = minus(vorrq_u8(bits, third), 4);
        });
        Unpacked {
            d: f16(self.d),
            dmin: 0.0,
            scales: widened(minus(scales, 32)),
            mins: vdupq_n_u8(0),
            quants,
        }
    }
}

impl SuperBlock for BlockQ8K {
    const SHARED: usize = 16;
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn unpack(&self) -> Unpacked {
        let mut quants = zeros();
        for (quants, qs) in quants.iter_mut().zip(self.qs.as_chunks::<16>().0) {
            *quants = load_signed(qs);
        }
        Unpacked {
            d: f32::from_le_bytes(self.d),
            dmin: 0.0,
            scales: [1; 16],
            mins: vdupq_n_u8(0),
            quants,
        }
    }
}
