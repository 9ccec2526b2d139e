//! Prompt lookup: what followed the last time.

use super::{Draft, Error, Sampler};

/// Guesses that the text goes on as it did after an earlier place that reads the same (Saxena, 2023): in code that is edited, in
/// answers from a document, in lists.
///
/// Of all earlier places, the one is taken whose tokens agree for longest with the end of the text, and of several the last. The search goes
/// through the whole text, about a microsecond for every thousand tokens.
#[derive(Clone, Debug)]
pub struct Lookup {
    least: usize,
}

/// Tokens that are compared, at most: beyond, a longer agreement says no more.
const MOST: usize = 32;

impl Lookup {
    /// Places that agree in two tokens at least.
    pub fn new() -> Self {
        Self::with_least(2)
    }

    /// Places that agree in so many tokens at least (at least 1).
    pub fn with_least(tokens: usize) -> Self {
        Lookup { least: tokens.clamp(1, MOST) }
    }

    /// Where what may follow begins, and how many tokens before it agree with the end.
    fn find(&self, tokens: &[u32]) -> Option<(usize, usize)> {
        let (&last, before) = tokens.split_last()?;
        let mut best = (0, self.least - 1);
        for (at, _) in before.iter().enumerate().rev().filter(|(_, token)| **token == last) {
            let ends = before[..at].iter().rev().zip(before.iter().rev());
            let agree = 1 + ends.take(MOST - 1).take_while(|(a, b)| a == b).count();
            if agree > best.1 {
                best = (at + 1, agree);
            }
            if agree == MOST {
                break;
            }
        }
        (best.0 > 0).then_some(best)
    }
}

impl Default for Lookup {
    fn default() -> Self {
        Self::new()
    }
}

impl Draft for Lookup {
    fn propose(
        &mut self,
        tokens: &[u32],
        _: &mut Sampler,
        most: usize,
        draft: &mut Vec<u32>,
    ) -> Result<usize, Error> {
        let Some((start, agree)) = self.find(tokens) else { return Ok(0) };
        // Where the place is near the end, what follows runs into the guess itself: a loop goes on as it went.
        let period = tokens.len() - start;
        draft.extend((0..most).map(|i| tokens[start + i % period]));
        Ok(agree)
    }

    fn is_free(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(lookup: &mut Lookup, tokens: &[u32], most: usize) -> (usize, Vec<u32>) {
        let mut draft = Vec::new();
        let agree = lookup.propose(tokens, &mut Sampler::greedy(), most, &mut draft).unwrap();
        (agree, draft)
    }

    #[test]
    fn the_place_that_agrees_for_longest_is_taken_and_of_several_the_last() {
        let mut lookup = Lookup::with_least(2);
        assert_eq!(draft(&mut lookup, &[1, 2, 3, 9, 2, 3, 8, 1, 2, 3], 2), (3, vec![9, 2]));
        assert_eq!(draft(&mut lookup, &[2, 3, 9, 2, 3, 8, 7, 2, 3], 3), (2, vec![8, 7, 2]));
        // One token that agrees is too few for it.
        assert_eq!(draft(&mut lookup, &[1, 3, 9, 2, 3], 3), (0, vec![]));
        assert_eq!(draft(&mut Lookup::with_least(1), &[1, 3, 9, 2, 3], 2), (1, vec![9, 2]));
    }

    #[test]
    fn a_loop_is_drafted_beyond_the_end_of_the_text() {
        let mut lookup = Lookup::new();
        assert_eq!(draft(&mut lookup, &[5, 1, 2, 1, 2], 5), (2, vec![1, 2, 1, 2, 1]));
        assert_eq!(draft(&mut lookup, &[7, 7, 7], 4), (2, vec![7; 4]));
    }

    #[test]
    fn short_texts_and_texts_without_an_earlier_place_give_nothing() {
        let mut lookup = Lookup::new();
        for text in [&[][..], &[1], &[1, 1], &[1, 2, 3, 4]] {
            assert_eq!(draft(&mut lookup, text, 4), (0, vec![]), "{text:?}");
        }
    }

    #[test]
    fn agreement_is_counted_up_to_its_limit() {
        let text: Vec<u32> = (0..100).chain(0..50).collect();
        assert_eq!(draft(&mut Lookup::new(), &text, 3), (MOST, vec![50, 51, 52]));
    }
}
