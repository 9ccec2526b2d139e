//! Rows of f32, f16 and bf16: one value a block.

use half::{bf16, f16};

use super::Block;

/// The value of an f16, exactly, in software: the same bits on every CPU.
#[inline]
pub const fn f16_value(bits: [u8; 2]) -> f32 {
    f16::from_le_bytes(bits).to_f32_const()
}

/// The f16 nearest to `x`, ties to even.
#[inline]
pub const fn f16_bits(x: f32) -> [u8; 2] {
    f16::from_f32_const(x).to_le_bytes()
}

/// A little-endian IEEE binary32.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BlockF32(pub [u8; 4]);

/// A little-endian IEEE binary16.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BlockF16(pub [u8; 2]);

/// The upper half of a little-endian IEEE binary32.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BlockBf16(pub [u8; 2]);

// SAFETY: an array of bytes, in a `repr(C)` struct.
unsafe impl Block for BlockF32 {
    const LEN: usize = 1;
    fn dequantize(&self, out: &mut [f32]) {
        out[0] = f32::from_le_bytes(self.0);
    }
}

// SAFETY: as above.
unsafe impl Block for BlockF16 {
    const LEN: usize = 1;
    fn dequantize(&self, out: &mut [f32]) {
        out[0] = f16_value(self.0);
    }
}

// SAFETY: as above.
unsafe impl Block for BlockBf16 {
    const LEN: usize = 1;
    fn dequantize(&self, out: &mut [f32]) {
        out[0] = bf16::from_le_bytes(self.0).to_f32_const();
    }
}
