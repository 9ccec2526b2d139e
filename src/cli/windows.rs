//! A text cut into windows, of which the second halves are predicted.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;

use crate::model::tokenizer::{EncodeOptions, Tokenizer};

use super::output::Failure;
use super::setup::read_file;

/// How the text is given and cut.
#[derive(clap::Args)]
pub struct WindowArgs {
    /// Tokens of a window
    #[arg(short, long, value_name = "N", default_value = "512")]
    pub context: NonZeroUsize,
    /// Only the first windows
    #[arg(long, value_name = "N")]
    windows: Option<NonZeroUsize>,
}

/// The tokens of the windows.
pub struct Windows {
    tokens: Vec<u32>,
    /// What each window begins with instead of its first token.
    bos: Option<u32>,
    len: usize,
    count: usize,
}

impl WindowArgs {
    /// Cuts the text in a file.
    pub fn cut(&self, file: &Path, tokenizer: &Tokenizer) -> Result<Windows, Failure> {
        let text = read_file(file)?;
        let len = self.context.get();
        let options = EncodeOptions { add_special: true, parse_special: false };
        let tokens = tokenizer.encode(&text, options);
        let bos = if tokenizer.adds_bos() { tokenizer.bos() } else { None };
        let count = (tokens.len() / len).min(self.windows.map_or(usize::MAX, NonZeroUsize::get));
        if count == 0 {
            return Err(Failure::Failed(format!(
                "{}: {} tokens are less than a window of {len}: give a longer text or a smaller -c",
                file.display(),
                tokens.len()
            )));
        }
        Ok(Windows { tokens, bos, len, count })
    }

    /// Says whether windows of this length can be used, before anything is loaded.
    pub fn check(&self) -> Result<(), Failure> {
        match self.context.get() {
            len @ 0..4 => {
                Err(Failure::Usage(format!("a window of {len} tokens; it takes at least 4")))
            }
            _ => Ok(()),
        }
    }
}

impl Windows {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Tokens of each.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tokens of the whole text.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// What is predicted: the logits after token `i` of a window predict token `i + 1`, so the last
    /// needs none.
    pub fn predicted(&self) -> Range<usize> {
        self.len / 2..self.len - 1
    }

    /// The tokens of each window.
    pub fn iter(&self) -> impl Iterator<Item = Vec<u32>> {
        self.tokens.chunks_exact(self.len).take(self.count).map(|tokens| {
            let mut tokens = tokens.to_vec();
            if let Some(bos) = self.bos {
                tokens[0] = bos;
            }
            tokens
        })
    }
}
