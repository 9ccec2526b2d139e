//! Products of matrices of f32, f16 or bf16 values: `C = A B`, `C += A B`, either with a bias.
//!
//! # Contract
//! `C[i][j]` is one chain of fused multiply-adds over ascending `p`: `acc` begins as `+0`, or as what `C[i][j]` holds
//! ([`Start`]); `acc = fma(a[i][p], b[p][j], acc)` for `p = 0, 1, ..`, rounded once each; f16 and bf16 values are widened
//! exactly; at last, where there is a bias, `acc + bias[j]`. So a column of weights times activations has the bits of
//! [`Kernels::chain`](super::Kernels::chain), whatever the tile, the block, or the number of rows.
//!
//! # The loops
//! Those of BLIS (Van Zee and van de Geijn, 2015), in `loops`; a sibling brings a `Tile`: the shape of the micro-kernel,
//! the micro-kernel, and what packs operands for it. Lanes are columns of `C`; no sum ever crosses them.

mod loops;
mod pack;
mod view;

pub(super) mod generic;
pub(super) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

pub use loops::{KC, MC, NC};
pub use view::{View, ViewMut};

use super::Kernels;
use pack::Source;

/// A cache line of workspace: packed panels begin at one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Line([f32; 16]);

impl Line {
    /// What a workspace is made of; what it holds does not matter.
    pub const ZERO: Line = Line([0.0; 16]);

    /// Lines as their numbers.
    pub fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
        // SAFETY: a line is its numbers.
        unsafe { core::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), 16 * lines.len()) }
    }

    /// Lines as bytes.
    pub fn bytes(lines: &[Line]) -> &[u8] {
        // SAFETY: a line is 64 bytes of numbers.
        unsafe { core::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines)) }
    }

    /// Lines as bytes to be written.
    pub fn bytes_mut(lines: &mut [Line]) -> &mut [u8] {
        // SAFETY: as above; any bytes are numbers.
        unsafe { core::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
    }
}

/// What a chain begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `+0`: the product replaces what the output holds.
    Zero,
    /// The output's element: the product is added to it.
    Output,
}

/// The operands of one call, whose shapes agree.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    a: Source,
    b: Source,
    /// Element (i, j) is `c + i * c_row + j`.
    c: *mut f32,
    c_row: usize,
    rows: usize,
    depth: usize,
    columns: usize,
    start: Start,
    bias: Option<&'a [f32]>,
}

/// Multiplies.
///
/// # Safety
/// The operands have the elements that the product's numbers say, `space` has [`space_len`] lines, and the CPU has
/// the features that the sibling enables.
pub(super) type Sgemm = unsafe fn(product: &Product<'_>, space: &mut [Line]);

/// Loops over dense row-major matrices of f32, `[m, k] x [k, n]`.
///
/// # Safety
/// The CPU has the features that the sibling enables.
pub(super) type Plain =
    unsafe fn(a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize);

/// Rows of a micro-kernel that any sibling has at most, and columns.
const MOST_ROWS: usize = 14;
const MOST_COLUMNS: usize = 32;

/// What a sibling brings to the loops.
trait Tile {
    /// Rows of the micro-kernel.
    const MR: usize;
    /// Columns, the lanes of some registers.
    const NR: usize;
    /// The depth of a block, [`KC`] at most.
    const KC: usize = KC;

    /// Multiplies a strip of `rows` rows, of 1 to [`MR`](Self::MR), and [`NR`](Self::NR) columns.
    ///
    /// # Safety
    /// The strip's pointers reach what it says, and the CPU has the sibling's features.
    unsafe fn micro(rows: usize, strip: &Strip);

    /// As [`micro`](Self::micro) of all rows; the columns of `b` are also written to [`Strip::packed`], row by row.
    ///
    /// # Safety
    /// As for that, and there is room for them.
    unsafe fn micro_packing(strip: &Strip);

    /// Asks for a cache line that is read soon, in the second-level cache; any address is allowed.
    fn prefetch(at: *const u8);

    /// Copies a part of an operand: element (i, j) to `out[i * out_row + j]`, as f32.
    ///
    /// # Safety
    /// `source` has `rows` times `columns` elements, `out` room for as many, and the CPU has the sibling's features.
    unsafe fn gather(source: Source, rows: usize, columns: usize, out: *mut f32, out_row: usize);
}

/// What a micro-kernel multiplies: some rows of `a` with [`Tile::NR`] columns of `b`. Strides are in bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Strip {
    /// Element (i, p) is `a_row` bytes times i, and p elements behind.
    a: *const f32,
    a_row: usize,
    /// Row p is `b_row` times p bytes behind.
    b: *const f32,
    b_row: usize,
    depth: usize,
    c: *mut f32,
    c_row: usize,
    /// 1 if chains begin with what `c` holds, 0 if with +0.
    from_output: usize,
    /// What to prefetch, as many rows as of `c`: any address. Nothing where it is null.
    next_c: *const f32,
    /// Where [`Tile::micro_packing`] packs `b`.
    packed: *mut f32,
}

