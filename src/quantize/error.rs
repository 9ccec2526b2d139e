//! Why a file cannot be quantised. Every message is one line.

use std::fmt;

use super::FileType;
use crate::gguf;

/// Why a file cannot be quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source: its metadata, or a tensor of a type that this crate cannot read.
    #[error(transparent)]
    File(#[from] gguf::Error),
    /// No file type has this name.
    #[error("found file type {found:?}, expected one of {}", Names)]
    FileType {
        /// The name that was asked for.
        found: String,
    },
    /// The layer of an expert's tensor decides about its format, and its name has none.
    #[error(
        "{file}: found tensor {name:?} in a model of experts, expected a name that starts \
         with `blk.` and the number of one of the {layers} layers"
    )]
    Layer {
        /// The file's path, or what stands for it.
        file: String,
        /// The tensor's name.
        name: String,
        /// Layers of the model.
        layers: usize,
    },
}

/// The names of all file types.
struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&FileType::ALL.map(FileType::name).join(", "))
    }
}
