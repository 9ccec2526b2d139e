//! Up to six queries at a time, over registers of any width: what [`attend_queries`](super::Kernels::attend_queries) is for.
//!
//! # Bound
//! A query and a key take `2 · head_dim` multiply-adds, and nothing else takes so many. By one query, every key and value
//! is loaded and widened for one of them; twelve sums of six queries take it six times from a register. For each two
//! registers of keys (or values) there are two loads, six broadcasts and twelve multiply-adds: with two of either a
//! cycle, 6 cycles, and the twelve chains hide a latency of 4. Of q8_0 the two registers are multiplied by scales besides, 7
//! cycles. Few queries read keys and values from memory once, and wait for it: the first block asks for the values of a tile
//! while it multiplies the keys, and for the next keys while it multiplies values (`docs/attention.md`).
//!
//! Every query has the chains of the [definition](super::scalar), in its order: a block only takes steps of different
//! queries in turn.

// Registers are named by several indices at once.
#![allow(clippy::needless_range_loop)]

use core::array;
use core::ops::Range;

use super::lanes::{Lanes, Load};
use super::scalar::last;
use super::{HeadCache, KEY_LANES, Queries, Softmax, TILE};
use crate::formats::BLOCK_32;
use crate::kernels::arith::Arith;
use crate::kernels::dot::scalar::fold;
use crate::kernels::elementwise::scalar::{exp, soft_cap_body};

/// Bytes that are asked for together.
const LINE: usize = 64;

/// Asks for the line of an address, which need not be one.
#[inline(always)]
fn fetch<T>(from: *const T) {
    // Interpreted, there is no cache.
    #[cfg(not(miri))]
    // SAFETY: prefetching reads nothing, and faults nowhere.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
    #[cfg(miri)]
    let _ = from;
}

/// # Safety
/// As [`AttendQueries`](super::AttendQueries); inside a function that enables the features of `A` and `L`.
#[inline(always)]
pub unsafe fn attend_queries<A: Arith, L: Lanes, E: Load>(
    queries: Queries<'_>,
    cache: HeadCache<'_, E>,
    visible: &[Range<usize>],
    out: &mut [f32],
    states: &mut [Softmax],
) {
    states.fill(Softmax::EMPTY);
    out.fill(0.0);
    let (Some(first), Some(last)) =
        (visible.iter().map(|v| v.start).min(), visible.iter().map(|v| v.end).max())
    else {
        return;
    };
    let units = E::units(queries.head_dim);
    // A tile of keys and values stays in the first-level cache while all queries pass.
    for tile in (first - first % TILE..last).step_by(TILE) {
        let keys = cache.keys.as_ptr().wrapping_add(tile * units);
        let values = cache.values.as_ptr().wrapping_add(tile * units);
        let next = if tile + TILE < last { keys.wrapping_add(TILE * units) } else { values };
        let (mut out, mut states, mut row) = (&mut *out, &mut *states, 0);
        while !states.is_empty() {
            // Each number more is code that is seldom run.
            let rows = match states.len() {
                rows @ (1..=4 | 6) => rows,
                5 => 3,
                7 | 8 => 4,
                _ => 6,
            };
            let ((these, after), (part, rest)) =
                (states.split_at_mut(rows), out.split_at_mut(rows * queries.head_dim));
            // The first block asks for what is read next, the others, where they ask, for what is there.
            let ahead = if row == 0 { (values, next) } else { (keys, values) };
            let at = At { queries, cache, visible, tile, row, ahead };
            // SAFETY: as many queries as there are states, and elements of the output; the rest by the caller. Of sixteen
            // registers, at most twelve hold sums, four keys or values.
            unsafe {
                match rows {
                    1 => at.block::<A, L, 1, 4, true>(part, these),
                    2 => at.block::<A, L, 2, 4, true>(part, these),
                    3 => at.block::<A, L, 3, 2, true>(part, these),
                    4 => at.block::<A, L, 4, 2, true>(part, these),
                    _ if row == 0 => at.block::<A, L, 6, 2, true>(part, these),
                    _ => at.block::<A, L, 6, 2, false>(part, these),
                }
            }
            (out, states, row) = (rest, after, row + rows);
        }
    }
}

/// A tile of keys, and the first query of a block.
struct At<'a, E: Load> {
    queries: Queries<'a>,
    cache: HeadCache<'a, E>,
    visible: &'a [Range<usize>],
    tile: usize,
    row: usize,
    /// Where what is asked for meanwhile begins: while keys are read, and while values are.
    ahead: (*const E::Unit, *const E::Unit),
}

