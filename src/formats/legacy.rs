//! The formats with one scale per 32 values.
//!
//! Each block turns into integers once, in [`Integers32::integers`]; dequantisation and the scalar
//! dot both start from those.

use super::{BLOCK_32, Block, f16_bits, f16_value};

/// What a block of 32 says: element `i` has the value `d * quants[i] + m`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block32 {
    /// The scale.
    pub d: f32,
    /// The minimum; 0 for formats without one.
    pub m: f32,
    /// The integer quants, in order.
    pub quants: [i8; BLOCK_32],
}

/// A block of 32 values, as integers and scales.
pub trait Integers32: Block {
    /// Whether the format stores a minimum beside the scale.
    const HAS_MINS: bool;
    /// Unpacks the block.
    fn integers(&self) -> Block32;
    /// The block that says this: the inverse of [`integers`](Self::integers), for scales that are f16
    /// values and quants in the format's range.
    fn pack(integers: &Block32) -> Self;
}

/// Declares a block of 32, its size, and its dequantisation from its integers.
macro_rules! block_32 {
    (
        $(#[$doc:meta])*
        $name:ident: $bytes:literal { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }
        mins: $mins:literal
        unpack: |$block:ident| $integers:expr,
        pack: |$w:ident| $packed:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        const _: () = assert!(size_of::<$name>() == $bytes);

        impl Integers32 for $name {
            const HAS_MINS: bool = $mins;
            #[inline(always)]
            fn integers(&self) -> Block32 {
                let $block = self;
                $integers
            }
            #[inline(always)]
            fn pack($w: &Block32) -> $name {
                $packed
            }
        }

        // SAFETY: every field is an array of bytes, in a `repr(C)` struct: no padding, alignment 1.
        unsafe impl Block for $name {
            const LEN: usize = BLOCK_32;
            fn dequantize(&self, out: &mut [f32]) {
                let Block32 { d, m, quants } = self.integers();
                for (out, q) in out.iter_mut().zip(quants) {
                    let scaled = d * f32::from(q);
                    *out = if Self::HAS_MINS { scaled + m } else { scaled };
                }
            }
        }
    };
}

block_32! {
    /// 4-bit quants with a scale: the value of a nibble `q` is `d * (q - 8)`.
    BlockQ4_0: 18 {
        /// The scale, f16.
        d: [u8; 2],
        /// Elements 0 to 15 are the low nibbles, 16 to 31 the high ones.
        qs: [u8; 16],
    }
    mins: false
    unpack: |b| Block32 { d: f16_value(b.d), m: 0.0, quants: nibbles(&b.qs).map(|q| q as i8 - 8) },
    pack: |w| BlockQ4_0 { d: f16_bits(w.d), qs: pack_nibbles(&w.quants.map(|q| (q + 8) as u8)) }
}

block_32! {
    /// 4-bit quants with a scale and a minimum: the value of a nibble `q` is `d * q + m`.
    BlockQ4_1: 20 {
        /// The scale, f16.
        d: [u8; 2],
        /// The minimum, f16.
        m: [u8; 2],
        /// Elements 0 to 15 are the low nibbles, 16 to 31 the high ones.
        qs: [u8; 16],
    }
    mins: true
    unpack: |b| Block32 {
        d: f16_value(b.d),
        m: f16_value(b.m),
        quants: nibbles(&b.qs).map(|q| q as i8),
    },
    pack: |w| BlockQ4_1 {
        d: f16_bits(w.d),
        m: f16_bits(w.m),
        qs: pack_nibbles(&w.quants.map(|q| q as u8)),
    }
}

block_32! {
    /// 5-bit quants with a scale: the value of `q` is `d * (q - 16)`.
    BlockQ5_0: 22 {
        /// The scale, f16.
        d: [u8; 2],
        /// Bit `i` is the fifth bit of element `i`.
        qh: [u8; 4],
        /// The low four bits: elements 0 to 15 in the low nibbles, 16 to 31 in the high ones.
        qs: [u8; 16],
    }
    mins: false
    unpack: |b| Block32 {
        d: f16_value(b.d),
        m: 0.0,
        quants: five_bits(&b.qs, b.qh).map(|q| q as i8 - 16),
    },
    pack: |w| {
        let quants = w.quants.map(|q| (q + 16) as u8);
        BlockQ5_0 { d: f16_bits(w.d), qh: fifth_bits(&quants), qs: pack_nibbles(&quants) }
    }
}

block_32! {
    /// 5-bit quants with a scale and a minimum: the value of `q` is `d * q + m`.
    BlockQ5_1: 24 {
        /// The scale, f16.
        d: [u8; 2],
        /// The minimum, f16.
        m: [u8; 2],
        /// Bit `i` is the fifth bit of element `i`.
        qh: [u8; 4],
        /// The low four bits: elements 0 to 15 in the low nibbles, 16 to 31 in the high ones.
        qs: [u8; 16],
    }
    mins: true
    unpack: |b| Block32 {
        d: f16_value(b.d),
        m: f16_value(b.m),
        quants: five_bits(&b.qs, b.qh).map(|q| q as i8),
    },
    pack: |w| {
        let quants = w.quants.map(|q| q as u8);
        BlockQ5_1 {
            d: f16_bits(w.d),
            m: f16_bits(w.m),
            qh: fifth_bits(&quants),
            qs: pack_nibbles(&quants),
        }
    }
}

block_32! {
    /// 8-bit quants with a scale: the value of `q` is `d * q`.
    BlockQ8_0: 34 {
        /// The scale, f16.
        d: [u8; 2],
        /// The quants.
        qs: [i8; 32],
    }
    mins: false
    unpack: |b| Block32 { d: f16_value(b.d), m: 0.0, quants: b.qs },
    pack: |w| BlockQ8_0 { d: f16_bits(w.d), qs: w.quants }
}

/// The 32 nibbles of 16 bytes: all the low ones, then all the high ones.
#[inline(always)]
fn nibbles(qs: &[u8; 16]) -> [u8; 32] {
    let mut out = [0; 32];
    for (i, q) in qs.iter().enumerate() {
        out[i] = q & 0x0f;
        out[i + 16] = q >> 4;
    }
    out
}

#[inline(always)]
fn five_bits(qs: &[u8; 16], qh: [u8; 4]) -> [u8; 32] {
    let mut out = nibbles(qs);
    let qh = u32::from_le_bytes(qh);
    for (i, q) in out.iter_mut().enumerate() {
        *q |= ((qh >> i & 1) << 4) as u8;
    }
    out
}

/// The inverse of [`nibbles`], of the low four bits.
#[inline(always)]
fn pack_nibbles(quants: &[u8; 32]) -> [u8; 16] {
    core::array::from_fn(|i| quants[i] & 0x0f | quants[i + 16] << 4)
}

/// The fifth bit of each quant.
#[inline(always)]
fn fifth_bits(quants: &[u8; 32]) -> [u8; 4] {
    let bits = quants.iter().enumerate().fold(0, |bits, (i, &q)| bits | u32::from(q >> 4 & 1) << i);
    bits.to_le_bytes()
}
