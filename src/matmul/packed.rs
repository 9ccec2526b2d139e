//! Products of weights that were packed beforehand: plan, pack, run.

use core::fmt;
use core::ops::Range;

use super::{Activations, Epilogue, MIN_COLUMNS, Outputs, Scratch, Weights, run_with};
use crate::formats::{ActBlock, Format};
use crate::isa::{Caches, DefaultEnvironment};
use crate::kernels::Kernels;
use crate::kernels::gemm::{self, ROWS, Workspace};
use crate::kernels::sgemm::Line;

/// How a matrix is packed and multiplied by at most so many columns, on any threads: sizes first, then memory of the caller's.
///
/// [`pack`](Self::pack) and [`run`](Self::run) take any range of rows that begins at a multiple of [`gemm::ROWS`] (and ends at one, or
/// with the matrix), are functions of their arguments alone, and neither allocate nor wait: any thread may call them for any
/// ranges at any time. The bits are those of [`matmul::run`](super::run), whatever the level, the ranges and the number of columns.
///
/// Where the level has [packed kernels](crate::kernels::gemm::packed) for the format, a weight takes a byte and more
/// ([`packed_lines`](Self::packed_lines) tells); elsewhere the packed form is a copy of the rows, which each run unpacks as
/// [`matmul::run`](super::run) does. Packed memory is for the level of its plan: it is neither stored nor sent.
///
/// It is worth its memory where panels come from a cache, or are multiplied by eight columns or more: docs/matmul.md has figures.
///
/// ```
/// use std::thread;
/// use quintile::{formats::{ActBlock, Format}, isa::Isa, kernels::{Kernels, gemm, sgemm::Line}};
/// use quintile::matmul::{Activations, Epilogue, Outputs, Plan, quantize_columns};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (format, rows, k, columns) = (Format::Q8_0, 100, 64, 5);
/// let bytes = vec![0; rows * format.row_bytes(k).expect("whole blocks")];
/// let x = vec![1.0; columns * k];
///
/// let kernels = Kernels::new(Isa::detect());
/// let plan = Plan::new(&kernels, format, rows, k, columns)?;
/// let mut packed = vec![Line::ZERO; plan.packed_lines()];
/// // Two threads pack rows 0 to 63 and 64 to 99.
/// let cut = 2 * gemm::ROWS;
/// let (first, last) = packed.split_at_mut(plan.lines(0..cut).len());
/// let (top, bottom) = bytes.split_at(cut * format.row_bytes(k).expect("whole blocks"));
/// thread::scope(|scope| {
///     scope.spawn(|| plan.pack(0..cut, top, first));
///     scope.spawn(|| plan.pack(cut..rows, bottom, last));
/// });
///
/// // For each batch: activations once, rows on any threads, each with scratch of its own.
/// let mut blocks = vec![ActBlock::ZERO; columns * ActBlock::count(k)];
/// let scale = format.activation().expect("a quantised format");
/// quantize_columns(&kernels, scale, &x, k, k, &mut blocks);
/// let x = Activations::Blocks(&blocks);
/// let mut out = vec![0.0; columns * rows];
/// let (first, last) = Outputs::new(&mut out, columns, rows).split_at(cut);
/// thread::scope(|scope| {
///     for mut part in [first, last] {
///         let (plan, packed) = (&plan, &packed);
///         scope.spawn(move || {
///             let mut scratch = vec![Line::ZERO; plan.scratch_lines()];
///             plan.run(packed, x, &mut part, Epilogue::NONE, &mut scratch);
///         });
///     }
/// });
/// assert_eq!(out, [0.0; 500]);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    kernels: Kernels,
    format: Format,
    rows: usize,
    k: usize,
    columns: usize,
    row_bytes: usize,
    /// Lines of [`ROWS`] rows.
    run: usize,
    /// Rows that are multiplied together where there are panels; `None` where rows are copied.
    block: Option<usize>,
}

/// There is no such plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// A row is no whole number of blocks.
    Blocks {
        /// The format.
        format: Format,
        /// Length of a row.
        k: usize,
    },
    /// The sizes are more than memory can have.
    TooLarge {
        /// Rows asked for.
        rows: usize,
        /// Length of a row.
        k: usize,
        /// Columns at most.
        columns: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::Blocks { format, k } => {
                write!(f, "rows of {k} are no whole number of {format} blocks")
            }
            PlanError::TooLarge { rows, k, columns } => {
                write!(f, "{rows} rows of {k} and {columns} columns are more than memory can hold")
            }
        }
    }
}

impl core::error::Error for PlanError {}

/// Rows that are multiplied together, of panels of so many bytes for a row's super-block. They are read again for each few columns, so
/// they stay in half of the second-level cache, beside the columns and the tile that pass: of 360 bytes, 352 rows in 256 KiB, 704
/// in 512. Each super-block of the columns is broadcast once for all of these rows, which takes 5% of the time with 256 rows and
/// half with [`gemm::MC`] = 512; more than that would save less than it takes of scratch, an element for each row and column.
fn block(bytes: usize, l2: usize) -> usize {
    let fit = l2 / 2 / bytes.max(1);
    (fit - fit % ROWS).clamp(gemm::MC / 2, gemm::MC)
}

