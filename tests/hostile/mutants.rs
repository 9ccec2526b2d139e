//! Damaged models: an error or a correct load, never a panic, and never slow.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use quintile::gguf::{Gguf, Limits};

use super::load;

fn tiny_models() -> Vec<(PathBuf, Vec<u8>, usize)> {
    let files = std::fs::read_dir("tests/data/tiny").unwrap().map(|entry| entry.unwrap().path());
    let models = files.filter(|path| path.extension().is_some_and(|e| e == "gguf"));
    models
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            let file = Gguf::from_bytes(bytes.clone(), &Limits::default()).unwrap();
            let header = file.data_offset() as usize;
            (path, bytes, header)
        })
        .collect()
}

#[test]
fn every_truncation_of_the_header_of_a_whole_model_is_refused() {
    for (path, bytes, header) in tiny_models() {
        for len in 0..=header {
            let cut = Gguf::from_bytes(bytes[..len].to_vec(), &Limits::default());
            assert!(cut.is_err(), "{} cut to {len} bytes", path.display());
        }
        // And of the data, which begins after it.
        let cut = Gguf::from_bytes(bytes[..bytes.len() - 1].to_vec(), &Limits::default());
        assert!(cut.is_err(), "{} without its last byte", path.display());
    }
}

#[test]
fn a_model_with_a_damaged_header_is_loaded_or_refused_within_a_second() {
    // xorshift64: the same damage in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let (mut loaded, mut refused) = (0, 0);
    for (_, bytes, header) in tiny_models() {
        for _ in 0..300 {
            let mut mutant = bytes.clone();
            for _ in 0..1 + random(4) {
                let at = random(header);
                mutant[at] = match random(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => mutant[at] ^ 1 << random(8),
                    _ => random(256) as u8,
                };
            }
            let start = Instant::now();
            match load(mutant) {
                Ok(_) => loaded += 1,
                Err(message) => {
                    assert!(!message.is_empty());
                    refused += 1;
                }
            }
            assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        }
    }
    assert!(loaded > 0 && refused > 0, "{loaded} loaded, {refused} refused");
}
