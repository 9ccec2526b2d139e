//! Portable SIMD: Q4_K and Q5_K in the operations that pulp offers on every machine.
//!
//! As [`qdot::generic`](crate::kernels::qdot) says, of products pulp has those of 16 and of 32 bits that keep the lower half. Eight
//! rows are interleaved: a lane of 32 bits belongs to one row, and holds two quants in 16 bits each. Activations are bytes
//! plus 128, so nothing has a sign before the end, and sums of 16 bits hold twice as much:
//!
//! ```text
//! lanes   Σ w·(x + 128), over 4 words of four quants (Q4_K: 8)     at most 8 · 31 · 255 < 2¹⁶ (Q4_K: 16 · 15 · 255)
//! word    the lower half and the upper half, added up over the words of a scale
//! isum    isum + scale · word                                      modulo 2³², from -128 · Σ scale · Σ w, that of a row
//! ```
//!
//! The true sum is below 2²⁷ in magnitude. pulp has no conversion to f32, so 2²⁷ is added, which makes it a number without sign,
//! of 28 bits; its upper 16 and its lower 12 are set into mantissas of 2²³, and one fused multiply-add puts them together,
//! which rounds once, as a conversion does. The sum of minimums is below 2²⁴: f32 is exact in any order.
//!
//! # Bound
//! For 32 values of 8 rows and one column: 16 multiplications and 14 additions of 16 bits, 7 operations to add up halves (Q4_K:
//! 15 and 3), a multiplication of 32 bits, which is two operations, and an addition. On four pipes 10 cycles, 26 products a cycle
//! (Q4_K 9, 28); a row dot of four columns takes about 13 operations for 32 products. With three columns and their sums in
//! registers, or four, activations are loaded once for each register of rows, 16 of 39 operations: two a cycle keep up.

use core::array::from_fn;
use core::marker::PhantomData;

use pulp::bytemuck::cast;
use pulp::{Arch, Simd, WithSimd};

use super::{Gemm, Gemms, Layout, MC, MR, Workspace};
use crate::formats::{ActBlock, BlockQ4K, BlockQ5K, Integers256, f16_value, scale_min_words};
use crate::kernels::arith::Exact;
use crate::kernels::portable::{shift_right, word};
use crate::kernels::qdot::scalar::dot_256;
use crate::kernels::sibling::sibling;

pub const GEMMS: Gemms = Gemms {
    q4_k: Some(sibling!(gemm::<BlockQ4K> as Gemm)),
    q5_k: Some(sibling!(gemm::<BlockQ5K> as Gemm)),
    ..Gemms::NONE
};

/// Columns of a micro-kernel: of sixteen registers four hold sums of 32 bits, four those of 16, two weights.
const NR: usize = 4;

/// A super-block of eight rows.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Panel {
    /// Element `i`: of values `4 i` to `4 i + 3` of each row, the even ones, then the odd ones, in 16 bits each.
    quants: [[[u32; MR]; 2]; 64],
    scales: [[u32; MR]; 8],
    mins: [[f32; MR]; 8],
    /// What the sum of each row begins with.
    start: [u32; MR],
    d: [f32; MR],
    dmin: [f32; MR],
}

/// A super-block of some columns: activations as in a [`Panel`], plus 128, in all lanes; sums of 32; scales.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Columns {
    quants: [[[u32; MR]; 2]; 64 * NR],
    sums: [[f32; 8]; NR],
    dx: [f32; NR],
}

/// How a [`Workspace`] is laid out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Space {
    panels: [Panel; MC / MR],
    columns: Columns,
}

// SAFETY: numbers all through.
unsafe impl Layout for Space {}

/// A K format of eight scales and eight minimums, both without sign.
trait Quants: Integers256 {
    /// The largest quant.
    const LARGEST: u32;
    /// How many words of four quants are added up in 16 bits.
    const WORDS: usize;

