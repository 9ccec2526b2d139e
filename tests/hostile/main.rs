//! Hostile models: files that contradict themselves, damaged files, numbers that are none. Each is an error
//! of one line, or a correct load; never a panic, and never slow.
#![cfg(feature = "driver")]

mod budgets;
mod contradictions;
mod edit;
mod mutants;
mod numbers;

use std::num::NonZeroUsize;

use quintile::gguf::{Gguf, Limits};
use quintile::isa::Isa;
use quintile::model::tokenizer::{EncodeOptions, Tokenizer, Vocab};
use quintile::model::{Model, Pool, Sampler, SamplerOptions, Session, SessionOptions};

/// One tiny model of each architecture that has metadata or tensors of its own.
const MODELS: [&str; 7] =
    ["llama-linear", "qwen2", "gemma3", "mistral3", "phi3", "qwen2moe", "gemma2"];

/// Loads all that a run would, and tokenizes a word.
fn load(bytes: Vec<u8>) -> Result<Model, String> {
    let file = Gguf::from_bytes(bytes, &Limits::default()).map_err(|e| e.to_string())?;
    let vocab = Vocab::from_gguf(&file).map_err(|e| e.to_string())?;
    let tokenizer = Tokenizer::new(vocab).map_err(|e| e.to_string())?;
    tokenizer.encode("the word", EncodeOptions { add_special: true, parse_special: true });
    Model::load(file, Isa::detect()).map_err(|e| e.to_string())
}

/// Runs three tokens and draws the next one in two ways; the logits.
fn run(model: &Model) -> Vec<f32> {
    let pool = Pool::new(NonZeroUsize::MIN).unwrap();
    let options = SessionOptions { context: Some(4), ..SessionOptions::default() };
    let mut session = Session::new(model, &pool, &options).unwrap();
    session.forward(&[1, 70, 300]).unwrap();
    let logits = session.logits().to_vec();
    for temperature in [0.0, 0.8] {
        let options = SamplerOptions { temperature, seed: 1, ..SamplerOptions::default() };
        let mut sampler = Sampler::new(options).unwrap();
        let token = sampler.sample(model.kernels(), &mut logits.clone(), &[1, 70, 300]);
        assert!((token as usize) < logits.len(), "token {token} of {}", logits.len());
    }
    logits
}
