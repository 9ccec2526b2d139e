//! The definition's body with the fused multiply-add and the f16 conversion of Advanced SIMD.

use core::ops::Range;

use half::f16;

use super::{HeadCache, Queries, Softmax, scalar};
use crate::kernels::arith::Fast;

#[target_feature(enable = "neon")]
pub fn attend_f32(
    q: &[f32],
    cache: HeadCache<'_, f32>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    scalar::attend::<Fast, f32>(q, cache, None, visible, out)
}

#[target_feature(enable = "neon")]
pub fn attend_f16(
    q: &[f32],
    cache: HeadCache<'_, f16>,
    visible: Range<usize>,
    out: &mut [f32],
) -> Softmax {
    scalar::attend::<Fast, f16>(q, cache, None, visible, out)
}

#[target_feature(enable = "neon")]
pub fn merge_chunks(state: &mut Softmax, out: &mut [f32], next: Softmax, next_out: &[f32]) {
    scalar::merge_chunks::<Fast>(state, out, next, next_out);
}

#[target_feature(enable = "neon")]
pub fn attend_queries_f32(
    queries: Queries<'_>,
    cache: HeadCache<'_, f32>,
    visible: &[Range<usize>],
    out: &mut [f32],
    states: &mut [Softmax],
) {
    scalar::attend_queries(queries, visible, out, states, |q, visible, out| {
        scalar::attend::<Fast, f32>(q, cache, queries.cap, visible, out)
    });
}

#[target_feature(enable = "neon")]
pub fn attend_queries_f16(
    queries: Queries<'_>,
    cache: HeadCache<'_, f16>,
    visible: &[Range<usize>],
    out: &mut [f32],
    states: &mut [Softmax],
) {
    scalar::attend_queries(queries, visible, out, states, |q, visible, out| {
        scalar::attend::<Fast, f16>(q, cache, queries.cap, visible, out)
    });
}
