//! Micro-kernels in assembly, `asm/aarch64/gemm_8x6_dotprod.S`, for CPUs with dotprod.

use super::neon::blocks_of_32::{self, BlockColumns, Blocks, Lanes};
use super::neon::{Columns, Interleave, Micro, Micros, PAIRS, Panel, Quads, gemm};
use super::{Gemm, Gemms};
use crate::formats::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K,
    BlockQ8_0,
};
use crate::kernels::qdot::neon::blocks_of_32::Block32;
use crate::kernels::sibling::sibling;

/// The micro-kernels of a kind, for two columns and more.
macro_rules! micros {
    ($micro:path, $arguments:tt $($kind:ident: $($name:ident)*;)*) => {
        $(
            crate::kernels::assembly::symbols! {
                extern "C";
                $(
                    /// # Safety
                    /// As for the type of both; the CPU has dotprod.
                    fn $name $arguments;
                )*
            }
            const $kind: [$micro; PAIRS] = [$($name),*];
        )*
    };
}

micros! {
    Micro, (w: *const Panel, x: *const Columns, out: *mut f32, stride: usize)
    MINS_32:
        quintile_gemm_mins_32_8x2_dotprod quintile_gemm_mins_32_8x4_dotprod quintile_gemm_mins_32_8x6_dotprod;
    SCALES_16:
        quintile_gemm_scales_16_8x2_dotprod quintile_gemm_scales_16_8x4_dotprod quintile_gemm_scales_16_8x6_dotprod;
    FLAT_MINS_16:
        quintile_gemm_flat_mins_16_8x2_dotprod quintile_gemm_flat_mins_16_8x4_dotprod quintile_gemm_flat_mins_16_8x6_dotprod;
    FLAT:
        quintile_gemm_flat_8x2_dotprod quintile_gemm_flat_8x4_dotprod quintile_gemm_flat_8x6_dotprod;
}

micros! {
    blocks_of_32::Micro, (w: *const Blocks, x: *const BlockColumns, lanes: *mut Lanes, count: usize)
    BLOCKS:
        quintile_gemm_blocks_8x2_dotprod quintile_gemm_blocks_8x4_dotprod quintile_gemm_blocks_8x6_dotprod;
    BLOCKS_MINS:
        quintile_gemm_blocks_mins_8x2_dotprod quintile_gemm_blocks_mins_8x4_dotprod quintile_gemm_blocks_mins_8x6_dotprod;
}

impl<B: Interleave> Micros<B> for Quads {
    const MICROS: [Micro; PAIRS] = match (B::FLAT, B::SHARED, B::HAS_MINS) {
        (false, 2, true) => MINS_32,
        (false, 1, false) => SCALES_16,
        (true, 1, true) => FLAT_MINS_16,
        (true, 1, false) => FLAT,
        _ => panic!("no micro-kernel of this kind"),
    };
}

impl<B: Block32> blocks_of_32::Micros<B> for Quads {
    const MICROS: [blocks_of_32::Micro; PAIRS] = if B::HAS_MINS { BLOCKS_MINS } else { BLOCKS };
}

pub const GEMMS: Gemms = Gemms {
    q4_0: Some(sibling!(blocks_of_32::gemm::<BlockQ4_0, Quads> as Gemm)),
    q4_1: Some(sibling!(blocks_of_32::gemm::<BlockQ4_1, Quads> as Gemm)),
    q5_0: Some(sibling!(blocks_of_32::gemm::<BlockQ5_0, Quads> as Gemm)),
    q5_1: Some(sibling!(blocks_of_32::gemm::<BlockQ5_1, Quads> as Gemm)),
    q8_0: Some(sibling!(blocks_of_32::gemm::<BlockQ8_0, Quads> as Gemm)),
    q2_k: Some(sibling!(gemm::<BlockQ2K, Quads> as Gemm)),
    q3_k: Some(sibling!(gemm::<BlockQ3K, Quads> as Gemm)),
    q4_k: Some(sibling!(gemm::<BlockQ4K, Quads> as Gemm)),
    q5_k: Some(sibling!(gemm::<BlockQ5K, Quads> as Gemm)),
    q6_k: Some(sibling!(gemm::<BlockQ6K, Quads> as Gemm)),
    ..Gemms::NONE
};
