//! Inner product of a slice of f32, f16 or bf16 with one of f32.
//!
//! # Contract
//! `dot_f32(a, b)` = Σ aᵢ·bᵢ over `i < n = a.len() = b.len()`, by 64 virtual lanes:
//!
//! 1. Lane `j` starts at +0 and takes the elements `i ≡ j (mod 64)` in ascending order, each as
//!    `lane = fma(aᵢ, bᵢ, lane)`, rounded once. Lanes without an element are left alone.
//! 2. The lanes are folded in halves: `laneⱼ = laneⱼ + laneⱼ₊ₕ` for `h = 32, 16, 8, 4, 2, 1`.
//!
//! The result is lane 0. Sixty-four lanes are four zmm, eight ymm or sixteen v registers; fewer could not keep
//! two FMA ports of latency 4 busy with 512-bit vectors. The error is at most
//! `(n/64 + 6)·ε/2·Σ|aᵢ·bᵢ|`, about 64 times better than a plain loop's.
//!
//! `dot_f16(a, b)` and `dot_bf16(a, b)` are `dot_f32` of the widened `a`: every f16 and bf16 is an f32.
//!
//! The empty product is +0. NaN and infinities propagate as IEEE 754 says.

pub(super) mod generic;
pub(super) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(asm_x86_64)]
pub(super) mod avx2_asm;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
#[cfg(asm_aarch64)]
pub(super) mod neon_asm;

use half::{bf16, f16};

use super::Kernels;

/// Virtual lanes of the contract.
pub const LANES: usize = 64;

/// A sibling of [`Kernels::dot_f32`], [`Kernels::dot_f16`] or [`Kernels::dot_bf16`].
///
/// # Safety
/// The slices have the same length, and the CPU has the features that the sibling enables.
pub(super) type Dot<A> = unsafe fn(a: &[A], b: &[f32]) -> f32;

impl Kernels {
    /// Σ aᵢ·bᵢ, by the [contract](self) of 64 lanes.
    ///
    /// # Panics
    /// If the lengths differ.
    ///
    /// ```
    /// use quintile::{isa::Isa, kernels::Kernels};
    ///
    /// let kernels = Kernels::new(Isa::detect());
    /// assert_eq!(kernels.dot_f32(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), 32.0);
    /// ```
    #[inline]
    pub fn dot_f32(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "dot_f32: lengths of a and b");
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.dot_f32.run)(a, b) }
    }
    /// Σ aᵢ·bᵢ of f16 and f32, by the [contract](self) of 64 lanes.
    ///
    /// # Panics
    /// If the lengths differ.
    ///
    /// ```
    /// use half::f16;
    /// use quintile::{isa::Isa, kernels::Kernels};
    ///
    /// let a = [1.0, 2.0, 3.0].map(f16::from_f32);
    /// assert_eq!(Kernels::new(Isa::detect()).dot_f16(&a, &[4.0, 5.0, 6.0]), 32.0);
    /// ```
    #[inline]
    pub fn dot_f16(&self, a: &[f16], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "dot_f16: lengths of a and b");
        // SAFETY: as in `dot_f32`.
        unsafe { (self.dot_f16.run)(a, b) }
    }

    /// Σ aᵢ·bᵢ of bf16 and f32, by the [contract](self) of 64 lanes.
    ///
    /// # Panics
    /// If the lengths differ.
    ///
    /// ```
    /// use half::bf16;
    /// use quintile::{isa::Isa, kernels::Kernels};
    ///
    /// let a = [1.0, 2.0, 3.0].map(bf16::from_f32);
    /// assert_eq!(Kernels::new(Isa::detect()).dot_bf16(&a, &[4.0, 5.0, 6.0]), 32.0);
    /// ```
    #[inline]
    pub fn dot_bf16(&self, a: &[bf16], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "dot_bf16: lengths of a and b");
        // SAFETY: as in `dot_f32`.
        unsafe { (self.dot_bf16.run)(a, b) }
    }
}
