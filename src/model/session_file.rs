//! Sessions in files: a text's tokens, and what they left in the cache.
//!
//! Numbers are little-endian:
//!
//! | byte | | |
//! |---:|---|---|
//! | 0 | `QUINTSES` | |
//! | 8 | u32 | version of this format, 1 |
//! | 12 | u32 | version of the numeric contract |
//! | 16 | u64 | [`Model::fingerprint`](super::Model::fingerprint) |
//! | 24 | 8 bytes | name of the cache type, filled up with zeros |
//! | 32 | u64 | positions, `n` |
//! | 40 | u64 | bytes of the cache, behind the tokens |
//! | 48 | n u32 | tokens |
//! | | | for each layer and head: keys, sixteen interleaved (of `n` rounded up to groups), and values, as in memory |
//! | | u64 | XXH64 of all bytes before |

use std::fs::File;
use std::hash::Hasher;
use std::path::Path;

use memmap2::Mmap;
use twox_hash::XxHash64;

use crate::gguf::{self, Quoted, WholeFile};
use crate::kernels::CONTRACT_VERSION;

use super::{CacheType, Error, Session};

const MAGIC: [u8; 8] = *b"QUINTSES";
const VERSION: u32 = 1;
/// Bytes before the tokens, and behind the cache.
const HEAD: usize = 48;
const TAIL: usize = 8;

/// What a file must say to be one of a session.
struct Identity {
    fingerprint: u64,
    cache: CacheType,
}

/// A file under examination: its bytes, and its path for messages.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn error(&self, field: &'static str, found: String, expected: impl ToString) -> Error {
        let expected = expected.to_string();
        Error::SessionFile { file: self.path.to_owned(), field, found, expected }
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[at..at + N]);
        array
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    /// Checks the file, and returns the number of its positions.
    ///
    /// # Errors
    /// That names the first field that is wrong.
    fn check(
        &self,
        identity: &Identity,
        vocab: usize,
        cache_len: impl Fn(usize) -> usize,
    ) -> Result<usize, Error> {
        let len = self.bytes.len();
        let shorter = |expected: usize| {
            self.error("length", format!("{len} bytes"), format_args!("{expected} at least"))
        };
        if len < MAGIC.len() + 4 {
            return Err(shorter(HEAD + TAIL));
        }
        if self.array(0) != MAGIC {
            let found = String::from_utf8_lossy(&self.bytes[..MAGIC.len()]).into_owned();
            let expected = "`QUINTSES`: this is no session";
            return Err(self.error("first bytes", Quoted(&found).to_string(), expected));
        }
        let version = self.u32(8);
        if version != VERSION {
            let newer = if version > VERSION { ": it is of a newer quintile" } else { "" };
            let expected = format!("{VERSION}{newer}");
            return Err(self.error("version", version.to_string(), expected));
        }
        if len < HEAD + TAIL {
            return Err(shorter(HEAD + TAIL));
        }
        let contract = self.u32(12);
        if contract != CONTRACT_VERSION {
            let found = contract.to_string();
            return Err(self.error("numeric contract", found, CONTRACT_VERSION));
        }
        let (positions, bytes) = (self.u64(32), self.u64(40));
        let expected = positions.checked_mul(4).and_then(|tokens| tokens.checked_add(bytes));
        let expected = expected.and_then(|sum| sum.checked_add((HEAD + TAIL) as u64));
        if expected != Some(len as u64) {
            let expected = expected.map_or_else(|| "more".into(), |n| n.to_string());
            let expected = format!("{expected}, of {positions} positions");
            return Err(self.error("length", format!("{len} bytes"), expected));
        }
        // No more than the bytes that are there.
        let (positions, bytes) = (positions as usize, bytes as usize);
        let fingerprint = self.u64(16);
        if fingerprint != identity.fingerprint {
            let expected = format!("{:016x}: it is of another model", identity.fingerprint);
            return Err(self.error("model", format!("{fingerprint:016x}"), expected));
        }
        let cache: [u8; 8] = self.array(24);
        if cache != name(identity.cache) {
            let found = String::from_utf8_lossy(&cache).trim_end_matches('\0').to_owned();
            return Err(self.error("cache type", Quoted(&found).to_string(), identity.cache));
        }
        if bytes != cache_len(positions) {
            let expected = format!("{} of {positions} positions", cache_len(positions));
            return Err(self.error("bytes of the cache", bytes.to_string(), expected));
        }
        let sum = self.u64(len - TAIL);
        let expected = XxHash64::oneshot(0, &self.bytes[..len - TAIL]);
        if sum != expected {
            let expected = format!("{expected:016x}: the file is damaged");
            return Err(self.error("checksum", format!("{sum:016x}"), expected));
        }
        match self.tokens(positions).find(|&token| token as usize >= vocab) {
            None => Ok(positions),
            Some(token) => {
                Err(self.error("token", token.to_string(), format_args!("one of {vocab}")))
            }
        }
    }

    fn tokens(&self, positions: usize) -> impl Iterator<Item = u32> {
        let words = self.bytes[HEAD..].as_chunks().0;
        words[..positions].iter().map(|word| u32::from_le_bytes(*word))
    }
}

