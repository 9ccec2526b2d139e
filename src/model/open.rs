//! From a path to a model.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::gguf::{self, Gguf, OpenOptions};
use crate::isa::Isa;

use super::config::error;
use super::tokenizer::{Tokenizer, Vocab};
use super::{Error, Model};

/// How a model is loaded.
pub struct LoadOptions<'a> {
    /// Which kernels it runs on; the best that the CPU has.
    pub isa: Isa,
    /// Map the file, which opens at once, or read it into memory: [`OpenOptions::mmap`].
    pub mmap: bool,
    /// Called now and then on the calling thread while a file is read into memory, with the bytes read and those of the file; of a split
    /// model, with the bytes read of all files and those of the file that was named.
    pub progress: Option<&'a mut dyn FnMut(u64, u64)>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        LoadOptions { isa: Isa::detect(), mmap: true, progress: None }
    }
}

impl Model {
    /// Maps a GGUF file and finds the model in it, for the best kernels that the CPU has.
    ///
    /// # Errors
    /// If the file cannot be opened, or holds no model that can be run.
    ///
    /// ```
    /// let model = quintile::model::Model::open("tests/data/tiny/qwen2.gguf")?;
    /// assert_eq!(model.config().vocab, 320);
    /// # Ok::<(), quintile::model::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
        Self::open_with(path, LoadOptions::default())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// ```
    /// use quintile::model::{LoadOptions, Model};
    ///
    /// let mut progress = |read: u64, of: u64| println!("{} %", 100 * read / of);
    /// let options = LoadOptions { mmap: false, progress: Some(&mut progress), ..Default::default() };
    /// let model = Model::open_with("tests/data/tiny/qwen2.gguf", options)?;
    /// # Ok::<(), quintile::model::Error>(())
    /// ```
    pub fn open_with(path: impl AsRef<Path>, options: LoadOptions<'_>) -> Result<Model, Error> {
        let LoadOptions { isa, mmap, progress } = options;
        let open = OpenOptions { mmap, ..OpenOptions::default() };
        let file = match progress {
            Some(progress) if !mmap => read(path.as_ref(), open, progress)?,
            _ => Gguf::open(path.as_ref(), &open)?,
        };
        Model::load(file, isa)
    }

    /// The tokenizer that the file describes.
    ///
    /// # Errors
    /// If it describes none, or one that is not supported.
    pub fn tokenizer(&self) -> Result<Tokenizer, Error> {
        let vocab = Vocab::from_gguf(self.file())?;
        Tokenizer::new(vocab).map_err(|e| error(self.file(), e.to_string()))
    }
}

/// Reads a file on another thread; this one tells how far that is.
fn read(
    path: &Path,
    options: OpenOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Gguf, gguf::Error> {
    const OFTEN: Duration = Duration::from_millis(50);
    let bytes_read = Arc::new(AtomicU64::new(0));
    let options = OpenOptions { bytes_read: Some(Arc::clone(&bytes_read)), ..options };
    // A file that cannot be examined is an error of `open`.
    let all = path.metadata().map_or(0, |file| file.len());
    std::thread::scope(|scope| {
        let (done, opened) = mpsc::channel();
        scope.spawn(move || {
            let opened = Gguf::open(path, &options);
            // The receiver waits until something comes.
            let _ = done.send(opened);
        });
        loop {
            match opened.recv_timeout(OFTEN) {
                Err(RecvTimeoutError::Timeout) => progress(bytes_read.load(Relaxed), all),
                Ok(opened) => {
                    if opened.is_ok() {
                        progress(bytes_read.load(Relaxed), all);
                    }
                    return opened;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("a reader sends before it ends")
                }
            }
        }
    })
}