/// Scores, later their exponentials, of a tile.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Scores([f32; TILE]);

impl<E: Load> At<'_, E> {
    /// `R` queries over one tile, `W` registers of keys or values side by side: `out` and `states` are theirs.
    ///
    /// # Safety
    /// As [`attend_queries`], and there are so many queries from `self.row` on.
    #[inline(always)]
    unsafe fn block<A: Arith, L: Lanes, const R: usize, const W: usize, const FETCH: bool>(
        &self,
        out: &mut [f32],
        states: &mut [Softmax],
    ) {
        let Queries { q, head_dim, heads, stride, cap } = self.queries;
        // Of each query: its elements, and the keys of this tile that it sees.
        let mut query = [q.as_ptr(); R];
        let mut seen = [const { 0..0 }; R];
        for r in 0..R {
            let (token, head) = ((self.row + r) / heads, (self.row + r) % heads);
            query[r] = q[token * stride + head * head_dim..][..head_dim].as_ptr();
            let visible = &self.visible[token];
            // Nothing, at one end of the tile, where what it sees lies before or after.
            let start = visible.start.clamp(self.tile, self.tile + TILE);
            let end = visible.end.clamp(start, self.tile + TILE);
            seen[r] = start - self.tile..end - self.tile;
        }
        let end = seen.iter().map(|s| s.end).max().unwrap_or(0);
        if seen.iter().all(|seen| seen.is_empty()) {
            return;
        }
        let mut e = [Scores([0.0; TILE]); R];
        // SAFETY: the cache holds groups of keys up to the last visible one whole.
        unsafe { self.scores::<L, R, W, FETCH>(&query, end, &mut e) };
        if let Some(cap) = cap {
            for e in &mut e {
                soft_cap_body::<A>(&mut e.0, cap);
            }
        }
        let corrections = softmax::<A, R>(&mut e, &seen, states);
        // SAFETY: the cache holds the values up to the last visible one.
        unsafe { self.accumulate::<A, L, R, W, FETCH>(&e, &seen, corrections, out) };
    }

    /// Scores of the keys before `end`, by whole groups: those of keys that are not visible are computed from whatever
    /// lies there, and not used.
    #[inline(always)]
    unsafe fn scores<L: Lanes, const R: usize, const W: usize, const FETCH: bool>(
        &self,
        query: &[*const f32; R],
        end: usize,
        e: &mut [Scores; R],
    ) {
        let registers = end.next_multiple_of(KEY_LANES) / L::LANES;
        let mut first = 0;
        while first + W <= registers {
            // SAFETY: by the caller.
            unsafe { self.score_keys::<L, R, W, FETCH>(query, first, e) };
            first += W;
        }
        while first < registers {
            // SAFETY: by the caller.
            unsafe { self.score_keys::<L, R, 1, FETCH>(query, first, e) };
            first += 1;
        }
    }

    /// The scores of `N` registers of keys.
    #[inline(always)]
    unsafe fn score_keys<L: Lanes, const R: usize, const N: usize, const FETCH: bool>(
        &self,
        query: &[*const f32; R],
        first: usize,
        e: &mut [Scores; R],
    ) {
        let head_dim = self.queries.head_dim;
        let units = E::units(head_dim);
        // SAFETY: these groups of keys lie in the cache, and every query has `head_dim` elements.
        unsafe {
            let keys = self.cache.keys.as_ptr().add(self.tile * units);
            let (mut groups, mut lanes) = ([keys; N], [0; N]);
            for n in 0..N {
                let key = (first + n) * L::LANES;
                groups[n] = keys.add(key / KEY_LANES * KEY_LANES * units);
                lanes[n] = key % KEY_LANES;
            }
            // What lies as far into what is asked for as a key into the tile.
            let ahead =
                |key: *const E::Unit| self.ahead.0.wrapping_add(key.offset_from_unsigned(keys));
            let mut sums = [[L::splat(0.0); N]; R];
            let mut d = 0;
            while d < head_dim {
                let run = E::RUN.min(head_dim - d);
                let mut scales = [E::key_scale::<L>(groups[0], d, lanes[0]); N];
                let mut run_keys = groups;
                for n in 0..N {
                    scales[n] = E::key_scale::<L>(groups[n], d, lanes[n]);
                    run_keys[n] = groups[n].add(E::key_at(d) + lanes[n]);
                    if FETCH {
                        fetch(ahead(groups[n].add(KEY_LANES * E::units(d))));
                    }
                }
                for i in 0..run {
                    let mut key = [L::splat(0.0); N];
                    for n in 0..N {
                        let from = run_keys[n].add(i * KEY_LANES);
                        key[n] = E::load::<L>(from, scales[n]);
                        let is_first = n * L::LANES % KEY_LANES == 0;
                        let is_line = (i * KEY_LANES * size_of::<E::Unit>()).is_multiple_of(LINE);
                        if FETCH && is_first && is_line {
                            fetch(ahead(from));
                        }
                    }
                    for r in 0..R {
                        let q = L::splat(*query[r].add(d + i));
                        for n in 0..N {
                            sums[r][n] = L::fma(q, key[n], sums[r][n]);
                        }
                    }
                }
                d += run;
            }
            for r in 0..R {
                for n in 0..N {
                    L::store(e[r].0.as_mut_ptr().add((first + n) * L::LANES), sums[r][n]);
                }
            }
        }
    }

    /// `o[d] = o[d]·c`, then `o[d] = fma(e[p], value[p][d], o[d])` over ascending `p`, for each query.
    #[inline(always)]
    unsafe fn accumulate<A: Arith, L: Lanes, const R: usize, const W: usize, const FETCH: bool>(
        &self,
        e: &[Scores; R],
        seen: &[Range<usize>; R],
        mut corrections: [f32; R],
        out: &mut [f32],
    ) {
        // What all queries see, they see together; what only some do, one by one, before and after.
        let start = seen.iter().map(|s| s.start).max().unwrap_or(0);
        let end = seen.iter().map(|s| s.end).min().unwrap_or(0).max(start);
        // SAFETY: what each sees lies in the cache.
        unsafe {
            for r in 0..R {
                let before = seen[r].start..start.min(seen[r].end);
                self.alone::<A, L, R>(r, before, e, &mut corrections, out);
            }
            if start < end {
                self.together::<A, L, R, W, FETCH>(start..end, e, &corrections, out);
                corrections = [1.0; R];
            }
            for r in 0..R {
                let after = end.max(seen[r].start)..seen[r].end;
                self.alone::<A, L, R>(r, after, e, &mut corrections, out);
            }
        }
    }

    /// The keys that one of `R` queries sees, and others do not.
    #[inline(always)]
    unsafe fn alone<A: Arith, L: Lanes, const R: usize>(
        &self,
        r: usize,
        keys: Range<usize>,
        e: &[Scores; R],
        corrections: &mut [f32; R],
        out: &mut [f32],
    ) {
        if !keys.is_empty() {
            let out = &mut out[r * self.queries.head_dim..][..self.queries.head_dim];
            let (e, correction) = (array::from_ref(&e[r]), array::from_ref(&corrections[r]));
            // SAFETY: by the caller.
            unsafe { self.together::<A, L, 1, 1, false>(keys, e, correction, out) };
            corrections[r] = 1.0;
        }
    }

    /// The keys that `R` queries see.
    #[inline(always)]
    unsafe fn together<A: Arith, L: Lanes, const R: usize, const W: usize, const FETCH: bool>(
        &self,
        keys: Range<usize>,
        e: &[Scores; R],
        corrections: &[f32; R],
        out: &mut [f32],
    ) {
        let head_dim = self.queries.head_dim;
        let mut d = 0;
        while d + W * L::LANES <= head_dim {
            // SAFETY: by the caller.
            unsafe { self.strip::<L, R, W, FETCH>(keys.clone(), e, corrections, d, out) };
            d += W * L::LANES;
        }
        while d + L::LANES <= head_dim {
            // SAFETY: by the caller.
            unsafe { self.strip::<L, R, 1, FETCH>(keys.clone(), e, corrections, d, out) };
            d += L::LANES;
        }
        if d < head_dim {
            // The last few elements of a head whose size is no multiple of a register's.
            let units = E::units(head_dim);
            for r in 0..R {
                let out = &mut out[r * head_dim..(r + 1) * head_dim];
                out[d..].iter_mut().for_each(|o| *o *= corrections[r]);
                for p in keys.clone() {
                    let value = &self.cache.values[(self.tile + p) * units..][..units];
                    last::<A, E>(e[r].0[p], value, d, out);
                }
            }
        }
    }

    /// `N` registers of each output, from element `d` on.
    #[inline(always)]
    unsafe fn strip<L: Lanes, const R: usize, const N: usize, const FETCH: bool>(
        &self,
        keys: Range<usize>,
        e: &[Scores; R],
        corrections: &[f32; R],
        d: usize,
        out: &mut [f32],
    ) {
        let head_dim = self.queries.head_dim;
        let out = &mut out[..R * head_dim];
        // As many units for each value as are read of it.
        let ahead = self.ahead.1.wrapping_add(d * TILE / BLOCK_32 * E::units(BLOCK_32));
        let step = N * L::LANES * E::units(BLOCK_32) / BLOCK_32;
        // SAFETY: the strip lies in each output, and in the value of each key.
        unsafe {
            let out = out.as_mut_ptr().add(d);
            let mut sums = [[L::splat(0.0); N]; R];
            for r in 0..R {
                let c = L::splat(corrections[r]);
                for n in 0..N {
                    sums[r][n] = L::mul(L::load(out.add(r * head_dim + n * L::LANES)), c);
                }
            }
            for p in keys {
                if FETCH {
                    fetch(ahead.wrapping_add(p * step));
                }
                let value = self.value::<L, N>(p, d);
                for r in 0..R {
                    let e = L::splat(*e[r].0.as_ptr().add(p));
                    for n in 0..N {
                        sums[r][n] = L::fma(e, value[n], sums[r][n]);
                    }
                }
            }
            for r in 0..R {
                for n in 0..N {
                    L::store(out.add(r * head_dim + n * L::LANES), sums[r][n]);
                }
            }
        }
    }

    /// `N` registers of the value of key `p` of the tile, from element `d` on, a multiple of as many.
    ///
    /// # Safety
    /// The cache holds them.
    #[inline(always)]
    unsafe fn value<L: Lanes, const N: usize>(&self, p: usize, d: usize) -> [L::Register; N] {
        let units = E::units(self.queries.head_dim);
        // SAFETY: by the caller. Registers before the end of a run have the scales of its first.
        unsafe {
            let from = self.cache.values.as_ptr().add((self.tile + p) * units);
            let mut scale = E::value_scale::<L>(from, d);
            let mut value = [L::splat(0.0); N];
            for n in 0..N {
                let d = d + n * L::LANES;
                if n > 0 && (n * L::LANES).is_multiple_of(E::RUN) {
                    scale = E::value_scale::<L>(from, d);
                }
                value[n] = E::load::<L>(from.add(E::value_at(d)), scale);
            }
            value
        }
    }
}

