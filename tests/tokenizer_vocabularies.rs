//! Real vocabularies: the texts that llama.cpp checks its tokenizers with, random text, and text
//! that is hard to be fast on.
//!
//! Runs on the GGUF files in the folder that `QUINTILE_VOCABULARIES` names; see
//! `tests/data/tokenizer/README.md`. Without it the output says that nothing was tested.
#![cfg(feature = "driver")]

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use quickcheck::{Arbitrary, Gen};
use quintile::gguf::{Gguf, OpenOptions};
use quintile::model::tokenizer::{DecodeOptions, EncodeOptions, Tokenizer, Utf8Stream, Vocab};

/// The vocabularies whose texts must come out as in llama.cpp.
const NAMES: [&str; 11] = [
    "gpt-2",
    "llama-bpe",
    "llama-spm",
    "qwen2",
    "phi-3",
    "deepseek-llm",
    "deepseek-coder",
    "starcoder",
    "refact",
    "falcon",
    "mpt",
];
const SENTENCE_PIECE: [&str; 2] = ["llama-spm", "phi-3"];

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const ADD: EncodeOptions = EncodeOptions { add_special: true, parse_special: false };
const PARSE: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };
const HIDE: DecodeOptions = DecodeOptions { special: false };
const SHOW: DecodeOptions = DecodeOptions { special: true };

/// Calls `check` for every vocabulary, with its file.
fn for_each_vocabulary(check: impl Fn(&str, &Path, &Tokenizer)) {
    let Some(folder) = std::env::var_os("QUINTILE_VOCABULARIES").map(PathBuf::from) else {
        // Even where the test harness shows no output of tests that pass.
        let why = "SKIPPED tokenizer vocabulary test: QUINTILE_VOCABULARIES is not set";
        return writeln!(stderr(), "{why}").expect("stderr takes a line");
    };
    for name in NAMES {
        let path = folder.join(format!("ggml-vocab-{name}.gguf"));
        let file = Gguf::open(&path, &OpenOptions::default()).unwrap();
        let tokenizer = Tokenizer::new(Vocab::from_gguf(&file).unwrap()).unwrap();
        check(name, &path, &tokenizer);
    }
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = Utf8Stream::default();
    let text: String = ids.iter().map(|&id| stream.push(tokenizer.token_bytes(id))).collect();
    text + &stream.flush()
}

#[test]
fn every_reference_text_has_the_reference_tokens_and_comes_back_from_them() {
    for_each_vocabulary(|name, path, tokenizer| {
        let beside = |extension: &str| {
            let path = format!("{}.{extension}", path.display());
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
        };
        let (texts, tokens) = (beside("inp"), beside("out"));
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        // The last text is empty, and so is the last line.
        let tokens: Vec<&str> = tokens.split('\n').collect();
        assert_eq!(texts.len(), tokens.len(), "{name}");
        assert!(texts.len() > 40, "{name}");
        for (text, tokens) in texts.into_iter().zip(tokens) {
            let expected: Vec<u32> =
                tokens.split_whitespace().map(|id| id.parse().unwrap()).collect();
            assert_eq!(tokenizer.encode(text, PLAIN), expected, "{name}: {text:?}");
            for options in [HIDE, SHOW] {
                assert_eq!(tokenizer.decode(&expected, options), text.as_bytes(), "{name}");
            }
            let added = tokenizer.encode(text, ADD);
            assert_eq!(tokenizer.decode(&added, HIDE), text.as_bytes(), "{name}");
            let implied = SENTENCE_PIECE.contains(&name) && !text.is_empty();
            let prefix = if implied { " " } else { "" };
            assert_eq!(streamed(tokenizer, &expected), format!("{prefix}{text}"), "{name}");
        }
    });
}

/// The bytes of UTF-8 that a vocabulary lacks: no token of it holds them, and so they are lost.
fn lacks(name: &str, byte: u8) -> bool {
    match name {
        "starcoder" | "refact" => byte == 0xf1,
        "falcon" => {
            matches!(byte, 3..=5 | 0x0b | 0x11 | 0x13..=0x17 | 0x19 | 0x1c..=0x1e | 0xf2)
        }
        _ => false,
    }
}

#[test]
fn random_text_comes_back_but_for_bytes_that_no_token_has() {
    for_each_vocabulary(|name, _, tokenizer| {
        let mut random = Gen::new(200);
        for _ in 0..300 {
            let text = String::arbitrary(&mut random);
            let sentence_piece = SENTENCE_PIECE.contains(&name);
            // SentencePiece writes spaces as U+2581, and so cannot tell the two apart.
            let known = if sentence_piece { text.replace('▁', " ") } else { text.clone() };
            let known: Vec<u8> = known.bytes().filter(|&byte| !lacks(name, byte)).collect();
            let ids = tokenizer.encode(&text, PLAIN);
            assert!(tokenizer.decode(&ids, HIDE) == known, "{name}: {text:?}");
            if !sentence_piece {
                assert_eq!(streamed(tokenizer, &ids), String::from_utf8_lossy(&known), "{name}");
                let ids = tokenizer.encode(&text, PARSE);
                assert!(tokenizer.decode(&ids, SHOW) == known, "{name}: {text:?}");
            }
        }
    });
}

#[test]
fn a_megabyte_of_anything_takes_less_than_two_seconds() {
    let runs = [
        "a",
        " ",
        "🚀",
        "\n",
        "\r\n",
        "\t",
        "a b ",
        "7",
        "0123456789",
        ".",
        "'s",
        "<",
        "<|im_end|>",
        "<|endoftext|>",
        "</s>",
        "中",
        "\u{301}",
        "a\u{301}\u{20dd}",
        "👩\u{200d}",
        "\u{fffd}",
        "▁",
        "The quick brown fox, 1969. ",
    ];
    for_each_vocabulary(|name, _, tokenizer| {
        for run in runs {
            let text = run.repeat((1 << 20) / run.len());
            let start = Instant::now();
            let ids = tokenizer.encode(&text, PARSE);
            let limit = if cfg!(debug_assertions) { 20 } else { 2 };
            assert!(start.elapsed().as_secs() < limit, "{name}, {run:?}: {:?}", start.elapsed());
            assert!(!ids.is_empty());
        }
    });
}
