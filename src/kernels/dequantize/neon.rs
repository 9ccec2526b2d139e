//! Advanced SIMD: quants are unpacked sixteen at a time, as for the [row dots](crate::kernels::qdot), and become
//! values four at a time.
//!
//! Sixteen values cost six instructions that widen, four conversions, four multiplications (fused with the minimum's
//! subtraction) and four stores, besides the unpacking.

use core::arch::aarch64::*;

use crate::formats::{
    BLOCK_32, Block, BlockBf16, BlockF16, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K,
    BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0, BlockQ8K, Format, SUPER_BLOCK,
};
use crate::kernels::arith::widen_f16;
use crate::kernels::qdot::neon::blocks_of_32::Block32;
use crate::kernels::qdot::neon::f16 as value_of_f16;
use crate::kernels::qdot::neon::super_blocks::SuperBlock;

#[target_feature(enable = "neon")]
pub fn dequantize(format: Format, row: &[u8], out: &mut [f32]) {
    match format {
        Format::F32 => format.dequantize(row, out),
        Format::F16 => f16(row, out),
        Format::Bf16 => bf16(row, out),
        Format::Q4_0 => row_32::<BlockQ4_0>(row, out),
        Format::Q4_1 => row_32::<BlockQ4_1>(row, out),
        Format::Q5_0 => row_32::<BlockQ5_0>(row, out),
        Format::Q5_1 => row_32::<BlockQ5_1>(row, out),
        Format::Q8_0 => row_32::<BlockQ8_0>(row, out),
        Format::Q2K => row_256::<BlockQ2K>(row, out),
        Format::Q3K => row_256::<BlockQ3K>(row, out),
        Format::Q4K => row_256::<BlockQ4K>(row, out),
        Format::Q5K => row_256::<BlockQ5K>(row, out),
        Format::Q6K => row_256::<BlockQ6K>(row, out),
        Format::Q8K => row_256::<BlockQ8K>(row, out),
    }
}

#[target_feature(enable = "neon")]
fn row_32<B: Block32>(row: &[u8], out: &mut [f32]) {
    for (block, out) in B::slice(row).iter().zip(out.as_chunks_mut::<BLOCK_32>().0) {
        // SAFETY: Advanced SIMD is enabled.
        let values = unsafe { values_32(block) };
        for (values, out) in values.into_iter().zip(out.as_chunks_mut().0) {
            store(values, out);
        }
    }
}

#[target_feature(enable = "neon")]
fn row_256<B: SuperBlock>(row: &[u8], out: &mut [f32]) {
    for (block, out) in B::slice(row).iter().zip(out.as_chunks_mut::<SUPER_BLOCK>().0) {
        let out = out.as_chunks_mut::<16>().0;
        // SAFETY: Advanced SIMD is enabled.
        unsafe { values_256(block, |j, values| store(values, &mut out[j])) };
    }
}

/// The values of a block of 32.
///
/// # Safety
/// The CPU has Advanced SIMD.
#[inline]
#[target_feature(enable = "neon")]
pub unsafe fn values_32<B: Block32>(block: &B) -> [[float32x4_t; 4]; 2] {
    let d = vdupq_n_f32(value_of_f16(block.scale()));
    // SAFETY: Advanced SIMD is enabled.
    let quants = unsafe { block.quants() };
    let m = vdupq_n_f32(value_of_f16(block.minimum()));
    quants.map(|quants| {
        widened(quants).map(|q| if B::HAS_MINS { vfmaq_f32(m, d, q) } else { vmulq_f32(d, q) })
    })
}

/// Calls `take` with the values of each 16 elements of a super-block, and their number.
///
/// # Safety
/// The CPU has Advanced SIMD.
#[inline]
#[target_feature(enable = "neon")]
pub unsafe fn values_256<B: SuperBlock>(block: &B, mut take: impl FnMut(usize, [float32x4_t; 4])) {
    // SAFETY: Advanced SIMD is enabled.
    let w = unsafe { block.unpack() };
    let mut mins = [0; 16];
    // SAFETY: sixteen bytes are stored to sixteen places.
    unsafe { vst1q_u8(mins.as_mut_ptr(), w.mins) };
    for (j, &quants) in w.quants.iter().enumerate() {
        let d = vdupq_n_f32(w.d * w.scales[j / B::SHARED] as f32);
        let m = vdupq_n_f32(-(w.dmin * f32::from(mins[j])));
        let values = widened(quants);
        take(j, values.map(|q| if B::HAS_MINS { vfmaq_f32(m, d, q) } else { vmulq_f32(d, q) }));
    }
}

/// Sixteen signed bytes as f32.
#[inline]
#[target_feature(enable = "neon")]
fn widened(quants: int8x16_t) -> [float32x4_t; 4] {
    let (low, high) = (vmovl_s8(vget_low_s8(quants)), vmovl_high_s8(quants));
    [
        vmovl_s16(vget_low_s16(low)),
        vmovl_high_s16(low),
        vmovl_s16(vget_low_s16(high)),
        vmovl_high_s16(high),
    ]
    .map(|q| vcvtq_f32_s32(q))
}

#[inline]
#[target_feature(enable = "neon")]
fn store(values: [float32x4_t; 4], out: &mut [f32; 16]) {
    for (out, value) in out.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        // SAFETY: the array holds four f32.
        unsafe { vst1q_f32(out.as_mut_ptr(), value) };
    }
}

#[target_feature(enable = "neon")]
fn f16(row: &[u8], out: &mut [f32]) {
    let (body, tail) = row.as_chunks::<16>();
    let (out_body, out_tail) = out.as_chunks_mut::<8>();
    for (bytes, out) in body.iter().zip(out_body) {
        // SAFETY: the arrays hold 16 and 32 bytes.
        unsafe {
            let [low, high] = widen_f16(vreinterpretq_u16_u8(vld1q_u8(bytes.as_ptr())));
            vst1q_f32(out.as_mut_ptr(), low);
            vst1q_f32(out.as_mut_ptr().add(4), high);
        }
    }
    one_by_one::<BlockF16>(tail, out_tail);
}

#[target_feature(enable = "neon")]
fn bf16(row: &[u8], out: &mut [f32]) {
    let (body, tail) = row.as_chunks::<16>();
    let (out_body, out_tail) = out.as_chunks_mut::<8>();
    for (bytes, out) in body.iter().zip(out_body) {
        // SAFETY: the arrays hold 16 and 32 bytes.
        unsafe {
            let bits = vreinterpretq_u16_u8(vld1q_u8(bytes.as_ptr()));
            let wide = [vshll_n_u16::<16>(vget_low_u16(bits)), vshll_high_n_u16::<16>(bits)];
            let [low, high] = wide.map(|bits| quiet(bits));
            vst1q_f32(out.as_mut_ptr(), low);
            vst1q_f32(out.as_mut_ptr().add(4), high);
        }
    }
    one_by_one::<BlockBf16>(tail, out_tail);
}

/// The numbers of these bits; a NaN becomes quiet.
#[inline]
#[target_feature(enable = "neon")]
fn quiet(bits: uint32x4_t) -> float32x4_t {
    let x = vreinterpretq_f32_u32(bits);
    let quiet_bit = vbicq_u32(vdupq_n_u32(0x0040_0000), vceqq_f32(x, x));
    vreinterpretq_f32_u32(vorrq_u32(bits, quiet_bit))
}

/// The last values of a row, by the definition.
fn one_by_one<B: Block>(row: &[u8], out: &mut [f32]) {
    for (block, out) in B::slice(row).iter().zip(out) {
        block.dequantize(core::slice::from_mut(out));
    }
}
