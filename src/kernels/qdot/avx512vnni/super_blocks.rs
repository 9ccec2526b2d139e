//! Formats with super-blocks of 256, four of them at a time.
//!
//! A super-block is four registers of weights. Their sums of four products fit 16 bits (`4 · 63 · 127 < 2¹⁵`), so a register of
//! one super-block is packed together with that of the next, and one `vpmaddwd` multiplies all 32 by the
//! scales of their sub-blocks; four of them leave the sums of both in one register. What is small is done for
//! four super-blocks in one register: scales are unpacked and lanes folded, 3.75 operations a super-block, until the
//! sums of four stand beside their scales. From there, through memory, one chain of scalar FMAs takes them in
//! order: latency 4, so a super-block with minimums takes 8 cycles at least.

mod unpack;

use core::arch::x86_64::*;

use super::super::RowDot;
use super::{Rows, bsums, products, tail};
use crate::formats::{ActBlock, Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K};
use crate::kernels::gemv::{AHEAD, Gemv, fetch};
use crate::kernels::sibling::sibling;
use crate::kernels::uninterpreted::_mm512_permutexvar_epi16;
use unpack::{
    q2_k, q2_k_heads, q3_k, q3_k_heads, q4_k, q4_k_heads, q5_k, q5_k_heads, q6_k, q6_k_heads, q8_k,
    q8_k_heads,
};

/// Super-blocks of a group.
const GROUP: usize = 4;

/// What multiplies the sums of sixteen activations.
#[derive(Clone, Copy)]
enum Beside {
    /// Minimums: their sum is taken off, by a scale of its own.
    Minimums,
    /// Scales: stored quants are `2^log2` above the weights, and their sum so much too large.
    Offset { log2: u32 },
}
use Beside::{Minimums, Offset};

/// Where one of [`unpack::Heads::scales`] has that of sub-block `j` of 16 of its first or second super-block.
type Place = fn(second: usize, j: usize) -> usize;
const EIGHT: Place = |second, j| 8 * second + j / 2;
const SIXTEEN: Place = |second, j| 16 * second + j;

