//! What a line with a slash does.

use std::path::Path;

use serde_json::json;

use super::dialogue::Dialogue;
use crate::cli::output::{Failure, status};
use crate::cli::prompt::read_conversation;
use crate::gguf::WholeFile;

const HELP: &str = "\
/help          this list
/reset         begin anew; the system message stays
/system TEXT   set the system message; without a text show it, with - remove it
/save FILE     write the messages as JSON: chat --messages and run --messages read them
/load FILE     go on with the messages of a file
/stats         tokens, what was computed and what was not, speed
/quit          end (also Ctrl-D)
A line that ends with \\ goes on in the next. Between \"\"\" and \"\"\" any lines are one message,
also with a slash at its start.";

/// What follows a command.
pub enum Next {
    Input,
    Answer,
    End,
}

/// Runs a command; what cannot be done is said, and the conversation goes on.
pub fn run(line: &str, dialogue: &mut Dialogue<'_>) -> Result<Next, Failure> {
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim();
    match (name, argument) {
        ("/help" | "/?", _) => status(format_args!("{HELP}")),
        ("/quit" | "/exit", _) => return Ok(Next::End),
        ("/reset", _) => {
            dialogue.conversation.messages.retain(|message| message["role"] == "system");
            status(format_args!("(a new conversation)"));
        }
        ("/system", "") => match dialogue.system() {
            Some(text) => status(format_args!("{text}")),
            None => status(format_args!("(no system message)")),
        },
        ("/system", text) => {
            dialogue.set_system(if text == "-" { "" } else { text });
            status(format_args!(
                "(the system message is {})",
                if text == "-" { "removed" } else { "set" }
            ));
        }
        ("/save" | "/load", "") => status(format_args!("{name} wants the name of a file")),
        ("/save", path) => match save(dialogue, Path::new(path)) {
            Ok(()) => {
                let messages = dialogue.conversation.messages.len();
                status(format_args!("({messages} messages are in {path})"));
            }
            Err(failure) => report(&failure),
        },
        ("/load", path) => match read_conversation(Path::new(path)) {
            Ok(conversation) => {
                status(format_args!("({} messages)", conversation.messages.len()));
                if dialogue.take_up(conversation) {
                    return Ok(Next::Answer);
                }
            }
            Err(failure) => report(&failure),
        },
        ("/stats", _) => dialogue.report(),
        (name, _) => status(format_args!(
            "{name} is no command: /help lists them; \"\"\" before a message lets it begin with a slash"
        )),
    }
    Ok(Next::Input)
}

fn report(failure: &Failure) {
    if let Failure::Failed(message) | Failure::Usage(message) = failure {
        status(format_args!("{message}"));
    }
}

/// Writes the messages, and what goes with them if there is any.
fn save(dialogue: &Dialogue<'_>, path: &Path) -> Result<(), Failure> {
    let conversation = &dialogue.conversation;
    let json = if conversation.tools.is_none() && conversation.documents.is_none() {
        json!(conversation.messages)
    } else {
        json!({
            "messages": conversation.messages,
            "tools": conversation.tools,
            "documents": conversation.documents,
        })
    };
    let text = serde_json::to_string_pretty(&json).map_err(Failure::of)? + "\n";
    let mut file = WholeFile::create(path).map_err(Failure::of)?;
    file.write(text.as_bytes()).map_err(Failure::of)?;
    file.finish().map_err(Failure::of)
}
