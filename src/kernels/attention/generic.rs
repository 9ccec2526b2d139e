//! Portable SIMD: scores with a key in each lane, outputs with an element in each lane.

use core::ops::Range;

use half::f16;
use pulp::{Simd, WithSimd};

use super::scalar::{self, Widen};
use super::{HeadCache, KEY_LANES, Q8_0, Queries, Softmax, Storage, TILE};
use crate::kernels::arith::Exact;
use crate::kernels::dot::scalar::fold;
use crate::kernels::elementwise::generic::{exp, tanh};
use crate::kernels::elementwise::scalar::maximum;
use crate::kernels::portable::{dispatch, map, map_with, portable, widen_f16};

macro_rules! siblings {
    ($($attend:ident, $attend_queries:ident: $storage:ident;)+) => {$(
        pub fn $attend(
            q: &[f32],
            cache: HeadCache<'_, $storage>,
            visible: Range<usize>,
            out: &mut [f32],
        ) -> Softmax {
            dispatch(Attend { q, cache, cap: None, visible, out })
        }

        pub fn $attend_queries(
            queries: Queries<'_>,
            cache: HeadCache<'_, $storage>,
            visible: &[Range<usize>],
            out: &mut [f32],
            states: &mut [Softmax],
        ) {
            scalar::one_by_one(queries, visible, out, states, |q, visible, out| {
                dispatch(Attend { q, cache, cap: queries.cap, visible, out })
            });
        }
    )+};
}
siblings! {
    attend_f32, attend_queries_f32: f32;
    attend_f16, attend_queries_f16: f16;
    attend_q8_0, attend_queries_q8_0: Q8_0;
}

/// Elements that are widened at once: a whole number of registers of any width.
const WIDE: usize = 16;

/// A storage whose numbers are widened in registers.
trait Load: Widen {
    fn load<S: Simd>(simd: S, x: &[Self::Unit; WIDE], scales: [Self::Scales; 2]) -> [f32; WIDE];
}

impl Load for f32 {
    #[inline(always)]
    fn load<S: Simd>(_: S, x: &[f32; WIDE], _: [(); 2]) -> [f32; WIDE] {
        *x
    }
}

impl Load for f16 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, x: &[f16; WIDE], _: [(); 2]) -> [f32; WIDE] {
        widen_f16(simd, x.map(f16::to_bits))
    }
}

impl Load for Q8_0 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, x: &[u8; WIDE], scales: [[f32; 8]; 2]) -> [f32; WIDE] {
        let mut out = x.map(|q| f32::from(q as i8));
        map_with(
            simd,
            &mut out,
            scales.as_flattened(),
            #[inline(always)]
            |q, scale| simd.mul_f32s(q, scale),
        );
        out
    }
}

struct Attend<'a, E: Storage> {
    q: &'a [f32],
    cache: HeadCache<'a, E>,
    cap: Option<f32>,
    visible: Range<usize>,
    out: &'a mut [f32],
}

impl<E: Load> WithSimd for Attend<'_, E> {
    type Output = Softmax;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Softmax {
        match S::F32_LANES {
            16 => self.with_registers::<S, 1>(simd),
            8 => self.with_registers::<S, 2>(simd),
            4 => self.with_registers::<S, 4>(simd),
            _ => scalar::attend::<Exact, E>(self.q, self.cache, self.cap, self.visible, self.out),
        }
    }
}

impl<E: Load> Attend<'_, E> {
    /// `N` registers of `S` are [`WIDE`] elements.
    #[inline(always)]
    fn with_registers<S: Simd, const N: usize>(self, simd: S) -> Softmax {
        let Attend { q, cache, cap, visible, out } = self;
        let mut state = Softmax::EMPTY;
        out.fill(0.0);
        let mut start = visible.start;
        while start < visible.end {
            let tile = start - start % TILE;
            let end = visible.end.min(tile + TILE);
            let mut e = [0.0; TILE];
            scores::<S, E, N>(simd, q, cache.keys, tile, end, &mut e);

            let seen = &mut e[start - tile..end - tile];
            if let Some(cap) = cap {
                let cap = simd.splat_f32s(cap);
                map(
                    simd,
                    seen,
                    #[inline(always)]
                    |e| simd.mul_f32s(cap, tanh(simd, simd.div_f32s(e, cap))),
                );
            }
            let tile_max = maximum(seen);
            let max = if tile_max > state.max { tile_max } else { state.max };
            let minus = simd.splat_f32s(max);
            map(
                simd,
                seen,
                #[inline(always)]
                |e| exp(simd, simd.sub_f32s(e, minus)),
            );
            e[..start - tile].fill(0.0);
            e[end - tile..].fill(0.0);
            let correction = exp_1(simd, state.max - max);
            state.sum = fma_1(simd, state.sum, correction, fold(&mut e.clone()));
            state.max = max;
            let factor = simd.splat_f32s(correction);
            map(
                simd,
                out,
                #[inline(always)]
                |o| simd.mul_f32s(o, factor),
            );
            let values = &cache.values[start * E::units(q.len())..];
            accumulate::<S, E, N>(simd, &e[start - tile..end - tile], values, out);
            start = end;
        }
        state
    }
}