/// The siblings of a format, from the functions that read the heads of a group and unpack a super-block.
macro_rules! rows {
    ($block:ty, $heads:ident, $weights:ident, $scaled:ident, $place:expr, $beside:expr) => {{
        /// The first `N` super-blocks of a group, behind which others may stand in for absent ones. Each of these functions has
        /// one caller, so that it is inlined: when `x1` and `gemv` shared one, it was a call for each group.
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn group<const N: usize, const GEMV: bool>(w: [&$block; GROUP], x: [&ActBlock; GROUP]) -> Sums {
            let heads = $heads(w);
            let [a, b, c, d] = x.map(|x| tail(x));
            let (first, last) = (
                pair::<N, 0, GEMV>([w[0], w[1]], [x[0], x[1]], heads.scales[0]),
                pair::<N, 2, GEMV>([w[2], w[3]], [x[2], x[3]], heads.scales[1]),
            );
            let beside = [
                _mm512_madd_epi16(heads.beside[0], bsums(a, b)),
                _mm512_madd_epi16(heads.beside[1], bsums(c, d)),
            ];
            let dx = _mm512_castps512_ps256(scales_of_activations([a, b, c, d]));
            Sums { sums: finish(folded([first, last], beside), $beside), d: _mm256_mul_ps(heads.d, dx) }
        }
        /// Those of super-blocks `FIRST` and `FIRST + 1` that are among the first `N`.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        fn pair<const N: usize, const FIRST: usize, const GEMV: bool>(w: [&$block; 2], x: [&ActBlock; 2], scales: __m512i) -> __m512i {
            let none = [_mm512_setzero_si512(); 4];
            let a = if FIRST < N { fours($weights(w[0]), x[0]) } else { none };
            let b = if FIRST + 1 < N { fours($weights(w[1]), x[1]) } else { none };
            if FIRST < N { $scaled(a, b, spread(scales, |i, t| $place(i % 8 / 4, 4 * t + i / 8))) } else { none[0] }
        }
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn x1(row: &[u8], x: &[ActBlock]) -> f32 {
            let (groups, tail) = <$block>::slice(row).as_chunks::<GROUP>();
            let (x_groups, x_tail) = x.as_chunks::<GROUP>();
            let mut acc = 0.0;
            // A turn late: so what waits for the chain does not hold up the sums of the next group. The first time
            // it adds zeros to +0.
            let mut before = Sums { sums: _mm256_setzero_ps(), d: _mm256_setzero_ps() };
            for (w, x) in groups.iter().zip(x_groups) {
                let sums = group::<GROUP, false>(w.each_ref(), x.each_ref());
                acc = chain::<GROUP>(before, $beside, acc);
                before = sums;
            }
            acc = chain::<GROUP>(before, $beside, acc);
            match (tail, x_tail) {
                ([a], [x]) => chain::<1>(group::<1, false>([a; 4], [x; 4]), $beside, acc),
                ([a, b], [x, y]) => {
                    chain::<2>(group::<2, false>([a, b, a, b], [x, y, x, y]), $beside, acc)
                }
                ([a, b, c], [x, y, z]) => {
                    chain::<3>(group::<3, false>([a, b, c, c], [x, y, z, z]), $beside, acc)
                }
                _ => acc,
            }
        }
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
            let blocks = <$block>::slice(row);
            let x = x.map(|x| &x[..blocks.len()]);
            let mut acc = _mm_setzero_ps();
            for (first, w) in (0..).step_by(GROUP).zip(blocks.chunks(GROUP)) {
                let heads = $heads(core::array::from_fn(|k| &w[k.min(w.len() - 1)]));
                let (d, dmin) = split(heads.d);
                let scales: [[[__m512i; 4]; 2]; 2] = heads.scales.map(|scales| {
                    [
                        spread(scales, |i, t| $place(0, 4 * t + i / 8)),
                        spread(scales, |i, t| $place(1, 4 * t + i / 8)),
                    ]
                });
                for (k, w) in w.iter().enumerate() {
                    let x = x.map(|x| &x[first + k]);
                    let weights = $weights(w);
                    let isum = [
                        $scaled(fours(weights, x[0]), fours(weights, x[1]), scales[k / 2][k % 2]),
                        $scaled(fours(weights, x[2]), fours(weights, x[3]), scales[k / 2][k % 2]),
                    ];
                    let tails = x.map(|x| tail(x));
                    let of_this = half(heads.beside[k / 2], k % 2);
                    let beside = [
                        _mm512_madd_epi16(of_this, bsums(tails[0], tails[1])),
                        _mm512_madd_epi16(of_this, bsums(tails[2], tails[3])),
                    ];
                    let (isum, msum) = split(finish(folded(isum, beside), $beside));
                    let dx = _mm512_castps512_ps128(scales_of_activations(tails));
                    let lane = _mm_set1_epi32(k as i32);
                    acc = _mm_fmadd_ps(_mm_mul_ps(_mm_permutevar_ps(d, lane), dx), isum, acc);
                    if matches!($beside, Minimums) {
                        let dmin = _mm_permutevar_ps(dmin, lane);
                        acc = _mm_fnmadd_ps(_mm_mul_ps(dmin, dx), msum, acc);
                    }
                }
            }
            let mut out = [0.0; 4];
            // SAFETY: `out` holds four f32.
            unsafe { _mm_storeu_ps(out.as_mut_ptr(), acc) };
            out
        }
        /// One super-block of each of four rows is a group as well, whose chains are the lanes of a register.
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn gemv(w: &[u8], x: &[ActBlock], out: &mut [f32]) {
            let row_bytes = w.len() / out.len();
            let (fours, last) = out.as_chunks_mut::<GROUP>();
            let (w, w_last) = w.split_at(fours.len() * GROUP * row_bytes);
            for (w, out) in w.chunks_exact(GROUP * row_bytes).zip(fours) {
                let row = |k: usize| <$block>::slice(&w[k * row_bytes..(k + 1) * row_bytes]);
                let [a, b, c, d] = [row(0), row(1), row(2), row(3)];
                // All four in the order of memory, so that the last is there when the first is.
                let mut ahead = w.as_ptr().wrapping_add((GROUP - 1) * row_bytes + AHEAD);
                let mut acc = _mm_setzero_ps();
                for ((((a, b), c), d), x) in a.iter().zip(b).zip(c).zip(d).zip(x) {
                    fetch(ahead, GROUP * size_of::<$block>());
                    ahead = ahead.wrapping_add(GROUP * size_of::<$block>());
                    let Sums { sums, d } = group::<GROUP, true>([a, b, c, d], [x; GROUP]);
                    let ((isum, msum), (d, dmin)) = (split(sums), split(d));
                    acc = _mm_fmadd_ps(d, isum, acc);
                    if matches!($beside, Minimums) {
                        acc = _mm_fnmadd_ps(dmin, msum, acc);
                    }
                }
                // SAFETY: `out` holds four f32.
                unsafe { _mm_storeu_ps(out.as_mut_ptr(), acc) };
            }
            for (w, out) in w_last.chunks_exact(row_bytes).zip(last) {
                *out = x1(w, x);
            }
        }
        Rows {
            dot: RowDot { x1: sibling!(x1), x4: sibling!(x4) },
            gemv: sibling!(gemv as Gemv),
        }
    }};
}

