//! Portable SIMD: the definitions' formulas, an element in each lane.

use pulp::Simd;

use super::scalar::{
    self, EXP_COEFFICIENTS, EXP_HIGHEST, EXP_LOWEST, GELU_CUBE, LN2_HI, LN2_LO,
    MINUS_2_SQRT_2_OVER_PI, ROUND, SIGN, TANH_COEFFICIENTS, TANH_SMALL, maximum,
};
use crate::kernels::arith::Exact;
use crate::kernels::dot::{LANES, scalar::fold};
use crate::kernels::portable::{map, map_with, portable, shift_right, word};

portable! {
    pub fn silu_mul<S>(simd, gate: &'a mut [f32], up: &'a [f32]) {
        let one = simd.splat_f32s(1.0);
        map_with(simd, gate, up, #[inline(always)] |gate, up| {
            let denominator = simd.add_f32s(one, exp(simd, simd.neg_f32s(gate)));
            simd.mul_f32s(simd.div_f32s(gate, denominator), up)
        });
    } else scalar::silu_mul
}

portable! {
    pub fn gelu_mul<S>(simd, gate: &'a mut [f32], up: &'a [f32]) {
        let one = simd.splat_f32s(1.0);
        map_with(simd, gate, up, #[inline(always)] |x, up| {
            let cube = simd.mul_f32s(simd.mul_f32s(simd.splat_f32s(GELU_CUBE), x), x);
            let u = simd.mul_add_f32s(cube, x, x);
            let e = exp(simd, simd.mul_f32s(simd.splat_f32s(MINUS_2_SQRT_2_OVER_PI), u));
            simd.mul_f32s(simd.div_f32s(x, simd.add_f32s(one, e)), up)
        });
    } else scalar::gelu_mul
}

portable! {
    pub fn scale_by<S>(simd, x: &'a [f32], s: f32, w: &'a [f32], out: &'a mut [f32]) {
        let (x_body, x_tail) = S::as_simd_f32s(x);
        let (w_body, w_tail) = S::as_simd_f32s(w);
        let (out_body, out_tail) = S::as_mut_simd_f32s(out);
        let factor = simd.splat_f32s(s);
        for ((out, &x), &w) in out_body.iter_mut().zip(x_body).zip(w_body) {
            *out = simd.mul_f32s(simd.mul_f32s(x, factor), w);
        }
        scalar::scale_by(x_tail, s, w_tail, out_tail);
    } else scalar::scale_by
}

