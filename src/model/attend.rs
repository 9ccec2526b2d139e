//! Attention of a batch: its tokens' queries over the cached keys that each sees.

mod waves;

use std::array;
use std::ops::Range;

use crate::formats::ActBlock;
use crate::kernels::Kernels;
use crate::kernels::attention::{CHUNK, HeadCache, Queries, Softmax, Storage};

use super::cache::Cache;
use super::columns::{Row, quantize};
use super::divide::{self, Chunks};
use super::stats::{Operation, Timer};
use super::workspaces::{Workspace, Workspaces};
use super::{Config, Pool};
use waves::Waves;

/// Tokens of a piece of work, at most: what they share is loaded from further away than the first-level cache once for
/// all of them, and the visible keys of the first and the last differ by a quarter of a tile.
const TOKENS: usize = 16;

/// One layer's attention.
pub struct Attention<'a, S: Storage> {
    pub pool: &'a Pool,
    pub kernels: &'a Kernels,
    pub timer: Timer<'a>,
    pub config: &'a Config,
    pub workspaces: &'a Workspaces,
    pub cache: &'a Cache<S>,
    /// The number of the layer.
    pub layer: usize,
    /// The position of the first token.
    pub position: usize,
}

impl<S: Storage> Attention<'_, S> {
    /// `query` and `out` are `[tokens, heads, head_dim]`; the queries come multiplied by the scale. Tokens' rows of the
    /// output are quantised as well.
    pub fn run(
        &self,
        query: &[f32],
        out: &mut [f32],
        (per_32, per_256): (Chunks<'_, ActBlock>, Chunks<'_, ActBlock>),
    ) {
        let (config, threads, tracer) = (self.config, self.pool.threads(), self.timer.tracer);
        let row = config.query_len();
        let tokens = out.len() / row;
        let group = config.heads / config.kv_heads;
        // Blocks of tokens, where there are enough for every thread to have some; of few tokens, chunks of keys, where
        // there are several; the heads that share them; or each head.
        let block = (tokens / (4 * threads)).min(TOKENS);
        if block > 1 {
            let blocks =
                (Chunks::of(out, block * row), per_32.grouped(block), per_256.grouped(block));
            self.pool.each(tracer, blocks, |i, (out, per_32, per_256)| {
                let first = i * block;
                for kv in 0..config.kv_heads {
                    let at = kv * group * config.head_dim;
                    self.piece(first, kv, group, &query[first * row + at..], &mut out[at..]);
                }
                let tokens = out.len() / row;
                let rows = (
                    Chunks::rows(out, tokens),
                    (Chunks::rows(per_32, tokens), Chunks::rows(per_256, tokens)),
                );
                divide::each_here(rows, |_, (out, row)| self.quantize(out, row));
            });
        } else {
            let chunks =
                self.visible(0).start / CHUNK..self.visible(tokens - 1).end.div_ceil(CHUNK);
            if Waves::pay(chunks.len(), tokens * config.kv_heads, threads) {
                self.in_waves(query, out, chunks);
            } else {
                let heads = if tokens * config.kv_heads >= threads { group } else { 1 };
                let len = heads * config.head_dim;
                self.pool.each(tracer, Chunks::of(out, len), |i, out| {
                    let (token, head) = (i * heads / config.heads, i * heads % config.heads);
                    self.piece(token, head / group, heads, &query[i * len..], out);
                });
            }
            let rows = (Chunks::rows(out, tokens), (per_32, per_256));
            self.pool.each(tracer, rows, |_, (out, row)| self.quantize(out, row));
        }
    }

    fn quantize(&self, out: &[f32], row: Row<'_>) {
        self.timer.time(Operation::Quantise, || quantize(self.kernels, out, row));
    }

    /// What a token of the batch sees.
    fn visible(&self, token: usize) -> Range<usize> {
        let window = self.config.window.filter(|_| self.config.has_window(self.layer));
        let end = self.position + token + 1;
        window.map_or(0, |window| end.saturating_sub(window))..end
    }

    /// Some heads that share keys, of the tokens from `first` on: as many as `out` has rows of, of which the last may
    /// end early.
    fn piece(&self, first: usize, kv: usize, heads: usize, query: &[f32], out: &mut [f32]) {
        let tokens = out.len().div_ceil(self.config.query_len());
        let visible: [Range<usize>; TOKENS] = array::from_fn(|token| self.visible(first + token));
        let piece = Piece {
            kernels: self.kernels,
            queries: self.queries(query, heads),
            cache: self.cache.head(self.layer, kv),
            visible: &visible[..tokens],
        };
        self.timer.time(Operation::Attention, || {
            self.workspaces.lend(|space| piece.run(space, out));
        });
    }

    /// So many heads of each token, from the first element of `q` on.
    fn queries<'q>(&self, q: &'q [f32], heads: usize) -> Queries<'q> {
        let Config { head_dim, attention_soft_cap: cap, .. } = *self.config;
        Queries { q, head_dim, heads, stride: self.config.query_len(), cap }
    }
}

