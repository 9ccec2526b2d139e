//! AVX2 and FMA: values in registers as [`dequantize`](crate::kernels::dequantize) forms them, multiplied
//! instead of stored.
//!
//! 64 values are eight registers, one for each register of lanes.

use core::arch::x86_64::*;
use core::hint::black_box;

use crate::formats::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K,
    BlockQ8_0, BlockQ8K, Format, SUPER_BLOCK,
};
use crate::kernels::dequantize::avx2::blocks_of_32::Values32;
use crate::kernels::dequantize::avx2::halves_order;
use crate::kernels::dequantize::avx2::super_blocks::Values256;
use crate::kernels::dot::LANES;
use crate::kernels::dot::avx2::fold;

#[target_feature(enable = "avx2,fma,f16c")]
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

/// Not inlined: by its name, `scripts/mca_x86_64.py` finds the loop of each format.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn row_32<B: Values32>(row: &[u8], x: &[f32]) -> f32 {
    let mut acc = [_mm256_setzero_ps(); 8];
    let (pairs, last) = B::slice(row).as_chunks::<2>();
    let (x, x_last) = x.as_chunks::<LANES>();
    for (pair, x) in pairs.iter().zip(x) {
        for (half, block) in pair.iter().enumerate() {
            // SAFETY: the features are enabled here.
            let w = unsafe { block.values() };
            add(&mut acc[4 * half..], w, x[32 * half..].as_chunks().0);
        }
    }
    if let [block] = last {
        // SAFETY: as above.
        let w = unsafe { block.values() };
        add(&mut acc, w, x_last.as_chunks().0);
    }
    fold(acc)
}

/// Not inlined: by its name, `scripts/mca_x86_64.py` finds the loop of each format.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn row_256<B: Values256>(row: &[u8], x: &[f32]) -> f32 {
    let order = halves_order();
    let [mut even, mut odd] = [[_mm256_setzero_ps(); 4]; 2];
    for (block, x) in B::slice(row).iter().zip(x.as_chunks::<SUPER_BLOCK>().0) {
        // SAFETY: the features are enabled here; so below, where there are eight sub-blocks.
        let unpacked = unsafe { block.unpack(order) };
        let x = x.as_chunks::<LANES>().0;
        // Even sub-blocks belong to the first 32 lanes, odd ones to the others. With all eight registers of
        // lanes in use at once, the compiler keeps some in memory.
        let unpacked = black_box(&unpacked);
        for (g, x) in x.iter().enumerate() {
            // SAFETY: as above.
            let w = unsafe { B::values(unpacked, 2 * g) };
            add(&mut even, w, x[..32].as_chunks().0);
        }
        let unpacked = black_box(unpacked);
        for (g, x) in x.iter().enumerate() {
            // SAFETY: as above.
            let w = unsafe { B::values(unpacked, 2 * g + 1) };
            add(&mut odd, w, x[32..].as_chunks().0);
        }
    }
    let [e0, e1, e2, e3] = even;
    let [o0, o1, o2, o3] = odd;
    fold([e0, e1, e2, e3, o0, o1, o2, o3])
}

/// Adds products to the first `N` registers of lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add<const N: usize>(acc: &mut [__m256], w: [__m256; N], x: &[[f32; 8]]) {
    for ((acc, w), x) in acc.iter_mut().zip(w).zip(x) {
        // SAFETY: the array holds eight f32; the load takes any address.
        let x = unsafe { _mm256_loadu_ps(x.as_ptr()) };
        *acc = _mm256_fmadd_ps(w, x, *acc);
    }
}
