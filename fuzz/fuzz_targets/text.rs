//! Any text through the tokenizers of small models: tokens of the vocabulary, and the same bytes back.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quintile::gguf::{Gguf, Limits};
use quintile::model::tokenizer::{DecodeOptions, EncodeOptions, Tokenizer, Vocab};

fn tokenizer(file: &[u8]) -> Tokenizer {
    let file = Gguf::from_bytes(file.to_vec(), &Limits::default()).expect("a sound file");
    Tokenizer::new(Vocab::from_gguf(&file).expect("a sound vocabulary")).expect("a known tokenizer")
}

/// By merges of pairs of bytes, the first [`BYTES`], and by scores.
static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let files: [&[u8]; 5] = [
        include_bytes!("../../tests/data/tiny/qwen2-narrow.gguf"),
        include_bytes!("../../tests/data/tiny/llama-3.gguf"),
        include_bytes!("../../tests/data/tiny/smollm3.gguf"),
        include_bytes!("../../tests/data/tiny/mistral.gguf"),
        include_bytes!("../../tests/data/tiny/gemma3.gguf"),
    ];
    files.map(tokenizer).into()
});

const BYTES: usize = 3;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    let which = usize::from(choice) % TOKENIZERS.len();
    let tokenizer = &TOKENIZERS[which];
    let text = String::from_utf8_lossy(text);
    let options =
        EncodeOptions { add_special: choice & 0x80 != 0, parse_special: choice & 0x40 != 0 };
    let ids = tokenizer.encode(&text, options);
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_len()));
    let back = tokenizer.decode(&ids, DecodeOptions { special: true });
    if which < BYTES && !options.add_special {
        assert_eq!(back, text.as_bytes(), "{text:?} is {ids:?}");
    }
    let spans = tokenizer.control_spans(&text);
    assert!(spans.iter().all(|span| text.get(span.clone()).is_some()));
});
