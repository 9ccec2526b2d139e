//! Finding special tokens in text before anything else looks at it.

use std::collections::BTreeSet;
use std::ops::Range;

use super::texts::Texts;
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

/// The special tokens of a vocabulary, sorted by text.
#[derive(Debug, Default)]
pub(super) struct SpecialTokens {
    tokens: Vec<Special>,
    /// Which of them start with each byte.
    first_bytes: Vec<Range<usize>>,
}

/// A place where special tokens start.
struct Hit {
    pos: usize,
    /// Length of the longest token that starts here.
    longest: usize,
}

impl SpecialTokens {
    pub(super) fn new(
        texts: &Texts,
        attributes: &[Attributes],
        strips_right: impl Fn(&str) -> bool,
    ) -> Self {
        let mut tokens: Vec<Special> = (0..)
            .zip(texts.iter().zip(attributes))
            .filter(|(_, (_, attributes))| attributes.is_special())
            .map(|(id, (text, attributes))| Special {
                id,
                text: text.to_owned(),
                hidden: attributes.is_hidden(),
                strips_right: strips_right(text),
            })
            .collect();
        tokens.sort_by(|a, b| a.text.cmp(&b.text));
        let start =
            |byte: u16| tokens.partition_point(|token| u16::from(token.text.as_bytes()[0]) < byte);
        let first_bytes = (0..256).map(|byte| start(byte)..start(byte + 1)).collect();
        Self { tokens, first_bytes }
    }

    /// Cuts `text` at its special tokens: of two that overlap the longer one, of two of the same
    /// length the lower id, and of two occurrences of one token the left one. Within `literal`, ranges of bytes in ascending
    /// order, there are no hidden tokens.
    pub(super) fn partition<'text>(
        &self,
        text: &'text str,
        parse_hidden: bool,
        literal: &[Range<usize>],
    ) -> Vec<Fragment<'text>> {
        let (mut hits, lengths) = self.hits(text.as_bytes(), parse_hidden);
        let mut taken = vec![false; if hits.is_empty() { 0 } else { text.len() }];
        // What is taken already is at least as long as what comes now: looking at both ends of a
        // candidate shows any overlap.
        let free = |taken: &[bool], pos: usize, len: usize| !taken[pos] && !taken[pos + len - 1];
        let mut cuts = Vec::new();
        for &len in lengths.iter().rev() {
            let mut candidates: Vec<(&Special, usize)> = hits
                .iter()
                .filter(|hit| hit.longest >= len && free(&taken, hit.pos, len))
                .filter_map(|hit| {
                    let token = self.exactly(text.get(hit.pos..hit.pos + len)?)?;
                    let recognised = parse_hidden && !overlaps(literal, hit.pos, hit.pos + len);
                    (recognised || !token.hidden).then_some((token, hit.pos))
                })
                .collect();
            candidates.sort_by_key(|&(token, pos)| (token.id, pos));
            for (token, pos) in candidates {
                if !free(&taken, pos, len) {
                    continue;
                }
                let mut end = pos + len;
                taken[pos..end].fill(true);
                while token.strips_right && end < taken.len() && !taken[end] {
                    if !matches!(text.as_bytes()[end], b'\t'..=b'\r' | b' ') {
                        break;
                    }
                    taken[end] = true;
                    end += 1;
                }
                cuts.push((pos, end, token.id));
            }
            hits.retain(|hit| !taken[hit.pos]);
        }
        cuts.sort_unstable();
        fragments(text, &cuts)
    }

    /// Where hidden tokens stand in `text`.
    pub(super) fn hidden_spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        let mut at = 0;
        for fragment in self.partition(text, true, &[]) {
            let start = at;
            match fragment {
                Fragment::Text(part) => at += part.len(),
                Fragment::Token(id) => {
                    let token = self.tokens.iter().find(|token| token.id == id);
                    let Some(token) = token else { continue };
                    at += token.text.len();
                    if token.hidden {
                        spans.push(start..at);
                    }
                    if token.strips_right {
                        let space = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ');
                        at += text.as_bytes()[at..].iter().take_while(|byte| space(byte)).count();
                    }
                }
            }
        }
        spans
    }

    /// Where special tokens start, and the lengths of all tokens that occur, each walk down the
    /// sorted texts narrowing the range of those that agree so far.
    fn hits(&self, text: &[u8], parse_hidden: bool) -> (Vec<Hit>, BTreeSet<usize>) {
        let (mut hits, mut lengths) = (Vec::new(), BTreeSet::new());
        let byte_at = |token: &Special, depth: usize| token.text.as_bytes().get(depth).copied();
        for (pos, &byte) in text.iter().enumerate() {
            let mut range = &self.tokens[self.first_bytes[usize::from(byte)].clone()];
            let mut longest = 0;
            let mut depth = 1;
            // Among texts with a common start the start itself sorts first.
            while let Some(token) = range.first() {
                if token.text.len() == depth {
                    if parse_hidden || !token.hidden {
                        longest = depth;
                        lengths.insert(depth);
                    }
                    range = &range[1..];
                }
                let Some(&byte) = text.get(pos + depth) else { break };
                let end = range.partition_point(|token| byte_at(token, depth) <= Some(byte));
                let start = range.partition_point(|token| byte_at(token, depth) < Some(byte));
                range = &range[start..end];
                depth += 1;
            }
            if longest > 0 {
                hits.push(Hit { pos, longest });
            }
        }
        (hits, lengths)
    }

    fn exactly(&self, text: &str) -> Option<&Special> {
        let index = self.tokens.binary_search_by(|token| token.text.as_str().cmp(text)).ok()?;
        self.tokens.get(index)
    }
}

/// Whether any of the ranges, which ascend, has a byte of `start..end`.
fn overlaps(ranges: &[Range<usize>], start: usize, end: usize) -> bool {
    let next = ranges.partition_point(|range| range.end <= start);
    ranges.get(next).is_some_and(|range| range.start < end)
}

/// The text between the cuts (start, end, token), which ascend, and their tokens.
fn fragments<'text>(text: &'text str, cuts: &[(usize, usize, u32)]) -> Vec<Fragment<'text>> {
    let mut fragments = Vec::with_capacity(2 * cuts.len() + 1);
    let mut gap = 0;
    for &(start, end, id) in cuts {
        if gap < start {
            fragments.push(Fragment::Text(&text[gap..start]));
        }
        fragments.push(Fragment::Token(id));
        gap = end;
    }
    if gap < text.len() {
        fragments.push(Fragment::Text(&text[gap..]));
    }
    fragments
}
