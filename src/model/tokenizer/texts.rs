//! The texts of all tokens, and which token has which text.

use std::hash::BuildHasher;

use super::hash::Keyed;

/// The texts end to end and an open hash table of ids: 13 to 21 bytes a token beside its text, where
/// a map from strings takes about 100.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where each text ends.
    ends: Vec<u32>,
    /// At most half full; its length is a power of two. The upper half of a slot is that of the
    /// hash, so that most texts that differ are never looked at.
    slots: Vec<Slot>,
    longest: usize,
    keyed: Keyed,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u32,
    id: u32,
}

/// The id in a slot that is free; never one of a token.
const FREE: u32 = u32::MAX;

impl Texts {
    /// Room for `count` texts, fewer than 2^31, of `bytes` bytes together, fewer than 2^32.
    pub(super) fn with_capacity(count: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(count),
            slots: vec![Slot { tag: 0, id: FREE }; (2 * count).next_power_of_two()],
            ..Self::default()
        }
    }

    /// Adds the text of the next id; if an earlier one has that text, returns it instead.
    pub(super) fn push(&mut self, text: &str) -> Result<(), u32> {
        let (tag, slot) = match self.find(text.as_bytes()) {
            Ok(first) => return Err(first),
            Err(free) => free,
        };
        self.slots[slot] = Slot { tag, id: self.ends.len() as u32 };
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len() as u32);
        self.longest = self.longest.max(text.len());
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The token with this text.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        // No longer text needs to be hashed, however long it grows.
        if text.len() > self.longest { None } else { self.find(text.as_bytes()).ok() }
    }

    /// The texts in the order of ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|id| {
            // Only whole strings are ever pushed.
            std::str::from_utf8(self.text(id)).unwrap_or_default()
        })
    }

    fn text(&self, id: usize) -> &[u8] {
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        &self.bytes[start..self.ends[id] as usize]
    }

    /// The token, or tag and number of the free slot where it would stand.
    fn find(&self, text: &[u8]) -> Result<u32, (u32, usize)> {
        let hash = self.keyed.hash_one(text);
        let tag = (hash >> 32) as u32;
        let mut at = hash as usize;
        loop {
            at &= self.slots.len() - 1;
            let slot = self.slots[at];
            if slot.id == FREE {
                return Err((tag, at));
            }
            if slot.tag == tag && self.text(slot.id as usize) == text {
                return Ok(slot.id);
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_found_and_no_other() {
        let words: Vec<String> = (0..5000).map(|n| format!("{n:x}")).collect();
        let mut texts = Texts::with_capacity(words.len(), 0);
        for word in &words {
            texts.push(word).unwrap();
        }
        for (id, word) in (0..).zip(&words) {
            assert_eq!(texts.id(word), Some(id));
            assert_eq!(texts.id(&format!("g{word}")), None);
        }
        assert_eq!(texts.id(""), None);
        assert!(texts.iter().eq(&words));
        assert_eq!(texts.push("7"), Err(7));
    }
}