    /// The quants, four to a word.
    fn words(&self) -> [u32; 64];
    /// Scales, minimums, and their scales.
    fn scales(&self) -> ([u64; 2], [f32; 2]);
}

impl Quants for BlockQ4K {
    const LARGEST: u32 = 15;
    const WORDS: usize = 8;

    #[inline(always)]
    fn words(&self) -> [u32; 64] {
        nibbles(&self.qs)
    }

    #[inline(always)]
    fn scales(&self) -> ([u64; 2], [f32; 2]) {
        (scale_min_words(&self.scales), [f16_value(self.d), f16_value(self.dmin)])
    }
}

impl Quants for BlockQ5K {
    const LARGEST: u32 = 31;
    const WORDS: usize = 4;

    #[inline(always)]
    fn words(&self) -> [u32; 64] {
        let mut words = nibbles(&self.qs);
        for (j, words) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            for (word, &fifth) in words.iter_mut().zip(self.qh.as_chunks().0) {
                *word |= (u32::from_le_bytes(fifth) >> j & 0x0101_0101) << 4;
            }
        }
        words
    }

    #[inline(always)]
    fn scales(&self) -> ([u64; 2], [f32; 2]) {
        (scale_min_words(&self.scales), [f16_value(self.d), f16_value(self.dmin)])
    }
}

/// Low nibbles of 32 bytes, then high ones.
#[inline(always)]
fn nibbles(bytes: &[u8; 128]) -> [u32; 64] {
    let mut words = [0; 64];
    for (words, bytes) in words.as_chunks_mut::<16>().0.iter_mut().zip(bytes.as_chunks::<32>().0) {
        let (low, high) = words.split_at_mut(8);
        for ((low, high), &both) in low.iter_mut().zip(high).zip(bytes.as_chunks().0) {
            let both = u32::from_le_bytes(both);
            *low = both & 0x0f0f_0f0f;
            *high = both >> 4 & 0x0f0f_0f0f;
        }
    }
    words
}

/// The even and the odd bytes, in 16 bits each.
#[inline(always)]
fn split(word: u32) -> [u32; 2] {
    [word & 0x00ff_00ff, word >> 8 & 0x00ff_00ff]
}

fn gemm<B: Quants>(
    w: &[u8],
    x: &[ActBlock],
    blocks: usize,
    space: &mut Workspace,
    out: &mut [f32],
) {
    Arch::new().dispatch(Product::<B> { w, x, blocks, space, out, format: PhantomData });
}

/// The arguments of [`gemm`].
struct Product<'a, B> {
    w: &'a [u8],
    x: &'a [ActBlock],
    blocks: usize,
    space: &'a mut Workspace,
    out: &'a mut [f32],
    format: PhantomData<B>,
}

impl<B: Quants> WithSimd for Product<'_, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { w, x, blocks, space, out, .. } = self;
        let w = B::slice(w);
        let rows = w.len() / blocks;
        if !matches!(S::U32_LANES, 4 | MR) {
            for (x, out) in x.chunks(blocks).zip(out.chunks_mut(rows)) {
                for (w, out) in self.w.chunks(blocks * size_of::<B>()).zip(out) {
                    *out = dot_256::<Exact, B>(w, x);
                }
            }
            return;
        }
        let space: &mut Space = space.layout();
        out.fill(0.0);
        for (i, w) in w.chunks(MC * blocks).enumerate() {
            for k in 0..blocks {
                let panels = &mut space.panels[..w.len() / (MR * blocks)];
                for (panel, w) in panels.iter_mut().zip(w.chunks_exact(MR * blocks)) {
                    interleave(
                        from_fn(
                            #[inline(always)]
                            |r| &w[r * blocks + k],
                        ),
                        panel,
                    );
                }
                for (j, x) in x.chunks(NR * blocks).enumerate() {
                    let out = &mut out[NR * j * rows + MC * i..];
                    let columns = &mut space.columns;
                    match x.len() / blocks {
                        1 => strip::<S, B, 1>(simd, panels, x, [blocks, k], columns, out, rows),
                        2 => strip::<S, B, 2>(simd, panels, x, [blocks, k], columns, out, rows),
                        3 => strip::<S, B, 3>(simd, panels, x, [blocks, k], columns, out, rows),
                        _ => strip::<S, B, NR>(simd, panels, x, [blocks, k], columns, out, rows),
                    }
                }
            }
        }
    }
}