/// Lines of workspace that a product of these sizes takes.
pub const fn space_len(rows: usize, depth: usize, columns: usize) -> usize {
    const fn min(a: usize, b: usize) -> usize {
        if a < b { a } else { b }
    }
    let depth = min(depth, KC);
    let a = (min(rows, MC) * depth).div_ceil(16);
    let b = (min(columns.next_multiple_of(MOST_COLUMNS), NC) * depth).div_ceil(16);
    a + b
}

impl Kernels {
    /// `c` becomes the product of `a` and `b` by the [contract](self), with `bias`, an element for each column, added at
    /// last where there is one. `space` has [`space_len`] lines at least.
    ///
    /// # Panics
    /// If the shapes disagree, or the space is too small.
    ///
    /// ```
    /// use quintile::{isa::Isa, kernels::{Kernels, sgemm::{self, Line, Start, View, ViewMut}}};
    ///
    /// let (a, b) = ([1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 1.0, 0.0, 0.5, 1.0]);
    /// let mut c = [0.0; 6];
    /// let mut space = [Line::ZERO; sgemm::space_len(2, 2, 3)];
    /// Kernels::new(Isa::detect()).sgemm(
    ///     View::row_major(&a, 2, 2),
    ///     View::row_major(&b, 2, 3),
    ///     ViewMut::row_major(&mut c, 2, 3),
    ///     Start::Zero,
    ///     None,
    ///     &mut space,
    /// );
    /// assert_eq!(c, [0.5, 1.0, 3.0, 1.5, 2.0, 7.0]);
    /// ```
    pub fn sgemm(
        &self,
        a: View<'_>,
        b: View<'_>,
        c: ViewMut<'_>,
        start: Start,
        bias: Option<&[f32]>,
        space: &mut [Line],
    ) {
        let ((rows, depth), columns) = (a.shape(), b.shape().1);
        assert_eq!(b.shape().0, depth, "sgemm: rows of B, columns of A");
        assert_eq!(c.shape(), (rows, columns), "sgemm: the output's shape");
        if let Some(bias) = bias {
            assert_eq!(bias.len(), columns, "sgemm: elements of the bias");
        }
        let needed = space_len(rows, depth, columns);
        assert!(space.len() >= needed, "sgemm: {} of {needed} lines of space", space.len());
        if rows == 0 || columns == 0 {
            return;
        }
        let (c_row, c) = (c.row_stride(), c.into_ptr());
        let (a, b) = (Source::of(a), Source::of(b));
        let product = Product { a, b, c, c_row, rows, depth, columns, start, bias };
        // SAFETY: the views hold what their shapes say, which agree; `Kernels` is made from an `Isa`, which proves the
        // features.
        unsafe { (self.sgemm.run)(&product, space) }
    }

    /// The three loops that one writes first, over dense row-major matrices: `c = a b`, by the [contract](self).
    /// `rows` is `c.len() / columns`. A yardstick.
    ///
    /// # Panics
    /// If the lengths disagree.
    pub fn sgemm_naive(&self, a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
        assert_dense(a, b, c, depth, columns);
        // SAFETY: `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.sgemm_naive.run)(a, b, c, depth, columns) }
    }

    /// As [`sgemm_naive`](Self::sgemm_naive), in blocks that fit a first-level cache. A yardstick.
    ///
    /// # Panics
    /// If the lengths disagree.
    pub fn sgemm_blocked(&self, a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
        assert_dense(a, b, c, depth, columns);
        // SAFETY: `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.sgemm_blocked.run)(a, b, c, depth, columns) }
    }
}

fn assert_dense(a: &[f32], b: &[f32], c: &[f32], depth: usize, columns: usize) {
    assert_eq!(b.len(), depth * columns, "sgemm: elements of B");
    let rows = c.len().checked_div(columns).unwrap_or(0);
    assert_eq!(c.len(), rows * columns, "sgemm: rows of {columns} in the output");
    if columns > 0 {
        assert_eq!(a.len(), rows * depth, "sgemm: elements of A");
    }
}
