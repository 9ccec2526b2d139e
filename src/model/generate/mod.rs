//! The continuation of a text, token by token.
//!
//! A [`Generator`] is an iterator over what a model adds to a text: each [`Piece`] is a token, and the text that is complete with it. It can be
//! left at any time, and says [why it ended](Finish):
//!
//! ```
//! use quintile::model::{Finish, GenerateOptions, Generator, Model, Pool, Sampler, Session};
//! use quintile::model::tokenizer::EncodeOptions;
//!
//! let model = Model::open("tests/data/tiny/llama-linear.gguf")?;
//! let tokenizer = model.tokenizer()?;
//! let pool = Pool::new(1.try_into()?)?;
//! let mut session = Session::new(&model, &pool, &Default::default())?;
//! let mut sampler = Sampler::greedy();
//!
//! let prompt = tokenizer.encode("the and in on", EncodeOptions::default());
//! let options = GenerateOptions { max_tokens: 6, log_probs: Some(2), ..Default::default() };
//! let mut generator = Generator::new(&mut session, &tokenizer, &mut sampler, prompt, options)?;
//! for piece in &mut generator {
//!     let piece = piece?;
//!     // Chosen greedily, each token is the most likely one.
//!     assert_eq!(piece.token, piece.log_probs.unwrap().top[0].0);
//! }
//! assert_eq!(generator.finish(), Some(Finish::Length));
//!
//! // The text goes on from where it ended: what the session has computed stays.
//! let mut tokens = generator.into_tokens();
//! tokens.extend(tokenizer.encode(" of", EncodeOptions::default()));
//! let options = GenerateOptions { max_tokens: 4, ..Default::default() };
//! let generator = Generator::new(&mut session, &tokenizer, &mut sampler, tokens, options)?;
//! assert_eq!(generator.count(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::time::Instant;

use super::sampler::{LogProbs, log_probs};
use super::speculate::{Draft, Speculation};
use super::tokenizer::{EncodeOptions, Tokenizer, Utf8Stream};
use super::{Error, Session};
use crate::kernels::Kernels;

mod choose;
mod stop_strings;

pub use choose::Choose;

use stop_strings::StopStrings;

/// How a text is to be continued.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Tokens to generate at most.
    pub max_tokens: usize,
    /// Texts, not empty, before which generation ends; they are not part of the answer.
    pub stop: Vec<String>,
    /// Go on after an end-of-generation token.
    pub ignore_end: bool,
    /// Tell the log-probability of each token, and those of so many of the most likely ones.
    pub log_probs: Option<usize>,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        GenerateOptions {
            max_tokens: usize::MAX,
            stop: Vec::new(),
            ignore_end: false,
            log_probs: None,
        }
    }
}

/// A token that was generated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Piece {
    /// The token.
    pub token: u32,
    /// The text that is complete with it: nothing while a character or what may be a stop string is not, and then more than the token.
    pub text: String,
    /// Log-probabilities by the logits as the model gave them, before penalties and temperature, if they were asked for.
    pub log_probs: Option<LogProbs>,
}

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finish {
    /// The model ended the text: an end-of-generation token.
    End,
    /// As many tokens as were asked for.
    Length,
    /// A stop string.
    StopString,
    /// The session has no room for more.
    ContextFull,
    /// The flag in [`SessionOptions::cancel`](super::SessionOptions::cancel) was set.
    Cancelled,
    /// The time of [`Session::set_deadline`] has come.
    Deadline,
}

/// Continues a text in a session: an iterator that gives what is generated, piece by piece. See the [module](self).
///
/// It computes nothing ahead, beyond what is [drafted](super::speculate): to stop it, stop asking. The session then holds the text up to the
/// token before the last that was given, and a new generator may go on there.
pub struct Generator<'a, 'm, C: Choose + ?Sized> {
    session: &'a mut Session<'m>,
    text: Continuation<'a, C>,
    speculation: Option<&'a mut Speculation<dyn Draft + 'a>>,
    failed: bool,
}

/// Continues a text: [`Generator::new`] with the tokens of `prompt`, in which names of control tokens are not recognised.
///
/// # Errors
/// As [`Generator::new`].
pub fn generate<'a, 'm, C: Choose + ?Sized>(
    session: &'a mut Session<'m>,
    tokenizer: &'a Tokenizer,
    chooser: &'a mut C,
    prompt: &str,
    options: GenerateOptions,
) -> Result<Generator<'a, 'm, C>, Error> {
    let tokens =
        tokenizer.encode(prompt, EncodeOptions { add_special: true, parse_special: false });
    Generator::new(session, tokenizer, chooser, tokens, options)
}

