//! One layer of a pass: the tokens of some sequences, in one matrix.
//!
//! Products, norms and gates take all rows together; keys and values are stored, and attended to, sequence by sequence. No row
//! is added to another, so a sequence has the bits that it has alone.
//!
//! Between two products, every token's row is taken through all that lies there by one thread: one parallel loop, and
//! the row stays in the first-level cache. Of a single token, such loops run on the calling thread; five remain that
//! threads share: the products of q, k and v, attention, its output, gate and up, down.

use std::ops::Range;

use crate::formats::ActBlock;
use crate::kernels::attention::Storage;

use super::attend::Attention;
use super::cache::{AnyCache, Cache, CacheHead};
use super::columns::{Columns, Quantised, quantize};
use super::divide::{self, Chunks, Divide};
use super::experts::Routed;
use super::rope::Frequencies;
use super::sequence::Sequence;
use super::stats::{Operation, Timer};
use super::weights::{FeedForward, Gated, Layer, Matrix};
use super::workspaces::Workspaces;
use super::{Config, Model, Pool};

/// Buffers for the tokens of a pass, row-major, a token a row; they grow to the largest pass seen.
#[derive(Default)]
pub struct Buffers {
    /// Each token's position in its sequence.
    pub positions: Vec<usize>,
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
    /// What a mixture of experts needs besides.
    pub routed: Routed,
    /// `[cos, sin]` for each token and pair: of layers that see everything, and of those with a window.
    pub angles: [Vec<[f32; 2]>; 2],
    pub workspaces: Workspaces,
}

/// The tokens of one sequence in a pass.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Whose they are: its place among the sequences.
    pub sequence: usize,
    /// The position of the first.
    pub position: usize,
    /// Their rows.
    pub rows: Range<usize>,
}

/// Rows of bytes, to be written.
type Blocks<'a> = Chunks<'a, ActBlock>;

/// Tokens on their way through the layers.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    pub model: &'a Model,
    pub pool: &'a Pool,
    pub timer: Timer<'a>,
    /// All of them.
    pub tokens: usize,
    /// Whose they are: every row is one's, in order, and no sequence has two.
    pub segments: &'a [Segment],
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

