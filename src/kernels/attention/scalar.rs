//! The definition, over [`Arith`] and the cache's element.

use core::ops::Range;

use half::f16;

use super::{Attend, AttendQueries, HeadCache, KEY_LANES, Merge, Queries, Softmax, TILE};
use crate::kernels::arith::{Arith, Exact};
use crate::kernels::dot::scalar::fold;
use crate::kernels::elementwise::scalar::{exp, maximum, soft_cap_body};

pub const ATTEND_F32: Attend<f32> =
    |q, cache, visible, out| attend::<Exact, f32>(q, cache, None, visible, out);
pub const ATTEND_F16: Attend<f16> =
    |q, cache, visible, out| attend::<Exact, f16>(q, cache, None, visible, out);
pub const ATTEND_QUERIES_F32: AttendQueries<f32> = |queries, cache, visible, out, states| {
    attend_queries(queries, visible, out, states, |q, visible, out| {
        attend::<Exact, f32>(q, cache, queries.cap, visible, out)
    });
};
pub const ATTEND_QUERIES_F16: AttendQueries<f16> = |queries, cache, visible, out, states| {
    attend_queries(queries, visible, out, states, |q, visible, out| {
        attend::<Exact, f16>(q, cache, queries.cap, visible, out)
    });
};
pub const MERGE_CHUNKS: Merge =
    |state, out, next, next_out| merge_chunks::<Exact>(state, out, next, next_out);

/// An element that is widened eight at a time.
pub trait Widen: Copy + Default {
    fn widen8<A: Arith>(x: &[Self; 8]) -> [f32; 8];
}

impl Widen for f32 {
    #[inline(always)]
    fn widen8<A: Arith>(x: &[f32; 8]) -> [f32; 8] {
        *x
    }
}

impl Widen for f16 {
    #[inline(always)]
    fn widen8<A: Arith>(x: &[f16; 8]) -> [f32; 8] {
        A::widen(x.map(f16::to_bits))
    }
}

#[inline(always)]
pub fn attend<A: Arith, E: Widen>(
    q: &[f32],
    cache: HeadCache<'_, E>,
    cap: Option<f32>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    let mut state = Softmax::EMPTY;
    out.fill(0.0);
    let mut start = visible.start;
    while start < visible.end {
        let tile = start - start % TILE;
        let end = visible.end.min(tile + TILE);
        let mut e = [0.0; TILE];
        scores::<A, E>(q, cache.keys, tile, end, &mut e);

        let seen = &mut e[start - tile..end - tile];
        if let Some(cap) = cap {
            soft_cap_body::<A>(seen, cap);
        }
        let tile_max = maximum(seen);
        let max = if tile_max > state.max { tile_max } else { state.max };
        for e in seen {
            *e = exp::<A>(*e - max);
        }
        e[..start - tile].fill(0.0);
        e[end - tile..].fill(0.0);
        let correction = exp::<A>(state.max - max);
        state.sum = A::fma(state.sum, correction, fold(&mut e.clone()));
        state.max = max;
        for o in &mut *out {
            *o *= correction;
        }
        accumulate::<A, E>(&e[start - tile..end - tile], &cache.values[start * q.len()..], out);
        start = end;
    }
    state
}

/// One query after the other.
#[inline(always)]
pub fn attend_queries(
    queries: Queries<'_>,
    visible: &[Range<usize>],
    out: &mut [f32],
    states: &mut [Softmax],
    attend: impl Fn(&[f32], Range<usize>, &mut [f32]) -> Softmax,
) {
    let Queries { q, head_dim, heads, stride, .. } = queries;
    for (i, (out, state)) in out.chunks_exact_mut(head_dim).zip(states).enumerate() {
        let (token, head) = (i / heads, i % heads);
        let q = &q[token * stride + head * head_dim..][..head_dim];
        *state = attend(q, visible[token].clone(), out);
    }
}

