//! What the portable siblings share: functions whose bodies are compiled for each kind of pulp's registers.
//!
//! Only operations of the trait [`Simd`] are used, which every machine has; of multiply-adds the fused one, so that a
//! body has the bits of the definition. Where there are no vector registers, the definition runs: pulp's scalars would
//! be no faster. A closure is compiled for the CPU's features only where it is inlined, so each that computes says
//! `inline(always)`: elsewhere each operation would be a call.

use pulp::{Simd, WithSimd};

#[cfg(target_arch = "x86_64")]
use crate::isa;

/// Runs `op` with the widest registers that there are: of 512 bits where the CPU has AVX-512 F, BW, CD, DQ and VL, of 256
/// where it has AVX2 and FMA, of 128 on aarch64.
///
/// Without std, pulp asks the CPU alone: whether the operating system saves the registers is asked here.
pub fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    if isa::has_avx512()
        && let Some(registers) = pulp::x86::V4::try_new()
    {
        return Simd::vectorize(registers, op);
    }
    dispatch_256(op)
}

/// As [`dispatch`], with registers of at most 256 bits: for what lies together in 32 bytes.
pub fn dispatch_256<Op: WithSimd>(op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    return match pulp::x86::V3::try_new().filter(|_| isa::has_avx2()) {
        Some(registers) => Simd::vectorize(registers, op),
        None => Simd::vectorize(pulp::Scalar::new(), op),
    };
    #[cfg(not(target_arch = "x86_64"))]
    pulp::Arch::new().dispatch(op)
}

/// A function that runs its body inside pulp's dispatch, `simd` being the registers of type `S` that were found, or
/// the definition that is named behind the body.
macro_rules! portable {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident<$S:ident>($simd:ident, $($arg:ident: $ty:ty),*) $(-> $out:ty)?
        $body:block
        else $definition:path
    ) => {
        $(#[$attribute])*
        $visibility fn $name<'a>($($arg: $ty),*) $(-> $out)? {
            struct Body<'a> {
                $($arg: $ty,)*
                lifetime: core::marker::PhantomData<&'a ()>,
            }
            impl<'a> pulp::WithSimd for Body<'a> {
                type Output = portable!(@output $($out)?);

                #[inline(always)]
                fn with_simd<$S: pulp::Simd>(self, $simd: $S) -> Self::Output {
                    let Body { $($arg,)* .. } = self;
                    if $S::IS_SCALAR {
                        return $definition($($arg),*);
                    }
                    $body
                }
            }
            $crate::kernels::portable::dispatch(Body { $($arg,)* lifetime: core::marker::PhantomData })
        }
    };
    (@output) => { () };
    (@output $out:ty) => { $out };
}
pub(super) use portable;

/// The values of f16 bits, a whole number of registers of them as f32: exact. A NaN stays one.
#[inline(always)]
pub fn widen_f16<S: Simd, const N: usize>(simd: S, bits: [u16; N]) -> [f32; N] {
    debug_assert!(N.is_multiple_of(S::F32_LANES));
    let words = bits.map(u32::from);
    let mut out = [0.0; N];
    for (value, &word) in S::as_mut_simd_f32s(&mut out).0.iter_mut().zip(S::as_simd_u32s(&words).0)
    {
        *value = widen_words(simd, word);
    }
    out
}

/// Shifted to the mantissa of an f32, an f16 counts 2⁻¹¹² of what it is, a subnormal one too.
#[inline(always)]
fn widen_words<S: Simd>(simd: S, bits: S::u32s) -> S::f32s {
    const TWO_112: f32 = f32::from_bits((127 + 112) << 23);
    let sign = simd.wrapping_dyn_shl_u32s(simd.and_u32s(bits, word(simd, 0x8000)), word(simd, 16));
    let magnitude = simd.and_u32s(bits, word(simd, 0x7fff));
    let shifted = simd.wrapping_dyn_shl_u32s(magnitude, word(simd, 13));
    let finite = simd.mul_f32s(simd.transmute_f32s_u32s(shifted), simd.splat_f32s(TWO_112));
    let others = simd.or_u32s(shifted, word(simd, f32::INFINITY.to_bits()));
    let size = simd.transmute_i32s_u32s(magnitude);
    let is_finite = simd.less_than_i32s(size, simd.splat_i32s(0x7c00));
    let value = simd.select_u32s(is_finite, simd.transmute_u32s_f32s(finite), others);
    simd.transmute_f32s_u32s(simd.or_u32s(sign, value))
}

/// `n` in every lane.
#[inline(always)]
pub fn word<S: Simd>(simd: S, n: u32) -> S::u32s {
    simd.splat_u32s(n)
}

/// Words shifted to the right, zeros following.
#[inline(always)]
pub fn shift_right<S: Simd>(simd: S, words: S::u32s, count: u32) -> S::u32s {
    simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(count))
}

/// Replaces each element of `x` by `f` of it.
#[inline(always)]
pub fn map<S: Simd>(simd: S, x: &mut [f32], f: impl Fn(S::f32s) -> S::f32s) {
    let (body, tail) = S::as_mut_simd_f32s(x);
    for x in body {
        *x = f(*x);
    }
    if !tail.is_empty() {
        let y = f(simd.partial_load_f32s(tail));
        simd.partial_store_f32s(tail, y);
    }
}

/// Replaces each element of `x` by `f` of it and of that of `y`.
#[inline(always)]
pub fn map_with<S: Simd>(
    simd: S,
    x: &mut [f32],
    y: &[f32],
    f: impl Fn(S::f32s, S::f32s) -> S::f32s,
) {
    let (x_body, x_tail) = S::as_mut_simd_f32s(x);
    let (y_body, y_tail) = S::as_simd_f32s(y);
    for (x, &y) in x_body.iter_mut().zip(y_body) {
        *x = f(*x, y);
    }
    if !x_tail.is_empty() {
        let y = f(simd.partial_load_f32s(x_tail), simd.partial_load_f32s(y_tail));
        simd.partial_store_f32s(x_tail, y);
    }
}