/// Adds super-block `k` of `blocks` of all panels and `N` columns to `out`, where a column lies `stride` elements behind the one
/// before.
#[inline(always)]
fn strip<S: Simd, B: Quants, const N: usize>(
    simd: S,
    panels: &[Panel],
    x: &[ActBlock],
    [blocks, k]: [usize; 2],
    columns: &mut Columns,
    out: &mut [f32],
    stride: usize,
) {
    broadcast::<N>(
        from_fn(
            #[inline(always)]
            |c| &x[c * blocks + k],
        ),
        columns,
    );
    for (p, panel) in panels.iter().enumerate() {
        for v in 0..MR / S::U32_LANES {
            add::<S, B, N>(simd, panel, v, columns, &mut out[MR * p..], stride);
        }
    }
}

/// Unpacks a super-block of eight rows.
#[inline(always)]
fn interleave<B: Quants>(w: [&B; MR], panel: &mut Panel) {
    let mut words = [[0; 64]; MR];
    for (r, w) in w.into_iter().enumerate() {
        words[r] = w.words();
        let ([scales, mins], [d, dmin]) = w.scales();
        for (j, scale) in scales.to_le_bytes().into_iter().enumerate() {
            panel.scales[j][r] = u32::from(scale);
        }
        for (j, min) in mins.to_le_bytes().into_iter().enumerate() {
            panel.mins[j][r] = f32::from(min);
        }
        panel.d[r] = d;
        panel.dmin[r] = dmin;
    }
    let mut all = [0; MR];
    for j in 0..8 {
        let mut sums = [0; MR];
        for (i, quants) in panel.quants.iter_mut().enumerate().skip(8 * j).take(8) {
            for r in 0..MR {
                let [even, odd] = split(words[r][i]);
                quants[0][r] = even;
                quants[1][r] = odd;
                sums[r] += even + odd;
            }
        }
        for r in 0..MR {
            all[r] += panel.scales[j][r] * ((sums[r] & 0xffff) + (sums[r] >> 16));
        }
    }
    for (start, all) in panel.start.iter_mut().zip(all) {
        *start = (128 * all).wrapping_neg();
    }
}

/// Lays out a super-block of `N` columns for the micro-kernel of as many.
#[inline(always)]
fn broadcast<const N: usize>(x: [&ActBlock; N], columns: &mut Columns) {
    for (i, out) in columns.quants.as_chunks_mut::<N>().0.iter_mut().enumerate().take(64) {
        for (x, out) in x.iter().zip(out) {
            let word = u32::from_le_bytes(x.qs.as_chunks::<4>().0[i].map(
                #[inline(always)]
                |q| q as u8,
            ));
            *out = split(word ^ 0x8080_8080).map(
                #[inline(always)]
                |half| [half; MR],
            );
        }
    }
    for (c, x) in x.into_iter().enumerate() {
        for (sum, &[a, b]) in columns.sums[c].iter_mut().zip(x.bsums.as_chunks().0) {
            *sum = f32::from(a) + f32::from(b);
        }
        columns.dx[c] = x.d[0];
    }
}

