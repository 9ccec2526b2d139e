//! Advanced SIMD: values in registers as [`dequantize`](crate::kernels::dequantize) forms them, multiplied
//! instead of stored.

use core::arch::aarch64::*;

use crate::formats::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K,
    BlockQ8_0, BlockQ8K, Format, SUPER_BLOCK,
};
use crate::kernels::dequantize::neon::{values_32, values_256};
use crate::kernels::dot::LANES;
use crate::kernels::dot::neon::lanes;
use crate::kernels::dot::scalar::fold;
use crate::kernels::qdot::neon::blocks_of_32::Block32;
use crate::kernels::qdot::neon::super_blocks::SuperBlock;

#[target_feature(enable = "neon")]
pub fn qdot_exact(format: Format, row: &[u8], x: &[f32]) -> f32 {
    match format {
        Format::Q4_0 => row_32::<BlockQ4_0>(row, x),
        Format::Q4_1 => row_32::<BlockQ4_1>(row, x),
        Format::Q5_0 => row_32::<BlockQ5_0>(row, x),
        Format::Q5_1 => row_32::<BlockQ5_1>(row, x),
        Format::Q8_0 => row_32::<BlockQ8_0>(row, x),
        Format::Q2K => row_256::<BlockQ2K>(row, x),
        Format::Q3K => row_256::<BlockQ3K>(row, x),
        Format::Q4K => row_256::<BlockQ4K>(row, x),
        Format::Q5K => row_256::<BlockQ5K>(row, x),
        Format::Q6K => row_256::<BlockQ6K>(row, x),
        Format::Q8K => row_256::<BlockQ8K>(row, x),
        Format::F32 | Format::F16 | Format::Bf16 => unreachable!("{format} is not quantised"),
    }
}

#[target_feature(enable = "neon")]
fn row_32<B: Block32>(row: &[u8], x: &[f32]) -> f32 {
    let mut acc = [vdupq_n_f32(0.0); LANES / 4];
    let x = x.as_chunks::<16>().0;
    for (b, block) in B::slice(row).iter().enumerate() {
        // SAFETY: Advanced SIMD is enabled.
        let values = unsafe { values_32(block) };
        for (half, values) in values.into_iter().enumerate() {
            let at = 2 * b + half;
            add(&mut acc, at, values, &x[at]);
        }
    }
    fold(&mut lanes(&acc))
}

#[target_feature(enable = "neon")]
fn row_256<B: SuperBlock>(row: &[u8], x: &[f32]) -> f32 {
    let mut acc = [vdupq_n_f32(0.0); LANES / 4];
    for (block, x) in B::slice(row).iter().zip(x.as_chunks::<SUPER_BLOCK>().0) {
        let x = x.as_chunks::<16>().0;
        // SAFETY: Advanced SIMD is enabled.
        unsafe { values_256(block, |j, values| add(&mut acc, j, values, &x[j])) };
    }
    fold(&mut lanes(&acc))
}

/// Adds the products of sixteen elements, those numbered `16 at` and on, to their lanes.
#[inline]
#[target_feature(enable = "neon")]
fn add(acc: &mut [float32x4_t; LANES / 4], at: usize, w: [float32x4_t; 4], x: &[f32; 16]) {
    let acc = &mut acc.as_chunks_mut::<4>().0[at % 4];
    for ((acc, w), x) in acc.iter_mut().zip(w).zip(x.as_chunks::<4>().0) {
        // SAFETY: the array holds four f32.
        *acc = vfmaq_f32(*acc, w, unsafe { vld1q_f32(x.as_ptr()) });
    }
}
