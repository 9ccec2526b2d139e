//! What the metadata of a file say about its architecture.

use std::fmt;

use crate::gguf::{Gguf, Quoted, Value};
use crate::kernels::Kernels;
use crate::kernels::elementwise::RopePairs;

use super::Error;

/// An architecture that the driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// Llama 1 to 3, and what follows its layout (SmolLM2).
    Llama,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Gemma 3, its text part: norms after each half of a layer too, and on queries and keys; a
    /// sliding window in most layers.
    Gemma3,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Architecture; 3] = [Self::Llama, Self::Qwen2, Self::Gemma3];

    /// Its name in `general.architecture`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Gemma3 => "gemma3",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The gate's activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Silu,
    Gelu,
}

impl Gate {
    /// `gate = f(gate) · up`.
    pub(super) fn apply(self, kernels: &Kernels, gate: &mut [f32], up: &[f32]) {
        match self {
            Gate::Silu => kernels.silu_mul(gate, up),
            Gate::Gelu => kernels.gelu_mul(gate, up),
        }
    }
}

/// The hyper-parameters, checked against each other.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the names are the field's
#[non_exhaustive]
pub struct Config {
    pub architecture: Architecture,
    pub layers: usize,
    pub embedding: usize,
    pub feed_forward: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocab: usize,
    /// Positions that the model was trained for.
    pub context_length: usize,
    /// Epsilon of the RMS norms.
    pub norm_epsilon: f32,
    /// Elements of a head that are rotated.
    pub rope_dims: usize,
    pub rope_base: f32,
    /// Divides every position; 1 for none.
    pub rope_scale: f32,
    /// The base of layers with a sliding window; they are not scaled.
    pub rope_base_window: f32,
    /// Keys that a layer with a sliding window sees, the query's own among them.
    pub window: Option<usize>,
    /// Which layers have the window.
    pub windowed: Vec<bool>,
    pub(crate) rope_pairs: RopePairs,
    pub(crate) gate: Gate,
    pub(crate) embedding_scale: Option<f32>,
}

