//! The tokens of real vocabularies against those that llama.cpp makes: see
//! `tests/data/tokenizer/README.md`.
//!
//! Runs where the environment variable `QUINTILE_MODELS` names the folder with the models that
//! `scripts/fetch-models.py` fetches; a model that is not there is skipped, and the output says so.
#![cfg(feature = "driver")]

use std::io::{Write, stderr};
use std::path::Path;
use std::time::Instant;

use quintile::gguf::{Gguf, OpenOptions};
use quintile::model::tokenizer::{DecodeOptions, EncodeOptions, Tokenizer, Utf8Stream, Vocab};
use serde_json::Value;

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const SPECIAL: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };

fn reference() -> Value {
    let text = include_str!("data/tokenizer/reference.json");
    serde_json::from_str(text).expect("reference.json is JSON")
}

/// Says so even where the test harness shows no output of tests that pass.
fn skipped(why: &str) {
    writeln!(stderr(), "SKIPPED tokenizer reference test: {why}").expect("stderr takes a line");
}

/// Calls `check` for every model that is here, with its number in the reference.
fn for_each_model(check: impl Fn(usize, &str, &Tokenizer)) {
    let Some(folder) = std::env::var_os("QUINTILE_MODELS") else {
        return skipped("QUINTILE_MODELS is not set");
    };
    for (index, name) in reference()["models"].as_array().unwrap().iter().enumerate() {
        let name = name.as_str().unwrap();
        let path = Path::new(&folder).join(name);
        if !path.exists() {
            skipped(&format!("there is no {}", path.display()));
            continue;
        }
        let file = Gguf::open(&path, &OpenOptions::default()).unwrap();
        let tokenizer = Tokenizer::new(Vocab::from_gguf(&file).unwrap()).unwrap();
        check(index, name, &tokenizer);
    }
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn real_vocabularies_give_the_reference_tokens() {
    for_each_model(|index, name, tokenizer| {
        let reference = reference();
        let cases = reference["cases"].as_array().unwrap();
        for case in cases {
            let text = case["text"].as_str().unwrap();
            for (options, expected) in [(PLAIN, &case["plain"]), (SPECIAL, &case["special"])] {
                let found = tokenizer.encode(text, options);
                assert_eq!(found, ids(&expected[index]), "{name}, {options:?}: {text:?}");
            }
        }
        eprintln!("{name}: {} texts", cases.len());
    });
}

#[test]
fn decoding_gives_the_text_back_whole_and_streamed() {
    for_each_model(|index, name, tokenizer| {
        for case in reference()["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            // SentencePiece writes spaces as U+2581, and so cannot tell the two apart.
            let text = match name.starts_with("gemma") {
                true => text.replace('\u{2581}', " "),
                false => text.to_owned(),
            };
            let ids = ids(&case["plain"][index]);
            let decoded = tokenizer.decode(&ids, DecodeOptions::default());
            assert_eq!(String::from_utf8(decoded).unwrap(), text, "{name}");

            let mut stream = Utf8Stream::default();
            let streamed: String =
                ids.iter().map(|&id| stream.push(tokenizer.token_bytes(id))).collect();
            assert_eq!(streamed + &stream.flush(), text, "{name}");
        }
    });
}

#[test]
fn chat_models_end_their_turns() {
    for_each_model(|index, name, tokenizer| {
        let turn_end = ["<|im_end|>", "<|im_end|>", "<end_of_turn>"][index];
        let options = EncodeOptions { add_special: false, parse_special: true };
        let ids = tokenizer.encode(turn_end, options);
        assert_eq!(ids.len(), 1, "{name}");
        assert_eq!(tokenizer.eot(), Some(ids[0]), "{name}");
        assert!(tokenizer.is_end_of_generation(ids[0]) && tokenizer.is_control(ids[0]), "{name}");
        assert!(tokenizer.eos().is_some_and(|eos| tokenizer.is_end_of_generation(eos)), "{name}");
    });
}

#[test]
fn a_megabyte_of_anything_takes_less_than_two_seconds() {
    for_each_model(|_, name, tokenizer| {
        for text in [
            "a",
            " ",
            "🚀",
            "\n",
            "\t",
            ".",
            "<",
            "7",
            "中",
            "<|im_end|",
            "The quick brown fox, 1969. ",
        ] {
            let text = text.repeat((1 << 20) / text.len());
            let start = Instant::now();
            let ids = tokenizer.encode(&text, SPECIAL);
            let limit = if cfg!(debug_assertions) { 20 } else { 2 };
            assert!(start.elapsed().as_secs() < limit, "{name}: {:?}", start.elapsed());
            assert_eq!(tokenizer.decode(&ids, DecodeOptions::default()), text.as_bytes());
        }
    });
}
