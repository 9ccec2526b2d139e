//! Quantises weights: rows of f32 into any [`Format`].
//!
//! # Contract
//! Each block is quantised by itself, so rows may be split over threads in any way. Only IEEE
//! additions, products, quotients and comparisons are used, each rounded once in f32 in the order
//! that the code states, and no fused operation: the same bytes come out on every CPU.
//!
//! | formats | how scales are found | file |
//! |---|---|---|
//! | F32, F16, BF16 | none; rounded to nearest, ties to even | here |
//! | Q4_0, Q5_0, Q8_0 | the value of largest magnitude is the outermost quant | `blocks_of_32` |
//! | Q4_1, Q5_1 | smallest and largest value are the outermost quants | `blocks_of_32` |
//! | Q2_K, Q4_K, Q5_K | least squares: a scale and a minimum for each sub-block | `affine` |
//! | Q3_K, Q6_K | least squares: a scale for each sub-block | `symmetric` |
//! | Q8_K | as activations: `amax / 127` in f32 | `super_blocks` |
//!
//! For the formats of 32 these are the rules that GGUF files have always been made by, and the
//! bytes are those of other tools. The K formats leave the search for scales to the quantiser:
//! ours minimises the squared error, of a sub-block first and then of the super-block with its
//! scales rounded. `tests/quantize.rs` compares the errors with llama.cpp's.
//!
//! What no format holds:
//! - A NaN or an infinity makes the scale of its block NaN, and so every value of the block: it is
//!   neither hidden nor spread to other blocks. F32, F16 and BF16 keep them.
//! - A scale beyond f16 becomes ±65504, and values saturate; values beyond ±2^40 count as ±2^40.
//! - Values too small for an f16 scale become zero; -0 and subnormals are ordinary small numbers.
//! - In F16, values beyond it become infinite, as IEEE rounding says.

mod affine;
mod blocks_of_32;
mod lanes;
mod super_blocks;
mod symmetric;

#[cfg(target_arch = "x86_64")]
pub(crate) use lanes::LANES;
pub(crate) use lanes::{Lanes, Portable};

use half::bf16;

use super::{
    BLOCK_32, Block, BlockBf16, BlockF16, BlockF32, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1,
    BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0, BlockQ8K, Format, SUPER_BLOCK,
    f16_bits, f16_value,
};

impl Format {
    /// Quantises `x` into `row`, by the [contract](self).
    ///
    /// This is the definition; [`Kernels::quantize_weights`](crate::kernels::Kernels::quantize_weights)
    /// writes the same bytes, faster.
    ///
    /// # Panics
    /// If `row.len()` is not [`row_bytes`](Self::row_bytes)`(x.len())`.
    ///
    /// ```
    /// use quintile::formats::Format;
    ///
    /// let x: Vec<f32> = (0..256).map(|i| (i as f32 * 0.1).sin()).collect();
    /// let mut row = vec![0; Format::Q5K.row_bytes(x.len()).unwrap()];
    /// Format::Q5K.quantize(&x, &mut row);
    ///
    /// let mut back = vec![0.0; x.len()];
    /// Format::Q5K.dequantize(&row, &mut back);
    /// assert!(x.iter().zip(&back).all(|(x, y)| (x - y).abs() < 0.04));
    /// ```
    pub fn quantize(self, x: &[f32], row: &mut [u8]) {
        self.check_quantize(x, row);
        quantize_row::<Portable>(self, x, row);
    }

    pub(crate) fn check_quantize(self, x: &[f32], row: &[u8]) {
        let (name, k) = (self.name(), x.len());
        assert_eq!(Some(row.len()), self.row_bytes(k), "bytes of a {name} row of {k} values");
    }
}

