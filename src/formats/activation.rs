//! Activations as bytes: the right-hand side of every integer dot product.

use super::{BLOCK_32, SUPER_BLOCK};

/// 256 activations as bytes, with their scales and sums: five cache lines.
///
/// The value of element `i` is `d[i / 32] * qs[i]`. One type serves both families of weights: for
/// the K formats all eight scales are equal (one per super-block), for the formats of 32 each block
/// has its own. A row whose length is not a multiple of 256 ends in a block whose absent elements
/// have `qs`, `d` and `bsums` zero.
///
/// Invariant (the *domain* of the contract): `qs` lies in `-127..=127`; then no intermediate of any
/// kernel saturates or overflows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct ActBlock {
    /// The quants, in `-127..=127`.
    pub qs: [i8; SUPER_BLOCK],
    /// `bsums[j]` is the sum of `qs[16 * j .. 16 * j + 16]`: the minimum terms multiply it.
    pub bsums: [i16; SUPER_BLOCK / 16],
    /// The scale of each 32 values.
    pub d: [f32; SUPER_BLOCK / BLOCK_32],
}

const _: () = assert!(size_of::<ActBlock>() == 320);

impl ActBlock {
    /// All elements zero.
    pub const ZERO: ActBlock = ActBlock { qs: [0; 256], bsums: [0; 16], d: [0.0; 8] };

    /// Blocks that hold a row of `k` activations.
    pub const fn count(k: usize) -> usize {
        k.div_ceil(SUPER_BLOCK)
    }
}

/// How many activations share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActScale {
    /// One scale for each 32 values: for the formats with blocks of 32.
    Per32,
    /// One scale for each 256 values: for the K formats.
    Per256,
}
