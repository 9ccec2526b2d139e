//! Rows of f32 to f16 and to bf16.
//!
//! # Contract
//! The value nearest to `x`, ties to the one whose last bit is 0, as IEEE 754 says:
//!
//! | `x` | f16 | bf16 |
//! |---|---|---|
//! | magnitude from which the result is infinite | 65520 | 3.3961776 · 10³⁸ (`0x7f7f8000`) |
//! | magnitude up to which the result is a zero | 2⁻²⁵ | 2⁻¹³⁴ (`0x00008000`) |
//! | between, of a size that has no normal number | a subnormal number | a subnormal number |
//! | zeros, infinities, and every sign | kept | kept |
//! | NaN | quiet, with the sign and the upper 10 bits of the mantissa | the same of 7 bits |
//!
//! A quiet NaN has the first bit of its mantissa set, whatever it was: so no NaN becomes an infinity, and what is
//! kept of a payload is its upper bits. F16C and Advanced SIMD do the same. Unlike in other operations, every bit of a
//! NaN is part of the contract, since the results are stored in files.
//!
//! These are the bits of [`Format::quantize`](crate::formats::Format::quantize) to F16 and BF16.

pub(super) mod generic;
pub(super) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use half::{bf16, f16};

use super::Kernels;

/// A number of 16 bits as it lies in a file: little-endian, at any address.
pub(super) type Bytes = [u8; 2];

/// A sibling of [`Kernels::narrow_f16`] or [`Kernels::narrow_bf16`].
///
/// # Safety
/// The slices have the same length, and the CPU has the features that the sibling enables.
pub(super) type Narrow = unsafe fn(x: &[f32], out: &mut [Bytes]);

impl Kernels {
    /// Rounds `x` to f16, by the [contract](self).
    ///
    /// # Panics
    /// If the lengths differ.
    ///
    /// ```
    /// use half::f16;
    /// use quintile::{isa::Isa, kernels::Kernels};
    ///
    /// let mut out = [f16::ZERO; 3];
    /// Kernels::new(Isa::detect()).narrow_f16(&[1.0, 2049.0, 65520.0], &mut out);
    /// assert_eq!(out.map(f16::to_f32), [1.0, 2048.0, f32::INFINITY]);
    /// ```
    pub fn narrow_f16(&self, x: &[f32], out: &mut [f16]) {
        assert_eq!(x.len(), out.len(), "narrow_f16: lengths of x and out");
        // SAFETY: an f16 is two bytes, and any two bytes are one; bytes may lie at any address. The lengths
        // agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.narrow_f16.run)(x, bytes_of(out)) }
        if cfg!(target_endian = "big") {
            out.iter_mut().for_each(|y| *y = f16::from_bits(y.to_bits().swap_bytes()));
        }
    }

    /// Rounds `x` to bf16, by the [contract](self).
    ///
    /// # Panics
    /// If the lengths differ.
    ///
    /// ```
    /// use half::bf16;
    /// use quintile::{isa::Isa, kernels::Kernels};
    ///
    /// let mut out = [bf16::ZERO; 3];
    /// Kernels::new(Isa::detect()).narrow_bf16(&[1.0, 257.0, 3.4e38], &mut out);
    /// assert_eq!(out.map(bf16::to_f32), [1.0, 256.0, f32::INFINITY]);
    /// ```
    pub fn narrow_bf16(&self, x: &[f32], out: &mut [bf16]) {
        assert_eq!(x.len(), out.len(), "narrow_bf16: lengths of x and out");
        // SAFETY: as in `narrow_f16`.
        unsafe { (self.narrow_bf16.run)(x, bytes_of(out)) }
        if cfg!(target_endian = "big") {
            out.iter_mut().for_each(|y| *y = bf16::from_bits(y.to_bits().swap_bytes()));
        }
    }
}

/// # Safety
/// `T` has two bytes and no padding, and any two bytes are a `T`.
unsafe fn bytes_of<T>(numbers: &mut [T]) -> &mut [Bytes] {
    const { assert!(size_of::<T>() == size_of::<Bytes>()) };
    // SAFETY: the same memory, of which every byte may be written; the lifetime is that of the argument.
    unsafe { core::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len()) }
}