/// The body of every sibling: compiled for the features of the function that calls it, whose
/// registers are `L`.
///
/// Everything below it is `inline(always)`, and passes no closures that hold an `L`: a closure would
/// be compiled without those features.
#[inline(always)]
pub(crate) fn quantize_row<L: Lanes>(format: Format, x: &[f32], row: &mut [u8]) {
    match format {
        Format::F32 => each_block::<L, BlockF32, 1>(x, row),
        Format::F16 => each_block::<L, BlockF16, 1>(x, row),
        Format::Bf16 => each_block::<L, BlockBf16, 1>(x, row),
        Format::Q4_0 => each_block::<L, BlockQ4_0, BLOCK_32>(x, row),
        Format::Q4_1 => each_block::<L, BlockQ4_1, BLOCK_32>(x, row),
        Format::Q5_0 => each_block::<L, BlockQ5_0, BLOCK_32>(x, row),
        Format::Q5_1 => each_block::<L, BlockQ5_1, BLOCK_32>(x, row),
        Format::Q8_0 => each_block::<L, BlockQ8_0, BLOCK_32>(x, row),
        Format::Q2K => each_block::<L, BlockQ2K, SUPER_BLOCK>(x, row),
        Format::Q3K => each_block::<L, BlockQ3K, SUPER_BLOCK>(x, row),
        Format::Q4K => each_block::<L, BlockQ4K, SUPER_BLOCK>(x, row),
        Format::Q5K => each_block::<L, BlockQ5K, SUPER_BLOCK>(x, row),
        Format::Q6K => each_block::<L, BlockQ6K, SUPER_BLOCK>(x, row),
        Format::Q8K => each_block::<L, BlockQ8K, SUPER_BLOCK>(x, row),
    }
}

/// A block that is found for `LEN` values.
trait QuantizeBlock<const LEN: usize>: Block {
    fn quantize<L: Lanes>(x: &[f32; LEN]) -> Self;
}

#[inline(always)]
fn each_block<L: Lanes, B: QuantizeBlock<LEN>, const LEN: usize>(x: &[f32], row: &mut [u8]) {
    for (x, block) in x.as_chunks::<LEN>().0.iter().zip(B::slice_mut(row)) {
        *block = B::quantize::<L>(x);
    }
}

impl QuantizeBlock<1> for BlockF32 {
    #[inline(always)]
    fn quantize<L: Lanes>(&[x]: &[f32; 1]) -> Self {
        BlockF32(x.to_le_bytes())
    }
}

impl QuantizeBlock<1> for BlockF16 {
    #[inline(always)]
    fn quantize<L: Lanes>(&[x]: &[f32; 1]) -> Self {
        BlockF16(f16_bits(x))
    }
}

impl QuantizeBlock<1> for BlockBf16 {
    #[inline(always)]
    fn quantize<L: Lanes>(&[x]: &[f32; 1]) -> Self {
        BlockBf16(bf16::from_f32_const(x).to_le_bytes())
    }
}

/// The largest magnitude, or `None` where a value is NaN or infinite.
#[inline(always)]
fn finite_amax<const LEN: usize>(x: &[f32; LEN]) -> Option<f32> {
    // Bit patterns of magnitudes are ordered as the numbers are, with infinity and NaN above.
    let bits = x.iter().fold(0, |max: i32, x| max.max((x.to_bits() & 0x7fff_ffff) as i32));
    let amax = f32::from_bits(bits as u32);
    amax.is_finite().then_some(amax)
}

/// The f16 nearest to a finite `x`, saturating at ±65504, as f32.
#[inline(always)]
fn saturating_f16(x: f32) -> f32 {
    const MAX: f32 = 65504.0;
    f16_value(f16_bits(x.clamp(-MAX, MAX)))
}

/// The integer nearest to `x`, ties to even, of a magnitude below 2^22.
#[inline(always)]
fn round(x: f32) -> f32 {
    (x + ROUND) - ROUND
}

/// 1.5 * 2^23: an f32 of this size has no bits for a fraction.
const ROUND: f32 = 12_582_912.0;
