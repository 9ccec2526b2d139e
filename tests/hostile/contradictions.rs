//! Metadata that disagree with the tensors, with the vocabulary or with themselves. `messages.txt` has what
//! each edit of each model leads to: the message, which names the field or the tensor, what it says and what
//! was expected; or `runs`, where the edit is sound.

use std::fmt::Write;
use std::path::Path;

use quintile::gguf::{Array, Strings, Value};

use super::edit::Parts;
use super::{MODELS, load, run};

/// Every edit of one model, with its name.
struct Edits {
    name: &'static str,
    arch: String,
    sound: Parts,
    lines: String,
}

impl Edits {
    fn of(name: &'static str) -> Edits {
        let sound = Parts::of(name);
        let arch = match sound.get("general.architecture") {
            Some(Value::String(arch)) => arch.clone(),
            other => panic!("{other:?}"),
        };
        Edits { name, arch, sound, lines: String::new() }
    }

    /// Notes what becomes of the model after `edit`.
    fn with(&mut self, what: &str, edit: impl FnOnce(&mut Parts)) {
        let mut parts = self.sound.clone();
        edit(&mut parts);
        let outcome = match load(parts.bytes()) {
            Ok(model) => {
                run(&model);
                "runs".to_owned()
            }
            Err(message) => message,
        };
        assert!(!outcome.contains(char::is_control), "{outcome:?}");
        writeln!(self.lines, "{}: {what}: {outcome}", self.name).unwrap();
    }

    /// A key of the architecture with another value.
    fn set(&mut self, key: &str, value: Value) {
        let full = match key.starts_with("tokenizer.") || key.starts_with("general.") {
            true => key.to_owned(),
            false => format!("{}.{key}", self.arch),
        };
        let what = format!("{key} = {value}");
        self.with(&what, |parts| parts.set(&full, value));
    }

    fn count(&self, key: &str) -> u32 {
        match self.sound.get(&format!("{}.{key}", self.arch)) {
            Some(&Value::U32(n)) => n,
            other => panic!("{key}: {other:?}"),
        }
    }
}

fn hyperparameters(edits: &mut Edits) {
    let heads = edits.count("attention.head_count");
    for n in [0, heads - 1, 2 * heads, u32::MAX] {
        edits.set("attention.head_count", Value::U32(n));
    }
    for n in [0, 2 * heads, heads, u32::MAX] {
        edits.set("attention.head_count_kv", Value::U32(n));
    }
    for key in ["attention.key_length", "attention.value_length"] {
        for n in [0, 18, 1 << 31] {
            edits.set(key, Value::U32(n));
        }
    }
    for key in ["embedding_length", "feed_forward_length", "block_count"] {
        let n = edits.count(key);
        for n in [0, n - 1, n + 1, 1 << 31] {
            edits.set(key, Value::U32(n));
        }
        edits.set(key, Value::U64(1 << 63));
    }
    edits.set("context_length", Value::U32(0));
    edits.set("context_length", Value::U64(1 << 63));
    edits.set("context_length", Value::U32(u32::MAX));
    for n in [0, 3, 128, 1 << 31] {
        edits.set("rope.dimension_count", Value::U32(n));
    }
    for x in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
        edits.set("rope.freq_base", Value::F32(x));
        edits.set("attention.layer_norm_rms_epsilon", Value::F32(x));
        edits.set("rope.scaling.factor", Value::F32(x));
    }
    edits.set("rope.freq_base_swa", Value::F32(f32::NAN));
    rotation(edits);
    experts(edits);
    edits.set("rope.scaling.type", Value::String("yarn\n".into()));
    for n in [0, 1, 1 << 31] {
        edits.set("attention.sliding_window", Value::U32(n));
    }
    let flags = Value::Array(Array::Bool(vec![true; 2]));
    edits.set("attention.sliding_window_pattern", flags);
    edits.set("expert_count", Value::U32(8));
    for key in ["block_count", "context_length", "rope.freq_base"] {
        let full = format!("{}.{key}", edits.arch);
        edits.with(&format!("no {key}"), |parts| parts.remove(&full));
    }
}

