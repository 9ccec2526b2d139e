//! `quintile perplexity`: how well a model predicts a text.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use crate::model::Error;
use crate::model::sampler::log_probs;
use crate::model::tokenizer::EncodeOptions;

use super::output::{self, Failure, line, progress};
use super::setup::{ModelArgs, read_file};

/// Options of `perplexity`.
#[derive(clap::Args)]
#[command(after_help = "\
The text is cut into windows of -c tokens; a window starts with BOS where the model adds one. Tokens of the
second half of each window are predicted from all before them in it, and the result is
exp(mean of -ln probability). Lower is better; figures compare only with the same text and -c.

Example: quintile perplexity -m model.gguf -f text.txt -c 512 --json")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The text
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Tokens of a window
    #[arg(short, long, value_name = "N", default_value = "512")]
    context: NonZeroUsize,
    /// Only the first windows
    #[arg(long, value_name = "N")]
    windows: Option<NonZeroUsize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let text = read_file(&args.file)?;
    let window = args.context.get();
    if window < 4 {
        return Err(Failure::Usage(format!("a window of {window} tokens; it takes at least 4")));
    }
    let loaded = args.model.load(Some(args.context))?;
    let tokenizer = loaded.tokenizer()?;
    let tokens = tokenizer.encode(&text, EncodeOptions { add_special: true, parse_special: false });
    let bos = if tokenizer.adds_bos() { tokenizer.bos() } else { None };
    let windows = (tokens.len() / window).min(args.windows.map_or(usize::MAX, NonZeroUsize::get));
    if windows == 0 {
        return Err(Failure::Failed(format!(
            "{}: {} tokens are less than a window of {window}: give a longer text or a smaller -c",
            args.file.display(),
            tokens.len()
        )));
    }
    let mut session = loaded.session()?;

    let kernels = loaded.model.kernels();
    let bar = progress(windows as u64, "windows");
    let (start, mut sum, mut counted, mut done) = (Instant::now(), 0.0, 0, 0);
    let (mut scratch, mut nll) = (Vec::new(), Vec::new());
    for text in tokens.chunks_exact(window).take(windows) {
        let mut input = text.to_vec();
        if let Some(bos) = bos {
            input[0] = bos;
        }
        session.truncate(0);
        // The logits after token i predict token i + 1: the last needs none.
        let rows = window / 2..window - 1;
        let each = |i: usize, logits: &mut [f32]| {
            nll.push(-log_probs(kernels, logits, &mut scratch, input[i + 1], 0).chosen);
        };
        match session.forward_each(&input, rows, each) {
            Err(Error::Cancelled) if done > 0 => break, // what is done is reported
            other => other?,
        }
        sum += nll.iter().sum::<f64>();
        counted += nll.len();
        nll.clear();
        done += 1;
        bar.inc(1);
        bar.set_message(format!("ppl {:.4}", (sum / counted as f64).exp()));
    }
    bar.finish_and_clear();

    let ppl = libm::exp(sum / counted as f64);
    if args.json {
        output::json(&json!({
            "ppl": ppl,
            "nll": sum / counted as f64,
            "tokens": tokens.len(),
            "predicted": counted,
            "windows": done,
            "context": window,
            "seconds": start.elapsed().as_secs_f64(),
        }))?;
    } else {
        line(format_args!("perplexity {ppl:.4} over {done} windows of {window} tokens"))?;
    }
    if done < windows { Err(Failure::Interrupted) } else { Ok(()) }
}
