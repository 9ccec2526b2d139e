//! How tokens are chosen: options of commands that generate text.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use crate::kernels::Kernels;
use crate::model::generate::Choose;
use crate::model::grammar::{self, Form, Grammar};
use crate::model::sampler::{Sampler, SamplerOptions};
use crate::model::tokenizer::Tokenizer;

use super::output::{Failure, status};
use super::setup::read_file;

/// Options of the sampler.
#[derive(clap::Args)]
pub struct SamplingArgs {
    /// Temperature; 0 takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    temp: f32,
    /// Draw from this many of the most likely tokens; 0 for all
    #[arg(long, value_name = "K", default_value_t = 40)]
    top_k: usize,
    /// Draw from the most likely tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 0.95)]
    top_p: f32,
    /// Draw from tokens at least this many times as likely as the most likely
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    min_p: f32,
    /// Makes recent tokens less likely; 1 for none
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    repeat_penalty: f32,
    /// Seed of the draws [default: a new one each time, shown on stderr]
    #[arg(short, long, value_name = "S")]
    seed: Option<u64>,
}

impl SamplingArgs {
    /// The sampler, and its seed.
    pub fn sampler(&self) -> Result<(Sampler, u64), Failure> {
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
        let sampler = Sampler::new(SamplerOptions {
            temperature: self.temp,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            seed,
            ..SamplerOptions::default()
        });
        Ok((sampler.map_err(|e| Failure::Usage(e.to_string()))?, seed))
    }
}

/// What the output must look like.
#[derive(clap::Args)]
#[group(multiple = false)]
pub struct FormArgs {
    /// Generate JSON that fits the JSON schema in a file
    #[arg(long, value_name = "FILE")]
    json_schema: Option<PathBuf>,
    /// Generate text that follows the grammar in a file: GBNF, or Lark as llguidance reads it
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,
}

impl FormArgs {
    /// Whether the output may be anything.
    pub fn is_free(&self) -> bool {
        self.json_schema.is_none() && self.grammar.is_none()
    }

    /// The grammar, compiled.
    fn grammar(&self, tokenizer: &Tokenizer) -> Result<Option<Grammar>, Failure> {
        let Some(path) = self.json_schema.as_ref().or(self.grammar.as_ref()) else {
            return Ok(None);
        };
        let wrong =
            |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", path.display()));
        let source = read_file(path)?;
        let schema;
        let form = if self.json_schema.is_some() {
            schema = serde_json::from_str(&source).map_err(|e| wrong(&e))?;
            Form::JsonSchema(&schema)
        } else {
            Form::of_grammar(&source)
        };
        Grammar::new(form, tokenizer).map(Some).map_err(|e| wrong(&e))
    }
}

/// Chooses tokens: a sampler, and a grammar if there is one.
pub struct Chooser {
    sampler: Sampler,
    grammar: Option<Grammar>,
    left: usize,
    error: Option<grammar::Error>,
}

impl Chooser {
    pub fn new(
        sampler: Sampler,
        form: &FormArgs,
        tokenizer: &Tokenizer,
    ) -> Result<Chooser, Failure> {
        let grammar = form.grammar(tokenizer)?;
        Ok(Chooser { sampler, grammar, left: usize::MAX, error: None })
    }

    /// Begins a text of so many tokens at most.
    ///
    /// # Errors
    /// If no text that follows the grammar is so short, as far as is known.
    pub fn begin(&mut self, left: usize) -> Result<(), Failure> {
        self.left = left;
        self.error = None;
        let Some(grammar) = &mut self.grammar else { return Ok(()) };
        grammar.reset();
        match grammar.shortest() {
            Some(need) if need > left => Err(Failure::Failed(format!(
                "the shortest output of this form that was found has {need} tokens, and there is room for {left}: \
                 give a larger -n or -c"
            ))),
            Some(_) => Ok(()),
            None => {
                status(format_args!(
                    "no short way to the end of this grammar was found: the output may be cut off"
                ));
                Ok(())
            }
        }
    }

    /// What went wrong while tokens were chosen, if anything did; then the text was ended there.
    pub fn check(&mut self) -> Result<(), Failure> {
        self.error.take().map_or(Ok(()), |error| Err(Failure::of(error)))
    }

    /// Whether the output is of the form that was asked for, if one was.
    pub fn is_complete(&mut self) -> bool {
        self.grammar.as_mut().is_none_or(Grammar::is_complete)
    }
}

impl Choose for Chooser {
    fn choose(&mut self, kernels: &Kernels, logits: &mut [f32], history: &[u32]) -> u32 {
        let left = self.left;
        self.left = left.saturating_sub(1);
        let Some(grammar) = &mut self.grammar else {
            return self.sampler.sample(kernels, logits, history);
        };
        let chosen = grammar.choose(&mut self.sampler, kernels, logits, history, left);
        chosen.unwrap_or_else(|error| {
            self.error = Some(error);
            grammar.end()
        })
    }

    fn draft_sampler(&self) -> Sampler {
        self.sampler.clone()
    }
}
