//! `quintile compare`: what quantising has cost.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::gguf::{Gguf, TensorInfo};
use crate::model::Pool;
use crate::model::sampler::{divergence, greedy};
use crate::quantize::Difference;

use super::output::{self, Failure, line, progress, status};
use super::setup::{Loaded, RuntimeArgs, open, watch_interrupts};
use super::windows::{WindowArgs, Windows};

/// Options of `compare`.
#[derive(clap::Args)]
#[command(after_help = "\
For every tensor: type in A and in B, root of the mean squared difference (RMSE), that in proportion to the root mean
square of A, and the largest difference. With -f, both models predict the text as `perplexity` does, and the mean
KL divergence of B's distributions from A's is printed, in nats: 0 for the same model.

Example: quintile compare model-f16.gguf model-q5_k_m.gguf -f text.txt")]
pub struct Args {
    /// The GGUF file to compare with: the original
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The GGUF file that is compared
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Compare the predictions of this text too
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    windows: WindowArgs,
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    args.windows.check()?;
    args.runtime.compute.isa()?;
    let (a, b) = (open(&args.a, true)?, open(&args.b, true)?);
    let tensors = {
        let pool = args.runtime.compute.pool()?;
        compare_tensors(&a, &b, &pool)
    };
    drop((a, b));
    if !args.json {
        print_tensors(&tensors)?;
    }
    let predictions = match &args.file {
        Some(text) => Some(compare_predictions(args, text)?),
        None => None,
    };
    match predictions {
        _ if args.json => {
            let tensors: Vec<Json> = tensors.iter().map(Row::json).collect();
            let predictions = predictions.map(|found| found.json());
            output::json(&json!({ "tensors": tensors, "predictions": predictions }))
        }
        Some(found) => found.print(),
        None => Ok(()),
    }
}

