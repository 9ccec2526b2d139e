//! A model: the file, its configuration, and where its tensors lie.

mod finder;

use std::ops::Range;
use std::sync::OnceLock;

use crate::formats::Format;
use crate::gguf::{Gguf, TensorInfo};
use crate::isa::Isa;
use crate::kernels::Kernels;
use crate::matmul::Weights;

use super::rope::Frequencies;
use super::{Config, Error, RopeOptions};
use finder::{Finder, Size};

/// A model that can be run: a file, checked against what its metadata say.
pub struct Model {
    file: Gguf,
    config: Config,
    kernels: Kernels,
    pub(super) embedding: Matrix,
    pub(super) layers: Vec<Layer>,
    pub(super) output_norm: Vec<f32>,
    pub(super) output: Matrix,
    /// Frequencies of layers that see everything, and of those with a window.
    pub(super) rope: [Frequencies; 2],
    /// Instead of the first, in contexts beyond the original one; where the model has such.
    long_rope: Option<Frequencies>,
    /// Once somebody has asked for it.
    pub(super) fingerprint: OnceLock<u64>,
}

/// A matrix of the file, or some rows of one: its number there, and its shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    pub tensor: usize,
    format: Format,
    /// Rows of the tensor before the first.
    before: usize,
    pub rows: usize,
    pub k: usize,
}

/// One layer's tensors; the small ones as f32.
pub(super) struct Layer {
    pub attention_norm: Vec<f32>,
    pub query: Matrix,
    pub key: Matrix,
    pub value: Matrix,
    pub query_bias: Option<Vec<f32>>,
    pub key_bias: Option<Vec<f32>>,
    pub value_bias: Option<Vec<f32>>,
    pub query_norm: Option<Vec<f32>>,
    pub key_norm: Option<Vec<f32>>,
    pub attention_output: Matrix,
    pub post_attention_norm: Option<Vec<f32>>,
    pub feed_forward_norm: Vec<f32>,
    pub feed_forward: FeedForward,
    pub post_feed_forward_norm: Option<Vec<f32>>,
}

/// What follows attention.
pub(super) enum FeedForward {
    Dense(Gated),
    Experts(Experts),
}

/// `down(f(gate(x)) · up(x))`.
pub(super) struct Gated {
    pub gate: Matrix,
    pub up: Matrix,
    pub down: Matrix,
}

/// Networks of which a router chooses some for each token.
pub(super) struct Experts {
    /// A row for each expert.
    pub router: Matrix,
    /// Those of all experts, one below the other.
    pub all: Gated,
    pub shared: Option<Shared>,
}

/// The network that every token passes.
pub(super) struct Shared {
    /// One row: how much of it is added.
    pub gate: Matrix,
    pub network: Gated,
}

impl Model {
    /// Checks that the file holds a model that can be run, and finds its tensors. The weights stay
    /// where they are; `isa` chooses the kernels.
    ///
    /// # Errors
    /// If the metadata or the tensors are not those of a model that can be run: which, and why.
    pub fn load(file: Gguf, isa: Isa) -> Result<Model, Error> {
        Self::load_with(file, isa, &RopeOptions::default())
    }

    /// As [`load`](Self::load), with another rotation than the file asks for: a longer context.
    ///
    /// # Errors
    /// As [`load`](Self::load), and if the options make no sense.
    pub fn load_with(file: Gguf, isa: Isa, options: &RopeOptions) -> Result<Model, Error> {
        let config = Config::new(&file, options)?;
        let c = &config;
        let finder = Finder::new(&file, c);
        finder.no_layer_beyond(c.layers)?;
        let width = Size(c.embedding, "embedding_length");
        let vocab = Size(c.vocab, "rows of token_embd.weight");
        let layers = (0..c.layers).map(|i| finder.layer(i)).collect::<Result<_, Error>>()?;
        let embedding = finder.matrix("token_embd.weight", vocab, width)?;
        let output = match finder.find("output.weight") {
            Some(_) => finder.matrix("output.weight", vocab, width)?,
            None => embedding, // tied
        };
        let pairs = Size(c.rope.dims / 2, "rope.dimension_count / 2");
        let factors = |name: &str, needed| finder.vector_if(needed, name, pairs);
        let long = factors("rope_factors_long.weight", false)?;
        let short = factors("rope_factors_short.weight", long.is_some())?;
        let plain = factors("rope_freqs.weight", false)?.or(short);
        let rope = [
            Frequencies::new(&c.rope, plain.as_deref()),
            Frequencies::plain(c.rope.dims, c.rope.window_base.unwrap_or(c.rope.base)),
        ];
        let long_rope = long.map(|factors| Frequencies::new(&c.rope, Some(&factors)));
        let output_norm = finder.vector("output_norm.weight", width)?;
        Ok(Model {
            embedding,
            layers,
            output_norm,
            output,
            rope,
            long_rope,
            kernels: Kernels::new(isa),
            config,
            file,
            fingerprint: OnceLock::new(),
        })
    }

