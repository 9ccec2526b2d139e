//! A text that goes on from one run to the next: `--session`.

use std::path::PathBuf;

use crate::gguf::WholeFile;
use crate::model::Session;

use super::output::{Failure, status};

/// Where it is kept.
#[derive(clap::Args)]
pub struct SessionArgs {
    /// Keep what was computed in a file: of a prompt that begins as the text in it, only the rest is computed
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
}

impl SessionArgs {
    /// Takes up what is in the file, if it is there; returns how much of the prompt is computed then.
    pub fn load(&self, session: &mut Session<'_>, prompt: &[u32]) -> Result<usize, Failure> {
        let Some(path) = &self.session else { return Ok(0) };
        // What cannot be written later fails now: nothing is left of a file that is not finished.
        drop(WholeFile::create(path).map_err(Failure::of)?);
        if !path.exists() {
            return Ok(0);
        }
        session.load(path)?;
        let saved = session.position();
        let reused = session.reuse(prompt);
        status(format_args!(
            "{}: {saved} tokens, of which {reused} begin the prompt",
            path.display()
        ));
        Ok(reused)
    }

    /// Writes what was computed.
    pub fn save(&self, session: &Session<'_>) -> Result<(), Failure> {
        self.session.as_ref().map_or(Ok(()), |path| Ok(session.save(path)?))
    }
}
