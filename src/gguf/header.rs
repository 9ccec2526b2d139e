//! Reads all of a file but the tensor data.

use super::Limits;
use super::cursor::Cursor;
use super::error::{Error, Source};
use super::metadata::{Metadata, SMALLEST_PAIR};
use super::tensor_info::{SMALLEST_RECORD, TensorTable};

pub(super) const MAGIC: [u8; 4] = *b"GGUF";
/// The version that is written.
pub(super) const VERSION: u32 = 3;
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=VERSION;
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";
pub(super) const DEFAULT_ALIGNMENT: u32 = 32;

/// What a file says about its tensors.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub version: u32,
    pub alignment: u32,
    pub metadata: Metadata,
    pub table: TensorTable,
    /// The byte of the file where the data section begins.
    pub data: u64,
}

impl Header {
    pub fn read(file: &[u8], source: &Source, limits: &Limits) -> Result<Header, Error> {
        let mut cursor = Cursor::new(file, source, limits);
        let version = read_version(&mut cursor)?;
        let tensor_count =
            cursor.count(SMALLEST_RECORD, limits.tensor_count, &"number of tensors")?;
        let pair_count =
            cursor.count(SMALLEST_PAIR, limits.metadata_count, &"number of metadata keys")?;
        let metadata = Metadata::read(&mut cursor, pair_count)?;
        let alignment = alignment(&metadata, limits)?;
        let mut table = TensorTable::read(&mut cursor, tensor_count)?;
        let data = (cursor.position() as u64).next_multiple_of(u64::from(alignment));
        table.place(&cursor, data, u64::from(alignment), file.len() as u64)?;
        Ok(Header { version, alignment, metadata, table, data })
    }
}

fn read_version(cursor: &mut Cursor<'_>) -> Result<u32, Error> {
    let magic: [u8; 4] = cursor.array(&"magic")?;
    if magic != MAGIC {
        let found = format!("\"{}\"", magic.escape_ascii());
        return Err(cursor.malformed("magic", 0, found, "\"GGUF\""));
    }
    let offset = cursor.position();
    let version = cursor.u32(&"version")?;
    if VERSIONS.contains(&version) {
        return Ok(version);
    }
    if VERSIONS.contains(&version.swap_bytes()) {
        let found = format!("{} in big-endian order", version.swap_bytes());
        return Err(cursor.malformed("version", offset, found, "a little-endian file"));
    }
    Err(cursor.malformed("version", offset, version, "2 or 3"))
}

fn alignment(metadata: &Metadata, limits: &Limits) -> Result<u32, Error> {
    let alignment = metadata.u32(ALIGNMENT_KEY)?.unwrap_or(DEFAULT_ALIGNMENT);
    if alignment.is_power_of_two() && alignment <= limits.alignment {
        return Ok(alignment);
    }
    let expected = format!("a power of two, at most {}", limits.alignment);
    Err(metadata.unexpected(ALIGNMENT_KEY, &expected))
}
