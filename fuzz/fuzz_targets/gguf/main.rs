//! Any bytes as a model file: what reads it refuses it in one line, or everything it offers works.
//!
//! Bytes that begin with the magic are the file; any others say how a sound model is to be damaged,
//! which gets far past what random bytes reach. See `fuzz/README.md`.
#![no_main]

mod damage;

use std::num::NonZeroUsize;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quintile::gguf::{Gguf, Limits};
use quintile::isa::Isa;
use quintile::model::tokenizer::{DecodeOptions, EncodeOptions, Tokenizer, Vocab};
use quintile::model::{CacheType, Model, Pool, Session, SessionOptions};

fuzz_target!(|bytes: &[u8]| {
    let file = if bytes.starts_with(b"GGUF") { bytes.to_vec() } else { damage::model(bytes) };
    match Gguf::from_bytes(file, &Limits::default()) {
        Ok(file) => {
            inspect(&file);
            tokenize(&file);
            run(file);
        }
        Err(error) => one_line(&error),
    }
});

fn one_line(error: &dyn std::fmt::Display) {
    let message = error.to_string();
    assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
}

fn inspect(file: &Gguf) {
    for (key, value) in file.metadata().iter() {
        assert!(file.metadata().get(key).is_some());
        value.to_string();
    }
    for info in file.tensors() {
        assert_eq!(file.tensor_bytes(info).len() as u64, info.size);
        let Ok(tensor) = file.tensor(&info.name) else {
            assert!(info.format.is_none());
            continue;
        };
        let last: Vec<usize> = tensor.dims().iter().rev().map(|size| size - 1).collect();
        let row = tensor.row(tensor.rows() - 1).expect("the last row");
        let element = tensor.at(&last).expect("the last element");
        assert_eq!(row.last().map(|v| v.to_bits()), Some(element.to_bits()));
    }
}

fn tokenize(file: &Gguf) {
    let vocab = match Vocab::from_gguf(file) {
        Ok(vocab) => vocab,
        Err(error) => return one_line(&error),
    };
    match Tokenizer::new(vocab) {
        Ok(tokenizer) => {
            let options = EncodeOptions { add_special: true, parse_special: true };
            let ids = tokenizer.encode("ab a<s> \u{e9}\n", options);
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_len()));
            tokenizer.decode(&ids, DecodeOptions { special: true });
        }
        Err(error) => one_line(&error),
    }
}

fn run(file: Gguf) {
    static POOL: LazyLock<Pool> =
        LazyLock::new(|| Pool::new(NonZeroUsize::MIN).expect("one thread"));
    // The kernels' definitions: their bounds are checked by the language.
    let isa = Isa::force(quintile::isa::Level::Scalar).expect("there is always the definition");
    let model = match Model::load(file, isa) {
        Ok(model) => model,
        Err(error) => return one_line(&error),
    };
    // A file of a few kilobytes cannot make this slow: whatever is large is bounded by its tensors.
    let options = SessionOptions { context: Some(2), cache: CacheType::F32, ..Default::default() };
    match Session::new(&model, &POOL, &options) {
        Ok(mut session) => {
            let last = model.config().vocab as u32 - 1;
            session.forward(&[0, last]).expect("two tokens of the vocabulary, room for two");
            assert_eq!(session.logits().len(), model.config().vocab);
        }
        Err(error) => one_line(&error),
    }
}
