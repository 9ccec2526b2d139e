//! Attention.

use half::f16;
use quickcheck::{Arbitrary, Gen};
use quintile::kernels::Kernels;
use quintile::kernels::attention::{
    CHUNK, CacheElement, HeadCache, KEY_LANES, Queries, Softmax, TILE,
};

use crate::draw::*;

fn attention_equals_scalar<E: CacheElement>(g: &mut Gen, convert: fn(f32) -> E) {
    let head_dim = [8, 20, 32, 64, 80, 128][usize::arbitrary(g) % 6];
    let start = usize::arbitrary(g) % CHUNK;
    let end = (start + 1 + usize::arbitrary(g) % (2 * TILE)).min(CHUNK);
    let room = end.next_multiple_of(KEY_LANES) * head_dim;
    // Keys that are not visible are garbage, and must not matter.
    let mut draw = |n| -> Vec<E> { any(g, n).into_iter().map(convert).collect() };
    let (mut keys, mut values) = (draw(room), draw(room));
    for p in start..end {
        for d in 0..head_dim {
            let x = Tame::arbitrary(g).0;
            keys[(p / KEY_LANES * head_dim + d) * KEY_LANES + p % KEY_LANES] = convert(x);
            values[p * head_dim + d] = convert(Tame::arbitrary(g).0);
        }
    }
    let q = tame(g, head_dim);
    let cache = HeadCache { keys: &keys, values: &values };
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
        assert!(all_same(&run(&kernels), &want), "{kernels:?} {start}..{end}, head of {head_dim}");
    }
}

#[test]
fn attention_siblings_equal_scalar_and_ignore_invisible_keys() {
    check(10_000, |g| attention_equals_scalar::<f32>(g, |x| x));
    check(10_000, |g| attention_equals_scalar::<f16>(g, f16::from_f32));
}

/// Queries of several tokens and heads, of which each token sees a range of its own.
fn queries_together_equal_queries_alone<E: CacheElement>(g: &mut Gen, convert: fn(f32) -> E) {
    let mut below = |n: usize| usize::arbitrary(g) % n;
    let head_dim = [1, 7, 8, 20, 32, 64, 80, 128][below(8)];
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
    let room = end.next_multiple_of(KEY_LANES) * head_dim;
    // What no token sees is garbage; and some of what only some see.
    let mut draw = |n: usize| -> Vec<E> {
        let (mut cells, tame) = (any(g, n), tame(g, n));
        for (i, (cell, tame)) in cells.iter_mut().zip(tame).enumerate() {
            if i % 97 > 0 {
                *cell = tame;
            }
        }
        cells.into_iter().map(convert).collect()
    };
    let (keys, values) = (draw(room), draw(end * head_dim));
    let cache = HeadCache { keys: &keys, values: &values };
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
        assert!(all_same(&out, &want), "{label}");
        assert!(all_same(&states, &want_states), "{label}");
    }
}

#[test]
fn queries_that_are_taken_together_equal_each_alone() {
    check(3000, |g| queries_together_equal_queries_alone::<f32>(g, |x| x));
    check(3000, |g| queries_together_equal_queries_alone::<f16>(g, f16::from_f32));
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
    let cache = HeadCache { keys: &interleaved, values: &values };
    for cap in [None, Some(1.5)] {
        let (mut out, mut state) = (vec![0.0; head_dim], [Softmax::EMPTY]);
        let queries = Queries { q: &q, head_dim, heads: 1, stride: head_dim, cap };
        SCALAR.attend_queries(queries, cache, &[5..n], &mut out, &mut state);
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
