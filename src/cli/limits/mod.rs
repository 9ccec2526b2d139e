//! `quintile limits`: what this CPU can do at most, so that a kernel's speed can be told as a share of it.
//!
//! Each figure is the best of many windows of a millisecond, spread over all the time, and of several loops where more than
//! one could be the fastest; by number of threads, all together. The loops are in assembly, so what is counted is
//! what was executed:
//!
//! | figure | a turn of the loop |
//! |---|---|
//! | `clock` | 64 dependent additions of registers, a cycle each |
//! | `fma_f32` | 12 independent fused multiply-adds of 8 f32: 2 operations a lane |
//! | `mul_u8_i8` | 12 independent `vpmaddubsw`: 32 products each, summed in pairs |
//! | `mul_i16` | 12 independent `vpmaddwd`: 16 products each, summed in pairs |
//! | `dot_u8_i8` | `vpmaddubsw`, `vpmaddwd`, `vpaddd`: what 32 values of a row dot cost besides unpacking |
//! | `loads_32` | 24 loads of 32 bytes from the same 768 bytes |
//! | reads | loads of 32 bytes through a set that fits its level: in one stream, in four, with prefetch |
//!
//! On aarch64, `fmla` of 4 f32, `smull` of 8 bytes, and `ldp` of 32 bytes, in one stream.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod caches;
#[cfg(any(not(target_arch = "aarch64"), test))]
mod portable;
mod rounds;
mod timing;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::time::Duration;

use memmap2::MmapMut;
use serde_json::{Value as Json, json};

use crate::model::system;

use super::output::{self, Failure, line};
use caches::{Caches, Level};
use rounds::{Fastest, Found};

/// Options of `limits`.
#[derive(clap::Args)]
#[command(after_help = "\
By number of threads (1, 2, 4, .. and -t), all together:
  FMA, f32     fused multiply-adds, each two operations
  vpmaddubsw   products of unsigned and signed bytes; vpmaddwd: of 16-bit numbers
  row dot      both of them and an addition: what 32 values cost besides unpacking
  loads        of 32 bytes each, always the same
  read         of a set that fits the cache but not the one before it, or eight times the last cache, by
               the fastest of one stream, four streams, and one with prefetch
The clock is that of a chain of additions, and `a cycle` is the figure of one thread over it.
All are measured in rounds that take turns, in windows of a millisecond, and the best window of each
counts: what else runs on the machine makes them smaller only if it hardly ever rests. Then what has
no such window is tried again, for as long.

Example: quintile limits --json")]
pub struct Args {
    /// The most threads [default: the physical cores that this process may use]
    #[arg(short, long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
    /// Seconds to measure, all together
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("not a number from 0.1 to 600".into()),
    }
}

/// More threads than this are refused: no machine has so many cores.
const MAX_THREADS: usize = 4096;

/// Dependent additions in a turn of the clock's loop.
const CLOCK_CHAIN: f64 = 64.0;

/// A loop of arithmetic or of loads from the same place.
struct Compute {
    name: &'static str,
    /// The instructions.
    what: &'static str,
    /// Of 10^9 a second.
    unit: &'static str,
    /// What a turn of the loop counts, in 1.
    per_step: f64,
    /// Runs that many turns.
    run: fn(usize),
}

/// A loop that reads all of a slice.
struct Read {
    name: &'static str,
    run: fn(&[u8]),
}

/// The loops for an instruction set.
struct Loops {
    instructions: &'static str,
    /// Runs that many turns of a chain of [`CLOCK_CHAIN`] additions; none where no chain can be made.
    clock: Option<fn(usize)>,
    compute: Vec<Compute>,
    reads: Vec<Read>,
}