/// Lines of so many numbers.
fn floats(n: usize) -> usize {
    n.div_ceil(16)
}

/// Rows that are copied fill whole lines.
const _: () = {
    let mut i = 0;
    while i < Format::ALL.len() {
        assert!((ROWS * Format::ALL[i].block_bytes()).is_multiple_of(size_of::<Line>()));
        i += 1;
    }
};

impl Plan {
    /// For a matrix `[rows, k]` and at most so many columns, on the level of `kernels`.
    ///
    /// # Errors
    /// If a row is no whole number of blocks, or sizes overflow.
    pub fn new(
        kernels: &Kernels,
        format: Format,
        rows: usize,
        k: usize,
        columns: usize,
    ) -> Result<Plan, PlanError> {
        Self::for_cache(Caches::get().l2, kernels, format, rows, k, columns)
    }

    /// As [`new`](Self::new), where the second-level cache is known to have so many bytes, or is taken to.
    pub(crate) fn for_cache(
        l2: usize,
        kernels: &Kernels,
        format: Format,
        rows: usize,
        k: usize,
        columns: usize,
    ) -> Result<Plan, PlanError> {
        /// Bytes of a value: four of scratch, or less than three of panels.
        const BYTES: usize = 4;
        let too_large = PlanError::TooLarge { rows, k, columns };
        if !k.is_multiple_of(format.block_len()) {
            return Err(PlanError::Blocks { format, k });
        }
        let row_bytes = format.row_bytes(k).ok_or(too_large)?;
        // Of no rows and no columns there is still a row's length to be counted with.
        let fits = |a: usize, b: usize| {
            let values =
                a.max(1).checked_next_multiple_of(gemm::MC)?.checked_mul(b.checked_add(256)?)?;
            values.checked_mul(BYTES).filter(|&bytes| bytes < isize::MAX as usize / 2)
        };
        let product = fits(rows, k).and(fits(columns, k)).and(fits(columns, gemm::MC));
        product.ok_or(too_large)?;
        // Of no blocks there is nothing to pack.
        let packed = kernels.packed_lines(format, k).filter(|_| k > 0);
        let run = packed.unwrap_or(ROWS * row_bytes / size_of::<Line>());
        let block =
            packed.map(|run| block(run * size_of::<Line>() / ROWS / ActBlock::count(k), l2));
        Ok(Plan { kernels: *kernels, format, rows, k, columns, row_bytes, run, block })
    }

    /// Whether rows are unpacked beforehand, and not by each run.
    pub fn is_unpacked(&self) -> bool {
        self.block.is_some()
    }

    /// Lines of all packed rows.
    pub fn packed_lines(&self) -> usize {
        self.rows.div_ceil(ROWS) * self.run
    }

    /// Where some rows lie among the packed ones.
    ///
    /// # Panics
    /// If they do not begin at a multiple of [`ROWS`], end neither at one nor with the matrix, or leave it.
    pub fn lines(&self, rows: Range<usize>) -> Range<usize> {
        let Range { start, end } = rows;
        assert!(start <= end && end <= self.rows, "matmul: rows {start}..{end} of {}", self.rows);
        assert!(
            start.is_multiple_of(ROWS) && (end.is_multiple_of(ROWS) || end == self.rows),
            "matmul: rows {start}..{end} are no multiple of {ROWS}"
        );
        start / ROWS * self.run..end.div_ceil(ROWS) * self.run
    }

    /// Lines of scratch that a run takes, each thread's its own, for any number of runs; what they hold does not matter.
    pub fn scratch_lines(&self) -> usize {
        match self.block {
            Some(block) => Workspace::LINES + floats(self.columns * block),
            None => self.unpacked_scratch_lines(),
        }
    }

    /// As [`scratch_lines`](Self::scratch_lines), of [`run_unpacked`](Self::run_unpacked).
    pub fn unpacked_scratch_lines(&self) -> usize {
        let Plan { columns, k, .. } = *self;
        match self.format.activation() {
            None => floats(Scratch::tile_len(columns)) + Scratch::lines_len(columns, k),
            Some(_) if columns >= MIN_COLUMNS && self.kernels.has_gemm(self.format) => {
                Workspace::LINES + floats(Scratch::tile_len(columns))
            }
            Some(_) => 0,
        }
    }

