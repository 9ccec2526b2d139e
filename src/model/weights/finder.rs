//! Finds the tensors of a file and checks their shapes.

use std::collections::HashMap;

use crate::formats::Format;
use crate::gguf::{Gguf, Quoted};

use super::{Experts, FeedForward, Gated, Layer, Matrix, Shared};
use crate::model::config::error;
use crate::model::{Config, Error};

/// A size that the metadata imply, and the keys it follows from.
#[derive(Clone, Copy)]
pub struct Size(pub usize, pub &'static str);

/// Finds tensors by name and checks their shapes.
pub struct Finder<'a> {
    file: &'a Gguf,
    /// Numbers of the tensors.
    by_name: HashMap<&'a str, usize>,
    config: &'a Config,
}

impl<'a> Finder<'a> {
    pub fn new(file: &'a Gguf, config: &'a Config) -> Self {
        let names = file.tensors().iter().enumerate().map(|(i, t)| (t.name.as_str(), i));
        Finder { file, by_name: names.collect(), config }
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The file's layers are all counted: a count that is too small would silently drop some.
    pub fn no_layer_beyond(&self, layers: usize) -> Result<(), Error> {
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

    pub fn matrix(&self, name: &str, rows: Size, k: Size) -> Result<Matrix, Error> {
        let (tensor, format) = self.checked(name, &[k, rows])?;
        Ok(Matrix { tensor, format, before: 0, rows: rows.0, k: k.0 })
    }

    /// The matrices of all experts, one below the other.
    fn stacked(&self, name: &str, rows: Size, k: Size, experts: Size) -> Result<Matrix, Error> {
        let (tensor, format) = self.checked(name, &[k, rows, experts])?;
        Ok(Matrix { tensor, format, before: 0, rows: rows.0 * experts.0, k: k.0 })
    }

    pub fn vector(&self, name: &str, len: Size) -> Result<Vec<f32>, Error> {
        let (tensor, format) = self.checked(name, &[len])?;
        let mut values = vec![0.0; len.0];
        format.dequantize(self.file.tensor_bytes(&self.file.tensors()[tensor]), &mut values);
        Ok(values)
    }

    /// The vector, where it is there; an error where it is not, if it is `needed`.
    pub fn vector_if(
        &self,
        needed: bool,
        name: &str,
        len: Size,
    ) -> Result<Option<Vec<f32>>, Error> {
        if needed || self.find(name).is_some() {
            self.vector(name, len).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The tensors of a layer.
    pub fn layer(&self, i: usize) -> Result<Layer, Error> {
        let c = self.config;
        let width = Size(c.embedding, "embedding_length");
        let query = Size(c.query_len(), "attention.head_count x key_length");
        let kv = Size(c.kv_len(), "attention.head_count_kv x key_length");
        let head = Size(c.head_dim, "key_length");
        let biases = c.architecture.needs_biases();
        let norms = c.architecture.needs_head_norms();
        let post = c.architecture.is_gemma();
        let name = |tensor: &str| format!("blk.{i}.{tensor}");
        let [query_rows, key_rows, value_rows] = self.attention(i)?;
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm.weight"), width)?,
            query: query_rows,
            key: key_rows,
            value: value_rows,
            query_bias: self.vector_if(biases, &name("attn_q.bias"), query)?,
            key_bias: self.vector_if(biases, &name("attn_k.bias"), kv)?,
            value_bias: self.vector_if(biases, &name("attn_v.bias"), kv)?,
            query_norm: self.vector_if(norms, &name("attn_q_norm.weight"), head)?,
            key_norm: self.vector_if(norms, &name("attn_k_norm.weight"), head)?,
            attention_output: self.matrix(&name("attn_output.weight"), width, query)?,
            post_attention_norm: self.vector_if(
                post,
                &name("post_attention_norm.weight"),
                width,
            )?,
            feed_forward_norm: self.vector(&name("ffn_norm.weight"), width)?,
            feed_forward: self.feed_forward(i)?,
            post_feed_forward_norm: self.vector_if(post, &name("post_ffw_norm.weight"), width)?,
        })
    }

    /// Queries, keys and values; of one tensor, where the architecture stores them so.
    fn attention(&self, i: usize) -> Result<[Matrix; 3], Error> {
        let c = self.config;
        let width = Size(c.embedding, "embedding_length");
        let query = Size(c.query_len(), "attention.head_count x key_length");
        let kv = Size(c.kv_len(), "attention.head_count_kv x key_length");
        let name = |tensor: &str| format!("blk.{i}.{tensor}.weight");
        if !c.architecture.is_fused() {
            return Ok([
                self.matrix(&name("attn_q"), query, width)?,
                self.matrix(&name("attn_k"), kv, width)?,
                self.matrix(&name("attn_v"), kv, width)?,
            ]);
        }
        let all = Size(
            query.0 + 2 * kv.0,
            "(attention.head_count + 2 attention.head_count_kv) x key_length",
        );
        let fused = self.matrix(&name("attn_qkv"), all, width)?;
        Ok([
            fused.part(0..query.0),
            fused.part(query.0..query.0 + kv.0),
            fused.part(query.0 + kv.0..all.0),
        ])
    }

    /// The network behind attention, or the mixture.
    fn feed_forward(&self, i: usize) -> Result<FeedForward, Error> {
        let c = self.config;
        let width = Size(c.embedding, "embedding_length");
        let hidden = Size(c.feed_forward, "feed_forward_length");
        let name = |tensor: &str| format!("blk.{i}.{tensor}.weight");
        let Some(mixture) = &c.experts else {
            if c.architecture.is_fused() {
                let both = Size(2 * hidden.0, "2 x feed_forward_length");
                let fused = self.matrix(&name("ffn_up"), both, width)?;
                return Ok(FeedForward::Dense(Gated {
                    gate: fused.part(0..hidden.0),
                    up: fused.part(hidden.0..both.0),
                    down: self.matrix(&name("ffn_down"), width, hidden)?,
                }));
            }
            return self.gated(i, "", hidden).map(FeedForward::Dense);
        };
        let experts = Size(mixture.count, "expert_count");
        let hidden = Size(mixture.feed_forward, "expert_feed_forward_length");
        let shared = |hidden| -> Result<Shared, Error> {
            let hidden = Size(hidden, "expert_shared_feed_forward_length");
            let (tensor, format) = self.checked(&name("ffn_gate_inp_shexp"), &[width])?;
            let gate = Matrix { tensor, format, before: 0, rows: 1, k: width.0 };
            Ok(Shared { gate, network: self.gated(i, "_shexp", hidden)? })
        };
        Ok(FeedForward::Experts(Experts {
            router: self.matrix(&name("ffn_gate_inp"), experts, width)?,
            all: Gated {
                gate: self.stacked(&name("ffn_gate_exps"), hidden, width, experts)?,
                up: self.stacked(&name("ffn_up_exps"), hidden, width, experts)?,
                down: self.stacked(&name("ffn_down_exps"), width, hidden, experts)?,
            },
            shared: mixture.shared_feed_forward.map(shared).transpose()?,
        }))
    }

    /// A network of three tensors, whose names have this behind them.
    fn gated(&self, i: usize, suffix: &str, hidden: Size) -> Result<Gated, Error> {
        let width = Size(self.config.embedding, "embedding_length");
        let name = |tensor: &str| format!("blk.{i}.{tensor}{suffix}.weight");
        Ok(Gated {
            gate: self.matrix(&name("ffn_gate"), hidden, width)?,
            up: self.matrix(&name("ffn_up"), hidden, width)?,
            down: self.matrix(&name("ffn_down"), width, hidden)?,
        })
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
