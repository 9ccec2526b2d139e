//! Scales and minimums by least squares: `x ≈ d · scale · q - dmin · min`, for Q2_K, Q4_K and Q5_K.
//!
//! Of one sub-block: a first guess of the scale gives quants; for these quants the best scale and
//! minimum have a closed form; they give new quants, and so on. The squared error never grows, but
//! may stop at a local minimum: hence several first guesses ([`GUESSES`]), of which the best is
//! refined. Of the super-block: scales and minimums are rounded to multiples of `d` and `dmin`,
//! and the same steps are taken for these two numbers.

#![allow(clippy::needless_range_loop)] // iterators with closures would lose the CPU's features

use super::lanes::Lanes;
use super::saturating_f16;

/// Sub-blocks of `N` values, `G` groups of eight of them: value `i` of sub-block `8 g + j` is lane
/// `j` of `x[g][i]`.
pub(crate) type SubBlocks<L, const N: usize, const G: usize> = [[L; N]; G];

/// First guesses of a sub-block's scale: the range of its values divided by this many steps, added
/// to the largest quant. Fewer steps than quants leave room for the minimum to move; more make
/// outliers saturate.
///
/// RMSE on Gaussian rows, Q4_K / Q5_K, of llama.cpp's: 0.988 / 0.974 with these 12; 0.991 / 0.981
/// with 7 as wide as llama.cpp's; 0.987 / 0.973 with 16 over twice the width.
const GUESSES: [f32; 12] = [-2.6, -2.3, -2.0, -1.7, -1.4, -1.1, -0.8, -0.5, -0.2, 0.1, 0.4, 0.7];
/// Refinements of the best guess of a sub-block.
const REFINEMENTS: usize = 2;
/// Refinements of a super-block, at most.
const SUPER_REFINEMENTS: usize = 3;

/// Smaller ranges and scales, beside a largest magnitude of 1 to 2 in the super-block, count as 0.
const NEGLIGIBLE: f32 = 1e-9;

/// What a super-block of `G` groups of eight sub-blocks stores beside its quants: the value of a
/// quant `q` is `d * scales * q - dmin * mins`.
#[derive(Clone, Copy)]
pub(crate) struct Affine<L, const G: usize> {
    pub d: f32,
    pub dmin: f32,
    /// Integers.
    pub scales: [L; G],
    /// Integers.
    pub mins: [L; G],
}

/// Largest values of quants, and of scales and minimums.
#[derive(Clone, Copy)]
pub(crate) struct Ranges {
    pub quant: f32,
    pub part: f32,
}

/// The factor and the shift that turn values into quants.
#[derive(Clone, Copy)]
struct Grid<L> {
    inverse: L,
    shift: L,
}

impl<L: Lanes> Grid<L> {
    #[inline(always)]
    fn new(scale: L, min: L) -> Grid<L> {
        let inverse = L::splat(1.0).div_above(scale, 0.0);
        Grid { inverse, shift: min * inverse }
    }

    #[inline(always)]
    fn quant(self, x: L, max: f32) -> L {
        (x * self.inverse + self.shift).max(L::zero()).min(L::splat(max)).round()
    }
}

/// Sums over a sub-block's values and quants.
#[derive(Clone, Copy)]
struct Sums<L> {
    q: L,
    qq: L,
    xq: L,
}

impl<L: Lanes> Sums<L> {
    #[inline(always)]
    fn new<const N: usize>(x: &[L; N], grid: Grid<L>, max: f32) -> Sums<L> {
        let mut sums = Sums { q: L::zero(), qq: L::zero(), xq: L::zero() };
        for &x in x {
            let q = grid.quant(x, max);
            sums.q = sums.q + q;
            sums.qq = sums.qq + q * q;
            sums.xq = sums.xq + x * q;
        }
        sums
    }
}

/// A scale and a minimum (`x ≈ scale * q - min`), and by how much they lower the squared error of
/// values that are all taken as their mean.
#[derive(Clone, Copy)]
struct Fit<L> {
    scale: L,
    min: L,
    gain: L,
}

impl<L: Lanes> Fit<L> {
    /// The best scale and minimum for the quants of values whose sum is `x`. Formats store no
    /// negative minimum: where that would be best, there is none, and the best scale without it.
    #[inline(always)]
    fn new<const N: usize>(sums: Sums<L>, x: L) -> Fit<L> {
        // Quants are integers: a variance that is not 0 is far larger.
        const NO_VARIANCE: f32 = 1e-6;
        let n = L::splat(N as f32);
        let (covariance, variance) = (sums.xq - x * sums.q / n, sums.qq - sums.q * sums.q / n);
        let scale = covariance.div_above(variance, NO_VARIANCE);
        let min = (scale * sums.q - x) / n;
        let free = Fit { scale, min, gain: scale * covariance };
        let scale = sums.xq.div_above(sums.qq, NO_VARIANCE);
        let through_zero = Fit { scale, min: L::zero(), gain: scale * sums.xq - x * x / n };
        free.where_greater(min, L::zero(), through_zero)
    }

    #[inline(always)]
    fn where_greater(self, a: L, b: L, other: Fit<L>) -> Fit<L> {
        Fit {
            scale: self.scale.where_greater(a, b, other.scale),
            min: self.min.where_greater(a, b, other.min),
            gain: self.gain.where_greater(a, b, other.gain),
        }
    }

    /// The better one of each lane.
    #[inline(always)]
    fn or(self, other: Fit<L>) -> Fit<L> {
        other.where_greater(other.gain, self.gain, self)
    }

