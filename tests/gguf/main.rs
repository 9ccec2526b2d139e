//! GGUF files: what the reader reads, what it refuses, and that no bytes make it panic, hang or
//! allocate without bound; and that what the writer writes is read back.

mod allocation;
mod builder;
mod limits;
mod malformed;
mod mutations;
mod reading;
mod real_models;
mod splits;
mod writing;

use quintile::gguf::{Gguf, Limits};

/// Reads `bytes` with the default limits.
fn read(bytes: Vec<u8>) -> Gguf {
    Gguf::from_bytes(bytes, &Limits::default()).expect("a sound file")
}

/// The message with which `bytes` are refused: one line.
fn refusal(bytes: Vec<u8>) -> String {
    refusal_within(bytes, &Limits::default())
}

fn refusal_within(bytes: Vec<u8>, limits: &Limits) -> String {
    let error = Gguf::from_bytes(bytes, limits).expect_err("the file is malformed");
    let message = error.to_string();
    assert_eq!(message.lines().count(), 1, "{message:?}");
    message
}

/// Asserts that `bytes` are refused with exactly this message.
#[track_caller]
fn assert_refused(bytes: Vec<u8>, message: &str) {
    assert_eq!(refusal(bytes), message);
}
