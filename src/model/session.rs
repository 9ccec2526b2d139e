//! One text in progress: the forward pass.
//!
//! Every step is a parallel loop over rows of output or over tokens; none divides a sum. So the bits
//! depend neither on the threads nor on how tokens were batched.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::formats::ActBlock;
use crate::kernels::attention::{CHUNK, CacheElement, Softmax};

use super::cache::{AnyCache, Cache, padded};
use super::columns::Columns;
use super::config::Gate;
use super::rope::Frequencies;
use super::system;
use super::weights::Layer;
use super::workspaces::Workspaces;
use super::{CacheType, Error, Model, Pool};

/// How a session is to be set up.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Positions to make room for; the smaller of 4096 and the model's where not given.
    pub context: Option<usize>,
    /// How keys and values are stored.
    pub cache: CacheType,
    /// Tokens that pass through the layers together, at most: more need more scratch memory.
    pub batch: usize,
    /// When this is set, from any thread, a computation ends after the layer at hand with
    /// [`Error::Cancelled`]; the batch at hand is forgotten.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions { context: None, cache: CacheType::F16, batch: 512, cancel: None }
    }
}

/// The context of a session that does not ask for one.
const DEFAULT_CONTEXT: usize = 4096;

/// A text in progress: what its tokens left in the cache, and scratch memory.
pub struct Session<'m> {
    model: &'m Model,
    pool: &'m Pool,
    cache: AnyCache,
    cache_bytes: usize,
    buffers: Buffers,
    context: usize,
    batch: usize,
    cancel: Option<Arc<AtomicBool>>,
    position: usize,
    /// The row of `buffers.x` that holds the last token.
    last: Option<usize>,
}

/// Buffers for a batch of tokens, row-major, a token a row; they grow to the largest batch seen.
#[derive(Default)]
struct Buffers {
    /// The residual stream.
    x: Vec<f32>,
    /// What a norm or a projection wrote.
    h: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    attention: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// The columns of the next product, with a scale for each 32 or 256 values.
    per_32: Vec<ActBlock>,
    per_256: Vec<ActBlock>,
    /// `[cos, sin]` for each token and pair: of layers that see everything, and of those with a window.
    angles: [Vec<[f32; 2]>; 2],
    logits: Vec<f32>,
    workspaces: Workspaces,
}

impl<'m> Session<'m> {
    /// Makes room for the cache, after checking that the memory is there.
    pub fn new(model: &'m Model, pool: &'m Pool, options: &SessionOptions) -> Result<Self, Error> {
        let config = model.config();
        let context = options.context.unwrap_or_else(|| config.context_length.min(DEFAULT_CONTEXT));
        if context == 0 || options.batch == 0 {
            return Err(Error::Session(format!(
                "a context of {context} and a batch of {} tokens: both must be at least 1",
                options.batch
            )));
        }
        let cache_bytes =
            [config.layers, config.kv_heads, config.head_dim, options.cache.bytes(), 2]
                .into_iter()
                .try_fold(padded(context.min(1 << 40)), |bytes, n| bytes.checked_mul(n))
                .filter(|&bytes| bytes <= isize::MAX as usize)
                .ok_or_else(|| {
                    Error::Session(format!("a context of {context} is beyond all memory"))
                })?;
        if let Some(available) = system::memory_available()
            && cache_bytes as u64 > available
        {
            return Err(Error::Session(format!(
                "a context of {context} needs {} MiB for keys and values, and {} MiB of memory are \
                 available: choose a smaller context",
                cache_bytes >> 20,
                available >> 20
            )));
        }
        Ok(Session {
            model,
            pool,
            cache: AnyCache::new(options.cache, config, context),
            cache_bytes,
            buffers: Buffers::default(),
            context,
            batch: options.batch,
            cancel: options.cancel.clone(),
            position: 0,
            last: None,
        })
    }

    /// Positions that the cache has room for.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Positions filled so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes of the cache.
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// Forgets every position from `positions` on.
    pub fn truncate(&mut self, positions: usize) {
        if positions < self.position {
            self.position = positions;
            self.last = None;
        }
    }

