//! Reads GGUF files, metadata and tensors in place, and writes them.
//!
//! Versions 2 and 3, little-endian. The format:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! A file is untrusted. Whatever its bytes, reading it returns a [`Gguf`] or an [`Error`] that
//! names file, field, byte offset, value and expectation; it never panics, and its memory is
//! bounded by the file's size and by [`Limits`]. Every tensor of a [`Gguf`] has been found to lie
//! inside the file, aligned, and apart from the others.
//!
//! The files of a split model are read as one. They are named `PREFIX-00001-of-00003.gguf` and so
//! on, lie in one folder, and state their place under `split.no`, `split.count` and
//! `split.tensors.count`; any of them opens all. A set that is not complete, or whose files do not
//! agree with their names and with each other, is refused with an error that names the file.
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

mod builder;
mod cursor;
mod error;
mod header;
mod limits;
mod metadata;
mod new_file;
mod shard;
mod split;
mod strings;
mod tensor_info;
mod tensor_types;
mod value;
mod whole_file;
mod writer;

pub use builder::{Builder, FilePlan};
pub use error::Error;
pub(crate) use error::Quoted;
pub use limits::Limits;
pub use metadata::Metadata;
pub use shard::{OpenOptions, Shard};
pub use strings::Strings;
pub use tensor_info::TensorInfo;
pub use tensor_types::{TensorType, type_name};
pub use value::{Array, Value};
pub(crate) use whole_file::WholeFile;
pub use writer::Writer;

use std::fmt;
use std::path::Path;

use self::error::Source;
use self::header::Header;
use self::tensor_info::TensorTable;
use crate::tensor::Tensor;

/// A GGUF file, or the files of a split model as if they were one: metadata, and tensors where they
/// lie.
pub struct Gguf {
    /// At least one.
    shards: Vec<Shard>,
    metadata: Metadata,
    table: TensorTable,
}

impl Gguf {
    /// Opens a file and reads its header.
    ///
    /// Of a split model (`PREFIX-00001-of-00003.gguf` and so on) any file opens the whole set.
    ///
    /// # Errors
    /// If the file cannot be read or is not a sound GGUF file, or if the set is not complete or its
    /// files do not belong together.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Gguf, Error> {
        Self::complete(Shard::open(path, options)?, options)
    }

    /// Reads the header of a file that is in memory; not one of a split model.
    ///
    /// # Errors
    /// If the bytes are not a sound GGUF file.
    pub fn from_bytes(bytes: Vec<u8>, limits: &Limits) -> Result<Gguf, Error> {
        let options = OpenOptions { mmap: false, limits: limits.clone(), bytes_read: None };
        Self::complete(Shard::in_memory(bytes, limits)?, &options)
    }

    fn complete(file: (Shard, Header), options: &OpenOptions) -> Result<Gguf, Error> {
        let (shards, metadata, table) = split::complete(file, options)?;
        Ok(Gguf { shards, metadata, table })
    }

    fn first(&self) -> &Shard {
        &self.shards[0]
    }

    fn source(&self) -> Source {
        self.first().source.clone()
    }

    /// The files, in order: one, unless the model is split.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The path of the (first) file.
    pub fn path(&self) -> Option<&Path> {
        self.first().path()
    }

    /// Bytes of all files.
    pub fn file_size(&self) -> u64 {
        self.shards.iter().map(Shard::size).sum()
    }

    /// The version of the (first file's) format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.first().version
    }

    /// The alignment of tensor data in the (first) file, in bytes: a power of two.
    pub fn alignment(&self) -> u32 {
        self.first().alignment()
    }

    /// The byte of the (first) file where tensor data begins (in a file without tensors, would
    /// begin).
    pub fn data_offset(&self) -> u64 {
        self.first().data_offset()
    }

    /// The key-value pairs; of a split model the first file's.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All tensors, in the order of the file (of the files, one after the other).
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.table.tensors
    }

    /// The record of the tensor `name`.
    pub fn tensor_info(&self, name: &str) -> Option<&TensorInfo> {
        self.table.find(name)
    }

    /// The data of a tensor of this file.
    ///
    /// # Panics
    /// If `tensor` comes from another file and lies outside this one.
    pub fn tensor_bytes(&self, tensor: &TensorInfo) -> &[u8] {
        // Both fit: the reader has found the tensor to lie inside these bytes.
        &self.shards[tensor.shard].bytes()[tensor.offset as usize..][..tensor.size as usize]
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if there is none, [`Error::NotComputed`] if this crate does not
    /// compute with its type.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, Error> {
        self.find_tensor(name)?
            .ok_or_else(|| Error::MissingTensor { file: self.source(), name: name.to_owned() })
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
                file: self.shards[tensor.shard].source.clone(),
                name: tensor.name.clone(),
                offset: tensor.offset,
                type_name: tensor.type_name(),
            });
        };
        Tensor::new(format, &tensor.dims, self.tensor_bytes(tensor)).map_err(|error| {
            let file = self.shards[tensor.shard].source.clone();
            Error::Tensor { file, name: tensor.name.clone(), error }
        })
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gguf")
            .field("path", &self.path())
            .field("files", &self.shards.len())
            .field("version", &self.version())
            .field("metadata keys", &self.metadata().len())
            .field("tensors", &self.tensors().len())
            .finish_non_exhaustive()
    }
}
