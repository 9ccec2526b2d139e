//! SentencePiece BPE ("llama" in GGUF): characters merge by the score of the token they form
//! (Kudo and Richardson 2018), and what forms no token falls back to its bytes.

use super::bytes::byte_token_value;
use super::merge::Merger;
use super::texts::Texts;
use super::words::Workspace;

/// The tables that encoding needs.
#[derive(Debug)]
pub(super) struct Spm {
    texts: Texts,
    /// The merge priority of each token; none at all if all are alike.
    priorities: Vec<u32>,
    /// The token of each byte: `<0xXX>`, else the one-character token, else the unknown token.
    byte_ids: [Option<u32>; 256],
    /// The characters that stand before a space mark in some token, other than the mark itself;
    /// ascending. In most vocabularies there are none.
    before_mark: Vec<char>,
}

/// The character that stands for a space in SentencePiece vocabularies.
pub(super) const SPACE_MARK: &str = "\u{2581}";

impl Spm {
    /// `scores` is empty (all alike) or has one score, not NaN, for every id.
    pub(super) fn new(texts: Texts, scores: &[f32], unk: Option<u32>) -> Self {
        let mut byte_ids = [unk; 256];
        for byte in 0..128u8 {
            if let Some(id) = texts.id((byte as char).encode_utf8(&mut [0; 4])) {
                byte_ids[byte as usize] = Some(id);
            }
        }
        let mut before_mark = Vec::new();
        for (id, text) in (0..).zip(texts.iter()) {
            // Only the spelling with capital digits is a byte token to the reference.
            match byte_token_value(text) {
                Some(byte) if *text == format!("<0x{byte:02X}>") => {
                    byte_ids[byte as usize] = Some(id);
                }
                _ => {}
            }
            let marks = text.match_indices(SPACE_MARK);
            before_mark.extend(marks.filter_map(|(at, _)| last_but_mark(&text[..at])));
        }
        before_mark.sort_unstable();
        before_mark.dedup();
        let priorities = scores.iter().map(|&score| descending(score)).collect();
        Self { texts, priorities, byte_ids, before_mark }
    }

    /// Appends the tokens of `text`, with a space before it if `space_prefix` says so.
    pub(super) fn encode<'text>(
        &self,
        text: &'text str,
        space_prefix: bool,
        workspace: &mut Workspace<'text>,
        output: &mut Vec<u32>,
    ) {
        let Workspace { seen, merger, spelled } = workspace;
        let mut encode = |prefix: &str, segment: &str, output: &mut Vec<u32>| {
            spelled.clear();
            spelled.push_str(prefix);
            for (index, word) in segment.split(' ').enumerate() {
                spelled.extend([if index > 0 { SPACE_MARK } else { "" }, word]);
            }
            self.encode_spelled(spelled, merger, output);
        };
        let mut rest = text;
        if space_prefix {
            let (first, behind) = rest.split_at(self.segment_len(rest));
            encode(SPACE_MARK, first, output);
            rest = behind;
        }
        while !rest.is_empty() {
            let (segment, behind) = rest.split_at(self.segment_len(rest));
            seen.encode(segment.as_bytes(), output, |output| encode("", segment, output));
            rest = behind;
        }
    }

    /// The length of the first segment of `text`. Segments are encoded each for itself: what
    /// merges is always a token, and no token has the characters on both sides of a cut next to
    /// each other.
    fn segment_len(&self, text: &str) -> usize {
        let mark_starts = |&at: &usize| match text.as_bytes()[at] {
            b' ' => true,
            byte => byte == SPACE_MARK.as_bytes()[0] && text[at..].starts_with(SPACE_MARK),
        };
        let may_cut = |at: &usize| {
            last_but_mark(&text[..*at])
                .is_some_and(|ch| self.before_mark.binary_search(&ch).is_err())
        };
        (1..text.len()).filter(mark_starts).find(may_cut).unwrap_or(text.len())
    }

    fn encode_spelled(&self, text: &str, merger: &mut Merger, output: &mut Vec<u32>) {
        merger.clear();
        for ch in text.chars() {
            // Which token a character is matters only if it merges with nothing.
            merger.push(None, ch.len_utf8());
        }
        let symbols = merger.merge(|left, right| {
            let id = self.texts.id(&text[left.start..right.start + right.len])?;
            Some((self.priorities.get(id as usize).copied().unwrap_or(0), id))
        });
        for symbol in symbols {
            let spelled = &text[symbol.start..symbol.start + symbol.len];
            match symbol.id.or_else(|| self.texts.id(spelled)) {
                Some(id) => output.push(id),
                None => {
                    output.extend(spelled.bytes().filter_map(|byte| self.byte_ids[byte as usize]))
                }
            }
        }
    }
}

/// The last character, unless it is a space or the mark of one.
fn last_but_mark(text: &str) -> Option<char> {
    text.chars().next_back().filter(|&ch| ch != ' ' && !SPACE_MARK.contains(ch))
}

/// Maps scores to integers in the reverse order, with both zeros equal.
fn descending(score: f32) -> u32 {
    let bits = if score == 0.0 { 0 } else { score.to_bits() };
    if bits >> 31 == 0 { 0x7fff_ffff - bits } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_scores_come_first_and_zeros_are_equal() {
        let scores = [f32::INFINITY, 1e9, 1.0, f32::MIN_POSITIVE, 0.0, -1e-40, -1.0, -1e9];
        for pair in scores.windows(2) {
            assert!(descending(pair[0]) < descending(pair[1]), "{pair:?}");
        }
        assert_eq!(descending(0.0), descending(-0.0));
        assert!(descending(-1e9) < descending(f32::NEG_INFINITY));
    }
}
