//! The driver: a transformer over the kernels, as thin as it can be while it runs real files.
//!
//! A [`Model`] is a file and what it says; a [`Session`] is one text in progress: its cache and its
//! scratch memory. The forward pass gives the same bits for any number of threads and any division of
//! the tokens into batches. A [`Generator`] continues a text, token by token:
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
mod cache;
mod columns;
mod config;
mod divide;
mod layer;
mod open;
mod rope;
mod session;
mod stop;
mod threads;
mod weights;
mod workspaces;

pub mod generate;
pub mod pool;
pub mod sampler;
pub mod speculate;
pub mod stats;
pub mod system;
pub mod tokenizer;
pub mod trace;

pub use cache::CacheType;
pub use config::{Architecture, Config};
pub use generate::{Finish, GenerateOptions, Generator, Piece, generate};
pub use open::LoadOptions;
pub use pool::Pool;
pub use sampler::{Sampler, SamplerOptions};
pub use session::{Session, SessionOptions};
pub use weights::Model;

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
    /// The time of [`Session::set_deadline`] has come: the batch at hand was given up.
    #[error("the deadline has passed")]
    Deadline,
    /// A session cannot be made as asked for.
    #[error("{0}")]
    Session(String),
    /// A token that the vocabulary does not have.
    #[error("token {token} is outside the vocabulary of {vocab}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens in the vocabulary.
        vocab: usize,
    },
}
