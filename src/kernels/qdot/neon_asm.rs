//! Assembly, `asm/aarch64/q*.S`: one row times one column of Q4_K, Q5_K, Q6_K and Q8_0, and two rows times two; the rest as
//! at NEON.

use super::{Dot1, Dot2x2, RowDot, RowDots, RowPairs, neon};
use crate::formats::{ActBlock, Block, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8_0};
use crate::isa::Level;
use crate::kernels::sibling::Sibling;

/// One row, `$name(row, x, blocks)`, in the place of `$siblings`' own.
macro_rules! row_dot {
    ($name:ident, $block:ty, $siblings:expr, $level:ident) => {{
        crate::kernels::assembly::symbols! {
            extern "C";
            /// # Safety
            /// `blocks` blocks can be read at `row`, their activations at `x`; the CPU has what the name ends in.
            fn $name(row: *const $block, x: *const ActBlock, blocks: usize) -> f32;
        }
        /// # Safety
        /// `row` is whole blocks, `x` has as many values; the CPU has what the function's name ends in.
        unsafe fn x1(row: &[u8], x: &[ActBlock]) -> f32 {
            let blocks = <$block>::slice(row);
            // SAFETY: the caller promises the lengths and the features.
            unsafe { $name(blocks.as_ptr(), x.as_ptr(), blocks.len()) }
        }
        RowDot { x1: Sibling { run: x1 as Dot1, level: Level::$level }, x4: $siblings.x4 }
    }};
}

/// Two rows times two columns: `$name(row, row, x, x, blocks, out)`.
macro_rules! row_pair {
    ($name:ident, $block:ty) => {{
        crate::kernels::assembly::symbols! {
            extern "C";
            /// # Safety
            /// `blocks` blocks can be read at `row_0` and `row_1`, their activations at `x_0` and `x_1`; `out` can be
            /// written; the CPU has i8mm.
            fn $name(
                row_0: *const $block,
                row_1: *const $block,
                x_0: *const ActBlock,
                x_1: *const ActBlock,
                blocks: usize,
                out: *mut [[f32; 2]; 2],
            );
        }
        /// # Safety
        /// The rows are whole blocks, as many in each, and each of `x` has as many values; the CPU has i8mm.
        unsafe fn pair(rows: [&[u8]; 2], x: [&[ActBlock]; 2]) -> [[f32; 2]; 2] {
            let [first, second] = rows.map(<$block>::slice);
            let mut out = [[0.0; 2]; 2];
            // SAFETY: the caller promises the lengths and the features.
            unsafe {
                let [x_0, x_1] = x.map(<[ActBlock]>::as_ptr);
                $name(first.as_ptr(), second.as_ptr(), x_0, x_1, first.len(), &mut out);
            }
            out
        }
        Some(Sibling { run: pair as Dot2x2, level: Level::NeonI8mm })
    }};
}

pub const NEON: RowDots = RowDots {
    q8_0: row_dot!(quintile_q8_0_dot_neon, BlockQ8_0, neon::NEON.q8_0, NeonAsm),
    q4_k: row_dot!(quintile_q4_k_dot_neon, BlockQ4K, neon::NEON.q4_k, NeonAsm),
    q5_k: row_dot!(quintile_q5_k_dot_neon, BlockQ5K, neon::NEON.q5_k, NeonAsm),
    q6_k: row_dot!(quintile_q6_k_dot_neon, BlockQ6K, neon::NEON.q6_k, NeonAsm),
    ..neon::NEON
};

/// For CPUs with dotprod.
pub const DOTPROD: RowDots = RowDots {
    q8_0: row_dot!(quintile_q8_0_dot_dotprod, BlockQ8_0, neon::DOTPROD.q8_0, NeonDotprodAsm),
    q4_k: row_dot!(quintile_q4_k_dot_dotprod, BlockQ4K, neon::DOTPROD.q4_k, NeonDotprodAsm),
    q5_k: row_dot!(quintile_q5_k_dot_dotprod, BlockQ5K, neon::DOTPROD.q5_k, NeonDotprodAsm),
    q6_k: row_dot!(quintile_q6_k_dot_dotprod, BlockQ6K, neon::DOTPROD.q6_k, NeonDotprodAsm),
    ..neon::DOTPROD
};

/// For CPUs with i8mm.
pub const ROW_PAIRS: RowPairs = RowPairs {
    q8_0: row_pair!(quintile_q8_0_dot2x2_i8mm, BlockQ8_0),
    q4_k: row_pair!(quintile_q4_k_dot2x2_i8mm, BlockQ4K),
    q5_k: row_pair!(quintile_q5_k_dot2x2_i8mm, BlockQ5K),
    q6_k: row_pair!(quintile_q6_k_dot2x2_i8mm, BlockQ6K),
};
