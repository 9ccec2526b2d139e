//! What `run` continues: a text, or a conversation by the model's chat template.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use crate::model::chat::{ChatTemplate, Conversation, SpecialTexts};
use crate::model::tokenizer::{EncodeOptions, Tokenizer};

use super::output::Failure;
use super::setup::{Loaded, read_file, read_stdin};

/// Options of `run`.
#[derive(clap::Args)]
pub struct PromptArgs {
    #[command(flatten)]
    source: Source,
    /// Answer the text, as a user's message, by the chat template of the model
    #[arg(long)]
    chat: bool,
    /// A system message before that of the user
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        requires = "chat",
        conflicts_with = "messages"
    )]
    system: Option<String>,
    #[command(flatten)]
    template: TemplateArgs,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The text; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Read the text from a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Answer a conversation: a JSON list of messages with role and content, or an object of messages, tools, documents
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,
}

/// What a chat template is told beside the messages.
#[derive(clap::Args)]
pub struct TemplateArgs {
    /// Take the chat template of a file instead of that in the model
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
    /// Set a variable of the chat template, to JSON or a text: enable_thinking=false; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    template_var: Vec<(String, Json)>,
}

impl TemplateArgs {
    /// The variables.
    pub fn variables(&self) -> Map<String, Json> {
        self.template_var.iter().cloned().collect()
    }

    /// The template, for conversations with tools or without.
    pub fn load(
        &self,
        loaded: &Loaded,
        tokenizer: &Tokenizer,
        tools: bool,
    ) -> Result<ChatTemplate, Failure> {
        match &self.chat_template {
            None => {
                ChatTemplate::from_gguf(loaded.model.file(), tokenizer, tools).map_err(Failure::of)
            }
            Some(path) => ChatTemplate::new(&read_file(path)?, &SpecialTexts::of(tokenizer))
                .map_err(|e| Failure::Failed(format!("{}: {e}", path.display()))),
        }
    }
}

fn variable(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// What is to be continued.
pub enum Prompt {
    Text(String),
    Conversation(Conversation),
}

impl PromptArgs {
    /// Reads it.
    pub fn read(&self) -> Result<Prompt, Failure> {
        let text = match &self.source {
            Source { messages: Some(path), .. } => {
                let mut conversation = read_conversation(path)?;
                conversation.variables.extend(self.template.variables());
                return Ok(Prompt::Conversation(conversation));
            }
            Source { prompt: Some(text), .. } if text == "-" => read_stdin()?,
            Source { prompt: Some(text), .. } => text.clone(),
            Source { file: Some(path), .. } => read_file(path)?,
            _ => return Err(Failure::Usage("give a text with -p or -f".into())),
        };
        if !self.chat {
            return Ok(Prompt::Text(text));
        }
        let system = self.system.iter().map(|text| json!({"role": "system", "content": text}));
        let user = json!({"role": "user", "content": text});
        let mut conversation = Conversation::new(system.chain([user]).collect());
        conversation.variables = self.template.variables();
        Ok(Prompt::Conversation(conversation))
    }

    /// The tokens of what was read.
    pub fn tokens(
        &self,
        prompt: &Prompt,
        loaded: &Loaded,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>, Failure> {
        let options = EncodeOptions { add_special: true, parse_special: true };
        match prompt {
            Prompt::Text(text) => Ok(tokenizer.encode(text, options)),
            Prompt::Conversation(conversation) => {
                let template =
                    self.template.load(loaded, tokenizer, conversation.tools.is_some())?;
                template.prompt(conversation, tokenizer).map_err(Failure::of)
            }
        }
    }
}

/// Reads the messages of a file.
pub fn read_conversation(path: &Path) -> Result<Conversation, Failure> {
    let wrong =
        |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", path.display()));
    let json: Json = serde_json::from_str(&read_file(path)?).map_err(|e| wrong(&e))?;
    Conversation::from_json(json).map_err(|e| wrong(&e))
}
