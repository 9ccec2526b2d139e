//! AVX-512: as at AVX2, sixteen values at a time.
//!
//! Sixteen values cost a load that widens bytes to 32 bits, a conversion, one multiplication (fused with the minimum's
//! subtraction) and a store: as many operations as eight take at AVX2. Super-blocks become bytes by that level's
//! functions, in the order of the row, so that a byte here counts what it is; their `2⁻²⁴` is taken out of
//! the scales again, which is exact.

use core::arch::x86_64::*;
use core::hint::black_box;

use super::avx2;
use super::avx2::super_blocks::Bytes;
use crate::formats::{
    BLOCK_32, Block, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1,
    BlockQ5K, BlockQ6K, BlockQ8_0, BlockQ8K, Format, SUPER_BLOCK,
};
use crate::kernels::qdot::avx2::blocks_of_32::{q4_0, q4_1, q5_0, q5_1};
use crate::kernels::uninterpreted::_mm512_cvtph_ps;

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn dequantize(format: Format, row: &[u8], out: &mut [f32]) {
    match format {
        // A copy.
        Format::F32 => avx2::dequantize(format, row, out),
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

/// Not inlined: by its name, `scripts/mca_x86_64.py` finds the loop of each format.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn row_32<B: Values32>(row: &[u8], out: &mut [f32]) {
    for (block, out) in B::slice(row).iter().zip(out.as_chunks_mut::<BLOCK_32>().0) {
        // SAFETY: the features are enabled here.
        let values = unsafe { block.values() };
        for (value, out) in values.into_iter().zip(out.as_chunks_mut().0) {
            store(value, out);
        }
    }
}

/// Not inlined: by its name, `scripts/mca_x86_64.py` finds the loop of each format.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn row_256<B: Values256>(row: &[u8], out: &mut [f32]) {
    for (block, out) in B::slice(row).iter().zip(out.as_chunks_mut::<SUPER_BLOCK>().0) {
        // SAFETY: the features are enabled here.
        let unpacked = unsafe { block.unpack() };
        let unpacked = black_box(&unpacked);
        for (j, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            // SAFETY: as above; there are sixteen times sixteen values.
            store(unsafe { B::values(unpacked, j) }, out);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(value: __m512, out: &mut [f32; 16]) {
    // SAFETY: the array holds sixteen f32; the store takes any address.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), value) }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn f16(row: &[u8], out: &mut [f32]) {
    for_each_16(row, out, |halves| _mm512_cvtph_ps(halves));
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn bf16(row: &[u8], out: &mut [f32]) {
    // Makes a NaN quiet, as at AVX2; hidden from the compiler, which takes the addition for none.
    let minus_zero = _mm512_set1_ps(black_box(-0.0));
    for_each_16(row, out, |brains| {
        let wide = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(brains));
        _mm512_add_ps(_mm512_castsi512_ps(wide), minus_zero)
    });
}

/// Stores what `widen` makes of each sixteen numbers of 16 bits; of the last few by a mask, which whole ones would wait for.
#[inline(always)]
fn for_each_16(row: &[u8], out: &mut [f32], widen: impl Fn(__m256i) -> __m512) {
    let (body, tail) = row.as_chunks::<32>();
    let (out_body, out_tail) = out.as_chunks_mut::<16>();
    for (numbers, out) in body.iter().zip(out_body) {
        // SAFETY: the arrays hold 32 and 64 bytes; the callers enable AVX-512.
        unsafe {
            let numbers = _mm256_loadu_si256(numbers.as_ptr().cast());
            _mm512_storeu_ps(out.as_mut_ptr(), widen(numbers));
        }
    }
    let present = !(u16::MAX << out_tail.len().min(tail.len() / 2));
    // SAFETY: the mask has elements of both only; the callers enable AVX-512.
    unsafe {
        let numbers = _mm256_maskz_loadu_epi16(present, tail.as_ptr().cast());
        _mm512_mask_storeu_ps(out_tail.as_mut_ptr(), present, widen(numbers));
    }
}

/// Signed bytes as f32.
#[inline]
#[target_feature(enable = "avx512f")]
fn widen(bytes: __m128i) -> __m512 {
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))
}

/// An f16 in every lane.
#[inline]
#[target_feature(enable = "avx2,f16c,avx512f")]
fn splat_f16(bits: [u8; 2]) -> __m512 {
    _mm512_cvtph_ps(_mm256_set1_epi16(i16::from_le_bytes(bits)))
}

/// A block of 32 whose values come in registers.
pub trait Values32: Block {
    /// The values, in order.
    ///
    /// # Safety
    /// To be called where AVX2, FMA, F16C and AVX-512 F are enabled.
    unsafe fn values(&self) -> [__m512; 2];
}

/// The block, its unpacked quants, what they are larger than the weights by, and its minimum.
macro_rules! values {
    ($block:ty, $unpack:ident, minus: $minus:literal) => {
        impl Values32 for $block {
            #[inline(always)]
            unsafe fn values(&self) -> [__m512; 2] {
                // SAFETY: the caller promises the features.
                unsafe {
                    let q = _mm256_sub_epi8($unpack(self), _mm256_set1_epi8($minus));
                    let d = splat_f16(self.d);
                    let low = widen(_mm256_castsi256_si128(q));
                    let high = widen(_mm256_extracti128_si256::<1>(q));
                    [_mm512_mul_ps(d, low), _mm512_mul_ps(d, high)]
                }
            }
        }
    };
    ($block:ty, $unpack:ident, plus: m) => {
        impl Values32 for $block {
            #[inline(always)]
            unsafe fn values(&self) -> [__m512; 2] {
                // SAFETY: the caller promises the features.
                unsafe {
                    let q = $unpack(self);
                    let (d, m) = (splat_f16(self.d), splat_f16(self.m));
                    let low = widen(_mm256_castsi256_si128(q));
                    let high = widen(_mm256_extracti128_si256::<1>(q));
                    [_mm512_fmadd_ps(d, low, m), _mm512_fmadd_ps(d, high, m)]
                }
            }
        }
    };
}

values!(BlockQ4_0, q4_0, minus: 8);
values!(BlockQ4_1, q4_1, plus: m);
values!(BlockQ5_0, q5_0, minus: 16);
values!(BlockQ5_1, q5_1, plus: m);

impl Values32 for BlockQ8_0 {
    #[inline(always)]
    unsafe fn values(&self) -> [__m512; 2] {
        // SAFETY: the caller promises the features; each load reads 16 of the 32 quants.
        unsafe {
            let d = splat_f16(self.d);
            let low = widen(_mm_loadu_si128(self.qs.as_ptr().cast()));
            let high = widen(_mm_loadu_si128(self.qs.as_ptr().add(16).cast()));
            [_mm512_mul_ps(d, low), _mm512_mul_ps(d, high)]
        }
    }
}

/// A super-block whose values come in registers.
pub trait Values256: Block {
    /// The block, ready for [`values`](Self::values).
    type Unpacked<'a>;

    /// Does what all values need.
    ///
    /// # Safety
    /// To be called where AVX2, FMA, F16C and AVX-512 F are enabled.
    unsafe fn unpack(&self) -> Self::Unpacked<'_>;

    /// The values `16 j..16 (j + 1)`, in order; `j < 16`.
    ///
    /// # Safety
    /// As for [`unpack`](Self::unpack).
    unsafe fn values(unpacked: &Self::Unpacked<'_>, j: usize) -> __m512;
}

/// Implements the trait for a block that unpacks into [`Bytes`].
macro_rules! by_bytes {
    ($block:ty, $n:literal, mins: $mins:literal) => {
        impl Values256 for $block {
            type Unpacked<'a> = Bytes<$n, $mins>;

            #[inline(always)]
            unsafe fn unpack(&self) -> Bytes<$n, $mins> {
                // SAFETY: the caller promises the features.
                let mut bytes = unsafe {
                    let order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
                    avx2::super_blocks::Values256::unpack(self, order)
                };
                for d in &mut bytes.d {
                    *d *= (1u32 << 24) as f32;
                }
                bytes
            }

            #[inline(always)]
            unsafe fn values(unpacked: &Bytes<$n, $mins>, j: usize) -> __m512 {
                let scale = j * $n / 16;
                let sixteen = &unpacked.quants[j / 2];
                // SAFETY: the caller promises the features; the load reads a half of the register.
                unsafe {
                    let sixteen = core::ptr::from_ref(sixteen).cast::<__m128i>().add(j % 2);
                    let (d, q) =
                        (_mm512_set1_ps(unpacked.d[scale]), widen(_mm_loadu_si128(sixteen)));
                    if $mins {
                        _mm512_fmsub_ps(d, q, _mm512_set1_ps(unpacked.m[scale]))
                    } else {
                        _mm512_mul_ps(d, q)
                    }
                }
            }
        }
    };
}

by_bytes!(BlockQ2K, 16, mins: true);
by_bytes!(BlockQ3K, 16, mins: false);
by_bytes!(BlockQ4K, 8, mins: true);
by_bytes!(BlockQ5K, 8, mins: true);
by_bytes!(BlockQ6K, 16, mins: false);

impl Values256 for BlockQ8K {
    type Unpacked<'a> = &'a BlockQ8K;

    #[inline(always)]
    unsafe fn unpack(&self) -> &BlockQ8K {
        self
    }

    #[inline(always)]
    unsafe fn values(block: &&BlockQ8K, j: usize) -> __m512 {
        let sixteen = &block.qs.as_chunks::<16>().0[j];
        // SAFETY: the caller promises the features; the array holds 16 bytes.
        unsafe {
            let q = widen(_mm_loadu_si128(sixteen.as_ptr().cast()));
            _mm512_mul_ps(_mm512_set1_ps(f32::from_le_bytes(block.d)), q)
        }
    }
}