impl Loops {
    fn find() -> Loops {
        #[cfg(target_arch = "x86_64")]
        return x86_64::loops().unwrap_or_else(portable::loops);
        #[cfg(target_arch = "aarch64")]
        return aarch64::loops();
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        return portable::loops();
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let most = args.threads.unwrap_or_else(system::default_threads).get();
    if most > MAX_THREADS {
        return Err(Failure::Usage(format!("-t {most}: more than {MAX_THREADS} threads")));
    }
    let (loops, caches) = (Loops::find(), Caches::find());
    let found = measure(&loops, &caches, most, args.seconds)
        .map_err(|e| Failure::Failed(format!("cannot measure: {e}; try fewer threads with -t")))?;
    if args.json { json_record(&loops, &caches, &found) } else { table(&loops, &caches, &found) }
}

/// What so many threads reach at most.
pub struct Peak {
    pub threads: usize,
    /// Bytes a second from memory.
    pub read: Option<f64>,
    /// Products of bytes a second, summed in pairs.
    pub products: Option<f64>,
}

/// Measures the figures that a model's speed is told as a share of.
pub fn peaks(threads: &[usize], seconds: f64) -> std::io::Result<Vec<Peak>> {
    let (loops, caches) = (Loops::find(), Caches::find());
    let memory = memory(caches.beyond())?;
    let found = rounds::measure(
        &loops,
        &caches,
        &memory,
        threads.to_vec(),
        Duration::from_secs_f64(seconds),
    )?;
    let products = loops.compute.iter().position(|compute| compute.name == "mul_u8_i8");
    let peak = |&threads: &usize| Peak {
        threads,
        read: found.read(&loops, Level::Dram, threads).map(|fastest| fastest.rate),
        products: products.map(|place| found.compute(place, threads)),
    };
    Ok(threads.iter().map(peak).collect())
}

/// 1, 2, 4, .. below `most`, and `most`.
fn thread_counts(most: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1), |n| Some(n * 2)).take_while(|&n| n < most);
    powers.chain([most]).collect()
}

fn measure(loops: &Loops, caches: &Caches, most: usize, seconds: f64) -> std::io::Result<Found> {
    let memory = memory(caches.beyond())?;
    // Filling the memory has taken a tenth.
    let budget = Duration::from_secs_f64(0.9 * seconds);
    rounds::measure(loops, caches, &memory, thread_counts(most), budget)
}

/// Memory with something in it: pages that were never written are all the same page.
fn memory(bytes: usize) -> std::io::Result<MmapMut> {
    let available = system::memory_available().unwrap_or(u64::MAX) / 4;
    let bytes = bytes.min(usize::try_from(available).unwrap_or(usize::MAX)).max(1 << 20);
    let mut memory = MmapMut::map_anon(bytes)?;
    // Of large pages, if they can be had: bandwidth is to be measured, not the walk of page tables.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    memory.fill(1);
    Ok(memory)
}

/// `a cycle`, as a number of a thread.
fn per_cycle(rate: f64, clock: Option<f64>) -> Option<f64> {
    clock.map(|clock| rate / clock)
}

fn table(loops: &Loops, caches: &Caches, found: &Found) -> Result<(), Failure> {
    line(format_args!("cpu     {}", system::cpu_name().unwrap_or_else(|| "unknown".into())))?;
    line(format_args!("loops   {}", loops.instructions))?;
    if let Some(clock) = found.clock() {
        line(format_args!("clock   {:.2} GHz", clock / 1e9))?;
    }
    let size = |bytes| if bytes > 0 { output::bytes(bytes as u64) } else { "none".into() };
    line(format_args!(
        "caches  L1 {}, L2 {}, L3 {}{}",
        size(caches.l1d),
        size(caches.l2),
        size(caches.l3),
        if caches.assumed { " (assumed)" } else { "" }
    ))?;
    let heads: String =
        found.threads.iter().map(|n| format!("{:>12}", format!("{n} thr."))).collect();
    line(format_args!("\n{:32}{heads}     a cycle", ""))?;
    for (place, compute) in loops.compute.iter().enumerate() {
        let name = format!("{} [{}]", title(compute), compute.unit);
        row(
            &name,
            found.threads.iter().map(|&n| Some(found.compute(place, n))),
            found.clock(),
            "",
        )?;
    }
    for level in Level::ALL {
        let name = format!("read {} [GB/s]", level.name());
        let reads: Vec<_> = found.threads.iter().map(|&n| found.read(loops, level, n)).collect();
        let best = reads[0].map_or(String::new(), |Fastest { bytes, name, .. }| {
            format!("   {}, {name}", output::bytes(bytes as u64))
        });
        row(&name, reads.iter().map(|read| read.map(|read| read.rate)), found.clock(), &best)?;
    }
    Ok(())
}