/// Scores of the keys from `tile` up to `end`, by whole groups of lanes: those of keys that are not
/// visible are computed from whatever lies there, and not used.
#[inline(always)]
fn scores<A: Arith, E: Widen>(q: &[f32], keys: &[E], tile: usize, end: usize, s: &mut [f32; TILE]) {
    let keys = &keys[tile * q.len()..];
    let s = s.as_chunks_mut().0;
    match (end - tile).div_ceil(KEY_LANES) {
        1 => score_groups::<A, E, 1>(q, keys, s),
        2 => score_groups::<A, E, 2>(q, keys, s),
        3 => score_groups::<A, E, 3>(q, keys, s),
        _ => score_groups::<A, E, 4>(q, keys, s),
    }
}

/// `N` groups side by side: the chains of one would wait for each other.
#[inline(always)]
fn score_groups<A: Arith, E: Widen, const N: usize>(
    q: &[f32],
    keys: &[E],
    s: &mut [[f32; KEY_LANES]],
) {
    let keys: [&[[E; 8]]; N] = core::array::from_fn(|g| {
        keys[g * KEY_LANES * q.len()..(g + 1) * KEY_LANES * q.len()].as_chunks().0
    });
    let mut sums = [[[0.0; 8]; 2]; N];
    for (d, &q) in q.iter().enumerate() {
        for (sums, keys) in sums.iter_mut().zip(keys) {
            for (half, sums) in sums.iter_mut().enumerate() {
                let key = E::widen8::<A>(&keys[2 * d + half]);
                for j in 0..8 {
                    sums[j] = A::fma(q, key[j], sums[j]);
                }
            }
        }
    }
    for (s, sums) in s.iter_mut().zip(sums) {
        s.copy_from_slice(sums.as_flattened());
    }
}

/// `o[d] = fma(e[p], value[p][d], o[d])` over ascending `p`, in strips of `d` that stay in registers.
#[inline(always)]
fn accumulate<A: Arith, E: Widen>(e: &[f32], values: &[E], out: &mut [f32]) {
    let head_dim = out.len();
    let mut d = 0;
    while d + STRIP <= head_dim {
        accumulate_strip::<A, E, { STRIP / 8 }>(e, values, head_dim, d, out);
        d += STRIP;
    }
    while d + 8 <= head_dim {
        accumulate_strip::<A, E, 1>(e, values, head_dim, d, out);
        d += 8;
    }
    if d < head_dim {
        // The last few elements of a head whose size is not a multiple of eight.
        for (&e, values) in e.iter().zip(values.chunks_exact(head_dim)) {
            for (o, &v) in out[d..].iter_mut().zip(&values[d..]) {
                *o = A::fma(e, E::widen8::<A>(&[v; 8])[0], *o);
            }
        }
    }
}

/// Elements of the output that are accumulated at once: eight ymm registers.
const STRIP: usize = 64;

#[inline(always)]
fn accumulate_strip<A: Arith, E: Widen, const N: usize>(
    e: &[f32],
    values: &[E],
    head_dim: usize,
    d: usize,
    out: &mut [f32],
) {
    let out = &mut out[d..d + 8 * N];
    let mut acc: [[f32; 8]; N] = core::array::from_fn(|n| core::array::from_fn(|j| out[8 * n + j]));
    for (p, &e) in e.iter().enumerate() {
        let value = &values[p * head_dim + d..][..8 * N].as_chunks::<8>().0;
        for n in 0..N {
            let v = E::widen8::<A>(&value[n]);
            for j in 0..8 {
                acc[n][j] = A::fma(e, v[j], acc[n][j]);
            }
        }
    }
    out.copy_from_slice(acc.as_flattened());
}

#[inline(always)]
pub fn merge_chunks<A: Arith>(
    state: &mut Softmax,
    out: &mut [f32],
    next: Softmax,
    next_out: &[f32],
) {
    let max = if next.max > state.max { next.max } else { state.max };
    let (c, next_c) = (exp::<A>(state.max - max), exp::<A>(next.max - max));
    state.sum = A::fma(state.sum, c, next.sum * next_c);
    state.max = max;
    for (o, &next) in out.iter_mut().zip(next_out) {
        *o = A::fma(*o, c, next * next_c);
    }
}
