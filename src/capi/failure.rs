//! Failures that have more to say than a status: in words, to a buffer of the caller's.

use core::ffi::c_char;
use std::format;
use std::string::{String, ToString};

use super::Status;
use super::entry::{Panic, catch, slice_mut};
use crate::gguf;
use crate::model::{Error, sampler};

/// A status, and what is wrong: the file, the field and its value, where there are some.
pub(super) struct Failure {
    pub status: Status,
    pub text: String,
}

impl Failure {
    pub fn new(status: Status, text: impl Into<String>) -> Self {
        Failure { status, text: text.into() }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::new(status, status.text().to_string_lossy())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::File(gguf::Error::Io { .. }) => Status::Io,
            Error::ContextFull { .. } => Status::ContextFull,
            Error::Cancelled | Error::Deadline => Status::Cancelled,
            Error::Options(_) | Error::Session(_) => Status::InvalidOption,
            Error::Token { .. } | Error::NoSequence(_) | Error::Sequence { .. } => {
                Status::OutOfRange
            }
            _ => Status::InvalidFile,
        };
        Failure::new(status, error.to_string())
    }
}

impl From<sampler::Error> for Failure {
    fn from(error: sampler::Error) -> Self {
        Failure::new(Status::InvalidOption, error.to_string())
    }
}

impl From<Panic> for Failure {
    fn from(panic: Panic) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Failure::new(Status::Internal, format!("internal error: {text}"))
    }
}

/// Runs the body of an entry that tells what is wrong: in `error`, of so many bytes, if there are some. The environment is the body's
/// part: a callback has the host's.
///
/// # Safety
/// As the [module](super) says.
pub(super) unsafe fn told(
    error: *mut c_char,
    error_bytes: usize,
    body: impl FnOnce() -> Result<(), Failure>,
) -> Status {
    let result = catch(body).unwrap_or_else(|panic| Err(panic.into()));
    let (status, text) = match &result {
        Ok(()) => (Status::Ok, ""),
        Err(failure) => (failure.status, &*failure.text),
    };
    if !error.is_null() {
        // SAFETY: the caller's promise.
        if let Ok(place) = unsafe { slice_mut(error.cast::<u8>(), error_bytes) } {
            copy(text, place);
        }
    }
    status
}

/// Copies as many whole characters as there is room for, and a zero.
fn copy(text: &str, place: &mut [u8]) {
    let Some(room) = place.len().checked_sub(1) else { return };
    let end = (0..=room.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    place[..end].copy_from_slice(&text.as_bytes()[..end]);
    place[end] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_ends_behind_a_whole_character() {
        for (room, want) in
            [(0, ""), (1, "\0"), (2, "a\0"), (3, "a\0"), (4, "a\u{e9}\0"), (9, "a\u{e9}b\0")]
        {
            let mut place = vec![b'?'; room];
            copy("a\u{e9}b", &mut place);
            assert!(place.starts_with(want.as_bytes()), "{room}: {place:?}");
        }
    }
}
