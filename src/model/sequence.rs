//! One text: its tokens, and what they left in the cache.

use super::cache::{AnyCache, padded};
use super::{CacheType, Config, Error, Model, system};

/// The context of a sequence that does not ask for one.
const DEFAULT_CONTEXT: usize = 4096;

/// A text and its cache: all that differs between texts of one model.
pub(super) struct Sequence {
    pub cache: AnyCache,
    cache_bytes: usize,
    /// One for each filled position; room for the context is there from the beginning.
    tokens: Vec<u32>,
    context: usize,
}

impl Sequence {
    /// Makes room for the cache, after checking that the memory is there.
    pub fn new(
        config: &Config,
        context: Option<usize>,
        cache: CacheType,
    ) -> Result<Sequence, Error> {
        let context = context.unwrap_or_else(|| config.context_length.min(DEFAULT_CONTEXT));
        if context == 0 {
            return Err(Error::Session("a context of 0: it must be at least 1".into()));
        }
        let cache_bytes = [config.layers, config.kv_heads, cache.bytes(config.head_dim)?, 2]
            .into_iter()
            .try_fold(padded(context.min(1 << 40)), |bytes, n| bytes.checked_mul(n))
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .ok_or_else(|| {
                Error::Session(format!("a context of {context} is beyond all memory"))
            })?;
        if let Some(available) = system::memory_available()
            && cache_bytes as u64 > available
        {
            return Err(Error::Session(format!(
                "a context of {context} needs {} MiB for keys and values, and {} MiB of memory are \
                 available: choose a smaller context",
                cache_bytes >> 20,
                available >> 20
            )));
        }
        let tokens = Vec::with_capacity(context);
        Ok(Sequence { cache: AnyCache::new(cache, config, context), cache_bytes, tokens, context })
    }

    /// Positions that there is room for.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Bytes of the cache.
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// The text so far.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Positions filled so far.
    pub fn position(&self) -> usize {
        self.tokens.len()
    }

    /// Whether these tokens can be appended.
    pub fn check(&self, model: &Model, tokens: &[u32]) -> Result<(), Error> {
        let (context, position, vocab) = (self.context, self.position(), model.config().vocab);
        if tokens.len() > context - position {
            return Err(Error::ContextFull { tokens: tokens.len(), position, context });
        }
        match tokens.iter().find(|&&token| token as usize >= vocab) {
            Some(&token) => Err(Error::Token { token, vocab }),
            None => Ok(()),
        }
    }

    /// Counts tokens that are in the cache, and for which there is room.
    pub fn append(&mut self, tokens: &[u32]) {
        debug_assert!(self.tokens.len() + tokens.len() <= self.context);
        self.tokens.extend_from_slice(tokens);
    }

    /// Forgets every position from `positions` on.
    pub fn truncate(&mut self, positions: usize) {
        self.tokens.truncate(positions);
    }

    /// Has these tokens from now on, as many as there is room for; the cache is the caller's part.
    pub fn restore(&mut self, tokens: impl Iterator<Item = u32>) {
        self.tokens.clear();
        self.tokens.extend(tokens.take(self.context));
    }

    /// Becomes a copy of another of the same model, context and cache type: of what it has filled.
    pub fn copy(&mut self, from: &Sequence) {
        self.cache.copy_prefix(&from.cache, from.position());
        self.tokens.clear();
        self.tokens.extend_from_slice(&from.tokens);
    }
}
