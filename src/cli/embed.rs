//! `quintile embed`: vectors of texts.

use std::path::PathBuf;

use serde_json::json;

use crate::model::embed::{Pooling, embed, normalise};
use crate::model::tokenizer::EncodeOptions;

use super::output::{self, Failure, progress, write};
use super::setup::{ModelArgs, read_file, read_stdin};

/// Options of `embed`.
#[derive(clap::Args)]
#[command(after_help = "\
Prints a JSON object, whose `embeddings` have a text's number of tokens and its vector each; with --raw the
vectors alone, one behind the other, as f32 in little-endian order. A vector is what the last norm makes of
the tokens, pooled; texts are computed one by one, and have the same bits in any company.

Examples:
  quintile embed -m model.gguf -p 'The quick brown fox'
  quintile embed -m model.gguf -f texts.txt --pooling last --raw > vectors.f32")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    texts: Texts,
    /// Make one vector of all tokens: mean, or last [default: the file's, else mean]
    #[arg(long, value_name = "KIND")]
    pooling: Option<Pooling>,
    /// Leave vectors as long as they are
    #[arg(long)]
    no_normalize: bool,
    /// Print the vectors as bytes, not as JSON
    #[arg(long)]
    raw: bool,
}

/// The texts.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Texts {
    /// One text; `-` reads texts from stdin, one a line
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Read texts from a file, one a line
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Texts {
    fn read(&self) -> Result<Vec<String>, Failure> {
        let lines = |text: String| text.lines().map(str::to_owned).collect();
        match (&self.prompt, &self.file) {
            (Some(text), _) if text == "-" => read_stdin().map(lines),
            (Some(text), _) => Ok(vec![text.clone()]),
            (None, Some(path)) => read_file(path).map(lines),
            (None, None) => Err(Failure::Usage("give a text with -p or -f".into())),
        }
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let texts = args.texts.read()?;
    let mut loaded = args.model.load(None)?;
    let pooling = match args.pooling {
        Some(pooling) => pooling,
        None => Pooling::of(&loaded.model)?.unwrap_or_default(),
    };
    let tokenizer = loaded.tokenizer()?;
    let special = EncodeOptions { add_special: true, parse_special: false };
    let texts: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text, special)).collect();
    if let Some(i) = texts.iter().position(Vec::is_empty) {
        let message = format!("text {} is empty: it has no tokens, and so no vector", i + 1);
        return Err(Failure::Failed(message));
    }
    // Room for the longest text.
    loaded.session.context = Some(texts.iter().map(Vec::len).max().unwrap_or(1));
    let mut session = loaded.session()?;
    let bar = progress(texts.len() as u64, "texts");
    let mut vectors = Vec::new();
    for tokens in &texts {
        let mut vector = embed(&mut session, tokens, pooling)?;
        if !args.no_normalize {
            normalise(&mut vector);
        }
        bar.inc(1);
        if args.raw {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            write(&bytes)?;
        } else {
            vectors.push(json!({ "tokens": tokens.len(), "embedding": vector }));
        }
    }
    bar.finish_and_clear();
    if args.raw {
        return Ok(());
    }
    output::json(&json!({
        "model": args.model.model.display().to_string(),
        "pooling": pooling.name(),
        "normalized": !args.no_normalize,
        "dimension": loaded.model.config().embedding,
        "embeddings": vectors,
    }))
}
