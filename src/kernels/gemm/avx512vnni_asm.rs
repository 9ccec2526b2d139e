//! Micro-kernels in assembly, `asm/x86_64/gemm_32x6_avx512vnni.S` and `gemm_32x6_blocks_avx512vnni.S`; the loops are
//! those of the intrinsics.

use super::avx512vnni::blocks_of_32::{self, Blocks, Interleave32, Lanes, Sides};
use super::avx512vnni::unpack::Interleave;
use super::avx512vnni::{Micro, Micros, Panel, Sums, gemm, packing};
use super::packed::Packings;
use super::{Gemm, Gemms, NR};
use crate::formats::{
    ActBlock, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K,
    BlockQ6K, BlockQ8_0,
};
use crate::kernels::sibling::sibling;

/// The micro-kernels of a kind, for one column and more.
macro_rules! micros {
    ($micro:path, $arguments:tt $($kind:ident: $($name:ident)*;)*) => {
        $(
            crate::kernels::assembly::symbols! {
                extern "sysv64";
                $(
                    /// # Safety
                    /// As for the type of both.
                    fn $name $arguments;
                )*
            }
            const $kind: [$micro; NR] = [$($name),*];
        )*
    };
}

micros! {
    Micro, (w: *const Panel, x: *const ActBlock, step: usize, sums: *const Sums, out: *mut f32, stride: usize)
    FLAT_MINS_16:
        quintile_gemm_flat_mins_16_32x1_avx512vnni quintile_gemm_flat_mins_16_32x2_avx512vnni
        quintile_gemm_flat_mins_16_32x3_avx512vnni quintile_gemm_flat_mins_16_32x4_avx512vnni
        quintile_gemm_flat_mins_16_32x5_avx512vnni quintile_gemm_flat_mins_16_32x6_avx512vnni;
    FLAT_OFFSET:
        quintile_gemm_flat_offset_32x1_avx512vnni quintile_gemm_flat_offset_32x2_avx512vnni
        quintile_gemm_flat_offset_32x3_avx512vnni quintile_gemm_flat_offset_32x4_avx512vnni
        quintile_gemm_flat_offset_32x5_avx512vnni quintile_gemm_flat_offset_32x6_avx512vnni;
    MINS_32:
        quintile_gemm_mins_32_32x1_avx512vnni quintile_gemm_mins_32_32x2_avx512vnni
        quintile_gemm_mins_32_32x3_avx512vnni quintile_gemm_mins_32_32x4_avx512vnni
        quintile_gemm_mins_32_32x5_avx512vnni quintile_gemm_mins_32_32x6_avx512vnni;
    OFFSET_16:
        quintile_gemm_offset_16_32x1_avx512vnni quintile_gemm_offset_16_32x2_avx512vnni
        quintile_gemm_offset_16_32x3_avx512vnni quintile_gemm_offset_16_32x4_avx512vnni
        quintile_gemm_offset_16_32x5_avx512vnni quintile_gemm_offset_16_32x6_avx512vnni;
}

micros! {
    blocks_of_32::Micro,
    (w: *const Blocks, x: *const ActBlock, step: usize, sides: *const Sides, lanes: *mut Lanes, count: usize)
    BLOCKS_MINS:
        quintile_gemm_blocks_mins_32x1_avx512vnni quintile_gemm_blocks_mins_32x2_avx512vnni
        quintile_gemm_blocks_mins_32x3_avx512vnni quintile_gemm_blocks_mins_32x4_avx512vnni
        quintile_gemm_blocks_mins_32x5_avx512vnni quintile_gemm_blocks_mins_32x6_avx512vnni;
    BLOCKS_OFFSET:
        quintile_gemm_blocks_offset_32x1_avx512vnni quintile_gemm_blocks_offset_32x2_avx512vnni
        quintile_gemm_blocks_offset_32x3_avx512vnni quintile_gemm_blocks_offset_32x4_avx512vnni
        quintile_gemm_blocks_offset_32x5_avx512vnni quintile_gemm_blocks_offset_32x6_avx512vnni;
}

/// Assembled.
struct Assembled;

impl<B: Interleave> Micros<B> for Assembled {
    const MICROS: [Micro; NR] = match (B::SHARED, B::PAIRS, B::HAS_OFFSET) {
        (32, 4, false) => MINS_32,
        (16, 0, true) => OFFSET_16,
        (256, 8, false) => FLAT_MINS_16,
        (256, 0, true) => FLAT_OFFSET,
        _ => panic!("no micro-kernel of this kind"),
    };
}

impl<B: Interleave32> blocks_of_32::Micros<B> for Assembled {
    const MICROS: [blocks_of_32::Micro; NR] = if B::HAS_MINS { BLOCKS_MINS } else { BLOCKS_OFFSET };
}

pub const GEMMS: Gemms = Gemms {
    q4_0: Some(sibling!(blocks_of_32::gemm::<BlockQ4_0, Assembled> as Gemm)),
    q4_1: Some(sibling!(blocks_of_32::gemm::<BlockQ4_1, Assembled> as Gemm)),
    q5_0: Some(sibling!(blocks_of_32::gemm::<BlockQ5_0, Assembled> as Gemm)),
    q5_1: Some(sibling!(blocks_of_32::gemm::<BlockQ5_1, Assembled> as Gemm)),
    q8_0: Some(sibling!(blocks_of_32::gemm::<BlockQ8_0, Assembled> as Gemm)),
    q2_k: Some(sibling!(gemm::<BlockQ2K, Assembled> as Gemm)),
    q3_k: Some(sibling!(gemm::<BlockQ3K, Assembled> as Gemm)),
    q4_k: Some(sibling!(gemm::<BlockQ4K, Assembled> as Gemm)),
    q5_k: Some(sibling!(gemm::<BlockQ5K, Assembled> as Gemm)),
    q6_k: Some(sibling!(gemm::<BlockQ6K, Assembled> as Gemm)),
    ..Gemms::NONE
};

pub const PACKINGS: Packings = Packings {
    q4_0: Some(sibling!(blocks_of_32::packing::<BlockQ4_0, Assembled>())),
    q4_1: Some(sibling!(blocks_of_32::packing::<BlockQ4_1, Assembled>())),
    q5_0: Some(sibling!(blocks_of_32::packing::<BlockQ5_0, Assembled>())),
    q5_1: Some(sibling!(blocks_of_32::packing::<BlockQ5_1, Assembled>())),
    q8_0: Some(sibling!(blocks_of_32::packing::<BlockQ8_0, Assembled>())),
    q2_k: Some(sibling!(packing::<BlockQ2K, Assembled>())),
    q3_k: Some(sibling!(packing::<BlockQ3K, Assembled>())),
    q4_k: Some(sibling!(packing::<BlockQ4K, Assembled>())),
    q5_k: Some(sibling!(packing::<BlockQ5K, Assembled>())),
    q6_k: Some(sibling!(packing::<BlockQ6K, Assembled>())),
    ..Packings::NONE
};