/// Steps 2 and 3 of the contract: scores become their exponentials, absent ones 0. Returns the corrections of what came
/// before; 1 for a query that sees nothing here.
///
/// Each step is taken for all queries before the next: those of one would wait for each other.
#[inline(always)]
fn softmax<A: Arith, const R: usize>(
    e: &mut [Scores; R],
    seen: &[Range<usize>; R],
    states: &mut [Softmax],
) -> [f32; R] {
    let mut max = [0.0; R];
    for r in 0..R {
        if seen[r].len() < TILE {
            e[r].0[..seen[r].start].fill(f32::NEG_INFINITY);
            e[r].0[seen[r].end..].fill(f32::NEG_INFINITY);
        }
        let tile_max = maximum(e[r].0);
        max[r] = if tile_max > states[r].max { tile_max } else { states[r].max };
    }
    for r in 0..R {
        for e in &mut e[r].0 {
            *e = exp::<A>(*e - max[r]);
        }
    }
    let mut corrections = [1.0; R];
    for r in 0..R {
        corrections[r] = exp::<A>(states[r].max - max[r]);
    }
    for r in 0..R {
        if seen[r].is_empty() {
            corrections[r] = 1.0;
            continue;
        }
        if seen[r].len() < TILE {
            e[r].0[..seen[r].start].fill(0.0);
            e[r].0[seen[r].end..].fill(0.0);
        }
        let sum = fold(&mut e[r].0.clone());
        states[r] = Softmax { max: max[r], sum: A::fma(states[r].sum, corrections[r], sum) };
    }
    corrections
}

/// The largest element, by halves; NaN never exceeds another.
#[inline(always)]
fn maximum(mut x: [f32; TILE]) -> f32 {
    // First there is to be no NaN left. (Not by `x > -∞`, which the compiler turns into an ordered `x != -∞`: Valgrind 3.19 takes that
    // for the unordered one.)
    x.iter_mut().for_each(|x| *x = if x.is_nan() { f32::NEG_INFINITY } else { *x });
    let mut half = TILE / 2;
    while half > 0 {
        for j in 0..half {
            x[j] = if x[j + half] > x[j] { x[j + half] } else { x[j] };
        }
        half /= 2;
    }
    x[0]
}
