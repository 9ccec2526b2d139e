//! Continuations of texts by the tiny models.
#![cfg(feature = "driver")]

mod pieces;
mod speculation;
mod stopping;

use std::num::NonZeroUsize;

use quintile::model::{Model, Pool, Session, SessionOptions};

/// Models of every architecture.
const MODELS: [&str; 4] = ["llama-linear", "llama-3", "qwen2", "gemma3"];

fn model(name: &str) -> Model {
    Model::open(format!("tests/data/tiny/{name}.gguf")).unwrap()
}

fn pool(threads: usize) -> Pool {
    Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap()
}

fn session<'m>(model: &'m Model, pool: &'m Pool) -> Session<'m> {
    Session::new(model, pool, &SessionOptions::default()).unwrap()
}

/// Tokens of some text or other.
fn prompt(len: usize, seed: u32) -> Vec<u32> {
    (0..len as u32).map(|i| (i * 37 + seed * 101 + i * i * 7) % 250 + 3).collect()
}

/// Whether an emulator makes every case slow: `QUINTILE_CASES` is the share of the random cases, in percent.
fn emulated() -> bool {
    std::env::var("QUINTILE_CASES").is_ok_and(|n| n.parse::<u32>().is_ok_and(|n| n < 100))
}