/// As [`scalar::attend`] computes them.
#[inline(always)]
fn scores<S: Simd, E: Load, const N: usize>(
    simd: S,
    q: &[f32],
    keys: &[E::Unit],
    tile: usize,
    end: usize,
    s: &mut [f32; TILE],
) {
    let group_len = KEY_LANES * E::units(q.len());
    let keys = &keys[tile / KEY_LANES * group_len..];
    let groups = (end - tile).div_ceil(KEY_LANES);
    for (keys, s) in keys.chunks_exact(group_len).take(groups).zip(s.as_chunks_mut::<WIDE>().0) {
        let mut acc = [simd.splat_f32s(0.0); N];
        for (run, q) in q.chunks(E::RUN).enumerate() {
            let first = run * E::RUN;
            let scales = [0, 8].map(|lane| E::key_scales::<Exact>(keys, first, lane));
            let keys = keys[E::key_at(first)..].as_chunks::<WIDE>().0;
            for (&q, keys) in q.iter().zip(keys) {
                let q = simd.splat_f32s(q);
                let keys = E::load(simd, keys, scales);
                for (acc, &key) in acc.iter_mut().zip(S::as_simd_f32s(&keys).0) {
                    *acc = simd.mul_add_f32s(q, key, *acc);
                }
            }
        }
        S::as_mut_simd_f32s(s).0.copy_from_slice(&acc);
    }
}

/// `o[d] = fma(e[p], value[p][d], o[d])` over ascending `p`.
#[inline(always)]
fn accumulate<S: Simd, E: Load, const N: usize>(
    simd: S,
    e: &[f32],
    values: &[E::Unit],
    out: &mut [f32],
) {
    let head_dim = out.len();
    let units = E::units(head_dim);
    let (body, tail) = out.as_chunks_mut::<WIDE>();
    for (i, out) in body.iter_mut().enumerate() {
        let out = S::as_mut_simd_f32s(out).0;
        let mut acc: [S::f32s; N] = core::array::from_fn(|n| out[n]);
        for (&e, value) in e.iter().zip(values.chunks_exact(units)) {
            let e = simd.splat_f32s(e);
            let scales = [E::value_scales::<Exact>(value, i * WIDE); 2];
            let values = value[E::value_at(i * WIDE)..].as_chunks::<WIDE>().0;
            let values = E::load(simd, &values[0], scales);
            for (acc, &value) in acc.iter_mut().zip(S::as_simd_f32s(&values).0) {
                *acc = simd.mul_add_f32s(e, value, *acc);
            }
        }
        out.copy_from_slice(&acc);
    }
    if !tail.is_empty() {
        // The last elements of a head whose size is not a multiple of sixteen: such a head has no scales.
        let mut wide = [0.0; WIDE];
        wide[..tail.len()].copy_from_slice(tail);
        let start = head_dim - tail.len();
        for (&e, value) in e.iter().zip(values.chunks_exact(units)) {
            let mut padded = [E::Unit::default(); WIDE];
            padded[..tail.len()].copy_from_slice(&value[E::value_at(start)..]);
            let values = E::load(simd, &padded, [E::value_scales::<Exact>(value, start); 2]);
            let e = simd.splat_f32s(e);
            map_with(
                simd,
                &mut wide,
                &values,
                #[inline(always)]
                |o, value| simd.mul_add_f32s(e, value, o),
            );
        }
        tail.copy_from_slice(&wide[..tail.len()]);
    }
}

portable! {
    pub fn merge_chunks<S>(
        simd,
        state: &'a mut Softmax,
        out: &'a mut [f32],
        next: Softmax,
        next_out: &'a [f32]
    ) {
        let max = if next.max > state.max { next.max } else { state.max };
        let (c, next_c) = (exp_1(simd, state.max - max), exp_1(simd, next.max - max));
        state.sum = fma_1(simd, state.sum, c, next.sum * next_c);
        state.max = max;
        let (c, next_c) = (simd.splat_f32s(c), simd.splat_f32s(next_c));
        map_with(simd, out, next_out, #[inline(always)] |o, next| {
            simd.mul_add_f32s(o, c, simd.mul_f32s(next, next_c))
        });
    } else scalar::merge_chunks::<Exact>
}

/// `exp` of one number, by a register of them.
#[inline(always)]
fn exp_1<S: Simd>(simd: S, x: f32) -> f32 {
    first(simd, exp(simd, simd.splat_f32s(x)))
}

/// A fused multiply-add of single numbers, by a register of them.
#[inline(always)]
fn fma_1<S: Simd>(simd: S, a: f32, b: f32, c: f32) -> f32 {
    first(simd, simd.mul_add_f32s(simd.splat_f32s(a), simd.splat_f32s(b), simd.splat_f32s(c)))
}

#[inline(always)]
fn first<S: Simd>(simd: S, x: S::f32s) -> f32 {
    let mut first = [0.0];
    simd.partial_store_f32s(&mut first, x);
    first[0]
}
