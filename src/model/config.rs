//! What the metadata of a file say about its architecture.

mod architecture;
mod experts;
mod reader;
mod rope;

use crate::gguf::Gguf;
use crate::kernels::elementwise::RopePairs;

use super::Error;

pub use architecture::Architecture;
pub(super) use architecture::Gate;
pub use experts::ExpertConfig;
use reader::Reader;
pub(super) use reader::error;
pub use rope::{RopeConfig, RopeOptions, RopeScaling};

/// The hyper-parameters, checked against each other.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the names are the field's
#[non_exhaustive]
pub struct Config {
    pub architecture: Architecture,
    pub layers: usize,
    pub embedding: usize,
    /// Values between a gate and the way down; of a mixture, `experts` has them.
    pub feed_forward: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocab: usize,
    /// Positions that the model was trained for.
    pub context_length: usize,
    /// Epsilon of the RMS norms.
    pub norm_epsilon: f32,
    /// What scores are multiplied by.
    pub attention_scale: f32,
    /// What scores do not exceed: `cap · tanh(s / cap)`.
    pub attention_soft_cap: Option<f32>,
    /// The same of logits.
    pub logit_soft_cap: Option<f32>,
    /// How much queries grow each time that their position passes a multiple of the original context, by its logarithm:
    /// `1 + t ln(1 + ⌊position / original⌋)`.
    pub attention_temperature: Option<f32>,
    pub rope: RopeConfig,
    /// Keys that a layer with a sliding window sees, the query's own among them.
    pub window: Option<usize>,
    /// Which layers have the window.
    pub windowed: Vec<bool>,
    /// The mixture that feed-forward networks are, where they are one.
    pub experts: Option<ExpertConfig>,
    pub(crate) rope_pairs: RopePairs,
    pub(crate) gate: Gate,
    pub(crate) embedding_scale: Option<f32>,
}

impl Config {
    /// Reads the metadata of `file`.
    pub(super) fn new(file: &Gguf, options: &RopeOptions) -> Result<Config, Error> {
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
        let context_length = reader
            .optional_count_up_to("context_length", u32::MAX.into())?
            .ok_or_else(|| reader.missing("context_length"))?;
        let epsilon = "attention.layer_norm_rms_epsilon";
        let experts = ExpertConfig::new(&reader)?;
        let window = reader.window()?;
        let attention_scale = match reader.positive("attention.scale")? {
            Some(scale) => scale,
            None => {
                1.0 / (architecture.scaled_by(layers, head_dim, embedding / heads) as f32).sqrt()
            }
        };
        let [score_cap, logit_cap] = architecture.soft_caps();
        let temperature = match architecture {
            Architecture::Mistral3 => {
                reader.number_where("attention.temperature_scale", "that is not negative", |x| {
                    x >= 0.0
                })?
            }
            _ => None,
        };
        Ok(Config {
            architecture,
            layers,
            embedding,
            feed_forward: match &experts {
                None => reader.count("feed_forward_length")?,
                Some(experts) => experts.feed_forward,
            },
            heads,
            kv_heads,
            head_dim,
            vocab: reader.vocab(embedding)?,
            context_length,
            norm_epsilon: reader
                .number_where(epsilon, "that is not negative", |x| x >= 0.0)?
                .ok_or_else(|| reader.missing(epsilon))?,
            attention_scale,
            attention_soft_cap: reader.soft_cap("attn_logit_softcapping", score_cap)?,
            logit_soft_cap: reader.soft_cap("final_logit_softcapping", logit_cap)?,
            attention_temperature: temperature.filter(|&x| x > 0.0),
            rope: RopeConfig::new(&reader, head_dim, context_length, options)?,
            window,
            windowed: reader.windowed(window, layers)?,
            experts,
            rope_pairs: architecture.rope_pairs(),
            gate: architecture.gate(),
            embedding_scale: architecture.is_gemma().then(|| (embedding as f32).sqrt()),
        })
    }

    /// Whether a layer sees only a window of keys.
    pub(crate) fn has_window(&self, layer: usize) -> bool {
        self.windowed[layer]
    }

    /// Which of the two rotations a layer has: that of layers that see everything, or that of a window; or none.
    pub(crate) fn rotation(&self, layer: usize) -> Option<usize> {
        let own = self.rope.window_base.is_some() && self.has_window(layer);
        self.architecture.rotates(layer).then_some(usize::from(own))
    }

    /// What the queries of a position are multiplied by.
    pub(crate) fn query_scale(&self, position: usize) -> f32 {
        match self.attention_temperature {
            None => self.attention_scale,
            Some(temperature) => {
                let times = position / self.rope.original_context;
                let growth = 1.0 + f64::from(temperature) * libm::log1p(times as f64);
                (f64::from(self.attention_scale) * growth) as f32
            }
        }
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
