//! What encoding keeps from word to word.

use std::collections::HashMap;
use std::ops::Range;

use super::hash::Keyed;
use super::merge::Merger;

/// The buffers of one call, and the words that it has met.
#[derive(Default)]
pub(super) struct Workspace<'text> {
    pub(super) seen: SeenWords<'text>,
    pub(super) merger: Merger,
    /// A word as the vocabulary spells it.
    pub(super) spelled: String,
}

/// The words met so far, and where their tokens stand in the output: most words of a text have
/// occurred before, and copying their tokens is many times faster than merging.
#[derive(Default)]
pub(super) struct SeenWords<'text> {
    tokens: HashMap<&'text [u8], Range<usize>, Keyed>,
}

/// So many words are remembered; then the collection starts anew. The table stays below 5 MB.
const MAX_WORDS: usize = 1 << 16;

impl<'text> SeenWords<'text> {
    /// Appends the tokens of `word`: those it had before, or what `encode` appends. All words of
    /// one collection need the same `output`, to which nothing is done but appending.
    pub(super) fn encode(
        &mut self,
        word: &'text [u8],
        output: &mut Vec<u32>,
        encode: impl FnOnce(&mut Vec<u32>),
    ) {
        if let Some(tokens) = self.tokens.get(word) {
            return output.extend_from_within(tokens.clone());
        }
        let start = output.len();
        encode(output);
        if self.tokens.len() == MAX_WORDS {
            self.tokens.clear();
        }
        self.tokens.insert(word, start..output.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_encoded_once_and_copied_then() {
        let (mut seen, mut output, mut calls) = (SeenWords::default(), vec![9], 0);
        for word in ["ab", "c", "ab", "", "ab", ""] {
            seen.encode(word.as_bytes(), &mut output, |output| {
                calls += 1;
                output.extend(word.bytes().map(u32::from));
            });
        }
        assert_eq!((output, calls), (vec![9, 97, 98, 99, 97, 98, 97, 98], 3));
    }

    #[test]
    fn the_collection_stays_small() {
        let words: Vec<[u8; 4]> = (0..3 * MAX_WORDS as u32).map(u32::to_le_bytes).collect();
        let (mut seen, mut output) = (SeenWords::default(), Vec::new());
        for word in &words {
            seen.encode(word, &mut output, |output| output.push(u32::from_le_bytes(*word)));
            assert!(seen.tokens.len() <= MAX_WORDS);
        }
        assert!(output.into_iter().eq(0..3 * MAX_WORDS as u32));
    }
}
