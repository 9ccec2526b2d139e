//! Products of f32 matrices beside those of other crates and of OpenBLAS, on one thread, in rounds that take turns:
//! GFLOP/s, and the share of the FMA peak of 256 bits that the same rounds measure. In the folder of this crate:
//! `cargo run --release --features openblas --bin sgemm [-- [--rounds N] [--json FILE] SIZE ..]`.

use std::hint::black_box;
use std::time::Instant;

use quintile_peers::{held_to, sgemm, write_json};
use serde_json::json;

/// Seconds of a turn, at least.
const TURN: f64 = 0.005;

fn main() {
    let (mut rounds, mut sizes, mut file) = (9, Vec::new(), None);
    let mut results = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = |text: String| text.parse().expect("a number");
        match &arg[..] {
            "--rounds" => rounds = number(args.next().expect("--rounds N")),
            "--json" => file = Some(args.next().expect("--json FILE")),
            _ => sizes.push(number(arg)),
        }
    }
    if sizes.is_empty() {
        sizes = vec![64, 256, 512, 1024, 2048];
    }
    println!("{}\n", held_to());
    println!("| size | kernel             | median, GFLOP/s | best | of FMA peak, median | best |");
    println!("|-----:|--------------------|----------------:|-----:|--------------------:|-----:|");
    for n in sizes {
        let mut group = sgemm::group(n);
        let work = 2.0 * (n as f64).powi(3);
        let calls: Vec<usize> = group
            .kernels
            .iter_mut()
            .map(|kernel| {
                (kernel.run)();
                (TURN / seconds(1, &mut kernel.run)).ceil() as usize
            })
            .collect();
        let mut peaks = Vec::new();
        let mut rates = vec![Vec::new(); calls.len()];
        for round in 0..rounds {
            peaks.extend(fma_peak());
            for turn in 0..calls.len() {
                let k = (round + turn) % calls.len();
                let run = &mut group.kernels[k].run;
                // What the one before left in the caches is not its fault.
                run();
                rates[k].push(work / seconds(calls[k], run) / 1e9);
            }
        }
        let [peak, best_peak] = median_and_best(&mut peaks);
        for (kernel, rates) in group.kernels.iter().zip(&mut rates) {
            let [rate, best] = median_and_best(rates);
            println!(
                "| {n:4} | {:18} | {rate:15.1} | {best:4.0} | {:18.1}% | {:3.0}% |",
                kernel.name,
                100.0 * rate / peak,
                100.0 * best / best_peak
            );
            results.push(json!({
                "size": n, "kernel": kernel.name, "gflops_median": rate, "gflops_best": best,
                "of_peak": rate / peak,
            }));
        }
        println!("| {n:4} | FMA peak           | {peak:15.1} | {best_peak:4.0} | |");
    }
    if let Some(file) = file {
        let command = "cd benches/peers && cargo run --release --features openblas --bin sgemm -- --json FILE";
        write_json(&file, command, results);
    }
}

/// Seconds a call.
fn seconds(calls: usize, run: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| black_box(&mut *run)());
    start.elapsed().as_secs_f64() / calls as f64
}

fn median_and_best(rates: &mut [f64]) -> [f64; 2] {
    rates.sort_by(f64::total_cmp);
    [rates.get(rates.len() / 2), rates.last()].map(|rate| rate.copied().unwrap_or(f64::NAN))
}

/// GFLOP/s of twelve independent chains of 256 bits: two ports of latency 5 need ten.
#[cfg(target_arch = "x86_64")]
fn fma_peak() -> Option<f64> {
    const STEPS: usize = 2_000_000;
    if !is_x86_feature_detected!("fma") {
        return None;
    }
    let start = Instant::now();
    // SAFETY: the CPU has FMA; only registers that are named are written.
    unsafe {
        std::arch::asm!(
            "vzeroall",
            ".p2align 5",
            "2:",
            ".irp acc, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
            "vfmadd231ps ymm\\acc, ymm14, ymm15",
            ".endr",
            "dec {steps}",
            "jnz 2b",
            "vzeroupper",
            steps = inout(reg) STEPS => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack, nomem),
        );
    }
    Some((STEPS * 12 * 16) as f64 / start.elapsed().as_secs_f64() / 1e9)
}

#[cfg(not(target_arch = "x86_64"))]
fn fma_peak() -> Option<f64> {
    None
}
