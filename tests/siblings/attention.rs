//! Attention.

use half::f16;
use quickcheck::{Arbitrary, Gen};
use quintile::formats::{ActBlock, ActScale};
use quintile::kernels::Kernels;
use quintile::kernels::attention::{
    CHUNK, HeadCache, KEY_LANES, Q8_0, Queries, Softmax, Storage, TILE,
};

use crate::draw::*;

/// A storage of which anything can be drawn: NaN, infinities, scales of any size.
trait Any: Storage {
    fn any(g: &mut Gen, units: usize) -> Vec<Self::Unit>;
}

impl Any for f32 {
    fn any(g: &mut Gen, units: usize) -> Vec<f32> {
        any(g, units)
    }
}

impl Any for f16 {
    fn any(g: &mut Gen, units: usize) -> Vec<f16> {
        any(g, units).into_iter().map(f16::from_f32).collect()
    }
}

impl Any for Q8_0 {
    fn any(g: &mut Gen, units: usize) -> Vec<u8> {
        vector(g, units)
    }
}

/// One of these, or of those below 200 that the storage takes.
fn head_dim<S: Storage>(g: &mut Gen, dims: &[usize]) -> usize {
    let wanted = dims[usize::arbitrary(g) % dims.len()];
    if S::BLOCK == 1 { wanted } else { wanted.next_multiple_of(S::BLOCK) }
}

/// Keys and values for the positions up to `end`: ordinary ones where `is_seen`, anything elsewhere.
fn cache<S: Any>(
    g: &mut Gen,
    end: usize,
    head_dim: usize,
    is_seen: impl Fn(usize) -> bool,
) -> (Vec<S::Unit>, Vec<S::Unit>) {
    let units = S::units(head_dim);
    let mut keys = S::any(g, end.next_multiple_of(KEY_LANES) * units);
    let mut values = S::any(g, end * units);
    for p in (0..end).filter(|&p| is_seen(p)) {
        let group = &mut keys[p / KEY_LANES * KEY_LANES * units..][..KEY_LANES * units];
        S::store_key(&SCALAR, &tame(g, head_dim), p % KEY_LANES, group);
        S::store_value(&SCALAR, &tame(g, head_dim), &mut values[p * units..][..units]);
    }
    (keys, values)
}

fn attention_equals_scalar<S: Any>(g: &mut Gen) {
    let head_dim = head_dim::<S>(g, &[8, 20, 32, 64, 80, 128]);
    let start = usize::arbitrary(g) % CHUNK;
    let end = (start + 1 + usize::arbitrary(g) % (2 * TILE)).min(CHUNK);
    // Keys that are not visible are garbage, and must not matter.
    let (keys, values) = cache::<S>(g, end, head_dim, |p| p >= start);
    let q = tame(g, head_dim);
    let cache = HeadCache::<S> { keys: &keys, values: &values };
    let run = |k: &Kernels| {
        let mut out = vec![0.0; head_dim];
        let mut state = k.attend(&q, cache, start..end, &mut out);
        let next = Softmax { max: 0.25, sum: 3.0 };
        k.merge_chunks(&mut state, &mut out, next, &q);
        out.extend([state.max, state.sum]);
        out
    };
    let want = run(&SCALAR);
    assert!(want.iter().all(|x| !x.is_nan()));
    for kernels in siblings() {
        assert_all_same(
            &run(&kernels),
            &want,
            format_args!("{kernels:?} {start}..{end}, head of {head_dim}"),
        );
    }
}

#[test]
fn attention_siblings_equal_scalar_and_ignore_invisible_keys() {
    check(10_000, attention_equals_scalar::<f32>);
    check(10_000, attention_equals_scalar::<f16>);
    check(10_000, attention_equals_scalar::<Q8_0>);
}