    /// Appends tokens to the text.
    ///
    /// # Errors
    /// If they do not fit the context, or one is outside the vocabulary; nothing is changed then.
    pub fn forward(&mut self, tokens: &[u32]) -> Result<(), Error> {
        self.forward_each(tokens, 0..0, |_, _| {})
    }

    /// Appends tokens to the text, and calls `each` with the logits after every token whose index in
    /// `tokens` lies in `rows`, in order.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and if the session is cancelled.
    pub fn forward_each(
        &mut self,
        tokens: &[u32],
        rows: Range<usize>,
        mut each: impl FnMut(usize, &mut [f32]),
    ) -> Result<(), Error> {
        /// Tokens whose logits are computed together: the vocabulary's weights are read once for all.
        const LOGIT_ROWS: usize = 32;
        let vocab = self.model.config().vocab;
        if tokens.len() > self.context - self.position {
            let (position, context) = (self.position, self.context);
            return Err(Error::ContextFull { tokens: tokens.len(), position, context });
        }
        if let Some(&token) = tokens.iter().find(|&&t| t as usize >= vocab) {
            return Err(Error::Token { token, vocab });
        }
        let mut done = 0;
        for batch in tokens.chunks(self.batch) {
            self.last = None;
            self.layers(batch)?;
            let wanted = rows.start.max(done)..rows.end.min(done + batch.len());
            for start in wanted.clone().step_by(LOGIT_ROWS) {
                let end = wanted.end.min(start + LOGIT_ROWS);
                let logits = self.output(start - done..end - done);
                for (i, logits) in logits.chunks_mut(vocab).enumerate() {
                    each(start + i, logits);
                }
            }
            done += batch.len();
            self.position += batch.len();
            self.last = Some(batch.len() - 1);
        }
        Ok(())
    }

    /// The logits after the last token, `[vocab]`.
    ///
    /// # Panics
    /// If no token was appended since the session was made or truncated.
    pub fn logits(&mut self) -> &mut [f32] {
        let last = self.last.expect("logits: no token was appended");
        self.output(last..last + 1)
    }

    /// The logits of some rows of the last batch.
    fn output(&mut self, rows: Range<usize>) -> &mut [f32] {
        let model = self.model;
        let (config, s) = (model.config(), &mut self.buffers);
        let x = &s.x[rows.start * config.embedding..rows.end * config.embedding];
        norm_rows(self.pool, model, x, &model.output_norm, &mut s.h);
        s.logits.resize(rows.len() * config.vocab, 0.0);
        let columns = Columns::new(
            self.pool,
            model,
            &s.workspaces,
            &s.h,
            &mut s.per_32,
            &mut s.per_256,
            &[&model.output],
        );
        columns.multiply([(&model.output, &mut s.logits)]);
        &mut s.logits
    }

    /// Takes a batch of tokens through all layers; the residual stream is left in `buffers.x`.
    fn layers(&mut self, tokens: &[u32]) -> Result<(), Error> {
        let model = self.model;
        let s = &mut self.buffers;
        embed(self.pool, model, tokens, &mut s.x);
        for (frequencies, angles) in model.rope.iter().zip(&mut s.angles) {
            rope_angles(self.pool, frequencies, self.position, tokens.len(), angles);
        }
        for (i, layer) in model.layers.iter().enumerate() {
            if self.cancel.as_ref().is_some_and(|flag| flag.load(Relaxed)) {
                return Err(Error::Cancelled);
            }
            let step = Step { model, pool: self.pool, position: self.position, index: i, layer };
            match &mut self.cache {
                AnyCache::F16(cache) => step.attend(s, cache),
                AnyCache::F32(cache) => step.attend(s, cache),
            }
            step.feed_forward(s);
        }
        Ok(())
    }
}

/// One layer of a batch.
struct Step<'a> {
    model: &'a Model,
    pool: &'a Pool,
    position: usize,
    index: usize,
    layer: &'a Layer,
}

