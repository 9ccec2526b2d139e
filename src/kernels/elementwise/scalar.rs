//! The definitions, written over [`Arith`] so that siblings are the same bodies with hardware's
//! fused multiply-add.

use crate::kernels::arith::{Arith, Exact};
use crate::kernels::dot::{LANES, scalar::fold};

pub fn silu_mul(gate: &mut [f32], up: &[f32]) {
    silu_mul_body::<Exact>(gate, up);
}

pub fn gelu_mul(gate: &mut [f32], up: &[f32]) {
    gelu_mul_body::<Exact>(gate, up);
}

pub fn scale_by(x: &[f32], s: f32, w: &[f32], out: &mut [f32]) {
    scale_by_body(x, s, w, out);
}

pub fn rope_neighbours(x: &mut [f32], angles: &[[f32; 2]]) {
    rope_neighbours_body::<Exact>(x, angles);
}

pub fn rope_halves(x: &mut [f32], angles: &[[f32; 2]]) {
    rope_halves_body::<Exact>(x, angles);
}

pub fn exp_sum(x: &mut [f32]) -> (f32, f32) {
    exp_sum_body::<Exact>(x)
}

pub fn exp_all(x: &mut [f32]) {
    exp_all_body::<Exact>(x);
}

pub fn add(x: &mut [f32], y: &[f32]) {
    add_body(x, y);
}

pub fn soft_cap(x: &mut [f32], cap: f32) {
    soft_cap_body::<Exact>(x, cap);
}

/// 1.5 · 2²³: the low bits of a sum with it are the nearest integer.
pub const ROUND: f32 = 12_582_912.0;
/// The upper 15 bits of ln 2.
pub const LN2_HI: f32 = 0.693_145_75;
/// ln 2 without them.
pub const LN2_LO: f32 = 1.428_606_8e-6;
/// Numbers below have the result 0.
pub const EXP_LOWEST: f32 = -104.0;
/// Numbers above have an infinite result.
pub const EXP_HIGHEST: f32 = 89.0;
/// Of `e^r`, those of the highest powers first.
pub const EXP_COEFFICIENTS: [f32; 7] =
    [0.001_381_459_9, 0.008_368_717, 0.041_668_39, 0.166_665_21, 0.499_999_94, 1.0, 1.0];

