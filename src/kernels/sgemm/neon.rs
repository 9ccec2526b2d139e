//! The definition's yardsticks with the fused multiply-add of Advanced SIMD; products are pulp's.

use super::{Plain, scalar};
use crate::kernels::arith::Fast;
use crate::kernels::sibling::{Sibling, sibling};

pub const NAIVE: Sibling<Plain> = sibling!(naive as Plain);
pub const BLOCKED: Sibling<Plain> = sibling!(blocked as Plain);

#[target_feature(enable = "neon")]
fn naive(a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
    scalar::naive::<Fast>(a, b, c, depth, columns);
}

#[target_feature(enable = "neon")]
fn blocked(a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
    scalar::blocked::<Fast>(a, b, c, depth, columns);
}