impl Config {
    /// Reads the metadata of `file`.
    pub(super) fn new(file: &Gguf) -> Result<Config, Error> {
        let reader = Reader::new(file)?;
        let architecture = reader.architecture;
        let layers = reader.count("block_count")?;
        let embedding = reader.count("embedding_length")?;
        let heads = reader.count("attention.head_count")?;
        let kv_heads = reader.optional_count("attention.head_count_kv")?.unwrap_or(heads);
        if heads % kv_heads != 0 {
            return Err(reader.error(format!(
                "`{architecture}.attention.head_count` is {heads}, no multiple of \
                 `attention.head_count_kv`, {kv_heads}"
            )));
        }
        let head_dim = match reader.optional_count("attention.key_length")? {
            Some(n) => n,
            None if embedding % heads == 0 => embedding / heads,
            None => {
                return Err(reader.error(format!(
                    "`{architecture}.embedding_length` is {embedding}, no multiple of \
                     `attention.head_count`, {heads}, and there is no `attention.key_length`"
                )));
            }
        };
        let value_dim = reader.optional_count("attention.value_length")?.unwrap_or(head_dim);
        if value_dim != head_dim {
            return Err(reader.error(format!(
                "`{architecture}.attention.value_length` is {value_dim}; only the key length, \
                 {head_dim}, is supported"
            )));
        }
        let rope_dims = reader.optional_count("rope.dimension_count")?;
        if rope_dims.is_none() && head_dim % 2 != 0 {
            return Err(reader.error(format!(
                "heads have {head_dim} elements; expected an even number, or \
                 `{architecture}.rope.dimension_count`"
            )));
        }
        let rope_dims = rope_dims.unwrap_or(head_dim);
        if rope_dims > head_dim || rope_dims % 2 != 0 {
            return Err(reader.error(format!(
                "`{architecture}.rope.dimension_count` is {rope_dims}; expected an even number up \
                 to the head's {head_dim}"
            )));
        }
        reader.no_experts()?;
        let gemma = architecture == Architecture::Gemma3;
        let window = if gemma { reader.optional_count("attention.sliding_window")? } else { None };
        let config = Config {
            architecture,
            layers,
            embedding,
            feed_forward: reader.count("feed_forward_length")?,
            heads,
            kv_heads,
            head_dim,
            vocab: reader.vocab(embedding)?,
            context_length: reader
                .optional_count_up_to("context_length", u32::MAX.into())?
                .ok_or_else(|| reader.missing("context_length"))?,
            norm_epsilon: reader
                .number("attention.layer_norm_rms_epsilon")?
                .ok_or_else(|| reader.missing("attention.layer_norm_rms_epsilon"))?,
            rope_dims,
            rope_base: reader.number("rope.freq_base")?.unwrap_or(10_000.0),
            rope_scale: reader.rope_scale()?,
            rope_base_window: reader.number("rope.freq_base_swa")?.unwrap_or(10_000.0),
            window,
            windowed: reader.windowed(window, layers)?,
            rope_pairs: match architecture {
                Architecture::Llama => RopePairs::Neighbours,
                Architecture::Qwen2 | Architecture::Gemma3 => RopePairs::Halves,
            },
            gate: if gemma { Gate::Gelu } else { Gate::Silu },
            embedding_scale: gemma.then(|| (embedding as f32).sqrt()),
        };
        let epsilon = config.norm_epsilon;
        if !(epsilon.is_finite() && epsilon >= 0.0) {
            return Err(reader.error(format!(
                "`{architecture}.attention.layer_norm_rms_epsilon` is {epsilon}; expected a finite \
                 number that is not negative"
            )));
        }
        for (name, base) in
            [("rope.freq_base", config.rope_base), ("rope.freq_base_swa", config.rope_base_window)]
        {
            if !(base.is_finite() && base > 0.0) {
                return Err(reader.error(format!(
                    "`{architecture}.{name}` is {base}; expected a finite number above 0"
                )));
            }
        }
        Ok(config)
    }

    /// Whether a layer sees only a window of keys.
    pub(crate) fn has_window(&self, layer: usize) -> bool {
        self.windowed[layer]
    }

