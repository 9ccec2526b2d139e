//! Merging neighbours by priority: the loop that both kinds of BPE share.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One symbol of the text being merged: `len` bytes from `start`, or merged away when `len` is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    /// The token that the symbol is, if it is one.
    pub(super) id: Option<u32>,
    pub(super) start: usize,
    pub(super) len: usize,
    prev: usize,
    next: usize,
}

/// No neighbour.
const NONE: usize = usize::MAX;

/// A pair that may be merged: the lowest comes first, so by priority, then from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    priority: u32,
    left: usize,
    /// Bytes of `left` and its neighbour when the pair was found; a different sum now means that
    /// one of them has grown since.
    len: usize,
    id: u32,
}

/// The buffers of the merge loop, kept from word to word.
#[derive(Default)]
pub(super) struct Merger {
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Reverse<Candidate>>,
}

impl Merger {
    /// Starts a new word.
    pub(super) fn clear(&mut self) {
        self.symbols.clear();
        self.queue.clear();
    }

    /// Appends a symbol of `len` bytes.
    pub(super) fn push(&mut self, id: Option<u32>, len: usize) {
        let index = self.symbols.len();
        let (prev, start) = match self.symbols.last_mut() {
            Some(last) => {
                last.next = index;
                (index - 1, last.start + last.len)
            }
            None => (NONE, 0),
        };
        self.symbols.push(Symbol { id, start, len, prev, next: NONE });
    }

    /// Merges until no pair is left, and returns the remaining symbols.
    ///
    /// `pair` gives the priority (lower merges first) and the token of two neighbours, or `None`
    /// where they do not merge. Ties go to the leftmost pair. Every merge removes a symbol and
    /// looks at two new pairs, so n symbols take O(n log n) steps.
    pub(super) fn merge(
        &mut self,
        pair: impl Fn(&Symbol, &Symbol) -> Option<(u32, u32)>,
    ) -> impl Iterator<Item = &Symbol> {
        for right in 1..self.symbols.len() {
            self.consider(right - 1, right, &pair);
        }
        while let Some(Reverse(best)) = self.queue.pop() {
            let left = self.symbols[best.left];
            let Some(&right) = self.symbols.get(left.next) else { continue };
            if left.len == 0 || left.len + right.len != best.len {
                continue;
            }
            self.symbols[best.left] =
                Symbol { id: Some(best.id), len: best.len, next: right.next, ..left };
            self.symbols[left.next].len = 0;
            if right.next != NONE {
                self.symbols[right.next].prev = best.left;
            }
            self.consider(left.prev, best.left, &pair);
            self.consider(best.left, right.next, &pair);
        }
        self.symbols.iter().filter(|symbol| symbol.len > 0)
    }

    fn consider(
        &mut self,
        left: usize,
        right: usize,
        pair: impl Fn(&Symbol, &Symbol) -> Option<(u32, u32)>,
    ) {
        if left == NONE || right == NONE {
            return;
        }
        let (first, second) = (&self.symbols[left], &self.symbols[right]);
        if let Some((priority, id)) = pair(first, second) {
            let len = first.len + second.len;
            self.queue.push(Reverse(Candidate { priority, left, len, id }));
        }
    }
}
