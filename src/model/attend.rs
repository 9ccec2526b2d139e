//! Attention of a batch: its tokens' queries over the cached keys that each sees.

use std::array;
use std::ops::Range;

use crate::formats::ActBlock;
use crate::kernels::Kernels;
use crate::kernels::attention::{CHUNK, CacheElement, HeadCache, Queries, Softmax};

use super::cache::Cache;
use super::columns::{Row, quantize};
use super::divide::{self, Chunks};
use super::stats::{Operation, Timer};
use super::workspaces::{Workspace, Workspaces};
use super::{Config, Pool};

/// Tokens of a piece of work, at most: what they share is loaded from further away than the first-level cache once for
/// all of them, and the visible keys of the first and the last differ by a quarter of a tile.
const TOKENS: usize = 16;

/// One layer's attention.
pub struct Attention<'a, E> {
    pub pool: &'a Pool,
    pub kernels: &'a Kernels,
    pub timer: Timer<'a>,
    pub config: &'a Config,
    pub workspaces: &'a Workspaces,
    pub cache: &'a Cache<E>,
    /// The number of the layer.
    pub layer: usize,
    /// The position of the first token.
    pub position: usize,
}

impl<E: CacheElement> Attention<'_, E> {
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
        // Blocks of tokens, where there are enough for every thread to have some; of few tokens, the heads that share
        // keys; of fewer, each head.
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
            let heads = if tokens * config.kv_heads >= threads { group } else { 1 };
            let len = heads * config.head_dim;
            self.pool.each(tracer, Chunks::of(out, len), |i, out| {
                let (token, head) = (i * heads / config.heads, i * heads % config.heads);
                self.piece(token, head / group, heads, &query[i * len..], out);
            });
            let rows = (Chunks::rows(out, tokens), (per_32, per_256));
            self.pool.each(tracer, rows, |_, (out, row)| self.quantize(out, row));
        }
    }

    fn quantize(&self, out: &[f32], row: Row<'_>) {
        self.timer.time(Operation::Quantise, || quantize(self.kernels, out, row));
    }

    /// Some heads that share keys, of the tokens from `first` on: as many as `out` has rows of, of which the last may
    /// end early.
    fn piece(&self, first: usize, kv: usize, heads: usize, query: &[f32], out: &mut [f32]) {
        let (head_dim, cap) = (self.config.head_dim, self.config.attention_soft_cap);
        let row = self.config.query_len();
        let tokens = out.len().div_ceil(row);
        let position = self.position + first;
        let window = self.config.window.filter(|_| self.config.has_window(self.layer));
        let visible: [Range<usize>; TOKENS] = array::from_fn(|token| {
            let end = position + token + 1;
            window.map_or(0, |window| end.saturating_sub(window))..end
        });
        let piece = Piece {
            kernels: self.kernels,
            queries: Queries { q: query, head_dim, heads, stride: row, cap },
            cache: self.cache.head(self.layer, kv),
            visible: &visible[..tokens],
        };
        self.timer.time(Operation::Attention, || {
            self.workspaces.lend(|space| piece.run(space, out));
        });
    }
}

/// Queries of one piece, with what each token sees.
struct Piece<'a, E> {
    kernels: &'a Kernels,
    queries: Queries<'a>,
    cache: HeadCache<'a, E>,
    visible: &'a [Range<usize>],
}

impl<E: CacheElement> Piece<'_, E> {
    /// Chunk by chunk, of those tokens that see any of it.
    fn run(&self, space: &mut Workspace, out: &mut [f32]) {
        let Queries { q, head_dim, heads, stride, .. } = self.queries;
        let (states, next_states, next_out) = space.attention(self.visible.len() * heads, head_dim);
        let (first, last) = (&self.visible[0], &self.visible[self.visible.len() - 1]);
        for chunk in first.start / CHUNK..=(last.end - 1) / CHUNK {
            let keys = chunk * CHUNK..(chunk + 1) * CHUNK;
            // Both ends of what is visible rise from token to token.
            let start = self.visible.partition_point(|visible| visible.end <= keys.start);
            let end = self.visible.partition_point(|visible| visible.start < keys.end);
            let mut visible = [const { 0..0 }; TOKENS];
            for (part, all) in visible.iter_mut().zip(&self.visible[start..end]) {
                *part = all.start.max(keys.start)..all.end.min(keys.end);
            }
            let rows = (end - start) * heads;
            let queries = Queries { q: &q[start * stride..], ..self.queries };
            let (next_out, next) = (&mut next_out[..rows * head_dim], &mut next_states[..rows]);
            let visible = &visible[..end - start];
            self.kernels.attend_queries(queries, self.cache, visible, next_out, next);
            for (i, (next_out, next)) in next_out.chunks(head_dim).zip(next).enumerate() {
                let (token, head) = (start + i / heads, i % heads);
                let out = &mut out[token * stride + head * head_dim..][..head_dim];
                let state = &mut states[token * heads + head];
                if self.visible[token].start >= keys.start {
                    out.copy_from_slice(next_out);
                    *state = *next;
                } else {
                    self.kernels.merge_chunks(state, out, *next, next_out);
                }
            }
        }
        for (i, Softmax { sum, .. }) in states.iter().enumerate() {
            let (token, head) = (i / heads, i % heads);
            let inverse = 1.0 / sum;
            let out = &mut out[token * stride + head * head_dim..][..head_dim];
            out.iter_mut().for_each(|o| *o *= inverse);
        }
    }
}
