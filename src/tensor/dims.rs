//! The sizes of a tensor's dimensions, checked once.

use std::fmt;
use std::ops::Deref;

use super::Error;

/// The sizes of one to four dimensions, in the order of GGUF: the first is the length of a row.
///
/// A matrix of `rows` rows of `k` values is `[k, rows]`. Every size is at least one, and the
/// number of elements is small enough that the whole tensor can be held as `f32`.
///
/// ```
/// use quintile::tensor::Dims;
///
/// let dims = Dims::new(&[1536, 8960])?;
/// assert_eq!((dims.k(), dims.rows()), (1536, 8960));
/// # Ok::<(), quintile::tensor::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    sizes: [usize; Self::MAX],
    count: usize,
}

impl Dims {
    /// The most dimensions that a GGUF tensor has.
    pub const MAX: usize = 4;

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::DimensionCount`], [`Error::EmptyDimension`] or [`Error::TooLarge`].
    pub fn new(sizes: &[usize]) -> Result<Dims, Error> {
        let count = sizes.len();
        if !(1..=Self::MAX).contains(&count) {
            return Err(Error::DimensionCount { count });
        }
        let mut elements = 1usize;
        for (dimension, &size) in sizes.iter().enumerate() {
            if size == 0 {
                return Err(Error::EmptyDimension { dimension });
            }
            elements = elements
                .checked_mul(size)
                .filter(|&n| n <= isize::MAX as usize / size_of::<f32>())
                .ok_or_else(|| Error::TooLarge { dims: sizes.to_vec() })?;
        }
        let mut padded = [1; Self::MAX];
        padded[..count].copy_from_slice(sizes);
        Ok(Dims { sizes: padded, count })
    }

    /// The length of a row.
    pub fn k(&self) -> usize {
        self.sizes[0]
    }

    /// The number of rows: the product of all sizes but the first.
    pub fn rows(&self) -> usize {
        self.sizes[1..].iter().product()
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.sizes.iter().product()
    }
}

impl Deref for Dims {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sizes[..self.count]
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
