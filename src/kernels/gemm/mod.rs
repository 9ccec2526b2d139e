//! Several quantised rows times several columns of byte activations: what prefill spends its time in.
//!
//! # Contract
//! Element `(row, column)` has the bits of [`Kernels::qdot`](super::Kernels::qdot) of that row and that column.
//!
//! A row dot unpacks its weights for each few columns, and adds up the lanes of a register for each of its sums. Here
//! a panel of eight rows is unpacked once for up to [`COLUMNS`] columns, and interleaved: a register holds
//! four neighbours of each row, activations are broadcast by their load, and a lane of the sums belongs to one
//! row, so that nothing is ever added across lanes.

use super::sibling::{Choice, Sibling};
use crate::formats::{ActBlock, Format};

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;

/// Rows of a panel.
pub const PANEL: usize = 8;
/// Rows of a tile: its panels are unpacked together, so that a column, once loaded, meets all of them.
pub const ROWS: usize = 32;
/// Columns of a tile, at most: unpacking a panel costs as much as three columns, so 2% of 128.
pub const COLUMNS: usize = 128;

/// The results of a tile: 16 KiB, in the first-level cache.
pub type Tile = [[f32; ROWS]; COLUMNS];

/// Computes a tile: some [`PANEL`]s of rows, at most [`ROWS`], for at most [`COLUMNS`] columns.
///
/// # Safety
/// `w` holds `rows` rows, a multiple of [`PANEL`]; `x` a whole number of columns of `blocks` blocks, which
/// is the length of a row; and the CPU has the features that the sibling enables.
pub(super) type Gemm =
    unsafe fn(w: &[u8], rows: usize, x: &[ActBlock], blocks: usize, out: &mut Tile);

/// The siblings of one level, by weight format: `None` where row dots serve.
#[derive(Clone, Copy)]
pub(super) struct Gemms {
    pub q2_k: Option<Sibling<Gemm>>,
    pub q3_k: Option<Sibling<Gemm>>,
    pub q4_k: Option<Sibling<Gemm>>,
    pub q5_k: Option<Sibling<Gemm>>,
    pub q6_k: Option<Sibling<Gemm>>,
}

impl Gemms {
    /// No format has one.
    pub const NONE: Gemms = Gemms { q2_k: None, q3_k: None, q4_k: None, q5_k: None, q6_k: None };

    pub fn choices(self) -> impl Iterator<Item = Choice> {
        let quantised = Format::ALL.into_iter().filter(|format| format.activation().is_some());
        quantised.map(move |format| Choice {
            operation: "tile",
            format: Some(format),
            level: self.get(format).map(|gemm| gemm.level),
        })
    }

    fn get(&self, format: Format) -> Option<Sibling<Gemm>> {
        match format {
            Format::Q2K => self.q2_k,
            Format::Q3K => self.q3_k,
            Format::Q4K => self.q4_k,
            Format::Q5K => self.q5_k,
            Format::Q6K => self.q6_k,
            _ => None,
        }
    }
}

impl super::Kernels {
    /// Whether [`tile`](Self::tile) serves rows of `format`.
    #[inline]
    pub fn has_tiles(&self, format: Format) -> bool {
        self.gemms.get(format).is_some()
    }

    /// `out[c][r]` becomes the dot of row `r` and column `c`, by the [contract](self); elements beyond the
    /// rows and columns that are given hold anything.
    ///
    /// # Panics
    /// If `rows` is no multiple of [`PANEL`] or more than [`ROWS`], columns are more than [`COLUMNS`], the lengths
    /// disagree, or the level [has no tiles](Self::has_tiles) of this format.
    pub fn tile(
        &self,
        format: Format,
        w: &[u8],
        rows: usize,
        x: &[ActBlock],
        blocks: usize,
        out: &mut Tile,
    ) {
        let gemm = self.gemms.get(format).expect("tile: the level has none of this format");
        assert!(rows.is_multiple_of(PANEL) && rows <= ROWS, "tile: {rows} rows");
        let row_bytes = blocks * 256 / format.block_len() * format.block_bytes();
        assert_eq!(w.len(), rows * row_bytes, "tile: bytes of {rows} rows");
        assert!(x.len().is_multiple_of(blocks.max(1)), "tile: activation blocks");
        assert!(x.len() <= COLUMNS * blocks, "tile: columns");
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (gemm.run)(w, rows, x, blocks, out) }
    }
}