impl<'a, 'm, C: Choose + ?Sized> Generator<'a, 'm, C> {
    /// Continues the text of these tokens, the first of which the session may hold already: as many as its
    /// [position](Session::position), and it is the caller's part that they are the same. The others are computed by
    /// [`prefill`](Self::prefill), or when the first piece is asked for.
    ///
    /// # Errors
    /// If there is no token, the session holds more, or a stop string is empty.
    pub fn new(
        session: &'a mut Session<'m>,
        tokenizer: &'a Tokenizer,
        chooser: &'a mut C,
        tokens: Vec<u32>,
        options: GenerateOptions,
    ) -> Result<Self, Error> {
        let refused = |message: String| Err(Error::Session(message));
        if tokens.is_empty() {
            return refused("a text of no token cannot be continued: give at least one".into());
        }
        if session.position() > tokens.len() {
            return refused(format!(
                "the session holds {} tokens, and the text to be continued has {}: truncate it first",
                session.position(),
                tokens.len()
            ));
        }
        if options.stop.iter().any(String::is_empty) {
            return refused("a stop string is empty".into());
        }
        let text = Continuation {
            tokenizer,
            chooser,
            kernels: session.model().kernels(),
            context: session.context(),
            tokens,
            left: options.max_tokens,
            ignore_end: options.ignore_end,
            log_probs: options.log_probs,
            stream: Utf8Stream::default(),
            stops: StopStrings::new(options.stop),
            ready: VecDeque::new(),
            finish: None,
            scratch: Vec::new(),
            batch: Vec::new(),
        };
        Ok(Generator { session, text, speculation: None, failed: false })
    }

    /// The same text, of which tokens are guessed and verified together: [`speculate`](super::speculate).
    ///
    /// ```
    /// use quintile::model::speculate::{Lookup, Speculation};
    /// use quintile::model::{GenerateOptions, Generator, Model, Pool, Sampler, Session};
    ///
    /// let model = Model::open("tests/data/tiny/llama-linear.gguf")?;
    /// let tokenizer = model.tokenizer()?;
    /// let pool = Pool::new(1.try_into()?)?;
    /// let mut session = Session::new(&model, &pool, &Default::default())?;
    /// let mut sampler = Sampler::greedy();
    /// let mut lookup = Speculation::new(Lookup::new());
    /// let options = GenerateOptions { max_tokens: 32, ..Default::default() };
    /// let text = vec![70, 71, 72, 73, 70, 71, 72];
    /// let generator = Generator::new(&mut session, &tokenizer, &mut sampler, text, options)?;
    /// for piece in generator.speculate(&mut lookup) {
    ///     print!("{}", piece?.text);
    /// }
    /// println!("{:?} of the drafted tokens were accepted", lookup.stats().acceptance());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn speculate(mut self, speculation: &'a mut Speculation<dyn Draft + 'a>) -> Self {
        self.speculation = Some(speculation);
        self
    }

    /// Computes what the session does not hold of the text yet, batch by batch; after each, `progress` is told how many tokens it had.
    ///
    /// # Errors
    /// As [`Session::forward`]; the batches that were done stay.
    pub fn prefill(&mut self, mut progress: impl FnMut(usize)) -> Result<(), Error> {
        let tokens = &self.text.tokens;
        if self.session.position() == tokens.len() && !self.session.has_logits() {
            self.session.truncate(tokens.len() - 1);
        }
        let batch = self.session.batch();
        let new = &tokens[self.session.position()..];
        if new.len() > self.session.context() - self.session.position() {
            // All or nothing: the error names the whole text.
            return self.session.forward(new);
        }
        for tokens in new.chunks(batch) {
            self.session.forward(tokens)?;
            progress(tokens.len());
        }
        Ok(())
    }

    /// Why generation ended; `None` before, and after an error.
    pub fn finish(&self) -> Option<Finish> {
        self.text.finish.filter(|_| self.text.ready.is_empty())
    }

    /// The tokens of the text, those that were given as pieces included.
    pub fn tokens(&self) -> &[u32] {
        &self.text.tokens[..self.given()]
    }

    /// The same, at the end.
    pub fn into_tokens(mut self) -> Vec<u32> {
        let given = self.given();
        let mut tokens = std::mem::take(&mut self.text.tokens);
        tokens.truncate(given);
        self.text.ready.clear();
        self.session.truncate(given);
        tokens
    }

    /// Text that was held back when generation was cancelled or left: an incomplete character, or what may have become a stop string.
    /// Nothing where it ended by itself.
    pub fn take_held(&mut self) -> String {
        self.text.rest()
    }

    fn given(&self) -> usize {
        self.text.tokens.len() - self.text.ready.len()
    }

    /// Takes the text on by at least one token.
    fn pass(&mut self) -> Result<(), Error> {
        self.session.check()?;
        let position = self.session.position();
        let decodes = self.text.tokens.len() == position + 1;
        match &mut self.speculation {
            Some(speculation) if decodes => self.text.verify(self.session, speculation),
            _ => {
                self.prefill(|_| {})?;
                self.text.choose(self.session.logits());
                Ok(())
            }
        }
    }
}

