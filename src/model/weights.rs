//! A model: the file, its configuration, and where its tensors lie.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::formats::Format;
use crate::gguf::{Gguf, Quoted, TensorInfo};
use crate::isa::Isa;
use crate::kernels::Kernels;
use crate::matmul::Weights;

use super::config::error;
use super::rope::Frequencies;
use super::{Architecture, Config, Error};

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
    /// Once somebody has asked for it.
    pub(super) fingerprint: OnceLock<u64>,
}

/// A matrix of the file: its number there, and its shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    pub tensor: usize,
    format: Format,
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
    pub gate: Matrix,
    pub up: Matrix,
    pub down: Matrix,
    pub post_feed_forward_norm: Option<Vec<f32>>,
}

impl Model {
    /// Checks that the file holds a model that can be run, and finds its tensors. The weights stay
    /// where they are; `isa` chooses the kernels.
    pub fn load(file: Gguf, isa: Isa) -> Result<Model, Error> {
        let config = Config::new(&file)?;
        let c = &config;
        let finder = Finder::new(&file, c);
        finder.no_layer_beyond(c.layers)?;
        let width = Size(c.embedding, "embedding_length");
        let hidden = Size(c.feed_forward, "feed_forward_length");
        let query = Size(c.query_len(), "attention.head_count x key_length");
        let kv = Size(c.kv_len(), "attention.head_count_kv x key_length");
        let head = Size(c.head_dim, "key_length");
        let vocab = Size(c.vocab, "rows of token_embd.weight");
        let (qwen2, gemma3) =
            (c.architecture == Architecture::Qwen2, c.architecture == Architecture::Gemma3);
        let layers = (0..c.layers)
            .map(|i| {
                let name = |tensor: &str| format!("blk.{i}.{tensor}");
                Ok(Layer {
                    attention_norm: finder.vector(&name("attn_norm.weight"), width)?,
                    query: finder.matrix(&name("attn_q.weight"), query, width)?,
                    key: finder.matrix(&name("attn_k.weight"), kv, width)?,
                    value: finder.matrix(&name("attn_v.weight"), kv, width)?,
                    query_bias: finder.vector_if(qwen2, &name("attn_q.bias"), query)?,
                    key_bias: finder.vector_if(qwen2, &name("attn_k.bias"), kv)?,
                    value_bias: finder.vector_if(qwen2, &name("attn_v.bias"), kv)?,
                    query_norm: finder.vector_if(gemma3, &name("attn_q_norm.weight"), head)?,
                    key_norm: finder.vector_if(gemma3, &name("attn_k_norm.weight"), head)?,
                    attention_output: finder.matrix(&name("attn_output.weight"), width, query)?,
                    post_attention_norm: finder.vector_if(
                        gemma3,
                        &name("post_attention_norm.weight"),
                        width,
                    )?,
                    feed_forward_norm: finder.vector(&name("ffn_norm.weight"), width)?,
                    gate: finder.matrix(&name("ffn_gate.weight"), hidden, width)?,
                    up: finder.matrix(&name("ffn_up.weight"), hidden, width)?,
                    down: finder.matrix(&name("ffn_down.weight"), width, hidden)?,
                    post_feed_forward_norm: finder.vector_if(
                        gemma3,
                        &name("post_ffw_norm.weight"),
                        width,
                    )?,
                })
            })
            .collect::<Result<_, Error>>()?;
        let embedding = finder.matrix("token_embd.weight", vocab, width)?;
        let output = match finder.find("output.weight") {
            Some(_) => finder.matrix("output.weight", vocab, width)?,
            None => embedding, // tied
        };
        let pairs = Size(c.rope_dims / 2, "rope.dimension_count / 2");
        let factors = finder.vector_if(false, "rope_freqs.weight", pairs)?;
        let rope = [
            Frequencies::new(c.rope_dims, c.rope_base, c.rope_scale, factors.as_deref()),
            Frequencies::new(c.rope_dims, c.rope_base_window, 1.0, None),
        ];
        let output_norm = finder.vector("output_norm.weight", width)?;
        Ok(Model {
            embedding,
            layers,
            output_norm,
            output,
            rope,
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

    /// Bytes of weights that one decoded token reads: every tensor, but of the embedding table one
    /// row where the output has a matrix of its own.
    pub fn weight_bytes(&self) -> u64 {
        let all: u64 = self.file.tensors().iter().map(|t| t.size).sum();
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
        tokens * matrices.map(|(_, t)| elements(t)).sum::<u64>() + elements(&tensors[output])
    }

    /// Elements of all tensors.
    pub fn parameters(&self) -> u64 {
        let elements = |t: &TensorInfo| t.dims.iter().map(|&d| d as u64).product::<u64>();
        self.file.tensors().iter().map(elements).sum()
    }

    /// The weights of a matrix, in place.
    pub(super) fn weights(&self, matrix: &Matrix) -> Weights<'_> {
        let bytes = self.file.tensor_bytes(&self.file.tensors()[matrix.tensor]);
        Weights::new(matrix.format, matrix.rows, matrix.k, bytes).expect("checked when loaded")
    }
}

impl Matrix {
    pub fn format(&self) -> Format {
        self.format
    }
}

/// A size that the metadata imply, and the keys it follows from.
#[derive(Clone, Copy)]
struct Size(usize, &'static str);

/// Finds tensors by name and checks their shapes.
struct Finder<'a> {
    file: &'a Gguf,
    /// Numbers of the tensors.
    by_name: HashMap<&'a str, usize>,
    config: &'a Config,
}

impl<'a> Finder<'a> {
    fn new(file: &'a Gguf, config: &'a Config) -> Self {
        let names = file.tensors().iter().enumerate().map(|(i, t)| (t.name.as_str(), i));
        Finder { file, by_name: names.collect(), config }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The file's layers are all counted: a count that is too small would silently drop some.
    fn no_layer_beyond(&self, layers: usize) -> Result<(), Error> {
        let layer = |name: &str| name.strip_prefix("blk.")?.split('.').next()?.parse().ok();
        let tensors = self.file.tensors().iter();
        match tensors.map(|t| &t.name).find(|name| layer(name).is_some_and(|n: usize| n >= layers))
        {
            None => Ok(()),
            Some(name) => Err(self.error(format!(
                "`{}.block_count` is {layers}; the tensor {} is of a layer beyond it",
                self.config.architecture,
                Quoted(name)
            ))),
        }
    }

    fn matrix(&self, name: &str, rows: Size, k: Size) -> Result<Matrix, Error> {
        let (tensor, format) = self.checked(name, &[k, rows])?;
        Ok(Matrix { tensor, format, rows: rows.0, k: k.0 })
    }

    fn vector(&self, name: &str, len: Size) -> Result<Vec<f32>, Error> {
        let (tensor, format) = self.checked(name, &[len])?;
        let mut values = vec![0.0; len.0];
        format.dequantize(self.file.tensor_bytes(&self.file.tensors()[tensor]), &mut values);
        Ok(values)
    }

    /// The vector, where it is there; an error where it is not, if it is `needed`.
    fn vector_if(&self, needed: bool, name: &str, len: Size) -> Result<Option<Vec<f32>>, Error> {
        if needed || self.find(name).is_some() {
            self.vector(name, len).map(Some)
        } else {
            Ok(None)
        }
    }

    fn error(&self, message: String) -> Error {
        error(self.file, message)
    }

    fn missing(&self, name: &str) -> Error {
        let Config { architecture, layers, .. } = self.config;
        let layers = match name.starts_with("blk.") {
            true => format!("; `{architecture}.block_count` is {layers}"),
            false => String::new(),
        };
        self.error(format!("the tensor `{name}` is missing{layers}"))
    }

    fn checked(&self, name: &str, sizes: &[Size]) -> Result<(usize, Format), Error> {
        let tensor = self.find(name).ok_or_else(|| self.missing(name))?;
        let info = &self.file.tensors()[tensor];
        if !info.dims.iter().eq(sizes.iter().map(|size| &size.0)) {
            let expected: Vec<usize> = sizes.iter().map(|size| size.0).collect();
            let keys: Vec<&str> = sizes.iter().map(|size| size.1).collect();
            return Err(self.error(format!(
                "the tensor `{name}` has the dims {:?}; expected {expected:?}, from {}",
                info.dims,
                keys.join(" and ")
            )));
        }
        let format = info.format.ok_or_else(|| {
            let known = Format::ALL.map(Format::name).join(", ");
            self.error(format!(
                "the tensor `{name}` is of type {}, which cannot be computed with; supported are \
                 {known}",
                info.type_name()
            ))
        })?;
        Ok((tensor, format))
    }
}