fn rotation(edits: &mut Edits) {
    edits.set("rope.scaling.type", Value::String("longrope".into()));
    edits.with("YaRN by 4", |parts| {
        let Some(Value::String(arch)) = parts.get("general.architecture").cloned() else { return };
        parts.set(&format!("{arch}.rope.scaling.type"), Value::String("yarn".into()));
        parts.set(&format!("{arch}.rope.scaling.factor"), Value::F32(4.0));
    });
    for n in [0, 1, u32::MAX] {
        edits.set("rope.scaling.original_context_length", Value::U32(n));
    }
    for key in ["attn_factor", "yarn_attn_factor", "yarn_log_multiplier", "yarn_ext_factor"] {
        for x in [f32::NAN, 0.0, -1.0, 2.0] {
            edits.set(&format!("rope.scaling.{key}"), Value::F32(x));
        }
    }
    for key in ["rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow", "attention.scale"] {
        for x in [f32::INFINITY, 0.0, -1.0] {
            edits.set(key, Value::F32(x));
        }
    }
    edits.set("attention.temperature_scale", Value::F32(-1.0));
    for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
        for x in [f32::NAN, 0.0, -1.0] {
            edits.set(key, Value::F32(x));
        }
    }
}

fn experts(edits: &mut Edits) {
    if edits.sound.get(&format!("{}.expert_count", edits.arch)).is_none() {
        return;
    }
    let n = edits.count("expert_count");
    for key in ["expert_count", "expert_used_count", "expert_feed_forward_length"] {
        for n in [0, 1, n, n + 1, 1 << 31] {
            edits.set(key, Value::U32(n));
        }
        let full = format!("{}.{key}", edits.arch);
        edits.with(&format!("no {key}"), |parts| parts.remove(&full));
    }
    edits.set("expert_shared_feed_forward_length", Value::U32(n));
    for x in [f32::NAN, 0.0, -1.0] {
        edits.set("expert_weights_scale", Value::F32(x));
    }
    edits.set("expert_weights_norm", Value::Bool(true));
    edits.set("expert_weights_norm", Value::U32(1));
}

fn values_of_another_type(edits: &mut Edits) {
    edits.set("block_count", Value::String("3".into()));
    edits.set("block_count", Value::I32(-1));
    edits.set("block_count", Value::F32(1.0));
    edits.set("block_count", Value::Bool(true));
    edits.set("attention.head_count", Value::Array(Array::I32(vec![1, 2])));
    edits.set("rope.freq_base", Value::U32(10_000));
    edits.set("rope.scaling.type", Value::U32(1));
    edits.set("general.architecture", Value::U32(0));
    edits.set("general.architecture", Value::String("mamba\u{1b}[2J\n".into()));
    edits.set("tokenizer.ggml.tokens", Value::Array(Array::I32(vec![0; 320])));
    edits.set("tokenizer.ggml.token_type", Value::Array(Array::F32(vec![1.0; 320])));
    edits.set("tokenizer.ggml.scores", Value::String("0".into()));
    edits.set("tokenizer.ggml.bos_token_id", Value::I32(-1));
    edits.set("tokenizer.ggml.add_bos_token", Value::U32(1));
}

