//! Portable SIMD: whatever width pulp finds, in as many registers as make 64 lanes.
//!
//! pulp has no widening: the definition's turns 64 values of f16 or bf16 at a time into f32, in memory.

use half::{bf16, f16};
use pulp::{Arch, Simd, WithSimd};

use super::LANES;
use super::scalar::{Widen, fold};

pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(Dot { a, b })
}

pub fn dot_f16(a: &[f16], b: &[f32]) -> f32 {
    Arch::new().dispatch(Dot { a, b })
}

pub fn dot_bf16(a: &[bf16], b: &[f32]) -> f32 {
    Arch::new().dispatch(Dot { a, b })
}

struct Dot<'a, A> {
    a: &'a [A],
    b: &'a [f32],
}

impl<A: Widen> WithSimd for Dot<'_, A> {
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

impl<A: Widen> Dot<'_, A> {
    /// `N` registers of `S` are the 64 lanes.
    #[inline(always)]
    fn with_registers<S: Simd, const N: usize>(self, simd: S) -> f32 {
        let width = LANES / N;
        let (a_body, a_tail) = self.a.as_chunks::<LANES>();
        let (b_body, b_tail) = self.b.as_chunks::<LANES>();

        let mut acc = [simd.splat_f32s(0.0); N];
        for (a, b) in a_body.iter().zip(b_body) {
            let a = a.map(A::widen);
            let (a, _) = S::as_simd_f32s(&a);
            let (b, _) = S::as_simd_f32s(b);
            for j in 0..N {
                acc[j] = simd.mul_add_f32s(a[j], b[j], acc[j]);
            }
        }
        let mut a = [0.0; LANES];
        for (wide, a) in a.iter_mut().zip(a_tail) {
            *wide = a.widen();
        }
        let a_tail = &a[..a_tail.len()];
        for (j, (a, b)) in a_tail.chunks(width).zip(b_tail.chunks(width)).enumerate() {
            let sum =
                simd.mul_add_f32s(simd.partial_load_f32s(a), simd.partial_load_f32s(b), acc[j]);
            let present = simd.mask_between_m32s(0, a.len() as u32).mask();
            acc[j] = simd.select_f32s(present, sum, acc[j]);
        }

        let mut lanes = [0.0; LANES];
        for (lanes, acc) in lanes.chunks_mut(width).zip(acc) {
            simd.partial_store_f32s(lanes, acc);
        }
        fold(&mut lanes)
    }
}
