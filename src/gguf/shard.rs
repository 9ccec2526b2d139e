//! One file: its bytes, mapped or in memory, and what its header says.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memmap2::Mmap;

use super::Limits;
use super::error::{Error, Source};
use super::header::Header;

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
    /// Where to add the bytes that were read into memory, while they are: for who shows the progress.
    pub bytes_read: Option<Arc<AtomicU64>>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions { mmap: true, limits: Limits::default(), bytes_read: None }
    }
}

/// One of the files of a [`Gguf`](super::Gguf): the only one, unless the model is split.
pub struct Shard {
    pub(super) source: Source,
    bytes: Bytes,
    pub(super) version: u32,
    alignment: u32,
    data: u64,
}

enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Shard {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<(Shard, Header), Error> {
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
            Bytes::Owned(
                read_all(file, metadata.len(), options.bytes_read.as_deref())
                    .map_err(cannot("read"))?,
            )
        };
        Self::read(Some(path.into()), bytes, &options.limits)
    }

    /// Reads the header of a file that is in memory.
    pub(super) fn in_memory(bytes: Vec<u8>, limits: &Limits) -> Result<(Shard, Header), Error> {
        Self::read(None, Bytes::Owned(bytes), limits)
    }

    fn read(source: Source, bytes: Bytes, limits: &Limits) -> Result<(Shard, Header), Error> {
        let header = Header::read(bytes.as_slice(), &source, limits)?;
        let Header { version, alignment, data, .. } = header;
        Ok((Shard { source, bytes, version, alignment, data }, header))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Its path; `None` for bytes in memory.
    pub fn path(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.bytes().len() as u64
    }

    /// The alignment of its tensor data, in bytes: a power of two.
    pub fn alignment(&self) -> u32 {
        self.alignment
    }

    /// The byte where its tensor data begins (in a file without tensors, would begin).
    pub fn data_offset(&self) -> u64 {
        self.data
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// Reads `len` bytes; an error where memory or the file does not hold them.
fn read_all(mut file: File, len: u64, bytes_read: Option<&AtomicU64>) -> io::Result<Vec<u8>> {
    /// Some milliseconds' worth.
    const PART: u64 = 16 << 20;
    let mut bytes = Vec::new();
    usize::try_from(len)
        .ok()
        .and_then(|len| bytes.try_reserve_exact(len).ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    loop {
        let left = len - bytes.len() as u64;
        let read = file.by_ref().take(left.min(PART)).read_to_end(&mut bytes)?;
        if read == 0 {
            break;
        }
        if let Some(sum) = bytes_read {
            sum.fetch_add(read as u64, Relaxed);
        }
    }
    Ok(bytes)
}
