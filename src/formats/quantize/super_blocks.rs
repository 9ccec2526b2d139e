//! The K formats: the search for scales, then quants by these scales.

#![allow(clippy::needless_range_loop)] // a sub-block is a range of several arrays

use super::affine::{self, Affine, SubBlocks};
use super::lanes::{LANES, Lanes};
use super::symmetric::{self, Symmetric};
use super::{QuantizeBlock, finite_amax, round};
use crate::formats::{
    BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K, Integers256, SUPER_BLOCK,
    SuperBlock,
};

/// No value of any format is larger: larger ones count as this.
const LARGEST: f32 = (1u64 << 40) as f32;
/// Half the smallest f16: of blocks with smaller magnitudes only, every value is nearest to 0.
const SMALLEST: f32 = 1.0 / (1u64 << 25) as f32;

const ZERO: SuperBlock =
    SuperBlock { d: 0.0, dmin: 0.0, scales: [0; 16], mins: [0; 16], quants: [0; SUPER_BLOCK] };
/// Every value NaN.
const NOT_A_NUMBER: SuperBlock = SuperBlock { d: f32::NAN, ..ZERO };

/// Sub-blocks of `N` values, in `G` groups of eight; quants and parts of scales up to these.
macro_rules! quantize_by {
    ($($search:ident $block:ident, $n:literal x $g:literal: $quant:literal, $part:literal;)*) => {$(
        impl QuantizeBlock<SUPER_BLOCK> for $block {
            #[inline(always)]
            fn quantize<L: Lanes>(x: &[f32; SUPER_BLOCK]) -> Self {
                let ranges = $search::Ranges { quant: $quant, part: $part };
                $block::pack(&$search::<L, $n, $g>(x, ranges))
            }
        }
    )*};
}

quantize_by! {
    affine BlockQ2K, 16 x 2: 3.0, 15.0;
    affine BlockQ4K, 32 x 1: 15.0, 63.0;
    affine BlockQ5K, 32 x 1: 31.0, 63.0;
    symmetric BlockQ3K, 16 x 2: 4.0, 32.0;
    symmetric BlockQ6K, 16 x 2: 32.0, 128.0;
}

/// One scale, in f32.
impl QuantizeBlock<SUPER_BLOCK> for BlockQ8K {
    #[inline(always)]
    fn quantize<L: Lanes>(x: &[f32; SUPER_BLOCK]) -> Self {
        // Above it, `amax / 127` is a normal number and `127 / amax` is finite.
        const SMALLEST: f32 = 1.0 / (1u128 << 100) as f32;
        BlockQ8K::pack(&match finite_amax(x) {
            None => NOT_A_NUMBER,
            Some(amax) if amax < SMALLEST => ZERO,
            Some(amax) => {
                let inverse = 127.0 / amax;
                let quants = x.map(|x| round(x * inverse) as i8);
                SuperBlock { d: amax / 127.0, quants, ..ZERO }
            }
        })
    }
}

#[inline(always)]
fn affine<L: Lanes, const N: usize, const G: usize>(
    x: &[f32; SUPER_BLOCK],
    ranges: affine::Ranges,
) -> SuperBlock {
    let (x, unit) = match normalise(x) {
        Ok(normal) => normal,
        Err(block) => return *block,
    };
    let found = Affine::search(&sub_blocks::<L, N, G>(&x), ranges, unit);
    let mut block = SuperBlock { d: found.d * unit, dmin: found.dmin * unit, ..ZERO };
    let (scales, mins) = (found.scales.map(L::to_array), found.mins.map(L::to_array));
    for j in 0..SUPER_BLOCK / N {
        let (s, m) = (scales[j / LANES][j % LANES], mins[j / LANES][j % LANES]);
        block.scales[j * N / 16..(j + 1) * N / 16].fill(s as i8);
        block.mins[j * N / 16..(j + 1) * N / 16].fill(m as u8);
        let (scale, min) = (s * found.d, m * found.dmin);
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let shift = min * inverse;
        for i in j * N..(j + 1) * N {
            block.quants[i] = round((x[i] * inverse + shift).clamp(0.0, ranges.quant)) as i8;
        }
    }
    block
}

#[inline(always)]
fn symmetric<L: Lanes, const N: usize, const G: usize>(
    x: &[f32; SUPER_BLOCK],
    ranges: symmetric::Ranges,
) -> SuperBlock {
    let (x, unit) = match normalise(x) {
        Ok(normal) => normal,
        Err(block) => return *block,
    };
    let found = Symmetric::search(&sub_blocks::<L, N, G>(&x), ranges, unit);
    let mut block = SuperBlock { d: found.d * unit, ..ZERO };
    let scales = found.scales.map(L::to_array);
    for j in 0..SUPER_BLOCK / N {
        let s = scales[j / LANES][j % LANES];
        block.scales[j * N / 16..(j + 1) * N / 16].fill(s as i8);
        let scale = s * found.d;
        let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
        let (low, high) = (-ranges.quant, ranges.quant - 1.0);
        for i in j * N..(j + 1) * N {
            block.quants[i] = round((x[i] * inverse).clamp(low, high)) as i8;
        }
    }
    block
}

/// The values in units of a power of two, so that the largest magnitude is 1 to 2 and no sum of
/// squares overflows or becomes subnormal; or the block that needs no search.
#[inline(always)]
fn normalise(x: &[f32; SUPER_BLOCK]) -> Result<([f32; SUPER_BLOCK], f32), &'static SuperBlock> {
    let amax = finite_amax(x).ok_or(&NOT_A_NUMBER)?.min(LARGEST);
    if amax < SMALLEST {
        return Err(&ZERO);
    }
    let unit = f32::from_bits(amax.to_bits() & 0x7f80_0000);
    let inverse = 1.0 / unit;
    Ok((x.map(|x| x.clamp(-LARGEST, LARGEST) * inverse), unit))
}

#[inline(always)]
fn sub_blocks<L: Lanes, const N: usize, const G: usize>(
    x: &[f32; SUPER_BLOCK],
) -> SubBlocks<L, N, G> {
    const { assert!(N * G * LANES == SUPER_BLOCK) };
    let mut lanes = [[L::zero(); N]; G];
    for (g, lanes) in lanes.iter_mut().enumerate() {
        for (i, lanes) in lanes.iter_mut().enumerate() {
            *lanes = L::new(core::array::from_fn(|j| x[(g * LANES + j) * N + i]));
        }
    }
    lanes
}