portable! {
    pub fn add<S>(simd, x: &'a mut [f32], y: &'a [f32]) {
        map_with(simd, x, y, #[inline(always)] |x, y| simd.add_f32s(x, y));
    } else scalar::add
}

portable! {
    pub fn soft_cap<S>(simd, x: &'a mut [f32], cap: f32) {
        let cap = simd.splat_f32s(cap);
        map(simd, x, #[inline(always)] |x| simd.mul_f32s(cap, tanh(simd, simd.div_f32s(x, cap))));
    } else scalar::soft_cap
}

portable! {
    pub fn exp_all<S>(simd, x: &'a mut [f32]) {
        map(simd, x, #[inline(always)] |x| exp(simd, x));
    } else scalar::exp_all
}

portable! {
    pub fn exp_sum<S>(simd, x: &'a mut [f32]) -> (f32, f32) {
        let m = maximum(x);
        let minus = simd.splat_f32s(m);
        map(simd, x, #[inline(always)] |x| exp(simd, simd.sub_f32s(x, minus)));
        let mut lanes = [0.0; LANES];
        for x in x.chunks(LANES) {
            map_with(simd, &mut lanes[..x.len()], x, #[inline(always)] |lane, x| simd.add_f32s(lane, x));
        }
        (m, fold(&mut lanes))
    } else scalar::exp_sum
}

/// Pairs that are rotated together: a whole number of registers of any width.
const PAIRS: usize = 16;

portable! {
    pub fn rope_neighbours<S>(simd, x: &'a mut [f32], angles: &'a [[f32; 2]]) {
        let (x_body, x_tail) = x.as_chunks_mut::<{ 2 * PAIRS }>();
        let (angles, angles_tail) = angles.as_chunks::<PAIRS>();
        for (x, angles) in x_body.iter_mut().zip(angles) {
            let pairs = x.as_chunks_mut::<2>().0;
            let mut a = core::array::from_fn(|i| pairs[i][0]);
            let mut b = core::array::from_fn(|i| pairs[i][1]);
            rotate(simd, &mut a, &mut b, angles);
            for (pair, (a, b)) in pairs.iter_mut().zip(a.into_iter().zip(b)) {
                *pair = [a, b];
            }
        }
        scalar::rope_neighbours_body::<Exact>(x_tail, angles_tail);
    } else scalar::rope_neighbours
}

portable! {
    pub fn rope_halves<S>(simd, x: &'a mut [f32], angles: &'a [[f32; 2]]) {
        let (a, b) = x.split_at_mut(angles.len());
        let (a_body, a_tail) = a.as_chunks_mut::<PAIRS>();
        let (b_body, b_tail) = b.as_chunks_mut::<PAIRS>();
        let (angles, angles_tail) = angles.as_chunks::<PAIRS>();
        for ((a, b), angles) in a_body.iter_mut().zip(b_body).zip(angles) {
            rotate(simd, a, b, angles);
        }
        for ((a, b), &angle) in a_tail.iter_mut().zip(b_tail).zip(angles_tail) {
            scalar::rotate::<Exact>(a, b, angle);
        }
    } else scalar::rope_halves
}

#[inline(always)]
fn rotate<S: Simd>(
    simd: S,
    a: &mut [f32; PAIRS],
    b: &mut [f32; PAIRS],
    angles: &[[f32; 2]; PAIRS],
) {
    let cos = angles.map(|[cos, _]| cos);
    let sin = angles.map(|[_, sin]| sin);
    let angles = S::as_simd_f32s(&cos).0.iter().zip(S::as_simd_f32s(&sin).0);
    let pairs = S::as_mut_simd_f32s(a).0.iter_mut().zip(S::as_mut_simd_f32s(b).0);
    for ((a, b), (&cos, &sin)) in pairs.zip(angles) {
        let minus = simd.neg_f32s(simd.mul_f32s(*b, sin));
        let plus = simd.mul_f32s(*b, cos);
        (*a, *b) = (simd.mul_add_f32s(*a, cos, minus), simd.mul_add_f32s(*a, sin, plus));
    }
}

/// [`scalar::exp`], in each lane.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // A NaN is neither less nor greater, and passes.
    let (low, high) = (simd.splat_f32s(EXP_LOWEST), simd.splat_f32s(EXP_HIGHEST));
    let clamped = simd.select_f32s(simd.less_than_f32s(x, low), low, x);
    let clamped = simd.select_f32s(simd.greater_than_f32s(clamped, high), high, clamped);
    let round = simd.splat_f32s(ROUND);
    let shifted = simd.mul_add_f32s(clamped, simd.splat_f32s(core::f32::consts::LOG2_E), round);
    let n = simd.sub_u32s(simd.transmute_u32s_f32s(shifted), word(simd, ROUND.to_bits()));
    let nf = simd.sub_f32s(shifted, round);
    let r = simd.mul_add_f32s(nf, simd.splat_f32s(-LN2_HI), clamped);
    let r = simd.mul_add_f32s(nf, simd.splat_f32s(-LN2_LO), r);
    let [first, rest @ ..] = EXP_COEFFICIENTS;
    let mut p = simd.splat_f32s(first);
    for c in rest {
        p = simd.mul_add_f32s(p, r, simd.splat_f32s(c));
    }
    // pulp's shift to the right is that of numbers without sign: 256 makes `n` one.
    let half = shift_right(simd, simd.add_u32s(n, word(simd, 256)), 1);
    let half = simd.sub_u32s(half, word(simd, 128));
    let p = simd.mul_f32s(p, power_of_two(simd, half));
    simd.mul_f32s(p, power_of_two(simd, simd.sub_u32s(n, half)))
}

/// [`scalar::tanh`], in each lane.
#[inline(always)]
pub fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let square = simd.mul_f32s(x, x);
    let [first, rest @ ..] = TANH_COEFFICIENTS;
    let mut p = simd.splat_f32s(first);
    for c in rest {
        p = simd.mul_add_f32s(p, square, simd.splat_f32s(c));
    }
    let bits = simd.transmute_u32s_f32s(x);
    let sign = simd.and_u32s(bits, word(simd, SIGN));
    let abs = simd.transmute_f32s_u32s(simd.and_u32s(bits, word(simd, !SIGN)));
    let small = simd.mul_add_f32s(simd.mul_f32s(abs, square), p, abs);
    let (one, two) = (simd.splat_f32s(1.0), simd.splat_f32s(2.0));
    let e = exp(simd, simd.mul_f32s(two, abs));
    let large = simd.sub_f32s(one, simd.div_f32s(two, simd.add_f32s(e, one)));
    let small_enough = simd.less_than_f32s(abs, simd.splat_f32s(TANH_SMALL));
    let y = simd.select_f32s(small_enough, small, large);
    simd.transmute_f32s_u32s(simd.or_u32s(simd.transmute_u32s_f32s(y), sign))
}

#[inline(always)]
fn power_of_two<S: Simd>(simd: S, n: S::u32s) -> S::f32s {
    let biased = simd.add_u32s(n, simd.splat_u32s(127));
    simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(biased, simd.splat_u32s(23)))
}