/// A tensor of either file.
struct Row {
    name: String,
    /// Type names; `None` where a file has no such tensor.
    types: [Option<&'static str>; 2],
    found: Found,
}

enum Found {
    Difference(Difference),
    /// Why there are no figures.
    Nothing(String),
}

fn compare_tensors(a: &Gguf, b: &Gguf, pool: &Pool) -> Vec<Row> {
    let only_in_b = {
        let names: HashSet<&str> = a.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
        b.tensors().iter().filter(move |tensor| !names.contains(tensor.name.as_str()))
    };
    let bar = progress(a.tensors().len() as u64, "tensors");
    let both = a.tensors().iter().map(|tensor| {
        bar.inc(1);
        let other = b.tensor_info(&tensor.name);
        Row {
            name: tensor.name.clone(),
            types: [Some(tensor.type_name()), other.map(TensorInfo::type_name)],
            found: match other {
                Some(other) => difference([a, b], [tensor, other], pool),
                None => Found::Nothing("only in A".into()),
            },
        }
    });
    let rows = both.collect::<Vec<_>>().into_iter().chain(only_in_b.map(|tensor| Row {
        name: tensor.name.clone(),
        types: [None, Some(tensor.type_name())],
        found: Found::Nothing("only in B".into()),
    }));
    let rows = rows.collect();
    bar.finish_and_clear();
    rows
}

fn difference(files: [&Gguf; 2], tensors: [&TensorInfo; 2], pool: &Pool) -> Found {
    let [a, b] = tensors;
    if a.dims != b.dims {
        return Found::Nothing(format!("{:?} and {:?}: not the same shape", a.dims, b.dims));
    }
    if a.type_id == b.type_id && files[0].tensor_bytes(a) == files[1].tensor_bytes(b) {
        // Also of types that are not computed.
        return Found::Difference(Difference::none(a.dims.elements()));
    }
    match (files[0].tensor(&a.name), files[1].tensor(&b.name)) {
        (Ok(a), Ok(b)) => Difference::of(a, b, pool)
            .map_or_else(|| Found::Nothing("not the same shape".into()), Found::Difference),
        _ => Found::Nothing("of a type that is not computed".into()),
    }
}

impl Row {
    fn json(&self) -> Json {
        let [a, b] = self.types;
        let mut row = json!({ "name": self.name, "a": a, "b": b });
        match &self.found {
            Found::Difference(found) => {
                row["values"] = json!(found.values);
                row["rmse"] = json!(found.rmse);
                row["relative"] = json!(found.relative());
                row["max"] = json!(found.max);
            }
            Found::Nothing(why) => row["note"] = json!(why),
        }
        row
    }
}

fn print_tensors(rows: &[Row]) -> Result<(), Failure> {
    line(format_args!(
        "{:40} {:8} {:8} {:>12} {:>9} {:>12}",
        "tensor", "A", "B", "RMSE", "relative", "max error"
    ))?;
    for row in rows {
        let [a, b] = row.types.map(|name| name.unwrap_or("-"));
        let name = row.name.escape_debug().to_string();
        match &row.found {
            Found::Difference(d) => line(format_args!(
                "{name:40} {a:8} {b:8} {:12.4e} {:8.3}% {:12.4e}",
                d.rmse,
                100.0 * d.relative(),
                d.max
            ))?,
            Found::Nothing(why) => line(format_args!("{name:40} {a:8} {b:8} {why}"))?,
        }
    }
    Ok(())
}

/// How the predictions of two models differ.
struct Predictions {
    /// Of each predicted token, in the order of the text.
    divergences: Vec<f64>,
    same_top: usize,
    perplexity: [f64; 2],
    windows: usize,
    context: usize,
}

fn compare_predictions(args: &Args, text: &Path) -> Result<Predictions, Failure> {
    let cancel = watch_interrupts()?;
    let load = |path| args.runtime.load(path, Some(args.windows.context), cancel.clone());
    let loaded = [load(&args.a)?, load(&args.b)?];
    let windows = windows(args, text, &loaded)?;
    let mut sessions = [loaded[0].session()?, loaded[1].session()?];
    let bar = progress(windows.count() as u64, "windows");
    let mut found = Predictions {
        divergences: Vec::new(),
        same_top: 0,
        perplexity: [0.0; 2],
        windows: windows.count(),
        context: windows.len(),
    };
    for input in windows.iter() {
        let [a, b] = &mut sessions;
        let mut expected: Vec<Vec<f32>> = Vec::new();
        a.truncate(0);
        a.forward_each(&input, windows.predicted(), |_, logits| expected.push(logits.to_vec()))?;
        let mut expected = expected.into_iter();
        b.truncate(0);
        b.forward_each(&input, windows.predicted(), |i, logits| {
            let expected = expected.next().unwrap_or_default();
            let compared = divergence(&expected, logits, input[i + 1]);
            found.divergences.push(compared.nats);
            found.same_top += usize::from(greedy(&expected) == greedy(logits));
            found.perplexity[0] -= compared.log_probs[0];
            found.perplexity[1] -= compared.log_probs[1];
        })?;
        bar.inc(1);
        bar.set_message(format!("KL divergence {:.6}", found.mean()));
    }
    bar.finish_and_clear();
    let count = found.divergences.len() as f64;
    found.perplexity = found.perplexity.map(|nll| libm::exp(nll / count));
    Ok(found)
}

/// The windows of the text, which must be the same for both models.
fn windows(args: &Args, text: &Path, loaded: &[Loaded; 2]) -> Result<Windows, Failure> {
    let [a, b] = [loaded[0].tokenizer()?, loaded[1].tokenizer()?];
    let [first, second] = [args.windows.cut(text, &a)?, args.windows.cut(text, &b)?];
    let sizes = [&loaded[0], &loaded[1]].map(|loaded| loaded.model.config().vocab);
    if sizes[0] != sizes[1] || !first.iter().eq(second.iter()) {
        return Err(Failure::Failed(format!(
            "{} and {} have different vocabularies ({} and {} tokens): their predictions cannot be compared",
            args.a.display(),
            args.b.display(),
            sizes[0],
            sizes[1]
        )));
    }
    Ok(first)
}

impl Predictions {
    fn mean(&self) -> f64 {
        self.divergences.iter().sum::<f64>() / self.divergences.len() as f64
    }

    /// The divergence that a share of the tokens stay below.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.divergences.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[(share * (sorted.len() - 1) as f64) as usize]
    }

    fn same_top(&self) -> f64 {
        self.same_top as f64 / self.divergences.len() as f64
    }

    fn print(&self) -> Result<(), Failure> {
        let [a, b] = self.perplexity;
        line("")?;
        line(format_args!("KL divergence  mean {:.6} nats", self.mean()))?;
        line(format_args!(
            "               median {:.6}, 99% below {:.6}, largest {:.6}",
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(1.0)
        ))?;
        line(format_args!("same top token {:.2}%", 100.0 * self.same_top()))?;
        line(format_args!("perplexity     {a:.4} -> {b:.4} ({:+.2}%)", 100.0 * (b / a - 1.0)))?;
        status(format_args!(
            "{} tokens of {} windows of {}",
            self.divergences.len(),
            self.windows,
            self.context
        ));
        Ok(())
    }

    fn json(&self) -> Json {
        json!({
            "kl_divergence": self.mean(),
            "kl_median": self.quantile(0.5),
            "kl_99": self.quantile(0.99),
            "kl_max": self.quantile(1.0),
            "same_top": self.same_top(),
            "ppl": self.perplexity,
            "predicted": self.divergences.len(),
            "windows": self.windows,
            "context": self.context,
        })
    }
}
