//! The command line: `quintile --help`.
//!
//! Text and data go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed (one line says why and
//! what to do), 2 wrong usage, 130 interrupted. A closed pipe ends a command quietly.

mod bench;
mod chat;
mod compare;
mod embed;
mod inspect;
mod isa;
mod limits;
mod output;
mod perplexity;
mod prompt;
mod quantize;
mod rope;
mod run;
mod sampling;
mod session;
mod setup;
mod stats;
mod tokenize;
mod trace;
mod windows;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Failure;

const EXAMPLES: &str = "\
Examples:
  quintile run -m model.gguf -p 'Once upon a time'
  quintile run -m model.gguf -f prompt.txt -n 200 --temp 0 --json
  quintile chat -m model.gguf
  quintile inspect model.gguf --tensors
  quintile quantize model-f16.gguf model.gguf q5_k_m
  quintile perplexity -m model.gguf -f text.txt
  quintile bench -m model.gguf -p 512 -n 64 -t 2

Text and data go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage,
130 interrupted.";

/// Runs quantised transformers from GGUF files, with the same bits on every CPU.
#[derive(Parser)]
#[command(name = "quintile", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Continue a prompt: streams the continuation to stdout
    Run(run::Args),
    /// Talk to a model: by its chat template, line by line
    Chat(chat::Args),
    /// Show what a file holds: metadata and tensors
    Inspect(inspect::Args),
    /// Make a smaller file of a model: Q5_K_M and fourteen other types
    Quantize(quantize::Args),
    /// Show how two files of a model differ: errors of tensors, and of predictions
    Compare(compare::Args),
    /// Turn text into a JSON list of token ids
    Tokenize(tokenize::Args),
    /// Turn token ids back into text
    Detokenize(tokenize::DetokenizeArgs),
    /// Turn texts into vectors, which are near each other where texts are alike
    Embed(embed::Args),
    /// Measure how well a model predicts a text
    Perplexity(perplexity::Args),
    /// Time prefill and decoding, with llama-bench's test names and JSON fields
    Bench(bench::Args),
    /// Show what this CPU can do, and which kernels are chosen
    Isa(isa::Args),
    /// Measure what this CPU can do at most: multiply-adds, loads, bandwidth of each cache
    Limits(limits::Args),
}

/// Runs the command that the arguments name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(spell_out(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: clap knows which stream and code they take. A closed pipe
            // is no concern here either.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Chat(args) => chat::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Tokenize(args) => tokenize::run(&args),
        Command::Detokenize(args) => tokenize::detokenize(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Perplexity(args) => perplexity::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Isa(args) => isa::run(&args),
        Command::Limits(args) => limits::run(&args),
    };
    match result {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Interrupted) => ExitCode::from(130),
        Err(Failure::Failed(message)) => {
            output::status(format_args!("error: {}", one_line(&message)));
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            output::status(format_args!("error: {}", one_line(&message)));
            ExitCode::from(2)
        }
    }
}

/// Escapes control characters: names of files and what files hold may have them, and they must neither
/// break the line nor drive the terminal.
fn one_line(message: &str) -> String {
    let mut out = String::new();
    for c in message.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Spells out the options of several letters behind one dash, which users of other engines know; but not
/// where they are the text of an option.
fn spell_out(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    /// The last two are of `bench` alone: elsewhere `-pg` is a prompt, `g`.
    const LETTERS: [(&str, &str); 5] = [
        ("-ctk", "--cache-type-k"),
        ("-ctv", "--cache-type-v"),
        ("-tb", "--threads-batch"),
        ("-pg", "--prompt-gen"),
        ("-ub", "--ubatch"),
    ];
    let mut out: Vec<OsString> = Vec::new();
    for arg in args {
        let is_bench = out.get(1).is_some_and(|command| command == "bench");
        let is_text = out.last().is_some_and(|last| {
            ["-p", "--prompt", "--system", "--stop", "-f", "--file", "--"]
                .iter()
                .any(|option| last == option)
        });
        let spelled = arg.to_str().filter(|_| !is_text).and_then(|arg| {
            let names: &[(&str, &str)] = if is_bench { &LETTERS } else { &LETTERS[..3] };
            names.iter().find_map(|(short, long)| {
                let rest = arg.strip_prefix(short)?;
                (rest.is_empty() || rest.starts_with('=')).then(|| format!("{long}{rest}"))
            })
        });
        out.push(spelled.map_or(arg, OsString::from));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_of_the_options_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn short_names_of_several_letters_are_spelled_out_but_not_inside_a_prompt() {
        let args = ["run", "-ctk", "f32", "-ctv=f32", "-tb", "3", "-p", "-ctk"];
        let args = args.map(OsString::from);
        let want = [
            "run",
            "--cache-type-k",
            "f32",
            "--cache-type-v=f32",
            "--threads-batch",
            "3",
            "-p",
            "-ctk",
        ];
        assert_eq!(spell_out(args), want);
    }
}