/// What the table calls a figure.
fn title(compute: &Compute) -> &'static str {
    match compute.name {
        "fma_f32" => "FMA, f32",
        "dot_u8_i8" => "row dot, u8 by i8",
        "loads_32" => "loads of 32 bytes",
        _ => compute.what,
    }
}

fn row(
    name: &str,
    rates: impl Iterator<Item = Option<f64>>,
    clock: Option<f64>,
    note: &str,
) -> Result<(), Failure> {
    let rates: Vec<_> = rates.collect();
    let cell = |rate: &Option<f64>| rate.map_or("-".into(), |rate| format!("{:.1}", rate / 1e9));
    let cells: String = rates.iter().map(|rate| format!("{:>12}", cell(rate))).collect();
    let cycle = rates[0].and_then(|rate| per_cycle(rate, clock));
    let cycle = cycle.map_or("-".into(), |n| format!("{n:.2}"));
    line(format_args!("{name:32}{cells}{cycle:>12}{note}"))
}

fn json_record(loops: &Loops, caches: &Caches, found: &Found) -> Result<(), Failure> {
    let one_thread = |n: usize, rate| if n == 1 { per_cycle(rate, found.clock()) } else { None };
    let mut compute = Vec::new();
    for (place, of) in loops.compute.iter().enumerate() {
        for &n in &found.threads {
            let rate = found.compute(place, n);
            compute.push(json!({
                "name": of.name,
                "instructions": of.what,
                "unit": of.unit,
                "threads": n,
                "value": rate / 1e9,
                "per_cycle": one_thread(n, rate),
            }));
        }
    }
    let mut read: Vec<Json> = Vec::new();
    for level in Level::ALL {
        for &n in &found.threads {
            let best = found.read(loops, level, n);
            let Some(Fastest { name, rate, bytes }) = best else { continue };
            read.push(json!({
                "level": level.name(),
                "unit": "GB/s",
                "threads": n,
                "value": rate / 1e9,
                "bytes_per_cycle": one_thread(n, rate),
                "bytes_per_thread": bytes,
                "loop": name,
            }));
        }
    }
    output::json(&json!({
        "cpu": system::cpu_name(),
        "loops": loops.instructions,
        "clock_ghz": found.clock().map(|clock| clock / 1e9),
        "caches": {
            "l1d": caches.l1d,
            "l2": caches.l2,
            "l3": caches.l3,
            "assumed": caches.assumed,
        },
        "compute": compute,
        "read": read,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_counts_double_and_end_with_the_most() {
        assert_eq!(thread_counts(1), [1]);
        assert_eq!(thread_counts(2), [1, 2]);
        assert_eq!(thread_counts(6), [1, 2, 4, 6]);
        assert_eq!(thread_counts(8), [1, 2, 4, 8]);
    }

    #[test]
    fn every_loop_ends_for_every_count_and_length() {
        for loops in [Loops::find(), portable::loops()] {
            for steps in [0, 1, 2, 65] {
                loops.clock.iter().for_each(|run| run(steps));
                loops.compute.iter().for_each(|compute| (compute.run)(steps));
            }
            let bytes = vec![1; 4096];
            for len in [0, 1, 255, 256, 257, 1024, 4096] {
                loops.reads.iter().for_each(|read| (read.run)(&bytes[..len]));
            }
        }
    }
}
