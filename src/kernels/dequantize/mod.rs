//! Rows of every format to f32.
//!
//! # Contract
//! The values are those of [`Format::dequantize`], in [`crate::formats`]: f16 and bf16 are widened exactly, a NaN
//! becomes quiet; and with every `*`, `+` and `-` rounded to nearest even by itself,
//!
//! ```text
//! d * q                             Q4_0, Q5_0, Q8_0        q signed, 4, 5 or 8 bits
//! d * q + m                         Q4_1, Q5_1              q unsigned
//! (d * scale) * q                   Q3_K, Q6_K, Q8_K        Q8_K has no scale beside d
//! (d * scale) * q - dmin * min      Q2_K, Q4_K, Q5_K        q, scale and min unsigned
//! ```
//!
//! An f16 has 11 significant bits, and scales and quants are small: except Q8_K's, whose `d` is an f32, every product
//! fits the 24 bits of an f32 (`bounds` proves it when this compiles). So the products are exact, only the
//! last addition or subtraction rounds, and `fma(d * scale, q, -(dmin * min))` has the bits of the formula, signs of
//! zeros and infinities included.
//!
//! pulp has no widening of integers and no conversion of them to f32: the level `generic` uses the definition.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use super::Kernels;
use crate::formats::Format;

/// A sibling of [`Kernels::dequantize`].
///
/// # Safety
/// `row.len()` is `format.row_bytes(out.len())`, and the CPU has the features that the sibling enables.
pub(super) type Dequantize = unsafe fn(format: Format, row: &[u8], out: &mut [f32]);

/// The definition.
pub(super) fn scalar(format: Format, row: &[u8], out: &mut [f32]) {
    format.dequantize(row, out);
}

impl Kernels {
    /// Writes the value of every element of `row` to `out`, in order: the bits of [`Format::dequantize`], by the
    /// [contract](self). `row` may lie at any address.
    ///
    /// # Panics
    /// If `row.len()` is not [`Format::row_bytes`]`(out.len())`.
    ///
    /// ```
    /// use quintile::{formats::Format, isa::Isa, kernels::Kernels};
    ///
    /// // One block of Q8_0: the scale 0.5 as f16, then 32 quants.
    /// let mut row = vec![0x00, 0x38];
    /// row.extend(0..32);
    /// let mut values = [0.0; 32];
    /// Kernels::new(Isa::detect()).dequantize(Format::Q8_0, &row, &mut values);
    /// assert_eq!(values[..4], [0.0, 0.5, 1.0, 1.5]);
    /// ```
    pub fn dequantize(&self, format: Format, row: &[u8], out: &mut [f32]) {
        let bytes = format.row_bytes(out.len());
        assert_eq!(
            Some(row.len()),
            bytes,
            "dequantize: bytes of a {format} row of {} values",
            out.len()
        );
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.dequantize.run)(format, row, out) }
    }
}

/// Products that the contract calls exact: proven when this compiles.
mod bounds {
    /// Significant bits of an f16.
    const F16: u32 = 11;
    /// Significant bits that any integer up to this magnitude has at most.
    const fn bits(magnitude: u32) -> u32 {
        // A power of two has one; the next smaller number may need all its bits.
        (magnitude - 1).ilog2() + 1
    }
    const _: () = {
        assert!(F16 + bits(128) <= f32::MANTISSA_DIGITS); // Q8_0
        assert!(F16 + bits(15) + bits(3) <= f32::MANTISSA_DIGITS); // Q2_K
        assert!(F16 + bits(32) + bits(4) <= f32::MANTISSA_DIGITS); // Q3_K
        assert!(F16 + bits(63) + bits(31) <= f32::MANTISSA_DIGITS); // Q4_K, Q5_K
        assert!(F16 + bits(128) + bits(32) <= f32::MANTISSA_DIGITS); // Q6_K
    };
}
