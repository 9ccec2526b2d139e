//! Any file that appears under its name only when it is complete, as those of a [`Writer`](super::Writer) do.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::new_file::NewFile;
use super::writer::{cannot, regular_or_absent};

/// Until [`finish`](Self::finish), a file that has had its name is as it was; nothing is left of one that is dropped.
#[derive(Debug)]
pub(crate) struct WholeFile {
    path: PathBuf,
    file: BufWriter<NewFile>,
}

impl WholeFile {
    /// A file that is to be at `path`, which may exist.
    pub fn create(path: &Path) -> Result<WholeFile, Error> {
        regular_or_absent(path)?;
        let file = NewFile::create(path).map_err(cannot("create", path))?;
        Ok(WholeFile { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Where it is to be.
    #[cfg(feature = "cli")]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds to it.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(cannot("write", &self.path))
    }

    /// Gives it its name.
    pub fn finish(self) -> Result<(), Error> {
        let WholeFile { path, file } = self;
        let file = file.into_inner().map_err(|error| cannot("write", &path)(error.into_error()))?;
        let file = file.sync().map_err(cannot("write", &path))?;
        file.rename().map_err(cannot("replace", &path))
    }
}
