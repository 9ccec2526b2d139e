//! The definition's body, vectorised by the compiler for AVX2.

use super::scalar::quantize;
use crate::formats::{ActBlock, BLOCK_32, SUPER_BLOCK};

#[target_feature(enable = "avx2,fma,f16c")]
pub fn quantize_32(x: &[f32], out: &mut [ActBlock]) {
    quantize::<BLOCK_32>(x, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn quantize_256(x: &[f32], out: &mut [ActBlock]) {
    quantize::<SUPER_BLOCK>(x, out);
}
