//! Advanced SIMD: sixteen values a step.
//!
//! `fcvtns` rounds to nearest even whatever the mode; 16 values are four products, four conversions and three
//! narrowings, and `saddlv` sums their bytes.

use core::arch::aarch64::*;

use super::scalar;
use crate::formats::{ActBlock, BLOCK_32, SUPER_BLOCK};

#[target_feature(enable = "neon")]
pub fn quantize_32(x: &[f32], out: &mut [ActBlock]) {
    scalar::for_each_block(x, out, |x, present, out| quantize_block::<BLOCK_32>(x, present, out));
}

#[target_feature(enable = "neon")]
pub fn quantize_256(x: &[f32], out: &mut [ActBlock]) {
    scalar::for_each_block(x, out, |x, present, out| {
        quantize_block::<SUPER_BLOCK>(x, present, out)
    });
}

#[inline]
#[target_feature(enable = "neon")]
fn quantize_block<const GROUP: usize>(x: &[f32; SUPER_BLOCK], present: usize, out: &mut ActBlock) {
    for (group, x) in x.chunks_exact(GROUP).enumerate() {
        let (d, inverse) = scalar::scale(magnitude_bits(x));
        for j in group * GROUP / BLOCK_32..(group + 1) * GROUP / BLOCK_32 {
            out.d[j] = if j * BLOCK_32 < present { d } else { 0.0 };
        }
        for (i, x) in x.as_chunks::<16>().0.iter().enumerate() {
            // A group with the inverse 0 may hold NaN, which must not be converted.
            let quants = if inverse == 0.0 { vdupq_n_s8(0) } else { round_16(x, inverse) };
            let at = group * GROUP / 16 + i;
            out.bsums[at] = vaddlvq_s8(quants);
            // SAFETY: the array holds 16 bytes.
            unsafe { vst1q_s8(out.qs.as_chunks_mut::<16>().0[at].as_mut_ptr(), quants) };
        }
    }
}

/// The largest magnitude, as its bits; a multiple of four values.
#[inline]
#[target_feature(enable = "neon")]
fn magnitude_bits(x: &[f32]) -> i32 {
    let mut max = vdupq_n_s32(0);
    for x in x.as_chunks::<4>().0 {
        // SAFETY: the array holds four numbers.
        let bits = unsafe { vreinterpretq_s32_f32(vld1q_f32(x.as_ptr())) };
        max = vmaxq_s32(max, vandq_s32(bits, vdupq_n_s32(i32::MAX)));
    }
    vmaxvq_s32(max)
}

/// The nearest integers to `x * inverse`, which lie in -127..=127, as bytes.
#[inline]
#[target_feature(enable = "neon")]
fn round_16(x: &[f32; 16], inverse: f32) -> int8x16_t {
    let words = |i: usize| {
        // SAFETY: `i < 4`: four values of the 16.
        let x = unsafe { vld1q_f32(x.as_chunks::<4>().0[i].as_ptr()) };
        vcvtnq_s32_f32(vmulq_n_f32(x, inverse))
    };
    let low = vmovn_high_s32(vmovn_s32(words(0)), words(1));
    let high = vmovn_high_s32(vmovn_s32(words(2)), words(3));
    vmovn_high_s16(vmovn_s16(low), high)
}
