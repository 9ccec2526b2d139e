//! The definition.

use crate::formats::{ActBlock, BLOCK_32, SUPER_BLOCK};

/// Groups with a smaller largest magnitude are zero: above it, `amax / 127` is a normal number and
/// `127 / amax` is finite.
const SMALLEST_AMAX: f32 = 1.0 / (1u128 << 100) as f32;

/// Adding 1.5 * 2^23 rounds an f32 of magnitude up to 2^22 to an integer, ties to even, and leaves
/// that integer in the low bits.
pub const ROUND: f32 = 12_582_912.0;

pub fn quantize_32(x: &[f32], out: &mut [ActBlock]) {
    for_each_block(x, out, quantize_block::<BLOCK_32>);
}

pub fn quantize_256(x: &[f32], out: &mut [ActBlock]) {
    for_each_block(x, out, quantize_block::<SUPER_BLOCK>);
}

/// Calls `block` with each 256 values, how many of them are there, and their place; the last are padded
/// with zeros.
#[inline(always)]
pub fn for_each_block(
    x: &[f32],
    out: &mut [ActBlock],
    block: impl Fn(&[f32; SUPER_BLOCK], usize, &mut ActBlock),
) {
    let (whole, tail) = x.as_chunks::<SUPER_BLOCK>();
    for (x, out) in whole.iter().zip(&mut *out) {
        block(x, x.len(), out);
    }
    if !tail.is_empty() {
        let mut padded = [0.0; SUPER_BLOCK];
        padded[..tail.len()].copy_from_slice(tail);
        block(&padded, tail.len(), &mut out[whole.len()]);
    }
}

/// Quantises the first `present` values of `x`, the others being zero.
fn quantize_block<const GROUP: usize>(x: &[f32; SUPER_BLOCK], present: usize, out: &mut ActBlock) {
    for (group, (x, qs)) in x.chunks_exact(GROUP).zip(out.qs.chunks_exact_mut(GROUP)).enumerate() {
        // Bit patterns of magnitudes are ordered as the numbers are, with infinity and NaN above.
        let magnitude = |x: &f32| (x.to_bits() & 0x7fff_ffff) as i32;
        let (d, inverse) = scale(x.iter().map(magnitude).fold(0, i32::max));
        for (q, &x) in qs.iter_mut().zip(x) {
            let x = if inverse == 0.0 { 0.0 } else { x };
            *q = ((x * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits())) as i8;
        }
        let scales = GROUP / BLOCK_32;
        for i in group * scales..(group + 1) * scales {
            out.d[i] = if i * BLOCK_32 < present { d } else { 0.0 };
        }
    }
    for (sum, qs) in out.bsums.iter_mut().zip(out.qs.as_chunks::<16>().0) {
        *sum = qs.iter().map(|&q| i16::from(q)).sum();
    }
}

/// The scale of a group and its inverse, from the bits of its largest magnitude; an inverse of 0 means
/// that every quant is 0.
pub fn scale(amax_bits: i32) -> (f32, f32) {
    let amax = f32::from_bits(amax_bits as u32);
    if !amax.is_finite() {
        (f32::NAN, 0.0)
    } else if amax < SMALLEST_AMAX {
        (0.0, 0.0)
    } else {
        (amax / 127.0, 127.0 / amax)
    }
}
