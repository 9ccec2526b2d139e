//! Finding special tokens in text before anything else looks at it.

use super::vocab::Attributes;

/// A part of the text: still to be encoded, or one special token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fragment<'text> {
    Text(&'text str),
    Token(u32),
}

#[derive(Debug)]
struct Special {
    id: u32,
    text: String,
    /// Control and unknown tokens are plain text unless the caller asks for them.
    hidden: bool,
    /// The token takes the white space behind it.
    strips_right: bool,
}

/// The special tokens of a vocabulary.
#[derive(Debug, Default)]
pub(super) struct SpecialTokens {
    /// Longest first, then by id: the order in which they are looked for.
    by_length: Vec<Special>,
    /// Indices into `by_length`, by text.
    by_text: Vec<usize>,
    /// Where the texts that start with each byte lie in `by_text`.
    first_bytes: Vec<(usize, usize)>,
}

impl SpecialTokens {
    pub(super) fn new(
        tokens: &[String],
        attributes: &[Attributes],
        strips_right: impl Fn(&str) -> bool,
    ) -> Self {
        let mut by_length: Vec<Special> = (0..)
            .zip(tokens.iter().zip(attributes))
            .filter(|(_, (_, attributes))| attributes.is_special())
            .map(|(id, (text, attributes))| Special {
                id,
                text: text.clone(),
                hidden: attributes.is_hidden(),
                strips_right: strips_right(text),
            })
            .collect();
        by_length.sort_by_key(|special| (usize::MAX - special.text.len(), special.id));
        let mut by_text: Vec<usize> = (0..by_length.len()).collect();
        by_text.sort_by(|&a, &b| by_length[a].text.cmp(&by_length[b].text));
        let starts = |byte: u16| {
            by_text.partition_point(|&index| u16::from(by_length[index].text.as_bytes()[0]) < byte)
        };
        let first_bytes = (0..256).map(|byte| (starts(byte), starts(byte + 1))).collect();
        Self { by_length, by_text, first_bytes }
    }

    /// Cuts `text` at its special tokens: of two that overlap the longer one, of two of the same
    /// length the lower id, and of two occurrences of one token the left one.
    pub(super) fn partition<'text>(
        &self,
        text: &'text str,
        parse_hidden: bool,
    ) -> Vec<Fragment<'text>> {
        let mut fragments = Vec::new();
        if !text.is_empty() {
            fragments.push(Fragment::Text(text));
        }
        // Few of the thousands of special tokens occur in a text: one pass finds which.
        for special in self.occurring(text, parse_hidden) {
            let before = std::mem::take(&mut fragments);
            for fragment in before {
                match fragment {
                    Fragment::Text(text) => special.cut(text, &mut fragments),
                    token => fragments.push(token),
                }
            }
        }
        fragments
    }

    /// The tokens that occur anywhere in `text`, in the order of `by_length`.
    fn occurring(&self, text: &str, parse_hidden: bool) -> impl Iterator<Item = &Special> {
        let bytes = text.as_bytes();
        let mut occurs = vec![false; self.by_length.len()];
        let byte_at =
            |index: usize, depth: usize| self.by_length[index].text.as_bytes().get(depth).copied();
        for (pos, &byte) in bytes.iter().enumerate() {
            let Some(&(mut low, mut high)) = self.first_bytes.get(byte as usize) else { break };
            let mut depth = 1;
            while low < high {
                // Among texts with a common start the start itself sorts first.
                if byte_at(self.by_text[low], depth).is_none() {
                    occurs[self.by_text[low]] = true;
                    low += 1;
                }
                let Some(&byte) = bytes.get(pos + depth) else { break };
                let range = &self.by_text[low..high];
                let below = |index: &usize| byte_at(*index, depth) < Some(byte);
                let up_to = |index: &usize| byte_at(*index, depth) <= Some(byte);
                high = low + range.partition_point(up_to);
                low += range.partition_point(below);
                depth += 1;
            }
        }
        (self.by_length.iter().zip(occurs))
            .filter(move |(special, occurs)| *occurs && (parse_hidden || !special.hidden))
            .map(|(special, _)| special)
    }
}

impl Special {
    fn cut<'text>(&self, mut text: &'text str, fragments: &mut Vec<Fragment<'text>>) {
        while let Some(at) = text.find(&self.text) {
            if at > 0 {
                fragments.push(Fragment::Text(&text[..at]));
            }
            fragments.push(Fragment::Token(self.id));
            text = &text[at + self.text.len()..];
            if self.strips_right {
                text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
            }
        }
        if !text.is_empty() {
            fragments.push(Fragment::Text(text));
        }
    }
}
