//! Errors of the reader and the writer. Every message is one line; bytes of the file appear in it escaped and
//! shortened.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::tensor;

/// The path of the file that was read, shared by everything that was read from it; `None` for
/// bytes in memory.
pub(super) type Source = Option<Arc<Path>>;

/// Why a GGUF file, or something in it, cannot be used.
///
/// `file` is the path, or `None` where the bytes did not come from a file; `offset` counts bytes
/// from the start of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what the fields are
pub enum Error {
    /// The file cannot be opened, mapped, read or written.
    #[error("{}: cannot {action}: {error}", path.display())]
    Io { path: PathBuf, action: &'static str, error: io::Error },
    /// The bytes are not a GGUF file that this reader accepts.
    #[error("{}{field} at byte {offset}: found {found}, expected {expected}", Prefix(file))]
    Malformed {
        file: Option<Arc<Path>>,
        field: String,
        offset: u64,
        found: String,
        expected: String,
    },
    /// A metadata value is there, but not of the type (or in the range) that was asked for.
    #[error("{}{key} at byte {offset}: found {found}, expected {expected}", Prefix(file))]
    WrongType { file: Option<Arc<Path>>, key: String, offset: u64, found: String, expected: String },
    /// A metadata key that is needed is not there.
    #[error("{}no metadata key {key}", Prefix(file))]
    MissingKey { file: Option<Arc<Path>>, key: String },
    /// A tensor that is needed is not there.
    #[error("{}no tensor {name}", Prefix(file))]
    MissingTensor { file: Option<Arc<Path>>, name: String },
    /// The tensor is sound, but of a type that this crate has no arithmetic for.
    #[error(
        "{}tensor {name} at byte {offset}: found type {type_name}, which this crate \
             does not compute, expected one of {}",
        Prefix(file),
        Computed
    )]
    NotComputed { file: Option<Arc<Path>>, name: String, offset: u64, type_name: &'static str },
    /// A file of a split model is not there; `sibling` is one that is.
    #[error(
        "{}: this file is missing: {} is one of {count} that belong together",
        path.display(),
        sibling.display()
    )]
    MissingShard { path: PathBuf, sibling: Arc<Path>, count: u32 },
    /// Two files of a split model hold a tensor of the same name.
    #[error("{}: tensor {name} at byte {offset} is also in {}", file.display(), earlier.display())]
    RepeatedTensor { file: Arc<Path>, name: String, offset: u64, earlier: Arc<Path> },
    /// What is to be written would be no sound file.
    #[error("{}: {field}: cannot write {found}, expected {expected}", path.display())]
    Unwritable { path: PathBuf, field: String, found: String, expected: String },
    /// The tensor's shape and bytes do not belong together.
    #[error("{}tensor {name}: {error}", Prefix(file))]
    Tensor { file: Option<Arc<Path>>, name: String, error: tensor::Error },
}

/// `path: `, or nothing.
struct Prefix<'a>(&'a Source);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "{}: ", path.display()),
            None => Ok(()),
        }
    }
}

/// The names of the formats that this crate computes with.
struct Computed;

impl fmt::Display for Computed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, format) in crate::formats::Format::ALL.into_iter().enumerate() {
            write!(f, "{}{format}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A string of the file for a message: escaped, quoted, at most about 60 characters.
#[derive(Clone, Copy)]
pub(crate) struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{:?}... ({} bytes)", &self.0[..end], self.0.len()),
            None => write!(f, "{:?}", self.0),
        }
    }
}
