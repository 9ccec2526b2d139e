//! What the metadata says that decides about formats.

use super::error::Error;
use super::role::Role;
use crate::gguf::{Gguf, Metadata, Value};

/// The properties of a model on which rules depend.
pub(super) struct Traits {
    /// What messages call the file.
    file: String,
    /// Layers, all kinds of them.
    pub layers: usize,
    /// Query heads that share a key head in the first layer; 0 where it has none.
    pub heads_per_kv_head: u64,
    /// Whether feed-forward networks are of experts.
    pub experts: bool,
    /// The number of experts is eight, as in Mixtral.
    pub eight_experts: bool,
    /// Falcon, for which the mixtures have rules of their own.
    pub falcon: bool,
    /// One of the models of about 70 billion parameters with grouped queries.
    pub large: bool,
    /// The token embedding is the output layer as well.
    pub tied: bool,
    /// Tensors with the role of values.
    pub values: usize,
}

impl Traits {
    pub fn new(file: &Gguf) -> Result<Traits, Error> {
        let metadata = file.metadata();
        let architecture = metadata
            .str("general.architecture")?
            .ok_or_else(|| metadata.missing("general.architecture"))?;
        let key = |name: &str| format!("{architecture}.{name}");
        let layers = match metadata.u32(&key("block_count"))? {
            Some(n) => n as usize,
            // Image encoders: their layers are counted under other keys, and no rule fits them.
            None if architecture == "clip" => 0,
            None => return Err(metadata.missing(&key("block_count")).into()),
        };
        let heads = first_count(metadata, &key("attention.head_count"))?.unwrap_or(0);
        let kv_heads = first_count(metadata, &key("attention.head_count_kv"))?.unwrap_or(heads);
        let experts = metadata.u32(&key("expert_count"))?.unwrap_or(0);
        let large = match (architecture, layers) {
            ("llama" | "llama-embed", 80) => heads != kv_heads,
            ("qwen2" | "deci" | "olmo", 80) | ("jais2", 68) => true,
            _ => false,
        };
        let roles = || file.tensors().iter().map(|tensor| Role::of(&tensor.name));
        Ok(Traits {
            file: file.path().map_or_else(|| "model".into(), |path| path.display().to_string()),
            layers,
            heads_per_kv_head: heads.checked_div(kv_heads).unwrap_or(0),
            experts: experts > 1,
            eight_experts: experts == 8,
            falcon: architecture == "falcon",
            large,
            tied: !roles().any(|role| role == Role::Output),
            values: roles().filter(|&role| role == Role::Value).count(),
        })
    }

    /// The error that the tensor `name` is in no layer.
    pub fn no_layer(&self, name: &str) -> Error {
        Error::Layer { file: self.file.clone(), name: name.to_owned(), layers: self.layers }
    }
}

/// A count, or the first of one for each layer.
fn first_count(metadata: &Metadata, key: &str) -> Result<Option<u64>, Error> {
    let Some(Value::Array(array)) = metadata.get(key) else {
        return Ok(metadata.u64(key)?);
    };
    let first =
        array.integers().and_then(|mut counts| counts.next()).and_then(|n| n.try_into().ok());
    match first {
        Some(n) => Ok(Some(n)),
        None => Err(metadata.unexpected(key, "a count, or one for each layer").into()),
    }
}
