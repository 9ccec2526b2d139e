//! `quintile bench`: times prefill and decoding, with the options, test names and fields of llama-bench, and says how close
//! to the machine's limits they come.

mod plan;
mod report;
mod timing;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::isa::Level;
use crate::model::system;

use super::limits;
use super::output::{Failure, status};
use super::rope::RopeArgs;
use super::setup::{self, Compute, RuntimeArgs};
use super::stats;
use super::trace::TraceArgs;
use plan::Lists;

/// Options of `bench`.
#[derive(clap::Args)]
#[command(after_help = "\
Options that take a list, divided by commas, are combined each with each; -p, -n and -pg make tests of
their own. Tests take turns, in another order each time, and each is run once before to warm up.
Choosing tokens is outside the timed part. Of the columns on the right, `p50` and `p99` are the times of
a decoded token, and the shares are of what this machine was measured to do at most: of decoding,
weights over the fastest read of memory; of prefill, multiply-adds over the fastest byte products.

Examples:
  quintile bench -m model.gguf -p 512 -n 64 -t 2 -r 5 -o json
  quintile bench -m model.gguf -t 1,2 -pg 512,128 -d 0,4096 --by-op")]
pub struct Args {
    /// The GGUF file
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    #[command(flatten)]
    lists: Lists,
    /// Force the kernels of a level, as `isa` lists them: scalar, generic, avx2, avx2-asm, neon, ...
    #[arg(long, value_name = "LEVEL")]
    isa: Option<Level>,
    /// Read the file into memory instead of mapping it
    #[arg(long)]
    no_mmap: bool,
    /// Repetitions
    #[arg(short, long, value_name = "N", default_value = "5")]
    repetitions: NonZeroUsize,
    /// Do not run each test once before
    #[arg(long)]
    no_warmup: bool,
    /// Seconds to measure the machine's limits before; 0 for none
    #[arg(long, value_name = "S", default_value = "1", value_parser = limit_seconds)]
    limits: f64,
    /// Output
    #[arg(short, long, value_enum, default_value = "md")]
    output: report::Output,
    /// Tell on stderr what the time of each test went to, by operation (and in the JSON records)
    #[arg(long, visible_alias = "by-op")]
    stats: bool,
    #[command(flatten)]
    trace: TraceArgs,
}

fn limit_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds == 0.0 || (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("not 0, nor a number from 0.1 to 60".into()),
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let setups = args.lists.setups()?;
    let tests = args.lists.tests()?;
    let trace = args.trace.create()?;
    let mut threads: Vec<usize> =
        setups.iter().flat_map(|setup| setup.threads).map(NonZeroUsize::get).collect();
    threads.sort_unstable();
    threads.dedup();
    let most = threads.last().and_then(|&most| NonZeroUsize::new(most));
    // Before the model, which would share the memory with it.
    let peaks = match args.limits {
        0.0 => Vec::new(),
        seconds => limits::peaks(&threads, seconds)
            .map_err(|e| Failure::Failed(format!("cannot measure the machine's limits: {e}")))?,
    };
    let runtime = RuntimeArgs {
        compute: Compute { threads: most, isa: args.isa },
        batch: setups[0].ubatch,
        threads_batch: None,
        cache_type_k: setups[0].cache,
        cache_type_v: setups[0].cache,
        no_mmap: args.no_mmap,
        rope: RopeArgs::default(),
    };
    let loaded = runtime.load(&args.model, None, setup::watch_interrupts()?)?;
    status(format_args!(
        "{}, {} kernels, CPUs {}",
        system::cpu_name().unwrap_or_else(|| "unknown CPU".into()),
        loaded.model.kernels().isa().level(),
        report::ranges(&system::affinity()),
    ));
    let mut recording = trace.map(|file| file.record(&loaded));
    let results = timing::measure(&loaded, &setups, &tests, args, recording.as_mut())?;
    if let Some(recording) = recording {
        recording.write()?;
    }
    if args.stats {
        for result in &results {
            status(format_args!("{}, {} threads", result.test.name(), result.threads()));
            stats::report(&result.stats);
        }
    }
    report::write(args.output, &report::Context { loaded: &loaded, peaks: &peaks, args }, &results)
}
