//! Conversations to prompts, by the chat template in the model file.
//!
//! A template is a program in the language of Jinja, written for Python: [`ChatTemplate`] renders it as
//! `apply_chat_template` of the Python package `transformers` does (`tests/chat_templates.rs` compares, byte for byte):
//!
//! - `trim_blocks`, `lstrip_blocks`, loop controls, `{% generation %}`, methods of Python's strings and dicts;
//! - `raise_exception`, `strftime_now`, and a `tojson` that writes what Python's `json.dumps` does;
//! - keys of a message whose value is null are left out, and its reasoning is found under `reasoning_content` and
//!   `thinking`, whichever of the two or `reasoning` it was given as;
//! - `bos_token`, `eos_token` and the like are the texts of the vocabulary's tokens.
//!
//! Whoever wrote the file wrote the program, so it runs within limits: so many steps and bytes (they grow with the
//! conversation), so deep a recursion, so long a range, so long an output. A template that goes beyond ends in an error, within
//! a second and 64 MB.
//!
//! Text of users must not pass for the template's own control tokens: see [`ChatTemplate::prompt`].

mod conversation;
mod environment;
mod generation;
mod json;
mod literal;
mod strftime;

pub use conversation::Conversation;

use minijinja::Environment;
use serde_json::{Map, Value as Json};

use super::tokenizer::Tokenizer;
use crate::gguf::{self, Gguf};

/// The longest template, in bytes; published ones have up to some 20 000.
pub const MAX_TEMPLATE_LEN: usize = 256 << 10;

/// Why a conversation makes no prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file has no template, or none of the name asked for.
    #[error(
        "{file} has no {key}: it may be a model without conversations; continue a plain text instead"
    )]
    NoTemplate {
        /// The file's path, or how it was given.
        file: String,
        /// The metadata key.
        key: String,
    },
    /// The metadata cannot be read.
    #[error(transparent)]
    File(#[from] gguf::Error),
    /// The template is longer than [`MAX_TEMPLATE_LEN`].
    #[error("the chat template has {len} bytes, more than {MAX_TEMPLATE_LEN}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The template refuses the conversation, in its own words (`raise_exception`).
    #[error("the chat template refuses this conversation: {0}")]
    Refused(String),
    /// The template cannot be parsed, fails, or goes beyond its limits.
    #[error("the chat template fails: {0}")]
    Template(String),
    /// Messages, tools or documents are not of the form that templates expect.
    #[error("{0}")]
    Conversation(String),
    /// There is no thread to render on.
    #[error("cannot start a thread for the chat template: {0}")]
    Thread(std::io::Error),
}

/// Texts of special tokens that a template may write. A variable of a token that is not there is undefined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTexts {
    /// `bos_token`
    pub bos: Option<String>,
    /// `eos_token`
    pub eos: Option<String>,
    /// `unk_token`
    pub unk: Option<String>,
    /// `sep_token`
    pub sep: Option<String>,
    /// `pad_token`
    pub pad: Option<String>,
}

impl SpecialTexts {
    /// Those of a vocabulary.
    pub fn of(tokenizer: &Tokenizer) -> SpecialTexts {
        let text = |id: Option<u32>| {
            id.map(|id| String::from_utf8_lossy(tokenizer.token_bytes(id)).into_owned())
        };
        SpecialTexts {
            bos: text(tokenizer.bos()),
            eos: text(tokenizer.eos()),
            unk: text(tokenizer.unk()),
            sep: text(tokenizer.sep()),
            pad: text(tokenizer.pad()),
        }
    }
}

/// Which time `strftime_now` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// The time of the system, in its time zone (in UTC where that cannot be asked for).
    #[default]
    System,
    /// Always these seconds since 1970, in UTC.
    Fixed(i64),
}

/// A chat template, parsed; see the [module](self).
///
/// ```
/// use quintile::model::chat::{ChatTemplate, Conversation, SpecialTexts};
/// use serde_json::json;
///
/// let source = "{{ bos_token }}{% for m in messages %}[{{ m.role | upper }}] {{ m['content'].strip() }}\n{% endfor %}";
/// let tokens = SpecialTexts { bos: Some("<s>".into()), ..SpecialTexts::default() };
/// let template = ChatTemplate::new(source, &tokens)?;
/// let conversation = Conversation::new(vec![json!({"role": "user", "content": " Hi! "})]);
/// assert_eq!(template.render(&conversation)?, "<s>[USER] Hi!\n");
/// # Ok::<(), quintile::model::chat::Error>(())
/// ```
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special: Map<String, Json>,
}

impl ChatTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// If it is too long or its syntax is wrong.
    pub fn new(source: &str, special: &SpecialTexts) -> Result<ChatTemplate, Error> {
        ChatTemplate::with_clock(source, special, Clock::System)
    }

    /// As [`new`](Self::new), with a time for `strftime_now`.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_clock(source: &str, special: &SpecialTexts, clock: Clock) -> Result<Self, Error> {
        if source.len() > MAX_TEMPLATE_LEN {
            return Err(Error::TooLong { len: source.len() });
        }
        let environment = environment::on_large_stack(|| {
            environment::parse(&generation::rewrite(source), clock)
        })?;
        let named = [
            ("bos_token", &special.bos),
            ("eos_token", &special.eos),
            ("unk_token", &special.unk),
            ("sep_token", &special.sep),
            ("pad_token", &special.pad),
        ];
        let special = named
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into())))
            .collect();
        Ok(ChatTemplate { environment, special })
    }

    /// The template of a file: of the key `tokenizer.chat_template`, or, where there are tools and the file has a
    /// template for them, of `tokenizer.chat_template.tool_use`.
    ///
    /// # Errors
    /// If there is none, or it cannot be parsed.
    pub fn from_gguf(file: &Gguf, tokenizer: &Tokenizer, tools: bool) -> Result<Self, Error> {
        const KEYS: [&str; 2] = ["tokenizer.chat_template.tool_use", "tokenizer.chat_template"];
        let mut found = None;
        for key in if tools { &KEYS[..] } else { &KEYS[1..] } {
            found = found.or(file.metadata().str(key)?);
        }
        let path = || file.path().map_or_else(|| "the file".into(), |p| p.display().to_string());
        let source =
            found.ok_or_else(|| Error::NoTemplate { file: path(), key: KEYS[1].to_owned() })?;
        ChatTemplate::new(source, &SpecialTexts::of(tokenizer))
    }

    /// The text that the template makes of a conversation.
    ///
    /// # Errors
    /// If the template refuses it, fails, or goes beyond its limits.
    pub fn render(&self, conversation: &Conversation) -> Result<String, Error> {
        environment::on_large_stack(|| {
            environment::render(&self.environment, conversation.variables(&self.special))
        })
    }

    /// The tokens of a conversation: its text, with the template's control tokens recognised.
    ///
    /// In the contents of messages that are not the assistant's, in tools and in documents the name of a control token is
    /// a text like any other: nobody ends his turn and begins the system's by writing `<|im_end|>`.
    ///
    /// The text begins with BOS once, where the vocabulary asks for it, whether or not the template writes it.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn prompt(
        &self,
        conversation: &Conversation,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>, Error> {
        let marked = self.render(&literal::mark(conversation, tokenizer))?;
        let (text, literal) = literal::unmark(&marked);
        let mut tokens = tokenizer.encode_except(&text, &literal);
        if tokenizer.adds_bos() && tokens.first().copied() != tokenizer.bos() {
            tokens.splice(..0, tokenizer.bos());
        }
        Ok(tokens)
    }
}
