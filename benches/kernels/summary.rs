//! What a run has found, in units that people compare by: a table, and `summary.json` in criterion's folder, of which pictures
//! are made.

use std::fs::{metadata, read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quintile::isa::{Caches, Isa};
use serde_json::{Value as Json, json};

use crate::clock::{Rate, Ticks};
use crate::machine::{Limits, cpu};

/// A benchmark's result.
struct Row {
    group: String,
    /// The level that it ran at, and what else its name says of the kernel.
    level: String,
    /// The rest of its name: format, size.
    what: String,
    /// Values, or multiply-adds where there is one or more for a value.
    elements: f64,
    bytes: f64,
    /// Median, and the ends of its 95% interval.
    ns: [f64; 3],
}

/// Where criterion keeps its results.
fn home() -> PathBuf {
    let target = || {
        // The program is target/release/deps/kernels-0123456789abcdef.
        let program = std::env::current_exe().unwrap_or_default();
        let built = program.ancestors().nth(3).unwrap_or(Path::new("target")).to_owned();
        std::env::var_os("CARGO_TARGET_DIR").map_or(built, PathBuf::from)
    };
    std::env::var_os("CRITERION_HOME").map_or_else(|| target().join("criterion"), PathBuf::from)
}

/// The files named `benchmark.json` of the last results below a folder.
fn found(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name == "new") {
                files.push(path.join("benchmark.json"));
            } else {
                found(&path, files);
            }
        }
    }
}

impl Row {
    /// Reads one that was written since `start`.
    fn read(path: &Path, start: SystemTime) -> Option<(SystemTime, Row)> {
        let time = metadata(path).ok()?.modified().ok()?;
        if time < start {
            return None;
        }
        let read = |path: &Path| serde_json::from_str::<Json>(&read_to_string(path).ok()?).ok();
        let id = read(path)?;
        let estimates = read(&path.with_file_name("estimates.json"))?;
        let median = &estimates["median"];
        let interval = &median["confidence_interval"];
        let ns = [&median["point_estimate"], &interval["lower_bound"], &interval["upper_bound"]];
        let text = |key: &str| id[key].as_str().unwrap_or("").to_owned();
        let throughput = &id["throughput"];
        let both = &throughput["ElementsAndBytes"];
        let elements = [&both["elements"], &throughput["Elements"]];
        let row = Row {
            group: text("group_id"),
            level: text("function_id"),
            what: text("value_str"),
            elements: elements.iter().find_map(|n| n.as_f64()).unwrap_or(f64::NAN),
            bytes: both["bytes"].as_f64().unwrap_or(f64::NAN),
            ns: ns.map(|ns| ns.as_f64().unwrap_or(f64::NAN)),
        };
        Some((time, row))
    }

    /// Whether it is the same benchmark in another pass.
    fn is_again(&self, other: &Row) -> bool {
        (&self.group, &self.level, &self.what) == (&other.group, &other.level, &other.what)
    }

    /// The level of memory that its data lie in.
    fn memory(&self) -> &str {
        let last = self.what.rsplit(", ").next().unwrap_or("");
        if ["L2", "L3", "DRAM"].contains(&last) { last } else { "L1" }
    }

    fn threads(&self) -> usize {
        let count = |part: &str| part.strip_suffix(" threads")?.parse().ok();
        self.what.split(", ").find_map(count).unwrap_or(1)
    }

    /// Whether its elements are multiply-adds.
    fn multiplies(&self) -> bool {
        let moves = ["dequantize", "quantize", "quantize_weights", "narrow", "elementwise"];
        !moves.contains(&self.group.as_str())
    }

    /// Nanoseconds that the limits leave it at least: of what it computes and of what it reads, the longer; of what writes or
    /// copies, what that takes alone.
    fn least(&self, limits: &Limits, rows: &[Row]) -> Option<f64> {
        let threads = self.threads();
        let read = || limits.read(self.memory(), threads).map(|rate| self.bytes / rate);
        let floats = || limits.float_products(threads).map(|rate| self.elements / rate);
        let bytes = || limits.byte_products(threads).map(|rate| self.elements / rate);
        let alone = |what: &str| {
            let mut of_group = rows.iter().filter(|row| row.group == self.group);
            let row =
                of_group.find(|row| row.what.starts_with(what) && row.memory() == self.memory());
            row.map(|row| row.ns[0])
        };
        match self.group.as_str() {
            "dequantize" => alone("fill"),
            "elementwise" => alone("copy"),
            "quantize" | "quantize_weights" | "narrow" => read(),
            "gemm" | "gemm_packed" => bytes(),
            "sgemm" | "attention" => floats(),
            "layer" if self.what.contains("prefill") => bytes(),
            "layer" => limits.read("DRAM", threads).map(|rate| self.bytes / rate),
            "gemv" => Some(read()?.max(bytes()?)),
            group if group.starts_with("qdot_") && group != "qdot_exact" => {
                Some(read()?.max(bytes()?))
            }
            _ => Some(read()?.max(floats()?)),
        }
    }
}

