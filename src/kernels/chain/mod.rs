//! Rows of f32, f16 or bf16 weights times a vector of f32.
//!
//! # Contract
//! `out[r]` is one chain of fused multiply-adds over ascending `k`: `acc` begins as `+0`, or as what `out[r]` holds; then
//! `acc = fma(w[r][k], x[k], acc)` for `k = 0, 1, ..`, rounded once each; f16 and bf16 weights are
//! widened exactly. Lanes are rows, so a tile of any shape computes the same chain: a column of a
//! matrix-matrix product has the bits of the matrix-vector product.

pub(super) mod generic;
pub(super) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use super::Kernels;
use super::sibling::{Choice, Sibling};
use crate::formats::Format;

/// Rows of one format times a vector: chains that begin with what `out` holds.
///
/// # Safety
/// `rows` holds `out.len()` rows of `x.len()` values, and the CPU has the features that the sibling
/// enables.
pub(super) type Chain = unsafe fn(rows: &[u8], x: &[f32], out: &mut [f32]);

/// The siblings of one level, by weight format.
#[derive(Clone, Copy)]
pub(super) struct Chains {
    pub f32: Sibling<Chain>,
    pub f16: Sibling<Chain>,
    pub bf16: Sibling<Chain>,
}

impl Chains {
    pub fn choices(self) -> impl Iterator<Item = Choice> {
        [(Format::F32, self.f32), (Format::F16, self.f16), (Format::Bf16, self.bf16)]
            .into_iter()
            .map(|(format, chain)| Choice::new("chain", Some(format), chain.level))
    }
}

impl Kernels {
    /// `out[r] = Σ w[r][k]·x[k]` for consecutive rows of an unquantised format, by the
    /// [contract](self). `rows` holds `out.len()` rows, at any alignment.
    ///
    /// # Panics
    /// If `format` is quantised, or `rows` has another length than `out.len()` rows of `x.len()`.
    pub fn chain(&self, format: Format, rows: &[u8], x: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        self.chain_onto(format, rows, x, out);
    }

    /// As [`chain`](Self::chain), chains beginning with what `out` holds.
    ///
    /// # Panics
    /// As there.
    pub fn chain_onto(&self, format: Format, rows: &[u8], x: &[f32], out: &mut [f32]) {
        let bytes = format.row_bytes(x.len()).and_then(|b| b.checked_mul(out.len()));
        assert_eq!(Some(rows.len()), bytes, "chain: bytes of {} rows of {}", out.len(), x.len());
        let chain = match format {
            Format::F32 => self.chains.f32,
            Format::F16 => self.chains.f16,
            Format::Bf16 => self.chains.bf16,
            _ => panic!("chain: {format} is a quantised format"),
        };
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (chain.run)(rows, x, out) }
    }
}
