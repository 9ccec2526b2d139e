//! AVX-512: a group of keys is one register of scores; 64 or 128 elements of the output stay in registers.
//!
//! Each fused multiply-add has its key or value from memory: 64 loads for a key of 64 elements and its value, 32 cycles
//! on two load ports, where the lines of the cache are not crossed. The exponentials of a tile are those of its 64 places,
//! visible or not.

mod queries;

use core::arch::x86_64::*;
use core::ops::Range;

use half::f16;

use super::{HeadCache, KEY_LANES, Q8_0, Queries, Softmax, Storage, TILE, scalar};
use crate::kernels::arith::Fast;
use crate::kernels::dot::avx512::{Load, fold};
use crate::kernels::elementwise::scalar::exp;
use crate::kernels::uninterpreted::_mm512_max_ps;

pub use queries::{attend_queries_f16, attend_queries_f32, attend_queries_q8_0};

/// Lanes of a register.
const WIDTH: usize = 16;
const _: () = assert!(KEY_LANES == WIDTH && TILE == 4 * WIDTH);

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn attend_f32(
    q: &[f32],
    cache: HeadCache<'_, f32>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    attend(q, cache, visible, out)
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn attend_f16(
    q: &[f32],
    cache: HeadCache<'_, f16>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    attend(q, cache, visible, out)
}

/// A block of one query.
///
/// # Safety
/// As [`Attend`](super::Attend).
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub unsafe fn attend_q8_0(
    q: &[f32],
    cache: HeadCache<'_, Q8_0>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    let (queries, mut states) =
        (Queries { q, head_dim: q.len(), heads: 1, stride: q.len(), cap: None }, [Softmax::EMPTY]);
    // SAFETY: by the caller: one query, one state, and an output of its length.
    unsafe { attend_queries_q8_0(queries, cache, &[visible], out, &mut states) };
    states[0]
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn merge_chunks(state: &mut Softmax, out: &mut [f32], next: Softmax, next_out: &[f32]) {
    scalar::merge_chunks::<Fast>(state, out, next, next_out);
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn attend<E: Load + Storage<Unit = E>>(
    q: &[f32],
    cache: HeadCache<'_, E>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    let mut state = Softmax::EMPTY;
    out.fill(0.0);
    let mut start = visible.start;
    while start < visible.end {
        let tile = start - start % TILE;
        let end = visible.end.min(tile + TILE);
        let seen = u64::MAX >> (TILE - (end - tile)) & u64::MAX << (start - tile);
        let lanes = [0, 1, 2, 3].map(|r| (seen >> (WIDTH * r)) as u16);

        let mut e = [0.0; TILE];
        scores(q, cache.keys, tile, end, &mut e);
        // The first operand is taken where it is larger: NaN never is.
        let none = _mm512_set1_ps(f32::NEG_INFINITY);
        let mut tile_max = none;
        for (e, lanes) in e.as_chunks::<WIDTH>().0.iter().zip(lanes) {
            // SAFETY: the array holds sixteen f32.
            let seen = unsafe { _mm512_mask_loadu_ps(none, lanes, e.as_ptr()) };
            tile_max = _mm512_max_ps(seen, tile_max);
        }
        let tile_max = _mm512_reduce_max_ps(tile_max);
        let max = if tile_max > state.max { tile_max } else { state.max };
        for e in &mut e {
            *e = exp::<Fast>(*e - max);
        }
        let mut i = 0;
        let sums = lanes.map(|lanes| {
            // SAFETY: of four, each is within the array.
            let e = unsafe { _mm512_maskz_loadu_ps(lanes, e.as_ptr().add(WIDTH * i)) };
            i += 1;
            e
        });
        let correction = exp::<Fast>(state.max - max);
        state.sum = scalar_fma(state.sum, correction, fold(sums));
        state.max = max;
        let e = &e[start - tile..end - tile];
        accumulate(e, &cache.values[start * q.len()..], correction, out);
        start = end;
    }
    state
}

#[inline]
#[target_feature(enable = "fma")]
fn scalar_fma(a: f32, b: f32, c: f32) -> f32 {
    _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c)))
}

