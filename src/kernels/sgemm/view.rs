//! Matrices as operands: shapes and strides over slices.

use crate::formats::Format;

/// Where an operand's numbers lie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Elements<'a> {
    Floats(&'a [f32]),
    /// F32, F16 or BF16, at any address.
    Bytes(Format, &'a [u8]),
}

/// A matrix to be read, `[rows, columns]`: element (i, j) is number `i * row_stride + j * column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(super) elements: Elements<'a>,
    rows: usize,
    columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> View<'a> {
    /// Rows one behind the other.
    ///
    /// # Panics
    /// If there are fewer elements.
    pub fn row_major(elements: &'a [f32], rows: usize, columns: usize) -> Self {
        View::new(Elements::Floats(elements), elements.len(), [rows, columns], [columns, 1])
    }

    /// Numbers with any strides, also 0, in elements.
    ///
    /// # Panics
    /// If an element lies outside.
    pub fn strided(elements: &'a [f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        View::new(Elements::Floats(elements), elements.len(), shape, strides)
    }

    /// Little-endian weights at any address, with any strides in elements.
    ///
    /// # Panics
    /// If `format` is quantised, or an element lies outside.
    pub fn weights(
        format: Format,
        bytes: &'a [u8],
        shape: [usize; 2],
        strides: [usize; 2],
    ) -> Self {
        assert!(format.activation().is_none(), "sgemm: {format} is a quantised format");
        let len = bytes.len() / format.block_bytes();
        View::new(Elements::Bytes(format, bytes), len, shape, strides)
    }

    fn new(elements: Elements<'a>, len: usize, shape: [usize; 2], strides: [usize; 2]) -> Self {
        assert_inside(len, shape, strides);
        let ([rows, columns], [row_stride, column_stride]) = (shape, strides);
        View { elements, rows, columns, row_stride, column_stride }
    }

    /// Rows as columns, in place.
    pub fn transposed(self) -> Self {
        View {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }
}

/// A matrix to be written, `[rows, columns]`: element (i, j) is number `i * row_stride + j`.
#[derive(Debug)]
pub struct ViewMut<'a> {
    elements: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> ViewMut<'a> {
    /// Rows one behind the other.
    ///
    /// # Panics
    /// If there are fewer elements.
    pub fn row_major(elements: &'a mut [f32], rows: usize, columns: usize) -> Self {
        ViewMut::strided(elements, rows, columns, columns)
    }

    /// Rows `row_stride` elements apart.
    ///
    /// # Panics
    /// If an element lies outside, or rows overlap.
    pub fn strided(
        elements: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        assert!(rows <= 1 || row_stride >= columns, "sgemm: rows of the output overlap");
        assert_inside(elements.len(), [rows, columns], [row_stride, 1]);
        ViewMut { elements, rows, columns, row_stride }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    pub(super) fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(super) fn into_ptr(self) -> *mut f32 {
        self.elements.as_mut_ptr()
    }
}

fn assert_inside(len: usize, [rows, columns]: [usize; 2], [row, column]: [usize; 2]) {
    if rows == 0 || columns == 0 {
        return;
    }
    let last = (rows - 1).checked_mul(row).zip((columns - 1).checked_mul(column));
    let last = last.and_then(|(row, column)| row.checked_add(column));
    assert!(
        last.is_some_and(|last| last < len),
        "sgemm: {rows} x {columns} elements, {row} and {column} apart, in {len}"
    );
}
