//! Any JSON as a conversation and as a schema, and any text as a grammar: taken, or refused with a message.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quintile::gguf::{Gguf, Limits};
use quintile::model::chat::{ChatTemplate, Conversation, SpecialTexts};
use quintile::model::grammar::{Form, Grammar};
use quintile::model::tokenizer::{Tokenizer, Vocab};

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let file = include_bytes!("../../tests/data/tiny/qwen2-narrow.gguf").to_vec();
    let file = Gguf::from_bytes(file, &Limits::default()).expect("a sound file");
    Tokenizer::new(Vocab::from_gguf(&file).expect("a sound vocabulary")).expect("a known tokenizer")
});
static TEMPLATE: LazyLock<ChatTemplate> = LazyLock::new(|| {
    let source = include_str!("../../tests/data/chat/templates/gemma-2.jinja");
    ChatTemplate::new(source, &SpecialTexts::default()).expect("a sound template")
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match choice % 3 {
        0 => {
            let Ok(json) = serde_json::from_str(text) else { return };
            match Conversation::from_json(json) {
                Ok(conversation) => drop(TEMPLATE.render(&conversation)),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        1 => {
            let Ok(schema) = serde_json::from_str(text) else { return };
            grammar(Form::JsonSchema(&schema));
        }
        _ => grammar(Form::of_grammar(text)),
    }
});

fn grammar(form: Form<'_>) {
    match Grammar::new(form, &TOKENIZER) {
        Ok(mut grammar) => {
            grammar.is_complete();
            grammar.shortest();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
