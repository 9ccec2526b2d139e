//! Converts the tensors of a plan and writes the file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::{Entry, Error, Plan};
use crate::formats::Format;
use crate::gguf::{self, Builder, TensorInfo, Writer};
use crate::kernels::Kernels;
use crate::model::Pool;

/// Values that a thread converts at a time: blocks of every format divide them, and as f32 they fit
/// a cache of 256 KiB beside what they come from and what they become.
const CHUNK: usize = 1 << 14;

/// Values of which the result is held in memory, twice: one half is written while the other is
/// computed.
const BATCH: usize = 128 * CHUNK;

/// How a [`Plan`] is carried out.
#[derive(Clone, Copy, Default)]
pub struct WriteOptions<'a> {
    /// Bytes of a file at most; what does not fit one is split over several, as
    /// [`Builder::max_file_size`] says.
    pub max_file_size: Option<u64>,
    /// Called now and then with the bytes of the source that are done.
    pub progress: Option<&'a dyn Fn(u64)>,
    /// Ends the work soon after it is set, with [`Error::Cancelled`].
    pub cancel: Option<&'a AtomicBool>,
}

impl Plan<'_> {
    /// Metadata and tensors of the result.
    pub fn builder(&self) -> Builder<'_> {
        let mut builder = Builder::new();
        for (key, value) in self.metadata() {
            builder.metadata(key, value);
        }
        for entry in self.entries() {
            builder.tensor(entry.tensor.name.as_str(), entry.tensor.dims, entry.type_id());
        }
        builder
    }

    /// Writes the result to `path`, or to the files into which it is split, and returns the paths.
    ///
    /// The bytes are the same for all kernels and any number of threads. Files appear under their
    /// names only when they are complete: see [`Writer::finish`].
    ///
    /// # Errors
    /// [`Error::Value`] if a value that is to be converted is no finite number or becomes none,
    /// [`Error::Cancelled`], or what the [`Writer`] meets.
    pub fn write(
        &self,
        kernels: &Kernels,
        pool: &Pool,
        path: &Path,
        options: &WriteOptions<'_>,
    ) -> Result<Vec<PathBuf>, Error> {
        let mut builder = self.builder();
        if let Some(bytes) = options.max_file_size {
            builder.max_file_size(bytes);
        }
        let mut conversion = Conversion {
            plan: self,
            kernels,
            pool,
            options,
            output: Mutex::new(Output { writer: builder.create(path)?, error: None }),
            computed: Vec::new(),
            waiting: Vec::new(),
            done: 0,
        };
        for entry in self.entries() {
            match (entry.tensor.format, entry.target) {
                (Some(source), Some(target)) => conversion.convert(entry.tensor, source, target)?,
                _ => conversion.copy(entry)?,
            }
        }
        conversion.flush()?;
        let output = conversion.output.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(output.writer.finish()?)
    }
}

struct Conversion<'a> {
    plan: &'a Plan<'a>,
    kernels: &'a Kernels,
    pool: &'a Pool,
    options: &'a WriteOptions<'a>,
    output: Mutex<Output>,
    /// Where a batch is computed.
    computed: Vec<u8>,
    /// The batch before, which is still to be written.
    waiting: Vec<u8>,
    /// Bytes of the source.
    done: u64,
}

struct Output {
    writer: Writer,
    error: Option<gguf::Error>,
}

impl Output {
    /// Whichever thread writes, the first error is kept.
    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.writer.write(bytes).err();
        }
    }
}

impl Conversion<'_> {
    fn convert(
        &mut self,
        tensor: &TensorInfo,
        source: Format,
        target: Format,
    ) -> Result<(), Error> {
        // The reader has found the tensor to be whole blocks, and so has the plan for its target.
        let bytes_of =
            |format: Format, values: usize| values / format.block_len() * format.block_bytes();
        let bytes = self.plan.file().tensor_bytes(tensor);
        let total = tensor.dims.elements();
        for start in (0..total).step_by(BATCH) {
            let values = BATCH.min(total - start);
            let input = &bytes[bytes_of(source, start)..][..bytes_of(source, values)];
            self.computed.resize(bytes_of(target, values), 0);

            let bad = AtomicUsize::new(usize::MAX);
            let (output, waiting, kernels) = (&self.output, &self.waiting, self.kernels);
            let chunks = values.div_ceil(CHUNK);
            let parts: Vec<Mutex<&mut [u8]>> =
                self.computed.chunks_mut(bytes_of(target, CHUNK)).map(Mutex::new).collect();
            // The batch before is written by whoever comes first, while the others compute.
            self.pool.run(1 + chunks, |task| {
                let Some(i) = task.checked_sub(1) else {
                    return lock(output).write(waiting);
                };
                let len = CHUNK.min(values - i * CHUNK);
                let input = &input[bytes_of(source, i * CHUNK)..][..bytes_of(source, len)];
                let mut x = vec![0.0; len];
                source.dequantize(input, &mut x);
                if let Some(at) = first_unfit(&x, target) {
                    bad.fetch_min(i * CHUNK + at, Relaxed);
                }
                kernels.quantize_weights(target, &x, &mut lock(&parts[i]));
            });
            drop(parts);
            if bad.load(Relaxed) != usize::MAX {
                return Err(self.unfit(tensor, source, target, start + bad.load(Relaxed)));
            }
            self.waiting.clear();
            std::mem::swap(&mut self.computed, &mut self.waiting);
            self.advance(input.len())?;
        }
        Ok(())
    }

    fn copy(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        self.flush()?;
        for piece in self.plan.file().tensor_bytes(entry.tensor).chunks(BATCH) {
            lock(&self.output).write(piece);
            self.advance(piece.len())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        lock(&self.output).write(&self.waiting);
        self.waiting.clear();
        self.advance(0)
    }

    /// Counts bytes of the source, and ends if there is a reason.
    fn advance(&mut self, bytes: usize) -> Result<(), Error> {
        if let Some(error) = lock(&self.output).error.take() {
            return Err(error.into());
        }
        if self.options.cancel.is_some_and(|cancel| cancel.load(Relaxed)) {
            return Err(Error::Cancelled);
        }
        self.done += bytes as u64;
        if let Some(progress) = self.options.progress {
            progress(self.done);
        }
        Ok(())
    }

    #[cold]
    fn unfit(&self, tensor: &TensorInfo, source: Format, target: Format, at: usize) -> Error {
        let file = self.plan.file();
        let block = at / source.block_len();
        let bytes = &file.tensor_bytes(tensor)[block * source.block_bytes()..];
        let mut values = vec![0.0; source.block_len()];
        source.dequantize(&bytes[..source.block_bytes()], &mut values);
        let k = tensor.dims.k();
        Error::Value {
            file: file.shards()[tensor.shard].path().map(Into::into),
            tensor: tensor.name.clone(),
            row: at / k,
            column: at % k,
            found: values[at % source.block_len()],
            target,
        }
    }
}

/// The first value that `target` cannot stand for: NaN, infinity, and in F16 what rounds to infinity.
fn first_unfit(x: &[f32], target: Format) -> Option<usize> {
    /// Halfway between the greatest f16 and what would be the next; the tie goes to infinity.
    const BEYOND_F16: f32 = 65520.0;
    let limit = if target == Format::F16 { BEYOND_F16 } else { f32::INFINITY };
    let fits = |x: f32| x.abs() < limit;
    // Without an early end the loop is a few vector instructions.
    let all = x.iter().fold(true, |all, &x| all & fits(x));
    if all { None } else { x.iter().position(|&x| !fits(x)) }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic of another task ends the loop with that panic; nothing is written afterwards.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
