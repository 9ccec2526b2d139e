//! A short way to the end of a text that follows a grammar.
//!
//! The shortest one is a search over all texts. What is taken instead closes what is open: what is forced is written; where
//! nearly anything may stand, within a string, the quote that ends it; elsewhere brackets before commas, commas before quotes,
//! quotes before digits, these before letters, and white space last. So a JSON text ends as soon as its schema allows.

use llguidance::Matcher;
use llguidance::toktrie::{SimpleVob, TokEnv};

/// Steps after which a way is given up: what is closed does not end.
const MAX_STEPS: usize = 4096;

/// More bytes than this are allowed only where any text may stand.
const FREE_TEXT: usize = 64;

/// What closes, best first; other bytes come after these, white space last.
const CLOSERS: &[u8] = b"}])>,:\"'0123456789";

/// Knows which token is which byte.
pub(super) struct Closing {
    environment: TokEnv,
    /// Tokens of single bytes, best first, within free text and elsewhere.
    orders: [Vec<u32>; 2],
}

impl Closing {
    pub(super) fn new(environment: TokEnv) -> Closing {
        let trie = environment.tok_trie();
        let token = |byte: u8| trie.token_id_at_bytes(&[byte]);
        let rank = |byte: u8, free: bool| {
            let closer = CLOSERS.iter().position(|&closer| closer == byte);
            match byte {
                b'"' if free => 0,
                b'\n' if free => 1,
                b' ' | b'\t' | b'\r' | b'\n' => 1000,
                byte => closer.map_or(500 + usize::from(byte), |place| 2 + place),
            }
        };
        let orders = [true, false].map(|free| {
            let mut bytes: Vec<u8> = (0..=255).collect();
            bytes.sort_by_key(|&byte| rank(byte, free));
            bytes.into_iter().filter_map(token).collect()
        });
        Closing { environment, orders }
    }

    /// The token that ends a text.
    pub(super) fn end(&self) -> u32 {
        self.environment.tok_trie().eos_token()
    }

    /// Tokens that lead to an end, at most `limit`.
    pub(super) fn way(&self, from: &Matcher, limit: usize) -> Option<Vec<u32>> {
        let mut matcher = from.clone();
        let mut way = Vec::new();
        for _ in 0..MAX_STEPS {
            if matcher.is_error() || way.len() > limit {
                return None;
            }
            if matcher.is_stopped() || matcher.is_accepting().ok()? {
                return Some(way);
            }
            let mut next = self.forced(&mut matcher);
            if next.is_empty() {
                next.push(self.closer(&matcher.compute_mask().ok()?)?);
            }
            matcher.consume_tokens(&next).ok()?;
            way.extend(next);
        }
        None
    }

    /// What must follow, as the longest tokens.
    fn forced(&self, matcher: &mut Matcher) -> Vec<u32> {
        let bytes = matcher.compute_ff_bytes();
        let tokens = self.environment.tok_trie().greedy_tokenize(&bytes);
        // The matcher knows which of them it takes: a token may not end within what is forced.
        let taken = matcher.validate_tokens(&tokens).unwrap_or(0);
        tokens[..taken.min(tokens.len())].to_vec()
    }

    /// The best of the tokens that may follow.
    fn closer(&self, allowed: &SimpleVob) -> Option<u32> {
        let [free, other] = &self.orders;
        let bytes = free.iter().filter(|&&token| allowed.is_allowed(token)).count();
        let order = if bytes > FREE_TEXT { free } else { other };
        let found = order.iter().copied().find(|&token| allowed.is_allowed(token));
        found.or_else(|| allowed.iter().next())
    }
}
