//! Rows that are unpacked beforehand, once for all products that they take part in.
//!
//! # Contract
//! That of [`gemm`](super): the same micro-kernels in the same loops, which read panels where others left them.
//!
//! # Layout
//! Each [`ROWS`] rows take a run of lines of their own, one run behind the other. So a range of rows that begins at a multiple
//! is a slice of lines, and threads pack and multiply ranges without knowing of each other. Within a run, panels lie in the
//! order in which the level's loops read them. The last run is whole: the last row stands for those that are not there.
//!
//! A panel has a byte for each weight, and more for the scales: see docs/matmul.md for sizes, and for the number of columns
//! from which on that is worth its memory.

use super::{ByFormat, Layout, MR, ROWS, Workspace};
use crate::formats::{ActBlock, Format};
use crate::kernels::Kernels;
use crate::kernels::sgemm::Line;

/// Where a product's rows come from. The loops are the same for both.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) enum Rows<'a, B, P> {
    /// Blocks as in a file, row by row: they become panels in the workspace.
    Blocks(&'a [B]),
    /// Parts of panels that are there.
    Panels(&'a [P]),
}

/// Writes rows of `per_row` blocks as panels.
///
/// # Safety
/// `w` holds one row or more of `per_row` blocks, one or more; `out` has [`Packing::lines`] of them for each [`ROWS`] rows, also
/// for the last that are fewer; and the CPU has the features that the sibling enables.
type Pack = unsafe fn(w: &[u8], per_row: usize, out: &mut [Line]);

/// As [`Gemm`](super::Gemm), of rows of `per_row` blocks that were packed.
///
/// # Safety
/// As there; `w` has the lines of all rows, the last run whole.
type GemmPacked = unsafe fn(
    w: &[Line],
    per_row: usize,
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
);

/// How a sibling of [`Gemm`](super::Gemm) packs rows.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(in crate::kernels) struct Packing {
    /// Lines of [`ROWS`] rows of so many blocks.
    pub lines: fn(per_row: usize) -> usize,
    pub pack: Pack,
    pub gemm: GemmPacked,
}

pub(in crate::kernels) type Packings = ByFormat<Packing>;

/// Lines as elements, as many as fit.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn elements<T: Layout>(lines: &[Line]) -> &[T] {
    const { assert!(align_of::<T>() <= align_of::<Line>()) };
    // SAFETY: size and alignment are enough, and any bytes are a value of `T`.
    unsafe {
        core::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines) / size_of::<T>())
    }
}

/// As [`elements`], to be written.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn elements_mut<T: Layout>(lines: &mut [Line]) -> &mut [T] {
    const { assert!(align_of::<T>() <= align_of::<Line>()) };
    let len = size_of_val(lines) / size_of::<T>();
    // SAFETY: as above, and any numbers are a line.
    unsafe { core::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), len) }
}

impl Kernels {
    /// Lines that each [`ROWS`] rows of `values` values take [packed](self), the last rows, if fewer, as many. `None` where the
    /// level packs no rows of this format, or no such row is whole blocks.
    pub fn packed_lines(&self, format: Format, values: usize) -> Option<usize> {
        let packing = self.gemm_packings.get(format)?.run;
        let is_whole = values.is_multiple_of(format.block_len());
        is_whole.then(|| (packing.lines)(values / format.block_len()))
    }

    /// [Packs](self) rows of `values` values, of which `w` holds any number: `out` has [`packed_lines`](Self::packed_lines)
    /// for each [`ROWS`] of them and for those that are left.
    ///
    /// # Panics
    /// If the lengths disagree, or the level packs no rows of this format.
    pub fn pack(&self, format: Format, w: &[u8], values: usize, out: &mut [Line]) {
        let (packing, per_row, run) = self.packing(format, values);
        let row_bytes = per_row * format.block_bytes();
        let rows = w.len().checked_div(row_bytes).unwrap_or(0);
        assert_eq!(w.len(), rows * row_bytes, "pack: bytes of {format} rows of {values}");
        assert_eq!(out.len(), rows.div_ceil(ROWS) * run, "pack: lines of {rows} rows");
        if rows > 0 {
            // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
            unsafe { (packing.pack)(w, per_row, out) }
        }
    }

    /// As [`gemm`](Self::gemm), of rows of `values` values that [`pack`](Self::pack) packed at the same level: the elements
    /// of the first rows, a multiple of [`MR`]. What was packed otherwise is multiplied to numbers of no meaning.
    ///
    /// # Panics
    /// As [`gemm`](Self::gemm), or if there are other lines than of the rows.
    pub fn gemm_packed(
        &self,
        format: Format,
        w: &[Line],
        values: usize,
        x: &[ActBlock],
        space: &mut Workspace,
        out: &mut [f32],
    ) {
        let (packing, per_row, run) = self.packing(format, values);
        let blocks = ActBlock::count(values);
        let columns = x.len().checked_div(blocks).unwrap_or(0);
        assert_eq!(x.len(), columns * blocks, "gemm: activations in columns of {blocks} blocks");
        let rows = out.len().checked_div(columns).unwrap_or(0);
        assert_eq!(out.len(), columns * rows, "gemm: outputs of {columns} columns");
        assert!(rows.is_multiple_of(MR), "gemm: {rows} rows, no multiple of {MR}");
        if out.is_empty() {
            return;
        }
        assert_eq!(w.len(), rows.div_ceil(ROWS) * run, "gemm: lines of {rows} rows");
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (packing.gemm)(w, per_row, x, blocks, space, out) }
    }

    /// The packing, blocks of a row, and lines of [`ROWS`] of them.
    fn packing(&self, format: Format, values: usize) -> (Packing, usize, usize) {
        let packing = self.gemm_packings.get(format).expect("pack: the level has none").run;
        let per_row = values / format.block_len();
        assert_eq!(per_row * format.block_len(), values, "pack: blocks of {format} in a row");
        (packing, per_row, (packing.lines)(per_row))
    }
}