/// Scores of the keys from `tile` up to `end`, by whole groups of lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn scores<E: Load>(q: &[f32], keys: &[E], tile: usize, end: usize, s: &mut [f32; TILE]) {
    let groups = (end - tile).div_ceil(KEY_LANES);
    let keys = &keys[tile * q.len()..(tile + groups * KEY_LANES) * q.len()];
    match groups {
        1 => score_groups::<E, 1>(q, keys, s),
        2 => score_groups::<E, 2>(q, keys, s),
        3 => score_groups::<E, 3>(q, keys, s),
        _ => score_groups::<E, 4>(q, keys, s),
    }
}

/// `N` groups side by side: the chains of one would wait for each other.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn score_groups<E: Load, const N: usize>(q: &[f32], keys: &[E], s: &mut [f32; TILE]) {
    assert!(keys.len() == N * KEY_LANES * q.len());
    let mut sums = [_mm512_setzero_ps(); N];
    for (d, &x) in q.iter().enumerate() {
        for (g, sum) in sums.iter_mut().enumerate() {
            // SAFETY: element `d` of group `g` is sixteen values, of `q.len()` a group, and there are `N` groups.
            let key = unsafe { E::load(keys.as_ptr().add((g * q.len() + d) * KEY_LANES)) };
            *sum = _mm512_fmadd_ps(_mm512_set1_ps(x), key, *sum);
        }
    }
    for (s, sum) in s.as_chunks_mut::<WIDTH>().0.iter_mut().zip(sums) {
        // SAFETY: the array holds sixteen f32.
        unsafe { _mm512_storeu_ps(s.as_mut_ptr(), sum) };
    }
}

/// `o[d] = o[d] · correction`, then `o[d] = fma(e[p], value[p][d], o[d])` over ascending `p`, in strips of `d` that stay in
/// registers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn accumulate<E: Load>(e: &[f32], values: &[E], correction: f32, out: &mut [f32]) {
    let head_dim = out.len();
    assert!(values.len() >= e.len() * head_dim);
    let mut d = 0;
    while d < head_dim {
        let left = head_dim - d;
        let last = if left < WIDTH { !(u16::MAX << left) } else { u16::MAX };
        let (values, out) = (&values[d..], &mut out[d..]);
        let (registers, strip): (usize, unsafe fn(_, _, _, _, _, _)) = match left {
            128.. => (8, accumulate_strip::<E, 8>),
            64.. => (4, accumulate_strip::<E, 4>),
            _ => (1, accumulate_strip::<E, 1>),
        };
        // SAFETY: the registers are elements of `out`, those of `last` alone in the last one; of each `p` there are as many
        // in `values`.
        unsafe { strip(e, values.as_ptr(), head_dim, correction, out.as_mut_ptr(), last) };
        d += registers * WIDTH;
    }
}

/// `N` registers of the output, of the last those lanes that `last` has.
///
/// # Safety
/// They lie at `out`, and in each row at `values`, of which there are as many as in `e`, `head_dim` elements apart; the CPU has
/// AVX-512.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn accumulate_strip<E: Load, const N: usize>(
    e: &[f32],
    values: *const E,
    head_dim: usize,
    correction: f32,
    out: *mut f32,
    last: u16,
) {
    let lanes = |n| if n + 1 == N { last } else { u16::MAX };
    // SAFETY: the caller promises the elements; masked loads and stores touch those of the mask only.
    unsafe {
        let mut acc = [_mm512_setzero_ps(); N];
        for (n, acc) in acc.iter_mut().enumerate() {
            let before = _mm512_maskz_loadu_ps(lanes(n), out.add(WIDTH * n));
            *acc = _mm512_mul_ps(before, _mm512_set1_ps(correction));
        }
        for (p, &e) in e.iter().enumerate() {
            for (n, acc) in acc.iter_mut().enumerate() {
                let value = values.add(p * head_dim + WIDTH * n);
                let value = if n + 1 == N { E::load_some(last, value) } else { E::load(value) };
                *acc = _mm512_fmadd_ps(_mm512_set1_ps(e), value, *acc);
            }
        }
        for (n, acc) in acc.into_iter().enumerate() {
            _mm512_mask_storeu_ps(out.add(WIDTH * n), lanes(n), acc);
        }
    }
}
