//! A model: the file, its configuration, and where its tensors lie.

use crate::formats::Format;
use crate::gguf::{Gguf, TensorInfo};
use crate::isa::Isa;
use crate::kernels::Kernels;
use crate::matmul::Weights;

use super::config::error;
use super::rope::Frequencies;
use super::{Config, Error};

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
}

/// A matrix of the file: its number there, and its shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    tensor: usize,
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
        let finder = Finder { file: &file };
        let layers = (0..c.layers)
            .map(|i| {
                let name = |tensor: &str| format!("blk.{i}.{tensor}");
                Ok(Layer {
                    attention_norm: finder.vector(&name("attn_norm.weight"), c.embedding)?,
                    query: finder.matrix(&name("attn_q.weight"), c.query_len(), c.embedding)?,
                    key: finder.matrix(&name("attn_k.weight"), c.kv_len(), c.embedding)?,
                    value: finder.matrix(&name("attn_v.weight"), c.kv_len(), c.embedding)?,
                    query_bias: finder.optional_vector(&name("attn_q.bias"), c.query_len())?,
                    key_bias: finder.optional_vector(&name("attn_k.bias"), c.kv_len())?,
                    value_bias: finder.optional_vector(&name("attn_v.bias"), c.kv_len())?,
                    query_norm: finder.optional_vector(&name("attn_q_norm.weight"), c.head_dim)?,
                    key_norm: finder.optional_vector(&name("attn_k_norm.weight"), c.head_dim)?,
                    attention_output: finder.matrix(
                        &name("attn_output.weight"),
                        c.embedding,
                        c.query_len(),
                    )?,
                    post_attention_norm: finder
                        .optional_vector(&name("post_attention_norm.weight"), c.embedding)?,
                    feed_forward_norm: finder.vector(&name("ffn_norm.weight"), c.embedding)?,
                    gate: finder.matrix(&name("ffn_gate.weight"), c.feed_forward, c.embedding)?,
                    up: finder.matrix(&name("ffn_up.weight"), c.feed_forward, c.embedding)?,
                    down: finder.matrix(&name("ffn_down.weight"), c.embedding, c.feed_forward)?,
                    post_feed_forward_norm: finder
                        .optional_vector(&name("post_ffw_norm.weight"), c.embedding)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        let embedding = finder.matrix("token_embd.weight", c.vocab, c.embedding)?;
        let output = match finder.find("output.weight") {
            Some(_) => finder.matrix("output.weight", c.vocab, c.embedding)?,
            None => embedding, // tied
        };
        let factors = finder.optional_vector("rope_freqs.weight", c.rope_dims / 2)?;
        let rope = [
            Frequencies::new(c.rope_dims, c.rope_base, c.rope_scale, factors.as_deref()),
            Frequencies::new(c.rope_dims, c.rope_base_window, 1.0, None),
        ];
        Ok(Model {
            embedding,
            layers,
            output_norm: finder.vector("output_norm.weight", c.embedding)?,
            output,
            rope,
            kernels: Kernels::new(isa),
            config,
            file,
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

/// Finds tensors by name and checks their shapes.
struct Finder<'a> {
    file: &'a Gguf,
}

impl Finder<'_> {
    fn find(&self, name: &str) -> Option<usize> {
        self.file.tensors().iter().position(|t| t.name == name)
    }

    fn matrix(&self, name: &str, rows: usize, k: usize) -> Result<Matrix, Error> {
        let (tensor, format) = self.checked(name, &[k, rows])?;
        Ok(Matrix { tensor, format, rows, k })
    }

    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, Error> {
        let (tensor, format) = self.checked(name, &[len])?;
        let mut values = vec![0.0; len];
        format.dequantize(self.file.tensor_bytes(&self.file.tensors()[tensor]), &mut values);
        Ok(values)
    }

    fn optional_vector(&self, name: &str, len: usize) -> Result<Option<Vec<f32>>, Error> {
        self.find(name).map(|_| self.vector(name, len)).transpose()
    }

    fn checked(&self, name: &str, dims: &[usize]) -> Result<(usize, Format), Error> {
        let tensor = self
            .find(name)
            .ok_or_else(|| error(self.file, format!("the tensor `{name}` is missing")))?;
        let info = &self.file.tensors()[tensor];
        let found = &info.dims[..];
        if found != dims {
            return Err(error(
                self.file,
                format!("the tensor `{name}` has the dims {found:?}; the metadata imply {dims:?}"),
            ));
        }
        let format = info.format.ok_or_else(|| {
            let known = Format::ALL.map(Format::name).join(", ");
            let name_of_type = crate::gguf::type_name(info.type_id).unwrap_or("unknown");
            error(
                self.file,
                format!(
                    "the tensor `{name}` is of type {name_of_type}, which cannot be computed with; \
                     supported are {known}"
                ),
            )
        })?;
        Ok((tensor, format))
    }
}