/// Adds a super-block of the rows of vector `v` of a panel and `N` columns to their elements of `out`.
#[inline(always)]
fn add<S: Simd, B: Quants, const N: usize>(
    simd: S,
    w: &Panel,
    v: usize,
    x: &Columns,
    out: &mut [f32],
    stride: usize,
) {
    /// Largest magnitude of an activation quant.
    const X: u32 = 127;
    const {
        assert!(2 * B::WORDS as u32 * B::LARGEST * 255 < 1 << 16);
        assert!(256 * B::LARGEST * X * 63 < 1 << 27);
        assert!(8 * 63 * 32 * X < 1 << 24);
    }
    let low = word(simd, 0xffff);
    let quants = x.quants.as_chunks::<N>().0;
    let mut isum = [lanes::<S>(&w.start, v); N];
    for j in 0..8 {
        let mut halves = [simd.splat_u32s(0); N];
        for g in 0..8 / B::WORDS {
            let mut sums = [simd.splat_u16s(0); N];
            for i in 0..B::WORDS {
                let at = 8 * j + B::WORDS * g + i;
                let even = cast(lanes::<S>(&w.quants[at][0], v));
                let odd = cast(lanes::<S>(&w.quants[at][1], v));
                for (sum, [x_even, x_odd]) in sums.iter_mut().zip(&quants[at]) {
                    let even = simd.mul_u16s(even, cast(lanes::<S>(x_even, 0)));
                    let odd = simd.mul_u16s(odd, cast(lanes::<S>(x_odd, 0)));
                    *sum = simd.add_u16s(simd.add_u16s(*sum, even), odd);
                }
            }
            for c in 0..N {
                let sum: S::u32s = cast(sums[c]);
                let both = simd.add_u32s(simd.and_u32s(sum, low), shift_right(simd, sum, 16));
                halves[c] = simd.add_u32s(halves[c], both);
            }
        }
        let scale = lanes::<S>(&w.scales[j], v);
        for c in 0..N {
            isum[c] = simd.add_u32s(isum[c], simd.mul_u32s(halves[c], scale));
        }
    }
    let (d, dmin) = (floats::<S>(&w.d, v), floats::<S>(&w.dmin, v));
    for c in 0..N {
        let mut msum = simd.splat_f32s(0.0);
        for j in 0..8 {
            let sum = simd.splat_f32s(x.sums[c][j]);
            msum = simd.mul_add_f32s(floats::<S>(&w.mins[j], v), sum, msum);
        }
        let out = &mut S::as_mut_simd_f32s(&mut out[c * stride..][..MR]).0[v];
        let scale = simd.mul_f32s(d, simd.splat_f32s(x.dx[c]));
        let acc = simd.mul_add_f32s(scale, to_f32s(simd, isum[c]), *out);
        // With the other sign, the product is the other one.
        let scale = simd.mul_f32s(dmin, simd.splat_f32s(-x.dx[c]));
        *out = simd.mul_add_f32s(scale, msum, acc);
    }
}

/// Numbers with a sign, below 2²⁷ in magnitude, rounded once.
#[inline(always)]
fn to_f32s<S: Simd>(simd: S, n: S::u32s) -> S::f32s {
    const TWO_23: u32 = f32::to_bits(8_388_608.0);
    let n = simd.add_u32s(n, word(simd, 1 << 27));
    let high = simd.or_u32s(shift_right(simd, n, 12), word(simd, TWO_23));
    let low = simd.or_u32s(simd.and_u32s(n, word(simd, 0xfff)), word(simd, TWO_23));
    // 2²⁷ is 2¹⁵ of what the upper part counts.
    let offset = simd.splat_f32s(8_388_608.0 + 32_768.0);
    let high = simd.sub_f32s(simd.transmute_f32s_u32s(high), offset);
    let low = simd.sub_f32s(simd.transmute_f32s_u32s(low), simd.splat_f32s(8_388_608.0));
    simd.mul_add_f32s(high, simd.splat_f32s(4096.0), low)
}

/// Vector `v` of eight words.
#[inline(always)]
fn lanes<S: Simd>(words: &[u32; MR], v: usize) -> S::u32s {
    S::as_simd_u32s(words).0[v]
}

/// Vector `v` of eight numbers.
#[inline(always)]
fn floats<S: Simd>(numbers: &[f32; MR], v: usize) -> S::f32s {
    S::as_simd_f32s(numbers).0[v]
}
