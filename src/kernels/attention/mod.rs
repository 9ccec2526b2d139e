//! Attention of one query over cached keys and values, by online softmax.
//!
//! # Layout
//! The cache of one key-value head, for keys at absolute positions `p = 0, 1, ..`:
//! - keys are interleaved by [`KEY_LANES`]: element `d` of key `p` lies at
//!   `[p / 16][d][p % 16]`, so that a lane is a key;
//! - values are row-major: element `d` of value `p` lies at `[p][d]`.
//!
//! Each is rounded once, when it is stored, and widened exactly when it is read. Elements are
//! - f32, as they are;
//! - f16, [narrowed](super::narrow);
//! - [`Q8_0`]: each 32 neighbouring elements of a head have a scale, f16, and a byte each. Quants are those of
//!   [`quantize`](super::quantize), a group of 32 values, and the scale is its `d`, narrowed to f16. An element is `d·q`, a
//!   product of 11 bits and 8, which f32 holds exactly. So a scale that narrows to infinity (a magnitude above 8.3 million)
//!   makes its 32 elements infinite or NaN, and one that narrows to 0 (below 3.8·10⁻⁶) makes them 0. With the key's lane inmost,
//!   the scale of key `p` for elements `32b..` lies at `[p / 16][b][p % 16]`, before the bytes `[p / 16][b][d % 32][p % 16]`; with
//!   values it lies before the bytes, as in the file format of the same name.
//!
//! # Contract
//! Positions form tiles of [`TILE`] and chunks of [`CHUNK`], at absolute multiples. A query sees the keys of
//! one contiguous range; a key that it does not see takes part in nothing, and a tile or chunk without
//! a visible key is skipped. `q` comes multiplied by the softmax scale.
//!
//! A chunk starts with `m = -∞`, `S = 0`, `o = 0`; each of its tiles, ascending:
//! 1. `sₚ` is one chain over ascending `d` from +0: `s = fma(q[d], key[p][d], s)`.
//!
//!    Where scores have a soft cap, `s = cap · tanh(s / cap)`, by the `tanh` of [`elementwise`](super::elementwise).
//! 2. `m' = max(m, max sₚ)` where NaN never exceeds anything; `eₚ = exp(sₚ - m')`; `c = exp(m - m')`.
//! 3. `T` is the sum of `eₚ` in 64 lanes by position in the tile (absent ones +0), folded in halves as in the
//!    [dot](super::dot); `S = fma(S, c, T)`.
//! 4. `o[d] = o[d]·c`, then `o[d] = fma(eₚ, value[p][d], o[d])` over ascending visible `p`; `m = m'`.
//!
//! Chunks merge in ascending order, `(m, S, o)` with the next `(m₂, S₂, o₂)`: `m' = max(m, m₂)`, `c = exp(m - m')`,
//! `c₂ = exp(m₂ - m')`, `S = fma(S, c, S₂·c₂)`, `o[d] = fma(o[d], c, o₂[d]·c₂)`. The result is `o[d]·(1/S)`.
//!
//! So threads may share the work by (head, chunk) in any way, and batches may have any size.
//! `exp` is that of [`elementwise`](super::elementwise).

#[cfg(target_arch = "x86_64")]
mod blocked;
pub(super) mod generic;
#[cfg(target_arch = "x86_64")]
mod lanes;
pub(super) mod scalar;
mod storage;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;

use core::ops::Range;

use super::Kernels;
use storage::check_head;

pub use storage::{Q8_0, Storage};

/// Keys interleaved with each other in the cache.
pub const KEY_LANES: usize = 16;
/// Keys that share one rescaling of the running softmax.
pub const TILE: usize = 64;
/// Keys of the largest piece of work that is never divided between threads.
pub const CHUNK: usize = 512;

/// The cached keys and values of one head.
#[derive(Clone, Copy, Debug)]
pub struct HeadCache<'a, S: Storage> {
    /// `[positions / 16][head_dim][16]`.
    pub keys: &'a [S::Unit],
    /// `[positions][head_dim]`.
    pub values: &'a [S::Unit],
}

/// Queries that share a key-value head: of some tokens, as many of each.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    /// Element `d` of query `head` of a token lies at `token * stride + head * head_dim + d`.
    pub q: &'a [f32],
    /// Elements of a query.
    pub head_dim: usize,
    /// Queries of a token.
    pub heads: usize,
    /// From one token to the next.
    pub stride: usize,
    /// What no score exceeds, where there is such a thing.
    pub cap: Option<f32>,
}

/// The running softmax of a chunk: its maximum and its sum; the weighted values lie beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    /// The largest score so far.
    pub max: f32,
    /// Σ exp(score - max).
    pub sum: f32,
}

impl Softmax {
    /// Of no key.
    pub const EMPTY: Softmax = Softmax { max: f32::NEG_INFINITY, sum: 0.0 };
}

