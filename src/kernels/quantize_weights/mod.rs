//! Quantises weights: a row of f32 into any [`Format`].
//!
//! The contract and the definition are those of [`Format::quantize`], in [`crate::formats`]: each block
//! by itself, IEEE operations only, each rounded once. The definition is written over eight sub-blocks
//! side by side, so the siblings are that same code, compiled for wider registers. F16 and BF16 are
//! [narrowed](super::narrow).

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;

use super::Kernels;
use crate::formats::Format;
use crate::formats::quantize::{Portable, quantize_row};

/// A sibling of [`Kernels::quantize_weights`].
///
/// # Safety
/// `row.len()` is `format.row_bytes(x.len())`, and the CPU has the features that the sibling enables.
pub(super) type QuantizeWeights = unsafe fn(format: Format, x: &[f32], row: &mut [u8]);

/// The definition. Not inlined, so that no caller's features change what is made of it.
#[inline(never)]
pub(super) fn scalar(format: Format, x: &[f32], row: &mut [u8]) {
    quantize_row::<Portable>(format, x, row);
}

impl Kernels {
    /// Quantises `x` into `row`: the bytes of [`Format::quantize`].
    ///
    /// # Panics
    /// If `row.len()` is not [`Format::row_bytes`]`(x.len())`.
    ///
    /// ```
    /// use quintile::{formats::Format, isa::Isa, kernels::Kernels};
    ///
    /// let x: Vec<f32> = (0..512).map(|i| (i as f32 * 0.1).sin()).collect();
    /// let mut row = vec![0; Format::Q5K.row_bytes(x.len()).unwrap()];
    /// Kernels::new(Isa::detect()).quantize_weights(Format::Q5K, &x, &mut row);
    ///
    /// let mut same = vec![0; row.len()];
    /// Format::Q5K.quantize(&x, &mut same);
    /// assert_eq!(row, same);
    /// ```
    pub fn quantize_weights(&self, format: Format, x: &[f32], row: &mut [u8]) {
        format.check_quantize(x, row);
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe {
            match format {
                Format::F16 => (self.narrow_f16.run)(x, row.as_chunks_mut().0),
                Format::Bf16 => (self.narrow_bf16.run)(x, row.as_chunks_mut().0),
                _ => (self.quantize_weights.run)(format, x, row),
            }
        }
    }
}
