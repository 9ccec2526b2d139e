//! What a tokenizer costs to load.
#![cfg(feature = "driver")]

#[path = "gguf/allocation.rs"]
mod allocation;

use allocation::peak_during;
use quintile::model::tokenizer::{EncodeOptions, Tokenizer, Vocab};

/// As many tokens as gemma 3 has.
const TOKENS: usize = 1 << 18;

#[test]
fn a_quarter_of_a_million_tokens_take_less_than_64_bytes_each_beside_the_file() {
    let tokens: Vec<String> = (0..TOKENS).map(|id| format!("▁{id:x}")).collect();
    let scores: Vec<f32> = (0..TOKENS).map(|id| -(id as f32)).collect();
    let types = vec![1; TOKENS];
    let vocab = || Vocab {
        model: "llama".into(),
        tokens: tokens.iter().map(Into::into).collect(),
        scores: scores[..].into(),
        token_types: types[..].into(),
        add_bos: Some(false),
        ..Vocab::default()
    };
    let (tokenizer, peak) = peak_during(|| Tokenizer::new(vocab()).unwrap());
    assert_eq!(tokenizer.vocab_len(), TOKENS);
    assert!(peak < 64 * TOKENS, "{} bytes a token", peak / TOKENS);
}

#[test]
fn tokens_with_merges_take_less_than_128_bytes_each_beside_the_file() {
    // Every byte, then every pair of them, then pairs of these.
    let alphabet: Vec<String> = (0x21..=0x7e)
        .chain(0xa1..=0xac)
        .chain(0xae..=0x143)
        .map(|code| char::from_u32(code).unwrap().to_string())
        .collect();
    let mut tokens = alphabet.clone();
    let mut merges = Vec::new();
    'full: for left in &alphabet {
        for right in &alphabet {
            merges.push([left.as_str(), right].join(" "));
            tokens.push([left.as_str(), right].concat());
            if tokens.len() == 1 << 16 {
                break 'full;
            }
        }
    }
    let count = tokens.len();
    let vocab = || Vocab {
        model: "gpt2".into(),
        tokens: tokens.iter().map(Into::into).collect(),
        merges: merges.iter().map(Into::into).collect(),
        ..Vocab::default()
    };
    let (tokenizer, peak) = peak_during(|| Tokenizer::new(vocab()).unwrap());
    assert_eq!(tokenizer.encode("ab", EncodeOptions::default()).len(), 1);
    assert!(peak < 128 * count, "{} bytes a token", peak / count);
}
