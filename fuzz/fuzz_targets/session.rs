//! Any bytes as the file of a session: refused with a message, and the session is as it was; or taken up, and goes on.
//!
//! Bytes that begin with the magic are the file; any others say how a sound one is to be damaged, its checksum made right
//! again, for otherwise nothing would get past that.
#![no_main]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quintile::gguf::{Gguf, Limits};
use quintile::isa::Isa;
use quintile::model::{Model, Pool, Session, SessionOptions};
use twox_hash::XxHash64;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let file = include_bytes!("../../tests/data/tiny/qwen3.gguf").to_vec();
    let file = Gguf::from_bytes(file, &Limits::default()).expect("a sound file");
    Model::load(file, Isa::detect()).expect("a sound model")
});
static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::new(NonZeroUsize::MIN).expect("one thread"));

fn session() -> Session<'static> {
    let options = SessionOptions { context: Some(32), ..Default::default() };
    Session::new(&MODEL, &POOL, &options).expect("room for 32 positions")
}

fn path() -> PathBuf {
    std::env::temp_dir().join(format!("quintile-fuzz-session-{}", std::process::id()))
}

/// What three tokens leave.
static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut session = session();
    session.forward(&[1, 2, 3]).expect("three tokens");
    session.save(&path()).expect("a file");
    std::fs::read(path()).expect("the file")
});

/// Pairs of a place among the first bytes, which are the head and the tokens, and a byte; two places stand for a shorter and a longer file.
fn damaged(bytes: &[u8]) -> Vec<u8> {
    let mut file = SOUND.clone();
    for &[place, byte] in bytes.as_chunks().0 {
        match place {
            0xff => file.truncate(file.len().saturating_sub(usize::from(byte))),
            0xfe => file.extend(std::iter::repeat_n(byte, usize::from(byte))),
            _ if usize::from(place) < file.len() => file[usize::from(place)] = byte,
            _ => {}
        }
    }
    if let Some(end) = file.len().checked_sub(8) {
        let sum = XxHash64::oneshot(0, &file[..end]);
        file[end..].copy_from_slice(&sum.to_le_bytes());
    }
    file
}

fuzz_target!(|bytes: &[u8]| {
    let file = if bytes.starts_with(b"QUINTSES") { bytes.to_vec() } else { damaged(bytes) };
    std::fs::write(path(), file).expect("a file");
    let mut session = session();
    session.forward(&[5]).expect("a token");
    match session.load(&path()) {
        Ok(()) => assert!(session.position() <= 32),
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
            assert_eq!(session.tokens(), [5]);
        }
    }
    if session.position() < session.context() {
        session.forward(&[1]).expect("room for a token");
    }
});
