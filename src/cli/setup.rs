//! What several commands begin with: the file, the text, the threads, the kernels.

use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::gguf::{Gguf, OpenOptions};
use crate::isa::{Isa, Level};
use crate::model::tokenizer::{Tokenizer, Vocab};
use crate::model::{CacheType, Model, Pool, Session, SessionOptions, system};

use super::output::{Failure, byte_progress, status};
use super::rope::RopeArgs;

/// Options of every command that computes.
#[derive(clap::Args)]
pub struct Compute {
    /// Threads; those beyond the processors rest [default: the physical cores that this process may use]
    #[arg(short, long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Force the kernels of a level, as `isa` lists them: scalar, generic, avx2, avx2-asm, neon, ...
    #[arg(long, value_name = "LEVEL")]
    pub isa: Option<Level>,
}

/// Options of every command that runs a model.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// The GGUF file
    #[arg(short, long, value_name = "FILE")]
    pub model: PathBuf,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// How a model is run.
#[derive(clap::Args)]
pub struct RuntimeArgs {
    #[command(flatten)]
    pub compute: Compute,
    /// Tokens that are computed together at most
    #[arg(short, long, value_name = "N", default_value = "512")]
    pub batch: NonZeroUsize,
    /// Threads of batches: prefill (also -tb); the same as -t where not given
    #[arg(long, value_name = "N")]
    pub threads_batch: Option<NonZeroUsize>,
    /// Cache keys as f16, q8_0 or f32 (also -ctk)
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    pub cache_type_k: CacheType,
    /// Cache values as f16, q8_0 or f32 (also -ctv); the same as the keys
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    pub cache_type_v: CacheType,
    /// Read the file into memory instead of mapping it
    #[arg(long)]
    pub no_mmap: bool,
    #[command(flatten)]
    pub rope: RopeArgs,
}

/// A text from the command line, a file, or stdin.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct TextArgs {
    /// The text; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Read the text from a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl TextArgs {
    /// The text.
    pub fn read(&self) -> Result<String, Failure> {
        match (&self.prompt, &self.file) {
            (Some(text), _) if text == "-" => read_stdin(),
            (Some(text), _) => Ok(text.clone()),
            (None, Some(path)) => read_file(path),
            (None, None) => Err(Failure::Usage("give a text with -p or -f".into())),
        }
    }
}

/// All of stdin, as text.
pub fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|e| Failure::Failed(format!("cannot read stdin as UTF-8 text: {e}")))?;
    Ok(text)
}

/// A file, as text.
pub fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| {
        Failure::Failed(format!("{}: cannot read it as UTF-8 text: {e}", path.display()))
    })
}

impl Compute {
    /// The level asked for, or the best.
    pub fn isa(&self) -> Result<Isa, Failure> {
        self.isa.map_or_else(|| Ok(Isa::detect()), |level| Isa::force(level).map_err(Failure::of))
    }

    /// The threads asked for, or as many as suit the machine.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(system::default_threads)
    }

    /// A pool of that many threads.
    pub fn pool(&self) -> Result<Pool, Failure> {
        self.pool_of_at_least(NonZeroUsize::MIN)
    }

    /// As [`pool`](Self::pool), with at least so many.
    fn pool_of_at_least(&self, threads: NonZeroUsize) -> Result<Pool, Failure> {
        let threads = self.threads().max(threads);
        Pool::new(threads).map_err(|e| {
            Failure::Failed(format!("cannot start {threads} threads: {e}; choose fewer with -t"))
        })
    }
}

/// A model with what runs it.
pub struct Loaded {
    /// Threads of single tokens, and of batches.
    pub threads: [NonZeroUsize; 2],
    pub model: Model,
    pub pool: Pool,
    pub session: SessionOptions,
    pub load_time: Duration,
}

impl ModelArgs {
    /// Loads the model, and says on stderr what it will run on.
    pub fn load(&self, context: Option<NonZeroUsize>) -> Result<Loaded, Failure> {
        self.runtime.load(&self.model, context, watch_interrupts()?)
    }

    /// Loads another model, to run on the same kernels.
    pub fn load_beside(&self, loaded: &Loaded, path: &Path) -> Result<Model, Failure> {
        let file = open(path, !self.runtime.no_mmap)?;
        Model::load(file, loaded.model.kernels().isa()).map_err(Failure::of)
    }
}

