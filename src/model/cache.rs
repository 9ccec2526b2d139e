//! Keys and values of past positions, laid out as the attention kernels read them.

mod bytes;

use std::fmt;
use std::str::FromStr;

use half::f16;
use half::vec::HalfBitsVecExt;

use crate::kernels::Kernels;
use crate::kernels::attention::{CacheElement, HeadCache, KEY_LANES};

use super::Config;
use super::divide::Chunks;

/// How keys and values are stored. Part of the definition of the results: each type has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheType {
    /// Rounded to f16, to nearest even.
    #[default]
    F16,
    /// As computed.
    F32,
}

impl CacheType {
    /// Every type.
    pub const ALL: [CacheType; 2] = [CacheType::F16, CacheType::F32];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            CacheType::F16 => "f16",
            CacheType::F32 => "f32",
        }
    }

    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            CacheType::F16 => 2,
            CacheType::F32 => 4,
        }
    }
}

impl fmt::Display for CacheType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CacheType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|t| t.name() == name)
            .ok_or_else(|| format!("unknown cache type `{name}`; expected f16 or f32"))
    }
}

/// The cache of every layer and key-value head, for `context` positions.
pub(super) struct Cache<E> {
    keys: Vec<E>,
    values: Vec<E>,
    /// Elements of one head of one layer: of its keys, and of its values.
    head_len: usize,
    head_dim: usize,
    kv_heads: usize,
}

/// Positions that are allocated for a context: whole groups of interleaved keys.
pub(super) fn padded(context: usize) -> usize {
    context.next_multiple_of(KEY_LANES)
}

impl<E: CacheElement> Cache<E> {
    /// `zeros` should give pages that the system zeroes when they are first touched: a context that
    /// is not filled then costs no memory.
    fn new(config: &Config, context: usize, zeros: fn(usize) -> Vec<E>) -> Cache<E> {
        let head_len = padded(context) * config.head_dim;
        let len = config.layers * config.kv_heads * head_len;
        let Config { head_dim, kv_heads, .. } = *config;
        Cache { keys: zeros(len), values: zeros(len), head_len, head_dim, kv_heads }
    }

    /// What one head of one layer has cached.
    pub fn head(&self, layer: usize, head: usize) -> HeadCache<'_, E> {
        let start = (layer * self.kv_heads + head) * self.head_len;
        let range = start..start + self.head_len;
        HeadCache { keys: &self.keys[range.clone()], values: &self.values[range] }
    }

    /// Takes the first positions of another cache of the same model.
    fn copy_prefix(&mut self, from: &Cache<E>, positions: usize) {
        if from.head_len == 0 {
            return;
        }
        // Whole groups of keys: what else they hold is overwritten before it is read.
        let head_dim = self.head_dim;
        let keys = padded(positions) * head_dim;
        let heads = |cache: &Cache<E>| 0..cache.keys.len() / cache.head_len;
        for head in heads(from) {
            let (to, at) = (head * self.head_len, head * from.head_len);
            self.keys[to..to + keys].copy_from_slice(&from.keys[at..at + keys]);
            let values = positions * head_dim;
            self.values[to..to + values].copy_from_slice(&from.values[at..at + values]);
        }
    }

    /// The keys and the values of each head of one layer, in step.
    pub fn heads_mut(&mut self, layer: usize) -> (Chunks<'_, E>, Chunks<'_, E>) {
        let len = self.kv_heads * self.head_len;
        let range = layer * len..(layer + 1) * len;
        (
            Chunks::rows(&mut self.keys[range.clone()], self.kv_heads),
            Chunks::rows(&mut self.values[range], self.kv_heads),
        )
    }
}

/// The cache of one head, to be written.
pub(super) struct CacheHead<'a, E> {
    pub keys: &'a mut [E],
    pub values: &'a mut [E],
}

impl<E: CacheElement> CacheHead<'_, E> {
    /// Stores the key and the value of one position.
    pub fn store(&mut self, kernels: &Kernels, position: usize, key: &[f32], value: &[f32]) {
        let head_dim = key.len();
        let group = position / KEY_LANES * KEY_LANES * head_dim;
        let mut lane = self.keys[group + position % KEY_LANES..].iter_mut().step_by(KEY_LANES);
        let mut stored = [E::default(); 64];
        for key in key.chunks(stored.len()) {
            let stored = &mut stored[..key.len()];
            E::store(kernels, key, stored);
            // The lane last: a pair without its first is not taken from the other.
            stored.iter().zip(lane.by_ref()).for_each(|(&x, slot)| *slot = x);
        }
        let row = position * head_dim;
        E::store(kernels, value, &mut self.values[row..row + head_dim]);
    }
}

/// A cache of either type.
pub(super) enum AnyCache {
    F16(Cache<f16>),
    F32(Cache<f32>),
}

impl AnyCache {
    pub fn new(cache_type: CacheType, config: &Config, context: usize) -> AnyCache {
        match cache_type {
            CacheType::F16 => {
                // `vec!` asks for zeroed pages for integers, not for f16: it would write them all.
                AnyCache::F16(Cache::new(config, context, |len| vec![0u16; len].reinterpret_into()))
            }
            CacheType::F32 => AnyCache::F32(Cache::new(config, context, |len| vec![0.0; len])),
        }
    }
    /// How keys and values are stored.
    pub fn cache_type(&self) -> CacheType {
        match self {
            AnyCache::F16(_) => CacheType::F16,
            AnyCache::F32(_) => CacheType::F32,
        }
    }

    /// Takes the first positions of another cache of the same model and type.
    ///
    /// # Panics
    /// If the type is another, or either has not so many positions.
    pub fn copy_prefix(&mut self, from: &AnyCache, positions: usize) {
        match (self, from) {
            (AnyCache::F16(to), AnyCache::F16(from)) => to.copy_prefix(from, positions),
            (AnyCache::F32(to), AnyCache::F32(from)) => to.copy_prefix(from, positions),
            (to, from) => panic!("a {} cache of {}", to.cache_type(), from.cache_type()),
        }
    }
}
