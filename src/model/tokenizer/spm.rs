//! SentencePiece BPE ("llama" in GGUF): characters merge by the score of the token they form
//! (Kudo and Richardson 2018), and what forms no token falls back to its bytes.

use std::collections::HashMap;

use super::bytes::byte_token_value;
use super::merge::Merger;

/// The tables that encoding needs.
#[derive(Debug)]
pub(super) struct Spm {
    /// Each token by its text, with its merge priority.
    tokens: HashMap<String, (u32, u32)>,
    /// Bytes of the longest token: no longer text needs looking up.
    max_len: usize,
    /// The token of each byte: `<0xXX>`, else the one-character token, else the unknown token.
    byte_ids: [Option<u32>; 256],
}

/// The character that stands for a space in SentencePiece vocabularies.
pub(super) const SPACE_MARK: &str = "\u{2581}";

impl Spm {
    /// `scores` is empty (all alike) or has one score, not NaN, for every id.
    pub(super) fn new(ids: HashMap<String, u32>, scores: &[f32], unk: Option<u32>) -> Self {
        let mut byte_ids = [unk; 256];
        for byte in 0..128u8 {
            if let Some(&id) = ids.get(&*(byte as char).to_string()) {
                byte_ids[byte as usize] = Some(id);
            }
        }
        for (text, &id) in &ids {
            // Only the spelling with capital digits is a byte token to the reference.
            match byte_token_value(text) {
                Some(byte) if *text == format!("<0x{byte:02X}>") => {
                    byte_ids[byte as usize] = Some(id);
                }
                _ => {}
            }
        }
        let max_len = ids.keys().map(String::len).max().unwrap_or(0);
        let priority = |id: u32| scores.get(id as usize).map_or(0, |&score| descending(score));
        let tokens = ids.into_iter().map(|(text, id)| (text, (priority(id), id))).collect();
        Self { tokens, max_len, byte_ids }
    }

    /// Appends the tokens of `text`, with a space before it if `space_prefix` says so.
    pub(super) fn encode(&self, text: &str, space_prefix: bool, output: &mut Vec<u32>) {
        let prefix = if space_prefix { SPACE_MARK } else { "" };
        let text = prefix.to_owned() + &text.replace(' ', SPACE_MARK);
        let mut merger = Merger::default();
        let mut buffer = [0; 4];
        for ch in text.chars() {
            let id = self.tokens.get(&*ch.encode_utf8(&mut buffer)).map(|&(_, id)| id);
            merger.push(id, ch.len_utf8());
        }
        let symbols = merger.merge(|left, right| {
            let end = right.start + right.len;
            let merged = &text[left.start..end];
            if merged.len() > self.max_len { None } else { self.tokens.get(merged).copied() }
        });
        for symbol in symbols {
            match symbol.id {
                Some(id) => output.push(id),
                None => {
                    let bytes = &text.as_bytes()[symbol.start..symbol.start + symbol.len];
                    output.extend(bytes.iter().filter_map(|&byte| self.byte_ids[byte as usize]));
                }
            }
        }
    }
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
