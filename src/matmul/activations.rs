//! Columns of a product: `[cols, k]`, as the format of the weights wants them.

use core::ops::Range;

use crate::formats::{ActBlock, ActScale, Format};
use crate::isa::DefaultEnvironment;
use crate::kernels::Kernels;

/// The columns of a product, as the format of the weights wants them: `[cols, k]`, row-major.
#[derive(Clone, Copy)]
pub enum Activations<'a> {
    /// For F32, F16 and BF16 weights: `cols * k` values.
    F32(&'a [f32]),
    /// As [`F32`](Self::F32), each column so many values behind the one before: at least `k`; what lies between is not read.
    Strided(&'a [f32], usize),
    /// For weights with blocks of 32 or 256: `cols * ActBlock::count(k)` blocks, by
    /// [`Kernels::quantize`] with the scale that [`Format::activation`] names, or by [`quantize_columns`].
    Blocks(&'a [ActBlock]),
}

impl<'a> Activations<'a> {
    /// Chooses between the two forms of the same columns.
    pub fn for_format(
        format: Format,
        f32: &'a [f32],
        per_32: &'a [ActBlock],
        per_256: &'a [ActBlock],
    ) -> Self {
        match format.activation() {
            None => Activations::F32(f32),
            Some(ActScale::Per32) => Activations::Blocks(per_32),
            Some(ActScale::Per256) => Activations::Blocks(per_256),
        }
    }

    /// Some of the columns, of `k` values each.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn columns(self, columns: Range<usize>, k: usize) -> Self {
        let Range { start, end } = columns;
        match self {
            Activations::F32(x) => Activations::F32(&x[start * k..end * k]),
            Activations::Strided(x, stride) => {
                assert_inside(x.len(), end, k, stride);
                Activations::Strided(&x[start * stride..], stride)
            }
            Activations::Blocks(x) => {
                let blocks = ActBlock::count(k);
                Activations::Blocks(&x[start * blocks..end * blocks])
            }
        }
    }
}

/// Quantises columns of `k` values, each `stride` values behind the one before, as [`Activations::Blocks`] wants them: as many as
/// fit `out`.
///
/// # Panics
/// If `out` is no whole number of columns, or one of them lies outside `x`.
pub fn quantize_columns(
    kernels: &Kernels,
    scale: ActScale,
    x: &[f32],
    k: usize,
    stride: usize,
    out: &mut [ActBlock],
) {
    let _environment = DefaultEnvironment::enter();
    let blocks = ActBlock::count(k);
    let columns = out.len().checked_div(blocks).unwrap_or(0);
    assert_eq!(out.len(), columns * blocks, "matmul: columns of {blocks} blocks");
    assert_inside(x.len(), columns, k, stride);
    for (c, out) in out.chunks_exact_mut(blocks.max(1)).enumerate() {
        kernels.quantize(scale, &x[c * stride..][..k], out);
    }
}

/// Columns must lie in as many values.
pub(super) fn assert_inside(len: usize, columns: usize, k: usize, stride: usize) {
    let reach =
        columns.checked_sub(1).map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(k));
    assert!(
        reach.is_some_and(|reach| reach <= len),
        "matmul: {columns} columns of {k}, {stride} apart, in {len} values"
    );
}
