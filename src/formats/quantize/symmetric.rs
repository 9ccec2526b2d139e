//! Scales by least squares: `x ≈ d · scale · q`, for Q3_K and Q6_K.
//!
//! As in [`affine`](super::affine), without minimums. Scales have a sign, and quants reach from
//! `-max` to `max - 1`: which sign is better for a sub-block is part of the search.

#![allow(clippy::needless_range_loop)] // iterators with closures would lose the CPU's features

use super::affine::SubBlocks;
use super::lanes::Lanes;
use super::saturating_f16;

/// First guesses of a sub-block's scale: the value of largest magnitude divided by this many steps,
/// added to the largest quant.
///
/// RMSE on Gaussian rows, Q3_K / Q6_K, of llama.cpp's: 0.951 / 0.936 with these 12; 0.951 / 0.971
/// with 19 between -0.9 and 0.9, as llama.cpp's for Q6_K.
const GUESSES: [f32; 12] = [-3.6, -3.2, -2.8, -2.4, -2.0, -1.6, -1.2, -0.8, -0.4, 0.0, 0.4, 0.8];
/// Refinements of the best guess of a sub-block.
const REFINEMENTS: usize = 2;
/// Refinements of a super-block, at most.
const SUPER_REFINEMENTS: usize = 3;

/// Smaller values, beside a largest magnitude of 1 to 2 in the super-block, count as 0.
const NEGLIGIBLE: f32 = 1e-9;

/// What a super-block of `G` groups of eight sub-blocks stores beside its quants: the value of a
/// quant `q` is `d * scales * q`.
#[derive(Clone, Copy)]
pub(crate) struct Symmetric<L, const G: usize> {
    pub d: f32,
    /// Integers.
    pub scales: [L; G],
}

/// Quants are `-quant..quant`, scales `-part..part`.
#[derive(Clone, Copy)]
pub(crate) struct Ranges {
    pub quant: f32,
    pub part: f32,
}

/// Sums over a sub-block's values and quants.
#[derive(Clone, Copy)]
struct Sums<L> {
    qq: L,
    xq: L,
}

impl<L: Lanes> Sums<L> {
    #[inline(always)]
    fn new<const N: usize>(x: &[L; N], inverse: L, max: f32) -> Sums<L> {
        let mut sums = Sums { qq: L::zero(), xq: L::zero() };
        for &x in x {
            let q = quant(x, inverse, max);
            sums.qq = sums.qq + q * q;
            sums.xq = sums.xq + x * q;
        }
        sums
    }

    /// The scale of least squares.
    #[inline(always)]
    fn scale(self) -> L {
        // A sum of squares of integers: 0 or at least 1.
        self.xq.div_above(self.qq, 0.5)
    }
}

#[inline(always)]
fn quant<L: Lanes>(x: L, inverse: L, max: f32) -> L {
    (x * inverse).max(L::splat(-max)).min(L::splat(max - 1.0)).round()
}

/// `1 / x`, and 0 where the magnitude of `x` is not above `floor`.
#[inline(always)]
fn inverse<L: Lanes>(x: L, floor: f32) -> L {
    (L::splat(1.0) / x).where_greater(x.abs(), L::splat(floor), L::zero())
}

/// A scale of a sub-block, and by how much it lowers the squared error of zeros.
#[derive(Clone, Copy)]
struct Fit<L> {
    scale: L,
    gain: L,
}

impl<L: Lanes> Fit<L> {
    /// The better one of this and the best scale for the quants that `inverse` gives.
    #[inline(always)]
    fn or_by<const N: usize>(self, x: &[L; N], inverse: L, max: f32) -> Fit<L> {
        let sums = Sums::new(x, inverse, max);
        let scale = sums.scale();
        let gain = scale * sums.xq;
        Fit {
            scale: scale.where_greater(gain, self.gain, self.scale),
            gain: gain.where_greater(gain, self.gain, self.gain),
        }
    }

    /// Searches the scale of sub-blocks.
    #[inline(always)]
    fn search<const N: usize>(x: &[L; N], max: f32) -> Fit<L> {
        let (mut low, mut high) = (x[0], x[0]);
        for &x in x {
            low = low.min(x);
            high = high.max(x);
        }
        let peak = high.where_greater(high, -low, low);
        let step = inverse(peak, NEGLIGIBLE);
        let mut best = Fit { scale: L::zero(), gain: L::zero() };
        for guess in GUESSES {
            best = best.or_by(x, step * L::splat(-(max + guess)), max);
        }
        for _ in 0..REFINEMENTS {
            best = best.or_by(x, inverse(best.scale, NEGLIGIBLE), max);
        }
        best
    }
}

impl<L: Lanes, const G: usize> Symmetric<L, G> {
    /// Searches a super-block whose values are given in units of `unit`.
    #[inline(always)]
    pub fn search<const N: usize>(
        x: &SubBlocks<L, N, G>,
        ranges: Ranges,
        unit: f32,
    ) -> Symmetric<L, G> {
        let mut fits = [L::zero(); G];
        let mut outermost = 0.0f32;
        for g in 0..G {
            fits[g] = Fit::search(&x[g], ranges.quant).scale;
            for scale in fits[g].to_array() {
                if scale.abs() > outermost.abs() {
                    outermost = scale;
                }
            }
        }
        // The range of the scales, too, is wider on the negative side.
        let d = storable(outermost / -ranges.part, unit);
        let mut scales = fits;
        for scale in &mut scales {
            *scale = parts(*scale, d, ranges);
        }
        let mut best = Symmetric { d, scales };
        let mut error = best.error(x, ranges);
        for _ in 0..SUPER_REFINEMENTS {
            let refined = best.refine(x, ranges, unit);
            let refined_error = refined.error(x, ranges);
            if refined_error >= error {
                break;
            }
            (best, error) = (refined, refined_error);
        }
        best
    }

    /// For the quants that these scales give: better scales, then a better `d` for these.
    #[inline(always)]
    fn refine<const N: usize>(mut self, x: &SubBlocks<L, N, G>, ranges: Ranges, unit: f32) -> Self {
        let (mut ss, mut sx) = (L::zero(), L::zero());
        for g in 0..G {
            let sums = Sums::new(&x[g], inverse(self.scale(g), 0.0), ranges.quant);
            let s = parts(sums.scale(), self.d, ranges);
            self.scales[g] = s;
            ss = ss + s * s * sums.qq;
            sx = sx + s * sums.xq;
        }
        if ss.sum() > 0.0 {
            self.d = storable(sx.sum() / ss.sum(), unit);
        }
        self
    }

    /// The sum of squared errors.
    #[inline(always)]
    fn error<const N: usize>(&self, x: &SubBlocks<L, N, G>, ranges: Ranges) -> f32 {
        let mut error = L::zero();
        for g in 0..G {
            let scale = self.scale(g);
            let inverse = inverse(scale, 0.0);
            for &x in &x[g] {
                let e = x - scale * quant(x, inverse, ranges.quant);
                error = error + e * e;
            }
        }
        error.sum()
    }

    #[inline(always)]
    fn scale(&self, g: usize) -> L {
        self.scales[g] * L::splat(self.d)
    }
}

/// `scale` in units of `d`, as an integer.
#[inline(always)]
fn parts<L: Lanes>(scale: L, d: f32, ranges: Ranges) -> L {
    let inverse = if d != 0.0 { 1.0 / d } else { 0.0 };
    quant(scale, L::splat(inverse), ranges.part)
}

/// The value nearest to `d` that is an f16, in units of `unit`.
#[inline(always)]
fn storable(d: f32, unit: f32) -> f32 {
    saturating_f16(d * unit) / unit
}
