//! Output of a given form, from models whose logits are random: only the form makes it what it is.
#![cfg(feature = "constrained")]

use std::num::NonZeroUsize;

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::model::grammar::{Form, Grammar};
use quintile::model::tokenizer::{EncodeOptions, Tokenizer, Vocab};
use quintile::model::{Model, Pool, Sampler, SamplerOptions, Session, SessionOptions};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["llama-linear", "qwen2", "gemma3"];

fn model(name: &str) -> Model {
    let path = format!("{}/tests/data/tiny/{name}.gguf", env!("CARGO_MANIFEST_DIR"));
    let file = Gguf::open(path.as_ref(), &OpenOptions::default()).unwrap();
    Model::load(file, Isa::detect()).unwrap()
}

fn tokenizer(model: &Model) -> Tokenizer {
    Tokenizer::new(Vocab::from_gguf(model.file()).unwrap()).unwrap()
}

/// What a model writes of a form, in at most so many tokens, and whether it is complete.
fn write(model: &Model, form: Form<'_>, tokens: usize, seed: u64) -> (String, bool) {
    let tokenizer = tokenizer(model);
    let mut grammar = Grammar::new(form, &tokenizer).unwrap();
    let pool = Pool::new(NonZeroUsize::MIN).unwrap();
    let options = SessionOptions { context: Some(tokens + 16), ..SessionOptions::default() };
    let mut session = Session::new(model, &pool, &options).unwrap();
    let mut sampler = Sampler::new(SamplerOptions {
        temperature: 3.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed,
        ..Default::default()
    })
    .unwrap();
    let mut history = tokenizer.encode("the", EncodeOptions::default());
    let start = history.len();
    session.forward(&history).unwrap();
    for left in (1..=tokens).rev() {
        let logits = session.logits();
        let token = grammar.choose(&mut sampler, model.kernels(), logits, &history, left).unwrap();
        if tokenizer.is_end_of_generation(token) {
            break;
        }
        history.push(token);
        session.forward(&[token]).unwrap();
    }
    let bytes: Vec<u8> =
        history[start..].iter().flat_map(|&id| tokenizer.token_bytes(id)).copied().collect();
    (String::from_utf8_lossy(&bytes).into_owned(), grammar.is_complete())
}

fn schemas() -> [Value; 5] {
    [
        json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"], "additionalProperties": false}),
        json!({"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 5}),
        json!({"enum": ["red", "green", {"x": 1}]}),
        json!({"type": "object", "properties": {"list": {"type": "array", "items": {"$ref": "#/$defs/point"}, "minItems": 1}},
            "required": ["list"], "additionalProperties": false,
            "$defs": {"point": {"type": "object", "properties": {"x": {"type": "boolean"}, "y": {"type": ["null", "string"]}},
                "required": ["x", "y"], "additionalProperties": false}}}),
        json!({"type": "string", "pattern": "^[a-c]{2,4}-[0-9]+$"}),
    ]
}

/// Whether a value is one of the schema of that number.
fn fits(number: usize, value: &Value) -> bool {
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    match number {
        0 => {
            value["name"].is_string()
                && value["age"].is_number()
                && keys(value).is_some_and(|k| k.len() == 2)
        }
        1 => value
            .as_array()
            .is_some_and(|l| (3..=5).contains(&l.len()) && l.iter().all(Value::is_number)),
        2 => value == "red" || value == "green" || *value == json!({"x": 1}),
        3 => value["list"].as_array().is_some_and(|list| {
            let point = |p: &Value| p["x"].is_boolean() && (p["y"].is_null() || p["y"].is_string());
            !list.is_empty() && list.iter().all(point)
        }),
        _ => value.as_str().is_some_and(|text| {
            let (letters, digits) = text.split_once('-').unwrap_or(("", ""));
            (2..=4).contains(&letters.len())
                && letters.chars().all(|c| ('a'..='c').contains(&c))
                && !digits.is_empty()
                && digits.chars().all(|c| c.is_ascii_digit())
        }),
    }
}

#[test]
fn random_logits_write_json_that_fits_its_schema_even_where_few_tokens_are_left() {
    for name in MODELS {
        let model = model(name);
        for (number, schema) in schemas().iter().enumerate() {
            for (tokens, seed) in [(100, 1), (60, 2)] {
                let (text, complete) = write(&model, Form::JsonSchema(schema), tokens, seed);
                let value = serde_json::from_str(&text);
                let value: Value =
                    value.unwrap_or_else(|e| panic!("{name} {schema}: {e}: {text:?}"));
                assert!(complete && fits(number, &value), "{name} {schema}: {text:?}");
            }
        }
    }
}

#[test]
fn grammars_in_both_notations_are_followed() {
    let model = model("llama-linear");
    let gbnf = "root ::= (\"yes\" | no-way) \"!\"{1,2}\nno-way ::= \"no\" [a-c]+ # a comment\n";
    let lark = "start: (\"yes\" | no) /!{1,2}/\nno: \"no\" /[a-c]+/\n";
    for form in [Form::of_grammar(gbnf), Form::of_grammar(lark)] {
        for seed in 0..4 {
            let (text, complete) = write(&model, form, 30, seed);
            let rest = text.trim_end_matches('!');
            let marks = text.len() - rest.len();
            let letters = rest.strip_prefix("no").unwrap_or("");
            let no = !letters.is_empty() && letters.chars().all(|c| ('a'..='c').contains(&c));
            assert!(complete && (1..=2).contains(&marks) && (rest == "yes" || no), "{text:?}");
        }
    }
}

#[test]
fn what_cannot_be_compiled_is_an_error() {
    let tokenizer = tokenizer(&model("qwen2"));
    for form in [
        Form::JsonSchema(&json!({"type": "no such type"})),
        Form::Lark("start: \"a"),
        Form::Lark("start: missing"),
        Form::Gbnf("root ::= missing"),
        Form::Gbnf("x ::= \"a\""),
    ] {
        let error = Grammar::new(form, &tokenizer).err().map(|e| e.to_string());
        assert!(error.is_some_and(|e| !e.is_empty()), "{form:?}");
    }
}

#[test]
fn a_form_tells_how_short_its_output_can_be() {
    let tokenizer = tokenizer(&model("qwen2"));
    let grammar = Grammar::new(Form::Gbnf("root ::= \"!!!!\" \"?\"*"), &tokenizer).unwrap();
    assert_eq!(grammar.shortest(), Some(4));
}
