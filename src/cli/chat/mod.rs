//! `quintile chat`: a conversation, line by line.
//!
//! The model's answers go to stdout, everything else to stderr; so a script may talk to it through pipes. What was computed for the
//! conversation so far stays: a turn costs its own tokens.

mod commands;
mod dialogue;
mod input;
mod signals;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde_json::json;

use super::output::{Failure, bytes, status};
use super::prompt::{TemplateArgs, read_conversation};
use super::sampling::{FormArgs, SamplingArgs};
use super::setup::ModelArgs;
use commands::Next;
use dialogue::{Dialogue, Setup};
use input::{Entry, Input};
use signals::{Phase, Signals};

/// Options of `chat`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  quintile chat -m model.gguf
  quintile chat -m model.gguf --system 'Answer in French.' -c 8192
  printf 'Hi!\\nAnd in German?\\n' | quintile chat -m model.gguf --temp 0 > answers.txt

A line is a message. A line that ends with a backslash goes on in the next, and what stands between \"\"\" and \"\"\" is one \
message. Ctrl-C stops an answer, Ctrl-D ends; /help lists the commands. Reads lines and answers plainly where stdin is no terminal.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A system message before all others
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "messages")]
    system: Option<String>,
    /// Begin with the messages of a file, as /save writes it
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,
    /// Tokens of an answer at most [default: as many as the context has room for]
    #[arg(short, long, value_name = "N")]
    n_predict: Option<usize>,
    /// Positions to make room for [default: the smaller of 4096 and the model's]
    #[arg(short, long, value_name = "N")]
    context: Option<NonZeroUsize>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    template: TemplateArgs,
    /// End an answer before this text; may be given several times
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Neither read nor write the history of lines
    #[arg(long)]
    no_history: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.stop.iter().any(String::is_empty) {
        return Err(Failure::Usage("--stop wants a text that is not empty".into()));
    }
    let (sampler, seed) = args.sampling.sampler()?;
    let mut conversation = args.messages.as_deref().map(read_conversation).transpose()?;
    let signals = Signals::watch()?;
    let loaded = args.model.runtime.load(&args.model.model, args.context, signals.stop())?;
    let tokenizer = loaded.tokenizer()?;
    let setup = Setup {
        sampler,
        form: &args.form,
        n_predict: args.n_predict.unwrap_or(usize::MAX),
        stop: &args.stop,
        template: &args.template,
    };
    let mut dialogue = Dialogue::new(&loaded, &tokenizer, setup)?;
    if let Some(text) = &args.system {
        dialogue.set_system(text);
    }
    let answer_first = conversation.take().is_some_and(|c| dialogue.take_up(c));
    let mut input = Input::new(!args.no_history)?;
    status(format_args!(
        "context {} ({} cache), seed {seed}{}",
        dialogue.context(),
        bytes(dialogue.cache_bytes() as u64),
        if input.is_terminal() {
            "; /help lists commands, Ctrl-C stops an answer, Ctrl-D ends"
        } else {
            ""
        }
    ));
    if answer_first {
        signals.enter(Phase::Answering);
        dialogue.answer()?;
    }
    loop {
        signals.enter(if input.is_terminal() { Phase::Editing } else { Phase::Waiting });
        let entry = input.read()?;
        signals.enter(Phase::Answering);
        match entry {
            Entry::Command(line) => match commands::run(&line, &mut dialogue)? {
                Next::Input => {}
                Next::Answer => dialogue.answer()?,
                Next::End => return Ok(()),
            },
            Entry::Text(text) => {
                dialogue.conversation.messages.push(json!({"role": "user", "content": text}));
                dialogue.answer()?;
            }
            Entry::Interrupted => {
                status(format_args!("(Ctrl-D or /quit ends)"));
            }
            Entry::End => return Ok(()),
        }
    }
}
