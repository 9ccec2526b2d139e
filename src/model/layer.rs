//! One layer of a batch.
//!
//! Between two products, every token's row is taken through all that lies there by one thread: one parallel loop, and
//! the row stays in the first-level cache. Of a single token, such loops run on the calling thread; five remain that
//! threads share: the products of q, k and v, attention, its output, gate and up, down.

use crate::kernels::attention::Storage;

use super::attend::Attention;
use super::cache::{Cache, CacheHead};
use super::columns::{Columns, Quantised, quantize};
use super::divide::{self, Chunks, Divide};
use super::rope::Frequencies;
use super::stats::{Operation, Timer};
use super::weights::{Layer, Matrix};
use super::workspaces::Workspaces;
use super::{Config, Model, Pool};

/// Buffers for a batch of tokens, row-major, a token a row; they grow to the largest batch seen.
#[derive(Default)]
pub struct Buffers {
    /// The residual stream.
    pub x: Vec<f32>,
    /// What a norm or a projection wrote.
    pub h: Vec<f32>,
    /// What a norm behind a projection wrote.
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    attention: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// The columns of the next product.
    pub quantised: Quantised,
    /// Those of the product behind a gate, which are written while others are read.
    gated: Quantised,
    /// `[cos, sin]` for each token and pair: of layers that see everything, and of those with a window.
    pub angles: [Vec<[f32; 2]>; 2],
    pub workspaces: Workspaces,
}

/// A batch on its way through the layers.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    pub model: &'a Model,
    pub pool: &'a Pool,
    pub timer: Timer<'a>,
    pub tokens: usize,
    /// The position of the first token.
    pub position: usize,
}

/// What a projection left in `h`, to be added to the residual stream.
#[derive(Clone, Copy)]
pub enum Pending<'a> {
    Nothing,
    Sum,
    /// After a norm with these weights.
    Normed(&'a [f32]),
}

impl<'a> Pending<'a> {
    fn new(norm: &'a Option<Vec<f32>>) -> Self {
        norm.as_deref().map_or(Pending::Sum, Pending::Normed)
    }
}

