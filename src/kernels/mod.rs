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
pub mod gemv;
pub mod narrow;
pub mod qdot;
pub mod qdot_exact;
pub mod quantize;
pub mod quantize_weights;
pub mod sgemm;

mod arith;
#[cfg(any(asm_x86_64, asm_aarch64))]
mod assembly;
mod portable;
mod sibling;
#[cfg(target_arch = "x86_64")]
mod uninterpreted;

use core::fmt;

use half::{bf16, f16};

use crate::isa::{Isa, Level};
use sibling::{Sibling, sibling};

pub use sibling::Choice;

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
    dot_f32: Sibling<dot::Dot<f32>>,
    dot_f16: Sibling<dot::Dot<f16>>,
    dot_bf16: Sibling<dot::Dot<bf16>>,
    chains: chain::Chains,
    dequantize: Sibling<dequantize::Dequantize>,
    narrow_f16: Sibling<narrow::Narrow>,
    narrow_bf16: Sibling<narrow::Narrow>,
    quantize_32: Sibling<quantize::Quantize>,
    quantize_256: Sibling<quantize::Quantize>,
    quantize_weights: Sibling<quantize_weights::QuantizeWeights>,
    row_dots: qdot::RowDots,
    row_pairs: qdot::RowPairs,
    qdot_exact: Sibling<qdot_exact::QdotExact>,
    gemms: gemm::Gemms,
    gemm_packings: gemm::packed::Packings,
    gemvs: gemv::Gemvs,
    sgemm: Sibling<sgemm::Sgemm>,
    sgemm_naive: Sibling<sgemm::Plain>,
    sgemm_blocked: Sibling<sgemm::Plain>,
    scale_by: Sibling<elementwise::ScaleBy>,
    silu_mul: Sibling<elementwise::Gate>,
    gelu_mul: Sibling<elementwise::Gate>,
    rope_neighbours: Sibling<elementwise::Rotate>,
    rope_halves: Sibling<elementwise::Rotate>,
    exp_sum: Sibling<elementwise::ExpSum>,
    exp: Sibling<elementwise::Exp>,
    add: Sibling<elementwise::Add>,
    soft_cap: Sibling<elementwise::SoftCap>,
    attend_f32: Sibling<attention::Attend<f32>>,
    attend_f16: Sibling<attention::Attend<f16>>,
    attend_q8_0: Sibling<attention::Attend<attention::Q8_0>>,
    attend_queries_f32: Sibling<attention::AttendQueries<f32>>,
    attend_queries_f16: Sibling<attention::AttendQueries<f16>>,
    attend_queries_q8_0: Sibling<attention::AttendQueries<attention::Q8_0>>,
    merge_chunks: Sibling<attention::Merge>,
}