impl Step<'_> {
    /// `x += attention(norm(x))`.
    fn attend<E: CacheElement>(&self, s: &mut Buffers, cache: &mut Cache<E>) {
        let (model, pool, layer, config) = (self.model, self.pool, self.layer, self.model.config());
        let tokens = s.x.len() / config.embedding;
        norm_rows(pool, model, &s.x, &layer.attention_norm, &mut s.h);
        s.query.resize(tokens * config.query_len(), 0.0);
        s.key.resize(tokens * config.kv_len(), 0.0);
        s.value.resize(tokens * config.kv_len(), 0.0);
        let matrices = [&layer.query, &layer.key, &layer.value];
        Columns::new(pool, model, &s.workspaces, &s.h, &mut s.per_32, &mut s.per_256, &matrices)
            .multiply([
                (&layer.query, &mut s.query),
                (&layer.key, &mut s.key),
                (&layer.value, &mut s.value),
            ]);

        let angles = &s.angles[usize::from(config.has_window(self.index))];
        let pairs = angles.len() / tokens;
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        let heads = |rows: &mut [f32],
                     bias: &Option<Vec<f32>>,
                     norm: &Option<Vec<f32>>,
                     scale: Option<f32>| {
            let row_len = rows.len() / tokens;
            pool.chunks_mut(rows, row_len, |token, row| {
                add_bias(model, row, bias);
                let angles = &angles[token * pairs..(token + 1) * pairs];
                for head in row.chunks_mut(config.head_dim) {
                    if let Some(weight) = norm {
                        let unscaled = head.to_vec();
                        model.kernels().rms_norm(&unscaled, weight, config.norm_epsilon, head);
                    }
                    model.kernels().rope(config.rope_pairs, head, angles);
                    if let Some(scale) = scale {
                        head.iter_mut().for_each(|q| *q *= scale);
                    }
                }
            });
        };
        heads(&mut s.query, &layer.query_bias, &layer.query_norm, Some(scale));
        heads(&mut s.key, &layer.key_bias, &layer.key_norm, None);
        for (token, row) in s.value.chunks_mut(config.kv_len()).enumerate() {
            add_bias(model, row, &layer.value_bias);
            let key = &s.key[token * config.kv_len()..];
            for head in 0..config.kv_heads {
                let at = head * config.head_dim..(head + 1) * config.head_dim;
                cache.store(
                    model.kernels(),
                    self.index,
                    head,
                    self.position + token,
                    &key[at.clone()],
                    &row[at],
                );
            }
        }

        s.attention.resize(tokens * config.query_len(), 0.0);
        let cache = &*cache;
        let query = &s.query;
        pool.chunks_mut(&mut s.attention, config.head_dim, |i, out| {
            let q = &query[i * config.head_dim..(i + 1) * config.head_dim];
            self.attend_head(cache, self.position + i / config.heads, i % config.heads, q, out);
        });

        s.h.resize(tokens * config.embedding, 0.0);
        let matrix = &layer.attention_output;
        Columns::new(
            pool,
            model,
            &s.workspaces,
            &s.attention,
            &mut s.per_32,
            &mut s.per_256,
            &[matrix],
        )
        .multiply([(matrix, &mut s.h)]);
        add_to_residual(pool, model, &s.h, &layer.post_attention_norm, &mut s.x);
    }

    /// One head of one token over all keys that it sees.
    fn attend_head<E: CacheElement>(
        &self,
        cache: &Cache<E>,
        position: usize,
        head: usize,
        q: &[f32],
        out: &mut [f32],
    ) {
        let (kernels, config) = (self.model.kernels(), self.model.config());
        let cache = cache.head(self.index, head / (config.heads / config.kv_heads));
        let end = position + 1;
        let start = match config.window {
            Some(window) if config.has_window(self.index) => end.saturating_sub(window),
            _ => 0,
        };
        let chunk_end = |start: usize| end.min((start / CHUNK + 1) * CHUNK);
        let mut state: Softmax = kernels.attend(q, cache, start..chunk_end(start), out);
        if chunk_end(start) < end {
            let mut next_out = vec![0.0; out.len()];
            let mut start = chunk_end(start);
            while start < end {
                let next = kernels.attend(q, cache, start..chunk_end(start), &mut next_out);
                kernels.merge_chunks(&mut state, out, next, &next_out);
                start = chunk_end(start);
            }
        }
        let inverse = 1.0 / state.sum;
        out.iter_mut().for_each(|o| *o *= inverse);
    }

    /// `x += down(f(gate(h)) * up(h))` with `h = norm(x)`.
    fn feed_forward(&self, s: &mut Buffers) {
        let (model, pool, layer, config) = (self.model, self.pool, self.layer, self.model.config());
        let tokens = s.x.len() / config.embedding;
        norm_rows(pool, model, &s.x, &layer.feed_forward_norm, &mut s.h);
        s.gate.resize(tokens * config.feed_forward, 0.0);
        s.up.resize(tokens * config.feed_forward, 0.0);
        Columns::new(
            pool,
            model,
            &s.workspaces,
            &s.h,
            &mut s.per_32,
            &mut s.per_256,
            &[&layer.gate, &layer.up],
        )
        .multiply([(&layer.gate, &mut s.gate), (&layer.up, &mut s.up)]);
        let up = &s.up;
        pool.chunks_mut(&mut s.gate, config.feed_forward, |token, gate| {
            let up = &up[token * config.feed_forward..(token + 1) * config.feed_forward];
            match config.gate {
                Gate::Silu => model.kernels().silu_mul(gate, up),
                Gate::Gelu => model.kernels().gelu_mul(gate, up),
            }
        });
        s.h.resize(tokens * config.embedding, 0.0);
        Columns::new(
            pool,
            model,
            &s.workspaces,
            &s.gate,
            &mut s.per_32,
            &mut s.per_256,
            &[&layer.down],
        )
        .multiply([(&layer.down, &mut s.h)]);
        add_to_residual(pool, model, &s.h, &layer.post_feed_forward_norm, &mut s.x);
    }
}