impl<'a> Pass<'a> {
    pub fn config(&self) -> &'a Config {
        self.model.config()
    }

    /// Calls `f(i, piece)` for every piece, in parallel.
    pub fn each<D: Divide>(&self, all: D, f: impl Fn(usize, D::Piece) + Sync) {
        self.pool.each(self.timer.tracer, all, f);
    }

    pub fn multiply<const N: usize>(
        &self,
        workspaces: &Workspaces,
        x: &[f32],
        quantised: &Quantised,
        products: [(&Matrix, &mut Vec<f32>); N],
    ) {
        self.columns(workspaces, x, quantised).multiply(products);
    }

    pub fn columns<'b>(
        &'b self,
        workspaces: &'b Workspaces,
        x: &'b [f32],
        quantised: &'b Quantised,
    ) -> Columns<'b> {
        let Pass { model, pool, timer, tokens: columns, .. } = *self;
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
    pub fn rope_angles(
        &self,
        frequencies: &Frequencies,
        positions: &[usize],
        angles: &mut Vec<[f32; 2]>,
    ) {
        angles.resize(self.tokens * frequencies.pairs(), [0.0; 2]);
        self.each(Chunks::of(angles, frequencies.pairs()), |token, angles| {
            self.timer.time(Operation::Embed, || frequencies.angles(positions[token], angles));
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
    pub fn layer<'l>(
        &self,
        s: &mut Buffers,
        sequences: &mut [Sequence],
        (index, layer): (usize, &'l Layer),
        pending: Pending<'_>,
    ) -> Pending<'l> {
        let this = Pass { timer: self.timer.of_layer(index), ..*self };
        let matrices = [&layer.query, &layer.key, &layer.value];
        this.advance(s, pending, Some(&layer.attention_norm), &matrices);
        this.attend(s, sequences, index, layer);
        let pending = Pending::new(&layer.post_attention_norm);
        let norm = Some(&layer.feed_forward_norm[..]);
        match &layer.feed_forward {
            FeedForward::Dense(network) => {
                this.advance(s, pending, norm, &[&network.gate, &network.up]);
                this.feed_forward(s, network);
            }
            FeedForward::Experts(experts) => {
                this.advance(s, pending, norm, &experts.inputs());
                this.mixture(s, experts);
            }
        }
        Pending::new(&layer.post_feed_forward_norm)
    }

    /// `h = attention(h)`.
    fn attend(&self, s: &mut Buffers, sequences: &mut [Sequence], index: usize, layer: &Layer) {
        let config = self.config();
        s.query.resize(self.tokens * config.query_len(), 0.0);
        s.key.resize(self.tokens * config.kv_len(), 0.0);
        s.value.resize(self.tokens * config.kv_len(), 0.0);
        let products =
            [(&layer.query, &mut s.query), (&layer.key, &mut s.key), (&layer.value, &mut s.value)];
        self.multiply(&s.workspaces, &s.h, &s.quantised, products);
        self.rotate(s, index, layer);
        for segment in self.segments {
            let rows = segment.rows.start * config.kv_len()..segment.rows.end * config.kv_len();
            let (key, value) = (&s.key[rows.clone()], &s.value[rows]);
            match &mut sequences[segment.sequence].cache {
                AnyCache::F16(cache) => self.store(key, value, cache, segment.position, index),
                AnyCache::F32(cache) => self.store(key, value, cache, segment.position, index),
                AnyCache::Q8_0(cache) => self.store(key, value, cache, segment.position, index),
            }
        }
        s.attention.resize(self.tokens * config.query_len(), 0.0);
        let quantised = s.quantised.rows(self.tokens, &[&layer.attention_output]);
        self.attend_to_caches(
            (&s.query, &mut s.attention, quantised),
            &s.workspaces,
            sequences,
            index,
        );
        let products = [(&layer.attention_output, &mut s.h)];
        self.multiply(&s.workspaces, &s.attention, &s.quantised, products);
    }

    /// Every sequence's queries over its cache. Of many sequences with a token each, threads take turns; the others' work is
    /// shared by all threads, one sequence after the other.
    fn attend_to_caches(
        &self,
        (query, mut out, mut quantised): (&[f32], &mut [f32], (Blocks<'_>, Blocks<'_>)),
        workspaces: &Workspaces,
        sequences: &[Sequence],
        index: usize,
    ) {
        /// For each thread: then the last few that are unequally long matter little.
        const MANY: usize = 2;
        let row = self.config().query_len();
        let attend = |segment: &Segment, out: &mut [f32], quantised| {
            let query = &query[segment.rows.start * row..segment.rows.end * row];
            let rows = (query, out, quantised);
            match &sequences[segment.sequence].cache {
                AnyCache::F16(cache) => self.attend_to(cache, segment, rows, workspaces, index),
                AnyCache::F32(cache) => self.attend_to(cache, segment, rows, workspaces, index),
                AnyCache::Q8_0(cache) => self.attend_to(cache, segment, rows, workspaces, index),
            }
        };
        let singles = self.segments.iter().take_while(|segment| segment.rows.len() == 1).count();
        let mut rest = self.segments;
        if singles >= MANY * self.pool.threads() {
            let first;
            (first, rest) = self.segments.split_at(singles);
            let (out_first, out_rest) = out.split_at_mut(singles * row);
            let (per_32, per_32_rest) = quantised.0.split_at(singles);
            let (per_256, per_256_rest) = quantised.1.split_at(singles);
            (out, quantised) = (out_rest, (per_32_rest, per_256_rest));
            let rows = (Chunks::rows(out_first, singles), (per_32, per_256));
            self.each(rows, |i, (out, (per_32, per_256))| {
                // Loops inside a task run on its thread.
                attend(&first[i], out, (Chunks::rows(per_32, 1), Chunks::rows(per_256, 1)));
            });
        }
        for segment in rest {
            let tokens = segment.rows.len();
            let (out_first, out_rest) = out.split_at_mut(tokens * row);
            let (per_32, per_32_rest) = quantised.0.split_at(tokens);
            let (per_256, per_256_rest) = quantised.1.split_at(tokens);
            (out, quantised) = (out_rest, (per_32_rest, per_256_rest));
            attend(segment, out_first, (per_32, per_256));
        }
    }

    /// One sequence's queries over its cache.
    fn attend_to<S: Storage>(
        &self,
        cache: &Cache<S>,
        segment: &Segment,
        (query, out, quantised): (&[f32], &mut [f32], (Blocks<'_>, Blocks<'_>)),
        workspaces: &Workspaces,
        index: usize,
    ) {
        Attention {
            pool: self.pool,
            kernels: self.model.kernels(),
            timer: self.timer,
            config: self.config(),
            workspaces,
            cache,
            layer: index,
            position: segment.position,
        }
        .run(query, out, quantised);
    }

    /// Adds biases to queries, keys and values, and rotates queries and keys.
    fn rotate(&self, s: &mut Buffers, index: usize, layer: &Layer) {
        let (config, kernels) = (self.config(), self.model.kernels());
        // Layers that do not rotate have no pairs.
        let angles = config.rotation(index).map_or(&[][..], |kind| &s.angles[kind]);
        let pairs = angles.len() / self.tokens;
        let (workspaces, positions) = (&s.workspaces, &s.positions);
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
                let scale = config.query_scale(positions[token]);
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

    /// Stores keys and values in a cache, from a position on: a head a piece, since neighbouring keys are interleaved.
    fn store<S: Storage>(
        &self,
        key: &[f32],
        value: &[f32],
        cache: &mut Cache<S>,
        position: usize,
        index: usize,
    ) {
        /// Fewer tokens are stored by the time that a thread hears of it.
        const SHARED: usize = 16;
        let (config, kernels) = (self.config(), self.model.kernels());
        let store = |head: usize, (keys, values): (&mut [S::Unit], &mut [S::Unit])| {
            self.timer.time(Operation::Rope, || {
                let mut cache: CacheHead<'_, S> = CacheHead { keys, values };
                let at = head * config.head_dim..(head + 1) * config.head_dim;
                let rows = key.chunks(config.kv_len()).zip(value.chunks(config.kv_len()));
                for (token, (key, value)) in rows.enumerate() {
                    cache.store(kernels, position + token, &key[at.clone()], &value[at.clone()]);
                }
            });
        };
        let heads = cache.heads_mut(index);
        if key.len() < SHARED * config.kv_len() {
            divide::each_here(heads, store);
        } else {
            self.each(heads, store);
        }
    }

    /// `h = down(f(gate(h)) * up(h))`.
    pub fn feed_forward(&self, s: &mut Buffers, network: &Gated) {
        let (config, kernels) = (self.config(), self.model.kernels());
        let len = network.gate.rows;
        if let Some((scale, strips)) =
            s.gated.strips(self.tokens, &network.down, self.pool.threads())
        {
            self.columns(&s.workspaces, &s.h, &s.quantised).multiply_gated(
                [&network.gate, &network.up],
                config.gate,
                scale,
                strips,
            );
            return self.multiply(&s.workspaces, &[], &s.gated, [(&network.down, &mut s.h)]);
        }
        s.gate.resize(self.tokens * len, 0.0);
        s.up.resize(self.tokens * len, 0.0);
        let products = [(&network.gate, &mut s.gate), (&network.up, &mut s.up)];
        self.multiply(&s.workspaces, &s.h, &s.quantised, products);
        let up = &s.up;
        let rows = (
            Chunks::rows(&mut s.gate, self.tokens),
            s.quantised.rows(self.tokens, &[&network.down]),
        );
        self.each(rows, |token, (gate, row)| {
            let up = &up[token * len..(token + 1) * len];
            self.timer.time(Operation::Gate, || config.gate.apply(kernels, gate, up));
            self.timer.time(Operation::Quantise, || quantize(kernels, gate, row));
        });
        self.multiply(&s.workspaces, &s.gate, &s.quantised, [(&network.down, &mut s.h)]);
    }
}
