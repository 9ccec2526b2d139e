//! Why a file cannot be quantised. Every message is one line.

use std::fmt;
use std::path::PathBuf;

use super::FileType;
use crate::formats::Format;
use crate::gguf;

/// Why a file cannot be quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source: its metadata, or a tensor of a type that this crate cannot read.
    #[error(transparent)]
    File(#[from] gguf::Error),
    /// A value that is to be converted is no finite number, or becomes none.
    #[error(
        "{}tensor {tensor:?}, row {row}, column {column}: found {found}, expected a finite \
         number{}",
        Prefix(file),
        if *target == Format::F16 { " that f16 holds, up to 65504" } else { "" }
    )]
    Value {
        /// The file's path; `None` for bytes in memory.
        file: Option<PathBuf>,
        /// The tensor's name.
        tensor: String,
        /// The row, from 0.
        row: usize,
        /// The place in the row, from 0.
        column: usize,
        /// The value.
        found: f32,
        /// The format that the tensor was to be converted to.
        target: Format,
    },
    /// The caller has ended the work.
    #[error("cancelled")]
    Cancelled,
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

/// `path: `, or nothing.
struct Prefix<'a>(&'a Option<PathBuf>);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |path| write!(f, "{}: ", path.display()))
    }
}

/// The names of all file types.
struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&FileType::ALL.map(FileType::name).join(", "))
    }
}
