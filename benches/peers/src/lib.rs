//! quintile's kernels and those of other crates on the same data, to be timed side by side.
//!
//! A [`Group`] holds the kernels that do one thing; making one compares their results, each within a bound that is
//! proven for any correct kernel, and panics where one is outside. `cargo run --release` prints a table of interleaved
//! rounds; `cargo bench` hands the same groups to criterion.
//!
//! The peers are held to AVX2 by `.cargo/config.toml`, which cargo finds when it is started in this folder;
//! [`held_to`] says what they really use.

mod dequantize;
mod dot_f32;
mod qdot;
pub mod sgemm;

use serde_json::{Value as Json, json};

/// One kernel on its data.
pub struct Kernel {
    /// Whose it is, and at which level.
    pub name: String,
    /// Calls it once.
    pub run: Box<dyn FnMut()>,
}

/// Kernels that compute the same.
pub struct Group {
    /// What they compute.
    pub name: String,
    /// Values of the row.
    pub values: usize,
    /// What must be read: weights, or both rows; of a product of matrices, all three.
    pub bytes: usize,
    /// quintile's first.
    pub kernels: Vec<Kernel>,
}

/// All groups, on rows of `values`, a multiple of 256.
pub fn groups(values: usize) -> Vec<Group> {
    let mut groups = vec![dot_f32::group(values)];
    groups.extend(qdot::groups(values));
    groups.extend(dequantize::groups(values));
    groups
}

/// What the peers were held to, in words.
pub fn held_to() -> String {
    // Cargo gives the compiler the same environment as numkong's build script.
    let numkong = match option_env!("NK_TARGET_SKYLAKE") {
        Some("0") => "numkong built for AVX2",
        _ => "numkong built for all it can (not started in benches/peers)",
    };
    format!("candle for AVX2; {numkong}; {}", dot_f32::openblas_core())
}

/// The CPU's name, family and model.
pub fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key| info.lines().find_map(|line| line.strip_prefix(key)?.split_once(": "));
    let value = |key| field(key).map_or("?", |(_, value)| value);
    format!("{}, family {} model {}", value("model name"), value("cpu family"), value("model\t"))
}

/// Writes results to a file, of which pictures are made.
///
/// # Panics
/// If that cannot be done.
pub fn write_json(path: &str, command: &str, results: Vec<Json>) {
    let all = json!({
        "cpu": cpu(),
        "held_to": held_to(),
        "command": command,
        "results": results,
    });
    std::fs::write(path, format!("{all:#}\n")).unwrap_or_else(|e| panic!("{path}: {e}"));
}

/// Small numbers of both signs, never subnormal: denormal operands would be timed otherwise.
fn floats(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i + seed) * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

/// A result that is checked: its kernel, and what it may differ from `want` by.
fn check(group: &str, name: &str, got: f64, want: f64, bound: f64) {
    assert!(
        (got - want).abs() <= bound,
        "{group}: {name} gives {got}, which is not {want} within {bound}"
    );
}