/// Queries of several tokens and heads, of which each token sees a range of its own.
fn queries_together_equal_queries_alone<S: Any>(g: &mut Gen) {
    let head_dim = head_dim::<S>(g, &[1, 7, 8, 20, 32, 64, 80, 128]);
    let mut below = |n: usize| usize::arbitrary(g) % n;
    let (heads, tokens, gap) = (1 + below(8), 1 + below(8), below(3));
    let cap = (below(3) == 0).then_some(0.5 + below(50) as f32);
    // As in a batch, neighbours see nearly the same; or anything.
    let (ordered, first) = (below(4) > 0, below(CHUNK - 8));
    let visible: Vec<_> = (0..tokens)
        .map(|token| {
            let start = if ordered { first + token } else { below(CHUNK) };
            let start = if below(2) > 0 && ordered { first } else { start };
            let len = if ordered { token + 1 } else { 1 + below(2 * TILE) };
            start..(start + len).min(CHUNK)
        })
        .collect();
    let end = visible.iter().map(|v| v.end).max().unwrap();
    // What no token sees is garbage; and some of what only some see.
    let seen = |p| visible.iter().any(|visible| visible.contains(&p));
    let (mut keys, mut values) = cache::<S>(g, end, head_dim, seen);
    for cells in [&mut keys, &mut values] {
        let garbage = S::any(g, cells.len().div_ceil(97));
        cells.iter_mut().step_by(97).zip(garbage).for_each(|(cell, any)| *cell = any);
    }
    let cache = HeadCache::<S> { keys: &keys, values: &values };
    let stride = heads * head_dim + gap;
    let q = tame(g, tokens * stride - gap);
    let (mut want, mut want_states) = (vec![0.0; tokens * heads * head_dim], Vec::new());
    for (i, want) in want.chunks_mut(head_dim).enumerate() {
        let at = i / heads * stride + i % heads * head_dim;
        let q = &q[at..at + head_dim];
        let seen = visible[i / heads].clone();
        let mut state = [Softmax::EMPTY];
        if cap.is_none() {
            state[0] = SCALAR.attend(q, cache, seen, want);
        } else {
            let alone = Queries { q, head_dim, heads: 1, stride: head_dim, cap };
            SCALAR.attend_queries(alone, cache, &[seen], want, &mut state);
        }
        want_states.extend([state[0].max, state[0].sum]);
    }
    for kernels in siblings().chain([SCALAR]) {
        let mut out = vec![f32::NAN; want.len()];
        let mut states = vec![Softmax::EMPTY; tokens * heads];
        let queries = Queries { q: &q, head_dim, heads, stride, cap };
        kernels.attend_queries(queries, cache, &visible, &mut out, &mut states);
        let states: Vec<f32> = states.iter().flat_map(|s| [s.max, s.sum]).collect();
        let label = format_args!("{kernels:?} {visible:?}, {heads} heads of {head_dim}");
        assert_all_same(&out, &want, label);
        assert_all_same(&states, &want_states, label);
    }
}

#[test]
fn queries_that_are_taken_together_equal_each_alone() {
    check(3000, queries_together_equal_queries_alone::<f32>);
    check(3000, queries_together_equal_queries_alone::<f16>);
    check(3000, queries_together_equal_queries_alone::<Q8_0>);
}

/// The numbers of any bytes of a cache of blocks, as a cache of f32 has them.
fn widened(keys: &[u8], values: &[u8], head_dim: usize) -> (Vec<f32>, Vec<f32>) {
    let number = |scale: &[u8], q: u8| {
        f16::from_le_bytes([scale[0], scale[1]]).to_f32() * f32::from(q as i8)
    };
    let (positions, blocks) = (values.len() / (head_dim / 32 * 34), head_dim / 32);
    let mut wide = (vec![0.0; keys.len() / 34 * 32], vec![0.0; positions * head_dim]);
    for p in 0..positions {
        for d in 0..head_dim {
            let (block, i) = (d / 32, d % 32);
            let group = &keys[(p / 16 * blocks + block) * 16 * 34..][..16 * 34];
            let key = number(&group[2 * (p % 16)..], group[2 * 16 + 16 * i + p % 16]);
            wide.0[(p / 16 * head_dim + d) * 16 + p % 16] = key;
            let value = &values[(p * blocks + block) * 34..][..34];
            wide.1[p * head_dim + d] = number(value, value[2 + i]);
        }
    }
    wide
}

#[test]
fn blocks_are_read_as_the_exact_products_of_scales_and_quants() {
    check(1000, |g| {
        let (head_dim, end) = (32 * (1 + usize::arbitrary(g) % 4), 1 + usize::arbitrary(g) % 150);
        let (mut keys, mut values) = cache::<Q8_0>(g, end, head_dim, |_| true);
        // Any quants, and of a few, any scales.
        for (i, cell) in keys.iter_mut().chain(&mut values).enumerate() {
            if i % 17 == 0 || i % 544 >= 64 {
                *cell = u8::arbitrary(g);
            }
        }
        let (wide_keys, wide_values) = widened(&keys, &values, head_dim);
        let q = tame(g, head_dim);
        let (mut got, mut want) = (vec![0.0; head_dim], vec![0.0; head_dim]);
        let wide = HeadCache::<f32> { keys: &wide_keys, values: &wide_values };
        let want_state = SCALAR.attend(&q, wide, 0..end, &mut want);
        let cache = HeadCache::<Q8_0> { keys: &keys, values: &values };
        let state = SCALAR.attend(&q, cache, 0..end, &mut got);
        assert!(all_same(&got, &want) && same(state.max, want_state.max));
        assert!(same(state.sum, want_state.sum));
    });
}

