//! Portable SIMD: the definition in words of 32 bits, every case of it in each lane.
//!
//! pulp has no narrowing of integers: the lower halves of the words are taken in memory.

use pulp::Simd;

use super::Bytes;
use super::scalar::{self, F16_NORMAL, F16_OVERFLOW, F16_REBIAS};
use crate::kernels::portable::{portable, shift_right, word};

portable! {
    pub fn narrow_f16<S>(simd, x: &'a [f32], out: &'a mut [Bytes]) {
        let (x, out) = each_step::<S>(x, out, #[inline(always)] |x| f16_words(simd, x));
        scalar::narrow_f16(x, out);
    } else scalar::narrow_f16
}

portable! {
    pub fn narrow_bf16<S>(simd, x: &'a [f32], out: &'a mut [Bytes]) {
        let (x, out) = each_step::<S>(x, out, #[inline(always)] |x| bf16_words(simd, x));
        scalar::narrow_bf16(x, out);
    } else scalar::narrow_bf16
}

/// Values of a step: a whole number of registers of any width.
const STEP: usize = 16;

/// Narrows whole steps by `words`, and returns what is left.
#[inline(always)]
fn each_step<'a, S: Simd>(
    x: &'a [f32],
    out: &'a mut [Bytes],
    words: impl Fn(S::f32s) -> S::u32s,
) -> (&'a [f32], &'a mut [Bytes]) {
    let (x_body, x_tail) = x.as_chunks::<STEP>();
    let (out_body, out_tail) = out.as_chunks_mut::<STEP>();
    for (x, out) in x_body.iter().zip(out_body) {
        let mut wide = [0; STEP];
        for (wide, &x) in S::as_mut_simd_u32s(&mut wide).0.iter_mut().zip(S::as_simd_f32s(x).0) {
            *wide = words(x);
        }
        for (out, word) in out.iter_mut().zip(wide) {
            *out = (word as u16).to_le_bytes();
        }
    }
    (x_tail, out_tail)
}

#[inline(always)]
fn f16_words<S: Simd>(simd: S, x: S::f32s) -> S::u32s {
    let bits = simd.transmute_u32s_f32s(x);
    let sign = simd.and_u32s(shift_right(simd, bits, 16), word(simd, 0x8000));
    let magnitude = simd.and_u32s(bits, word(simd, 0x7fff_ffff));

    let payload = simd.and_u32s(shift_right(simd, magnitude, 13), word(simd, 0x03ff));
    let nan = simd.or_u32s(payload, word(simd, 0x7e00));
    let rebiased = simd.sub_u32s(magnitude, word(simd, F16_REBIAS));
    let last = simd.and_u32s(shift_right(simd, rebiased, 13), word(simd, 1));
    let normal =
        shift_right(simd, simd.add_u32s(simd.add_u32s(rebiased, word(simd, 0x0fff)), last), 13);
    let sum = simd.add_f32s(simd.transmute_f32s_u32s(magnitude), simd.splat_f32s(0.5));
    let subnormal = simd.sub_u32s(simd.transmute_u32s_f32s(sum), word(simd, 0.5f32.to_bits()));

    // Magnitudes are positive as numbers with sign too, of which registers are compared in one operation.
    let size = simd.transmute_i32s_u32s(magnitude);
    let is_subnormal = simd.less_than_i32s(size, simd.splat_i32s(F16_NORMAL as i32));
    let half = simd.select_u32s(is_subnormal, subnormal, normal);
    let is_finite = simd.less_than_i32s(size, simd.splat_i32s(F16_OVERFLOW as i32));
    let half = simd.select_u32s(is_finite, half, word(simd, 0x7c00));
    simd.or_u32s(sign, simd.select_u32s(simd.equal_f32s(x, x), half, nan))
}

#[inline(always)]
fn bf16_words<S: Simd>(simd: S, x: S::f32s) -> S::u32s {
    let bits = simd.transmute_u32s_f32s(x);
    let last = simd.and_u32s(shift_right(simd, bits, 16), word(simd, 1));
    let rounded =
        shift_right(simd, simd.add_u32s(simd.add_u32s(bits, word(simd, 0x7fff)), last), 16);
    let nan = simd.or_u32s(shift_right(simd, bits, 16), word(simd, 0x0040));
    simd.select_u32s(simd.equal_f32s(x, x), rounded, nan)
}
