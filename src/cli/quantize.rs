//! `quintile quantize`: a file of a smaller type from any file that can be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::gguf::FilePlan;
use crate::kernels::Kernels;
use crate::quantize::{Entry, Error, FileType, Plan, WriteOptions};

use super::output::{self, Failure, byte_progress, bytes, line, status};
use super::setup::{Compute, open, watch_interrupts};

/// Options of `quantize`.
#[derive(clap::Args)]
#[command(after_help = "\
Types, smallest files first: q2_k, q3_k_m, q4_0, q4_1, q4_k_s, q4_k_m, q5_0, q5_1, q5_k_s, q5_k_m, q6_k, q8_0, f16,
bf16, f32. Each tensor gets the format that llama-quantize gives it under the same name. OUT appears only when
it is complete; until then a file of that name stays as it was.

Examples:
  quintile quantize model-f16.gguf model-q5_k_m.gguf q5_k_m
  quintile quantize model-f16.gguf model.gguf q4_k_m --dry-run
  quintile quantize model-f16.gguf model.gguf q8_0 --split-max-size 2G")]
pub struct Args {
    /// The GGUF file to read; of a split model, any of its files
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The GGUF file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// What to make of it
    #[arg(value_name = "TYPE")]
    file_type: FileType,
    #[command(flatten)]
    compute: Compute,
    /// Print the type of every tensor and the sizes, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Split what is larger into OUT-00001-of-00002.gguf and so on [bytes, or with K, M, G: powers of 1000]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    split_max_size: Option<u64>,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Failure::Interrupted,
            error => Failure::of(error),
        }
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let isa = args.compute.isa()?;
    let file = open(&args.input, true)?;
    let plan = Plan::new(&file, args.file_type)?;
    let files = {
        let mut builder = plan.builder();
        if let Some(bytes) = args.split_max_size {
            builder.max_file_size(bytes);
        }
        builder.files(&args.output).map_err(Failure::of)?
    };
    if plan.requantises() {
        status(format_args!(
            "warning: {} is quantised already: the errors of both add up; take the original if you can",
            args.input.display()
        ));
    }
    if args.dry_run {
        return if args.json {
            output::json(&as_json(&plan, &files))
        } else {
            as_text(&plan, &files)
        };
    }

    let pool = args.compute.pool()?;
    let cancel = watch_interrupts()?;
    let bar = byte_progress(plan.bytes_before(), "quantising");
    let start = Instant::now();
    let options = WriteOptions {
        max_file_size: args.split_max_size,
        progress: Some(&|done| bar.set_position(done)),
        cancel: Some(&cancel),
    };
    let written = plan.write(&Kernels::new(isa), &pool, &args.output, &options);
    bar.finish_and_clear();
    let written = written?;
    let (before, after) = (file.file_size(), files.iter().map(|file| file.size).sum());
    status(format_args!(
        "{}: {} -> {} in {:.1} s, {} threads, {} kernels",
        names(&written),
        bytes(before),
        bytes(after),
        start.elapsed().as_secs_f64(),
        pool.threads(),
        isa.level()
    ));
    if args.json { output::json(&as_json(&plan, &files)) } else { Ok(()) }
}

fn names(paths: &[PathBuf]) -> String {
    match paths {
        [one] => one.display().to_string(),
        [first, .., last] => format!("{} to {}", first.display(), last.display()),
        [] => String::new(),
    }
}

/// The formats of a plan with tensors and bytes of each.
fn by_type(entries: &[Entry<'_>]) -> BTreeMap<&'static str, (usize, u64)> {
    let mut types = BTreeMap::new();
    for entry in entries {
        let (count, size) = types.entry(entry.type_name()).or_default();
        *count += 1;
        *size += entry.size();
    }
    types
}

fn as_text(plan: &Plan<'_>, files: &[FilePlan]) -> Result<(), Failure> {
    for entry in plan.entries() {
        let tensor = entry.tensor;
        let change = match entry.target {
            Some(_) => format!("{} -> {}", tensor.type_name(), entry.type_name()),
            None => tensor.type_name().to_owned(),
        };
        let why = entry.fallback.map(|fallback| format!("  ({fallback})")).unwrap_or_default();
        let name = tensor.name.escape_debug().to_string();
        let dims = format!("{:?}", &tensor.dims[..]);
        line(format_args!("{name:40} {dims:22} {change:16} {:>12}{why}", bytes(entry.size())))?;
    }
    line("")?;
    for (name, (count, size)) in by_type(plan.entries()) {
        line(format_args!("{name:10} {count:6} tensors {:>12}", bytes(size)))?;
    }
    line(format_args!(
        "tensors    {} -> {}",
        bytes(plan.bytes_before()),
        bytes(plan.bytes_after())
    ))?;
    for FilePlan { path, size, tensors, .. } in files {
        line(format_args!(
            "{}: {} ({size} bytes), {tensors} tensors",
            path.display(),
            bytes(*size)
        ))?;
    }
    Ok(())
}

fn as_json(plan: &Plan<'_>, files: &[FilePlan]) -> Json {
    let tensor = |entry: &Entry<'_>| {
        json!({
            "name": entry.tensor.name,
            "dims": &entry.tensor.dims[..],
            "from": entry.tensor.type_name(),
            "to": entry.type_name(),
            "wanted": entry.fallback.map(|fallback| fallback.wanted.name()),
            "bytes": entry.size(),
        })
    };
    let file = |file: &FilePlan| {
        let path: &Path = &file.path;
        json!({
            "path": path.display().to_string(),
            "bytes": file.size,
            "tensors": file.tensors,
        })
    };
    json!({
        "type": plan.file_type().name(),
        "bytes_before": plan.bytes_before(),
        "bytes_after": plan.bytes_after(),
        "requantised": plan.requantises(),
        "files": files.iter().map(file).collect::<Vec<_>>(),
        "tensors": plan.entries().iter().map(tensor).collect::<Vec<_>>(),
    })
}

/// A number of bytes: digits, and K, M or G for powers of 1000, as tools for split files have them.
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    number.filter(|&n| n > 0).ok_or_else(|| "expected a number of bytes, such as 500M or 2G".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_powers_of_1000() {
        assert_eq!(parse_size("1"), Ok(1));
        assert_eq!(parse_size("20k"), Ok(20_000));
        assert_eq!(parse_size("300M"), Ok(300_000_000));
        assert_eq!(parse_size("4G"), Ok(4_000_000_000));
        for wrong in ["", "0", "G", "-1", "1.5G", "1T", "1 G", "18446744073709552K", "é"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
