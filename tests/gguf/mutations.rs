//! Damaged files: seeded mutants of a sound one never panic, never hang, never allocate beyond
//! the bound, and whatever is accepted can be used.

use std::time::{Duration, Instant};

use quintile::gguf::{Gguf, Limits};

use crate::allocation::peak_during;
use crate::builder::File;

/// Marsaglia's xorshift64.
pub struct XorShift(pub u64);

impl XorShift {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Numbers at which counts, lengths and offsets go wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    31,
    255,
    1 << 16,
    (1 << 31) - 1,
    1 << 32,
    1 << 61,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

/// Damages `bytes` once, at a place within `range`.
pub fn mutate(bytes: &mut Vec<u8>, range: std::ops::Range<usize>, random: &mut XorShift) {
    let at = range.start + random.below(range.len());
    let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
    let end = bytes.len();
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes[at] = bytes[at].wrapping_add(random.below(3) as u8).wrapping_sub(1),
        3 => bytes[at..end.min(at + 8)].copy_from_slice(&edge[..8.min(end - at)]),
        4 => bytes[at..end.min(at + 4)].copy_from_slice(&edge[..4.min(end - at)]),
        5 => drop(bytes.drain(at..end.min(at + 1 + random.below(16)))),
        _ => {
            let copy = bytes[at..end.min(at + 1 + random.below(64))].to_vec();
            bytes.splice(at..at, copy);
        }
    }
}

/// Reads `bytes` under the bounds on time and memory; uses everything of a file that is accepted.
/// Returns whether it was.
pub fn read_within_bounds(bytes: Vec<u8>) -> bool {
    let len = bytes.len();
    let start = Instant::now();
    let (result, peak) = peak_during(|| Gguf::from_bytes(bytes, &Limits::default()));
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    assert!(peak <= 8 * len + 4096, "{peak} bytes of memory for a file of {len}");
    match result {
        Ok(file) => {
            use_everything(&file);
            true
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.contains(" at byte "), "{message}");
            false
        }
    }
}

fn use_everything(file: &Gguf) {
    for (key, value) in file.metadata().iter() {
        assert_eq!(file.metadata().get(key).map(ToString::to_string), Some(value.to_string()));
    }
    for info in file.tensors() {
        assert_eq!(file.tensor_info(&info.name).map(|found| found.offset), Some(info.offset));
        assert_eq!(file.tensor_bytes(info).len() as u64, info.size);
        match file.tensor(&info.name) {
            Ok(tensor) => {
                let last: Vec<usize> = tensor.dims().iter().rev().map(|size| size - 1).collect();
                let row = tensor.row(tensor.rows() - 1).unwrap();
                let element = tensor.at(&last).unwrap();
                assert_eq!(row.last().map(|v| v.to_bits()), Some(element.to_bits()));
            }
            Err(error) => {
                assert_eq!(info.format, None);
                assert!(error.to_string().contains(info.type_name()), "{error}");
            }
        }
    }
}

#[test]
fn twenty_thousand_mutants_of_a_file_stay_within_bounds() {
    let sound = File::sample().bytes();
    let header = sound.len() - File::sample().data.len();
    let mut random = XorShift(0x9E37_79B9_7F4A_7C15);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut mutant = sound.clone();
        for _ in 0..1 + random.below(3) {
            let range = 0..header.min(mutant.len());
            mutate(&mut mutant, range, &mut random);
        }
        accepted += usize::from(read_within_bounds(mutant));
    }
    // Both outcomes are common, or the mutants prove nothing.
    assert!((1000..19_000).contains(&accepted), "{accepted} of 20000 accepted");
}