fn vocabularies(edits: &mut Edits) {
    let Some(Value::Array(Array::String(tokens))) =
        edits.sound.get("tokenizer.ggml.tokens").cloned()
    else {
        panic!("tiny models have tokens");
    };
    let strings = |strings: Strings| Value::Array(Array::String(strings));
    let n = tokens.len();
    let mut other = |what: &str, key: &str, value: Value| {
        edits.with(what, |parts| parts.set(&format!("tokenizer.ggml.{key}"), value));
    };
    let fewer = strings(tokens.iter().take(n - 1).collect());
    let more = strings(tokens.iter().chain(["one more"]).collect());
    let twice = strings(tokens.iter().take(n - 1).chain([tokens.get(70).unwrap()]).collect());
    other("a token too many, and no types or scores", "tokens", more.clone());
    other("a token twice", "tokens", twice);
    other("no tokens", "tokens", strings(Strings::default()));
    other("a type too few", "token_type", Value::Array(Array::I32(vec![1; n - 1])));
    other("a score too many", "scores", Value::Array(Array::F32(vec![0.0; n + 1])));
    other("scores that are no numbers", "scores", Value::Array(Array::F32(vec![f32::NAN; n])));
    other("bytes of another form", "token_type", Value::Array(Array::I32(vec![6; n])));
    other("BOS beyond the tokens", "bos_token_id", Value::U32(n as u32));
    other("EOS beyond the tokens", "eos_token_id", Value::U32(u32::MAX));
    other("a merge of no tokens", "merges", strings(["th zz"].into_iter().collect()));
    other("a merge of one part", "merges", strings(["th"].into_iter().collect()));
    other("another kind", "model", Value::String("wordpiece\n".into()));
    other("another pre-tokenizer", "pre", Value::String("unheard-of\n".into()));
    for (what, tokens) in [("a token too few", fewer), ("a token too many", more)] {
        edits.with(&format!("{what}, and no types or scores"), |parts| {
            parts.set("tokenizer.ggml.tokens", tokens);
            parts.remove("tokenizer.ggml.token_type");
            parts.remove("tokenizer.ggml.scores");
            parts.set("tokenizer.ggml.eos_token_id", Value::U32(1));
            parts.set("tokenizer.ggml.bos_token_id", Value::U32(1));
        });
    }
}

fn tensors(edits: &mut Edits) {
    // The first layer stands for all, but for the very last tensors of the last layer.
    let names: Vec<String> = edits.sound.tensors.iter().map(|t| t.name.clone()).collect();
    for name in names.iter().filter(|name| !name.starts_with("blk.") || name.starts_with("blk.0."))
    {
        let missing = |parts: &mut Parts| parts.tensors.retain(|t| t.name != *name);
        edits.with(&format!("no {name}"), missing);
        if !edits.sound.tensor(name).dims.iter().is_sorted_by(|a, b| a == b) {
            edits.with(&format!("{name} transposed"), |parts| parts.tensor(name).dims.reverse());
        }
        edits.with(&format!("{name} a row short"), |parts| {
            let dims = &mut parts.tensor(name).dims;
            *dims.last_mut().unwrap() -= 1;
        });
    }
    // Where keys have no matrix of their own, the one that they are part of.
    let keys = ["blk.0.attn_k.weight", "blk.0.attn_qkv.weight"];
    let keys = keys.into_iter().find(|key| names.iter().any(|name| name == key));
    for name in ["token_embd.weight", keys.unwrap(), "blk.0.attn_norm.weight"] {
        edits.with(&format!("{name} of type I32"), |parts| parts.tensor(name).type_id = 26);
        edits.with(&format!("{name} of three dims"), |parts| {
            parts.tensor(name).dims.resize(3, 1);
        });
    }
}

#[test]
fn every_contradiction_has_its_message_or_is_sound() {
    let mut found = String::new();
    for name in MODELS {
        let mut edits = Edits::of(name);
        hyperparameters(&mut edits);
        values_of_another_type(&mut edits);
        vocabularies(&mut edits);
        tensors(&mut edits);
        found += &edits.lines;
    }
    let expected = Path::new("tests/hostile/messages.txt");
    // What was found is left here to be compared and, where it is better, copied.
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages.txt");
    std::fs::write(&copy, &found).unwrap();
    let expected = std::fs::read_to_string(expected).unwrap();
    let differ = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert_eq!(differ, None, "all messages: {}", copy.display());
    assert_eq!(expected.lines().count(), found.lines().count(), "{}", copy.display());
}
