//! Output of a given form: a grammar or a JSON schema says, at each step, which tokens may follow.
//!
//! The work is done by the crate `llguidance`: it walks the vocabulary, as a tree of bytes, and the grammar at once, and gives the set of
//! tokens that keep the text a beginning of something valid. All others get the logit `-inf` before a [`Sampler`] chooses, so a token's
//! probability is what it was, relative to those that are allowed.
//!
//! A text that is cut off is no valid one. So a [`Grammar`] looks for a short way to the end now and then, and takes it where otherwise
//! too few tokens would be left: [`Grammar::choose`].

mod finish;
mod gbnf;

use std::collections::VecDeque;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::Value as Json;

use super::sampler::Sampler;
use super::tokenizer::Tokenizer;
use crate::kernels::Kernels;
use finish::Closing;

pub use gbnf::gbnf_to_lark;

/// The longest token that the tree of bytes takes; longer ones are never chosen.
const MAX_TOKEN: usize = 1000;

/// Tokens between two looks at how far the end is, while it is far away.
const INTERVAL: usize = 16;

/// Why there is no grammar, or it cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The grammar or the schema is wrong, or not supported.
    #[error("{0}")]
    Grammar(String),
    /// The vocabulary has no token that ends a text.
    #[error("the vocabulary has no end-of-text token: output of a given form would never end")]
    NoEnd,
    /// The walk through the grammar went beyond its limits.
    #[error("the grammar cannot go on: {0}")]
    Stuck(String),
}

