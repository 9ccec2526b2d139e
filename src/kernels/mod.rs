//! One folder an operation: the contract in words and formula, the scalar definition, and its fast
//! siblings, all of which return the same bits.
//!
//! A [`Kernels`] is a table of functions for one [`Isa`]; its methods are the safe entries. Nothing here
//! allocates, spawns a thread, reads the environment or keeps state.

pub mod attention;
pub mod chain;
pub mod dequantize;
pub mod dot;
pub mod elementwise;
pub mod gemm;
pub mod qdot;
pub mod qdot_exact;
pub mod quantize;
pub mod quantize_weights;

mod arith;
#[cfg(any(asm_x86_64, asm_aarch64))]
mod assembly;

use core::fmt;

use half::{bf16, f16};

use crate::isa::{Isa, Level};

/// The version of the numeric contract (`docs/contract.md`): two builds with the same version return the
/// same bits.
pub const CONTRACT_VERSION: u32 = 1;

/// The kernels of one ISA level.
///
/// Made from an [`Isa`], which proves that the CPU has the level's features; so the methods are
/// safe.
#[derive(Clone, Copy)]
pub struct Kernels {
    isa: Isa,
    dot_f32: dot::Dot<f32>,
    dot_f16: dot::Dot<f16>,
    dot_bf16: dot::Dot<bf16>,
    chains: chain::Chains,
    dequantize: dequantize::Dequantize,
    quantize_32: quantize::Quantize,
    quantize_256: quantize::Quantize,
    quantize_weights: quantize_weights::QuantizeWeights,
    row_dots: qdot::RowDots,
    row_pairs: qdot::RowPairs,
    qdot_exact: qdot_exact::QdotExact,
    gemms: gemm::Gemms,
    scale_by: elementwise::ScaleBy,
    silu_mul: elementwise::Gate,
    gelu_mul: elementwise::Gate,
    rope_neighbours: elementwise::Rotate,
    rope_halves: elementwise::Rotate,
    exp_sum: elementwise::ExpSum,
    exp: elementwise::Exp,
    add: elementwise::Add,
    attend_f32: attention::Attend<f32>,
    attend_f16: attention::Attend<f16>,
    merge_chunks: attention::Merge,
}

impl Kernels {
    /// The kernels for `isa`. Operations without a sibling at its level use the definition.
    pub const fn new(isa: Isa) -> Kernels {
        let scalar = Kernels {
            isa,
            dot_f32: dot::scalar::dot_f32,
            dot_f16: dot::scalar::dot_f16,
            dot_bf16: dot::scalar::dot_bf16,
            chains: chain::scalar::CHAINS,
            dequantize: dequantize::scalar,
            quantize_32: quantize::scalar::quantize_32,
            quantize_256: quantize::scalar::quantize_256,
            quantize_weights: quantize_weights::scalar,
            row_dots: qdot::scalar::ROW_DOTS,
            row_pairs: qdot::RowPairs::NONE,
            qdot_exact: qdot_exact::scalar::qdot_exact,
            gemms: gemm::Gemms::NONE,
            scale_by: elementwise::scalar::scale_by,
            silu_mul: elementwise::scalar::silu_mul,
            gelu_mul: elementwise::scalar::gelu_mul,
            rope_neighbours: elementwise::scalar::rope_neighbours,
            rope_halves: elementwise::scalar::rope_halves,
            exp_sum: elementwise::scalar::exp_sum,
            exp: elementwise::scalar::exp_all,
            add: elementwise::scalar::add,
            attend_f32: attention::scalar::ATTEND_F32,
            attend_f16: attention::scalar::ATTEND_F16,
            merge_chunks: attention::scalar::MERGE_CHUNKS,
        };
        match isa.level() {
            Level::Scalar => scalar,
            Level::Generic => scalar.with_generic(),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => scalar.with_neon(),
            #[cfg(target_arch = "aarch64")]
            Level::NeonDotprod => Kernels { row_dots: qdot::neon::DOTPROD, ..scalar.with_neon() },
            #[cfg(asm_aarch64)]
            Level::NeonAsm => scalar.with_neon().with_neon_asm(qdot::neon_asm::NEON),
            #[cfg(asm_aarch64)]
            Level::NeonDotprodAsm => scalar.with_neon().with_neon_asm(qdot::neon_asm::DOTPROD),
            #[cfg(asm_aarch64)]
            Level::NeonI8mm => Kernels {
                row_pairs: qdot::neon_asm::ROW_PAIRS,
                ..scalar.with_neon().with_neon_asm(qdot::neon_asm::DOTPROD)
            },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => scalar.with_avx2(),
            #[cfg(asm_x86_64)]
            Level::Avx2Asm => Kernels {
                dot_f32: dot::avx2_asm::dot_f32,
                row_dots: qdot::avx2_asm::ROW_DOTS,
                gemms: gemm::avx2_asm::GEMMS,
                ..scalar.with_avx2()
            },
            // An `Isa` of another architecture's level cannot be made.
            #[allow(unreachable_patterns)]
            _ => scalar,
        }
    }

    const fn with_generic(self) -> Kernels {
        Kernels {
            dot_f32: dot::generic::dot_f32,
            dot_f16: dot::generic::dot_f16,
            dot_bf16: dot::generic::dot_bf16,
            row_dots: qdot::generic::ROW_DOTS,
            ..self
        }
    }

    /// pulp's registers are those of Advanced SIMD here: its dots of f32 need no other sibling.
    #[cfg(target_arch = "aarch64")]
    const fn with_neon(self) -> Kernels {
        Kernels {
            quantize_32: quantize::neon::quantize_32,
            quantize_256: quantize::neon::quantize_256,
            row_dots: qdot::neon::NEON,
            ..self.with_generic()
        }
    }

    #[cfg(asm_aarch64)]
    const fn with_neon_asm(self, row_dots: qdot::RowDots) -> Kernels {
        Kernels { dot_f32: dot::neon_asm::dot_f32, row_dots, ..self }
    }

    #[cfg(target_arch = "x86_64")]
    const fn with_avx2(self) -> Kernels {
        Kernels {
            isa: self.isa,
            dot_f32: dot::avx2::dot_f32,
            dot_f16: dot::avx2::dot_f16,
            dot_bf16: dot::avx2::dot_bf16,
            chains: chain::avx2::CHAINS,
            dequantize: dequantize::avx2::dequantize,
            quantize_32: quantize::avx2::quantize_32,
            quantize_256: quantize::avx2::quantize_256,
            quantize_weights: quantize_weights::avx2::quantize_weights,
            row_dots: qdot::avx2::ROW_DOTS,
            row_pairs: self.row_pairs,
            qdot_exact: qdot_exact::avx2::qdot_exact,
            gemms: gemm::avx2::GEMMS,
            scale_by: elementwise::avx2::scale_by,
            silu_mul: elementwise::avx2::silu_mul,
            gelu_mul: elementwise::avx2::gelu_mul,
            rope_neighbours: elementwise::avx2::rope_neighbours,
            rope_halves: elementwise::avx2::rope_halves,
            exp_sum: elementwise::avx2::exp_sum,
            exp: elementwise::avx2::exp_all,
            add: elementwise::avx2::add,
            attend_f32: attention::avx2::attend_f32,
            attend_f16: attention::avx2::attend_f16,
            merge_chunks: attention::avx2::merge_chunks,
        }
    }

    /// The ISA that the kernels were chosen for.
    pub const fn isa(&self) -> Isa {
        self.isa
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernels").field("isa", &self.isa).finish_non_exhaustive()
    }
}
