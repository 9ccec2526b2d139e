//! The forward pass between its matrix products: normalisation, gating, rotation, softmax.
//!
//! # Contract
//! All in f32; `fma` is a multiply-add rounded once; every other operation is rounded by itself.
//!
//! - `exp(x)`: with `n` the integer nearest to `x·log₂e` and `r = x - n·ln 2` in two fused steps, a
//!   polynomial of degree 6 in `r`, times 2ⁿ. 0 below -104, +∞ above 89, NaN for NaN. The polynomial is the
//!   one in [`scalar::exp`](self); its error is stated and checked beside it.
//! - `silu(x) = x / (1 + exp(-x))`; `gelu(x) = x / (1 + exp(-2u))`, `u = √(2/π)·(x + 0.044715·x³)`: the tanh form
//!   of the GELU (Hendrycks and Gimpel, 2016), since `(1 + tanh u)/2 = 1/(1 + exp(-2u))`.
//!   Where the exponential exceeds f32 (silu below -88.72), the result is -0, and the true one 2.7·10⁻³⁷ at most.
//! - `soft_cap(x) = cap · tanh(x / cap)`; below 0.625 `tanh(x) = x + x³·p(x²)` with `p` of degree 4, else
//!   `1 - 2/(exp(2x) + 1)`, of the absolute value, and then with the sign of `x`.
//! - `rms_norm(x)ᵢ = (xᵢ·s)·wᵢ` with `s = 1/√(dot(x, x)/n + ε)`: the [dot](super::dot) of 64 lanes, then a division, an
//!   addition, a square root and a division (Zhang and Sennrich, 2019).
//! - `rope`: a pair `(a, b)` becomes `(fma(a, cos, -(b·sin)), fma(a, sin, b·cos))` (Su et al., 2021). Pairs are
//!   neighbours, or lie half a head apart.
//! - `softmax(x)ᵢ = exp(xᵢ - m)·(1/S)`: `m` is the maximum (NaN never exceeds it), `S` the sum of the
//!   exponentials by the 64 lanes of the dot, `laneⱼ = laneⱼ + eᵢ`.

pub(super) mod generic;
pub(super) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use super::Kernels;

/// A gated activation: `gate[i] = f(gate[i]) * up[i]`.
///
/// # Safety
/// The lengths agree, and the CPU has the features that the sibling enables.
pub(super) type Gate = unsafe fn(gate: &mut [f32], up: &[f32]);

/// `out[i] = (x[i] * s) * w[i]`.
///
/// # Safety
/// As for [`Gate`].
pub(super) type ScaleBy = unsafe fn(x: &[f32], s: f32, w: &[f32], out: &mut [f32]);

/// Rotates the pairs of one head by the angles whose `[cos, sin]` are given.
///
/// # Safety
/// `x.len()` is twice `angles.len()`, and the CPU has the features that the sibling enables.
pub(super) type Rotate = unsafe fn(x: &mut [f32], angles: &[[f32; 2]]);

/// Replaces `x[i]` by `exp(x[i] - m)`, and returns `(m, sum)`.
///
/// # Safety
/// The CPU has the features that the sibling enables.
pub(super) type ExpSum = unsafe fn(x: &mut [f32]) -> (f32, f32);

/// Replaces `x[i]` by `exp(x[i])`.
///
/// # Safety
/// The CPU has the features that the sibling enables.
pub(super) type Exp = unsafe fn(x: &mut [f32]);

/// `x[i] = x[i] + y[i]`.
///
/// # Safety
/// As for [`Gate`].
pub(super) type Add = unsafe fn(x: &mut [f32], y: &[f32]);

/// `x[i] = cap · tanh(x[i] / cap)`.
///
/// # Safety
/// The CPU has the features that the sibling enables.
pub(super) type SoftCap = unsafe fn(x: &mut [f32], cap: f32);

/// Which elements of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// `x[2i]` and `x[2i + 1]`: the `llama` architecture.
    Neighbours,
    /// `x[i]` and `x[i + n/2]`: `qwen2`, `gemma3`.
    Halves,
}

impl Kernels {
    /// `out[i] = x[i] / √(mean(x²) + eps) * weight[i]`, by the [contract](self).
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        assert_eq!(x.len(), weight.len(), "rms_norm: lengths of x and weight");
        assert_eq!(x.len(), out.len(), "rms_norm: lengths of x and out");
        let s = self.rms_scale(x, eps);
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.scale_by.run)(x, s, weight, out) }
    }

    /// `1 / √(mean(x²) + eps)`.
    fn rms_scale(&self, x: &[f32], eps: f32) -> f32 {
        1.0 / sqrt(self.dot_f32(x, x) / x.len() as f32 + eps)
    }

    /// `gate[i] = silu(gate[i]) * up[i]`, by the [contract](self).
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn silu_mul(&self, gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len(), "silu_mul: lengths of gate and up");
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.silu_mul.run)(gate, up) }
    }

    /// `gate[i] = gelu(gate[i]) * up[i]`, by the [contract](self).
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn gelu_mul(&self, gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len(), "gelu_mul: lengths of gate and up");
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.gelu_mul.run)(gate, up) }
    }

    /// Rotates the pairs of one head; `angles[i]` is `[cos, sin]` of pair `i`. Elements beyond the
    /// last pair are left alone.
    ///
    /// # Panics
    /// If `x` is shorter than twice `angles`.
    pub fn rope(&self, pairs: RopePairs, x: &mut [f32], angles: &[[f32; 2]]) {
        let n = 2 * angles.len();
        assert!(n <= x.len(), "rope: {} angles for a head of {}", angles.len(), x.len());
        let rotate = match pairs {
            RopePairs::Neighbours => self.rope_neighbours.run,
            RopePairs::Halves => self.rope_halves.run,
        };
        // SAFETY: the slice has `2 * angles.len()` elements; the `Isa` proves the features.
        unsafe { rotate(&mut x[..n], angles) }
    }

    /// Replaces `x[i]` by `exp(x[i])`, by the [contract](self).
    pub fn exp(&self, x: &mut [f32]) {
        // SAFETY: the `Isa` proves the features.
        unsafe { (self.exp.run)(x) }
    }

    /// `x[i] = x[i] + y[i]`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add(&self, x: &mut [f32], y: &[f32]) {
        assert_eq!(x.len(), y.len(), "add: lengths of x and y");
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.add.run)(x, y) }
    }

    /// `x[i] = cap · tanh(x[i] / cap)`, by the [contract](self): numbers well below the cap hardly change, and none exceeds
    /// it.
    pub fn soft_cap(&self, x: &mut [f32], cap: f32) {
        // SAFETY: the `Isa` proves the features.
        unsafe { (self.soft_cap.run)(x, cap) }
    }

    /// Replaces `x[i]` by `exp(x[i] - m)`, `m` the maximum, and returns `m` and the sum of the
    /// exponentials. The maximum of nothing is -∞.
    pub fn exp_sum(&self, x: &mut [f32]) -> (f32, f32) {
        // SAFETY: the `Isa` proves the features.
        unsafe { (self.exp_sum.run)(x) }
    }

    /// Replaces `x` by its softmax, by the [contract](self).
    pub fn softmax(&self, x: &mut [f32]) {
        let (_, sum) = self.exp_sum(x);
        let inverse = 1.0 / sum;
        x.iter_mut().for_each(|x| *x *= inverse);
    }
}

/// Square root, correctly rounded: IEEE 754 leaves no choice.
fn sqrt(x: f32) -> f32 {
    #[cfg(feature = "std")]
    return x.sqrt();
    #[cfg(not(feature = "std"))]
    return libm::sqrtf(x);
}
