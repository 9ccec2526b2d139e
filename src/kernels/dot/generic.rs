//! Portable SIMD: registers of any width, as many as make 64 lanes.
//!
//! pulp has no widening: 64 values of f16 or bf16 at a time are turned into f32, in memory.

use half::{bf16, f16};
use pulp::{Simd, WithSimd};

use super::LANES;
use super::scalar::{Widen, fold};
use crate::kernels::portable::{dispatch, widen_f16};

pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    dispatch(Dot { a, b })
}

pub fn dot_f16(a: &[f16], b: &[f32]) -> f32 {
    dispatch(Dot { a, b })
}

pub fn dot_bf16(a: &[bf16], b: &[f32]) -> f32 {
    dispatch(Dot { a, b })
}

/// A number of which 64 are widened at once.
trait Load: Widen {
    #[inline(always)]
    fn load<S: Simd>(_: S, x: &[Self; LANES]) -> [f32; LANES] {
        x.map(Self::widen)
    }
}

impl Load for f32 {}
impl Load for bf16 {}
impl Load for f16 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, x: &[f16; LANES]) -> [f32; LANES] {
        widen_f16(simd, x.map(f16::to_bits))
    }
}

struct Dot<'a, A> {
    a: &'a [A],
    b: &'a [f32],
}

impl<A: Load> WithSimd for Dot<'_, A> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        match S::F32_LANES {
            16 => self.with_registers::<S, 4>(simd),
            8 => self.with_registers::<S, 8>(simd),
            4 => self.with_registers::<S, 16>(simd),
            _ => super::scalar::dot(self.a, self.b),
        }
    }
}

impl<A: Load> Dot<'_, A> {
    /// `N` registers of `S` are the 64 lanes.
    #[inline(always)]
    fn with_registers<S: Simd, const N: usize>(self, simd: S) -> f32 {
        let width = LANES / N;
        let (a_body, a_tail) = self.a.as_chunks::<LANES>();
        let (b_body, b_tail) = self.b.as_chunks::<LANES>();

        let mut acc = [simd.splat_f32s(0.0); N];
        for (a, b) in a_body.iter().zip(b_body) {
            let a = A::load(simd, a);
            let (a, _) = S::as_simd_f32s(&a);
            let (b, _) = S::as_simd_f32s(b);
            for j in 0..N {
                acc[j] = simd.mul_add_f32s(a[j], b[j], acc[j]);
            }
        }
        // Whole registers throughout: pulp's loads and stores of a part are assembly where it has masks.
        let [mut a, mut b] = [[0.0; LANES]; 2];
        let n = a_tail.len().min(b_tail.len());
        for (wide, a) in a.iter_mut().zip(&a_tail[..n]) {
            *wide = a.widen();
        }
        b[..n].copy_from_slice(&b_tail[..n]);
        let (a, b) = (S::as_simd_f32s(&a).0, S::as_simd_f32s(&b).0);
        for j in 0..n.div_ceil(width) {
            let sum = simd.mul_add_f32s(a[j], b[j], acc[j]);
            let present = simd.mask_between_m32s(0, width.min(n - j * width) as u32).mask();
            acc[j] = simd.select_f32s(present, sum, acc[j]);
        }

        let mut lanes = [0.0; LANES];
        S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(&acc);
        fold(&mut lanes)
    }
}
