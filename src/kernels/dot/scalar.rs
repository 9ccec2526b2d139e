//! The definition.

use half::{bf16, f16};

use super::LANES;
use crate::kernels::arith::{Arith, Exact};

pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b)
}

pub fn dot_f16(a: &[f16], b: &[f32]) -> f32 {
    dot(a, b)
}

pub fn dot_bf16(a: &[bf16], b: &[f32]) -> f32 {
    dot(a, b)
}

/// A number that f32 holds exactly.
pub trait Widen: Copy {
    fn widen(self) -> f32;
}

impl Widen for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Widen for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32_const()
    }
}

impl Widen for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32_const()
    }
}

pub fn dot<A: Widen>(a: &[A], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = Exact::fma(a.widen(), b, *lane);
        }
    }
    fold(&mut lanes)
}

/// Folds the lanes in halves.
pub fn fold(lanes: &mut [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for j in 0..half {
            lanes[j] += lanes[j + half];
        }
        half /= 2;
    }
    lanes[0]
}
