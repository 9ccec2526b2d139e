//! Portable SIMD: the definition in words of 32 bits, every case of it in each lane.
//!
//! pulp has no narrowing of integers: the lower halves of the words are taken in memory.

use pulp::{Arch, Simd, WithSimd};

use super::Bytes;
use super::scalar::{self, F16_NORMAL, F16_OVERFLOW, F16_REBIAS, INFINITY};

pub fn narrow_f16(x: &[f32], out: &mut [Bytes]) {
    Arch::new().dispatch(NarrowF16 { x, out });
}

pub fn narrow_bf16(x: &[f32], out: &mut [Bytes]) {
    Arch::new().dispatch(NarrowBf16 { x, out });
}

struct NarrowF16<'a> {
    x: &'a [f32],
    out: &'a mut [Bytes],
}

impl WithSimd for NarrowF16<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rest = each_step::<S>(self.x, self.out, |x| f16_words(simd, x));
        scalar::narrow_f16(rest.0, rest.1);
    }
}

struct NarrowBf16<'a> {
    x: &'a [f32],
    out: &'a mut [Bytes],
}

impl WithSimd for NarrowBf16<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rest = each_step::<S>(self.x, self.out, |x| bf16_words(simd, x));
        scalar::narrow_bf16(rest.0, rest.1);
    }
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
        *out = wide.map(|word| (word as u16).to_le_bytes());
    }
    (x_tail, out_tail)
}

#[inline(always)]
fn f16_words<S: Simd>(simd: S, x: S::f32s) -> S::u32s {
    let word = |n| simd.splat_u32s(n);
    let shift_right = |x, count| simd.wrapping_dyn_shr_u32s(x, word(count));
    let bits = simd.transmute_u32s_f32s(x);
    let sign = simd.and_u32s(shift_right(bits, 16), word(0x8000));
    let magnitude = simd.and_u32s(bits, word(0x7fff_ffff));

    let payload = simd.and_u32s(shift_right(magnitude, 13), word(0x03ff));
    let nan = simd.or_u32s(payload, word(0x7e00));
    let rebiased = simd.sub_u32s(magnitude, word(F16_REBIAS));
    let last = simd.and_u32s(shift_right(rebiased, 13), word(1));
    let normal = shift_right(simd.add_u32s(simd.add_u32s(rebiased, word(0x0fff)), last), 13);
    let sum = simd.add_f32s(simd.transmute_f32s_u32s(magnitude), simd.splat_f32s(0.5));
    let subnormal = simd.sub_u32s(simd.transmute_u32s_f32s(sum), word(0.5f32.to_bits()));

    let is_normal = simd.greater_than_or_equal_u32s(magnitude, word(F16_NORMAL));
    let half = simd.select_u32s(is_normal, normal, subnormal);
    let overflows = simd.greater_than_or_equal_u32s(magnitude, word(F16_OVERFLOW));
    let half = simd.select_u32s(overflows, word(0x7c00), half);
    let is_nan = simd.greater_than_u32s(magnitude, word(INFINITY));
    simd.or_u32s(sign, simd.select_u32s(is_nan, nan, half))
}

#[inline(always)]
fn bf16_words<S: Simd>(simd: S, x: S::f32s) -> S::u32s {
    let word = |n| simd.splat_u32s(n);
    let upper = |x| simd.wrapping_dyn_shr_u32s(x, word(16));
    let bits = simd.transmute_u32s_f32s(x);
    let last = simd.and_u32s(upper(bits), word(1));
    let rounded = upper(simd.add_u32s(simd.add_u32s(bits, word(0x7fff)), last));
    let nan = simd.or_u32s(upper(bits), word(0x0040));
    let magnitude = simd.and_u32s(bits, word(0x7fff_ffff));
    simd.select_u32s(simd.greater_than_u32s(magnitude, word(INFINITY)), nan, rounded)
}
