//! The K formats: super-blocks of 256 values with small integer scales inside.
//!
//! Each block turns into integers once, in [`Integers256::integers`]; dequantisation and the scalar
//! dot both start from those.

use super::{Block, SUPER_BLOCK, f16_bits, f16_value};

/// What a super-block says: element `i`, in the sub-block `j = i / 16`, has the value
/// `(d * scales[j]) * quants[i] - dmin * mins[j]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuperBlock {
    /// The scale of the scales.
    pub d: f32,
    /// The scale of the minimums; 0 for formats without them.
    pub dmin: f32,
    /// The scale of each 16 values.
    pub scales: [i8; 16],
    /// The minimum of each 16 values; 0 for formats without them.
    pub mins: [u8; 16],
    /// The integer quants, in order.
    pub quants: [i8; SUPER_BLOCK],
}

/// A super-block, as integers and scales.
pub trait Integers256: Block {
    /// Whether the format stores minimums.
    const HAS_MINS: bool;
    /// Unpacks the block.
    fn integers(&self) -> SuperBlock;
    /// The block that says this: the inverse of [`integers`](Self::integers), for scales that the
    /// format can store and quants in its range.
    fn pack(integers: &SuperBlock) -> Self;
}

/// Declares a super-block, its size, and its dequantisation from its integers.
macro_rules! super_block {
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

        impl Integers256 for $name {
            const HAS_MINS: bool = $mins;
            #[inline(always)]
            fn integers(&self) -> SuperBlock {
                let $block = self;
                $integers
            }
            #[inline(always)]
            fn pack($w: &SuperBlock) -> $name {
                $packed
            }
        }

        // SAFETY: every field is an array of bytes, in a `repr(C)` struct: no padding, alignment 1.
        unsafe impl Block for $name {
            const LEN: usize = SUPER_BLOCK;
            fn dequantize(&self, out: &mut [f32]) {
                let w = self.integers();
                for (i, (out, q)) in out.iter_mut().zip(w.quants).enumerate() {
                    let scaled = w.d * f32::from(w.scales[i / 16]) * f32::from(q);
                    let min = w.dmin * f32::from(w.mins[i / 16]);
                    *out = if Self::HAS_MINS { scaled - min } else { scaled };
                }
            }
        }
    };
}

super_block! {
    /// 2-bit quants; each 16 values have a 4-bit scale and a 4-bit minimum.
    BlockQ2K: 84 {
        /// Of sub-block `j`: the scale in the low nibble, the minimum in the high one.
        scales: [u8; 16],
        /// Elements `128 h + 32 b + l` are bits `2b` and `2b + 1` of byte `32 h + l`.
        qs: [u8; 64],
        /// The scale of the scales, f16.
        d: [u8; 2],
        /// The scale of the minimums, f16.
        dmin: [u8; 2],
    }
    mins: true
    unpack: |b| SuperBlock {
        d: f16_value(b.d),
        dmin: f16_value(b.dmin),
        scales: b.scales.map(|s| (s & 0x0f) as i8),
        mins: b.scales.map(|s| s >> 4),
        quants: two_bits(&b.qs).map(|q| q as i8),
    },
    pack: |w| BlockQ2K {
        scales: core::array::from_fn(|j| w.scales[j] as u8 | w.mins[j] << 4),
        qs: pack_two_bits(&w.quants.map(|q| q as u8)),
        d: f16_bits(w.d),
        dmin: f16_bits(w.dmin),
    }
}

