//! Advanced SIMD: `fcvtn` rounds to f16; to bf16, eight values a step in integers, whose upper halves `shrn` takes.
//!
//! `fcvtn` rounds by FPCR, which is to nearest even; the intrinsic of it is not stable.

use core::arch::aarch64::*;
use core::arch::asm;

use super::{Bytes, scalar};

#[target_feature(enable = "neon")]
pub fn narrow_f16(x: &[f32], out: &mut [Bytes]) {
    let (x_body, x_tail) = x.as_chunks::<8>();
    let (out_body, out_tail) = out.as_chunks_mut::<8>();
    for (x, out) in x_body.iter().zip(out_body) {
        let [low, high] = load(x);
        let halves: uint8x16_t;
        // SAFETY: `fcvtn` and `fcvtn2` read and write the registers they name; the array holds 16 bytes.
        unsafe {
            asm!(
                "fcvtn {halves:v}.4h, {low:v}.4s",
                "fcvtn2 {halves:v}.8h, {high:v}.4s",
                low = in(vreg) low,
                high = in(vreg) high,
                halves = out(vreg) halves,
                options(pure, nomem, nostack, preserves_flags)
            );
            vst1q_u8(out.as_mut_ptr().cast(), halves);
        }
    }
    scalar::narrow_f16(x_tail, out_tail);
}

#[target_feature(enable = "neon")]
pub fn narrow_bf16(x: &[f32], out: &mut [Bytes]) {
    let (x_body, x_tail) = x.as_chunks::<8>();
    let (out_body, out_tail) = out.as_chunks_mut::<8>();
    for (x, out) in x_body.iter().zip(out_body) {
        let [low, high] = load(x).map(|x| bf16_words(x));
        let packed = vshrn_high_n_u32::<16>(vshrn_n_u32::<16>(low), high);
        // SAFETY: the array holds 16 bytes.
        unsafe { vst1q_u8(out.as_mut_ptr().cast(), vreinterpretq_u8_u16(packed)) };
    }
    scalar::narrow_bf16(x_tail, out_tail);
}

#[inline]
#[target_feature(enable = "neon")]
fn load(x: &[f32; 8]) -> [float32x4_t; 2] {
    // SAFETY: the array holds eight numbers.
    unsafe { [vld1q_f32(x.as_ptr()), vld1q_f32(x.as_ptr().add(4))] }
}

/// Four words whose upper halves are bf16.
#[inline]
#[target_feature(enable = "neon")]
fn bf16_words(x: float32x4_t) -> uint32x4_t {
    let bits = vreinterpretq_u32_f32(x);
    let last = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
    let rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), last);
    let quiet = vorrq_u32(bits, vdupq_n_u32(0x0040_0000));
    vbslq_u32(vceqq_f32(x, x), rounded, quiet)
}
