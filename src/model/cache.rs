//! Keys and values of past positions, laid out as the attention kernels read them.

mod bytes;

use std::fmt;
use std::str::FromStr;

use half::f16;
use half::vec::HalfBitsVecExt;

use crate::kernels::Kernels;
use crate::kernels::attention::{HeadCache, KEY_LANES, Q8_0, Storage};

use super::divide::Chunks;
use super::{Config, Error};

/// How keys and values are stored. Part of the definition of the results: each type has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheType {
    /// Rounded to f16, to nearest even.
    #[default]
    F16,
    /// As computed.
    F32,
    /// Blocks of 32 bytes with a scale, of heads that divide into such.
    Q8_0,
}

impl CacheType {
    /// Every type.
    pub const ALL: [CacheType; 3] = [CacheType::F16, CacheType::F32, CacheType::Q8_0];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            CacheType::F16 => f16::NAME,
            CacheType::F32 => f32::NAME,
            CacheType::Q8_0 => Q8_0::NAME,
        }
    }

    /// Bytes of a key or a value.
    ///
    /// # Errors
    /// If a head of so many elements cannot be stored so.
    pub(super) fn bytes(self, head_dim: usize) -> Result<usize, Error> {
        fn of<S: Storage>(head_dim: usize) -> Result<usize, Error> {
            if head_dim.is_multiple_of(S::BLOCK) {
                return Ok(S::units(head_dim) * size_of::<S::Unit>());
            }
            let (name, block) = (S::NAME, S::BLOCK);
            Err(Error::Session(format!(
                "the cache type {name} stores {block} elements together, and this model's heads \
                 (attention.key_length) have {head_dim}: choose another cache type"
            )))
        }
        match self {
            CacheType::F16 => of::<f16>(head_dim),
            CacheType::F32 => of::<f32>(head_dim),
            CacheType::Q8_0 => of::<Q8_0>(head_dim),
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
            .ok_or_else(|| format!("unknown cache type `{name}`; expected f16, q8_0 or f32"))
    }
}

/// The cache of every layer and key-value head, for `context` positions.
pub(super) struct Cache<S: Storage> {
    keys: Vec<S::Unit>,
    values: Vec<S::Unit>,
    /// Units of one head of one layer: of its keys, and of its values.
    head_len: usize,
    head_dim: usize,
    kv_heads: usize,
}

/// Positions that are allocated for a context: whole groups of interleaved keys.
pub(super) fn padded(context: usize) -> usize {
    context.next_multiple_of(KEY_LANES)
}

impl<S: Storage> Cache<S> {
    /// `zeros` should give pages that the system zeroes when they are first touched: a context that
    /// is not filled then costs no memory.
    fn new(config: &Config, context: usize, zeros: fn(usize) -> Vec<S::Unit>) -> Cache<S> {
        let head_len = padded(context) * S::units(config.head_dim);
        let len = config.layers * config.kv_heads * head_len;
        let Config { head_dim, kv_heads, .. } = *config;
        Cache { keys: zeros(len), values: zeros(len), head_len, head_dim, kv_heads }
    }

    /// What one head of one layer has cached.
    pub fn head(&self, layer: usize, head: usize) -> HeadCache<'_, S> {
        let start = (layer * self.kv_heads + head) * self.head_len;
        let range = start..start + self.head_len;
        HeadCache { keys: &self.keys[range.clone()], values: &self.values[range] }
    }

    /// Takes the first positions of another cache of the same model.
    fn copy_prefix(&mut self, from: &Cache<S>, positions: usize) {
        if from.head_len == 0 {
            return;
        }
        // Whole groups of keys: what else they hold is overwritten before it is read.
        let units = S::units(self.head_dim);
        let keys = padded(positions) * units;
        let heads = |cache: &Cache<S>| 0..cache.keys.len() / cache.head_len;
        for head in heads(from) {
            let (to, at) = (head * self.head_len, head * from.head_len);
            self.keys[to..to + keys].copy_from_slice(&from.keys[at..at + keys]);
            let values = positions * units;
            self.values[to..to + values].copy_from_slice(&from.values[at..at + values]);
        }
    }

    /// The keys and the values of each head of one layer, in step.
    pub fn heads_mut(&mut self, layer: usize) -> (Chunks<'_, S::Unit>, Chunks<'_, S::Unit>) {
        let len = self.kv_heads * self.head_len;
        let range = layer * len..(layer + 1) * len;
        (
            Chunks::rows(&mut self.keys[range.clone()], self.kv_heads),
            Chunks::rows(&mut self.values[range], self.kv_heads),
        )
    }
}

/// The cache of one head, to be written.
pub(super) struct CacheHead<'a, S: Storage> {
    pub keys: &'a mut [S::Unit],
    pub values: &'a mut [S::Unit],
}

impl<S: Storage> CacheHead<'_, S> {
    /// Stores the key and the value of one position.
    pub fn store(&mut self, kernels: &Kernels, position: usize, key: &[f32], value: &[f32]) {
        let units = S::units(key.len());
        let group = position / KEY_LANES * KEY_LANES * units;
        let keys = &mut self.keys[group..group + KEY_LANES * units];
        S::store_key(kernels, key, position % KEY_LANES, keys);
        let value_units = &mut self.values[position * units..(position + 1) * units];
        S::store_value(kernels, value, value_units);
    }
}

/// A cache of any type.
pub(super) enum AnyCache {
    F16(Cache<f16>),
    F32(Cache<f32>),
    Q8_0(Cache<Q8_0>),
}

impl AnyCache {
    pub fn new(cache_type: CacheType, config: &Config, context: usize) -> AnyCache {
        match cache_type {
            CacheType::F16 => {
                // `vec!` asks for zeroed pages for integers, not for f16: it would write them all.
                AnyCache::F16(Cache::new(config, context, |len| vec![0u16; len].reinterpret_into()))
            }
            CacheType::F32 => AnyCache::F32(Cache::new(config, context, |len| vec![0.0; len])),
            CacheType::Q8_0 => AnyCache::Q8_0(Cache::new(config, context, |len| vec![0; len])),
        }
    }

    /// How keys and values are stored.
    pub fn cache_type(&self) -> CacheType {
        match self {
            AnyCache::F16(_) => CacheType::F16,
            AnyCache::F32(_) => CacheType::F32,
            AnyCache::Q8_0(_) => CacheType::Q8_0,
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
            (AnyCache::Q8_0(to), AnyCache::Q8_0(from)) => to.copy_prefix(from, positions),
            (to, from) => panic!("a {} cache of {}", to.cache_type(), from.cache_type()),
        }
    }
}
