//! Micro-kernels in assembly, `asm/x86_64/gemm_8x6_avx2.S` and `gemm_16x4_avx2.S`; the loops are those of AVX2.

use super::avx2::blocks_of_32;
use super::avx2::unpack::Interleave;
use super::avx2::{Micro, Micros, gemm, packing};
use super::packed::Packings;
use super::{Columns, Gemm, Gemms, NR, Panel};
use crate::formats::{
    ActBlock, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K,
    BlockQ6K, BlockQ8_0,
};
use crate::kernels::sibling::sibling;

/// The micro-kernels of a kind, for one column and more.
macro_rules! micros {
    ($($kind:ident: $($name:ident)*;)*) => {
        $(
            crate::kernels::assembly::symbols! {
                extern "sysv64";
                $(
                    /// # Safety
                    /// As for [`Micro`].
                    fn $name(w: *const Panel, x: *const Columns, out: *mut f32, stride: usize);
                )*
            }
            const $kind: [Micro; NR] = [$($name),*];
        )*
    };
}

micros! {
    MINS_32:
        quintile_gemm_mins_32_8x1_avx2 quintile_gemm_mins_32_8x2_avx2 quintile_gemm_mins_32_8x3_avx2
        quintile_gemm_mins_32_8x4_avx2 quintile_gemm_mins_32_8x5_avx2 quintile_gemm_mins_32_8x6_avx2;
    MINS_16:
        quintile_gemm_mins_16_8x1_avx2 quintile_gemm_mins_16_8x2_avx2 quintile_gemm_mins_16_8x3_avx2
        quintile_gemm_mins_16_8x4_avx2 quintile_gemm_mins_16_8x5_avx2 quintile_gemm_mins_16_8x6_avx2;
    OFFSET_16:
        quintile_gemm_offset_16_8x1_avx2 quintile_gemm_offset_16_8x2_avx2 quintile_gemm_offset_16_8x3_avx2
        quintile_gemm_offset_16_8x4_avx2 quintile_gemm_offset_16_8x5_avx2 quintile_gemm_offset_16_8x6_avx2;
}

/// Assembled.
struct Assembled;

impl<B: Interleave> Micros<B> for Assembled {
    const MICROS: [Micro; NR] = match (B::SHARED, B::OFFSET) {
        (32, 0) => MINS_32,
        (16, 0) => MINS_16,
        (16, _) => OFFSET_16,
        _ => panic!("no micro-kernel of this kind"),
    };
}

/// The micro-kernels of formats with blocks of 32, for one column and four.
macro_rules! tiles {
    ($($block:ident: $one:ident $four:ident;)*) => {
        crate::kernels::assembly::symbols! {
            extern "sysv64";
            $(
                /// # Safety
                /// As for [`blocks_of_32::Micro`].
                fn $one(
                    w: *const [u8; 32],
                    second: usize,
                    x: *const ActBlock,
                    stride: usize,
                    tile: *mut blocks_of_32::Tile,
                    blocks: usize,
                );
                /// # Safety
                /// As for [`blocks_of_32::Micro`].
                fn $four(
                    w: *const [u8; 32],
                    second: usize,
                    x: *const ActBlock,
                    stride: usize,
                    tile: *mut blocks_of_32::Tile,
                    blocks: usize,
                );
            )*
        }
        $(
            impl blocks_of_32::Micros<$block> for Assembled {
                const ONE: blocks_of_32::Micro = $one;
                const FOUR: blocks_of_32::Micro = $four;
            }
        )*
    };
}

tiles! {
    BlockQ4_0: quintile_gemm_q4_0_16x1_avx2 quintile_gemm_q4_0_16x4_avx2;
    BlockQ4_1: quintile_gemm_q4_1_16x1_avx2 quintile_gemm_q4_1_16x4_avx2;
    BlockQ5_0: quintile_gemm_q5_0_16x1_avx2 quintile_gemm_q5_0_16x4_avx2;
    BlockQ5_1: quintile_gemm_q5_1_16x1_avx2 quintile_gemm_q5_1_16x4_avx2;
    BlockQ8_0: quintile_gemm_q8_0_16x1_avx2 quintile_gemm_q8_0_16x4_avx2;
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