/// Writes the tokens' rows of the embedding table.
fn embed(pool: &Pool, model: &Model, tokens: &[u32], x: &mut Vec<f32>) {
    let config = model.config();
    x.resize(tokens.len() * config.embedding, 0.0);
    let table = model.weights(&model.embedding);
    pool.chunks_mut(x, config.embedding, |i, x| {
        let row = tokens[i] as usize;
        table.format().dequantize(table.row_range(row..row + 1), x);
        if let Some(scale) = config.embedding_scale {
            x.iter_mut().for_each(|x| *x *= scale);
        }
    });
}

fn rope_angles(
    pool: &Pool,
    frequencies: &Frequencies,
    position: usize,
    tokens: usize,
    angles: &mut Vec<[f32; 2]>,
) {
    angles.resize(tokens * frequencies.pairs(), [0.0; 2]);
    pool.chunks_mut(angles, frequencies.pairs(), |token, angles| {
        frequencies.angles(position + token, angles);
    });
}

fn add_bias(model: &Model, row: &mut [f32], bias: &Option<Vec<f32>>) {
    if let Some(bias) = bias {
        model.kernels().add(row, bias);
    }
}

/// `h = norm(x)`, row by row.
fn norm_rows(pool: &Pool, model: &Model, x: &[f32], weight: &[f32], h: &mut Vec<f32>) {
    h.resize(x.len(), 0.0);
    let n = weight.len();
    pool.chunks_mut(h, n, |row, h| {
        let x = &x[row * n..(row + 1) * n];
        model.kernels().rms_norm(x, weight, model.config().norm_epsilon, h);
    });
}

/// `x += h`, or `x += norm(h)` where the layer has a norm there.
fn add_to_residual(pool: &Pool, model: &Model, h: &[f32], norm: &Option<Vec<f32>>, x: &mut [f32]) {
    let config = model.config();
    let n = config.embedding;
    pool.chunks_mut(x, n, |row, x| {
        let h = &h[row * n..(row + 1) * n];
        match norm {
            Some(weight) => {
                let mut normed = vec![0.0; n];
                model.kernels().rms_norm(h, weight, config.norm_epsilon, &mut normed);
                model.kernels().add(x, &normed);
            }
            None => model.kernels().add(x, h),
        }
    });
}