    /// The file.
    pub fn file(&self) -> &Gguf {
        &self.file
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The kernels that the model runs on.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// The frequencies of layers that see everything, and of those with a window, in a context of so many positions.
    pub(super) fn frequencies(&self, context: usize) -> [&Frequencies; 2] {
        let [plain, window] = &self.rope;
        [self.long_frequencies(context).unwrap_or(plain), window]
    }

    /// Those that a context of so many positions takes instead, if it is so long and the model has such.
    pub(super) fn long_frequencies(&self, context: usize) -> Option<&Frequencies> {
        self.long_rope.as_ref().filter(|_| context > self.config.rope.original_context)
    }

    /// Bytes of weights that one decoded token reads: every tensor, but of the embedding table one
    /// row where the output has a matrix of its own, and of experts as many as it passes.
    pub fn weight_bytes(&self) -> u64 {
        let all: u64 = self.file.tensors().iter().map(|t| self.share(t, t.size)).sum();
        if self.output.tensor == self.embedding.tensor {
            all
        } else {
            all - self.file.tensors()[self.embedding.tensor].size
        }
    }

    /// Multiply-adds by weights that reading so many tokens takes: every matrix for each of them, but that of the
    /// logits for the last one alone.
    pub fn weight_products(&self, tokens: u64) -> u64 {
        let elements = |t: &TensorInfo| t.dims.iter().map(|&d| d as u64).product::<u64>();
        let tensors = self.file.tensors();
        let (output, embedding) = (self.output.tensor, self.embedding.tensor);
        let matrices = tensors
            .iter()
            .enumerate()
            .filter(|(i, t)| ![output, embedding].contains(i) && t.dims.len() > 1);
        tokens * matrices.map(|(_, t)| self.share(t, elements(t))).sum::<u64>()
            + elements(&tensors[output])
    }

    /// What a token passes of so much of a tensor: of experts, those that are chosen.
    fn share(&self, tensor: &TensorInfo, all: u64) -> u64 {
        match &self.config.experts {
            Some(experts) if tensor.dims.len() == 3 => {
                all / experts.count as u64 * experts.used as u64
            }
            _ => all,
        }
    }

    /// Elements of all tensors.
    pub fn parameters(&self) -> u64 {
        let elements = |t: &TensorInfo| t.dims.iter().map(|&d| d as u64).product::<u64>();
        self.file.tensors().iter().map(elements).sum()
    }

    /// The weights of a matrix, in place.
    pub(super) fn weights(&self, matrix: &Matrix) -> Weights<'_> {
        let Matrix { format, before, rows, k, .. } = *matrix;
        let bytes = self.file.tensor_bytes(&self.file.tensors()[matrix.tensor]);
        let all = bytes.len() / format.row_bytes(k).unwrap_or(1).max(1);
        let whole = Weights::new(format, all, k, bytes).expect("checked when loaded");
        whole.part(before..before + rows)
    }
}

impl Matrix {
    pub fn format(&self) -> Format {
        self.format
    }

    /// Some of the rows.
    fn part(&self, rows: Range<usize>) -> Matrix {
        debug_assert!(rows.end <= self.rows);
        Matrix { before: self.before + rows.start, rows: rows.len(), ..*self }
    }
}
