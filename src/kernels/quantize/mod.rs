//! Quantises activations: f32 to bytes with a scale for each 32 or 256 values.
//!
//! # Contract
//! A group is 256 values ([`ActScale::Per256`]) or 32 ([`ActScale::Per32`]); the last group of a row may be
//! shorter. For the values `x` of a group, with `amax = max |xᵢ|`:
//!
//! | group | `d` | `qᵢ` |
//! |---|---|---|
//! | any value is NaN or infinite | NaN | 0 |
//! | `amax < 2⁻¹⁰⁰` | 0 | 0 |
//! | otherwise | `amax / 127` | the integer nearest to `xᵢ · (127 / amax)`, ties to even |
//!
//! The two divisions, the product and the rounding to an integer are each rounded once, in f32. So a
//! NaN or an infinity makes every dot with its group NaN: it is neither hidden nor spread to other
//! groups. -0 and subnormals are ordinary small numbers. `|xᵢ| ≤ amax` gives
//! `|xᵢ · rn(127 / amax)| ≤ 127·(1 + 2⁻²²)`, which rounds to at most 127: quants lie in
//! `-127..=127`, the domain of every integer kernel. The error of a value is at most `d/2` and a rounding.
//!
//! `bsums` are the exact sums of each 16 quants. Absent values of a short last block are zero, and
//! so is the scale of an absent group.

pub(super) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use super::Kernels;
use crate::formats::{ActBlock, ActScale};

/// A sibling of [`Kernels::quantize`] for one kind of scale.
///
/// # Safety
/// `out.len()` is `ActBlock::count(x.len())`, and the CPU has the features that the sibling enables.
pub(super) type Quantize = unsafe fn(x: &[f32], out: &mut [ActBlock]);

impl Kernels {
    /// Quantises a row of activations by the [contract](self).
    ///
    /// # Panics
    /// If `out.len()` is not [`ActBlock::count`]`(x.len())`.
    ///
    /// ```
    /// use quintile::{formats::{ActBlock, ActScale}, isa::Isa, kernels::Kernels};
    ///
    /// let mut out = [ActBlock::ZERO];
    /// Kernels::new(Isa::detect()).quantize(ActScale::Per256, &[1.0, -0.5, 0.25], &mut out);
    /// assert_eq!(out[0].qs[..4], [127, -64, 32, 0]);
    /// assert_eq!(out[0].d[0], 1.0 / 127.0);
    /// ```
    pub fn quantize(&self, scale: ActScale, x: &[f32], out: &mut [ActBlock]) {
        assert_eq!(out.len(), ActBlock::count(x.len()), "quantize: blocks for {} values", x.len());
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe {
            match scale {
                ActScale::Per32 => (self.quantize_32.run)(x, out),
                ActScale::Per256 => (self.quantize_256.run)(x, out),
            }
        }
    }
}
