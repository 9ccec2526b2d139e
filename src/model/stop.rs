//! When a computation is to end early: a flag that any thread may set, or a point in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::Instant;

use super::Error;

/// What ends the computations of a session. Threads ask before each piece of work, and begin none once it is reached: what a
/// pass has computed by then has gaps, so it is forgotten.
#[derive(Default)]
pub struct Stop {
    cancel: Option<Arc<AtomicBool>>,
    pub deadline: Option<Instant>,
    /// Why it was reached since [`begin`](Self::begin): 0, [`CANCELLED`] or [`LATE`]. The flag may be taken back meanwhile, but
    /// the gap stays.
    reached: AtomicU8,
}

const CANCELLED: u8 = 1;
const LATE: u8 = 2;

impl Stop {
    pub fn new(cancel: Option<Arc<AtomicBool>>) -> Self {
        Stop { cancel, ..Stop::default() }
    }

    /// That of a session that goes on from the same text: the flag is shared, a deadline is not.
    pub fn fork(&self) -> Self {
        Self::new(self.cancel.clone())
    }

    /// Before a computation: nothing was left out so far.
    pub fn begin(&self) {
        self.reached.store(0, Relaxed);
    }

    /// Whether no further piece of work is to be begun.
    pub fn is_reached(&self) -> bool {
        if self.reached.load(Relaxed) != 0 {
            return true;
        }
        let why = if self.cancel.as_ref().is_some_and(|flag| flag.load(Relaxed)) {
            CANCELLED
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            LATE
        } else {
            return false;
        };
        self.reached.store(why, Relaxed);
        true
    }

    /// # Errors
    /// If it is reached, or was since [`begin`](Self::begin).
    pub fn check(&self) -> Result<(), Error> {
        match self.is_reached().then(|| self.reached.load(Relaxed)) {
            None => Ok(()),
            Some(LATE) => Err(Error::Deadline),
            Some(_) => Err(Error::Cancelled),
        }
    }
}
