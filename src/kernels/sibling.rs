//! What a table holds for each operation: a function, together with the level that it was written for.
//!
//! The level is read from the function's path when this compiles: siblings live in modules that are named after
//! their level (`avx2_asm` for `avx2-asm`), below that of their operation. So what a table tells of itself
//! ([`Kernels::choices`]) cannot differ from what it calls.

use super::Kernels;
use crate::formats::Format;
use crate::isa::Level;

/// A function of a table.
#[derive(Clone, Copy)]
pub(crate) struct Sibling<F> {
    pub run: F,
    pub level: Level,
}

/// The [`Sibling`] of a function, given by its path, or of one that is in the module of its level.
macro_rules! sibling {
    ($kernel:expr) => {
        $crate::kernels::sibling::Sibling {
            run: $kernel,
            level: const {
                $crate::kernels::sibling::level_of(concat!(
                    module_path!(),
                    "::",
                    stringify!($kernel)
                ))
            },
        }
    };
}
pub(crate) use sibling;

/// The level after which the module below an operation's is named: of `crate::kernels::dot::avx2::dot_f32`,
/// `avx2`.
///
/// # Panics
/// At compile time, where there is none.
pub(crate) const fn level_of(path: &str) -> Level {
    let path = path.as_bytes();
    let mut start = 0;
    let mut colons = 0;
    while colons < 2 * 3 {
        colons += (path[start] == b':') as usize;
        start += 1;
    }
    let mut i = 0;
    while i < Level::ALL.len() {
        if starts_with_segment(path, start, Level::ALL[i].name().as_bytes()) {
            return Level::ALL[i];
        }
        i += 1;
    }
    panic!("a sibling's module is named after its level")
}

/// Whether the segment of `path` at `start` is `name`, with `_` for `-`.
const fn starts_with_segment(path: &[u8], start: usize, name: &[u8]) -> bool {
    let end = start + name.len();
    if path.len() < end || (path.len() > end && path[end] != b':') {
        return false;
    }
    let mut i = 0;
    while i < name.len() {
        let wanted = if name[i] == b'-' { b'_' } else { name[i] };
        if path[start + i] != wanted {
            return false;
        }
        i += 1;
    }
    true
}

/// Which sibling a [`Kernels`] has for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// The method of [`Kernels`] that calls it; of a method that has several, and what it is for.
    pub operation: &'static str,
    /// The format that it is for, where formats have siblings of their own.
    pub format: Option<Format>,
    /// The level that it was written for: that of the `Kernels`, or a lower one that had nothing to add. None
    /// where the operation is left to another: products of several rows to row dots.
    pub level: Option<Level>,
}

impl Choice {
    pub(super) const fn new(
        operation: &'static str,
        format: Option<Format>,
        level: Level,
    ) -> Choice {
        Choice { operation, format, level: Some(level) }
    }
}

impl Kernels {
    /// Which sibling was chosen for each operation, as the table holds it.
    ///
    /// ```
    /// use quintile::{isa::{Isa, Level}, kernels::Kernels};
    ///
    /// for choice in Kernels::new(Isa::SCALAR).choices() {
    ///     assert!(matches!(choice.level, Some(Level::Scalar) | None), "{choice:?}");
    /// }
    /// ```
    pub fn choices(&self) -> impl Iterator<Item = Choice> + use<> {
        // Every field, so that none is forgotten.
        let Kernels {
            isa: _,
            dot_f32,
            dot_f16,
            dot_bf16,
            chains,
            dequantize,
            narrow_f16,
            narrow_bf16,
            quantize_32,
            quantize_256,
            quantize_weights,
            row_dots,
            row_pairs,
            qdot_exact,
            gemms,
            gemm_packings,
            gemvs,
            sgemm,
            sgemm_naive,
            sgemm_blocked,
            scale_by,
            silu_mul,
            gelu_mul,
            rope_neighbours,
            rope_halves,
            exp_sum,
            exp,
            add,
            soft_cap,
            attend_f32,
            attend_f16,
            attend_q8_0,
            attend_queries_f32,
            attend_queries_f16,
            attend_queries_q8_0,
            merge_chunks,
        } = *self;
        let first = [
            ("dot_f32", dot_f32.level),
            ("dot_f16", dot_f16.level),
            ("dot_bf16", dot_bf16.level),
            ("dequantize", dequantize.level),
            ("narrow_f16", narrow_f16.level),
            ("narrow_bf16", narrow_bf16.level),
            ("quantize, a scale per 32", quantize_32.level),
            ("quantize, a scale per 256", quantize_256.level),
            ("quantize_weights", quantize_weights.level),
            ("qdot_exact", qdot_exact.level),
        ];
        let last = [
            ("sgemm", sgemm.level),
            ("sgemm_naive", sgemm_naive.level),
            ("sgemm_blocked", sgemm_blocked.level),
            ("rms_norm, scaling", scale_by.level),
            ("silu_mul", silu_mul.level),
            ("gelu_mul", gelu_mul.level),
            ("rope, neighbours", rope_neighbours.level),
            ("rope, halves", rope_halves.level),
            ("exp_sum, for softmax", exp_sum.level),
            ("exp", exp.level),
            ("add", add.level),
            ("soft_cap", soft_cap.level),
            ("attend, f32", attend_f32.level),
            ("attend, f16", attend_f16.level),
            ("attend, q8_0", attend_q8_0.level),
            ("attend_queries, f32", attend_queries_f32.level),
            ("attend_queries, f16", attend_queries_f16.level),
            ("attend_queries, q8_0", attend_queries_q8_0.level),
            ("merge_chunks", merge_chunks.level),
        ];
        let plain = |(operation, level)| Choice::new(operation, None, level);
        let products = chains.choices().chain(row_dots.choices());
        let products = products.chain(row_pairs.choices()).chain(gemvs.choices("gemv"));
        let products = products.chain(gemms.choices("gemm"));
        let products = products.chain(gemm_packings.choices("gemm_packed"));
        first.into_iter().map(plain).chain(products).chain(last.into_iter().map(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn a_level_is_found_by_the_whole_name_of_its_module() {
        for level in Level::ALL {
            let module = level.name().replace('-', "_");
            assert_eq!(level_of(&format!("a::kernels::dot::{module}")), level);
            assert_eq!(level_of(&format!("a::kernels::dot::{module}::avx2::scalar")), level);
        }
    }

    #[test]
    fn an_operation_is_told_of_once() {
        for isa in Isa::available() {
            let choices: Vec<Choice> = Kernels::new(isa).choices().collect();
            for (i, a) in choices.iter().enumerate() {
                let same = |b: &Choice| (b.operation, b.format) == (a.operation, a.format);
                assert!(!choices[..i].iter().any(same), "{a:?}");
            }
        }
    }

    #[test]
    fn a_sibling_is_of_the_tables_level_or_of_one_below_it() {
        for isa in Isa::available() {
            for choice in Kernels::new(isa).choices() {
                let Some(level) = choice.level else { continue };
                assert!(Isa::force(level).is_ok(), "{isa:?}: {choice:?}");
                let place = |level| Level::ALL.iter().position(|&l| l == level);
                assert!(place(level) <= place(isa.level()), "{isa:?}: {choice:?}");
            }
        }
    }
}