    /// Length of all query heads.
    pub(crate) fn query_len(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Length of all key heads, and of all value heads.
    pub(crate) fn kv_len(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// Reads keys below the architecture's name.
struct Reader<'a> {
    file: &'a Gguf,
    architecture: Architecture,
}

/// Above any real hyper-parameter but the context's length, and small enough that products of three
/// fit 64 bits.
const LARGEST_COUNT: u64 = 1 << 21;

impl<'a> Reader<'a> {
    fn new(file: &'a Gguf) -> Result<Self, Error> {
        let name = file
            .metadata()
            .str("general.architecture")?
            .ok_or_else(|| error(file, "`general.architecture` is missing".into()))?;
        let architecture = Architecture::ALL.into_iter().find(|a| a.name() == name);
        let architecture = architecture.ok_or_else(|| {
            let known = Architecture::ALL.map(Architecture::name).join(", ");
            error(
                file,
                format!("architecture {} is not supported; supported are {known}", Quoted(name)),
            )
        })?;
        Ok(Reader { file, architecture })
    }

    fn error(&self, message: String) -> Error {
        error(self.file, message)
    }

    fn missing(&self, key: &str) -> Error {
        self.error(format!("`{}.{key}` is missing", self.architecture))
    }

    fn optional_count(&self, key: &str) -> Result<Option<usize>, Error> {
        self.optional_count_up_to(key, LARGEST_COUNT)
    }

    fn optional_count_up_to(&self, key: &str, largest: u64) -> Result<Option<usize>, Error> {
        let key = format!("{}.{key}", self.architecture);
        match self.file.metadata().u64(&key)? {
            Some(n) if (1..=largest).contains(&n) => Ok(Some(n as usize)),
            Some(n) => Err(self.error(format!("`{key}` is {n}; expected 1 to {largest}"))),
            None => Ok(None),
        }
    }

    fn count(&self, key: &str) -> Result<usize, Error> {
        self.optional_count(key)?.ok_or_else(|| self.missing(key))
    }

    fn no_experts(&self) -> Result<(), Error> {
        let key = format!("{}.expert_count", self.architecture);
        match self.file.metadata().u64(&key)? {
            None | Some(0) => Ok(()),
            Some(n) => Err(self.error(format!(
                "`{key}` is {n}; expected 0: mixtures of experts are not supported"
            ))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f32>, Error> {
        Ok(self.file.metadata().f32(&format!("{}.{key}", self.architecture))?)
    }

    /// The rows of the embedding table, which has one for each token of the vocabulary, if the file
    /// has that too.
    fn vocab(&self, embedding: usize) -> Result<usize, Error> {
        const TOKENS: &str = "tokenizer.ggml.tokens";
        let table = self.file.tensor_info("token_embd.weight");
        let table =
            table.ok_or_else(|| self.error("the tensor `token_embd.weight` is missing".into()))?;
        let [k, vocab] = table.dims[..] else {
            let dims = &table.dims;
            return Err(self.error(format!(
                "the tensor `token_embd.weight` has the dims {dims:?}; expected two"
            )));
        };
        if k != embedding {
            return Err(self.error(format!(
                "`{}.embedding_length` is {embedding}; a row of the tensor `token_embd.weight` has \
                 {k} elements",
                self.architecture
            )));
        }
        match self.file.metadata().str_array(TOKENS)? {
            Some(tokens) if tokens.len() != vocab => Err(self.error(format!(
                "`{TOKENS}` has {} tokens; the tensor `token_embd.weight` has {vocab} rows",
                tokens.len()
            ))),
            _ => Ok(vocab),
        }
    }

    /// Which layers have the window: by the file, a flag for each, or of so many layers all but the last.
    fn windowed(&self, window: Option<usize>, layers: usize) -> Result<Vec<bool>, Error> {
        let key = "attention.sliding_window_pattern";
        let name = format!("{}.{key}", self.architecture);
        if window.is_none() {
            return Ok(vec![false; layers]);
        }
        if let Some(Value::Array(_)) = self.file.metadata().get(&name) {
            let flags = self.file.metadata().bool_array(&name)?.unwrap_or_default();
            if flags.len() != layers {
                return Err(self.error(format!(
                    "`{name}` has {} flags; expected one for each of {layers} layers",
                    flags.len()
                )));
            }
            return Ok(flags.to_vec());
        }
        let pattern = self.optional_count(key)?.unwrap_or(6);
        Ok((0..layers).map(|layer| layer % pattern != pattern - 1).collect())
    }

    fn rope_scale(&self) -> Result<f32, Error> {
        let key = format!("{}.rope.scaling.type", self.architecture);
        // The older key, and a factor without a type, mean linear scaling.
        let factor = match self.number("rope.scaling.factor")? {
            None => self.number("rope.scale_linear")?,
            factor => factor,
        };
        match (self.file.metadata().str(&key)?, factor) {
            // A factor of 0 is how some writers say none.
            (Some("none"), _) | (None, None | Some(0.0)) => Ok(1.0),
            (None | Some("linear"), Some(factor)) if factor.is_finite() && factor > 0.0 => {
                Ok(factor)
            }
            (None | Some("linear"), Some(factor)) => Err(self.error(format!(
                "`{}.rope.scaling.factor` is {factor}; expected a finite number above 0",
                self.architecture
            ))),
            (Some("linear"), None) => Err(self.missing("rope.scaling.factor")),
            (Some(other), _) => Err(self.error(format!(
                "`{key}` is {}; supported are `none` and `linear`, and llama-3 factors in \
                 the tensor `rope_freqs.weight`",
                Quoted(other)
            ))),
        }
    }
}

pub(super) fn error(file: &Gguf, message: String) -> Error {
    let file = file.path().map_or_else(|| "model".into(), |p| p.display().to_string());
    Error::Model { file, message }
}
