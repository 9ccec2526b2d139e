//! Micro-kernels in assembly, `asm/x86_64/gemm_8x6_avx2.S`; the loops are those of AVX2.

use super::avx2::unpack::Interleave;
use super::avx2::{Micro, Micros, gemm};
use super::{Columns, Gemm, Gemms, NR, Panel};
use crate::formats::{BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K};
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
    OFFSET_16_DEEP:
        quintile_gemm_offset_16_deep_8x1_avx2 quintile_gemm_offset_16_deep_8x2_avx2
        quintile_gemm_offset_16_deep_8x3_avx2 quintile_gemm_offset_16_deep_8x4_avx2
        quintile_gemm_offset_16_deep_8x5_avx2 quintile_gemm_offset_16_deep_8x6_avx2;
    OFFSET_16:
        quintile_gemm_offset_16_8x1_avx2 quintile_gemm_offset_16_8x2_avx2 quintile_gemm_offset_16_8x3_avx2
        quintile_gemm_offset_16_8x4_avx2 quintile_gemm_offset_16_8x5_avx2 quintile_gemm_offset_16_8x6_avx2;
}

/// Assembled.
struct Assembled;

impl<B: Interleave> Micros<B> for Assembled {
    const MICROS: [Micro; NR] = match (B::SHARED, B::DEPTH, B::HAS_MINS) {
        (32, 4, true) => MINS_32,
        (16, 4, true) => MINS_16,
        (16, 4, false) => OFFSET_16_DEEP,
        (16, 2, false) => OFFSET_16,
        _ => panic!("no micro-kernel of this kind"),
    };
}

pub const GEMMS: Gemms = Gemms {
    q2_k: Some(sibling!(gemm::<BlockQ2K, Assembled> as Gemm)),
    q3_k: Some(sibling!(gemm::<BlockQ3K, Assembled> as Gemm)),
    q4_k: Some(sibling!(gemm::<BlockQ4K, Assembled> as Gemm)),
    q5_k: Some(sibling!(gemm::<BlockQ5K, Assembled> as Gemm)),
    q6_k: Some(sibling!(gemm::<BlockQ6K, Assembled> as Gemm)),
    ..Gemms::NONE
};
