//! Prints the smallest and the median time of each kernel in rounds that take turns, and their ratios to quintile's
//! fastest: `cargo run --release [-- --values N] [--json FILE] [FILTER]`, in the folder of this crate.

use std::hint::black_box;
use std::time::Instant;

use quintile_peers::{Group, Kernel, cpu, groups, held_to, write_json};
use serde_json::{Value as Json, json};

const ROUNDS: usize = 300;
/// Nanoseconds that a kernel's turn takes, about.
const TURN: f64 = 20_000.0;

fn main() {
    let mut values: usize = 4096;
    let mut filter = String::new();
    let mut file = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--values", Some(n)) => values = n.parse().expect("--values N"),
            ("--json", Some(path)) => file = Some(path),
            (_, None) if !arg.starts_with('-') => filter = arg,
            _ => panic!("usage: peers [--values N] [--json FILE] [FILTER]"),
        }
    }
    assert!(values > 0 && values.is_multiple_of(256), "--values is a multiple of 256");
    println!("CPU: {}", cpu());
    println!("{}\n", held_to());
    println!(
        "| {:<18} | kernel             | min, ns | median, ns | min, to quintile | median |",
        "rows"
    );
    println!(
        "|{:-<20}|--------------------|--------:|-----------:|-----------------:|-------:|",
        ""
    );
    let mut results = Vec::new();
    for mut group in groups(values) {
        if group.name.to_lowercase().contains(&filter.to_lowercase()) {
            time(&mut group, &mut results);
        }
    }
    if let Some(file) = file {
        let command = "cd benches/peers && cargo run --release --features openblas -- --json FILE";
        write_json(&file, command, results);
    }
}

/// Times the kernels in turns, each round begun by another: a fixed order could keep step with the scheduler.
fn time(group: &mut Group, results: &mut Vec<Json>) {
    let calls: Vec<u32> = group.kernels.iter_mut().map(calls_of_a_turn).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); group.kernels.len()];
    for round in 0..ROUNDS {
        for turn in 0..calls.len() {
            let k = (round + turn) % calls.len();
            times[k].push(turn_of(&mut group.kernels[k], calls[k]));
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let figures: Vec<[f64; 2]> = times.iter().map(|times| [times[0], times[ROUNDS / 2]]).collect();
    let ours = group.kernels.iter().zip(&figures).filter(|(k, _)| k.name.starts_with("quintile"));
    let best = ours.map(|(_, figures)| *figures).min_by(|a, b| a[0].total_cmp(&b[0]));
    let best = best.expect("a kernel of ours");
    for (kernel, [min, median]) in group.kernels.iter().zip(&figures) {
        let (to_min, to_median) = (min / best[0], median / best[1]);
        println!(
            "| {:<18} | {:<18} | {min:>7.1} | {median:>10.1} | {to_min:>16.2} | {to_median:>6.2} |",
            group.name, kernel.name
        );
        results.push(json!({
            "of": group.name, "kernel": kernel.name, "ns_min": min, "ns_median": median,
            "products": group.values, "bytes": group.bytes,
        }));
    }
}

fn calls_of_a_turn(kernel: &mut Kernel) -> u32 {
    turn_of(kernel, 100);
    (TURN / turn_of(kernel, 100)).clamp(1.0, 10_000.0) as u32
}

/// Nanoseconds a call.
fn turn_of(kernel: &mut Kernel, calls: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(&mut kernel.run)();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}
