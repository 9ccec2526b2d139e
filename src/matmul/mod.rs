//! Matrix products over the kernels: `[rows, k] x [cols, k]ᵀ -> [cols, rows]`, all row-major.
//!
//! The weights stay as they are in the file; the activations are quantised once ([`Activations`]). A call
//! computes a range of rows for all columns, on the calling thread: bring your own threads, give each
//! its own [`Outputs`]. Each output element depends on its row and its column alone, so neither the ranges
//! nor the number of columns change a bit of it.
//!
//! Entries compute in the [default floating-point environment](crate::isa::DefaultEnvironment), and give the host's back.
//!
//! Weights that are multiplied again and again, by some columns each time, can be unpacked beforehand: a [`Plan`] says how
//! much memory that takes, packs rows and multiplies them, with the same bits as [`run`].

mod activations;
mod epilogue;
mod output;
mod packed;

use core::fmt;
use core::ops::Range;

use crate::formats::{ActBlock, Format};
use crate::isa::DefaultEnvironment;
use crate::kernels::Kernels;
use crate::kernels::gemm::{self, Workspace};
use crate::kernels::sgemm::{self, Line, Start, View, ViewMut};
use activations::assert_inside;

pub mod f32;

pub use activations::{Activations, quantize_columns};
pub use epilogue::Epilogue;
pub use output::{OutputChunks, Outputs};
pub use packed::{Plan, PlanError};

/// A matrix of weights, `[rows, k]`, in place: any format, any alignment.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    format: Format,
    rows: usize,
    k: usize,
    row_bytes: usize,
    bytes: &'a [u8],
}

/// The bytes of a matrix do not fit its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// The format.
    pub format: Format,
    /// Rows asked for.
    pub rows: usize,
    /// Length of a row.
    pub k: usize,
    /// Bytes given.
    pub bytes: usize,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShapeError { format, rows, k, bytes } = self;
        match format.row_bytes(*k) {
            None => write!(f, "rows of {k} are no whole number of {format} blocks"),
            Some(row) => write!(f, "{bytes} bytes for {rows} {format} rows of {row} bytes each"),
        }
    }
}

impl core::error::Error for ShapeError {}

impl<'a> Weights<'a> {
    /// Views `bytes` as `rows` rows of `k` values.
    pub fn new(format: Format, rows: usize, k: usize, bytes: &'a [u8]) -> Result<Self, ShapeError> {
        let error = ShapeError { format, rows, k, bytes: bytes.len() };
        let row_bytes = format.row_bytes(k).ok_or(error)?;
        if row_bytes.checked_mul(rows) != Some(bytes.len()) {
            return Err(error);
        }
        Ok(Weights { format, rows, k, row_bytes, bytes })
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows: outputs of a column.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Length of a row, and of a column of activations.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Some of the rows, as a matrix.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn part(&self, rows: Range<usize>) -> Self {
        Weights { rows: rows.len(), bytes: self.row_range(rows), ..*self }
    }

    /// The bytes of some rows.
    pub fn row_range(&self, rows: Range<usize>) -> &'a [u8] {
        &self.bytes[rows.start * self.row_bytes..rows.end * self.row_bytes]
    }
}

/// What a thread needs to multiply many columns: its own, for any number of products.
#[derive(Debug)]
pub struct Scratch<'a> {
    /// None where the format needs none.
    space: Option<&'a mut Workspace>,
    tile: &'a mut [f32],
    lines: &'a mut [Line],
}

impl<'a> Scratch<'a> {
    /// Elements of `tile` for products of so many columns.
    pub const fn tile_len(columns: usize) -> usize {
        if columns < MIN_COLUMNS { 0 } else { columns * gemm::MC }
    }

    /// Lines for products of so many columns by rows of `k` that are not quantised: for [`sgemm`].
    pub const fn lines_len(columns: usize, k: usize) -> usize {
        if columns < MIN_COLUMNS { 0 } else { sgemm::space_len(columns, k, gemm::MC) }
    }

    /// Of a workspace, [`tile_len`](Self::tile_len) elements, and [`lines_len`](Self::lines_len) lines, which only formats
    /// that are not quantised need; what they hold does not matter.
    pub fn new(space: &'a mut Workspace, tile: &'a mut [f32], lines: &'a mut [Line]) -> Self {
        Scratch { space: Some(space), tile, lines }
    }
}