pub const Q2_K: Rows = rows!(BlockQ2K, q2_k_heads, q2_k, scaled, SIXTEEN, Minimums);
pub const Q3_K: Rows = rows!(BlockQ3K, q3_k_heads, q3_k, scaled, SIXTEEN, Offset { log2: 2 });
pub const Q4_K: Rows = rows!(BlockQ4K, q4_k_heads, q4_k, scaled, EIGHT, Minimums);
pub const Q5_K: Rows = rows!(BlockQ5K, q5_k_heads, q5_k, scaled, EIGHT, Minimums);
pub const Q6_K: Rows = rows!(BlockQ6K, q6_k_heads, q6_k, scaled, SIXTEEN, Offset { log2: 5 });
pub const Q8_K: Rows = rows!(BlockQ8K, q8_k_heads, q8_k, unscaled, SIXTEEN, Offset { log2: 7 });

/// The lower and the upper four lanes.
#[inline]
#[target_feature(enable = "avx")]
fn split(v: __m256) -> (__m128, __m128) {
    (_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v))
}

/// Half `n` of a register, in both halves.
#[inline]
#[target_feature(enable = "avx512f")]
fn half(v: __m512i, n: usize) -> __m512i {
    match n {
        0 => _mm512_shuffle_i64x2::<0b01_00_01_00>(v, v),
        _ => _mm512_shuffle_i64x2::<0b11_10_11_10>(v, v),
    }
}

/// The sums of four products of a super-block, sixteen a register.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn fours([a, b, c, d]: [__m512i; 4], x: &ActBlock) -> [__m512i; 4] {
    [products(a, x, 0), products(b, x, 1), products(c, x, 2), products(d, x, 3)]
}

/// Σ scale · weight · activation of two super-blocks, in lanes: in each quarter two of either.
///
/// Registers of sub-blocks of 16 are packed by quarters: four sums of sub-block `4 t + q` of `a`, then four of that of
/// `b`. There the scales are.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn scaled(a: [__m512i; 4], b: [__m512i; 4], scales: [__m512i; 4]) -> __m512i {
    let mut sum = _mm512_madd_epi16(_mm512_packs_epi32(a[0], b[0]), scales[0]);
    for t in 1..4 {
        let products = _mm512_madd_epi16(_mm512_packs_epi32(a[t], b[t]), scales[t]);
        sum = _mm512_add_epi32(sum, products);
    }
    sum
}

/// Σ weight · activation of two super-blocks whose sums of four do not fit 16 bits, in lanes: in each quarter two of
/// either.
#[inline]
#[target_feature(enable = "avx512f")]
fn unscaled(a: [__m512i; 4], b: [__m512i; 4], _: [__m512i; 4]) -> __m512i {
    let [a, b] =
        [a, b].map(|[p, q, r, s]| _mm512_add_epi32(_mm512_add_epi32(p, q), _mm512_add_epi32(r, s)));
    _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}

