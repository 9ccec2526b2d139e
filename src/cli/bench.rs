//! `quintile bench`: times prefill and decoding, with llama-bench's test names and JSON fields.

use std::num::NonZeroUsize;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use crate::formats::Format;
use crate::model::stats::Stats;
use crate::model::{Session, system};

use super::output::{self, Failure, line, progress};
use super::setup::{Loaded, ModelArgs};
use super::stats;

/// Options of `bench`.
#[derive(clap::Args)]
#[command(after_help = "\
Tokenising and sampling are outside the timed part; each test is run once to warm up.

Example: quintile bench -m model.gguf -p 512 -n 64 -t 2 -r 5 -o json")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of the prefill test, ppN; 0 for none
    #[arg(short = 'p', long, value_name = "N", default_value_t = 512)]
    n_prompt: usize,
    /// Tokens of the decoding test, tgN; 0 for none
    #[arg(short, long, value_name = "N", default_value_t = 64)]
    n_gen: usize,
    /// Repetitions
    #[arg(short, long, value_name = "N", default_value = "5")]
    repetitions: NonZeroUsize,
    /// Output
    #[arg(short, long, value_enum, default_value = "md")]
    output: Output,
    /// Tell on stderr what the time of each test went to (and in the JSON records)
    #[arg(long)]
    stats: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Output {
    Md,
    Json,
}

/// One test's samples.
struct Samples {
    n_prompt: usize,
    n_gen: usize,
    start: SystemTime,
    ns: Vec<u64>,
    stats: Option<Stats>,
}

impl Samples {
    fn tokens_per_second(&self) -> Vec<f64> {
        let tokens = (self.n_prompt + self.n_gen) as f64;
        self.ns.iter().map(|&ns| tokens * 1e9 / ns as f64).collect()
    }

    fn threads(&self, loaded: &Loaded) -> NonZeroUsize {
        loaded.threads[usize::from(self.n_gen == 0 && self.n_prompt > 1)]
    }

    fn name(&self) -> String {
        if self.n_gen == 0 { format!("pp{}", self.n_prompt) } else { format!("tg{}", self.n_gen) }
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let longest = args.n_prompt.max(args.n_gen);
    let context = NonZeroUsize::new(longest)
        .ok_or_else(|| Failure::Usage("nothing to do: both -p and -n are 0".into()))?;
    let mut loaded = args.model.load(Some(context))?;
    loaded.session.stats = args.stats;
    let mut session = loaded.session()?;
    let mut results = Vec::new();
    for (n_prompt, n_gen) in [(args.n_prompt, 0), (0, args.n_gen)] {
        if n_prompt + n_gen > 0 {
            results.push(measure(&mut session, &loaded, n_prompt, n_gen, args.repetitions.get())?);
        }
    }
    match args.output {
        Output::Md => markdown(&loaded, &results),
        Output::Json => {
            output::json(&results.iter().map(|samples| record(&loaded, samples)).collect())
        }
    }
}

fn measure(
    session: &mut Session<'_>,
    loaded: &Loaded,
    n_prompt: usize,
    n_gen: usize,
    repetitions: usize,
) -> Result<Samples, Failure> {
    // Any tokens do: the time does not depend on which.
    let vocab = loaded.model.config().vocab;
    let tokens: Vec<u32> =
        (0..n_prompt + n_gen).map(|i| ((i * 7919 + 31) % vocab) as u32).collect();
    let bar = progress(repetitions as u64, if n_gen == 0 { "prefill" } else { "decode" });
    let mut samples =
        Samples { n_prompt, n_gen, start: SystemTime::now(), ns: Vec::new(), stats: None };
    for repetition in 0..=repetitions {
        session.truncate(0);
        if repetition <= 1 {
            // The first is to warm up.
            session.reset_stats();
        }
        let start = Instant::now();
        let steps = if n_gen == 0 { tokens.len() } else { 1 };
        for step in tokens.chunks(steps) {
            session.forward(step)?;
            std::hint::black_box(session.logits());
        }
        if repetition > 0 {
            samples.ns.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    samples.stats = session.stats().cloned();
    if let Some(stats) = &samples.stats {
        stats::report(stats);
    }
    Ok(samples)
}

fn mean_and_deviation(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let squares: f64 = x.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

/// The architecture, and the format that holds most bytes of the file.
fn model_type(loaded: &Loaded) -> String {
    let tensors = loaded.model.file().tensors();
    let bytes = |f: &Format| -> u64 {
        tensors.iter().filter(|t| t.format == Some(*f)).map(|t| t.size).sum()
    };
    let format = Format::ALL.into_iter().max_by_key(bytes).map_or("", Format::name);
    format!("{} {format}", loaded.model.config().architecture)
}

fn model_size(loaded: &Loaded) -> u64 {
    loaded.model.file().tensors().iter().map(|t| t.size).sum()
}

fn markdown(loaded: &Loaded, results: &[Samples]) -> Result<(), Failure> {
    line("| model | size | params | isa | threads | test | t/s |")?;
    line("| --- | ---: | ---: | --- | ---: | ---: | ---: |")?;
    for samples in results {
        let (mean, deviation) = mean_and_deviation(&samples.tokens_per_second());
        line(format_args!(
            "| {} | {} | {:.2} M | {} | {} | {} | {mean:.2} ± {deviation:.2} |",
            model_type(loaded),
            output::bytes(model_size(loaded)),
            loaded.model.parameters() as f64 / 1e6,
            loaded.model.kernels().isa().level(),
            samples.threads(loaded),
            samples.name(),
        ))?;
    }
    Ok(())
}

fn record(loaded: &Loaded, samples: &Samples) -> Json {
    let ns: Vec<f64> = samples.ns.iter().map(|&ns| ns as f64).collect();
    let ts = samples.tokens_per_second();
    let ((avg_ns, stddev_ns), (avg_ts, stddev_ts)) =
        (mean_and_deviation(&ns), mean_and_deviation(&ts));
    json!({
        "build_commit": "",
        "build_number": 0,
        "cpu_info": system::cpu_name(),
        "gpu_info": "",
        "backends": "CPU",
        "isa": loaded.model.kernels().isa().level().name(),
        "model_filename": loaded.model.file().path().map(|p| p.display().to_string()),
        "model_type": model_type(loaded),
        "model_size": model_size(loaded),
        "model_n_params": loaded.model.parameters(),
        "n_batch": loaded.session.batch,
        "n_ubatch": loaded.session.batch,
        "n_threads": samples.threads(loaded),
        "type_k": loaded.session.cache.name(),
        "type_v": loaded.session.cache.name(),
        "n_prompt": samples.n_prompt,
        "n_gen": samples.n_gen,
        "n_depth": 0,
        "test_time": iso_8601(samples.start),
        "avg_ns": avg_ns as u64,
        "stddev_ns": stddev_ns as u64,
        "avg_ts": avg_ts,
        "stddev_ts": stddev_ts,
        "samples_ns": samples.ns,
        "samples_ts": ts,
        "stats": samples.stats.as_ref().map(stats::record),
    })
}

/// A time as `YYYY-MM-DDThh:mm:ssZ`.
fn iso_8601(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from the first of March of year 0, so that leap days come last (Hinnant,
    // "chrono-compatible low-level date algorithms").
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_iso_8601() {
        let at = |seconds| iso_8601(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_767_225_599), "2025-12-31T23:59:59Z");
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(mean_and_deviation(&[2.0, 4.0]), (3.0, 2f64.sqrt()));
        assert_eq!(mean_and_deviation(&[5.0]), (5.0, 0.0));
    }
}
