//! What a fixed order of rounding costs: our f32 dot and Q5_K row dot beside variants of them that round in whatever
//! order is fastest. `cargo bench --bench free_order` (x86-64 with AVX2, FMA and F16C; elsewhere it says so and ends.)
//!
//! The contract has the f32 dot end in a tree over 64 lanes, and the row dot in two dependent scalar FMAs a
//! super-block, on exact integers that must first be summed across the lanes. A kernel without a contract
//! keeps partial sums in as many lanes and registers as it likes, and folds them once, at the end of the row.
//!
//! ```text
//! f32 dot   `n x 8 lanes`: n accumulators, n = 4 to 14, and as many steps before the loop turns.
//! Q5_K      `free`: lane = fma(d·dx, isum of the lane, lane) and lane = fma(-(dmin·dx), msum of the lane, lane), eight
//!           lanes each, folded at the end of the row: what ggml does.
//!           `ordered`: the same loop, which ends as the contract says. So `free` is not fast for what it does before.
//! ```
//!
//! Q5_K has two ways to spread the scales (shuffles of a register; broadcasts of what was stored), and two for the
//! fifth bits (shifts and masks; a table of 16 entries by the low and the high nibble). All are timed, free and
//! ordered. In assembly (`q5_k.S`), free and ordered are the loop of our kernel, made of the same macros, and differ in what
//! becomes of a super-block's sums alone: the ratio of these two is what the order costs. The variants take turns, in rounds of
//! one batch of calls each; the smallest and the median of the rounds are printed, and the ratio of the smallest to that
//! of the fastest free variant.
//!
//! Before that, ordered variants are shown to have the bits of the scalar definition, and free ones to agree with it to a
//! small part of the sum of magnitudes. `cargo test --benches` ends there.

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!("free_order: the variants are written for x86-64 only");
}

#[cfg(target_arch = "x86_64")]
fn main() {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma") && has!("f16c")) {
        println!("free_order: this CPU lacks AVX2, FMA or F16C");
        return;
    }
    let measure = std::env::args().any(|arg| arg == "--bench");
    let [dot, q5_k] = ["free_order dot_f32", "free_order q5_k"].map(filter::wants);
    if measure && (dot || q5_k) {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name"));
        println!("CPU{}; rows in L1", name.unwrap_or(": not named by /proc/cpuinfo"));
    }
    if dot {
        timing::dot_f32(measure);
    }
    if q5_k {
        timing::q5_k(4096, measure);
        timing::q5_k(16384, measure);
    }
}

#[cfg(target_arch = "x86_64")]
mod dot;
#[cfg(target_arch = "x86_64")]
#[path = "../filter/mod.rs"]
mod filter;
#[cfg(target_arch = "x86_64")]
mod q5_k;
#[cfg(target_arch = "x86_64")]
mod timing;

/// The sum of eight lanes.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn fold(lanes: core::arch::x86_64::__m256) -> f32 {
    use core::arch::x86_64::*;
    let x = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
}
