//! The definition's body with the fused multiply-add and the widening of Advanced SIMD: eight scalar chains side by
//! side.

use super::Chains;
use super::scalar::{Bf16, F16, F32, chain};
use crate::kernels::arith::Fast;
use crate::kernels::sibling::sibling;

pub const CHAINS: Chains =
    Chains { f32: sibling!(chain_f32), f16: sibling!(chain_f16), bf16: sibling!(chain_bf16) };

#[target_feature(enable = "neon")]
fn chain_f32(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<Fast, F32>(rows, x, out);
}

#[target_feature(enable = "neon")]
fn chain_f16(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<Fast, F16>(rows, x, out);
}

#[target_feature(enable = "neon")]
fn chain_bf16(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<Fast, Bf16>(rows, x, out);
}
