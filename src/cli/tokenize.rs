//! `quintile tokenize` and `quintile detokenize`: for any architecture, and files of a vocabulary alone.

use std::path::PathBuf;

use crate::model::tokenizer::{DecodeOptions, EncodeOptions};

use super::output::{Failure, line, write};
use super::setup::{Compute, TextArgs, open, read_stdin, tokenizer};

/// Options of `tokenize`.
#[derive(clap::Args)]
#[command(after_help = "Example: quintile tokenize -m model.gguf -p 'Hello'  prints  [9707]")]
pub struct Args {
    /// The GGUF file
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    #[command(flatten)]
    compute: Compute,
    #[command(flatten)]
    text: TextArgs,
    /// Neither add special tokens nor recognise them in the text
    #[arg(long)]
    no_special: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    args.compute.isa()?;
    let text = args.text.read()?;
    let tokenizer = tokenizer(&open(&args.model, true)?)?;
    let special = !args.no_special;
    let ids =
        tokenizer.encode(&text, EncodeOptions { add_special: special, parse_special: special });
    line(serde_json::json!(ids))
}

/// Options of `detokenize`.
#[derive(clap::Args)]
#[command(after_help = "Example: quintile tokenize -m M -p 'Hello' | quintile detokenize -m M")]
pub struct DetokenizeArgs {
    /// The GGUF file
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    #[command(flatten)]
    compute: Compute,
    /// Token ids; from stdin, as a JSON list, if there are none
    ids: Vec<u32>,
    /// Leave out control tokens
    #[arg(long)]
    no_special: bool,
}

pub fn detokenize(args: &DetokenizeArgs) -> Result<(), Failure> {
    args.compute.isa()?;
    let tokenizer = tokenizer(&open(&args.model, true)?)?;
    let ids = if args.ids.is_empty() {
        serde_json::from_str::<Vec<u32>>(&read_stdin()?)
            .map_err(|e| Failure::Failed(format!("stdin is not a JSON list of token ids: {e}")))?
    } else {
        args.ids.clone()
    };
    let vocab = tokenizer.vocab_len();
    if let Some(id) = ids.iter().find(|&&id| id as usize >= vocab) {
        return Err(Failure::Failed(format!("token {id} is outside the vocabulary of {vocab}")));
    }
    write(&tokenizer.decode(&ids, DecodeOptions { special: !args.no_special }))
}
