//! Attention of few tokens to many keys: threads share it by chunks of keys.
//!
//! A piece of work is a chunk of one key-value head, for all heads that share it and for as many tokens as leave every
//! thread some pieces: its keys and values come from memory once. What it finds is left beside what other pieces found, until
//! a wave of chunks is done; then each query merges its chunks in ascending order, as the contract has it. So all threads work
//! where there is one key-value head, and the bits are those of any other division.

use std::array;
use std::ops::Range;

use crate::kernels::attention::{CHUNK, Softmax, Storage};

use super::super::divide::{self, Chunks};
use super::super::stats::Operation;
use super::{Attention, Piece, TOKENS, finish, follow};

/// Pieces of a wave for each thread. At its end the threads wait for the last one: for half a piece on average, a
/// thirty-second of the wave. What a wave leaves is one output a query and piece, whatever the context: for a thread 48 KiB
/// of six heads of 128, less than a tenth of the keys and values of one chunk.
const WAVE: usize = 16;

/// Merges that one thread makes by the time that others hear of them: each takes some 100 cycles.
const SHARED: usize = 128;

/// How many pieces there are, and which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waves {
    /// Tokens of a piece, and how many such blocks there are.
    block: usize,
    blocks: usize,
    /// Chunks of a wave.
    chunks: usize,
}

impl Waves {
    /// Whether there are enough chunks for it, `heads` being key-value heads of all tokens. One chunk is not divided; and of
    /// few, the heads make more pieces.
    pub fn pay(chunks: usize, heads: usize, threads: usize) -> bool {
        chunks > 1 && chunks * heads >= 2 * threads
    }

    /// Four pieces a thread, or somewhat fewer, two at least, where blocks of equal length make no more; if there are so many tokens.
    fn new(chunks: usize, tokens: usize, kv_heads: usize, threads: usize) -> Waves {
        let blocks = (4 * threads).div_ceil(kv_heads * chunks);
        let block = tokens.div_ceil(blocks).min(TOKENS);
        let blocks = tokens.div_ceil(block);
        Waves { block, blocks, chunks: (WAVE * threads).div_ceil(blocks * kv_heads).min(chunks) }
    }
}

impl<S: Storage> Attention<'_, S> {
    /// All heads of all tokens, to the chunks that any of them sees.
    pub(super) fn in_waves(&self, query: &[f32], out: &mut [f32], chunks: Range<usize>) {
        let (config, threads, tracer) = (self.config, self.pool.threads(), self.timer.tracer);
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        let group = heads / kv_heads;
        let tokens = out.len() / config.query_len();
        let waves = Waves::new(chunks.len(), tokens, kv_heads, threads);
        let (block, blocks) = (waves.block, waves.blocks);
        // Queries of a piece; of the pieces of a chunk.
        let rows = block * group;
        let chunk_rows = kv_heads * blocks * rows;
        self.workspaces.partials(|partials| {
            let (states, found, outputs) =
                partials.attention(tokens * heads, waves.chunks * chunk_rows, head_dim);
            for first in chunks.clone().step_by(waves.chunks) {
                let wave = first..chunks.end.min(first + waves.chunks);
                let len = wave.len() * chunk_rows;
                let pieces = (
                    Chunks::of(&mut found[..len], rows),
                    Chunks::of(&mut outputs[..len * head_dim], rows * head_dim),
                );
                self.pool.each(tracer, pieces, |i, (states, out)| {
                    let (chunk, i) = (first + i / (kv_heads * blocks), i % (kv_heads * blocks));
                    let (kv, token) = (i / blocks, i % blocks * block);
                    let seen: [Range<usize>; TOKENS] = array::from_fn(|i| self.visible(token + i));
                    let query = &query[(token * heads + kv * group) * head_dim..];
                    let piece = Piece {
                        kernels: self.kernels,
                        queries: self.queries(query, group),
                        cache: self.cache.head(self.layer, kv),
                        visible: &seen[..block.min(tokens - token)],
                    };
                    self.timer.time(Operation::Attention, || {
                        piece.chunk(chunk, out, states);
                    });
                });

                let merge = |i: usize, (out, state): (&mut [f32], &mut [Softmax])| {
                    let (token, head) = (i / heads, i % heads);
                    let visible = self.visible(token);
                    let sees = visible.start / CHUNK..visible.end.div_ceil(CHUNK);
                    let state = &mut state[0];
                    for chunk in wave.start.max(sees.start)..wave.end.min(sees.end) {
                        let piece = ((chunk - first) * kv_heads + head / group) * blocks;
                        let at =
                            (piece + token / block) * rows + token % block * group + head % group;
                        let next = (found[at], &outputs[at * head_dim..][..head_dim]);
                        follow(self.kernels, chunk == sees.start, (state, out), next);
                    }
                    if wave.end == chunks.end {
                        finish(state, out);
                    }
                };
                let queries = (Chunks::of(&mut *out, head_dim), Chunks::of(&mut *states, 1));
                if tokens * heads * wave.len() < SHARED {
                    self.timer.time(Operation::Attention, || divide::each_here(queries, merge));
                } else {
                    self.pool.each(tracer, queries, |i, query| {
                        self.timer.time(Operation::Attention, || merge(i, query));
                    });
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_several_pieces_and_what_is_left_of_them_does_not_grow_with_the_context() {
        for threads in [1, 2, 5, 64] {
            for kv_heads in [1, 2, 8] {
                for tokens in 1..8 * threads {
                    let most = Waves::new(1 << 20, tokens, kv_heads, threads);
                    for chunks in [2, 3, 16, 64, 300, 1 << 20] {
                        let Waves { block, blocks, chunks: wave } =
                            Waves::new(chunks, tokens, kv_heads, threads);
                        assert!((1..=TOKENS).contains(&block) && block * blocks >= tokens);
                        assert!(block * (blocks - 1) < tokens, "a block of no token");
                        assert!((1..=chunks).contains(&wave));
                        let left = wave * kv_heads * blocks * block;
                        assert!(left <= (WAVE * threads + kv_heads * blocks) * TOKENS);
                        if tokens == 1 {
                            assert!(wave <= most.chunks);
                        }
                        let pieces = chunks * kv_heads * blocks;
                        assert!(pieces >= 2 * threads || block == 1, "{pieces} pieces");
                    }
                }
            }
        }
    }
}