/// Fewer columns are multiplied row by row: to unpack a panel costs as much as some of them.
const MIN_COLUMNS: usize = 8;

/// Bytes of weights that are visited again for each group of columns: they stay in a second-level cache of
/// 512 KiB (Zen 2 to 4, the smallest of today's) beside the columns.
const ROW_BLOCK_BYTES: usize = 128 << 10;

/// Computes the rows of `out` of the product, for every column: `out[c][r] = Σ w[r]·x[c]`.
///
/// Many columns of a format that has a matrix kernel are multiplied by it, in the loops of [`gemm`] or [`sgemm`]; this
/// takes [`Scratch`], and ranges of at least some dozens of rows, a multiple of [`gemm::ROWS`], to be fast.
/// Without scratch, and for a few columns, as in decoding, rows are multiplied one by one: in blocks that fit the
/// second-level cache, by groups of four columns, which stay in the first-level cache.
///
/// # Panics
/// If the rows leave the matrix, the activations are not as many columns as the outputs or of
/// another kind than the format's, or the scratch is too small.
pub fn run(
    kernels: &Kernels,
    w: &Weights<'_>,
    x: Activations<'_>,
    out: &mut Outputs<'_>,
    scratch: Option<&mut Scratch<'_>>,
) {
    run_with(kernels, w, x, out, scratch, Epilogue::NONE);
}

/// As [`run`], with an [`Epilogue`]: added to what the output holds, or with a bias.
///
/// # Panics
/// As [`run`], or if the bias has not an element for each row of the matrix.
pub fn run_with(
    kernels: &Kernels,
    w: &Weights<'_>,
    x: Activations<'_>,
    out: &mut Outputs<'_>,
    scratch: Option<&mut Scratch<'_>>,
    epilogue: Epilogue<'_>,
) {
    let _environment = DefaultEnvironment::enter();
    assert!(out.rows().end <= w.rows, "matmul: rows {:?} of {}", out.rows(), w.rows);
    epilogue.assert_fits(w.rows);
    match (x, w.format.activation()) {
        (Activations::F32(x), None) => {
            check_columns(x.len(), w.k, out);
            run_f32(kernels, w, (x, w.k), out, scratch, epilogue);
        }
        (Activations::Strided(x, stride), None) => {
            assert!(stride >= w.k, "matmul: columns of {}, {stride} apart", w.k);
            assert_inside(x.len(), out.columns(), w.k, stride);
            run_f32(kernels, w, (x, stride), out, scratch, epilogue);
        }
        (Activations::Blocks(x), Some(_)) => run_blocks(kernels, w, x, out, scratch, epilogue),
        _ => panic!("matmul: activations of the wrong kind for {}", w.format),
    }
}

/// `x` is columns and what lies between the beginnings of two.
fn run_f32(
    kernels: &Kernels,
    w: &Weights<'_>,
    (x, stride): (&[f32], usize),
    out: &mut Outputs<'_>,
    scratch: Option<&mut Scratch<'_>>,
    epilogue: Epilogue<'_>,
) {
    /// Rows of one call: the columns take turns with them.
    const ROWS: usize = 64;
    if let Some(scratch) = scratch.filter(|_| out.columns() >= MIN_COLUMNS) {
        return run_matrices(kernels, w, (x, stride), out, scratch, epilogue);
    }
    let all = out.rows();
    for start in all.clone().step_by(ROWS) {
        let rows = start..all.end.min(start + ROWS);
        for c in 0..out.columns() {
            let x = &x[c * stride..][..w.k];
            let out = &mut out.column(c)[rows.start - all.start..rows.end - all.start];
            let bytes = w.row_range(rows.clone());
            match epilogue.start {
                Start::Zero => kernels.chain(w.format, bytes, x, out),
                Start::Output => kernels.chain_onto(w.format, bytes, x, out),
            }
            epilogue.add_bias(rows.start, out);
        }
    }
}