impl<C: Choose + ?Sized> Iterator for Generator<'_, '_, C> {
    type Item = Result<Piece, Error>;

    fn next(&mut self) -> Option<Result<Piece, Error>> {
        loop {
            if let Some(piece) = self.text.ready.pop_front() {
                return Some(Ok(piece));
            }
            if self.failed || self.text.finish.is_some() {
                return None;
            }
            if self.text.left == 0 {
                self.text.finish = Some(Finish::Length);
                return None;
            }
            match self.pass() {
                Ok(()) => {}
                Err(Error::Cancelled) => self.text.finish = Some(Finish::Cancelled),
                Err(Error::Deadline) => self.text.finish = Some(Finish::Deadline),
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl<C: Choose + ?Sized> FusedIterator for Generator<'_, '_, C> {}

impl<C: Choose + ?Sized> Drop for Generator<'_, '_, C> {
    fn drop(&mut self) {
        if !self.text.ready.is_empty() {
            // Pieces that nobody took are no part of the text.
            self.session.truncate(self.given());
        }
    }
}

/// The text so far, and all that chooses and describes its next token.
struct Continuation<'a, C: ?Sized> {
    tokenizer: &'a Tokenizer,
    chooser: &'a mut C,
    kernels: &'a Kernels,
    context: usize,
    /// Of the whole text, prompt included.
    tokens: Vec<u32>,
    left: usize,
    ignore_end: bool,
    log_probs: Option<usize>,
    stream: Utf8Stream,
    stops: StopStrings,
    /// Pieces that were not given yet: the last tokens.
    ready: VecDeque<Piece>,
    finish: Option<Finish>,
    scratch: Vec<f32>,
    /// Of the pass at hand.
    batch: Vec<u32>,
}

impl<C: Choose + ?Sized> Continuation<'_, C> {
    /// Chooses the next token.
    fn choose(&mut self, logits: &mut [f32]) -> u32 {
        // Choosing may change the logits: what is reported comes first.
        let unchanged = self.log_probs.map(|n| (n, logits.to_vec()));
        let token = self.chooser.choose(self.kernels, logits, &self.tokens);
        let log_probs = unchanged
            .map(|(n, logits)| log_probs(self.kernels, &logits, &mut self.scratch, token, n));
        self.append(token, log_probs);
        token
    }

    /// Computes the last token and what is guessed to follow it, and chooses tokens as long as they are those that were guessed, and one more.
    fn verify(
        &mut self,
        session: &mut Session<'_>,
        speculation: &mut Speculation<dyn Draft + '_>,
    ) -> Result<(), Error> {
        let before = self.tokens.len();
        // The last of a draft is followed by a token that is not computed here.
        let room = self.left.min(self.context - session.position()).saturating_sub(1);
        let chooser = &self.chooser;
        let drafted = speculation.propose(&self.tokens, || chooser.draft_sampler(), room)?;
        self.batch.clear();
        self.batch.push(self.tokens[before - 1]);
        self.batch.extend_from_slice(drafted);
        let start = Instant::now();
        let batch = std::mem::take(&mut self.batch);
        let result = session.forward_each(&batch, 0..batch.len(), |row, logits| {
            let goes_on = self.tokens.len() == before + row && self.finish.is_none();
            if goes_on && (row == 0 || self.tokens.last() == batch.get(row)) {
                self.choose(logits);
            }
        });
        // Of the text, all is computed but the last token: what was guessed beyond is forgotten.
        session.truncate(self.tokens.len() - 1);
        let (verified, chosen) = (batch.len() - 1, &self.tokens[before..]);
        if result.is_ok() {
            speculation.learn(verified, chosen, start.elapsed());
        }
        self.batch = batch;
        result
    }

    fn append(&mut self, token: u32, log_probs: Option<LogProbs>) {
        self.tokens.push(token);
        self.left -= 1;
        let mut text = String::new();
        let ends = self.tokenizer.is_end_of_generation(token) && !self.ignore_end;
        if !ends && !self.tokenizer.is_control(token) {
            let stopped;
            let complete = self.stream.push(self.tokenizer.token_bytes(token));
            (text, stopped) = self.stops.push(&complete);
            self.finish = stopped.then_some(Finish::StopString);
        }
        if self.finish.is_none() {
            self.finish = if ends {
                Some(Finish::End)
            } else if self.left == 0 {
                Some(Finish::Length)
            } else if self.tokens.len() > self.context {
                Some(Finish::ContextFull)
            } else {
                None
            };
            if self.finish.is_some() {
                text += &self.rest();
            }
        }
        self.ready.push_back(Piece { token, text, log_probs });
    }

    /// What was held back, when nothing follows.
    fn rest(&mut self) -> String {
        let (mut text, stopped) = self.stops.push(&self.stream.flush());
        if !stopped {
            text += &self.stops.take_held();
        }
        text
    }
}
