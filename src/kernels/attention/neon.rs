//! The definition's body with the fused multiply-add and the f16 conversion of Advanced SIMD.

use core::ops::Range;

use half::f16;

use super::{HeadCache, Q8_0, Queries, Softmax, scalar};
use crate::kernels::arith::Fast;

macro_rules! siblings {
    ($($attend:ident, $attend_queries:ident: $storage:ident;)+) => {$(
        #[target_feature(enable = "neon")]
        pub fn $attend(
            q: &[f32],
            cache: HeadCache<'_, $storage>,
            visible: Range<usize>,
            out: &mut [f32],
        ) -> Softmax {
            scalar::attend::<Fast, $storage>(q, cache, None, visible, out)
        }

        #[target_feature(enable = "neon")]
        pub fn $attend_queries(
            queries: Queries<'_>,
            cache: HeadCache<'_, $storage>,
            visible: &[Range<usize>],
            out: &mut [f32],
            states: &mut [Softmax],
        ) {
            scalar::attend_queries::<Fast, $storage>(queries, cache, visible, out, states);
        }
    )+};
}
siblings! {
    attend_f32, attend_queries_f32: f32;
    attend_f16, attend_queries_f16: f16;
    attend_q8_0, attend_queries_q8_0: Q8_0;
}

#[target_feature(enable = "neon")]
pub fn merge_chunks(state: &mut Softmax, out: &mut [f32], next: Softmax, next_out: &[f32]) {
    scalar::merge_chunks::<Fast>(state, out, next, next_out);
}