/// Computes rows for many columns: activations times rows, transposed.
fn run_matrices(
    kernels: &Kernels,
    w: &Weights<'_>,
    (x, stride): (&[f32], usize),
    out: &mut Outputs<'_>,
    scratch: &mut Scratch<'_>,
    Epilogue { start: begin, bias }: Epilogue<'_>,
) {
    let (k, cols, all) = (w.k, out.columns(), out.rows());
    for start in all.clone().step_by(gemm::MC) {
        let rows = start..all.end.min(start + gemm::MC);
        let tile = &mut scratch.tile[..cols * rows.len()];
        let bytes = w.row_range(rows.clone());
        let weights = View::weights(w.format, bytes, [rows.len(), k], [k, 1]).transposed();
        if begin == Start::Output {
            for (c, tile) in tile.chunks_exact_mut(rows.len()).enumerate() {
                tile.copy_from_slice(&out.column(c)[rows.start - all.start..][..rows.len()]);
            }
        }
        let product = ViewMut::row_major(tile, cols, rows.len());
        let x = View::strided(x, [cols, k], [stride, 1]);
        let bias = bias.map(|bias| &bias[rows.clone()]);
        kernels.sgemm(x, weights, product, begin, bias, scratch.lines);
        Epilogue::NONE.spread(tile, rows.len(), rows, out);
    }
}

fn run_blocks(
    kernels: &Kernels,
    w: &Weights<'_>,
    x: &[ActBlock],
    out: &mut Outputs<'_>,
    scratch: Option<&mut Scratch<'_>>,
    epilogue: Epilogue<'_>,
) {
    let blocks = ActBlock::count(w.k);
    check_columns(x.len(), blocks, out);
    let (all, cols) = (out.rows(), out.columns());
    let rows = match scratch {
        // Of no values there is no panel.
        Some(scratch) if cols >= MIN_COLUMNS && w.k > 0 && kernels.has_gemm(w.format) => {
            run_panels(kernels, w, x, out, scratch, epilogue)
        }
        _ => out.rows(),
    };
    let column = |c: usize| &x[c * blocks..(c + 1) * blocks];
    // One column visits no row twice: the kernel gets them all, as one stream or two.
    let block_bytes = if cols == 1 { usize::MAX } else { ROW_BLOCK_BYTES };
    let block_rows = (block_bytes / w.row_bytes.max(1)).clamp(1, rows.len().max(1));
    for start in rows.clone().step_by(block_rows) {
        let rows = start..rows.end.min(start + block_rows);
        let mut c = 0;
        while c < cols {
            let wide = (cols - c).min(4);
            if wide <= 2 {
                for c in c..c + wide {
                    let out = &mut out.column(c)[rows.start - all.start..];
                    run_rows(kernels, w, rows.clone(), column(c), out, epilogue);
                }
            } else {
                // Of three columns, the last is computed twice.
                let x = core::array::from_fn(|i| column(c + i.min(wide - 1)));
                let mut write = |r: usize, y: [f32; 4]| {
                    let r = rows.start + r;
                    for (i, y) in y.into_iter().take(wide).enumerate() {
                        epilogue.write(r, &[y], &mut out.column(c + i)[r - all.start..][..1]);
                    }
                };
                if w.row_bytes == 0 {
                    (0..rows.len()).for_each(|r| write(r, [0.0; 4]));
                } else {
                    kernels.qdot4_rows(w.format, w.row_range(rows.clone()), w.row_bytes, x, write);
                }
            }
            c += wide;
        }
    }
}

/// Rows times a column: the first elements of `out`.
fn run_rows(
    kernels: &Kernels,
    w: &Weights<'_>,
    rows: Range<usize>,
    x: &[ActBlock],
    out: &mut [f32],
    epilogue: Epilogue<'_>,
) {
    if epilogue.start == Start::Zero {
        let out = &mut out[..rows.len()];
        kernels.gemv(w.format, w.row_range(rows.clone()), x, out);
        return epilogue.add_bias(rows.start, out);
    }
    let mut dots = [0.0; 64];
    for (out, start) in out[..rows.len()].chunks_mut(dots.len()).zip(rows.step_by(dots.len())) {
        let dots = &mut dots[..out.len()];
        kernels.gemv(w.format, w.row_range(start..start + out.len()), x, dots);
        epilogue.write(start, dots, out);
    }
}

