//! SIGINT: stops an answer; ends the program where there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use crate::cli::output::Failure;

/// What the program is doing.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing that could be stopped: it ends.
    Waiting,
    /// The line editor has the terminal, which it must give back: Ctrl-C is a key there, and a signal from elsewhere is ignored.
    Editing,
    /// It answers.
    Answering,
}

/// What SIGINT means now.
pub struct Signals {
    phase: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
}

impl Signals {
    /// Watches SIGINT from now on.
    pub fn watch() -> Result<Signals, Failure> {
        let phase = Arc::new(AtomicU8::new(Phase::Waiting as u8));
        let stop = Arc::new(AtomicBool::new(false));
        let (phase_now, flag) = (Arc::clone(&phase), Arc::clone(&stop));
        let handler = move || match phase_now.load(Relaxed) {
            now if now == Phase::Answering as u8 => flag.store(true, Relaxed),
            now if now == Phase::Editing as u8 => {}
            _ => std::process::exit(130),
        };
        ctrlc::set_handler(handler)
            .map_err(|e| Failure::Failed(format!("cannot watch SIGINT: {e}")))?;
        Ok(Signals { phase, stop })
    }

    /// The flag that ends a computation.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// From now on the program does something else, which was not stopped yet.
    pub fn enter(&self, phase: Phase) {
        self.stop.store(false, Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }
}
