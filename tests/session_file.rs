//! Sessions that are saved and taken up again: the bits of one that never stopped, and no file that is wrong is used.
#![cfg(feature = "driver")]

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use quintile::gguf::{Gguf, Limits, OpenOptions};
use quintile::isa::Isa;
use quintile::model::{CacheType, Error, Model, Pool, Session, SessionOptions};

fn tiny(name: &str) -> PathBuf {
    Path::new("tests/data/tiny").join(format!("{name}.gguf"))
}

fn model(name: &str, isa: Isa) -> Model {
    Model::load(Gguf::open(&tiny(name), &OpenOptions::default()).unwrap(), isa).unwrap()
}

fn pool(threads: usize) -> Pool {
    Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap()
}

fn options(context: usize, cache: CacheType) -> SessionOptions {
    SessionOptions { context: Some(context), cache, ..SessionOptions::default() }
}

fn tokens(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| i * 7919 % 311).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// A file that goes with its owner.
struct Saved(PathBuf);

impl Saved {
    fn new(test: &str) -> Saved {
        let name = format!("session-{test}-{}", std::process::id());
        Saved(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    fn of(test: &str, session: &Session<'_>) -> Saved {
        let saved = Saved::new(test);
        session.save(&saved.0).unwrap();
        saved
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Loads these bytes, which must be refused, into a session that must not change; the message, without the path.
fn refusal(session: &mut Session<'_>, saved: &Saved, bytes: &[u8]) -> String {
    fs::write(&saved.0, bytes).unwrap();
    let before = session.tokens().to_vec();
    let error = session.load(&saved.0).expect_err("it must be refused");
    assert!(matches!(error, Error::SessionFile { .. } | Error::File(_)), "{error}");
    assert_eq!(session.tokens(), before);
    assert_eq!(fs::read(&saved.0).unwrap(), bytes, "the file is as it was");
    let message = error.to_string();
    let rest = message.strip_prefix(&format!("{}: ", saved.0.display()));
    rest.unwrap_or_else(|| panic!("it names no file: {message}")).to_owned()
}

#[test]
fn a_session_that_is_taken_up_goes_on_with_the_bits_of_one_that_never_stopped() {
    for name in ["llama-linear", "gemma3"] {
        let (saver, loader) = (model(name, Isa::detect()), model(name, Isa::SCALAR));
        let (one, two) = (pool(1), pool(2));
        for cache in CacheType::ALL {
            // Heads of Q8_0 are whole blocks.
            if cache == CacheType::Q8_0 && !saver.config().head_dim.is_multiple_of(32) {
                continue;
            }
            // Groups of 16 keys that are whole, and not.
            for n in [0, 1, 15, 16, 17, 40] {
                let text = tokens(n + 9);
                let mut session = Session::new(&saver, &two, &options(60, cache)).unwrap();
                // What is forgotten is not in the file.
                session.forward(&[9; 45]).unwrap();
                session.truncate(0);
                session.forward(&text[..n]).unwrap();
                let saved = Saved::of("goes-on", &session);
                session.forward(&text[n..]).unwrap();
                let want = bits(session.logits());

                let mut other = Session::new(&loader, &one, &options(77, cache)).unwrap();
                other.forward(&[3, 4]).unwrap();
                other.load(&saved.0).unwrap();
                assert_eq!(other.tokens(), &text[..n]);
                let again = Saved::of("again", &other);
                assert!(fs::read(&saved.0).unwrap() == fs::read(&again.0).unwrap(), "{cache}, {n}");
                other.forward(&text[n..]).unwrap();
                assert_eq!(bits(other.logits()), want, "{name}, {cache}, {n} tokens");

                let mut fresh = Session::new(&saver, &one, &options(60, cache)).unwrap();
                fresh.forward(&text[..n]).unwrap();
                let fresh = Saved::of("fresh", &fresh);
                assert!(fs::read(&saved.0).unwrap() == fs::read(&fresh.0).unwrap(), "{cache}, {n}");
            }
        }
    }
}

#[test]
fn of_a_session_that_is_longer_than_the_context_as_much_is_taken_up_as_fits() {
    let (model, pool) = (model("llama-linear", Isa::detect()), pool(1));
    let text = tokens(50);
    let mut session = Session::new(&model, &pool, &options(60, CacheType::F16)).unwrap();
    session.forward(&text).unwrap();
    let saved = Saved::of("longer", &session);
    let mut short = Session::new(&model, &pool, &options(30, CacheType::F16)).unwrap();
    short.load(&saved.0).unwrap();
    assert_eq!(short.tokens(), &text[..30]);
    assert_eq!(short.reuse(&text[..30]), 29);
    short.forward(&text[29..30]).unwrap();
    session.truncate(29);
    session.forward(&text[29..30]).unwrap();
    assert_eq!(bits(short.logits()), bits(session.logits()));
}

#[test]
fn only_what_is_filled_is_written() {
    let (model, pool) = (model("llama-linear", Isa::detect()), pool(1));
    let c = model.config();
    let mut session = Session::new(&model, &pool, &options(4096, CacheType::F16)).unwrap();
    session.forward(&tokens(20)).unwrap();
    let saved = Saved::of("filled", &session);
    // Keys of two groups of 16, and values of 20 positions, of two bytes each.
    let cache = 2 * c.layers * c.kv_heads * c.head_dim * (32 + 20);
    assert_eq!(fs::metadata(&saved.0).unwrap().len() as usize, 48 + 4 * 20 + cache + 8);
}

#[test]
fn no_file_of_another_length_and_none_with_a_flipped_bit_is_taken_up() {
    let (model, pool) = (model("llama-linear", Isa::detect()), pool(1));
    let mut session = Session::new(&model, &pool, &options(20, CacheType::F16)).unwrap();
    session.forward(&tokens(2)).unwrap();
    let saved = Saved::of("damaged", &session);
    let whole = fs::read(&saved.0).unwrap();
    // Every length near the parts of the head and the end, and others in between.
    let near = |len: &usize| *len < 80 || whole.len() - len < 80 || len.is_multiple_of(37);
    for len in (0..whole.len()).filter(near) {
        let message = refusal(&mut session, &saved, &whole[..len]);
        assert!(len == 0 || message.starts_with("length: found "), "{len}: {message}");
        assert!(len == 0 || message.contains(&format!("{len} bytes")), "{len}: {message}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(refusal(&mut session, &saved, &longer).starts_with("length: found "));
    let mut random = 1u64;
    for at in (0..whole.len()).filter(|at| near(at)) {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (random >> 61);
        let message = refusal(&mut session, &saved, &flipped);
        assert!(message.contains(": found ") && message.contains(", expected "), "{message}");
        let damaged = message.starts_with("checksum: found ");
        assert!(at < 48 || damaged, "{at}: {message}");
    }
    fs::write(&saved.0, &whole).unwrap();
    session.load(&saved.0).unwrap();
}

#[test]
fn a_file_of_another_model_cache_type_or_version_is_refused_by_name() {
    let (tiny_model, pool) = (model("llama-linear", Isa::detect()), pool(2));
    let mut session = Session::new(&tiny_model, &pool, &options(20, CacheType::F16)).unwrap();
    session.forward(&tokens(5)).unwrap();
    let saved = Saved::of("foreign", &session);
    let whole = fs::read(&saved.0).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let message = refusal(&mut session, &saved, &with(8, &[2]));
    assert_eq!(message, "version: found 2, expected 1: it is of a newer quintile");
    let message = refusal(&mut session, &saved, &with(8, &[0]));
    assert_eq!(message, "version: found 0, expected 1");
    // A newer file may be as short as it likes.
    let message = refusal(&mut session, &saved, &with(8, &[2])[..12]);
    assert_eq!(message, "version: found 2, expected 1: it is of a newer quintile");
    let message = refusal(&mut session, &saved, &with(12, &[9]));
    assert_eq!(message, "numeric contract: found 9, expected 1");
    let message = refusal(&mut session, &saved, &with(24, b"x\n\0"));
    assert_eq!(message, "cache type: found \"x\\n\", expected f16");
    let gguf = fs::read(tiny("llama-linear")).unwrap();
    let message = refusal(&mut session, &saved, &gguf);
    assert!(message.starts_with("first bytes: found \"GGUF"), "{message}");
    // Lengths that overflow are too long like others.
    let message = refusal(&mut session, &saved, &with(32, &[0xff; 8]));
    assert!(message.starts_with("length: found "), "{message}");

    let mut other = Session::new(&tiny_model, &pool, &options(20, CacheType::F32)).unwrap();
    let message = refusal(&mut other, &saved, &whole);
    assert_eq!(message, "cache type: found \"f16\", expected f32");
    let other = model("llama-3", Isa::detect());
    let mut other = Session::new(&other, &pool, &options(20, CacheType::F16)).unwrap();
    let message = refusal(&mut other, &saved, &whole);
    assert!(message.starts_with("model: found "), "{message}");
    assert!(message.ends_with(": it is of another model"), "{message}");
}

#[test]
fn a_model_that_differs_in_one_bit_of_a_weight_is_another() {
    let pool = pool(3);
    let bytes = fs::read(tiny("llama-linear")).unwrap();
    let load = |bytes: &[u8]| {
        let file = Gguf::from_bytes(bytes.to_vec(), &Limits::default()).unwrap();
        Model::load(file, Isa::detect()).unwrap()
    };
    let fingerprint = load(&bytes).fingerprint(&pool);
    assert_eq!(fingerprint, model("llama-linear", Isa::SCALAR).fingerprint(&pool));
    let data = load(&bytes).file().data_offset() as usize;
    for at in [data, (data + bytes.len()) / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_ne!(load(&changed).fingerprint(&pool), fingerprint, "byte {at}");
    }
}

#[test]
fn a_file_that_cannot_be_written_or_read_is_an_error_with_its_path() {
    let (model, pool) = (model("llama-linear", Isa::detect()), pool(1));
    let mut session = Session::new(&model, &pool, &options(20, CacheType::F16)).unwrap();
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no such folder").join("a");
    for error in [session.save(&nowhere).unwrap_err(), session.load(&nowhere).unwrap_err()] {
        assert!(error.to_string().contains("no such folder"), "{error}");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for error in [session.save(folder).unwrap_err(), session.load(folder).unwrap_err()] {
        assert!(error.to_string().contains("it is not a regular file"), "{error}");
    }
}

#[test]
fn the_file_may_be_replaced_once_it_is_taken_up() {
    let (model, pool) = (model("llama-linear", Isa::detect()), pool(1));
    let text = tokens(9);
    let mut session = Session::new(&model, &pool, &options(20, CacheType::F16)).unwrap();
    session.forward(&text).unwrap();
    let want = bits(session.logits());
    session.truncate(8);
    let saved = Saved::of("replaced", &session);
    session.load(&saved.0).unwrap();
    fs::write(&saved.0, "something else").unwrap();
    session.forward(&text[8..]).unwrap();
    assert_eq!(bits(session.logits()), want);
}
