//! A cache as bytes: what files hold of it.

use std::slice;

use crate::kernels::attention::{CacheElement, KEY_LANES};

use super::{AnyCache, Cache, padded};

/// Bytes of numbers, as they are in memory: little-endian ones, or there are no files.
fn bytes<E: CacheElement>(x: &[E]) -> &[u8] {
    // SAFETY: cache elements are f16 and f32, without padding; the bytes are those of the slice, borrowed as long.
    unsafe { slice::from_raw_parts(x.as_ptr().cast(), size_of_val(x)) }
}

/// As [`bytes`], to be written.
fn bytes_mut<E: CacheElement>(x: &mut [E]) -> &mut [u8] {
    // SAFETY: as above, borrowed exclusively; any bytes are an f16 or an f32.
    unsafe { slice::from_raw_parts_mut(x.as_mut_ptr().cast(), size_of_val(x)) }
}

impl<E: CacheElement> Cache<E> {
    fn heads(&self) -> usize {
        self.keys.len().checked_div(self.head_len).unwrap_or(0)
    }

    /// Bytes of the keys of one head, of whole groups, and of its values.
    fn prefix_lens(&self, positions: usize) -> [usize; 2] {
        [padded(positions), positions].map(|n| n * self.head_dim * size_of::<E>())
    }

    fn write_prefix<X>(
        &self,
        positions: usize,
        write: &mut dyn FnMut(&[u8]) -> Result<(), X>,
    ) -> Result<(), X> {
        let group = KEY_LANES * self.head_dim;
        let (whole, rest) = (positions / KEY_LANES * group, positions % KEY_LANES);
        let mut last = vec![E::default(); if rest > 0 { group } else { 0 }];
        for start in (0..self.heads()).map(|head| head * self.head_len) {
            let (keys, values) = (&self.keys[start..], &self.values[start..]);
            write(bytes(&keys[..whole]))?;
            // Of the last group only what is filled: positions that were forgotten stay so.
            let lanes = keys[whole..].chunks(KEY_LANES).zip(last.chunks_mut(KEY_LANES));
            lanes.for_each(|(from, to)| to[..rest].copy_from_slice(&from[..rest]));
            write(bytes(&last))?;
            write(bytes(&values[..positions * self.head_dim]))?;
        }
        Ok(())
    }

    fn read_prefix(&mut self, positions: usize, written: usize, from: &[u8]) {
        let ([keys, values], lens) = (self.prefix_lens(positions), self.prefix_lens(written));
        for (head, from) in from.chunks(lens[0] + lens[1]).enumerate() {
            let start = head * self.head_len;
            let (key_bytes, value_bytes) = from.split_at(lens[0]);
            bytes_mut(&mut self.keys[start..])[..keys].copy_from_slice(&key_bytes[..keys]);
            bytes_mut(&mut self.values[start..])[..values].copy_from_slice(&value_bytes[..values]);
        }
    }
}

impl AnyCache {
    /// Bytes that [`write_prefix`](Self::write_prefix) writes: of each head the keys of whole groups, then the values.
    pub fn prefix_len(&self, positions: usize) -> usize {
        let (heads, [keys, values]) = match self {
            AnyCache::F16(cache) => (cache.heads(), cache.prefix_lens(positions)),
            AnyCache::F32(cache) => (cache.heads(), cache.prefix_lens(positions)),
        };
        heads * (keys + values)
    }

    /// Hands out what the first positions left, head by head; lanes of keys behind the last position are zeros.
    pub fn write_prefix<X>(
        &self,
        positions: usize,
        write: &mut dyn FnMut(&[u8]) -> Result<(), X>,
    ) -> Result<(), X> {
        match self {
            AnyCache::F16(cache) => cache.write_prefix(positions, write),
            AnyCache::F32(cache) => cache.write_prefix(positions, write),
        }
    }

    /// Takes the first positions of what [`write_prefix`](Self::write_prefix) handed out of `written` ones.
    ///
    /// # Panics
    /// If `from` is not [`prefix_len`](Self::prefix_len) of these, or there is no room for `positions`, or fewer were written.
    pub fn read_prefix(&mut self, positions: usize, written: usize, from: &[u8]) {
        assert!(positions <= written && from.len() == self.prefix_len(written));
        if written == 0 {
            return;
        }
        match self {
            AnyCache::F16(cache) => cache.read_prefix(positions, written, from),
            AnyCache::F32(cache) => cache.read_prefix(positions, written, from),
        }
    }
}
