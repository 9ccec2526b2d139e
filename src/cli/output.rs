//! Where words go: data to stdout, everything else to stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::model;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Why a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// It failed: what went wrong and what to do, in one line.
    Failed(String),
    /// It was called in a wrong way.
    Usage(String),
    /// Whoever read stdout has gone: nothing is wrong.
    ClosedPipe,
    /// SIGINT; what was produced is kept.
    Interrupted,
}

impl Failure {
    /// A failure with the words of an error.
    pub fn of(error: impl fmt::Display) -> Failure {
        Failure::Failed(error.to_string())
    }
}

impl From<model::Error> for Failure {
    fn from(error: model::Error) -> Self {
        match error {
            model::Error::Cancelled => Failure::Interrupted,
            model::Error::Options(message) => Failure::Usage(message),
            error => Failure::of(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::Failed(format!("cannot write to stdout: {error}")),
        }
    }
}

/// Writes to stdout and flushes it.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// Writes a line to stdout.
pub fn line(text: impl fmt::Display) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// Writes JSON to stdout, indented, with a line's end.
pub fn json(value: &serde_json::Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::of)?;
    line(text)
}

/// Writes a line to stderr. If that is closed, nobody is there to be told.
pub fn status(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A progress bar on stderr, if that is a terminal; otherwise one that draws nothing.
pub fn progress(total: u64, what: &'static str) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {eta} {msg}");
    ProgressBar::with_draw_target(Some(total), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(what)
}

/// As [`progress`], of bytes.
pub fn byte_progress(total: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {bytes}/{total_bytes} {eta}");
    progress(total, what).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Tokens a second; 0 for no time.
pub fn rate(tokens: usize, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 }
}

/// Bytes, in the unit that leaves one to three digits before the point.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", n as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", n as f64 / 1_073_741_824.0),
    }
}