/// One query over the visible keys of one chunk.
///
/// # Safety
/// `visible` is not empty and lies in one chunk; the cache holds its tiles whole; `out` has the
/// length of `q`; the CPU has the features that the sibling enables.
pub(super) type Attend<S> = unsafe fn(
    q: &[f32],
    cache: HeadCache<'_, S>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax;

/// Several queries over what they see of one chunk.
///
/// # Safety
/// As [`Attend`], for each token's range in `visible`, of which there is at least one; `q` holds every query,
/// `states` has an element for each, and `out` one for each of their elements; there are queries, and they have elements.
pub(super) type AttendQueries<S> = unsafe fn(
    queries: Queries<'_>,
    cache: HeadCache<'_, S>,
    visible: &[Range<usize>],
    out: &mut [f32],
    states: &mut [Softmax],
);

/// Merges a later chunk's softmax and output into an earlier one's.
///
/// # Safety
/// The outputs have the same length; the CPU has the features that the sibling enables.
pub(super) type Merge =
    unsafe fn(state: &mut Softmax, out: &mut [f32], next: Softmax, next_out: &[f32]);

impl Kernels {
    /// Attends one query to the visible keys of one chunk, by the [contract](self): writes the
    /// weighted values to `out` (not yet divided by the sum) and returns the softmax.
    ///
    /// # Panics
    /// If `visible` is empty or not inside one chunk, a length disagrees, or a head is no multiple of [`Storage::BLOCK`].
    pub fn attend<S: Storage>(
        &self,
        q: &[f32],
        cache: HeadCache<'_, S>,
        visible: Range<usize>,
        out: &mut [f32],
    ) -> Softmax {
        assert!(visible.start < visible.end, "attend: {visible:?} holds no key");
        assert_eq!(
            visible.start / CHUNK,
            (visible.end - 1) / CHUNK,
            "attend: chunks of {visible:?}"
        );
        assert_eq!(q.len(), out.len(), "attend: lengths of q and out");
        check_head::<S>(q.len());
        let needed = visible.end.next_multiple_of(KEY_LANES) * S::units(q.len());
        assert!(cache.keys.len() >= needed, "attend: {} key units of {needed}", cache.keys.len());
        let needed = visible.end * S::units(q.len());
        assert!(
            cache.values.len() >= needed,
            "attend: {} value units of {needed}",
            cache.values.len()
        );
        // SAFETY: all of it was checked; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { S::attend(self)(q, cache, visible, out) }
    }

    /// Attends several queries to the keys of one chunk that each sees: `visible` has a range for each token, `out` is
    /// `[tokens, heads, head_dim]` and `states` `[tokens, heads]`. Each has the bits of [`attend`](Self::attend), but for a soft cap.
    ///
    /// # Panics
    /// If a range is empty, the ranges are not all inside one chunk, a length disagrees, or a head is no multiple of
    /// [`Storage::BLOCK`].
    pub fn attend_queries<S: Storage>(
        &self,
        queries: Queries<'_>,
        cache: HeadCache<'_, S>,
        visible: &[Range<usize>],
        out: &mut [f32],
        states: &mut [Softmax],
    ) {
        let Queries { q, head_dim, heads, stride, .. } = queries;
        let rows = visible.len().checked_mul(heads);
        assert_eq!(Some(states.len()), rows, "attend_queries: states of {heads} heads");
        let elements = rows.and_then(|rows| rows.checked_mul(head_dim));
        assert_eq!(Some(out.len()), elements, "attend_queries: outputs of {head_dim} elements");
        if out.is_empty() {
            return;
        }
        let reach = stride.checked_mul(visible.len() - 1);
        let reach = reach.and_then(|last| last.checked_add(heads * head_dim));
        assert!(
            reach.is_some_and(|reach| reach <= q.len()),
            "attend_queries: {} tokens {stride} apart in {} elements",
            visible.len(),
            q.len()
        );
        let chunk = visible[0].start / CHUNK;
        let mut end = 0;
        for visible in visible {
            assert!(visible.start < visible.end, "attend_queries: {visible:?} holds no key");
            let inside = visible.start / CHUNK == chunk && (visible.end - 1) / CHUNK == chunk;
            assert!(inside, "attend_queries: {visible:?} is not all in chunk {chunk}");
            end = end.max(visible.end);
        }
        check_head::<S>(head_dim);
        let needed = end.next_multiple_of(KEY_LANES) * S::units(head_dim);
        let len = cache.keys.len();
        assert!(len >= needed, "attend_queries: {len} key units of {needed}");
        let needed = end * S::units(head_dim);
        let len = cache.values.len();
        assert!(len >= needed, "attend_queries: {len} value units of {needed}");
        // SAFETY: all of it was checked; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { S::attend_queries(self)(queries, cache, visible, out, states) }
    }

    /// Merges the softmax and output of a later chunk into those of the earlier ones.
    ///
    /// # Panics
    /// If the outputs' lengths differ.
    pub fn merge_chunks(
        &self,
        state: &mut Softmax,
        out: &mut [f32],
        next: Softmax,
        next_out: &[f32],
    ) {
        assert_eq!(out.len(), next_out.len(), "merge_chunks: lengths of the outputs");
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.merge_chunks.run)(state, out, next, next_out) }
    }
}
