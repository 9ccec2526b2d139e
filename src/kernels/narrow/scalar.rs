//! The definition, in integers.

use super::Bytes;

pub fn narrow_f16(x: &[f32], out: &mut [Bytes]) {
    narrow(x, out, f16_bits);
}

pub fn narrow_bf16(x: &[f32], out: &mut [Bytes]) {
    narrow(x, out, bf16_bits);
}

#[inline(always)]
pub fn narrow(x: &[f32], out: &mut [Bytes], bits: impl Fn(f32) -> u16) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = bits(x).to_le_bytes();
    }
}

/// The bits of infinity, which those of a NaN's magnitude exceed.
pub const INFINITY: u32 = f32::INFINITY.to_bits();
/// The middle of f16's largest number and what would be the next: it is odd, so a tie goes up, to infinity.
pub const F16_OVERFLOW: u32 = 65520f32.to_bits();
/// The smallest normal f16, 2⁻¹⁴.
pub const F16_NORMAL: u32 = (127 - 14) << 23;
/// What the exponents' biases differ by, 127 - 15.
pub const F16_REBIAS: u32 = (127 - 15) << 23;

#[inline(always)]
pub fn f16_bits(x: f32) -> u16 {
    let sign = x.to_bits() >> 16 & 0x8000;
    let magnitude = x.to_bits() & 0x7fff_ffff;
    let half = if magnitude > INFINITY {
        0x7e00 | magnitude >> 13 & 0x03ff
    } else if magnitude >= F16_OVERFLOW {
        0x7c00
    } else if magnitude >= F16_NORMAL {
        // Half a unit, or the bit less that lets a tie stay where it is even, carries into the 13th bit.
        let rebiased = magnitude - F16_REBIAS;
        (rebiased + 0x0fff + (rebiased >> 13 & 1)) >> 13
    } else {
        // 2⁻²⁴, the unit of subnormal numbers, is the last place of 0.5: the addition rounds to it.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits()
    };
    (sign | half) as u16
}

#[inline(always)]
pub fn bf16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let brain = if bits & 0x7fff_ffff > INFINITY {
        bits >> 16 | 0x0040
    } else {
        (bits + 0x7fff + (bits >> 16 & 1)) >> 16
    };
    brain as u16
}