/// The name of a cache type, filled up.
fn name(cache: CacheType) -> [u8; 8] {
    let mut name = [0; 8];
    name.iter_mut().zip(cache.name().bytes()).for_each(|(slot, byte)| *slot = byte);
    name
}

impl Session<'_> {
    /// Writes the text and what it left in the cache to a file, from which [`load`](Self::load) takes it up. Only what is
    /// filled is written: of a model with 28 layers and two heads of 128 keys and values each, as f16, 28 KiB a position.
    ///
    /// The file gets its name when it is complete, in place of one that had it: an interrupted write leaves that.
    /// Once for each model, all weights are read: [`Model::fingerprint`](super::Model::fingerprint).
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        little_endian()?;
        let (sequence, identity) = (self.sequence(), self.identity());
        let positions = sequence.position();
        let mut file = WholeFile::create(path)?;
        let mut sum = XxHash64::with_seed(0);
        let mut write = |bytes: &[u8]| {
            sum.write(bytes);
            file.write(bytes)
        };
        write(&MAGIC)?;
        write(&VERSION.to_le_bytes())?;
        write(&CONTRACT_VERSION.to_le_bytes())?;
        write(&identity.fingerprint.to_le_bytes())?;
        write(&name(identity.cache))?;
        write(&(positions as u64).to_le_bytes())?;
        write(&(sequence.cache.prefix_len(positions) as u64).to_le_bytes())?;
        sequence.tokens().iter().try_for_each(|token| write(&token.to_le_bytes()))?;
        sequence.cache.write_prefix(positions, &mut write)?;
        file.write(&sum.finish().to_le_bytes())?;
        Ok(file.finish()?)
    }

    /// Takes up the text of a file that [`save`](Self::save) wrote, in place of this session's: as many of its positions as the context
    /// has room for. What is computed from there on has the bits that it has after computing the text anew;
    /// [`reuse`](Self::reuse) tells how much of it begins another.
    ///
    /// The file is mapped, checked as a whole and copied from; it may be replaced meanwhile or later, but a process that shortens
    /// it in place during this call ends this one with SIGBUS.
    ///
    /// # Errors
    /// If the file cannot be read, or is damaged, of another model, of another type of cache, or of another version: the
    /// message names the file, the field, what it is and what was expected. The session is as it was then.
    pub fn load(&mut self, path: &Path) -> Result<(), Error> {
        little_endian()?;
        let cannot = |action| {
            move |error| Error::File(gguf::Error::Io { path: path.to_owned(), action, error })
        };
        let file = File::open(path).map_err(cannot("open"))?;
        let metadata = file.metadata().map_err(cannot("examine"))?;
        if !metadata.is_file() {
            let error = std::io::Error::other("it is not a regular file");
            return Err(cannot("use")(error));
        }
        // SAFETY: the map is private to this call and only read, as bytes, of which any pattern is valid. That nobody
        // shortens the file meanwhile is the caller's part, stated above.
        let map = unsafe { Mmap::map(&file) }.map_err(cannot("map"))?;
        let reader = Reader { path, bytes: &map };
        let (identity, vocab) = (self.identity(), self.vocab());
        let cache_len = |positions| self.sequence().cache.prefix_len(positions);
        let written = reader.check(&identity, vocab, cache_len)?;
        let cache = &map[HEAD + 4 * written..map.len() - TAIL];
        self.restore(reader.tokens(written), |to, positions| {
            to.read_prefix(positions, written, cache);
        });
        Ok(())
    }

    fn identity(&self) -> Identity {
        Identity { fingerprint: self.fingerprint(), cache: self.sequence().cache.cache_type() }
    }
}

/// Files hold numbers as they are in memory.
fn little_endian() -> Result<(), Error> {
    if cfg!(target_endian = "little") {
        return Ok(());
    }
    Err(Error::Session("sessions are saved and loaded on little-endian machines only".into()))
}
