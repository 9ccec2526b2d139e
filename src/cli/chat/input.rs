//! Messages and commands, from a line editor or, where stdin is no terminal, from its lines.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};

use crate::cli::output::{Failure, status};

/// Lines that the history keeps.
const HISTORY: usize = 1000;

/// What was entered.
pub enum Entry {
    /// A message, which is not empty.
    Text(String),
    /// A line that begins with a slash.
    Command(String),
    /// Ctrl-C: what was begun is given up.
    Interrupted,
    /// Ctrl-D, or the end of stdin.
    End,
}

/// Where lines come from.
pub struct Input {
    source: Source,
    message: Message,
}

enum Source {
    Terminal { editor: Box<DefaultEditor>, history: Option<PathBuf> },
    Lines,
}

impl Input {
    /// A line editor, if stdin is a terminal; with the history of earlier conversations, if that is wanted.
    pub fn new(history: bool) -> Result<Input, Failure> {
        let message = Message::default();
        if !std::io::stdin().is_terminal() {
            return Ok(Input { source: Source::Lines, message });
        }
        let config = Config::builder().max_history_size(HISTORY).map_err(no_editor)?;
        let config = config.history_ignore_dups(true).map_err(no_editor)?.build();
        let mut editor = Box::new(DefaultEditor::with_config(config).map_err(no_editor)?);
        let history = if history { history_file() } else { None };
        if let Some(path) = &history {
            // There is none before the first conversation.
            let _ = editor.load_history(path);
        }
        Ok(Input { source: Source::Terminal { editor, history }, message })
    }

    /// Whether somebody sits there.
    pub fn is_terminal(&self) -> bool {
        matches!(self.source, Source::Terminal { .. })
    }

    /// The next message or command.
    pub fn read(&mut self) -> Result<Entry, Failure> {
        loop {
            let entry = match self.line()? {
                Line::Text(line) => self.message.push(&line),
                Line::Interrupted => {
                    self.message = Message::default();
                    return Ok(Entry::Interrupted);
                }
                // A message that was not ended is one all the same.
                Line::End if self.message.is_begun() => Some(self.message.take()),
                Line::End => return Ok(Entry::End),
            };
            match entry {
                Some(entry) if !matches!(&entry, Entry::Text(text) if text.trim().is_empty()) => {
                    self.remember(&entry);
                    return Ok(entry);
                }
                _ => {}
            }
        }
    }

    fn line(&mut self) -> Result<Line, Failure> {
        match &mut self.source {
            Source::Terminal { editor, .. } => {
                let prompt = if self.message.is_begun() { ". " } else { "> " };
                match editor.readline(prompt) {
                    Ok(line) => Ok(Line::Text(line)),
                    Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
                    Err(ReadlineError::Eof) => Ok(Line::End),
                    Err(error) => Err(no_editor(error)),
                }
            }
            Source::Lines => {
                let mut line = String::new();
                let read = std::io::stdin().lock().read_line(&mut line);
                let read = read.map_err(|e| {
                    Failure::Failed(format!("cannot read stdin as UTF-8 text: {e}"))
                })?;
                let line = line.strip_suffix('\n').unwrap_or(&line);
                let line = line.strip_suffix('\r').unwrap_or(line);
                Ok(if read == 0 { Line::End } else { Line::Text(line.to_owned()) })
            }
        }
    }

    fn remember(&mut self, entry: &Entry) {
        let Source::Terminal { editor, history } = &mut self.source else { return };
        let (Entry::Text(text) | Entry::Command(text)) = entry else { return };
        let added = editor.add_history_entry(text.as_str()).unwrap_or(false);
        if let (true, Some(path)) = (added, &*history)
            && let Err(error) = editor.append_history(path)
        {
            status(format_args!("{}: cannot write the history: {error}", path.display()));
            *history = None;
        }
    }
}

enum Line {
    Text(String),
    Interrupted,
    End,
}

fn no_editor(error: ReadlineError) -> Failure {
    Failure::Failed(format!("cannot edit lines on this terminal: {error}"))
}

/// `$XDG_STATE_HOME/quintile/history`; its folder is made.
fn history_file() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    let folder = state.join("quintile");
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).ok()?;
    Some(folder.join("history"))
}

/// Lines that make a message: one, several that end with a backslash, or what stands between `"""` and `"""`.
#[derive(Default)]
struct Message {
    text: String,
    quoted: bool,
    begun: bool,
}

const QUOTES: &str = "\"\"\"";

impl Message {
    fn is_begun(&self) -> bool {
        self.begun
    }

    /// Takes a line; returns what is complete with it.
    fn push(&mut self, line: &str) -> Option<Entry> {
        if !self.begun {
            if line.starts_with('/') {
                return Some(Entry::Command(line.to_owned()));
            }
            self.begun = true;
            if let Some(rest) = line.trim_start().strip_prefix(QUOTES) {
                self.quoted = true;
                // Nothing stands on the line of the quotes: the text begins with the next.
                return if rest.is_empty() { None } else { self.push(rest) };
            }
        }
        if self.quoted {
            if let Some(last) = line.trim_end().strip_suffix(QUOTES) {
                self.text += last;
                return Some(self.take());
            }
            self.text += line;
            self.text.push('\n');
            return None;
        }
        match line.strip_suffix('\\') {
            Some(line) => {
                self.text += line;
                self.text.push('\n');
                None
            }
            None => {
                self.text += line;
                Some(self.take())
            }
        }
    }

    fn take(&mut self) -> Entry {
        let Message { mut text, quoted, .. } = std::mem::take(self);
        if quoted && text.ends_with('\n') {
            text.pop();
        }
        Entry::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lines make: messages, and commands with a `!` before them.
    fn messages(lines: &[&str]) -> Vec<String> {
        let mut message = Message::default();
        let mut found: Vec<String> = lines
            .iter()
            .filter_map(|line| match message.push(line)? {
                Entry::Text(text) => Some(text),
                Entry::Command(line) => Some(format!("!{line}")),
                _ => None,
            })
            .collect();
        found.extend(message.is_begun().then(|| "unended".into()));
        found
    }

    #[test]
    fn a_line_is_a_message_and_backslashes_and_quotes_make_one_of_several() {
        assert_eq!(messages(&["Hi", "a\\", "b \\", "c", "d"]), ["Hi", "a\nb \nc", "d"]);
        assert_eq!(messages(&["\"\"\"", "a", "", " b", "\"\"\"", "c"]), ["a\n\n b", "c"]);
        assert_eq!(messages(&["\"\"\"a", "b\\", "c\"\"\" "]), ["a\nb\\\nc"]);
        assert_eq!(messages(&["  \"\"\"one line\"\"\""]), ["one line"]);
        assert_eq!(messages(&["say \"\"\" twice\"\"\""]), ["say \"\"\" twice\"\"\""]);
        assert_eq!(messages(&["a\\"]), ["unended"]);
    }

    #[test]
    fn a_slash_begins_a_command_but_not_within_a_message() {
        assert_eq!(messages(&["/help", " /x"]), ["!/help", " /x"]);
        assert_eq!(messages(&["\"\"\"/etc\"\"\"", "a\\", "/b"]), ["/etc", "a\n/b"]);
    }
}
