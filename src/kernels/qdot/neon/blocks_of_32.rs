//! Formats with blocks of 32.
//!
//! The contract's eight lanes are two registers. Eight blocks make eight vectors of products, which three levels of
//! `addp` turn into two registers of sums: the contract's fused operations then take four blocks at once.

use core::arch::aarch64::*;

use super::{Products, activations, f16, load, load_signed, minus, nibbles};
use crate::formats::{ActBlock, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0, Integers32};
use crate::kernels::arith::{Arith, Fast};

/// A row times `N` columns.
///
/// # Safety
/// The caller enables the features of `P`.
#[inline(always)]
pub unsafe fn rows<P: Products, B: Block32, const N: usize>(
    row: &[u8],
    x: [&[ActBlock]; N],
) -> [f32; N] {
    let (groups, rest) = B::slice(row).as_chunks::<8>();
    // SAFETY: aarch64 has Advanced SIMD; for the products, the caller's promise.
    let lanes = unsafe {
        let mut lanes = [[vdupq_n_f32(0.0); 2]; N];
        for (i, group) in groups.iter().enumerate() {
            for half in 0..2 {
                let w = &group.as_chunks::<4>().0[half];
                let quants = w.map(|w| w.quants());
                let d = quad(w.map(|w| f16(w.scale())));
                for (lanes, x) in lanes.iter_mut().zip(x) {
                    let (lane, x) = (&mut lanes[half], &x[i]);
                    let dx = quad(x.d.as_chunks::<4>().0[half]);
                    let isum = vcvtq_f32_s32(sums::<P>(&quants, x, half));
                    *lane = vfmaq_f32(*lane, vmulq_f32(d, dx), isum);
                    if B::HAS_MINS {
                        let m = quad(w.map(|w| f16(w.minimum())));
                        let xsum = vcvtq_f32_s32(block_sums(x, half));
                        *lane = vfmaq_f32(*lane, vmulq_f32(m, dx), xsum);
                    }
                }
            }
        }
        lanes.map(|lanes| lanes.map(|lanes| array(lanes)))
    };
    let mut out = [0.0; N];
    for ((out, mut lanes), x) in out.iter_mut().zip(lanes).zip(x) {
        // Lanes without a block are left alone: adding 0 would change a -0.
        for (b, w) in rest.iter().enumerate() {
            let (lane, x) = (&mut lanes[b / 4][b % 4], &x[groups.len()]);
            // SAFETY: as above.
            let (isum, d, m) = unsafe {
                let isum = vaddvq_s32(products::<P>(&w.quants(), x, b));
                (isum, f16(w.scale()), f16(w.minimum()))
            };
            *lane = Fast::fma(d * x.d[b], isum as f32, *lane);
            if B::HAS_MINS {
                let xsum = i32::from(x.bsums[2 * b]) + i32::from(x.bsums[2 * b + 1]);
                *lane = Fast::fma(m * x.d[b], xsum as f32, *lane);
            }
        }
        let [[l0, l1, l2, l3], [l4, l5, l6, l7]] = lanes;
        *out = ((l0 + l1) + (l2 + l3)) + ((l4 + l5) + (l6 + l7));
    }
    out
}

/// A format that can be unpacked into registers.
pub trait Block32: Integers32 {
    /// f16.
    fn scale(&self) -> [u8; 2];
    /// f16; of formats without one, anything.
    fn minimum(&self) -> [u8; 2] {
        [0; 2]
    }
    /// # Safety
    /// The CPU has Advanced SIMD.
    unsafe fn quants(&self) -> [int8x16_t; 2];
}

/// The products of block `b`.
///
/// # Safety
/// The caller enables the features of `P`.
#[inline(always)]
unsafe fn products<P: Products>(w: &[int8x16_t; 2], x: &ActBlock, b: usize) -> int32x4_t {
    // SAFETY: the caller's promise.
    unsafe {
        let first = P::add(vdupq_n_s32(0), w[0], activations(x, 2 * b));
        P::add(first, w[1], activations(x, 2 * b + 1))
    }
}

