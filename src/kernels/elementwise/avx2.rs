//! The definitions' bodies with hardware's fused multiply-add, vectorised by the compiler for AVX2.

use super::scalar;
use crate::kernels::arith::Fast;

#[target_feature(enable = "avx2,fma,f16c")]
pub fn silu_mul(gate: &mut [f32], up: &[f32]) {
    scalar::silu_mul_body::<Fast>(gate, up);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn gelu_mul(gate: &mut [f32], up: &[f32]) {
    scalar::gelu_mul_body::<Fast>(gate, up);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn scale_by(x: &[f32], s: f32, w: &[f32], out: &mut [f32]) {
    scalar::scale_by_body(x, s, w, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn rope_neighbours(x: &mut [f32], angles: &[[f32; 2]]) {
    scalar::rope_neighbours_body::<Fast>(x, angles);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn rope_halves(x: &mut [f32], angles: &[[f32; 2]]) {
    scalar::rope_halves_body::<Fast>(x, angles);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn exp_all(x: &mut [f32]) {
    scalar::exp_all_body::<Fast>(x);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn add(x: &mut [f32], y: &[f32]) {
    scalar::add_body(x, y);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn soft_cap(x: &mut [f32], cap: f32) {
    scalar::soft_cap_body::<Fast>(x, cap);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn exp_sum(x: &mut [f32]) -> (f32, f32) {
    scalar::exp_sum_body::<Fast>(x)
}
