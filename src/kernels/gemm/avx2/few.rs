//! Few columns: from memory, where the weights are all that there is to wait for.
//!
//! Of many columns, a super-block of hundreds of rows is unpacked and meets all columns before the next: rows lie far apart, and each is
//! visited in pieces of a super-block, which costs little as long as a hundred columns share it. Of few, memory is to be
//! read in its order: eight rows, from their first super-block to the last, and of those that follow as many bytes are asked for at each
//! step as the step takes. Columns are then too long to be laid out in all lanes beforehand, for all super-blocks;
//! they are broadcast where they lie, four values by a load, which takes the place of a load of 32 bytes.
//!
//! # Bound
//! As the micro-kernel of many columns, 44 cycles on two multipliers for eight rows of a super-block and a column, with minimums of
//! 32 values 46, since sums of 16 are taken as they are; 64 loads of activations and, shared by up to six columns, 80 of weights keep two
//! ports busy for 39. Unpacking, some 800 operations, takes as long as four columns.

use core::arch::x86_64::*;

use super::super::{FEW, Layout, MR, NR, Panel, Workspace};
use super::micro::{floats, load as register, scaled, words};
use super::unpack::Interleave;
use super::{interleave, start};
use crate::formats::ActBlock;

/// How a [`Workspace`] is laid out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Space {
    panel: Panel,
    starts: [Starts; STARTS],
}

/// What an offset takes from each 16 products of a super-block of a column: see [`start`].
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Starts([[u8; 16]; 16]);

/// Super-blocks of columns: 4096 values each of 64, as far as a workspace goes.
const STARTS: usize = 1024;

// SAFETY: numbers all through.
unsafe impl Layout for Space {}

/// Whether this serves columns of so many super-blocks, and is the faster way.
pub(super) fn suits<B: Interleave>(columns: usize, blocks: usize) -> bool {
    columns <= FEW && (B::OFFSET == 0 || columns * blocks <= STARTS)
}

/// As [`product`](super::product), of rows that are not packed.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn product<B: Interleave>(
    w: &[B],
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    let columns = x.len() / blocks;
    let rows = out.len() / columns;
    // Of eight columns twice four: a group takes the loads of its weights, however few it has.
    let wide = columns.div_ceil(columns.div_ceil(NR));
    let Space { panel, starts } = space.layout();
    if B::OFFSET != 0 {
        for (x, starts) in x.iter().zip(&mut *starts) {
            for (x, out) in x.qs.as_chunks().0.iter().zip(&mut starts.0) {
                let start = _mm256_castsi256_si128(start(x, B::OFFSET));
                // SAFETY: the array holds 16 bytes.
                unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), start) };
            }
        }
    }
    out.fill(0.0);
    for (p, w) in w.chunks_exact(MR * blocks).take(rows / MR).enumerate() {
        for k in 0..blocks {
            // Eight super-blocks of the rows that follow, in the order of memory.
            let ahead = w.as_ptr().wrapping_add(MR * (blocks + k)).cast::<i8>();
            for line in (0..MR * size_of::<B>()).step_by(64) {
                _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(line));
            }
            interleave::<B, true>(core::array::from_fn(|r| &w[r * blocks + k]), panel);
            for (j, x) in x.chunks(wide * blocks).enumerate() {
                let n = x.len() / blocks;
                let add = match n {
                    1 => add::<B, 1>,
                    2 => add::<B, 2>,
                    3 => add::<B, 3>,
                    4 => add::<B, 4>,
                    5 => add::<B, 5>,
                    _ => add::<B, 6>,
                };
                let starts =
                    if B::OFFSET == 0 { &starts[..0] } else { &starts[wide * j * blocks..] };
                let at = At { panel, x, starts, blocks, k };
                let out = &mut out[wide * j * rows + MR * p..];
                assert!(out.len() >= (n - 1) * rows + MR);
                // SAFETY: eight rows of `n` columns lie in `out`.
                unsafe { add(at, out.as_mut_ptr(), rows) };
            }
        }
    }
}

/// A super-block of a panel, and of some columns.
#[derive(Clone, Copy)]
struct At<'a> {
    panel: &'a Panel,
    x: &'a [ActBlock],
    starts: &'a [Starts],
    /// From one column to the next.
    blocks: usize,
    k: usize,
}

/// Adds it to the columns' elements.
///
/// # Safety
/// Of each of `N` columns, `stride` elements behind the one before, eight elements are at `out`; the CPU has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add<B: Interleave, const N: usize>(at: At<'_>, out: *mut f32, stride: usize) {
    let At { panel: w, x, starts, blocks, k } = at;
    let x: [&ActBlock; N] = core::array::from_fn(|c| &x[c * blocks + k]);
    let starts: [&Starts; N] = core::array::from_fn(|c| match B::OFFSET {
        0 => const { &Starts([[0; 16]; 16]) },
        _ => &starts[c * blocks + k],
    });
    let mut isum = [_mm256_setzero_si256(); N];
    for (s, quants) in w.quants.as_chunks::<4>().0.iter().enumerate() {
        let quants = quants.each_ref().map(|four| register(four));
        let scales = words(&w.scales[16 * s / B::SHARED]);
        for (c, isum) in isum.iter_mut().enumerate() {
            let product = |i: usize| _mm256_maddubs_epi16(quants[i], four(&x[c].qs, 4 * s + i));
            let mut low = _mm256_add_epi16(product(0), product(1));
            if B::OFFSET != 0 {
                // What wraps here comes back: the four sums are of weights, and fit.
                // SAFETY: the array holds 16 bytes.
                let start = unsafe { _mm_loadu_si128(starts[c].0[s].as_ptr().cast()) };
                low = _mm256_add_epi16(low, _mm256_broadcastsi128_si256(start));
            }
            let high = _mm256_add_epi16(product(2), product(3));
            let scaled = _mm256_madd_epi16(_mm256_add_epi16(low, high), scales);
            *isum = _mm256_add_epi32(*isum, scaled);
        }
    }
    let (d, dmin) = (floats(&w.d), floats(&w.dmin));
    for (c, isum) in isum.into_iter().enumerate() {
        let mut msum = _mm256_setzero_si256();
        if B::OFFSET == 0 {
            for (mins, sums) in w.mins.iter().zip(x[c].bsums.as_chunks::<2>().0) {
                let pair = i32::from(sums[0]) & 0xffff | i32::from(sums[1]) << 16;
                let sums = _mm256_set1_epi32(pair);
                msum = _mm256_add_epi32(msum, _mm256_madd_epi16(words(mins), sums));
            }
        }
        // SAFETY: the caller promises the elements.
        unsafe { scaled::<B>(out.add(c * stride), d, dmin, x[c].d[0], isum, msum) };
    }
}

/// Four activations in all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn four(x: &[i8; 256], i: usize) -> __m256i {
    let four = x.as_chunks::<4>().0[i].map(|q| q as u8);
    _mm256_set1_epi32(i32::from_le_bytes(four))
}
