//! The formats with one scale per 32 values: the rules by which GGUF files have always been made.
//!
//! Quants are found with the scale as it was before it was rounded to f16; half a step rounds up
//! (Q8_0: away from zero). So the bytes are those of other tools.

use super::{Lanes, QuantizeBlock, finite_amax, round, saturating_f16};
use crate::formats::{
    BLOCK_32, Block32, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0, Integers32,
};

macro_rules! quantize_by {
    ($($block:ident: $rule:expr,)*) => {$(
        impl QuantizeBlock<BLOCK_32> for $block {
            #[inline(always)]
            fn quantize<L: Lanes>(x: &[f32; BLOCK_32]) -> Self {
                $rule(x)
            }
        }
    )*};
}

quantize_by! {
    BlockQ4_0: by_peak::<_, 8>,
    BlockQ5_0: by_peak::<_, 16>,
    BlockQ4_1: by_extremes::<_, 15>,
    BlockQ5_1: by_extremes::<_, 31>,
    BlockQ8_0: by_magnitude,
}

/// Every value NaN.
const NOT_A_NUMBER: Block32 = Block32 { d: f32::NAN, m: 0.0, quants: [0; BLOCK_32] };

/// Q4_0 and Q5_0: the value of largest magnitude, the first of several, becomes `-MAX`.
#[inline(always)]
fn by_peak<B: Integers32, const MAX: i8>(x: &[f32; BLOCK_32]) -> B {
    let Some(amax) = finite_amax(x) else { return B::pack(&NOT_A_NUMBER) };
    let peak = x.iter().copied().find(|x| x.abs() == amax).unwrap_or(0.0);
    let max = f32::from(MAX);
    let (d, inverse) = scale(peak / -max);
    let quant = |x: f32| floor((x * inverse + (max + 0.5)).clamp(0.0, 2.0 * max - 1.0)) - max;
    B::pack(&Block32 { d, m: 0.0, quants: x.map(|x| quant(x) as i8) })
}

/// Q4_1 and Q5_1: the smallest value becomes 0, the largest `MAX`.
#[inline(always)]
fn by_extremes<B: Integers32, const MAX: i8>(x: &[f32; BLOCK_32]) -> B {
    if finite_amax(x).is_none() {
        return B::pack(&NOT_A_NUMBER);
    }
    let low = x.iter().fold(f32::INFINITY, |low, &x| if x < low { x } else { low });
    let high = x.iter().fold(f32::NEG_INFINITY, |high, &x| if x > high { x } else { high });
    let max = f32::from(MAX);
    let (d, inverse) = scale((high - low) / max);
    let quant = |x: f32| floor(((x - low) * inverse + 0.5).min(max));
    B::pack(&Block32 { d, m: saturating_f16(low), quants: x.map(|x| quant(x) as i8) })
}

/// Q8_0: the largest magnitude becomes 127.
#[inline(always)]
fn by_magnitude<B: Integers32>(x: &[f32; BLOCK_32]) -> B {
    let Some(amax) = finite_amax(x) else { return B::pack(&NOT_A_NUMBER) };
    let (d, inverse) = scale(amax / 127.0);
    let quant = |x: f32| {
        let magnitude = (x * inverse).abs().min(127.0);
        let down = floor(magnitude);
        let nearest = if magnitude - down >= 0.5 { down + 1.0 } else { down };
        if x < 0.0 { -nearest } else { nearest }
    };
    B::pack(&Block32 { d, m: 0.0, quants: x.map(|x| quant(x) as i8) })
}

/// A scale as it is stored, and the factor that turns values into quants: 0 where f16 has no scale
/// so small.
#[inline(always)]
fn scale(d: f32) -> (f32, f32) {
    let stored = saturating_f16(d);
    let inverse = if stored == 0.0 {
        0.0
    } else if stored.abs() == 65504.0 {
        1.0 / stored
    } else {
        1.0 / d
    };
    (stored, inverse)
}

/// The largest integer that is at most `x`, of a magnitude below 2^22.
#[inline(always)]
fn floor(x: f32) -> f32 {
    let nearest = round(x);
    if nearest > x { nearest - 1.0 } else { nearest }
}