super_block! {
    /// 3-bit quants; each 16 values have a signed 6-bit scale.
    BlockQ3K: 110 {
        /// Bit `4 h + b` of byte `l` is set where element `128 h + 32 b + l` is not negative: 4 is
        /// subtracted from it where the bit is clear.
        hmask: [u8; 32],
        /// The low two bits: of elements `128 h + 32 b + l`, bits `2b` and `2b + 1` of byte `32 h + l`.
        qs: [u8; 64],
        /// Sixteen 6-bit scales, stored plus 32: the low four bits of scale `j` in nibble `j / 8` of byte
        /// `j % 8`, its top two in bits `2 (j / 4)` of byte `8 + j % 4`.
        scales: [u8; 12],
        /// The scale of the scales, f16.
        d: [u8; 2],
    }
    mins: false
    unpack: |b| SuperBlock {
        d: f16_value(b.d),
        dmin: 0.0,
        scales: core::array::from_fn(|j| {
            let low = b.scales[j % 8] >> (4 * (j / 8)) & 0x0f;
            let high = b.scales[8 + j % 4] >> (2 * (j / 4)) & 3;
            (low | high << 4) as i8 - 32
        }),
        mins: [0; 16],
        quants: {
            let mut quants = two_bits(&b.qs).map(|q| q as i8);
            for (i, q) in quants.iter_mut().enumerate() {
                if b.hmask[i % 32] >> (i / 32) & 1 == 0 {
                    *q -= 4;
                }
            }
            quants
        },
    },
    pack: |w| BlockQ3K {
        hmask: core::array::from_fn(|l| {
            (0..8).fold(0, |mask, b| mask | u8::from(w.quants[32 * b + l] >= 0) << b)
        }),
        qs: pack_two_bits(&w.quants.map(|q| q as u8)),
        scales: {
            let s = w.scales.map(|s| (s + 32) as u8);
            core::array::from_fn(|i| match i {
                0..8 => s[i] & 0x0f | s[i + 8] << 4,
                _ => (0..4).fold(0, |bits, j| bits | s[i - 8 + 4 * j] >> 4 << (2 * j)),
            })
        },
        d: f16_bits(w.d),
    }
}

super_block! {
    /// 4-bit quants; each 32 values have a 6-bit scale and a 6-bit minimum.
    BlockQ4K: 144 {
        /// The scale of the scales, f16.
        d: [u8; 2],
        /// The scale of the minimums, f16.
        dmin: [u8; 2],
        /// Eight scales and eight minimums of six bits: see [`scale_min_k4`].
        scales: [u8; 12],
        /// Elements `64 g + l` are the low nibbles of bytes `32 g + l`, elements `64 g + 32 + l` the
        /// high ones.
        qs: [u8; 128],
    }
    mins: true
    unpack: |b| SuperBlock {
        d: f16_value(b.d),
        dmin: f16_value(b.dmin),
        scales: core::array::from_fn(|j| scale_min_k4(&b.scales, j / 2).0 as i8),
        mins: core::array::from_fn(|j| scale_min_k4(&b.scales, j / 2).1),
        quants: nibbles(&b.qs).map(|q| q as i8),
    },
    pack: |w| BlockQ4K {
        d: f16_bits(w.d),
        dmin: f16_bits(w.dmin),
        scales: pack_scales_mins_k4(&w.scales, &w.mins),
        qs: pack_nibbles(&w.quants),
    }
}

super_block! {
    /// 5-bit quants; each 32 values have a 6-bit scale and a 6-bit minimum.
    BlockQ5K: 176 {
        /// The scale of the scales, f16.
        d: [u8; 2],
        /// The scale of the minimums, f16.
        dmin: [u8; 2],
        /// Eight scales and eight minimums of six bits: see [`scale_min_k4`].
        scales: [u8; 12],
        /// Bit `j` of byte `l` is the fifth bit of element `32 j + l`.
        qh: [u8; 32],
        /// The low four bits, as in [`BlockQ4K`].
        qs: [u8; 128],
    }
    mins: true
    unpack: |b| SuperBlock {
        d: f16_value(b.d),
        dmin: f16_value(b.dmin),
        scales: core::array::from_fn(|j| scale_min_k4(&b.scales, j / 2).0 as i8),
        mins: core::array::from_fn(|j| scale_min_k4(&b.scales, j / 2).1),
        quants: {
            let mut quants = nibbles(&b.qs).map(|q| q as i8);
            for (i, q) in quants.iter_mut().enumerate() {
                *q |= ((b.qh[i % 32] >> (i / 32) & 1) << 4) as i8;
            }
            quants
        },
    },
    pack: |w| BlockQ5K {
        d: f16_bits(w.d),
        dmin: f16_bits(w.dmin),
        scales: pack_scales_mins_k4(&w.scales, &w.mins),
        qh: core::array::from_fn(|l| {
            (0..8).fold(0, |bits, j| bits | (w.quants[32 * j + l] as u8 >> 4) << j)
        }),
        qs: pack_nibbles(&w.quants),
    }
}

