//! Typed views on quantised bytes: a tensor is a [`Format`], its [`Dims`] and the bytes of its
//! rows, read where they lie (in a mapped file, at any address).
//!
//! Rows are contiguous and in order; each is a whole number of blocks. Elements are dequantised on
//! demand, one block at a time.

mod dims;

pub use dims::Dims;

use crate::formats::{Format, SUPER_BLOCK};

/// What is wrong with a tensor's shape, its bytes or an index into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what the fields are
pub enum Error {
    #[error("tensor with {count} dimensions, expected 1 to 4")]
    DimensionCount { count: usize },
    #[error("dimension {dimension} is 0, expected at least 1")]
    EmptyDimension { dimension: usize },
    #[error("tensor of {dims:?} has more elements than memory can hold as f32")]
    TooLarge { dims: Vec<usize> },
    #[error("rows of {k} values are not whole blocks of {format}, expected a multiple of {block}")]
    PartialBlock { format: Format, k: usize, block: usize },
    #[error("{format} tensor of {dims:?} in {found} bytes, expected {expected}")]
    ByteCount { format: Format, dims: Dims, found: usize, expected: usize },
    #[error("{found} indices for a tensor of {expected} dimensions")]
    IndexCount { found: usize, expected: usize },
    #[error("index {index} in position {position}, expected less than {size}")]
    Index { position: usize, index: usize, size: usize },
    #[error("row {row} of a tensor of {rows} rows")]
    Row { row: usize, rows: usize },
    #[error("buffer of {found} values for a row of {k}")]
    RowBuffer { found: usize, k: usize },
}

/// A quantised (or plain) tensor whose bytes are borrowed from a file or from memory.
///
/// ```
/// use quintile::formats::Format;
/// use quintile::tensor::Tensor;
///
/// // Two rows of three values.
/// let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f32::to_le_bytes).concat();
/// let tensor = Tensor::new(Format::F32, &[3, 2], &bytes)?;
/// assert_eq!(tensor.at(&[1, 0])?, 4.0); // row 1, column 0
/// assert_eq!(tensor.row(0)?, [1.0, 2.0, 3.0]);
/// # Ok::<(), quintile::tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    format: Format,
    dims: Dims,
    row_size: usize,
    bytes: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// A tensor of the sizes `dims` in the order of GGUF: `dims[0]` is the length of a row, so a
    /// matrix of `rows` rows of `k` values is `[k, rows]`.
    ///
    /// # Errors
    /// If there are not 1 to 4 dimensions, one is 0, their product overflows, a row is not a whole
    /// number of blocks, or `bytes` is not exactly as long as the tensor.
    pub fn new(format: Format, dims: &[usize], bytes: &'a [u8]) -> Result<Tensor<'a>, Error> {
        let dims = Dims::new(dims)?;
        let (k, block) = (dims.k(), format.block_len());
        if !k.is_multiple_of(block) {
            return Err(Error::PartialBlock { format, k, block });
        }
        let too_large = || Error::TooLarge { dims: dims.to_vec() };
        let row_size = format.row_bytes(k).ok_or_else(too_large)?;
        let expected = row_size.checked_mul(dims.rows()).ok_or_else(too_large)?;
        if bytes.len() != expected {
            return Err(Error::ByteCount { format, dims, found: bytes.len(), expected });
        }
        Ok(Tensor { format, dims, row_size, bytes })
    }

    /// The storage format of the elements.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The sizes of the dimensions, the length of a row first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The length of a row.
    pub fn k(&self) -> usize {
        self.dims.k()
    }

    /// The number of rows: the product of all dimensions but the first.
    pub fn rows(&self) -> usize {
        self.dims.rows()
    }

    /// All bytes, row after row.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The element at `indices`, which are in row-major order: the **last** index runs along the
    /// row, the first one counts the slowest dimension. `indices` is thus the reverse of
    /// [`dims`](Self::dims): the matrix `[k, rows]` is indexed `&[row, column]`.
    ///
    /// Dequantises the one block that holds the element.
    ///
    /// # Errors
    /// If the number of indices is not the number of dimensions, or one is out of range.
    pub fn at(&self, indices: &[usize]) -> Result<f32, Error> {
        if indices.len() != self.dims.len() {
            return Err(Error::IndexCount { found: indices.len(), expected: self.dims.len() });
        }
        let mut element = 0;
        for (position, (&index, &size)) in indices.iter().zip(self.dims.iter().rev()).enumerate() {
            if index >= size {
                return Err(Error::Index { position, index, size });
            }
            element = element * size + index;
        }
        // Rows are whole blocks, so blocks are numbered through from the first row to the last.
        let (block_len, block_bytes) = (self.format.block_len(), self.format.block_bytes());
        let start = element / block_len * block_bytes;
        let mut values = [0.0; SUPER_BLOCK];
        let values = &mut values[..block_len];
        self.format.dequantize(&self.bytes[start..start + block_bytes], values);
        Ok(values[element % block_len])
    }

    /// The bytes of row `row`, counted through all dimensions but the first.
    ///
    /// # Panics
    /// If `row` is not less than [`rows`](Self::rows), as indexing a slice does.
    pub fn row_bytes(&self, row: usize) -> &'a [u8] {
        assert!(row < self.rows(), "row {row} of a tensor of {} rows", self.rows());
        &self.bytes[row * self.row_size..][..self.row_size]
    }

    /// The values of row `row`.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Result<Vec<f32>, Error> {
        let mut out = vec![0.0; self.k()];
        self.row_into(row, &mut out)?;
        Ok(out)
    }

    /// Writes the values of row `row` to `out`, which has [`k`](Self::k) places.
    ///
    /// # Errors
    /// If there is no such row, or `out` has another length.
    pub fn row_into(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        if row >= self.rows() {
            return Err(Error::Row { row, rows: self.rows() });
        }
        if out.len() != self.k() {
            return Err(Error::RowBuffer { found: out.len(), k: self.k() });
        }
        self.format.dequantize(self.row_bytes(row), out);
        Ok(())
    }

    /// All values, row after row.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.dims.elements()];
        self.format.dequantize(self.bytes, &mut out);
        out
    }
}
