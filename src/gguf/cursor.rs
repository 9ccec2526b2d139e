//! Reads numbers and strings from untrusted bytes, in order and within bounds.

use std::fmt::Display;

use super::Limits;
use super::error::{Error, Source};

/// A position in the header of a file. Every read names the field it reads, for the error message
/// should it fail; the name is formatted only then.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    /// The file, up to the limit for its header.
    bytes: &'a [u8],
    position: usize,
    file_len: usize,
    pub source: &'a Source,
    pub limits: &'a Limits,
}

impl<'a> Cursor<'a> {
    pub fn new(file: &'a [u8], source: &'a Source, limits: &'a Limits) -> Self {
        let bytes = &file[..file.len().min(limits.header_bytes)];
        Cursor { bytes, position: 0, file_len: file.len(), source, limits }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    /// The error that `field`, which lies at `offset`, is `found` and not `expected`.
    pub fn malformed(
        &self,
        field: impl Display,
        offset: usize,
        found: impl Display,
        expected: impl Display,
    ) -> Error {
        Error::Malformed {
            file: self.source.clone(),
            field: field.to_string(),
            offset: offset as u64,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize, field: &dyn Display) -> Result<&'a [u8], Error> {
        let left = self.left();
        if len > left {
            return Err(self.ends_early(len, field));
        }
        let start = self.position;
        self.position += len;
        Ok(&self.bytes[start..start + len])
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    #[cold]
    fn ends_early(&self, len: usize, field: &dyn Display) -> Error {
        if let Some(error) = self.too_long(field) {
            return error;
        }
        let found = format!("the end of the file after {} bytes", self.left());
        self.malformed(field, self.position, found, format_args!("{len} bytes"))
    }

    /// The error that the header exceeds its limit, where it is that which ends the bytes.
    fn too_long(&self, field: &dyn Display) -> Option<Error> {
        let limit = self.limits.header_bytes;
        (self.bytes.len() < self.file_len).then(|| {
            let found = format!("a header of more than {limit} bytes");
            self.malformed(field, self.position, found, "at most that (Limits::header_bytes)")
        })
    }

    /// The next `N` bytes, as an array.
    pub fn array<const N: usize>(&mut self, field: &dyn Display) -> Result<[u8; N], Error> {
        match self.bytes[self.position..].first_chunk::<N>() {
            Some(bytes) => {
                self.position += N;
                Ok(*bytes)
            }
            None => Err(self.ends_early(N, field)),
        }
    }

    pub fn u32(&mut self, field: &dyn Display) -> Result<u32, Error> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, field: &dyn Display) -> Result<u64, Error> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A number of records of at least `record` bytes each that follow: no more than `limit`, and
    /// no more than there are bytes for.
    pub fn count(
        &mut self,
        record: usize,
        limit: usize,
        field: &dyn Display,
    ) -> Result<usize, Error> {
        let offset = self.position;
        let count = self.u64(field)?;
        let left = self.left();
        if count > limit as u64 {
            return Err(self.malformed(field, offset, count, format_args!("at most {limit}")));
        }
        if count > (left / record) as u64 {
            return Err(self.too_long(field).unwrap_or_else(|| {
                let expected = format!("at most {}, for {left} bytes follow", left / record);
                self.malformed(field, offset, count, expected)
            }));
        }
        Ok(count as usize)
    }

    /// A length and that many bytes of UTF-8.
    pub fn string(&mut self, limit: usize, field: &dyn Display) -> Result<&'a str, Error> {
        let len = self.count(1, limit, &format_args!("{field}, length"))?;
        let start = self.position;
        let bytes = self.take(len, field)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let bad = error.valid_up_to();
            let found = format!("byte {:#04x}", bytes[bad]);
            self.malformed(field, start + bad, found, "UTF-8")
        })
    }
}
