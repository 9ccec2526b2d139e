//! The definition, over [`Arith`] and the cache's element.

use core::ops::Range;

use half::f16;

use super::{
    Attend, AttendQueries, HeadCache, KEY_LANES, Merge, Q8_0, Queries, Softmax, Storage, TILE,
};
use crate::formats::BLOCK_32;
use crate::kernels::arith::{Arith, Exact};
use crate::kernels::dot::scalar::fold;
use crate::kernels::elementwise::scalar::{exp, maximum, soft_cap_body};

pub const ATTEND_F32: Attend<f32> =
    |q, cache, visible, out| attend::<Exact, f32>(q, cache, None, visible, out);
pub const ATTEND_F16: Attend<f16> =
    |q, cache, visible, out| attend::<Exact, f16>(q, cache, None, visible, out);
pub const ATTEND_Q8_0: Attend<Q8_0> =
    |q, cache, visible, out| attend::<Exact, Q8_0>(q, cache, None, visible, out);
pub const ATTEND_QUERIES_F32: AttendQueries<f32> = attend_queries::<Exact, f32>;
pub const ATTEND_QUERIES_F16: AttendQueries<f16> = attend_queries::<Exact, f16>;
pub const ATTEND_QUERIES_Q8_0: AttendQueries<Q8_0> = attend_queries::<Exact, Q8_0>;
pub const MERGE_CHUNKS: Merge =
    |state, out, next, next_out| merge_chunks::<Exact>(state, out, next, next_out);

/// A storage whose numbers are widened eight at a time.
pub trait Widen: Storage {
    /// Eight scales, where there are any.
    type Scales: Copy;

    /// Elements of a key that have the same eight scales, from a multiple of them on.
    const RUN: usize;

    /// Where element `d` lies in a group of keys: that of lane 0, the others behind it.
    fn key_at(d: usize) -> usize;

    /// Where element `d` lies in a value.
    fn value_at(d: usize) -> usize;

    /// The scales of elements `d..` of the keys from `lane` on in a group.
    fn key_scales<A: Arith>(group: &[Self::Unit], d: usize, lane: usize) -> Self::Scales;

    /// The scales of elements `d..` of a value.
    fn value_scales<A: Arith>(value: &[Self::Unit], d: usize) -> Self::Scales;

    fn widen8<A: Arith>(x: &[Self::Unit; 8], scales: Self::Scales) -> [f32; 8];
}

macro_rules! without_scales {
    ($element:ident, $widen:expr) => {
        impl Widen for $element {
            type Scales = ();
            const RUN: usize = usize::MAX;

            #[inline(always)]
            fn key_at(d: usize) -> usize {
                d * KEY_LANES
            }

            #[inline(always)]
            fn value_at(d: usize) -> usize {
                d
            }

            #[inline(always)]
            fn key_scales<A: Arith>(_: &[$element], _: usize, _: usize) {}

            #[inline(always)]
            fn value_scales<A: Arith>(_: &[$element], _: usize) {}

            #[inline(always)]
            fn widen8<A: Arith>(x: &[$element; 8], (): ()) -> [f32; 8] {
                $widen(x)
            }
        }
    };
}
without_scales!(f32, |x: &[f32; 8]| *x);
without_scales!(f16, |x: &[f16; 8]| A::widen(x.map(f16::to_bits)));

impl Widen for Q8_0 {
    type Scales = [f32; 8];
    const RUN: usize = BLOCK_32;

    #[inline(always)]
    fn key_at(d: usize) -> usize {
        d / BLOCK_32 * Q8_0::GROUP_BYTES + Q8_0::GROUP_QUANTS + d % BLOCK_32 * KEY_LANES
    }

    #[inline(always)]
    fn value_at(d: usize) -> usize {
        d / BLOCK_32 * Q8_0::BYTES + 2 + d % BLOCK_32
    }

    #[inline(always)]
    fn key_scales<A: Arith>(group: &[u8], d: usize, lane: usize) -> [f32; 8] {
        let scales = &group[d / BLOCK_32 * Q8_0::GROUP_BYTES + 2 * lane..][..16];
        A::widen(core::array::from_fn(|j| u16::from_le_bytes([scales[2 * j], scales[2 * j + 1]])))
    }