/// Queries of one piece, with what each token sees.
struct Piece<'a, S: Storage> {
    kernels: &'a Kernels,
    queries: Queries<'a>,
    cache: HeadCache<'a, S>,
    visible: &'a [Range<usize>],
}

impl<S: Storage> Piece<'_, S> {
    /// Chunk by chunk.
    fn run(&self, space: &mut Workspace, out: &mut [f32]) {
        let Queries { head_dim, heads, stride, .. } = self.queries;
        let (states, next_states, next_out) = space.attention(self.visible.len() * heads, head_dim);
        let (first, last) = (&self.visible[0], &self.visible[self.visible.len() - 1]);
        for chunk in first.start / CHUNK..=(last.end - 1) / CHUNK {
            let tokens = self.chunk(chunk, next_out, next_states);
            for i in tokens.start * heads..tokens.end * heads {
                let (token, head) = (i / heads, i % heads);
                let out = &mut out[token * stride + head * head_dim..][..head_dim];
                let next_out = &next_out[i * head_dim..][..head_dim];
                let first = self.visible[token].start / CHUNK == chunk;
                follow(self.kernels, first, (&mut states[i], out), (next_states[i], next_out));
            }
        }
        for (i, state) in states.iter().enumerate() {
            let (token, head) = (i / heads, i % heads);
            finish(state, &mut out[token * stride + head * head_dim..][..head_dim]);
        }
    }

    /// One chunk, of those tokens that see any of it, which are returned: `out` is `[tokens, heads, head_dim]`, `states`
    /// `[tokens, heads]`, and what is other tokens' is left as it is.
    fn chunk(&self, chunk: usize, out: &mut [f32], states: &mut [Softmax]) -> Range<usize> {
        let Queries { q, head_dim, heads, stride, .. } = self.queries;
        let keys = chunk * CHUNK..(chunk + 1) * CHUNK;
        // Both ends of what is visible rise from token to token.
        let start = self.visible.partition_point(|visible| visible.end <= keys.start);
        let end = self.visible.partition_point(|visible| visible.start < keys.end);
        if start >= end {
            return 0..0;
        }
        let mut visible = [const { 0..0 }; TOKENS];
        for (part, all) in visible.iter_mut().zip(&self.visible[start..end]) {
            *part = all.start.max(keys.start)..all.end.min(keys.end);
        }
        let rows = start * heads..end * heads;
        let queries = Queries { q: &q[start * stride..], ..self.queries };
        let out = &mut out[rows.start * head_dim..rows.end * head_dim];
        let visible = &visible[..end - start];
        self.kernels.attend_queries(queries, self.cache, visible, out, &mut states[rows]);
        start..end
    }
}

/// Merges what a query found in a chunk into what it found before, or begins with it.
fn follow(
    kernels: &Kernels,
    first: bool,
    (state, out): (&mut Softmax, &mut [f32]),
    (next, next_out): (Softmax, &[f32]),
) {
    if first {
        out.copy_from_slice(next_out);
        *state = next;
    } else {
        kernels.merge_chunks(state, out, next, next_out);
    }
}

/// The result, once all chunks are merged.
fn finish(state: &Softmax, out: &mut [f32]) {
    let inverse = 1.0 / state.sum;
    out.iter_mut().for_each(|o| *o *= inverse);
}