    /// Packs some rows, of which `bytes` are those in a file, to their [`lines`](Self::lines).
    ///
    /// # Panics
    /// As [`lines`](Self::lines), or if there are other bytes or lines than of these rows.
    pub fn pack(&self, rows: Range<usize>, bytes: &[u8], packed: &mut [Line]) {
        let _environment = DefaultEnvironment::enter();
        let lines = self.lines(rows.clone()).len();
        assert_eq!(bytes.len(), rows.len() * self.row_bytes, "matmul: bytes of rows {rows:?}");
        assert_eq!(packed.len(), lines, "matmul: lines of rows {rows:?}");
        match self.block {
            Some(_) => self.kernels.pack(self.format, bytes, self.k, packed),
            None => Line::bytes_mut(packed)[..bytes.len()].copy_from_slice(bytes),
        }
    }

    /// Computes the rows of `out` of the product, for every column, of which there may be fewer than planned: one too. `packed` is
    /// the whole matrix.
    ///
    /// # Panics
    /// As [`lines`](Self::lines) of the rows of `out`; as [`matmul::run`](super::run) of activations; or if other lines
    /// than all are given, more columns than planned, too little scratch, or a bias that has not an element for each row.
    pub fn run(
        &self,
        packed: &[Line],
        x: Activations<'_>,
        out: &mut Outputs<'_>,
        epilogue: Epilogue<'_>,
        scratch: &mut [Line],
    ) {
        let _environment = DefaultEnvironment::enter();
        let (columns, needed) = (out.columns(), self.scratch_lines());
        assert_eq!(packed.len(), self.packed_lines(), "matmul: lines of {} rows", self.rows);
        assert!(columns <= self.columns, "matmul: {columns} columns, planned {}", self.columns);
        assert!(scratch.len() >= needed, "matmul: {} of {needed} lines of scratch", scratch.len());
        let _ = self.lines(out.rows());
        epilogue.assert_fits(self.rows);
        match (self.block, x) {
            (Some(block), Activations::Blocks(x)) => {
                super::check_columns(x.len(), ActBlock::count(self.k), out);
                self.run_panels(block, packed, x, out, epilogue, scratch);
            }
            (Some(_), _) => panic!("matmul: activations of the wrong kind for {}", self.format),
            (None, x) => {
                let bytes = &Line::bytes(packed)[..self.rows * self.row_bytes];
                self.run_rows(bytes, x, out, epilogue, scratch);
            }
        }
    }

    /// As [`run`](Self::run), of all rows as a file holds them, at any address: nothing is packed, and no memory taken. Any rows of
    /// `out` will do; the [`unpacked_scratch_lines`](Self::unpacked_scratch_lines) are those of the plan's columns.
    ///
    /// # Panics
    /// If there are other bytes than of the rows, more columns than planned, too little scratch, or a bias that has not
    /// an element for each row; as [`matmul::run`](super::run) of activations and rows.
    pub fn run_unpacked(
        &self,
        bytes: &[u8],
        x: Activations<'_>,
        out: &mut Outputs<'_>,
        epilogue: Epilogue<'_>,
        scratch: &mut [Line],
    ) {
        let (columns, needed) = (out.columns(), self.unpacked_scratch_lines());
        assert!(columns <= self.columns, "matmul: {columns} columns, planned {}", self.columns);
        assert!(scratch.len() >= needed, "matmul: {} of {needed} lines of scratch", scratch.len());
        self.run_rows(bytes, x, out, epilogue, scratch);
    }

    fn run_panels(
        &self,
        block: usize,
        packed: &[Line],
        x: &[ActBlock],
        out: &mut Outputs<'_>,
        epilogue: Epilogue<'_>,
        scratch: &mut [Line],
    ) {
        let (space, tile) = Workspace::split_from(scratch);
        let (tile, all) = (Line::floats_mut(tile), out.rows());
        for start in all.clone().step_by(block) {
            let rows = start..all.end.min(start + block);
            let stride = rows.len().next_multiple_of(gemm::MR);
            let tile = &mut tile[..out.columns() * stride];
            let lines = &packed[self.lines(rows.clone())];
            self.kernels.gemm_packed(self.format, lines, self.k, x, space, tile);
            epilogue.spread(tile, stride, rows, out);
        }
    }

    /// Multiplies rows as they are.
    fn run_rows(
        &self,
        bytes: &[u8],
        x: Activations<'_>,
        out: &mut Outputs<'_>,
        epilogue: Epilogue<'_>,
        scratch: &mut [Line],
    ) {
        let w = Weights::new(self.format, self.rows, self.k, bytes)
            .unwrap_or_else(|error| panic!("matmul: {error}"));
        let columns = out.columns();
        let mut scratch =
            (self.unpacked_scratch_lines() > 0 && columns >= MIN_COLUMNS).then(|| {
                let (space, rest) = match self.format.activation() {
                    None => (None, scratch),
                    Some(_) => {
                        let (space, rest) = Workspace::split_from(scratch);
                        (Some(space), rest)
                    }
                };
                let (tile, lines) = rest.split_at_mut(Scratch::tile_len(columns).div_ceil(16));
                Scratch { space, tile: Line::floats_mut(tile), lines }
            });
        run_with(&self.kernels, &w, x, out, scratch.as_mut(), epilogue);
    }
}