/// The results of all passes.
#[derive(Default)]
pub struct Found {
    /// In the order in which they were first run, and what every pass found of each.
    rows: Vec<(Row, Vec<[f64; 3]>)>,
}

impl Found {
    /// Adds a pass: what was written since `start`.
    pub fn add(&mut self, start: SystemTime) {
        let mut files = Vec::new();
        found(&home(), &mut files);
        // What the file system remembers of a time may be a little less.
        let start = start - Duration::from_millis(20);
        let mut rows: Vec<_> = files.iter().filter_map(|path| Row::read(path, start)).collect();
        rows.sort_by_key(|(time, _)| *time);
        for (_, row) in rows {
            let ns = row.ns;
            match self.rows.iter_mut().find(|(other, _)| other.is_again(&row)) {
                Some((_, passes)) => passes.push(ns),
                None => self.rows.push((row, vec![ns])),
            }
        }
    }

    /// Of the quickest pass, for others on the machine make it only slower; and by what share the slowest was slower.
    fn rows(self) -> Vec<(Row, f64)> {
        let row = |(row, mut passes): (Row, Vec<[f64; 3]>)| {
            passes.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let (ns, slowest) = (passes[0], passes[passes.len() - 1][0]);
            (Row { ns, ..row }, slowest / ns[0] - 1.0)
        };
        self.rows.into_iter().map(row).collect()
    }

    /// Prints what was found, and writes it.
    pub fn print(self, ticks: Ticks, limits: &Limits) {
        let rows = self.rows();
        if !rows.is_empty() {
            print(rows, ticks, limits);
        }
    }
}

fn print(found: Vec<(Row, f64)>, ticks: Ticks, limits: &Limits) {
    let (rows, slower): (Vec<Row>, Vec<f64>) = found.into_iter().unzip();
    let (ghz, last) = (ticks.ghz, ticks.ghz_now());
    println!(
        "{:17} {:22} {:34} {:>13} {:>7} {:>8} {:>10} {:>8} {:>8} {:>6}",
        "kernel", "ISA", "of", "median, ns", "±", "slowest", "cycles/32", "GB/s", "GMAC/s", "limit"
    );
    let mut records = Vec::new();
    for (row, slower) in rows.iter().zip(slower) {
        let [ns, low, high] = row.ns;
        let cycles = ns * ghz.value * 32.0 / row.elements;
        let rate = |amount: f64| Some(amount / ns).filter(|rate| rate.is_finite());
        let products = row.multiplies().then(|| rate(row.elements)).flatten();
        let share = row.least(limits, &rows).map(|least| least / ns);
        let cell = |x: Option<f64>, unit: &str| x.map_or("-".into(), |x| format!("{x:.1}{unit}"));
        println!(
            "{:17} {:22} {:34} {ns:13.1} {:6.1}% {:>8} {cycles:10.3} {:>8} {:>8} {:>6}",
            row.group,
            row.level,
            row.what,
            50.0 * (high - low) / ns,
            format!("+{:.1}%", 100.0 * slower),
            cell(rate(row.bytes), ""),
            cell(products, ""),
            cell(share.map(|share| 100.0 * share), "%"),
        );
        records.push(json!({
            "kernel": row.group, "isa": row.level, "of": row.what,
            "ns": ns, "ns_low": low, "ns_high": high, "slowest_pass": slower, "elements": row.elements, "bytes": row.bytes,
            "cycles_per_32": cycles, "gb_per_s": rate(row.bytes), "gmac_per_s": products, "of_limit": share,
        }));
    }
    println!(
        "median of the quickest pass; ± is half its 95% interval, and `slowest` how much the slowest pass took longer; cycles by ticks, for 32 values or multiply-adds; the core at {:.3} GHz before and \
         {:.3} after",
        ghz.value, last.value
    );
    let caches = Caches::get();
    let rate = |rate: Rate| json!({ "ghz": rate.value, "error": rate.error });
    let filters: String = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .map(|arg| format!(" '{arg}'"))
        .collect();
    let all = json!({
        "cpu": cpu(),
        "isa": Isa::detect().level().name(),
        "date": date(),
        "command": format!("cargo bench --bench kernels --{filters}"),
        "clock": { "before": rate(ghz), "after": rate(last) },
        "caches": { "l1d": caches.l1d, "l2": caches.l2, "l3": caches.l3 },
        "limits": limits.json(),
        "results": records,
    });
    let path = home().join("summary.json");
    match std::fs::write(&path, format!("{all:#}\n")) {
        Ok(()) => println!("written to {}", path.display()),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
}

/// Today in UTC, as 2026-11-30: Howard Hinnant's `civil_from_days`.
fn date() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}
