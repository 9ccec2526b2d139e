//! A cache as bytes: what files hold of it.

use std::slice;

use crate::kernels::attention::{KEY_LANES, Storage};

use super::{AnyCache, Cache, padded};

/// Bytes of numbers, as they are in memory: little-endian ones, or there are no files.
fn bytes<S: Storage>(x: &[S::Unit]) -> &[u8] {
    // SAFETY: units are f16, f32 and u8, without padding; the bytes are those of the slice, borrowed as long.
    unsafe { slice::from_raw_parts(x.as_ptr().cast(), size_of_val(x)) }
}

/// As [`bytes`], to be written.
fn bytes_mut<S: Storage>(x: &mut [S::Unit]) -> &mut [u8] {
    // SAFETY: as above, borrowed exclusively; any bytes are units.
    unsafe { slice::from_raw_parts_mut(x.as_mut_ptr().cast(), size_of_val(x)) }
}

impl<S: Storage> Cache<S> {
    fn heads(&self) -> usize {
        self.keys.len().checked_div(self.head_len).unwrap_or(0)
    }

    /// Bytes of the keys of one head, of whole groups, and of its values.
    fn prefix_lens(&self, positions: usize) -> [usize; 2] {
        [padded(positions), positions].map(|n| n * S::units(self.head_dim) * size_of::<S::Unit>())
    }

    fn write_prefix<X>(
        &self,
        positions: usize,
        write: &mut dyn FnMut(&[u8]) -> Result<(), X>,
    ) -> Result<(), X> {
        let units = S::units(self.head_dim);
        let group = KEY_LANES * units;
        let (whole, rest) = (positions / KEY_LANES * group, positions % KEY_LANES);
        let mut last = vec![S::Unit::default(); if rest > 0 { group } else { 0 }];
        for start in (0..self.heads()).map(|head| head * self.head_len) {
            let (keys, values) = (&self.keys[start..], &self.values[start..]);
            write(bytes::<S>(&keys[..whole]))?;
            // Of the last group only what is filled: positions that were forgotten stay so.
            let filled = whole..whole + last.len();
            last.copy_from_slice(&keys[filled]);
            S::clear_keys(&mut last, rest);
            write(bytes::<S>(&last))?;
            write(bytes::<S>(&values[..positions * units]))?;
        }
        Ok(())
    }

    fn read_prefix(&mut self, positions: usize, written: usize, from: &[u8]) {
        let ([keys, values], lens) = (self.prefix_lens(positions), self.prefix_lens(written));
        for (head, from) in from.chunks(lens[0] + lens[1]).enumerate() {
            let start = head * self.head_len;
            let (key_bytes, value_bytes) = from.split_at(lens[0]);
            bytes_mut::<S>(&mut self.keys[start..])[..keys].copy_from_slice(&key_bytes[..keys]);
            bytes_mut::<S>(&mut self.values[start..])[..values]
                .copy_from_slice(&value_bytes[..values]);
        }
    }
}

impl AnyCache {
    /// Bytes that [`write_prefix`](Self::write_prefix) writes: of each head the keys of whole groups, then the values.
    pub fn prefix_len(&self, positions: usize) -> usize {
        let (heads, [keys, values]) = match self {
            AnyCache::F16(cache) => (cache.heads(), cache.prefix_lens(positions)),
            AnyCache::F32(cache) => (cache.heads(), cache.prefix_lens(positions)),
            AnyCache::Q8_0(cache) => (cache.heads(), cache.prefix_lens(positions)),
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
            AnyCache::Q8_0(cache) => cache.write_prefix(positions, write),
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
            AnyCache::Q8_0(cache) => cache.read_prefix(positions, written, from),
        }
    }
}
