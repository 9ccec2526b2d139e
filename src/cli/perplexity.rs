//! `quintile perplexity`: how well a model predicts a text.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use crate::model::Error;
use crate::model::sampler::log_probs;

use super::output::{self, Failure, line, progress};
use super::setup::ModelArgs;
use super::windows::WindowArgs;

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
    #[command(flatten)]
    windows: WindowArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    args.windows.check()?;
    let loaded = args.model.load(Some(args.windows.context))?;
    let windows = args.windows.cut(&args.file, &loaded.tokenizer()?)?;
    let mut session = loaded.session()?;

    let kernels = loaded.model.kernels();
    let bar = progress(windows.count() as u64, "windows");
    let (start, mut sum, mut counted, mut done) = (Instant::now(), 0.0, 0, 0);
    let (mut scratch, mut nll) = (Vec::new(), Vec::new());
    for input in windows.iter() {
        session.truncate(0);
        let each = |i: usize, logits: &mut [f32]| {
            nll.push(-log_probs(kernels, logits, &mut scratch, input[i + 1], 0).chosen);
        };
        match session.forward_each(&input, windows.predicted(), each) {
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
            "tokens": windows.tokens().len(),
            "predicted": counted,
            "windows": done,
            "context": windows.len(),
            "seconds": start.elapsed().as_secs_f64(),
        }))?;
    } else {
        line(format_args!("perplexity {ppl:.4} over {done} windows of {} tokens", windows.len()))?;
    }
    if done < windows.count() { Err(Failure::Interrupted) } else { Ok(()) }
}