impl RuntimeArgs {
    /// Loads a model, and says on stderr what it will run on.
    pub fn load(
        &self,
        path: &Path,
        context: Option<NonZeroUsize>,
        cancel: Arc<AtomicBool>,
    ) -> Result<Loaded, Failure> {
        if self.cache_type_k != self.cache_type_v {
            return Err(Failure::Usage(format!(
                "keys are cached as {} and values as {}: give both options the same type",
                self.cache_type_k, self.cache_type_v
            )));
        }
        let isa = self.compute.isa()?;
        let decode_threads = self.compute.threads();
        let batch_threads = self.threads_batch.unwrap_or(decode_threads);
        let pool = self.compute.pool_of_at_least(batch_threads)?;
        let start = Instant::now();
        let file = open(path, !self.no_mmap)?;
        let model = Model::load_with(file, isa, &self.rope.options()?)?;
        let session = SessionOptions {
            context: context.map(NonZeroUsize::get),
            cache: self.cache_type_k,
            batch: self.batch.get(),
            cancel: Some(cancel),
            decode_threads: Some(decode_threads),
            batch_threads: Some(batch_threads),
            stats: false,
        };
        let threads = if batch_threads == decode_threads {
            format!("{decode_threads} threads")
        } else {
            format!("{decode_threads} threads ({batch_threads} for batches)")
        };
        status(format_args!(
            "{}: {}, {threads}, {} kernels",
            path.display(),
            model.config().architecture,
            isa.level()
        ));
        Ok(Loaded {
            threads: [decode_threads, batch_threads],
            model,
            pool,
            session,
            load_time: start.elapsed(),
        })
    }
}

impl Loaded {
    /// Room for a text. A computation that SIGINT ends gives [`Failure::Interrupted`].
    pub fn session(&self) -> Result<Session<'_>, Failure> {
        Session::new(&self.model, &self.pool, &self.session).map_err(Failure::from)
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer, Failure> {
        tokenizer(self.model.file())
    }
}

/// Opens a file; shows how far it is where it must be read and that takes a while.
pub fn open(path: &Path, mmap: bool) -> Result<Gguf, Failure> {
    /// Before this, nobody asks; then, so often.
    const WAIT: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(50)];
    if mmap {
        return Gguf::open(path, &OpenOptions::default()).map_err(Failure::of);
    }
    let bytes_read = Arc::new(AtomicU64::new(0));
    let options =
        OpenOptions { mmap, bytes_read: Some(Arc::clone(&bytes_read)), ..OpenOptions::default() };
    std::thread::scope(|scope| {
        let (done, end) = mpsc::channel::<()>();
        scope.spawn(move || {
            if end.recv_timeout(WAIT[0]) != Err(mpsc::RecvTimeoutError::Timeout) {
                return;
            }
            let bar = byte_progress(path.metadata().map_or(0, |file| file.len()), "load");
            while end.recv_timeout(WAIT[1]) == Err(mpsc::RecvTimeoutError::Timeout) {
                bar.set_position(bytes_read.load(Relaxed));
            }
            bar.finish_and_clear();
        });
        let opened = Gguf::open(path, &options);
        drop(done);
        opened.map_err(Failure::of)
    })
}

/// The tokenizer that a file describes.
pub fn tokenizer(file: &Gguf) -> Result<Tokenizer, Failure> {
    let named = |error: &dyn std::fmt::Display| {
        let path = file.path().map(|p| p.display().to_string()).unwrap_or_default();
        let message = error.to_string();
        let known = message.starts_with(&path);
        Failure::Failed(if known { message } else { format!("{path}: {message}") })
    };
    let vocab = Vocab::from_gguf(file).map_err(|e| named(&e))?;
    Tokenizer::new(vocab).map_err(|e| named(&e))
}

/// From now on, a first SIGINT sets the flag that is returned, and a second ends the process.
pub fn watch_interrupts() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let handler = move || {
        if flag.swap(true, Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler)
        .map_err(|e| Failure::Failed(format!("cannot watch SIGINT: {e}")))?;
    Ok(interrupted)
}
