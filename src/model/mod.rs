//! The driver: a transformer over the kernels, as thin as it can be while it runs real files.
//!
//! A [`Model`] is a file and what it says; a [`Session`] is one text in progress: its cache and its
//! scratch memory; a [`Context`] is several, which are computed together. The forward pass gives the same bits
//! for any number of threads, any division of the tokens into batches, and any neighbours in them.
//! A [`Generator`] continues a text, token by token:
//!
//! ```
//! use quintile::model::{GenerateOptions, Model, Pool, Sampler, Session, generate};
//!
//! let model = Model::open("tests/data/tiny/llama-linear.gguf")?;
//! let tokenizer = model.tokenizer()?;
//! let pool = Pool::new(2.try_into()?)?;
//! let mut session = Session::new(&model, &pool, &Default::default())?;
//! let mut sampler = Sampler::new(Default::default())?;
//! let options = GenerateOptions { max_tokens: 8, ..Default::default() };
//! for piece in generate(&mut session, &tokenizer, &mut sampler, "the and in on", options)? {
//!     print!("{}", piece?.text);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Threads
//! [`Model`], [`Pool`] and [`Tokenizer`](tokenizer::Tokenizer) are `Send` and `Sync`: share them. A [`Session`] is `Send`: it may move
//! from thread to thread, and is used by one at a time.

mod attend;
mod batch;
mod cache;
mod columns;
mod config;
mod context;
mod divide;
mod engine;
mod experts;
mod fingerprint;
mod layer;
mod open;
mod rope;
mod sequence;
mod session;
mod session_file;
mod stop;
mod threads;
mod weights;
mod workspaces;

#[cfg(feature = "chat")]
pub mod chat;
pub mod embed;
pub mod generate;
#[cfg(feature = "constrained")]
pub mod grammar;
pub mod pool;
pub mod sampler;
pub mod speculate;
pub mod stats;
pub mod system;
pub mod tokenizer;
pub mod trace;

pub use batch::{Batch, Logits, SequenceId};
pub use cache::CacheType;
pub use config::{Architecture, Config, ExpertConfig, RopeConfig, RopeOptions, RopeScaling};
pub use context::Context;
pub use generate::{Finish, GenerateOptions, Generator, Piece, generate};
pub use open::LoadOptions;
pub use pool::Pool;
pub use sampler::{Sampler, SamplerOptions};
pub use session::{Session, SessionOptions};
pub use weights::Model;

use std::path::PathBuf;

use crate::gguf;

/// Why a model cannot be loaded or a session cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file itself.
    #[error(transparent)]
    File(#[from] gguf::Error),
    /// The metadata or the tensors say something that cannot be run.
    #[error("{file}: {message}")]
    Model {
        /// The file's path, or how it was given.
        file: String,
        /// What is wrong, with the field and its value.
        message: String,
    },
    /// More tokens than the context has room for.
    #[error(
        "{tokens} tokens after {position} do not fit a context of {context}: choose a larger one, or a shorter text"
    )]
    ContextFull {
        /// Tokens to be added.
        tokens: usize,
        /// Positions already filled.
        position: usize,
        /// Positions in all.
        context: usize,
    },
    /// The flag in [`SessionOptions::cancel`] was set: the batch at hand was given up.
    #[error("cancelled")]
    Cancelled,
    /// A model cannot be loaded as asked for: an option makes no sense.
    #[error("{0}")]
    Options(String),
    /// The time of [`Session::set_deadline`] has come: the batch at hand was given up.
    #[error("the deadline has passed")]
    Deadline,
    /// A session cannot be made as asked for.
    #[error("{0}")]
    Session(String),
    /// One sequence of a batch cannot go on.
    #[error("sequence {sequence}: {error}")]
    Sequence {
        /// Which.
        sequence: SequenceId,
        /// Why.
        #[source]
        error: Box<Error>,
    },
    /// A file of a session that cannot be taken up: damaged, or not of this model, cache type or version.
    #[error("{}: {field}: found {found}, expected {expected}", file.display())]
    SessionFile {
        /// Its path.
        file: PathBuf,
        /// What of it is wrong.
        field: &'static str,
        /// What that is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A sequence that the context does not have, or no more.
    #[error("there is no sequence {0}, or no more")]
    NoSequence(SequenceId),
    /// A token that the vocabulary does not have.
    #[error("token {token} is outside the vocabulary of {vocab}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens in the vocabulary.
        vocab: usize,
    },
}