/// What output is to look like.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Form<'a> {
    /// A JSON text that fits a JSON schema.
    JsonSchema(&'a Json),
    /// A grammar in the dialect of Lark that llguidance reads.
    Lark(&'a str),
    /// A grammar as llama.cpp's.
    Gbnf(&'a str),
}

impl<'a> Form<'a> {
    /// A grammar in either notation: only GBNF has `::=`.
    pub fn of_grammar(source: &'a str) -> Form<'a> {
        if source.contains("::=") { Form::Gbnf(source) } else { Form::Lark(source) }
    }
}

/// A grammar, for the tokens of a vocabulary, and how far a text has come in it.
pub struct Grammar {
    fresh: Matcher,
    matcher: Matcher,
    closing: Closing,
    /// The rest of the text, once there is only one way left.
    plan: VecDeque<u32>,
    /// Tokens to the end, as of the last look.
    need: Option<usize>,
    /// Tokens since then.
    unseen: usize,
}

impl Grammar {
    /// Compiles a grammar.
    ///
    /// # Errors
    /// If it is wrong, or not supported: the message says where.
    pub fn new(form: Form<'_>, tokenizer: &Tokenizer) -> Result<Grammar, Error> {
        let wrong = |error: &dyn std::fmt::Display| Error::Grammar(error.to_string());
        let grammar = match form {
            Form::JsonSchema(schema) => TopLevelGrammar::from_json_schema(schema.clone()),
            Form::Lark(source) => TopLevelGrammar::from_lark(source.to_owned()),
            Form::Gbnf(source) => TopLevelGrammar::from_lark(gbnf_to_lark(source)?),
        };
        let trie = trie(tokenizer)?;
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&environment).map_err(|e| wrong(&e))?;
        factory.set_stderr_log_level(0);
        factory.limits_mut().verbose_errors = false;
        let matcher = Matcher::new(factory.create_parser(grammar));
        if let Some(message) = matcher.get_error() {
            return Err(Error::Grammar(message));
        }
        let closing = Closing::new(environment);
        let mut grammar = Grammar {
            fresh: matcher.deep_clone(),
            matcher,
            closing,
            plan: VecDeque::new(),
            need: None,
            unseen: 0,
        };
        grammar.need = grammar.closing.way(&grammar.matcher, usize::MAX).map(|way| way.len());
        Ok(grammar)
    }

    /// Begins a new text.
    pub fn reset(&mut self) {
        self.matcher = self.fresh.deep_clone();
        self.plan.clear();
        self.need = self.closing.way(&self.matcher, usize::MAX).map(|way| way.len());
        self.unseen = 0;
    }

    /// Tokens of the shortest way to an end that was found, without the token that ends the text; `None` where none was.
    pub fn shortest(&self) -> Option<usize> {
        self.need
    }

    /// The token that ends a text.
    pub fn end(&self) -> u32 {
        self.closing.end()
    }

    /// Whether the text is complete as it is.
    pub fn is_complete(&mut self) -> bool {
        if self.matcher.is_error() {
            return false;
        }
        self.matcher.is_stopped() || self.matcher.is_accepting().unwrap_or(false)
    }

    /// Chooses the next token, of which `left` may still come: as the sampler does, among those that the grammar allows.
    ///
    /// Once the text can only end, it is the token that ends it. Where a token would leave too few to come to an end, the shortest
    /// way that was found is taken instead. Ways are looked for by closing what is open (see `finish`), which finds one for JSON;
    /// where none is found the text may be cut off, and [`is_complete`](Self::is_complete) is false.
    ///
    /// # Errors
    /// If the grammar goes beyond its limits.
    pub fn choose(
        &mut self,
        sampler: &mut Sampler,
        kernels: &Kernels,
        logits: &mut [f32],
        history: &[u32],
        left: usize,
    ) -> Result<u32, Error> {
        if self.matcher.is_stopped() && !self.matcher.is_error() {
            // Nothing can follow.
            return Ok(self.closing.end());
        }
        if let Some(token) = self.plan.pop_front() {
            self.accept(token)?;
            return Ok(token);
        }
        let allowed = self.matcher.compute_mask().map_err(stuck)?;
        mask(logits, &allowed);
        let mut token = sampler.sample(kernels, logits, history);
        if !allowed.is_allowed(token) {
            // Every allowed logit is NaN or -inf.
            token = allowed.iter().next().ok_or_else(|| stuck("no token may follow"))?;
        }
        if self.must_look(left) {
            let mut after = self.matcher.clone();
            let fits = after.consume_token(token).is_ok();
            let way = fits.then(|| self.closing.way(&after, left.saturating_sub(1))).flatten();
            if let Some(way) = way {
                self.need = Some(way.len());
            } else if let Some(way) = self.closing.way(&self.matcher, left) {
                self.plan = way.into();
                let end = self.closing.end();
                token = self.plan.pop_front().unwrap_or(end);
            } else {
                self.need = None;
            }
        }
        self.accept(token)?;
        Ok(token)
    }

    /// Whether to see how far the end is: for each token where half as much again as it last took would not fit, and else now
    /// and then, the more seldom the longer a look takes.
    fn must_look(&mut self, left: usize) -> bool {
        self.unseen += 1;
        let look = self.need.is_some_and(|need| {
            left <= need + need / 2 + INTERVAL || self.unseen >= INTERVAL.max(need / 2)
        });
        if look {
            self.unseen = 0;
        }
        look
    }

    fn accept(&mut self, token: u32) -> Result<(), Error> {
        self.matcher.consume_token(token).map_err(stuck)
    }
}

fn stuck(error: impl std::fmt::Display) -> Error {
    Error::Stuck(error.to_string())
}

/// Takes all but the allowed tokens out of the choice.
fn mask(logits: &mut [f32], allowed: &SimpleVob) {
    let words = allowed.as_slice();
    for (i, logits) in logits.chunks_mut(32).enumerate() {
        let word = words.get(i).copied().unwrap_or(0);
        if word == u32::MAX {
            continue;
        }
        for (bit, logit) in logits.iter_mut().enumerate() {
            if word >> bit & 1 == 0 {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}

/// The vocabulary as a tree of bytes. Control tokens begin with a byte that no text has.
fn trie(tokenizer: &Tokenizer) -> Result<TokTrie, Error> {
    let count = tokenizer.vocab_len();
    let ids = 0..u32::try_from(count).unwrap_or(u32::MAX);
    let mut ends: Vec<u32> = ids.clone().filter(|&id| tokenizer.is_end_of_generation(id)).collect();
    // The first is the one that others speak of.
    let first =
        tokenizer.eot().or(tokenizer.eos()).or(ends.first().copied()).ok_or(Error::NoEnd)?;
    ends.retain(|&id| id != first);
    ends.insert(0, first);
    let word = |id: u32| {
        let bytes = tokenizer.token_bytes(id);
        if tokenizer.is_control(id) || ends.contains(&id) {
            [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat()
        } else if bytes.len() > MAX_TOKEN || bytes.contains(&TokTrie::SPECIAL_TOKEN_MARKER) {
            Vec::new()
        } else {
            bytes.to_vec()
        }
    };
    let words: Vec<Vec<u8>> = ids.map(word).collect();
    let info = TokRxInfo::new(u32::try_from(count).unwrap_or(u32::MAX), first);
    Ok(TokTrie::from(&info, &words).with_eos_tokens(&ends))
}
