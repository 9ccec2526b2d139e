//! AVX2: a block's quants are unpacked 32 at a time, as bytes, and become values 8 at a time.
//!
//! Eight values cost a shuffle that takes four bytes of each half to the tops of 32-bit lanes, a conversion,
//! one multiplication (fused with the minimum's subtraction) and a store. So a byte `q` counts `q · 2²⁴`, which
//! the scale makes good: `d · 2⁻²⁴` is exact for every f16.

pub mod blocks_of_32;
pub mod super_blocks;

use core::arch::x86_64::*;
use core::hint::black_box;

use self::blocks_of_32::Values32;
use self::super_blocks::Values256;
use crate::formats::{
    BLOCK_32, Block, BlockBf16, BlockF16, BlockF32, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1,
    BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0, BlockQ8K, Format, SUPER_BLOCK,
};

#[target_feature(enable = "avx2,fma,f16c")]
pub fn dequantize(format: Format, row: &[u8], out: &mut [f32]) {
    match format {
        Format::F32 => f32(row, out),
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
#[target_feature(enable = "avx2,fma,f16c")]
fn row_32<B: Values32>(row: &[u8], out: &mut [f32]) {
    for (block, out) in B::slice(row).iter().zip(out.as_chunks_mut::<BLOCK_32>().0) {
        // SAFETY: the features are enabled here.
        store(unsafe { block.values() }, out.as_chunks_mut().0);
    }
}

/// Not inlined: by its name, `scripts/mca_x86_64.py` finds the loop of each format.
#[inline(never)]
#[target_feature(enable = "avx2,fma,f16c")]
fn row_256<B: Values256>(row: &[u8], out: &mut [f32]) {
    let order = halves_order();
    for (block, out) in B::slice(row).iter().zip(out.as_chunks_mut::<SUPER_BLOCK>().0) {
        // SAFETY: the features are enabled here.
        let unpacked = unsafe { block.unpack(order) };
        let unpacked = black_box(&unpacked);
        for (j, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            // SAFETY: as above; there are eight sub-blocks.
            store(unsafe { B::values(unpacked, j) }, out.as_chunks_mut().0);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store<const N: usize>(values: [__m256; N], out: &mut [[f32; 8]]) {
    for (value, out) in values.into_iter().zip(out) {
        // SAFETY: the array holds eight f32; the store takes any address.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), value) }
    }
}

#[target_feature(enable = "avx2")]
fn f32(row: &[u8], out: &mut [f32]) {
    for (block, out) in BlockF32::slice(row).iter().zip(out) {
        *out = f32::from_le_bytes(block.0);
    }
}

#[target_feature(enable = "avx2,f16c")]
fn f16(row: &[u8], out: &mut [f32]) {
    let (body, tail) = row.as_chunks::<16>();
    let (out_body, out_tail) = out.as_chunks_mut::<8>();
    for (bytes, out) in body.iter().zip(out_body) {
        // SAFETY: the arrays hold 16 and 32 bytes; load and store take any address.
        unsafe {
            let halves = _mm_loadu_si128(bytes.as_ptr().cast());
            _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(halves));
        }
    }
    one_by_one::<BlockF16>(tail, out_tail);
}

#[target_feature(enable = "avx2")]
fn bf16(row: &[u8], out: &mut [f32]) {
    // The first four in the lower half of a register, the others in the upper half.
    let to_upper_halves = _mm256_setr_epi8(
        -1, -1, 0, 1, -1, -1, 2, 3, -1, -1, 4, 5, -1, -1, 6, 7, //
        -1, -1, 8, 9, -1, -1, 10, 11, -1, -1, 12, 13, -1, -1, 14, 15,
    );
    // Added to a NaN it makes it quiet, as every conversion does, and it changes nothing else. The compiler,
    // which takes the addition for none, is not to see the number. To set the bit in integers takes 1.3 times
    // as long.
    let minus_zero = _mm256_set1_ps(black_box(-0.0));
    let (body, tail) = row.as_chunks::<16>();
    let (out_body, out_tail) = out.as_chunks_mut::<8>();
    for (bytes, out) in body.iter().zip(out_body) {
        // SAFETY: the array holds 16 bytes; the load takes any address.
        let x = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        let wide = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(x), to_upper_halves);
        let quiet = _mm256_add_ps(_mm256_castsi256_ps(wide), minus_zero);
        store([quiet], core::slice::from_mut(out));
    }
    one_by_one::<BlockBf16>(tail, out_tail);
}

/// The last values of a row, by the definition.
fn one_by_one<B: Block>(row: &[u8], out: &mut [f32]) {
    for (block, out) in B::slice(row).iter().zip(out) {
        block.dequantize(core::slice::from_mut(out));
    }
}

/// `2⁻²⁴`: what a byte at the top of a 32-bit lane counts too much.
const TOP_BYTE: f32 = 1.0 / (1u32 << 24) as f32;

/// The order of 32-bit lanes that [`spread`] takes: of each eight bytes, the first four in the lower half of
/// the register, the others in the upper half.
const HALVES: [i32; 8] = [0, 2, 4, 6, 1, 3, 5, 7];

/// [`HALVES`], for `vpermd`; in a register, and hidden: of an order that it knows, the compiler makes two
/// shuffles.
#[inline]
#[target_feature(enable = "avx2")]
pub fn halves_order() -> __m256i {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    unsafe { _mm256_loadu_si256(black_box(&HALVES).as_ptr().cast()) }
}

/// Signed bytes in the order [`HALVES`] as f32, times 2²⁴: those numbered `8 k` and on.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(quants: __m256i, k: usize) -> __m256 {
    // Lane `i` of a half takes byte `4 k + i` of that half to its top.
    const TOPS: [[i8; 16]; 4] = {
        let mut tops = [[-1; 16]; 4];
        let mut i = 0;
        while i < 16 {
            tops[i / 4][i % 4 * 4 + 3] = i as i8;
            i += 1;
        }
        tops
    };
    // SAFETY: 16 bytes; the load takes any address.
    let tops = unsafe { _mm_loadu_si128(TOPS[k].as_ptr().cast()) };
    let words = _mm256_shuffle_epi8(quants, _mm256_broadcastsi128_si256(tops));
    _mm256_cvtepi32_ps(words)
}

/// An f16 in every lane. Through a scalar, the compiler inserts it into a register whose old value it then
/// waits for: 2.5 times the time of a Q8_0 row.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn splat_f16(bits: [u8; 2]) -> __m256 {
    _mm256_cvtph_ps(_mm_set1_epi16(i16::from_le_bytes(bits)))
}

/// `d · 2⁻²⁴` in every lane.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn splat_top_byte(d: [u8; 2]) -> __m256 {
    _mm256_mul_ps(splat_f16(d), _mm256_set1_ps(TOP_BYTE))
}
