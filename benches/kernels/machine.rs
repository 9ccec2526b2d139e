//! The machine: its CPU, its levels, and what `quintile limits` measures of it.

use std::process::{Command, Stdio};

use quintile::isa::{Caches, Isa};
use serde_json::Value as Json;

/// What this machine does at most, as `quintile limits --json` tells it.
pub struct Limits(Option<Json>);

impl Limits {
    /// Measures them, for some seconds, by the program that cargo has built beside this one; without the command line there
    /// is none.
    pub fn measure() -> Limits {
        Limits(option_env!("CARGO_BIN_EXE_quintile").and_then(|program| {
            let mut command = Command::new(program);
            command.args(["limits", "--json", "--seconds", "3"]).stderr(Stdio::inherit());
            serde_json::from_slice(&command.output().ok()?.stdout).ok()
        }))
    }

    /// None, where nothing is to be timed.
    pub fn none() -> Limits {
        Limits(None)
    }

    fn find(&self, list: &str, key: &str, name: &str, threads: usize) -> Option<f64> {
        let is = |row: &&Json| row[key] == name && row["threads"] == threads;
        self.0.as_ref()?[list].as_array()?.iter().find(is)?["value"].as_f64()
    }

    /// 10^9 a second of a loop of arithmetic, on so many threads.
    pub fn compute(&self, name: &str, threads: usize) -> Option<f64> {
        self.find("compute", "name", name, threads)
    }

    /// Multiply-adds of bytes, 10^9 a second.
    pub fn byte_products(&self, threads: usize) -> Option<f64> {
        self.compute("mul_u8_i8", threads)
    }

    /// Multiply-adds of f32, 10^9 a second.
    pub fn float_products(&self, threads: usize) -> Option<f64> {
        self.compute("fma_f32", threads).map(|flops| flops / 2.0)
    }

    /// GB/s of reading from a level of the memory.
    pub fn read(&self, level: &str, threads: usize) -> Option<f64> {
        self.find("read", "level", level, threads)
    }

    /// As they were measured.
    pub fn json(&self) -> &Json {
        self.0.as_ref().unwrap_or(&Json::Null)
    }
}

/// The CPU's name.
pub fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key| {
        let line = info.lines().find(|line| line.split(':').next().unwrap_or("").trim() == key)?;
        Some(line.split_once(':')?.1.trim())
    };
    let name = field("model name").unwrap_or("not named by /proc/cpuinfo");
    match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name}, family {family} model {model}"),
        _ => name.into(),
    }
}

/// Says what the figures are to be seen against.
pub fn print(limits: &Limits) {
    let levels: Vec<&str> = Isa::available().map(|isa| isa.level().name()).collect();
    println!("CPU: {}", cpu());
    println!("ISA: {} of {}", Isa::detect().level(), levels.join(", "));
    let Caches { l1d, l2, l3, assumed, .. } = Caches::get();
    let assumed = if assumed { " (assumed)" } else { "" };
    println!("caches: {} KiB, {} KiB, {} KiB{assumed}", l1d >> 10, l2 >> 10, l3 >> 10);
    if limits.0.is_none() {
        return println!("limits: not measured");
    }
    let figure = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.1}"));
    println!(
        "limits, one thread: FMA {} GFLOP/s; byte products {} GMAC/s; reads {} GB/s",
        figure(limits.compute("fma_f32", 1)),
        figure(limits.byte_products(1)),
        ["L1", "L2", "L3", "DRAM"]
            .map(|level| format!("{level} {}", figure(limits.read(level, 1))))
            .join(", "),
    );
}