#[test]
fn what_is_stored_in_blocks_are_the_quants_of_activations_and_their_scale_in_f16() {
    check(1000, |g| {
        let head_dim = 32 * (1 + usize::arbitrary(g) % 10);
        let (units, lane) = (Q8_0::units(head_dim), usize::arbitrary(g) % KEY_LANES);
        let x = if bool::arbitrary(g) { any(g, head_dim) } else { tame(g, head_dim) };
        let before: Vec<u8> = vector(g, KEY_LANES * units);
        for kernels in siblings().chain([SCALAR]) {
            let (mut group, mut value) = (before.clone(), vec![9; units]);
            Q8_0::store_key(&kernels, &x, lane, &mut group);
            Q8_0::store_value(&kernels, &x, &mut value);
            let mut blocks = vec![ActBlock::ZERO; ActBlock::count(head_dim)];
            SCALAR.quantize(ActScale::Per32, &x, &mut blocks);
            let mut want = before.clone();
            for (b, value) in value.chunks(34).enumerate() {
                let (block, i) = (&blocks[b / 8], b % 8);
                let scale = f16::from_f32(block.d[i]).to_le_bytes();
                let at = b * 544 + 2 * lane;
                want[at..at + 2].copy_from_slice(&scale);
                assert_eq!(value[..2], scale, "{kernels:?}");
                for j in 0..32 {
                    let q = block.qs[32 * i + j] as u8;
                    want[b * 544 + 32 + 16 * j + lane] = q;
                    assert_eq!(value[2 + j], q, "{kernels:?}");
                }
            }
            assert!(group == want, "{kernels:?}: lane {lane} of a head of {head_dim}");
        }
    });
}

#[test]
#[should_panic(expected = "a head of 48 elements in q8_0 blocks of 32")]
fn a_head_that_does_not_divide_into_blocks_is_refused() {
    let cache = HeadCache::<Q8_0> { keys: &[0; 4096], values: &[0; 4096] };
    SCALAR.attend(&[0.0; 48], cache, 0..1, &mut [0.0; 48]);
}

#[test]
fn attention_agrees_with_softmax_in_f64() {
    let mut g = Gen::from_size_and_seed(64, 3);
    let (head_dim, n) = (16, 300);
    let q = tame(&mut g, head_dim);
    let (keys, values) = (tame(&mut g, n * head_dim), tame(&mut g, n * head_dim));
    let mut interleaved = vec![0.0; n.next_multiple_of(KEY_LANES) * head_dim];
    for p in 0..n {
        for d in 0..head_dim {
            interleaved[(p / KEY_LANES * head_dim + d) * KEY_LANES + p % KEY_LANES] =
                keys[p * head_dim + d];
        }
    }
    let cache = HeadCache::<f32> { keys: &interleaved, values: &values };
    for cap in [None, Some(1.5)] {
        let (mut out, mut state) = (vec![0.0; head_dim], [Softmax::EMPTY]);
        let queries = Queries { q: &q, head_dim, heads: 1, stride: head_dim, cap };
        let visible = 5..n;
        let visible = std::slice::from_ref(&visible);
        SCALAR.attend_queries(queries, cache, visible, &mut out, &mut state);
        let score = |p: usize| -> f64 {
            let s: f64 =
                (0..head_dim).map(|d| f64::from(q[d]) * f64::from(keys[p * head_dim + d])).sum();
            cap.map_or(s, |cap| f64::from(cap) * (s / f64::from(cap)).tanh())
        };
        let e: Vec<f64> = (5..n).map(|p| score(p).exp()).collect();
        let total: f64 = e.iter().sum();
        for d in 0..head_dim {
            let truth: f64 =
                (5..n).map(|p| e[p - 5] / total * f64::from(values[p * head_dim + d])).sum();
            let got = f64::from(out[d]) / f64::from(state[0].sum);
            assert!((got - truth).abs() < 1e-5, "{cap:?}: {got} {truth}");
        }
    }
}