/// The sums of products of four blocks: of the first or the second `half` of eight.
///
/// # Safety
/// The caller enables the features of `P`.
#[inline(always)]
unsafe fn sums<P: Products>(w: &[[int8x16_t; 2]; 4], x: &ActBlock, half: usize) -> int32x4_t {
    let b = 4 * half;
    // SAFETY: aarch64 has Advanced SIMD; for the products, the caller's promise.
    unsafe {
        let first = vpaddq_s32(products::<P>(&w[0], x, b), products::<P>(&w[1], x, b + 1));
        let second = vpaddq_s32(products::<P>(&w[2], x, b + 2), products::<P>(&w[3], x, b + 3));
        vpaddq_s32(first, second)
    }
}

/// The sums of the activations of four blocks: of the first or the second `half` of eight.
#[inline]
#[target_feature(enable = "neon")]
fn block_sums(x: &ActBlock, half: usize) -> int32x4_t {
    // SAFETY: the array holds eight numbers.
    vpaddlq_s16(unsafe { vld1q_s16(x.bsums.as_chunks::<8>().0[half].as_ptr()) })
}

#[inline]
#[target_feature(enable = "neon")]
fn quad(values: [f32; 4]) -> float32x4_t {
    // SAFETY: four numbers.
    unsafe { vld1q_f32(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn array(lanes: float32x4_t) -> [f32; 4] {
    let mut out = [0.0; 4];
    // SAFETY: four numbers.
    unsafe { vst1q_f32(out.as_mut_ptr(), lanes) };
    out
}

/// Bits 0 to 31 as 0x10 or 0 in 32 bytes.
#[inline]
#[target_feature(enable = "neon")]
fn fifth_bits(qh: [u8; 4]) -> [uint8x16_t; 2] {
    const BIT: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    let bit = load(&BIT);
    [[qh[0], qh[1]], [qh[2], qh[3]]].map(|[low, high]| {
        let bytes = vcombine_u8(vdup_n_u8(low), vdup_n_u8(high));
        vandq_u8(vtstq_u8(bytes, bit), vdupq_n_u8(0x10))
    })
}

/// Five bits of 32 elements, minus what the format adds.
#[inline]
#[target_feature(enable = "neon")]
fn five_bits(qs: &[u8; 16], qh: [u8; 4], offset: i8) -> [int8x16_t; 2] {
    let [low, high] = nibbles(load(qs));
    let [first, second] = fifth_bits(qh);
    [vorrq_u8(low, first), vorrq_u8(high, second)].map(|q| minus(q, offset))
}

impl Block32 for BlockQ4_0 {
    #[inline(always)]
    fn scale(&self) -> [u8; 2] {
        self.d
    }
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn quants(&self) -> [int8x16_t; 2] {
        nibbles(load(&self.qs)).map(|q| minus(q, 8))
    }
}

impl Block32 for BlockQ4_1 {
    #[inline(always)]
    fn scale(&self) -> [u8; 2] {
        self.d
    }
    #[inline(always)]
    fn minimum(&self) -> [u8; 2] {
        self.m
    }
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn quants(&self) -> [int8x16_t; 2] {
        nibbles(load(&self.qs)).map(|q| minus(q, 0))
    }
}

impl Block32 for BlockQ5_0 {
    #[inline(always)]
    fn scale(&self) -> [u8; 2] {
        self.d
    }
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn quants(&self) -> [int8x16_t; 2] {
        five_bits(&self.qs, self.qh, 16)
    }
}

impl Block32 for BlockQ5_1 {
    #[inline(always)]
    fn scale(&self) -> [u8; 2] {
        self.d
    }
    #[inline(always)]
    fn minimum(&self) -> [u8; 2] {
        self.m
    }
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn quants(&self) -> [int8x16_t; 2] {
        five_bits(&self.qs, self.qh, 0)
    }
}

impl Block32 for BlockQ8_0 {
    #[inline(always)]
    fn scale(&self) -> [u8; 2] {
        self.d
    }
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn quants(&self) -> [int8x16_t; 2] {
        let (qs, _) = self.qs.as_chunks::<16>();
        [load_signed(&qs[0]), load_signed(&qs[1])]
    }
}
