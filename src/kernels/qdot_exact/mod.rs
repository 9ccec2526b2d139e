//! The fused dequantise-dot with f32 activations, which are not quantised.
//!
//! # Contract
//! `qdot_exact(format, row, x)` is [`Kernels::dot_f32`] of the dequantised row and `x`, to the bit:
//!
//! ```text
//! w[i] = the value of Kernels::dequantize, rounded to f32 as its contract says
//! lane[i mod 64] = fma(w[i], x[i], lane[i mod 64])     for i = 0, 1, .. in order, from +0
//! ```
//!
//! and the 64 lanes are folded in halves. So an engine that keeps activations in f32, or measures what their
//! quantisation costs, has the bits of the unfused computation without its traffic through memory. Unlike
//! [`qdot`](super::qdot), it has no error but that of 64 chains in f32.
//!
//! A row of blocks of 32 may end in the middle of the lanes: those without an element are left alone. NaN and
//! infinities propagate as IEEE 754 says.

pub(super) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(asm_x86_64)]
pub(super) mod avx2_asm;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use super::Kernels;
use crate::formats::Format;

/// A sibling of [`Kernels::qdot_exact`].
///
/// # Safety
/// `format` is quantised, `row.len()` is `format.row_bytes(x.len())`, and the CPU has the features that the
/// sibling enables.
pub(super) type QdotExact = unsafe fn(format: Format, row: &[u8], x: &[f32]) -> f32;

impl Kernels {
    /// One quantised row times a vector of f32, by the [contract](self). `row` may lie at any address.
    ///
    /// # Panics
    /// If `format` is not quantised, or `row.len()` is not [`Format::row_bytes`]`(x.len())`.
    ///
    /// ```
    /// use quintile::{formats::Format, isa::Isa, kernels::Kernels};
    ///
    /// let kernels = Kernels::new(Isa::detect());
    /// let row: Vec<u8> = (0..176).map(|i: u32| (i * 7 % 64) as u8).collect();
    /// let x: Vec<f32> = (0..256).map(|i| (i as f32 * 0.1).sin()).collect();
    ///
    /// let mut w = [0.0; 256];
    /// kernels.dequantize(Format::Q5K, &row, &mut w);
    /// let unfused = kernels.dot_f32(&w, &x);
    /// assert_eq!(kernels.qdot_exact(Format::Q5K, &row, &x).to_bits(), unfused.to_bits());
    /// ```
    #[inline]
    pub fn qdot_exact(&self, format: Format, row: &[u8], x: &[f32]) -> f32 {
        assert!(format.activation().is_some(), "qdot_exact: {format} is not quantised");
        let bytes = format.row_bytes(x.len());
        assert_eq!(
            Some(row.len()),
            bytes,
            "qdot_exact: bytes of a {format} row of {} values",
            x.len()
        );
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.qdot_exact.run)(format, row, x) }
    }
}