super_block! {
    /// 6-bit quants, stored plus 32; each 16 values have a signed 8-bit scale.
    BlockQ6K: 210 {
        /// The low four bits: of elements `128 h + 32 b + l`, in byte `64 h + 32 (b % 2) + l`; in its low
        /// nibble for `b < 2`, else in its high one.
        ql: [u8; 128],
        /// The top two bits: of elements `128 h + 32 b + l`, bits `2b` and `2b + 1` of byte `32 h + l`.
        qh: [u8; 64],
        /// The scale of each 16 values.
        scales: [i8; 16],
        /// The scale of the scales, f16.
        d: [u8; 2],
    }
    mins: false
    unpack: |b| SuperBlock {
        d: f16_value(b.d),
        dmin: 0.0,
        scales: b.scales,
        mins: [0; 16],
        quants: {
            let top = two_bits(&b.qh);
            core::array::from_fn(|i| {
                let (half, part, l) = (i / 128, i % 128 / 32, i % 32);
                let low = b.ql[64 * half + 32 * (part % 2) + l] >> (4 * (part / 2)) & 0x0f;
                (low | top[i] << 4) as i8 - 32
            })
        },
    },
    pack: |w| {
        let quants = w.quants.map(|q| (q + 32) as u8);
        BlockQ6K {
            ql: core::array::from_fn(|i| {
                let first = 128 * (i / 64) + i % 64;
                quants[first] & 0x0f | quants[first + 64] << 4
            }),
            qh: pack_two_bits(&quants.map(|q| q >> 4)),
            scales: w.scales,
            d: f16_bits(w.d),
        }
    }
}

super_block! {
    /// 8-bit quants with one f32 scale: activations, as other engines store them. Sums of 16 quants
    /// ride along; values do not depend on them.
    BlockQ8K: 292 {
        /// The scale, f32.
        d: [u8; 4],
        /// The quants.
        qs: [i8; 256],
        /// The sum of each 16 quants, i16.
        bsums: [[u8; 2]; 16],
    }
    mins: false
    unpack: |b| SuperBlock {
        d: f32::from_le_bytes(b.d),
        dmin: 0.0,
        scales: [1; 16],
        mins: [0; 16],
        quants: b.qs,
    },
    pack: |w| BlockQ8K {
        d: w.d.to_le_bytes(),
        qs: w.quants,
        bsums: core::array::from_fn(|j| {
            let sum: i16 = w.quants[16 * j..16 * j + 16].iter().map(|&q| i16::from(q)).sum();
            sum.to_le_bytes()
        }),
    }
}

/// The 6-bit scale and minimum of sub-block `j < 8` of Q4_K and Q5_K.
///
/// For `j < 4` they are the low six bits of bytes `j` and `4 + j`. For the others, the low four bits are the
/// nibbles of byte `4 + j` (scale low, minimum high), and the top two are those of bytes `j - 4` and `j`.
#[inline(always)]
pub const fn scale_min_k4(scales: &[u8; 12], j: usize) -> (u8, u8) {
    if j < 4 {
        (scales[j] & 63, scales[j + 4] & 63)
    } else {
        let low = scales[j + 4];
        (low & 0x0f | scales[j - 4] >> 6 << 4, low >> 4 | scales[j] >> 6 << 4)
    }
}

