//! A conversation, what the model has computed of it, and its answers.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::output::{Failure, bytes, progress, rate, status, write};
use crate::cli::prompt::TemplateArgs;
use crate::cli::sampling::{Chooser, FormArgs};
use crate::cli::setup::Loaded;
use crate::model::chat::{ChatTemplate, Conversation};
use crate::model::sampler::Sampler;
use crate::model::tokenizer::Tokenizer;
use crate::model::{Error, Finish, GenerateOptions, Generator, Session, system};

/// How answers are generated.
pub struct Setup<'a> {
    pub sampler: Sampler,
    pub form: &'a FormArgs,
    /// Tokens of an answer at most.
    pub n_predict: usize,
    /// Texts before which an answer ends.
    pub stop: &'a [String],
    pub template: &'a TemplateArgs,
}

/// A conversation with a model.
pub struct Dialogue<'a> {
    loaded: &'a Loaded,
    tokenizer: &'a Tokenizer,
    template: ChatTemplate,
    session: Session<'a>,
    chooser: Chooser,
    n_predict: usize,
    stop: &'a [String],
    pub conversation: Conversation,
    last: Option<Turn>,
}

/// What an answer cost.
#[derive(Default)]
struct Turn {
    prompt: usize,
    reused: usize,
    answer: usize,
    prefill: Duration,
    decode: Duration,
}

