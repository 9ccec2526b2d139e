//! Writes what a [`Builder`](super::Builder) describes.

use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::builder::Layout;
use super::error::{Error, Quoted};
use super::new_file::NewFile;

/// A file that is being written, or the files of a split model.
///
/// Takes the data of the tensors in the order of the [`Builder`](super::Builder), in pieces of any
/// size, and pads them as the format asks. The files appear under their names only when
/// [`finish`](Self::finish) has seen them complete and on the disk. Until then, whatever happens,
/// files that have had these names before are as they were, and a writer that is dropped leaves
/// nothing behind.
#[derive(Debug)]
pub struct Writer {
    files: Vec<Layout>,
    /// Those that are complete, in order, then the one that is being written.
    written: Vec<BufWriter<NewFile>>,
    /// The number of the tensor that the next byte belongs to, in its file.
    tensor: usize,
    /// Bytes of that tensor that are there already.
    done: u64,
}

/// Enough that small pieces cost no system call each; larger ones are passed on.
const BUFFER: usize = 1 << 18;

impl Writer {
    /// `files` is not empty.
    pub(super) fn create(files: Vec<Layout>) -> Result<Writer, Error> {
        for file in &files {
            regular_or_absent(&file.path)?;
        }
        let mut writer = Writer { files, written: Vec::new(), tensor: 0, done: 0 };
        writer.begin()?;
        Ok(writer)
    }

    /// Starts the next file.
    fn begin(&mut self) -> Result<(), Error> {
        let Layout { path, header, .. } = &mut self.files[self.written.len()];
        let file = NewFile::create(path).map_err(cannot("create", path))?;
        let mut file = BufWriter::with_capacity(BUFFER, file);
        file.write_all(header).map_err(cannot("write", path))?;
        *header = Vec::new();
        self.written.push(file);
        (self.tensor, self.done) = (0, 0);
        Ok(())
    }

    /// Adds the next bytes of the tensors' data.
    ///
    /// # Errors
    /// [`Error::Io`], for example if the disk is full; [`Error::Unwritable`] if there are more
    /// bytes than the tensors have. Nothing can be written after an error.
    pub fn write(&mut self, mut data: &[u8]) -> Result<(), Error> {
        while !data.is_empty() {
            let file = self.written.len() - 1;
            let Layout { path, tensors, alignment, .. } = &self.files[file];
            let Some((_, size)) = tensors.get(self.tensor) else {
                if self.written.len() < self.files.len() {
                    self.begin()?;
                    continue;
                }
                return Err(Error::Unwritable {
                    path: path.clone(),
                    field: "data".into(),
                    found: format!("{} bytes behind the last tensor", data.len()),
                    expected: "no more".into(),
                });
            };
            let left = size - self.done;
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
            let (now, later) = data.split_at(len);
            self.written[file].write_all(now).map_err(cannot("write", path))?;
            data = later;
            self.done += len as u64;
            if self.done == *size {
                let mut zeros = io::repeat(0).take(size.next_multiple_of(*alignment) - size);
                io::copy(&mut zeros, &mut self.written[file]).map_err(cannot("write", path))?;
                (self.tensor, self.done) = (self.tensor + 1, 0);
            }
        }
        Ok(())
    }

    /// Puts the files on the disk and gives them their names; one that was there is replaced.
    /// Returns the paths.
    ///
    /// A file is renamed at once, and never half. The files of a split model are renamed one after
    /// the other, all complete: should the system fail between two of them, a set of the same name
    /// and number of files would be partly the old one.
    ///
    /// # Errors
    /// [`Error::Unwritable`] if data are missing, [`Error::Io`] if the disk fails. The files that
    /// have had these names before are then as they were.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, Error> {
        let last = self.written.len() - 1;
        let Layout { path, tensors, .. } = &self.files[last];
        if let Some((name, size)) = tensors.get(self.tensor) {
            return Err(Error::Unwritable {
                path: path.clone(),
                field: format!("data of tensor {}", Quoted(name)),
                found: format!("{} bytes", self.done),
                expected: size.to_string(),
            });
        }
        if self.written.len() < self.files.len() {
            let path = self.files[self.written.len()].path.clone();
            let (field, found) = ("data".into(), "no tensor".into());
            return Err(Error::Unwritable { path, field, found, expected: "all".into() });
        }
        let mut complete = Vec::new();
        for (file, Layout { path, .. }) in self.written.drain(..).zip(&self.files) {
            let file =
                file.into_inner().map_err(|error| cannot("write", path)(error.into_error()))?;
            complete.push(file.sync().map_err(cannot("write", path))?);
        }
        for (file, Layout { path, .. }) in complete.into_iter().zip(&self.files) {
            file.rename().map_err(cannot("replace", path))?;
        }
        Ok(self.files.into_iter().map(|file| file.path).collect())
    }
}

pub(super) fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::Io { path: path.to_owned(), action, error }
}

/// A device or a folder is not replaced by a file.
pub(super) fn regular_or_absent(path: &Path) -> Result<(), Error> {
    match path.metadata() {
        Ok(found) if !found.is_file() => {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            Err(cannot("replace", path)(error))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot("examine", path)(error)),
    }
}