/// `e` to the `x`. The error is below 1.1 ulp over all inputs whose result is a normal number.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; `ln 2` is split so that `n * LN2_HI` is exact for every `n` that
/// occurs. The coefficients are a minimax fit to `e^r = 1 + r + r²·p(r)` on that interval: relative error
/// 2⁻²⁸ before rounding.
#[inline(always)]
pub fn exp<A: Arith>(x: f32) -> f32 {
    // `x > LOW ? x : LOW` would replace NaN; with the arguments this way round NaN passes.
    let clamped = if x < EXP_LOWEST { EXP_LOWEST } else { x };
    let clamped = if clamped > EXP_HIGHEST { EXP_HIGHEST } else { clamped };
    let shifted = A::fma(clamped, core::f32::consts::LOG2_E, ROUND);
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let nf = shifted - ROUND;
    let r = A::fma(nf, -LN2_LO, A::fma(nf, -LN2_HI, clamped));
    let [first, rest @ ..] = EXP_COEFFICIENTS;
    let mut p = first;
    for c in rest {
        p = A::fma(p, r, c);
    }
    // 2^n in two exact steps, so that results may be subnormal or overflow.
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `2^n` for `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// Of `tanh x = x + x³·p(x²)` below [`TANH_SMALL`], those of the highest powers first (Cephes, `tanhf`).
pub const TANH_COEFFICIENTS: [f32; 5] =
    [-0.005_704_988_7, 0.020_639_09, -0.053_739_716, 0.133_314_42, -0.333_332_8];
/// From here on the exponential serves better.
pub const TANH_SMALL: f32 = 0.625;

/// The hyperbolic tangent of `x`. The error is below 2 ulp over all inputs.
///
/// Of the absolute value, with the sign of `x` at last: near 0 a polynomial, since `1 - 2/(e^2x + 1)` would lose what it has
/// in common with 1; then that.
#[inline(always)]
pub fn tanh<A: Arith>(x: f32) -> f32 {
    let square = x * x;
    let [first, rest @ ..] = TANH_COEFFICIENTS;
    let mut p = first;
    for c in rest {
        p = A::fma(p, square, c);
    }
    let abs = f32::from_bits(x.to_bits() & !SIGN);
    let small = A::fma(abs * square, p, abs);
    let large = 1.0 - 2.0 / (exp::<A>(2.0 * abs) + 1.0);
    // A NaN is not less, and passes through the exponential.
    let y = if abs < TANH_SMALL { small } else { large };
    f32::from_bits(y.to_bits() | (x.to_bits() & SIGN))
}

/// The bit of the sign.
pub const SIGN: u32 = 1 << 31;

#[inline(always)]
pub fn soft_cap_body<A: Arith>(x: &mut [f32], cap: f32) {
    for x in x {
        *x = cap * tanh::<A>(*x / cap);
    }
}

#[inline(always)]
pub fn exp_all_body<A: Arith>(x: &mut [f32]) {
    // Not `for_each`, whose body is compiled for a sibling's features only where it is inlined.
    for x in x {
        *x = exp::<A>(*x);
    }
}

#[inline(always)]
pub fn add_body(x: &mut [f32], y: &[f32]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
pub fn silu_mul_body<A: Arith>(gate: &mut [f32], up: &[f32]) {
    for (gate, &up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp::<A>(-*gate)) * up;
    }
}

/// `-2 * sqrt(2 / pi)`.
pub const MINUS_2_SQRT_2_OVER_PI: f32 = -1.595_769;
/// The weight of the cube.
pub const GELU_CUBE: f32 = 0.044_715;

#[inline(always)]
pub fn gelu_mul_body<A: Arith>(gate: &mut [f32], up: &[f32]) {
    for (gate, &up) in gate.iter_mut().zip(up) {
        let x = *gate;
        let u = A::fma(GELU_CUBE * x * x, x, x);
        *gate = x / (1.0 + exp::<A>(MINUS_2_SQRT_2_OVER_PI * u)) * up;
    }
}

#[inline(always)]
pub fn scale_by_body(x: &[f32], s: f32, w: &[f32], out: &mut [f32]) {
    for ((out, &x), &w) in out.iter_mut().zip(x).zip(w) {
        *out = x * s * w;
    }
}

#[inline(always)]
pub fn rotate<A: Arith>(a: &mut f32, b: &mut f32, [cos, sin]: [f32; 2]) {
    (*a, *b) = (A::fma(*a, cos, -(*b * sin)), A::fma(*a, sin, *b * cos));
}

#[inline(always)]
pub fn rope_neighbours_body<A: Arith>(x: &mut [f32], angles: &[[f32; 2]]) {
    for ([a, b], &angle) in x.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
        rotate::<A>(a, b, angle);
    }
}

#[inline(always)]
pub fn rope_halves_body<A: Arith>(x: &mut [f32], angles: &[[f32; 2]]) {
    let (a, b) = x.split_at_mut(angles.len());
    for ((a, b), &angle) in a.iter_mut().zip(b).zip(angles) {
        rotate::<A>(a, b, angle);
    }
}

/// The largest element; NaN never exceeds another, -∞ for none. Which zero is found of +0 and -0
/// depends on the order, and no result does: only differences from the maximum are used.
#[inline(always)]
pub fn maximum(x: &[f32]) -> f32 {
    let max = |m: f32, x: f32| if x > m { x } else { m };
    let (body, tail) = x.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for x in body {
        for (m, &x) in lanes.iter_mut().zip(x) {
            *m = max(*m, x);
        }
    }
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |m, &x| max(m, x))
}

#[inline(always)]
pub fn exp_sum_body<A: Arith>(x: &mut [f32]) -> (f32, f32) {
    let m = maximum(x);
    let mut lanes = [0.0; LANES];
    for x in x.chunks_mut(LANES) {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *x = exp::<A>(*x - m);
            *lane += *x;
        }
    }
    (m, fold(&mut lanes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Error in units of the last place of the result, against f64.
    fn ulp_error(y: f32, truth: f64) -> f64 {
        let ulp = f64::from(f32::from_bits(y.to_bits() + 1)) - f64::from(y);
        (f64::from(y) - truth).abs() / ulp
    }

    #[test]
    fn exp_is_within_1_1_ulp_of_the_truth() {
        let mut worst = 0.0f64;
        // A prime stride through the bit patterns of both signs reaches every exponent.
        for bits in (0..=0x42b0_0000u32).step_by(9973) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let truth = libm::exp(f64::from(x));
                if truth < f64::from(f32::MIN_POSITIVE) || truth > f64::from(f32::MAX) {
                    continue;
                }
                worst = worst.max(ulp_error(exp::<Exact>(x), truth));
            }
        }
        assert!(worst < 1.1, "{worst} ulp");
    }

    #[test]
    fn exp_of_the_edges_is_defined() {
        assert_eq!(exp::<Exact>(0.0), 1.0);
        assert_eq!(exp::<Exact>(-0.0), 1.0);
        assert_eq!(exp::<Exact>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<Exact>(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp::<Exact>(88.8), f32::INFINITY);
        assert_eq!(exp::<Exact>(-103.0), f32::from_bits(1));
        assert_eq!(exp::<Exact>(-104.5), 0.0);
        assert!(exp::<Exact>(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_2_ulp_of_the_truth_and_its_edges_are_defined() {
        let mut worst = 0.0f64;
        for bits in (0x0080_0000..=0x4180_0000u32).step_by(4993) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                worst = worst.max(ulp_error(tanh::<Exact>(x), libm::tanh(f64::from(x))));
            }
        }
        assert!(worst < 2.0, "{worst} ulp");
        for x in [0.0, 1e-45, 1e-40] {
            assert_eq!(tanh::<Exact>(x).to_bits(), x.to_bits());
            assert_eq!(tanh::<Exact>(-x).to_bits(), (-x).to_bits());
        }
        for x in [30.0, 1e30, f32::INFINITY] {
            assert_eq!((tanh::<Exact>(x), tanh::<Exact>(-x)), (1.0, -1.0));
        }
        assert!(tanh::<Exact>(f32::NAN).is_nan());
    }

    #[test]
    fn silu_and_gelu_agree_with_their_formulas_in_f64() {
        for i in -4000..4000 {
            let x = i as f32 / 400.0;
            let d = f64::from(x);
            let (mut silu, mut gelu) = ([x], [x]);
            silu_mul(&mut silu, &[1.0]);
            gelu_mul(&mut gelu, &[1.0]);
            let u = (2.0 / std::f64::consts::PI).sqrt() * (d + 0.044_715 * d * d * d);
            let bound = 1e-6 * d.abs().max(1e-30);
            assert!((f64::from(silu[0]) - d / (1.0 + libm::exp(-d))).abs() <= bound, "silu({x})");
            assert!(
                (f64::from(gelu[0]) - d / 2.0 * (1.0 + libm::tanh(u))).abs() <= bound,
                "gelu({x})"
            );
        }
    }
}
