//! Results as a table, JSON, CSV or SQL.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};

use crate::cli::limits::Peak;
use crate::cli::output::{self, Failure, line, status};
use crate::cli::setup::Loaded;
use crate::cli::stats;
use crate::formats::Format;
use crate::model::system;

use super::Args;
use super::timing::Samples;

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Output {
    Md,
    Csv,
    Json,
    Jsonl,
    Sql,
}

/// What all results share.
pub struct Context<'a> {
    pub loaded: &'a Loaded,
    pub peaks: &'a [Peak],
    pub args: &'a Args,
}

impl Context<'_> {
    fn peak(&self, threads: usize) -> Option<&Peak> {
        self.peaks.iter().find(|peak| peak.threads == threads)
    }
}

pub fn write(output: Output, context: &Context<'_>, results: &[Samples]) -> Result<(), Failure> {
    let mut records = results.iter().map(|samples| record(context, samples));
    match output {
        Output::Md => markdown(context, results),
        Output::Json => output::json(&records.collect()),
        Output::Jsonl => records.try_for_each(line),
        Output::Csv => csv(&records.collect::<Vec<_>>()),
        Output::Sql => sql(&records.collect::<Vec<_>>()),
    }
}

pub(super) fn mean_and_deviation(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let squares: f64 = x.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

/// The smallest time that so many of a hundred do not exceed.
fn percentile(ns: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = ns.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(at).copied()
}

fn mean(ns: &[u64]) -> Option<u64> {
    (!ns.is_empty())
        .then(|| (ns.iter().map(|&ns| u128::from(ns)).sum::<u128>() / ns.len() as u128) as u64)
}

/// CPUs as `0-3,8`.
pub fn ranges(cpus: &[usize]) -> String {
    let parts = cpus.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    let text = parts.collect::<Vec<_>>().join(",");
    if text.is_empty() { "unknown".into() } else { text }
}

/// Bytes of weights a second, of a test that decodes only.
fn weight_rate(context: &Context<'_>, samples: &Samples) -> Option<f64> {
    let decodes = samples.test.n_prompt == 0;
    let ns = mean(&samples.ns).filter(|_| decodes)? as f64;
    let bytes = context.loaded.model.weight_bytes() as f64 * samples.test.n_gen as f64;
    Some(1e9 * bytes / ns)
}

/// Multiply-adds by weights a second, of a test that reads a prompt only.
fn product_rate(context: &Context<'_>, samples: &Samples) -> Option<f64> {
    let reads = samples.test.n_gen == 0;
    let ns = mean(&samples.ns).filter(|_| reads)? as f64;
    let products = context.loaded.model.weight_products(samples.test.n_prompt as u64) as f64;
    Some(1e9 * products / ns)
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

fn markdown(context: &Context<'_>, results: &[Samples]) -> Result<(), Failure> {
    let loaded = context.loaded;
    let differ = |of: fn(&Samples) -> String| results.iter().any(|s| of(s) != of(&results[0]));
    // Columns that tell nothing where all are the same.
    type Column = (&'static str, fn(&Samples) -> String);
    let options: [Column; 3] = [
        ("n_batch", |s| s.setup.batch.to_string()),
        ("n_ubatch", |s| s.setup.ubatch.to_string()),
        ("type_k", |s| s.setup.cache.name().to_owned()),
    ];
    let options: Vec<_> = options.into_iter().filter(|&(_, of)| differ(of)).collect();
    let heads: String = options.iter().map(|(name, _)| format!(" {name} |")).collect();
    line(format_args!(
        "| model | size | params | isa | threads |{heads} test | t/s | p50, p99 ms | of the limit |"
    ))?;
    line(format_args!(
        "| --- | ---: | ---: | --- | ---: |{} ---: | ---: | ---: | ---: |",
        " ---: |".repeat(options.len())
    ))?;
    for samples in results {
        let (mean, deviation) = mean_and_deviation(&samples.tokens_per_second());
        let cells: String = options.iter().map(|(_, of)| format!(" {} |", of(samples))).collect();
        let ms = |ns: u64| format!("{:.2}", ns as f64 * 1e-6);
        let tokens = match (percentile(&samples.token_ns, 50), percentile(&samples.token_ns, 99)) {
            (Some(p50), Some(p99)) => format!("{}, {}", ms(p50), ms(p99)),
            _ => String::new(),
        };
        line(format_args!(
            "| {} | {} | {:.2} M | {} | {} |{cells} {} | {mean:.2} ± {deviation:.2} | {tokens} | {} |",
            model_type(loaded),
            output::bytes(model_size(loaded)),
            loaded.model.parameters() as f64 / 1e6,
            loaded.model.kernels().isa().level(),
            samples.threads(),
            samples.test.name(),
            share(context, samples),
        ))?;
    }
    let memory =
        system::peak_memory().map(|bytes| format!(", peak memory {}", output::bytes(bytes)));
    status(format_args!(
        "loaded in {:.3} s{}",
        loaded.load_time.as_secs_f64(),
        memory.unwrap_or_default()
    ));
    Ok(())
}

/// `12.3 GB/s, 80%`, or multiply-adds.
fn share(context: &Context<'_>, samples: &Samples) -> String {
    let peak = context.peak(samples.threads());
    let of = |rate: f64, peak: Option<f64>| {
        peak.map_or(String::new(), |peak| format!(", {:.0}%", 100.0 * rate / peak))
    };
    if let Some(rate) = weight_rate(context, samples) {
        format!("{:.1} GB/s{}", rate / 1e9, of(rate, peak.and_then(|p| p.read)))
    } else if let Some(rate) = product_rate(context, samples) {
        format!("{:.1} GMAC/s{}", rate / 1e9, of(rate, peak.and_then(|p| p.products)))
    } else {
        String::new()
    }
}

/// The fields of llama-bench, then ours.
fn record(context: &Context<'_>, samples: &Samples) -> Json {
    let mut record = theirs(context, samples);
    if let (Json::Object(record), Json::Object(ours)) = (&mut record, ours(context, samples)) {
        record.extend(ours);
    }
    record
}

/// The fields of llama-bench in its order; what only a GPU has is as where there is none.
fn theirs(context: &Context<'_>, samples: &Samples) -> Json {
    let loaded = context.loaded;
    let ns: Vec<f64> = samples.ns.iter().map(|&ns| ns as f64).collect();
    let ts = samples.tokens_per_second();
    let ((avg_ns, stddev_ns), (avg_ts, stddev_ts)) =
        (mean_and_deviation(&ns), mean_and_deviation(&ts));
    let cache = samples.setup.cache.name();
    json!({
        "build_commit": "",
        "build_number": 0,
        "cpu_info": system::cpu_name(),
        "gpu_info": "",
        "backends": "CPU",
        "model_filename": loaded.model.file().path().map(|p| p.display().to_string()),
        "model_type": model_type(loaded),
        "model_size": model_size(loaded),
        "model_n_params": loaded.model.parameters(),
        "n_batch": samples.setup.batch,
        "n_ubatch": samples.setup.ubatch,
        "n_threads": samples.threads(),
        "cpu_mask": "0x0",
        "cpu_strict": false,
        "poll": 50,
        "type_k": cache,
        "type_v": cache,
        "n_gpu_layers": 0,
        "n_cpu_moe": 0,
        "split_mode": "layer",
        "main_gpu": 0,
        "no_kv_offload": false,
        "flash_attn": 1,
        "devices": "none",
        "tensor_split": "0.00",
        "tensor_buft_overrides": "none",
        "use_mmap": !context.args.no_mmap,
        "embeddings": false,
        "no_op_offload": 0,
        "no_host": false,
        "n_prompt": samples.test.n_prompt,
        "n_gen": samples.test.n_gen,
        "n_depth": samples.test.n_depth,
        "test_time": iso_8601(samples.start),
        "avg_ns": avg_ns as u64,
        "stddev_ns": stddev_ns as u64,
        "avg_ts": avg_ts,
        "stddev_ts": stddev_ts,
        "samples_ns": samples.ns,
        "samples_ts": ts,
    })
}

/// What llama-bench does not tell. Rates are a second's.
fn ours(context: &Context<'_>, samples: &Samples) -> Json {
    let loaded = context.loaded;
    let peak = context.peak(samples.threads());
    let [read, most] = [peak.and_then(|p| p.read), peak.and_then(|p| p.products)];
    let (weights, products) = (weight_rate(context, samples), product_rate(context, samples));
    let share = |rate: Option<f64>, peak: Option<f64>| Some(rate? / peak?);
    json!({
        "engine": concat!("quintile ", env!("CARGO_PKG_VERSION")),
        "isa": loaded.model.kernels().isa().level().name(),
        "cpus": ranges(&system::affinity()),
        "n_threads_batch": samples.setup.threads[1],
        "load_ns": loaded.load_time.as_nanos() as u64,
        "peak_memory": system::peak_memory(),
        "ttft_ns": mean(&samples.first_token_ns),
        "token_ns_p50": percentile(&samples.token_ns, 50),
        "token_ns_p99": percentile(&samples.token_ns, 99),
        "weight_bytes_per_second": weights,
        "read_limit": read,
        "read_share": share(weights, read),
        "products_per_second": products,
        "product_limit": most,
        "product_share": share(products, most),
        "stats": context.args.stats.then(|| stats::record(&samples.stats)),
    })
}

/// The fields that hold one value, not a list.
fn scalars(record: &Json) -> impl Iterator<Item = (&String, &Json)> {
    let fields = record.as_object().map(Map::iter).into_iter().flatten();
    fields.filter(|(name, value)| *name != "stats" && !value.is_array())
}

/// As llama-bench writes values: all as text, booleans as numbers.
fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::Bool(value) => u8::from(*value).to_string(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn csv(records: &[Json]) -> Result<(), Failure> {
    let row = |cells: Vec<String>| line(cells.join(","));
    row(scalars(&records[0]).map(|(name, _)| name.clone()).collect())?;
    let quoted = |(_, value): (_, &Json)| format!("\"{}\"", text(value).replace('"', "\"\""));
    records.iter().try_for_each(|record| row(scalars(record).map(quoted).collect()))
}

fn sql(records: &[Json]) -> Result<(), Failure> {
    // A field that is not known in one record may be a number in another.
    let of_type = |name: &str| {
        let known = records.iter().map(|record| &record[name]).find(|value| !value.is_null());
        match known {
            Some(Json::String(_)) => "TEXT",
            Some(value) if value.is_f64() => "REAL",
            Some(_) => "INTEGER",
            None => "REAL",
        }
    };
    let names: Vec<&String> = scalars(&records[0]).map(|(name, _)| name).collect();
    let columns: Vec<String> = names.iter().map(|n| format!("  {n} {}", of_type(n))).collect();
    line(format_args!("CREATE TABLE IF NOT EXISTS llama_bench (\n{}\n);\n", columns.join(",\n")))?;
    let names = names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    for record in records {
        let value = |(_, value): (_, &Json)| match value {
            Json::Null => "NULL".to_owned(),
            value => format!("'{}'", text(value).replace('\'', "''")),
        };
        let values = scalars(record).map(value).collect::<Vec<_>>().join(", ");
        line(format_args!("INSERT INTO llama_bench ({names}) VALUES ({values});"))?;
    }
    Ok(())
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
    fn cpus_are_told_in_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[]), "unknown");
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&times, 50), Some(50));
        assert_eq!(percentile(&times, 99), Some(99));
        assert_eq!(percentile(&[7], 1), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(mean_and_deviation(&[2.0, 4.0]), (3.0, 2f64.sqrt()));
        assert_eq!(mean_and_deviation(&[5.0]), (5.0, 0.0));
    }
}
