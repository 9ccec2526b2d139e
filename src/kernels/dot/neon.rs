//! Advanced SIMD, of f16 and bf16: the 64 lanes are sixteen of the 32 registers.
//!
//! Halves are widened by `fcvtl` for f16, and by `shll` for bf16. pulp's dot of f32 needs no sibling here.

use core::arch::aarch64::*;

use half::{bf16, f16};

use super::LANES;
use super::scalar::{Widen, fold};
use crate::kernels::arith::{Arith, Fast, widen_f16};

#[target_feature(enable = "neon")]
pub fn dot_f16(a: &[f16], b: &[f32]) -> f32 {
    dot(a, b)
}

#[target_feature(enable = "neon")]
pub fn dot_bf16(a: &[bf16], b: &[f32]) -> f32 {
    dot(a, b)
}

/// A number of which eight are loaded as f32.
trait Load: Widen {
    /// The eight values at the start.
    ///
    /// # Safety
    /// The CPU has Advanced SIMD.
    unsafe fn load(from: &[Self; 8]) -> [float32x4_t; 2];
}

impl Load for f16 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load(from: &[f16; 8]) -> [float32x4_t; 2] {
        // SAFETY: the array holds eight numbers of 16 bits.
        widen_f16(unsafe { vld1q_u16(from.as_ptr().cast()) })
    }
}

impl Load for bf16 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load(from: &[bf16; 8]) -> [float32x4_t; 2] {
        // SAFETY: the array holds eight numbers of 16 bits.
        let bits = unsafe { vld1q_u16(from.as_ptr().cast()) };
        [vshll_n_u16::<16>(vget_low_u16(bits)), vshll_high_n_u16::<16>(bits)]
            .map(|bits| vreinterpretq_f32_u32(bits))
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn dot<A: Load>(a: &[A], b: &[f32]) -> f32 {
    let mut acc = [vdupq_n_f32(0.0); LANES / 4];
    let (a_body, a_tail) = a.as_chunks::<LANES>();
    let (b_body, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a_body.iter().zip(b_body) {
        let eights = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
        for (acc, (a, b)) in acc.as_chunks_mut::<2>().0.iter_mut().zip(eights) {
            // SAFETY: Advanced SIMD is enabled; the array holds eight f32.
            let (a, b) =
                unsafe { (A::load(a), [vld1q_f32(b.as_ptr()), vld1q_f32(b.as_ptr().add(4))]) };
            acc[0] = vfmaq_f32(acc[0], a[0], b[0]);
            acc[1] = vfmaq_f32(acc[1], a[1], b[1]);
        }
    }
    let mut lanes = lanes(&acc);
    // Lanes without an element are left alone: adding 0 * 0 would turn -0 into +0.
    for ((lane, a), &b) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *lane = Fast::fma(a.widen(), b, *lane);
    }
    fold(&mut lanes)
}

/// The lanes of sixteen registers.
#[inline]
#[target_feature(enable = "neon")]
pub fn lanes(acc: &[float32x4_t; LANES / 4]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    for (lanes, &acc) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(acc) {
        // SAFETY: the array holds four f32.
        unsafe { vst1q_f32(lanes.as_mut_ptr(), acc) };
    }
    lanes
}
