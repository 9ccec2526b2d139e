//! `quintile isa`.

use serde_json::{Map, Value as Json, json};

use crate::isa::{Features, Isa, Level};
use crate::kernels::{CONTRACT_VERSION, Choice, Kernels};
use crate::model::system;

use super::output::{self, Failure, line};
use super::setup::Compute;

/// Options of `isa`.
#[derive(clap::Args)]
#[command(after_help = "\
  feature   what the CPU was asked for
  level     a set of kernels, named after the instructions that it needs
  kernel    an operation, and the level whose kernel does it: a level that has none takes that of a lower one.
            `scalar` is the definition. What has no line consists of what has one: softmax of exp_sum, rms_norm
            of dot_f32 and its scaling.

Example: quintile isa --isa scalar")]
pub struct Args {
    #[command(flatten)]
    compute: Compute,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let chosen = args.compute.isa()?;
    let threads = args.compute.threads().get();
    if args.json { json_record(chosen, threads) } else { table(chosen, threads) }
}

/// Whether kernels of some level use a feature.
fn is_used(feature: &str) -> bool {
    Level::ALL.iter().any(|level| level.features().contains(&feature))
}

/// Why a level cannot be had here.
fn reason(level: Level) -> Option<String> {
    if Isa::force(level).is_ok() {
        return None;
    }
    let lacks: Vec<_> = level.lacks().collect();
    Some(match lacks.as_slice() {
        [] => "this build has no assembly".into(),
        _ if !level.is_built() => format!("this is {}", std::env::consts::ARCH),
        _ => format!("this CPU lacks {}", lacks.join(", ")),
    })
}

fn table(chosen: Isa, threads: usize) -> Result<(), Failure> {
    line(format_args!("cpu       {}", system::cpu_name().unwrap_or_else(|| "unknown".into())))?;
    line(format_args!("threads   {threads}"))?;
    for (name, found) in Features::get().list() {
        let note = match (found, is_used(name)) {
            (true, true) => "yes",
            (true, false) => "yes, but no kernel uses it yet",
            (false, _) => "no",
        };
        line(format_args!("feature   {name:24} {note}"))?;
    }
    for level in Level::ALL {
        let state = match Isa::force(level) {
            Ok(isa) if isa == chosen => "chosen",
            Ok(_) => "supported",
            Err(_) => "not supported",
        };
        let reason = reason(level).map_or(String::new(), |reason| format!(": {reason}"));
        line(format_args!("level     {level:16} {state:14} needs {}{reason}", level.needs()))?;
    }
    for (choice, formats) in grouped(Kernels::new(chosen).choices()) {
        let (level, note) = match choice.level {
            None if choice.operation == "gemm_packed" => {
                ("-", "(none: rows are multiplied as they are)".to_owned())
            }
            None => ("-", "(none: row dots do it)".to_owned()),
            Some(level) if level == chosen.level() => (level.name(), String::new()),
            Some(level) => (level.name(), format!("({} has none)", chosen.level())),
        };
        let of = [formats, note].join(" ");
        let text = format!("kernel    {:26} {level:16} {}", choice.operation, of.trim());
        line(text.trim_end())?;
    }
    Ok(())
}

/// Choices of the same operation and level together, and the names of their formats.
fn grouped(choices: impl Iterator<Item = Choice>) -> Vec<(Choice, String)> {
    let mut groups: Vec<(Choice, String)> = Vec::new();
    for choice in choices {
        let format = choice.format.map_or("", |format| format.name());
        let same = |(c, _): &&mut (Choice, String)| {
            (c.operation, c.level) == (choice.operation, choice.level)
        };
        match groups.iter_mut().find(same) {
            Some((_, formats)) => *formats += &format!(" {format}"),
            None => {
                // Beside the others of its operation.
                let last = groups.iter().rposition(|(c, _)| c.operation == choice.operation);
                groups.insert(last.map_or(groups.len(), |i| i + 1), (choice, format.to_owned()));
            }
        }
    }
    groups
}

fn json_record(chosen: Isa, threads: usize) -> Result<(), Failure> {
    let features = Features::get().list();
    let features: Vec<Json> = features
        .map(|(name, found)| json!({ "name": name, "found": found, "used": is_used(name) }))
        .collect();
    let levels: Vec<Json> = Level::ALL
        .into_iter()
        .map(|level| {
            json!({
                "name": level.name(),
                "supported": Isa::force(level).is_ok(),
                "chosen": level == chosen.level(),
                "needs": level.needs(),
                "reason": reason(level),
            })
        })
        .collect();
    let kernels: Vec<Json> = Kernels::new(chosen)
        .choices()
        .map(|choice| {
            let mut kernel = Map::new();
            kernel.insert("operation".into(), choice.operation.into());
            if let Some(format) = choice.format {
                kernel.insert("format".into(), format.name().into());
            }
            kernel.insert("level".into(), choice.level.map(Level::name).into());
            Json::Object(kernel)
        })
        .collect();
    output::json(&json!({
        "cpu": system::cpu_name(),
        "architecture": std::env::consts::ARCH,
        "threads": threads,
        "contract": CONTRACT_VERSION,
        "features": features,
        "levels": levels,
        "kernels": kernels,
    }))
}
