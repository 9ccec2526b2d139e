//! Four rows at a time: what the row dot does for four super-blocks of a row, done for one of each of four rows.
//!
//! The four share the activations, and their chains are the lanes of one register, where the row dot has a chain of scalars.

use core::arch::x86_64::*;

use super::{AHEAD, Gemv, Gemvs, fetch};
use crate::formats::{ActBlock, Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K};
use crate::kernels::qdot::avx512vnni::super_blocks::{
    Beside, GROUP, finish, folded, q2_k, q2_k_heads, q3_k, q3_k_heads, q4_k, q4_k_heads, q5_k,
    q5_k_heads, q6_k, q6_k_heads, q8_k, q8_k_heads, scaled, split, unscaled,
};
use crate::kernels::qdot::avx512vnni::{ROW_DOTS, bsums};
use crate::kernels::sibling::sibling;

/// The sibling of a format, from the functions that read the heads of four super-blocks and unpack one.
macro_rules! gemv {
    ($block:ty, $heads:ident, $weights:ident, $scaled:ident, $beside:expr, $x1:expr) => {{
        /// Rows of as many blocks as `x`; `ahead` is what lies that far behind the first of their bytes.
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn four(w: [&[$block]; GROUP], x: &[ActBlock], mut ahead: *const u8) -> __m128 {
            let [a, b, c, d] = w;
            let mut acc = _mm_setzero_ps();
            for ((((a, b), c), d), x) in a.iter().zip(b).zip(c).zip(d).zip(x) {
                let w = [a, b, c, d];
                // All four rows, in the order of memory.
                fetch(ahead, GROUP * size_of::<$block>());
                ahead = ahead.wrapping_add(GROUP * size_of::<$block>());
                let heads = $heads(w);
                let mut isum = [_mm512_setzero_si512(); GROUP];
                for k in 0..GROUP {
                    isum[k] = $scaled($weights(w[k]), x, heads.scales[k]);
                }
                let sums = bsums(x, x);
                let beside = heads.beside.map(|beside| _mm512_madd_epi16(beside, sums));
                let (isum, msum) = split(finish(folded(isum, beside), $beside));
                let dx = _mm_set1_ps(x.d[0]);
                let (d, dmin) = split(heads.d);
                acc = _mm_fmadd_ps(_mm_mul_ps(d, dx), isum, acc);
                if matches!($beside, Beside::Minimums) {
                    acc = _mm_fnmadd_ps(_mm_mul_ps(dmin, dx), msum, acc);
                }
            }
            acc
        }
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn rows(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
            let row_bytes = w.len() / out.len();
            let (groups, last) = out.as_chunks_mut::<GROUP>();
            let (w, w_last) = w.split_at(groups.len() * GROUP * row_bytes);
            for (w, out) in w.chunks_exact(GROUP * row_bytes).zip(groups) {
                let row = |k: usize| <$block>::slice(&w[k * row_bytes..(k + 1) * row_bytes]);
                // Where the last of the four rows begins is read as soon as the first.
                let ahead = w.as_ptr().wrapping_add((GROUP - 1) * row_bytes + AHEAD);
                let sums = four([row(0), row(1), row(2), row(3)], x, ahead);
                // SAFETY: `out` holds four f32.
                unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
            }
            for (w, out) in w_last.chunks_exact(row_bytes).zip(last) {
                // SAFETY: a row of whole blocks, and as many activations; the features are those of this function.
                *out = unsafe { ($x1.run)(w, x) };
            }
        }
        Some(sibling!(rows as Gemv))
    }};
}

pub const GEMVS: Gemvs = Gemvs {
    q2_k: gemv!(BlockQ2K, q2_k_heads, q2_k, scaled, Beside::Minimums, ROW_DOTS.q2_k.x1),
    q3_k: gemv!(BlockQ3K, q3_k_heads, q3_k, scaled, Beside::Offset { log2: 2 }, ROW_DOTS.q3_k.x1),
    q4_k: gemv!(BlockQ4K, q4_k_heads, q4_k, scaled, Beside::Minimums, ROW_DOTS.q4_k.x1),
    q5_k: gemv!(BlockQ5K, q5_k_heads, q5_k, scaled, Beside::Minimums, ROW_DOTS.q5_k.x1),
    q6_k: gemv!(BlockQ6K, q6_k_heads, q6_k, scaled, Beside::Offset { log2: 5 }, ROW_DOTS.q6_k.x1),
    q8_k: gemv!(BlockQ8K, q8_k_heads, q8_k, unscaled, Beside::Offset { log2: 7 }, ROW_DOTS.q8_k.x1),
};