impl<'a> Batch<'a> {
    fn config(&self) -> &'a Config {
        self.model.config()
    }

    /// Calls `f(i, piece)` for every piece, in parallel.
    fn each<D: Divide>(&self, all: D, f: impl Fn(usize, D::Piece) + Sync) {
        self.pool.each(self.timer.tracer, all, f);
    }

    fn multiply<const N: usize>(
        &self,
        workspaces: &Workspaces,
        x: &[f32],
        quantised: &Quantised,
        products: [(&Matrix, &mut Vec<f32>); N],
    ) {
        self.columns(workspaces, x, quantised).multiply(products);
    }

    fn columns<'b>(
        &'b self,
        workspaces: &'b Workspaces,
        x: &'b [f32],
        quantised: &'b Quantised,
    ) -> Columns<'b> {
        let Batch { model, pool, timer, tokens: columns, .. } = *self;
        Columns { pool, model, workspaces, timer, columns, x, quantised }
    }

    /// Writes the tokens' rows of the embedding table.
    pub fn embed(&self, tokens: &[u32], x: &mut Vec<f32>) {
        let config = self.config();
        x.resize(tokens.len() * config.embedding, 0.0);
        let table = self.model.weights(&self.model.embedding);
        self.each(Chunks::of(x, config.embedding), |i, x| {
            self.timer.time(Operation::Embed, || {
                let row = tokens[i] as usize;
                table.format().dequantize(table.row_range(row..row + 1), x);
                if let Some(scale) = config.embedding_scale {
                    x.iter_mut().for_each(|x| *x *= scale);
                }
            });
        });
    }

    /// Writes the angles of every token's rotation.
    pub fn rope_angles(&self, frequencies: &Frequencies, angles: &mut Vec<[f32; 2]>) {
        angles.resize(self.tokens * frequencies.pairs(), [0.0; 2]);
        self.each(Chunks::of(angles, frequencies.pairs()), |token, angles| {
            self.timer.time(Operation::Embed, || {
                frequencies.angles(self.position + token, angles);
            });
        });
    }

    /// `x += pending`, then `h = norm(x)`, as columns for these matrices; without a norm, only the sum.
    pub fn advance(
        &self,
        s: &mut Buffers,
        pending: Pending<'_>,
        norm: Option<&[f32]>,
        matrices: &[&Matrix],
    ) {
        let (kernels, epsilon) = (self.model.kernels(), self.config().norm_epsilon);
        s.h.resize(s.x.len(), 0.0);
        let normed = matches!(pending, Pending::Normed(_));
        s.normed.resize(if normed { s.x.len() } else { 0 }, 0.0);
        let rows = (
            Chunks::rows(&mut s.x, self.tokens),
            Chunks::rows(&mut s.h, self.tokens),
            Chunks::rows(&mut s.normed, self.tokens),
            s.quantised.rows(self.tokens, matrices),
        );
        self.each(rows, |_, (x, h, normed, row)| {
            self.timer.time(Operation::Norm, || {
                match pending {
                    Pending::Nothing => {}
                    Pending::Sum => kernels.add(x, h),
                    Pending::Normed(weight) => {
                        kernels.rms_norm(h, weight, epsilon, normed);
                        kernels.add(x, normed);
                    }
                }
                if let Some(weight) = norm {
                    kernels.rms_norm(x, weight, epsilon, h);
                }
            });
            self.timer.time(Operation::Quantise, || quantize(kernels, h, row));
        });
    }

    /// A layer, up to the sum with the residual stream, which is left to the next.
    pub fn layer<'l, S: Storage>(
        &self,
        s: &mut Buffers,
        cache: &mut Cache<S>,
        (index, layer): (usize, &'l Layer),
        pending: Pending<'_>,
    ) -> Pending<'l> {
        let this = Batch { timer: self.timer.of_layer(index), ..*self };
        let matrices = [&layer.query, &layer.key, &layer.value];
        this.advance(s, pending, Some(&layer.attention_norm), &matrices);
        this.attend(s, cache, index, layer);
        let pending = Pending::new(&layer.post_attention_norm);
        let matrices = [&layer.gate, &layer.up];
        this.advance(s, pending, Some(&layer.feed_forward_norm), &matrices);
        this.feed_forward(s, layer);
        Pending::new(&layer.post_feed_forward_norm)
    }

    /// `h = attention(h)`.
    fn attend<S: Storage>(
        &self,
        s: &mut Buffers,
        cache: &mut Cache<S>,
        index: usize,
        layer: &Layer,
    ) {
        let config = self.config();
        s.query.resize(self.tokens * config.query_len(), 0.0);
        s.key.resize(self.tokens * config.kv_len(), 0.0);
        s.value.resize(self.tokens * config.kv_len(), 0.0);
        let products =
            [(&layer.query, &mut s.query), (&layer.key, &mut s.key), (&layer.value, &mut s.value)];
        self.multiply(&s.workspaces, &s.h, &s.quantised, products);
        self.rotate(s, index, layer);
        self.store(&s.key, &s.value, cache, index);

        s.attention.resize(self.tokens * config.query_len(), 0.0);
        Attention {
            pool: self.pool,
            kernels: self.model.kernels(),
            timer: self.timer,
            config,
            workspaces: &s.workspaces,
            cache: &*cache,
            layer: index,
            position: self.position,
        }
        .run(
            &s.query,
            &mut s.attention,
            s.quantised.rows(self.tokens, &[&layer.attention_output]),
        );
        let products = [(&layer.attention_output, &mut s.h)];
        self.multiply(&s.workspaces, &s.attention, &s.quantised, products);
    }

    /// Adds biases to queries, keys and values, and rotates queries and keys.
    fn rotate(&self, s: &mut Buffers, index: usize, layer: &Layer) {
        let (config, kernels) = (self.config(), self.model.kernels());
        let angles = &s.angles[usize::from(config.has_window(index))];
        let pairs = angles.len() / self.tokens;
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        let workspaces = &s.workspaces;
        let add_bias = |row: &mut [f32], bias: &Option<Vec<f32>>| {
            if let Some(bias) = bias {
                kernels.add(row, bias);
            }
        };
        let norm_heads = |row: &mut [f32], norm: &Option<Vec<f32>>| {
            let Some(weight) = norm else { return };
            workspaces.lend(|space| {
                let unscaled = space.floats(config.head_dim);
                for head in row.chunks_mut(config.head_dim) {
                    unscaled.copy_from_slice(head);
                    kernels.rms_norm(unscaled, weight, config.norm_epsilon, head);
                }
            });
        };
        let rows = (
            Chunks::rows(&mut s.query, self.tokens),
            Chunks::rows(&mut s.key, self.tokens),
            Chunks::rows(&mut s.value, self.tokens),
        );
        self.each(rows, |token, (query, key, value)| {
            self.timer.time(Operation::Rope, || {
                let angles = &angles[token * pairs..(token + 1) * pairs];
                add_bias(query, &layer.query_bias);
                add_bias(key, &layer.key_bias);
                add_bias(value, &layer.value_bias);
                norm_heads(query, &layer.query_norm);
                norm_heads(key, &layer.key_norm);
                for head in query.chunks_mut(config.head_dim) {
                    kernels.rope(config.rope_pairs, head, angles);
                    head.iter_mut().for_each(|q| *q *= scale);
                }
                for head in key.chunks_mut(config.head_dim) {
                    kernels.rope(config.rope_pairs, head, angles);
                }
            });
        });
    }

    /// Stores keys and values in the cache: a head a piece, since neighbouring keys are interleaved.
    fn store<S: Storage>(&self, key: &[f32], value: &[f32], cache: &mut Cache<S>, index: usize) {
        /// Fewer tokens are stored by the time that a thread hears of it.
        const SHARED: usize = 16;
        let (config, kernels) = (self.config(), self.model.kernels());
        let store = |head: usize, (keys, values): (&mut [S::Unit], &mut [S::Unit])| {
            self.timer.time(Operation::Rope, || {
                let mut cache: CacheHead<'_, S> = CacheHead { keys, values };
                let at = head * config.head_dim..(head + 1) * config.head_dim;
                let rows = key.chunks(config.kv_len()).zip(value.chunks(config.kv_len()));
                for (token, (key, value)) in rows.enumerate() {
                    let position = self.position + token;
                    cache.store(kernels, position, &key[at.clone()], &value[at.clone()]);
                }
            });
        };
        let heads = cache.heads_mut(index);
        if self.tokens < SHARED {
            divide::each_here(heads, store);
        } else {
            self.each(heads, store);
        }
    }

    /// `h = down(f(gate(h)) * up(h))`.
    fn feed_forward(&self, s: &mut Buffers, layer: &Layer) {
        let (config, kernels) = (self.config(), self.model.kernels());
        let len = config.feed_forward;
        if let Some((scale, strips)) = s.gated.strips(self.tokens, &layer.down, self.pool.threads())
        {
            self.columns(&s.workspaces, &s.h, &s.quantised).multiply_gated(
                [&layer.gate, &layer.up],
                config.gate,
                scale,
                strips,
            );
            return self.multiply(&s.workspaces, &[], &s.gated, [(&layer.down, &mut s.h)]);
        }
        s.gate.resize(self.tokens * len, 0.0);
        s.up.resize(self.tokens * len, 0.0);
        let products = [(&layer.gate, &mut s.gate), (&layer.up, &mut s.up)];
        self.multiply(&s.workspaces, &s.h, &s.quantised, products);
        let up = &s.up;
        let rows =
            (Chunks::rows(&mut s.gate, self.tokens), s.quantised.rows(self.tokens, &[&layer.down]));
        self.each(rows, |token, (gate, row)| {
            let up = &up[token * len..(token + 1) * len];
            self.timer.time(Operation::Gate, || config.gate.apply(kernels, gate, up));
            self.timer.time(Operation::Quantise, || quantize(kernels, gate, row));
        });
        self.multiply(&s.workspaces, &s.gate, &s.quantised, [(&layer.down, &mut s.h)]);
    }
}