impl<'a> Dialogue<'a> {
    /// A conversation without messages.
    pub fn new(
        loaded: &'a Loaded,
        tokenizer: &'a Tokenizer,
        setup: Setup<'a>,
    ) -> Result<Dialogue<'a>, Failure> {
        let template = setup.template.load(loaded, tokenizer, false)?;
        let mut conversation = Conversation::new(Vec::new());
        conversation.variables = setup.template.variables();
        Ok(Dialogue {
            loaded,
            tokenizer,
            template,
            session: loaded.session()?,
            chooser: Chooser::new(setup.sampler, setup.form, tokenizer)?,
            n_predict: setup.n_predict,
            stop: setup.stop,
            conversation,
            last: None,
        })
    }

    /// Positions of the context.
    pub fn context(&self) -> usize {
        self.session.context()
    }

    /// Bytes of the cache.
    pub fn cache_bytes(&self) -> usize {
        self.session.cache_bytes()
    }

    /// The text of the system message.
    pub fn system(&self) -> Option<&str> {
        let first = self.conversation.messages.first()?;
        if first["role"] == "system" { first["content"].as_str() } else { None }
    }

    /// Sets the system message; an empty text removes it.
    pub fn set_system(&mut self, text: &str) {
        let messages = &mut self.conversation.messages;
        if messages.first().is_some_and(|first| first["role"] == "system") {
            messages.remove(0);
        }
        if !text.is_empty() {
            messages.insert(0, json!({"role": "system", "content": text}));
        }
    }

    /// Goes on with other messages; whether they wait for an answer.
    pub fn take_up(&mut self, conversation: Conversation) -> bool {
        let variables = std::mem::take(&mut self.conversation.variables);
        self.conversation = conversation;
        self.conversation.add_generation_prompt = true;
        self.conversation.variables.extend(variables);
        let last = self.conversation.messages.last();
        last.is_some_and(|last| last["role"] == "user" || last["role"] == "tool")
    }

    /// Answers the last message. A message that cannot be answered is taken back, and the conversation goes on without it.
    pub fn answer(&mut self) -> Result<(), Failure> {
        let prompt = match self.template.prompt(&self.conversation, self.tokenizer) {
            Ok(prompt) => prompt,
            Err(error) => return self.take_back(&error.to_string()),
        };
        let context = self.session.context();
        if prompt.len() > context {
            return self.take_back(&format!(
                "the conversation would have {} tokens, and the context has room for {context}: {GO_ON}",
                prompt.len()
            ));
        }
        // A context that the prompt fills has room for one token more, which is not computed.
        let room = context - prompt.len() + 1;
        match self.chooser.begin(self.n_predict.min(room)) {
            Err(Failure::Failed(message)) => return self.take_back(&message),
            other => other?,
        }
        let reused = self.session.reuse(&prompt);
        let mut turn = Turn { prompt: prompt.len(), reused, ..Turn::default() };
        let mut text = String::new();
        let finish = self.generate(prompt, &mut turn, &mut text)?;
        if !text.is_empty() && !text.ends_with('\n') {
            write(b"\n")?;
        }
        self.chooser.check()?;
        let answer = turn.answer;
        self.last = Some(turn);
        match finish {
            // Nothing at all: there is no answer to keep.
            Some(Finish::Cancelled) if text.is_empty() => {
                return self.take_back("(stopped before the answer began)");
            }
            Some(Finish::Cancelled) => {
                status(format_args!("(stopped; what is there of the answer stays)"));
            }
            _ if answer == room => status(format_args!(
                "(the context of {context} is full: the answer may be cut off, and stays; {GO_ON})"
            )),
            Some(Finish::Length) => status(format_args!("(cut off after {answer} tokens: see -n)")),
            _ => {}
        }
        if finish != Some(Finish::Cancelled) && !self.chooser.is_complete() {
            status(format_args!("(the answer is not of the form asked for: it is cut off)"));
        }
        self.conversation.messages.push(json!({"role": "assistant", "content": text}));
        Ok(())
    }

    /// Shows an answer while it is made, and says why it ended.
    fn generate(
        &mut self,
        prompt: Vec<u32>,
        turn: &mut Turn,
        text: &mut String,
    ) -> Result<Option<Finish>, Failure> {
        let options = GenerateOptions {
            max_tokens: self.n_predict,
            stop: self.stop.to_vec(),
            ..GenerateOptions::default()
        };
        let new = prompt.len() - turn.reused;
        let bar = (new > self.loaded.session.batch).then(|| progress(new as u64, "prompt"));
        let advance = |tokens: usize| bar.iter().for_each(|bar| bar.inc(tokens as u64));
        let (session, chooser) = (&mut self.session, &mut self.chooser);
        let mut generator = Generator::new(session, self.tokenizer, chooser, prompt, options)?;
        let start = Instant::now();
        let prefilled = generator.prefill(advance);
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        turn.prefill = start.elapsed();
        let start = Instant::now();
        let finish = match prefilled {
            Err(Error::Cancelled) => Some(Finish::Cancelled),
            other => {
                other?;
                for piece in &mut generator {
                    let piece = piece?;
                    turn.answer += 1;
                    show(text, &piece.text)?;
                }
                show(text, &generator.take_held())?;
                generator.finish()
            }
        };
        turn.decode = start.elapsed();
        Ok(finish)
    }

    fn take_back(&mut self, why: &str) -> Result<(), Failure> {
        let last = self.conversation.messages.pop();
        let text = last.as_ref().and_then(|last| last["content"].as_str()).unwrap_or_default();
        let start: String = text.chars().take(40).collect();
        let dots = if start.len() < text.len() { "..." } else { "" };
        status(format_args!("{why}"));
        status(format_args!("(not taken: {start:?}{dots})"));
        Ok(())
    }

    /// Tells on stderr what the conversation and its last answer cost.
    pub fn report(&self) {
        let turns = self.conversation.messages.iter().filter(|m| m["role"] == "assistant").count();
        status(format_args!(
            "{turns} answer{}; {} of {} positions are filled, {} of cache; peak memory {}",
            if turns == 1 { "" } else { "s" },
            self.session.position(),
            self.session.context(),
            bytes(self.session.cache_bytes() as u64),
            system::peak_memory().map_or_else(|| "unknown".into(), bytes),
        ));
        if let Some(turn) = &self.last {
            let new = turn.prompt - turn.reused;
            status(format_args!(
                "last answer: {} tokens before it, {} of them computed earlier, {new} now at {:.2} t/s; {} tokens at {:.2} t/s",
                turn.prompt,
                turn.reused,
                rate(new, turn.prefill),
                turn.answer,
                rate(turn.answer.saturating_sub(1), turn.decode),
            ));
        }
    }
}

const GO_ON: &str = "/save keeps it, /reset begins anew, and a larger -c has more room";

/// Adds a piece to an answer, and shows it.
fn show(text: &mut String, piece: &str) -> Result<(), Failure> {
    if piece.is_empty() {
        return Ok(());
    }
    *text += piece;
    let terminal = std::io::stdout().is_terminal();
    let shown = if terminal { tame(piece) } else { piece.into() };
    write(shown.as_bytes())
}

/// A text without characters that drive a terminal.
fn tame(text: &str) -> Cow<'_, str> {
    let drives = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(drives) { text.replace(drives, "\u{fffd}").into() } else { text.into() }
}