/// For each `t`, a register of what is at `place` `(i, t)` of `from`, for each `i`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn spread(from: __m512i, place: fn(usize, usize) -> usize) -> [__m512i; 4] {
    let at = |t| words(core::array::from_fn(|i| place(i, t) as i16));
    [
        _mm512_permutexvar_epi16(at(0), from),
        _mm512_permutexvar_epi16(at(1), from),
        _mm512_permutexvar_epi16(at(2), from),
        _mm512_permutexvar_epi16(at(3), from),
    ]
}

/// The first scale of four blocks of activations, given their last lines, in each quarter.
#[inline]
#[target_feature(enable = "avx512f")]
fn scales_of_activations(tails: [__m512i; 4]) -> __m512 {
    let [a, b, c, d] = tails;
    let pairs = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
    let all = _mm512_castsi512_ps(_mm512_unpacklo_epi64(pairs.0, pairs.1));
    _mm512_shuffle_f32x4::<0b10_10_10_10>(all, all)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words(words: [i16; 32]) -> __m512i {
    // SAFETY: the array holds 64 bytes; the load takes any address.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// The sums of four: of two lanes in each quarter of two vectors; then of the halves of two.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn folded(pairs: [__m512i; 2], halves: [__m512i; 2]) -> __m256i {
    let [a, b] = pairs.map(|v| _mm512_castsi512_ps(v));
    let even = _mm512_castps_si512(_mm512_shuffle_ps::<0b10_00_10_00>(a, b));
    let odd = _mm512_castps_si512(_mm512_shuffle_ps::<0b11_01_11_01>(a, b));
    let all = _mm512_add_epi32(even, odd);
    let all = _mm256_add_epi32(low(all), high(all));
    let [a, b] = halves;
    // In turn lanes of `a` and `b`; then of these in the lower half, and of these in the upper one.
    let turns = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (a, b) = (low(turns), high(turns));
    let halves = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    _mm256_add_epi32(
        _mm256_blend_epi32::<0xf0>(all, halves),
        _mm256_permute2x128_si256::<0x21>(all, halves),
    )
}

#[inline]
#[target_feature(enable = "avx512f")]
fn low(v: __m512i) -> __m256i {
    _mm512_castsi512_si256(v)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn high(v: __m512i) -> __m256i {
    _mm512_extracti64x4_epi64::<1>(v)
}

/// What the contract's steps for a group take: four sums of quants and four beside them, and what multiplies either.
struct Sums {
    sums: __m256,
    d: __m256,
}

/// The eight sums as f32, those of the quants without what they are too large by.
#[inline]
#[target_feature(enable = "avx2")]
fn finish(sums: __m256i, beside: Beside) -> __m256 {
    let sums = match beside {
        Minimums => sums,
        Offset { log2 } => {
            let over = _mm256_permute2x128_si256::<0x11>(sums, sums);
            let over = _mm256_sll_epi32(over, _mm_cvtsi32_si128(log2 as i32));
            _mm256_sub_epi32(sums, over)
        }
    };
    _mm256_cvtepi32_ps(sums)
}

/// The contract's two steps for each of the first `N` super-blocks of a group.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn chain<const N: usize>(Sums { sums, d }: Sums, beside: Beside, acc: f32) -> f32 {
    let mut both = [[0.0f32; 8]; 2];
    // SAFETY: both arrays hold eight f32.
    unsafe {
        _mm256_storeu_ps(both[0].as_mut_ptr(), sums);
        _mm256_storeu_ps(both[1].as_mut_ptr(), d);
    }
    // Kept in memory, where the FMAs find their operands; the compiler would take them from the registers by shuffles.
    let [sums, d] = core::hint::black_box(&both);
    let one = |v: f32| _mm_set_ss(v);
    let mut acc = one(acc);
    for k in 0..N {
        acc = _mm_fmadd_ss(one(d[k]), one(sums[k]), acc);
        if matches!(beside, Minimums) {
            acc = _mm_fnmadd_ss(one(d[4 + k]), one(sums[4 + k]), acc);
        }
    }
    _mm_cvtss_f32(acc)
}
