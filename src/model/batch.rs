//! What several sequences are to be given in one pass.

use std::fmt;
use std::ops::Range;

/// A sequence of a [`Context`](super::Context): no other of that context has, or had, the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId {
    pub(super) number: u64,
    pub(super) slot: usize,
}

impl fmt::Display for SequenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// After which tokens logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logits {
    /// After none: there is more to come.
    None,
    /// After the last: what the next token is drawn from.
    Last,
    /// After each.
    All,
}

/// Tokens for some sequences: the next of one that is being generated, or all of a prompt. It can be used again and
/// again, and allocates nothing once it has been as large as it gets.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    tokens: Vec<u32>,
    parts: Vec<Part>,
}

/// The tokens of one sequence.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub id: SequenceId,
    /// Where they are among all.
    pub tokens: Range<usize>,
    pub logits: Logits,
}

impl Part {
    /// Whether logits are wanted after its token `index`.
    pub fn wants(&self, index: usize) -> bool {
        match self.logits {
            Logits::None => false,
            Logits::Last => index + 1 == self.tokens.len(),
            Logits::All => true,
        }
    }
}

impl Batch {
    /// An empty one.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds tokens that are to be appended to a sequence. No tokens are nothing; a sequence may be in a batch once.
    pub fn push(&mut self, id: SequenceId, tokens: &[u32], logits: Logits) {
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        if !tokens.is_empty() {
            self.parts.push(Part { id, tokens: start..self.tokens.len(), logits });
        }
    }

    /// Takes out what was to be appended to a sequence.
    pub fn remove(&mut self, id: SequenceId) {
        // The tokens stay, unused, until the batch is cleared.
        self.parts.retain(|part| part.id != id);
    }

    /// Takes out everything.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.parts.clear();
    }

    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Tokens in it.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.tokens.len()).sum()
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The tokens of a part.
    pub(super) fn tokens(&self, part: &Part) -> &[u32] {
        &self.tokens[part.tokens.clone()]
    }
}
