//! Vectors of texts: against PyTorch, and against themselves in any company.
#![cfg(feature = "driver")]

use std::num::NonZeroUsize;

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::model::embed::{Pooling, embed};
use quintile::model::{CacheType, Error, Model, Pool, Session, SessionOptions};
use serde_json::Value;

fn model() -> Model {
    let file = Gguf::open("tests/data/tiny/qwen3.gguf".as_ref(), &OpenOptions::default());
    Model::load(file.unwrap(), Isa::detect()).unwrap()
}

fn prompt() -> Vec<u32> {
    let index = std::fs::read_to_string("tests/data/tiny/index.json").unwrap();
    let index: Vec<Value> = serde_json::from_str(&index).unwrap();
    let entry = index.iter().find(|entry| entry["file"] == "qwen3.gguf").unwrap();
    serde_json::from_value(entry["prompt"].clone()).unwrap()
}

/// What the last norm gave in PyTorch, `[tokens, embedding]`: see `scripts/make_tiny_models.py`.
fn states(embedding: usize) -> Vec<Vec<f32>> {
    let bytes = std::fs::read("tests/data/tiny/qwen3.states.f32").unwrap();
    let numbers: Vec<f32> =
        bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    numbers.chunks(embedding).map(<[f32]>::to_vec).collect()
}

fn assert_near(got: &[f32], want: &[f32], what: &str) {
    let largest = want.iter().fold(0f32, |m, x| m.max(x.abs()));
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(got.len() == want.len() && worst <= 1e-4 * largest, "{what}: {worst} of {largest}");
}

#[test]
fn states_and_vectors_agree_with_pytorch() {
    let (model, prompt) = (model(), prompt());
    let embedding = model.config().embedding;
    let want = states(embedding);
    assert_eq!(want.len(), prompt.len());
    let pool = Pool::new(NonZeroUsize::new(2).unwrap()).unwrap();
    for batch in [1, 7, 512] {
        let options = SessionOptions { cache: CacheType::F32, batch, ..SessionOptions::default() };
        let mut session = Session::new(&model, &pool, &options).unwrap();
        let mut seen = 0;
        let each = |token: usize, state: &[f32]| {
            assert_near(state, &want[token], &format!("token {token}"));
            seen += 1;
        };
        session.forward_states(&prompt, each).unwrap();
        assert_eq!(seen, prompt.len());
        let last = embed(&mut session, &prompt, Pooling::Last).unwrap();
        assert_near(&last, &want[prompt.len() - 1], "last");
        let mean: Vec<f32> = (0..embedding)
            .map(|i| want.iter().map(|state| state[i]).sum::<f32>() / prompt.len() as f32)
            .collect();
        assert_near(&embed(&mut session, &prompt, Pooling::Mean).unwrap(), &mean, "mean");
    }
}

#[test]
fn a_vector_has_the_same_bits_after_other_texts_and_in_any_batches() {
    let (model, prompt) = (model(), prompt());
    let pool = Pool::new(NonZeroUsize::new(3).unwrap()).unwrap();
    for pooling in Pooling::ALL {
        let mut want = None;
        for batch in [1, 5, 512] {
            let options = SessionOptions { batch, ..SessionOptions::default() };
            let mut session = Session::new(&model, &pool, &options).unwrap();
            embed(&mut session, &prompt[..batch.min(9)], pooling).unwrap();
            let vector = embed(&mut session, &prompt, pooling).unwrap();
            assert_eq!(*want.get_or_insert(vector.clone()), vector, "{pooling}, batch {batch}");
        }
    }
}

#[test]
fn a_text_that_is_empty_or_too_long_is_refused() {
    let model = model();
    let pool = Pool::new(NonZeroUsize::MIN).unwrap();
    let options = SessionOptions { context: Some(4), ..SessionOptions::default() };
    let mut session = Session::new(&model, &pool, &options).unwrap();
    let error = embed(&mut session, &[], Pooling::Mean).unwrap_err().to_string();
    assert!(error.contains("without tokens"), "{error}");
    let error = embed(&mut session, &[1; 5], Pooling::Mean).unwrap_err();
    assert!(matches!(error, Error::ContextFull { .. }), "{error}");
}