impl Kernels {
    /// The kernels for `isa`. Operations without a sibling at its level use the definition.
    pub const fn new(isa: Isa) -> Kernels {
        let scalar = Kernels {
            isa,
            dot_f32: sibling!(dot::scalar::dot_f32),
            dot_f16: sibling!(dot::scalar::dot_f16),
            dot_bf16: sibling!(dot::scalar::dot_bf16),
            chains: chain::scalar::CHAINS,
            dequantize: sibling!(dequantize::scalar),
            narrow_f16: sibling!(narrow::scalar::narrow_f16),
            narrow_bf16: sibling!(narrow::scalar::narrow_bf16),
            quantize_32: sibling!(quantize::scalar::quantize_32),
            quantize_256: sibling!(quantize::scalar::quantize_256),
            quantize_weights: sibling!(quantize_weights::scalar),
            row_dots: qdot::scalar::ROW_DOTS,
            row_pairs: qdot::RowPairs::NONE,
            qdot_exact: sibling!(qdot_exact::scalar::qdot_exact),
            gemms: gemm::Gemms::NONE,
            gemm_packings: gemm::packed::Packings::NONE,
            gemvs: gemv::Gemvs::NONE,
            sgemm: sgemm::scalar::SGEMM,
            sgemm_naive: sgemm::scalar::NAIVE,
            sgemm_blocked: sgemm::scalar::BLOCKED,
            scale_by: sibling!(elementwise::scalar::scale_by),
            silu_mul: sibling!(elementwise::scalar::silu_mul),
            gelu_mul: sibling!(elementwise::scalar::gelu_mul),
            rope_neighbours: sibling!(elementwise::scalar::rope_neighbours),
            rope_halves: sibling!(elementwise::scalar::rope_halves),
            exp_sum: sibling!(elementwise::scalar::exp_sum),
            exp: sibling!(elementwise::scalar::exp_all),
            add: sibling!(elementwise::scalar::add),
            soft_cap: sibling!(elementwise::scalar::soft_cap),
            attend_f32: sibling!(attention::scalar::ATTEND_F32),
            attend_f16: sibling!(attention::scalar::ATTEND_F16),
            attend_q8_0: sibling!(attention::scalar::ATTEND_Q8_0),
            attend_queries_f32: sibling!(attention::scalar::ATTEND_QUERIES_F32),
            attend_queries_f16: sibling!(attention::scalar::ATTEND_QUERIES_F16),
            attend_queries_q8_0: sibling!(attention::scalar::ATTEND_QUERIES_Q8_0),
            merge_chunks: sibling!(attention::scalar::MERGE_CHUNKS),
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
            Level::NeonDotprodAsm => Kernels {
                gemms: gemm::neon_dotprod_asm::GEMMS,
                ..scalar.with_neon().with_neon_asm(qdot::neon_asm::DOTPROD)
            },
            #[cfg(asm_aarch64)]
            Level::NeonI8mm => Kernels {
                row_pairs: qdot::neon_asm::ROW_PAIRS,
                gemms: gemm::neon_i8mm::GEMMS,
                ..scalar.with_neon().with_neon_asm(qdot::neon_asm::DOTPROD)
            },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => scalar.with_avx2(),
            #[cfg(asm_x86_64)]
            Level::Avx2Asm => scalar.with_avx2().with_avx2_asm(),
            #[cfg(target_arch = "x86_64")]
            Level::AvxVnni => scalar.with_avx2().with_avx2_asm().with_avxvnni(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => scalar.with_avx2().with_avx2_asm().with_avx512(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => {
                scalar.with_avx2().with_avx2_asm().with_avx512().with_avx512_vnni()
            }
            #[cfg(asm_x86_64)]
            Level::Avx512VnniAsm => Kernels {
                gemms: gemm::avx512vnni_asm::GEMMS,
                gemm_packings: gemm::avx512vnni_asm::PACKINGS,
                ..scalar.with_avx2().with_avx2_asm().with_avx512().with_avx512_vnni()
            },
            // An `Isa` of another architecture's level cannot be made.
            #[allow(unreachable_patterns)]
            _ => scalar,
        }
    }

    const fn with_generic(self) -> Kernels {
        Kernels {
            dot_f32: sibling!(dot::generic::dot_f32),
            dot_f16: sibling!(dot::generic::dot_f16),
            dot_bf16: sibling!(dot::generic::dot_bf16),
            narrow_f16: sibling!(narrow::generic::narrow_f16),
            narrow_bf16: sibling!(narrow::generic::narrow_bf16),
            row_dots: qdot::generic::ROW_DOTS,
            gemms: gemm::generic::GEMMS,
            chains: chain::generic::CHAINS,
            sgemm: sgemm::generic::SGEMM,
            scale_by: sibling!(elementwise::generic::scale_by),
            silu_mul: sibling!(elementwise::generic::silu_mul),
            gelu_mul: sibling!(elementwise::generic::gelu_mul),
            rope_neighbours: sibling!(elementwise::generic::rope_neighbours),
            rope_halves: sibling!(elementwise::generic::rope_halves),
            exp_sum: sibling!(elementwise::generic::exp_sum),
            exp: sibling!(elementwise::generic::exp_all),
            add: sibling!(elementwise::generic::add),
            soft_cap: sibling!(elementwise::generic::soft_cap),
            attend_f32: sibling!(attention::generic::attend_f32),
            attend_f16: sibling!(attention::generic::attend_f16),
            attend_q8_0: sibling!(attention::generic::attend_q8_0),
            attend_queries_f32: sibling!(attention::generic::attend_queries_f32),
            attend_queries_f16: sibling!(attention::generic::attend_queries_f16),
            attend_queries_q8_0: sibling!(attention::generic::attend_queries_q8_0),
            merge_chunks: sibling!(attention::generic::merge_chunks),
            ..self
        }
    }

    /// pulp's registers are those of Advanced SIMD here: its dot of f32 needs no other sibling.
    #[cfg(target_arch = "aarch64")]
    const fn with_neon(self) -> Kernels {
        Kernels {
            dot_f16: sibling!(dot::neon::dot_f16),
            dot_bf16: sibling!(dot::neon::dot_bf16),
            chains: chain::neon::CHAINS,
            dequantize: sibling!(dequantize::neon::dequantize),
            narrow_f16: sibling!(narrow::neon::narrow_f16),
            narrow_bf16: sibling!(narrow::neon::narrow_bf16),
            quantize_32: sibling!(quantize::neon::quantize_32),
            quantize_256: sibling!(quantize::neon::quantize_256),
            row_dots: qdot::neon::NEON,
            // Row dots multiply bytes, those of pulp 16 bits.
            gemms: gemm::Gemms::NONE,
            qdot_exact: sibling!(qdot_exact::neon::qdot_exact),
            sgemm_naive: sgemm::neon::NAIVE,
            sgemm_blocked: sgemm::neon::BLOCKED,
            scale_by: sibling!(elementwise::neon::scale_by),
            silu_mul: sibling!(elementwise::neon::silu_mul),
            gelu_mul: sibling!(elementwise::neon::gelu_mul),
            rope_neighbours: sibling!(elementwise::neon::rope_neighbours),
            rope_halves: sibling!(elementwise::neon::rope_halves),
            exp_sum: sibling!(elementwise::neon::exp_sum),
            exp: sibling!(elementwise::neon::exp_all),
            add: sibling!(elementwise::neon::add),
            soft_cap: sibling!(elementwise::neon::soft_cap),
            attend_f32: sibling!(attention::neon::attend_f32),
            attend_f16: sibling!(attention::neon::attend_f16),
            attend_q8_0: sibling!(attention::neon::attend_q8_0),
            attend_queries_f32: sibling!(attention::neon::attend_queries_f32),
            attend_queries_f16: sibling!(attention::neon::attend_queries_f16),
            attend_queries_q8_0: sibling!(attention::neon::attend_queries_q8_0),
            merge_chunks: sibling!(attention::neon::merge_chunks),
            ..self.with_generic()
        }
    }

    #[cfg(asm_aarch64)]
    const fn with_neon_asm(self, row_dots: qdot::RowDots) -> Kernels {
        Kernels { dot_f32: sibling!(dot::neon_asm::dot_f32), row_dots, ..self }
    }

    #[cfg(target_arch = "x86_64")]
    const fn with_avx2(self) -> Kernels {
        Kernels {
            isa: self.isa,
            dot_f32: sibling!(dot::avx2::dot_f32),
            dot_f16: sibling!(dot::avx2::dot_f16),
            dot_bf16: sibling!(dot::avx2::dot_bf16),
            chains: chain::avx2::CHAINS,
            dequantize: sibling!(dequantize::avx2::dequantize),
            narrow_f16: sibling!(narrow::avx2::narrow_f16),
            narrow_bf16: sibling!(narrow::avx2::narrow_bf16),
            quantize_32: sibling!(quantize::avx2::quantize_32),
            quantize_256: sibling!(quantize::avx2::quantize_256),
            quantize_weights: sibling!(quantize_weights::avx2::quantize_weights),
            row_dots: qdot::avx2::ROW_DOTS,
            row_pairs: self.row_pairs,
            qdot_exact: sibling!(qdot_exact::avx2::qdot_exact),
            gemms: gemm::avx2::GEMMS,
            gemm_packings: gemm::avx2::PACKINGS,
            gemvs: self.gemvs,
            sgemm: sgemm::avx2::SGEMM,
            sgemm_naive: sgemm::avx2::NAIVE,
            sgemm_blocked: sgemm::avx2::BLOCKED,
            scale_by: sibling!(elementwise::avx2::scale_by),
            silu_mul: sibling!(elementwise::avx2::silu_mul),
            gelu_mul: sibling!(elementwise::avx2::gelu_mul),
            rope_neighbours: sibling!(elementwise::avx2::rope_neighbours),
            rope_halves: sibling!(elementwise::avx2::rope_halves),
            exp_sum: sibling!(elementwise::avx2::exp_sum),
            exp: sibling!(elementwise::avx2::exp_all),
            add: sibling!(elementwise::avx2::add),
            soft_cap: sibling!(elementwise::avx2::soft_cap),
            attend_f32: sibling!(attention::avx2::attend_f32),
            attend_f16: sibling!(attention::avx2::attend_f16),
            attend_q8_0: sibling!(attention::avx2::attend_q8_0),
            attend_queries_f32: sibling!(attention::avx2::attend_queries_f32),
            attend_queries_f16: sibling!(attention::avx2::attend_queries_f16),
            attend_queries_q8_0: sibling!(attention::avx2::attend_queries_q8_0),
            merge_chunks: sibling!(attention::avx2::merge_chunks),
        }
    }

    /// Where assembly is built; as it is elsewhere.
    #[cfg(target_arch = "x86_64")]
    const fn with_avx2_asm(self) -> Kernels {
        #[cfg(asm_x86_64)]
        return Kernels {
            dot_f32: sibling!(dot::avx2_asm::dot_f32),
            row_dots: qdot::avx2_asm::ROW_DOTS,
            qdot_exact: sibling!(qdot_exact::avx2_asm::qdot_exact),
            gemms: gemm::avx2_asm::GEMMS,
            gemm_packings: gemm::avx2_asm::PACKINGS,
            gemvs: gemv::avx2_asm::GEMVS,
            ..self
        };
        #[cfg(not(asm_x86_64))]
        self
    }

    #[cfg(target_arch = "x86_64")]
    const fn with_avxvnni(self) -> Kernels {
        Kernels { row_dots: self.row_dots.with_avxvnni(), ..self }
    }

    /// Where 512 bits win; as it is elsewhere.
    #[cfg(target_arch = "x86_64")]
    const fn with_avx512(self) -> Kernels {
        Kernels {
            dot_f32: sibling!(dot::avx512::dot_f32),
            dot_f16: sibling!(dot::avx512::dot_f16),
            dot_bf16: sibling!(dot::avx512::dot_bf16),
            chains: chain::avx512::CHAINS,
            dequantize: sibling!(dequantize::avx512::dequantize),
            narrow_f16: sibling!(narrow::avx512::narrow_f16),
            narrow_bf16: sibling!(narrow::avx512::narrow_bf16),
            quantize_32: sibling!(quantize::avx512::quantize_32),
            quantize_256: sibling!(quantize::avx512::quantize_256),
            qdot_exact: sibling!(qdot_exact::avx512::qdot_exact),
            sgemm: sgemm::avx512::SGEMM,
            scale_by: sibling!(elementwise::avx512::scale_by),
            silu_mul: sibling!(elementwise::avx512::silu_mul),
            gelu_mul: sibling!(elementwise::avx512::gelu_mul),
            rope_neighbours: sibling!(elementwise::avx512::rope_neighbours),
            rope_halves: sibling!(elementwise::avx512::rope_halves),
            exp_sum: sibling!(elementwise::avx512::exp_sum),
            exp: sibling!(elementwise::avx512::exp_all),
            add: sibling!(elementwise::avx512::add),
            soft_cap: sibling!(elementwise::avx512::soft_cap),
            attend_f32: sibling!(attention::avx512::attend_f32),
            attend_f16: sibling!(attention::avx512::attend_f16),
            attend_q8_0: sibling!(attention::avx512::attend_q8_0),
            attend_queries_f32: sibling!(attention::avx512::attend_queries_f32),
            attend_queries_f16: sibling!(attention::avx512::attend_queries_f16),
            attend_queries_q8_0: sibling!(attention::avx512::attend_queries_q8_0),
            merge_chunks: sibling!(attention::avx512::merge_chunks),
            ..self
        }
    }

    #[cfg(target_arch = "x86_64")]
    const fn with_avx512_vnni(self) -> Kernels {
        Kernels {
            row_dots: qdot::avx512vnni::ROW_DOTS,
            gemms: gemm::avx512vnni::GEMMS,
            gemm_packings: gemm::avx512vnni::PACKINGS,
            gemvs: gemv::avx512vnni::GEMVS,
            ..self
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
