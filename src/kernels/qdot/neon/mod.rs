//! Advanced SIMD, with and without the `dotprod` extension.
//!
//! The two levels differ in one step, [`Products`]: sixteen products of signed bytes are three instructions
//! of the baseline (`smull`, `smlal2`, `sadalp`) and one `sdot` of the extension. Every body is written once
//! over it.

pub(in crate::kernels) mod blocks_of_32;
pub(in crate::kernels) mod super_blocks;

use core::arch::aarch64::*;
use core::arch::asm;

use super::{RowDot, RowDots};
use crate::formats::{
    ActBlock, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K,
    BlockQ6K, BlockQ8_0, BlockQ8K,
};
use crate::isa::Level;
use crate::kernels::sibling::Sibling;

/// The table of a level: each body inside a function that enables the level's features.
macro_rules! row_dots {
    ($level:expr, $features:literal, $products:ty) => {
        RowDots {
            q4_0: row_dots!(@ $level, $features, blocks_of_32::rows::<$products, BlockQ4_0, _>),
            q4_1: row_dots!(@ $level, $features, blocks_of_32::rows::<$products, BlockQ4_1, _>),
            q5_0: row_dots!(@ $level, $features, blocks_of_32::rows::<$products, BlockQ5_0, _>),
            q5_1: row_dots!(@ $level, $features, blocks_of_32::rows::<$products, BlockQ5_1, _>),
            q8_0: row_dots!(@ $level, $features, blocks_of_32::rows::<$products, BlockQ8_0, _>),
            q2_k: row_dots!(@ $level, $features, super_blocks::rows::<$products, BlockQ2K, _>),
            q3_k: row_dots!(@ $level, $features, super_blocks::rows::<$products, BlockQ3K, _>),
            q4_k: row_dots!(@ $level, $features, super_blocks::rows::<$products, BlockQ4K, _>),
            q5_k: row_dots!(@ $level, $features, super_blocks::rows::<$products, BlockQ5K, _>),
            q6_k: row_dots!(@ $level, $features, super_blocks::rows::<$products, BlockQ6K, _>),
            q8_k: row_dots!(@ $level, $features, super_blocks::rows::<$products, BlockQ8K, _>),
        }
    };
    (@ $level:expr, $features:literal, $rows:expr) => {{
        #[target_feature(enable = $features)]
        fn x1(row: &[u8], x: &[ActBlock]) -> f32 {
            // SAFETY: the features are enabled.
            let [sum] = unsafe { $rows(row, [x]) };
            sum
        }
        #[target_feature(enable = $features)]
        fn x4(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
            // SAFETY: the features are enabled.
            unsafe { $rows(row, x) }
        }
        RowDot {
            x1: Sibling { run: x1, level: $level },
            x4: Sibling { run: x4, level: $level },
        }
    }};
}
pub const NEON: RowDots = row_dots!(Level::Neon, "neon", Widening);
pub const DOTPROD: RowDots = row_dots!(Level::NeonDotprod, "neon,dotprod", Dotprod);

/// How bytes are multiplied.
pub trait Products: Copy {
    /// Adds sixteen products to the four lanes of `acc`, in any order: `Σ acc + Σ w[i]·x[i]` is what counts.
    /// Two products of neighbours must fit i16: `|w| <= 128` and `|x| <= 127` do.
    ///
    /// # Safety
    /// The caller enables the features of the implementor.
    unsafe fn add(acc: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t;
}

/// The baseline.
#[derive(Clone, Copy)]
struct Widening;

impl Products for Widening {
    #[inline(always)]
    unsafe fn add(acc: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
        // SAFETY: aarch64 has Advanced SIMD.
        unsafe {
            let low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
            vpadalq_s16(acc, vmlal_high_s8(low, w, x))
        }
    }
}

/// The `dotprod` extension.
#[derive(Clone, Copy)]
struct Dotprod;

impl Products for Dotprod {
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn add(mut acc: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
        // The intrinsic is not stable.
        // SAFETY: `sdot` reads and writes the registers it names; the caller has the extension.
        unsafe {
            asm!(
                "sdot {acc:v}.4s, {w:v}.16b, {x:v}.16b",
                acc = inlateout(vreg) acc,
                w = in(vreg) w,
                x = in(vreg) x,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        acc
    }
}

/// Sixteen bytes.
#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the array holds 16 bytes; the load takes any address.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// Sixteen signed bytes.
#[inline]
#[target_feature(enable = "neon")]
fn load_signed(bytes: &[i8; 16]) -> int8x16_t {
    // SAFETY: the array holds 16 bytes; the load takes any address.
    unsafe { vld1q_s8(bytes.as_ptr()) }
}

/// Activations `16 j` to `16 j + 15` of a block.
#[inline]
#[target_feature(enable = "neon")]
fn activations(x: &ActBlock, j: usize) -> int8x16_t {
    load_signed(&x.qs.as_chunks::<16>().0[j])
}

/// The low nibbles, and the high ones.
#[inline]
#[target_feature(enable = "neon")]
fn nibbles(bytes: uint8x16_t) -> [uint8x16_t; 2] {
    [vandq_u8(bytes, vdupq_n_u8(0x0f)), vshrq_n_u8::<4>(bytes)]
}

/// `bytes` minus what their format adds to a weight.
#[inline]
#[target_feature(enable = "neon")]
fn minus(bytes: uint8x16_t, offset: i8) -> int8x16_t {
    vsubq_s8(vreinterpretq_s8_u8(bytes), vdupq_n_s8(offset))
}

/// An f16 number.
#[inline]
#[target_feature(enable = "neon")]
pub fn f16(bits: [u8; 2]) -> f32 {
    let bits = f32::from_bits(u32::from(u16::from_le_bytes(bits)));
    let value: f32;
    // SAFETY: `fcvt` reads and writes the registers it names.
    unsafe {
        asm!(
            "fcvt {value:s}, {bits:h}",
            bits = in(vreg) bits,
            value = lateout(vreg) value,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    value
}
