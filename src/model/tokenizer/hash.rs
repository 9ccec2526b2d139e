//! The hash of the tables: a few instructions a word, under a key that no file can know.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Two secret words. A vocabulary is foreign data: with a fixed hash one could be made whose
/// texts all collide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed([u64; 2]);

impl Default for Keyed {
    fn default() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(0), random.hash_one(1) | 1])
    }
}

impl BuildHasher for Keyed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold { state: self.0[0], factor: self.0[1] }
    }
}

/// Each word is multiplied into the state, whose two halves are then folded together.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    state: u64,
    factor: u64,
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for &word in words {
            self.write_u64(u64::from_le_bytes(word));
        }
        // The length goes in as well (as for any slice): "a" and "\0a" differ.
        if !rest.is_empty() {
            self.write_u64(rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        self.state = product as u64 ^ (product >> 64) as u64;
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_differs_from_table_to_table_and_equal_slices_hash_alike() {
        let [a, b] = [Keyed::default(), Keyed::default()];
        let text = "more than eight bytes".to_owned();
        assert_eq!(a.hash_one(text.as_bytes()), a.hash_one(text.clone().as_bytes()));
        assert_ne!(a.hash_one(text.as_bytes()), b.hash_one(text.as_bytes()));
    }

    #[test]
    fn every_byte_and_the_length_count() {
        let keyed = Keyed::default();
        let mut seen = std::collections::HashSet::new();
        for len in 0..40 {
            assert!(seen.insert(keyed.hash_one(&vec![0u8; len][..])), "{len} zeros");
            for at in 0..len {
                let mut bytes = vec![0u8; len];
                bytes[at] = 1;
                assert!(seen.insert(keyed.hash_one(&bytes[..])), "a one at {at} of {len}");
            }
        }
    }
}