/// The eight scales of Q4_K and Q5_K, then the eight minimums, a byte each: [`scale_min_k4`] for all `j`.
#[inline(always)]
pub(crate) fn scale_min_words(packed: &[u8; 12]) -> [u64; 2] {
    const LOW_6: u32 = 0x3f3f_3f3f;
    const LOW_4: u32 = 0x0f0f_0f0f;
    const TOP_2: u32 = 0x0303_0303;
    // Bytes 0..4 are scales 0..4 and the top bits of scales 4..8; bytes 4..8 the same of the minimums;
    // bytes 8..12 hold the low four bits of scales 4..8, and of minimums 4..8.
    let [s, m, low] = words(packed);
    let scales = [s & LOW_6, (low & LOW_4) | ((s >> 6) & TOP_2) << 4];
    let mins = [m & LOW_6, ((low >> 4) & LOW_4) | ((m >> 6) & TOP_2) << 4];
    [scales, mins].map(|[first, last]| u64::from(first) | u64::from(last) << 32)
}

/// The sixteen scales of Q3_K, a byte each, stored plus 32.
#[inline(always)]
pub(crate) fn q3_k_scale_words(packed: &[u8; 12]) -> [u32; 4] {
    const LOW_4: u32 = 0x0f0f_0f0f;
    const LOW_2: u32 = 0x0303_0303;
    // Low nibbles of the first eight bytes, then high ones; the last four bytes hold two bits for each.
    let [a, b, top] = words(packed);
    [
        a & LOW_4 | (top & LOW_2) << 4,
        b & LOW_4 | (top >> 2 & LOW_2) << 4,
        a >> 4 & LOW_4 | (top >> 4 & LOW_2) << 4,
        b >> 4 & LOW_4 | (top >> 6 & LOW_2) << 4,
    ]
}

#[inline(always)]
fn words(packed: &[u8; 12]) -> [u32; 3] {
    core::array::from_fn(|i| u32::from_le_bytes(packed.as_chunks().0[i]))
}

/// 256 two-bit fields: `128 h + 32 b + l` is bits `2b` and `2b + 1` of byte `32 h + l`.
#[inline(always)]
fn two_bits(bytes: &[u8; 64]) -> [u8; 256] {
    core::array::from_fn(|i| bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3)
}

/// 256 nibbles: `64 g + l` is the low one of byte `32 g + l`, `64 g + 32 + l` its high one.
#[inline(always)]
fn nibbles(bytes: &[u8; 128]) -> [u8; 256] {
    core::array::from_fn(|i| bytes[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 0x0f)
}

/// The inverse of [`scale_min_k4`], of sub-blocks of 32 whose parts are given for each 16 values.
#[inline(always)]
fn pack_scales_mins_k4(scales: &[i8; 16], mins: &[u8; 16]) -> [u8; 12] {
    let (s, m) = (|j: usize| scales[2 * j] as u8, |j: usize| mins[2 * j]);
    core::array::from_fn(|i| match i {
        0..4 => s(i) | s(i + 4) >> 4 << 6,
        4..8 => m(i - 4) | m(i) >> 4 << 6,
        _ => s(i - 4) & 0x0f | m(i - 4) << 4,
    })
}

/// The inverse of [`two_bits`], of the low two bits.
#[inline(always)]
fn pack_two_bits(quants: &[u8; 256]) -> [u8; 64] {
    core::array::from_fn(|i| {
        let first = 128 * (i / 32) + i % 32;
        (0..4).fold(0, |bits, b| bits | (quants[first + 32 * b] & 3) << (2 * b))
    })
}

/// The inverse of [`nibbles`], of the low four bits.
#[inline(always)]
fn pack_nibbles(quants: &[i8; 256]) -> [u8; 128] {
    core::array::from_fn(|i| {
        let first = 64 * (i / 32) + i % 32;
        quants[first] as u8 & 0x0f | (quants[first + 32] as u8) << 4
    })
}