    /// Searches the scale and the minimum of sub-blocks whose values sum up to `sum`.
    #[inline(always)]
    fn search<const N: usize>(x: &[L; N], sum: L, max: f32) -> Fit<L> {
        let (mut low, mut high) = (L::zero(), x[0]);
        for &x in x {
            low = low.min(x);
            high = high.max(x);
        }
        let range = high - low;
        // Values that are all the same need a minimum only.
        let min = (-sum / L::splat(N as f32)).max(L::zero());
        let mut best = Fit { scale: L::zero(), min, gain: L::zero() };
        for guess in GUESSES {
            let inverse = L::splat(max + guess).div_above(range, NEGLIGIBLE);
            let grid = Grid { inverse, shift: -(low * inverse) };
            best = best.or(Fit::new::<N>(Sums::new(x, grid, max), sum));
        }
        for _ in 0..REFINEMENTS {
            let grid = Grid::new(best.scale, best.min);
            best = best.or(Fit::new::<N>(Sums::new(x, grid, max), sum));
        }
        best
    }
}

impl<L: Lanes, const G: usize> Affine<L, G> {
    /// Searches a super-block whose values are given in units of `unit`.
    #[inline(always)]
    pub fn search<const N: usize>(
        x: &SubBlocks<L, N, G>,
        ranges: Ranges,
        unit: f32,
    ) -> Affine<L, G> {
        let nothing = Fit { scale: L::zero(), min: L::zero(), gain: L::zero() };
        let (mut sums, mut fits) = ([L::zero(); G], [nothing; G]);
        let (mut scale, mut min) = (L::zero(), L::zero());
        for g in 0..G {
            for &x in &x[g] {
                sums[g] = sums[g] + x;
            }
            fits[g] = Fit::search(&x[g], sums[g], ranges.quant);
            scale = scale.max(fits[g].scale);
            min = min.max(fits[g].min);
        }
        let d = storable(scale.largest() / ranges.part, unit);
        let dmin = storable(min.largest() / ranges.part, unit);
        let mut best = Affine { d, dmin, scales: [L::zero(); G], mins: [L::zero(); G] };
        for g in 0..G {
            best.scales[g] = parts(fits[g].scale, d, ranges);
            best.mins[g] = parts(fits[g].min, dmin, ranges);
        }
        let mut error = best.error(x, ranges);
        for _ in 0..SUPER_REFINEMENTS {
            let refined = best.refine(x, &sums, ranges, unit);
            let refined_error = refined.error(x, ranges);
            if refined_error >= error {
                break;
            }
            (best, error) = (refined, refined_error);
        }
        best
    }

    /// For the quants that these scales give: better minimums, for these better scales, then better
    /// `d` and `dmin` for both.
    #[inline(always)]
    fn refine<const N: usize>(
        mut self,
        x: &SubBlocks<L, N, G>,
        x_sums: &[L; G],
        ranges: Ranges,
        unit: f32,
    ) -> Affine<L, G> {
        // The normal equations of d and dmin: Σ (x - d·s·q + dmin·m)² over all values.
        let [mut ss, mut sm, mut mm, mut sx, mut mx] = [L::zero(); 5];
        for g in 0..G {
            let sums = Sums::new(&x[g], self.grid(g), ranges.quant);
            let fit = Fit::new::<N>(sums, x_sums[g]);
            let m = parts(fit.min, self.dmin, ranges);
            let min = m * L::splat(self.dmin);
            let s = parts((sums.xq + min * sums.q).div_above(sums.qq, 0.5), self.d, ranges);
            (self.scales[g], self.mins[g]) = (s, m);
            ss = ss + s * s * sums.qq;
            sm = sm + s * m * sums.q;
            mm = mm + m * m * L::splat(N as f32);
            sx = sx + s * sums.xq;
            mx = mx + m * x_sums[g];
        }
        let [ss, sm, mm, sx, mx] = [ss.sum(), sm.sum(), mm.sum(), sx.sum(), mx.sum()];
        let determinant = ss * mm - sm * sm;
        if determinant > 1e-6 * ss * mm {
            self.d = storable((sx * mm - mx * sm) / determinant, unit);
            self.dmin = storable((sm * sx - ss * mx) / determinant, unit);
        } else if ss > 0.0 {
            self.d = storable((sx + self.dmin * sm) / ss, unit);
        }
        self
    }

    /// The sum of squared errors.
    #[inline(always)]
    fn error<const N: usize>(&self, x: &SubBlocks<L, N, G>, ranges: Ranges) -> f32 {
        let mut error = L::zero();
        for g in 0..G {
            let (scale, min) = self.scale_min(g);
            let grid = self.grid(g);
            for &x in &x[g] {
                let e = x - (scale * grid.quant(x, ranges.quant) - min);
                error = error + e * e;
            }
        }
        error.sum()
    }

    #[inline(always)]
    fn scale_min(&self, g: usize) -> (L, L) {
        (self.scales[g] * L::splat(self.d), self.mins[g] * L::splat(self.dmin))
    }

    #[inline(always)]
    fn grid(&self, g: usize) -> Grid<L> {
        let (scale, min) = self.scale_min(g);
        Grid::new(scale, min)
    }
}

/// `x` in units of `d`, as an integer.
#[inline(always)]
fn parts<L: Lanes>(x: L, d: f32, ranges: Ranges) -> L {
    let inverse = if d > 0.0 { 1.0 / d } else { 0.0 };
    (x * L::splat(inverse)).max(L::zero()).min(L::splat(ranges.part)).round()
}

/// The value nearest to `d` that is an f16, at least 0, in units of `unit`.
#[inline(always)]
fn storable(d: f32, unit: f32) -> f32 {
    saturating_f16(d.max(0.0) * unit) / unit
}