/// Computes the rows that fill panels, and returns those that are left.
fn run_panels(
    kernels: &Kernels,
    w: &Weights<'_>,
    x: &[ActBlock],
    out: &mut Outputs<'_>,
    scratch: &mut Scratch<'_>,
    epilogue: Epilogue<'_>,
) -> Range<usize> {
    let blocks = ActBlock::count(w.k);
    let all = out.rows();
    let end = all.end - all.len() % gemm::MR;
    let space = scratch.space.as_mut().expect("matmul: scratch without a workspace");
    if let (true, Some(tile)) = (end == all.end && epilogue.is_none(), out.as_dense()) {
        kernels.gemm(w.format, w.row_range(all), x, blocks, space, tile);
        return end..end;
    }
    for start in (all.start..end).step_by(gemm::MC) {
        let rows = start..end.min(start + gemm::MC);
        let tile = &mut scratch.tile[..out.columns() * rows.len()];
        kernels.gemm(w.format, w.row_range(rows.clone()), x, blocks, space, tile);
        epilogue.spread(tile, rows.len(), rows, out);
    }
    end..all.end
}

/// Activations and outputs must agree on the number of columns, of so many values or blocks each.
fn check_columns(x: usize, column: usize, out: &Outputs<'_>) {
    let columns = out.columns();
    assert_eq!(
        Some(x),
        columns.checked_mul(column),
        "matmul: activations for {columns} columns of {column}"
    );
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn product(
        format: Format,
        w: &[u8],
        rows: usize,
        k: usize,
        x: &[f32],
        splits: &[usize],
    ) -> Vec<f32> {
        let kernels = Kernels::new(Isa::detect());
        let w = Weights::new(format, rows, k, w).unwrap();
        let cols = x.len() / k;
        let mut act = vec![ActBlock::ZERO; cols * ActBlock::count(k)];
        if let Some(scale) = format.activation() {
            for (x, act) in x.chunks(k).zip(act.chunks_mut(ActBlock::count(k))) {
                kernels.quantize(scale, x, act);
            }
        }
        let x = Activations::for_format(format, x, &act, &act);
        let mut out = vec![f32::NAN; cols * rows];
        let mut space = Box::new(Workspace::ZERO);
        let mut tile = vec![f32::NAN; Scratch::tile_len(cols)];
        let mut lines = vec![Line::ZERO; Scratch::lines_len(cols, k)];
        let mut rest = Outputs::new(&mut out, cols, rows);
        for &end in splits.iter().chain([&rows]) {
            let (mut part, after) = rest.split_at(end);
            let mut scratch = Scratch::new(&mut space, &mut tile, &mut lines);
            run(&kernels, &w, x, &mut part, Some(&mut scratch));
            rest = after;
        }
        out
    }

    #[test]
    fn a_product_has_the_same_bits_for_any_split_of_rows_and_any_number_of_columns() {
        let (rows, k) = (61, 512);
        for format in Format::ALL {
            let bytes = rows * format.row_bytes(k).unwrap();
            // Small exponents keep every kind of scale finite.
            let w: Vec<u8> = (0..bytes).map(|i| (i * 7919 % 251) as u8 & 0x3f).collect();
            let x: Vec<f32> = (0..9 * k).map(|i| (i * 31 % 97) as f32 / 48.0 - 1.0).collect();
            let together = product(format, &w, rows, k, &x, &[]);
            assert_eq!(together, product(format, &w, rows, k, &x, &[1, 8, 20, 29]), "{format}");
            for c in 0..9 {
                let alone = product(format, &w, rows, k, &x[c * k..(c + 1) * k], &[]);
                assert_eq!(together[c * rows..(c + 1) * rows], alone, "{format}, column {c}");
            }
        }
    }

    #[test]
    fn a_wrong_length_is_refused_with_its_numbers() {
        let error = Weights::new(Format::Q8_0, 2, 64, &[0; 100]).err().unwrap();
        assert_eq!(error.to_string(), "100 bytes for 2 Q8_0 rows of 68 bytes each");
        let error = Weights::new(Format::Q5K, 1, 128, &[0; 88]).err().unwrap();
        assert_eq!(error.to_string(), "rows of 128 are no whole number of Q5_K blocks");
    }
}
