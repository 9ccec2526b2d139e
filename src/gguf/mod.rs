//! Reads GGUF files: metadata, and tensors in place.
//!
//! Versions 2 and 3, little-endian. The format:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! A file is untrusted. Whatever its bytes, reading it returns a [`Gguf`] or an [`Error`] that
//! names file, field, byte offset, value and expectation; it never panics, and its memory is
//! bounded by the file's size and by [`Limits`]. Every tensor of a [`Gguf`] has been found to lie
//! inside the file, aligned, and apart from the others.
//!
//! ```no_run
//! use quintile::gguf::{Gguf, OpenOptions};
//!
//! let model = Gguf::open("model.gguf".as_ref(), &OpenOptions::default())?;
//! println!("{:?}", model.metadata().str("general.architecture")?);
//! let embedding = model.tensor("token_embd.weight")?;
//! println!("{} rows of {} values", embedding.rows(), embedding.k());
//! # Ok::<(), quintile::gguf::Error>(())
//! ```

mod cursor;
mod error;
mod header;
mod limits;
mod metadata;
mod strings;
mod tensor_info;
mod tensor_types;
mod value;

pub use error::Error;
pub(crate) use error::Quoted;
pub use limits::Limits;
pub use metadata::Metadata;
pub use strings::Strings;
pub use tensor_info::TensorInfo;
pub use tensor_types::{TensorType, type_name};
pub use value::{Array, Value};

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use memmap2::Mmap;

use self::error::Source;
use self::header::Header;
use crate::tensor::Tensor;

/// How a file is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Map the file (the default), or read all of it into memory.
    ///
    /// A mapped file costs no memory of its own and opens at once. But if another process
    /// truncates it while it is mapped, the next access to the lost part ends this process with
    /// SIGBUS; if another process writes to it, weights change under the reader. A file that was
    /// read into memory is immune to both.
    pub mmap: bool,
    /// What the header may hold.
    pub limits: Limits,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions { mmap: true, limits: Limits::default() }
    }
}

/// A GGUF file: its metadata, and its tensors where they lie.
pub struct Gguf {
    source: Source,
    bytes: Bytes,
    header: Header,
}

enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl Gguf {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If the file cannot be read or is not a sound GGUF file.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Gguf, Error> {
        let cannot =
            |action| move |error: io::Error| Error::Io { path: path.to_owned(), action, error };
        let file = File::open(path).map_err(cannot("open"))?;
        let metadata = file.metadata().map_err(cannot("examine"))?;
        if !metadata.is_file() {
            // A device or a pipe has no length to check counts against.
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(cannot("use")(error));
        }
        let bytes = if options.mmap {
            // SAFETY: the map is private to this value and only read, as bytes, of which any
            // pattern is valid. That no other process truncates or rewrites the file meanwhile is
            // the caller's part, stated at `OpenOptions::mmap`.
            Bytes::Mapped(unsafe { Mmap::map(&file) }.map_err(cannot("map"))?)
        } else {
            Bytes::Owned(read_all(file, metadata.len()).map_err(cannot("read"))?)
        };
        Self::new(Some(path.into()), bytes, &options.limits)
    }

    /// Reads the header of a file that is in memory.
    ///
    /// # Errors
    /// If the bytes are not a sound GGUF file.
    pub fn from_bytes(bytes: Vec<u8>, limits: &Limits) -> Result<Gguf, Error> {
        Self::new(None, Bytes::Owned(bytes), limits)
    }

    fn new(source: Source, bytes: Bytes, limits: &Limits) -> Result<Gguf, Error> {
        let header = Header::read(bytes.as_slice(), &source, limits)?;
        Ok(Gguf { source, bytes, header })
    }

    /// The path it was opened by.
    pub fn path(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// Bytes of the whole file.
    pub fn file_size(&self) -> u64 {
        self.bytes.as_slice().len() as u64
    }

    /// The version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.header.version
    }

    /// The alignment of tensor data in the file, in bytes: a power of two.
    pub fn alignment(&self) -> u32 {
        self.header.alignment
    }

    /// The byte of the file where tensor data begins (in a file without tensors, would begin).
    pub fn data_offset(&self) -> u64 {
        self.header.data
    }

    /// The key-value pairs.
    pub fn metadata(&self) -> &Metadata {
        &self.header.metadata
    }

    /// All tensors, in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.header.table.tensors
    }

    /// The record of the tensor `name`.
    pub fn tensor_info(&self, name: &str) -> Option<&TensorInfo> {
        self.header.table.find(name)
    }

    /// The data of a tensor of this file.
    ///
    /// # Panics
    /// If `tensor` comes from another file and lies outside this one.
    pub fn tensor_bytes(&self, tensor: &TensorInfo) -> &[u8] {
        // Both fit: the reader has found the tensor to lie inside these bytes.
        &self.bytes.as_slice()[tensor.offset as usize..][..tensor.size as usize]
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if there is none, [`Error::NotComputed`] if this crate does not
    /// compute with its type.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, Error> {
        self.find_tensor(name)?.ok_or_else(|| Error::MissingTensor {
            file: self.source.clone(),
            name: name.to_owned(),
        })
    }

    /// The tensor `name`, or `None` where there is none.
    ///
    /// # Errors
    /// [`Error::NotComputed`] if this crate does not compute with its type.
    pub fn find_tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, Error> {
        self.tensor_info(name).map(|tensor| self.view(tensor)).transpose()
    }

    fn view(&self, tensor: &TensorInfo) -> Result<Tensor<'_>, Error> {
        let Some(format) = tensor.format else {
            return Err(Error::NotComputed {
                file: self.source.clone(),
                name: tensor.name.clone(),
                offset: tensor.offset,
                type_name: tensor.type_name(),
            });
        };
        Tensor::new(format, &tensor.dims, self.tensor_bytes(tensor)).map_err(|error| {
            Error::Tensor { file: self.source.clone(), name: tensor.name.clone(), error }
        })
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gguf")
            .field("path", &self.path())
            .field("version", &self.version())
            .field("metadata keys", &self.metadata().len())
            .field("tensors", &self.tensors().len())
            .finish_non_exhaustive()
    }
}

/// Reads `len` bytes; an error where memory or the file does not hold them.
fn read_all(file: File, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    usize::try_from(len)
        .ok()
        .and_then(|len| bytes.try_reserve_exact(len).ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}