    #[inline(always)]
    fn value_scales<A: Arith>(value: &[u8], d: usize) -> [f32; 8] {
        let scale = &value[d / BLOCK_32 * Q8_0::BYTES..][..2];
        A::widen([u16::from_le_bytes([scale[0], scale[1]]); 8])
    }

    #[inline(always)]
    fn widen8<A: Arith>(x: &[u8; 8], scales: [f32; 8]) -> [f32; 8] {
        core::array::from_fn(|j| scales[j] * f32::from(x[j] as i8))
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
        let values = &cache.values[start * E::units(q.len())..];
        accumulate::<A, E>(&e[start - tile..end - tile], values, out);
        start = end;
    }
    state
}

#[inline(always)]
pub fn attend_queries<A: Arith, E: Widen>(
    queries: Queries<'_>,
    cache: HeadCache<'_, E>,
    visible: &[Range<usize>],
    out: &mut [f32],
    states: &mut [Softmax],
) {
    one_by_one(queries, visible, out, states, |q, visible, out| {
        attend::<A, E>(q, cache, queries.cap, visible, out)
    });
}

/// One query after the other.
#[inline(always)]
pub fn one_by_one(
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
fn scores<A: Arith, E: Widen>(
    q: &[f32],
    keys: &[E::Unit],
    tile: usize,
    end: usize,
    s: &mut [f32; TILE],
) {
    let keys = &keys[tile * E::units(q.len())..];
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
    keys: &[E::Unit],
    s: &mut [[f32; KEY_LANES]],
) {
    let group_len = KEY_LANES * E::units(q.len());
    let keys: [&[E::Unit]; N] = core::array::from_fn(|g| &keys[g * group_len..(g + 1) * group_len]);
    let mut sums = [[[0.0; 8]; 2]; N];
    for (run, q) in q.chunks(E::RUN).enumerate() {
        let first = run * E::RUN;
        let runs = keys.map(|keys| keys[E::key_at(first)..][..q.len() * KEY_LANES].as_chunks().0);
        let scales = keys.map(|keys| [0, 8].map(|lane| E::key_scales::<A>(keys, first, lane)));
        for (d, &q) in q.iter().enumerate() {
            for g in 0..N {
                for half in 0..2 {
                    let key = E::widen8::<A>(&runs[g][2 * d + half], scales[g][half]);
                    for j in 0..8 {
                        sums[g][half][j] = A::fma(q, key[j], sums[g][half][j]);
                    }
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
fn accumulate<A: Arith, E: Widen>(e: &[f32], values: &[E::Unit], out: &mut [f32]) {
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
        // The last few elements of a head whose size is not a multiple of eight: such a head has no scales.
        for (&e, value) in e.iter().zip(values.chunks_exact(E::units(head_dim))) {
            last::<A, E>(e, value, d, out);
        }
    }
}

/// `o[d] = fma(e, value[d], o[d])` from `d` on, one element after the other.
#[inline(always)]
pub fn last<A: Arith, E: Widen>(e: f32, value: &[E::Unit], d: usize, out: &mut [f32]) {
    for (i, o) in out.iter_mut().enumerate().skip(d) {
        let scales = E::value_scales::<A>(value, i);
        *o = A::fma(e, E::widen8::<A>(&[value[E::value_at(i)]; 8], scales)[0], *o);
    }
}

/// Elements of the output that are accumulated at once: eight ymm registers.
const STRIP: usize = 64;

#[inline(always)]
fn accumulate_strip<A: Arith, E: Widen, const N: usize>(
    e: &[f32],
    values: &[E::Unit],
    head_dim: usize,
    d: usize,
    out: &mut [f32],
) {
    let units = E::units(head_dim);
    let out = &mut out[d..d + 8 * N];
    let mut acc: [[f32; 8]; N] = core::array::from_fn(|n| core::array::from_fn(|j| out[8 * n + j]));
    for (p, &e) in e.iter().enumerate() {
        let value = &values[p * units..][..units];
        for (n, acc) in acc.iter_mut().enumerate() {
            let d = d + 8 * n;
            let eight = value[E::value_at(d)..].as_chunks().0;
            let v = E::widen8::<A>(&eight[0], E::value_scales::<A>(value, d));
            for j in 0..8 {
                acc[j] = A::fma(e, v[j], acc[j]);
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
