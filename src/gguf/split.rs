//! Models that are split over several files.
//!
//! The files of a set are named `PREFIX-00001-of-00003.gguf` and so on, and lie in one folder.
//! Each is a GGUF file of its own, with offsets and an alignment of its own, and says under
//! `split.no` (from 0), `split.count` and `split.tensors.count` which of how many files it is and
//! how many tensors they hold together. All other metadata are the first file's. A file without
//! `split.count`, or with 0 (merged again) or 1, is whole, whatever its name.
//!
//! Any file of the set opens all of it. The set must be complete, and what each file says must
//! agree with its name and with the first file, so that a renamed file, or one of another model or
//! another split, is refused and not computed with.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::OpenOptions;
use super::error::{Error, Quoted};
use super::header::Header;
use super::metadata::Metadata;
use super::shard::Shard;
use super::tensor_info::{TensorInfo, TensorTable};

pub(super) const NO_KEY: &str = "split.no";
pub(super) const COUNT_KEY: &str = "split.count";
pub(super) const TENSORS_KEY: &str = "split.tensors.count";
const ARCHITECTURE_KEY: &str = "general.architecture";

/// A file with its header.
type Opened = (Shard, Header);

/// The name of file `number` (from 1) of the `count` files of a set.
pub(super) fn file_name(prefix: &str, number: u32, count: u32) -> String {
    format!("{prefix}-{number:05}-of-{count:05}.gguf")
}

/// The prefix, number and count of which [`file_name`] makes `name`.
fn parse_file_name(name: &str) -> Option<(&str, u32, u32)> {
    let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (prefix, number) = rest.rsplit_once('-')?;
    let (number, count) = (number.parse().ok()?, count.parse().ok()?);
    (file_name(prefix, number, count) == name).then_some((prefix, number, count))
}

/// What a file of a set says of itself; its name says the same.
struct Place<'a> {
    prefix: &'a str,
    /// From 1, as in the name.
    number: u32,
    count: u32,
}

impl<'a> Place<'a> {
    /// The place of a file in its set; `None` for a whole file.
    fn read((shard, header): &'a Opened) -> Result<Option<Place<'a>>, Error> {
        let metadata = &header.metadata;
        let Some(count) = metadata.u32(COUNT_KEY)?.filter(|&count| count > 1) else {
            return Ok(None);
        };
        let no = metadata.u32(NO_KEY)?.ok_or_else(|| metadata.missing(NO_KEY))?;
        if no >= count {
            return Err(metadata.unexpected(NO_KEY, &format!("less than {count}, {COUNT_KEY}")));
        }
        if metadata.usize(TENSORS_KEY)?.is_none() {
            return Err(metadata.missing(TENSORS_KEY));
        }
        let Some(path) = shard.path() else {
            let expected = "at most 1: bytes in memory must be a whole file";
            return Err(metadata.unexpected(COUNT_KEY, expected));
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((prefix, named_number, named_count)) = parse_file_name(name) else {
            let ending = file_name("", no + 1, count);
            let expected = format!("at most 1, or a file name that ends in {ending}");
            return Err(metadata.unexpected(COUNT_KEY, &expected));
        };
        if count != named_count {
            let expected = format!("{named_count}, as in the file's name");
            return Err(metadata.unexpected(COUNT_KEY, &expected));
        }
        if no + 1 != named_number {
            let expected = format!("one less than {named_number}, the number in the file's name");
            return Err(metadata.unexpected(NO_KEY, &expected));
        }
        Ok(Some(Place { prefix, number: named_number, count }))
    }
}

/// All files of the set that `file` belongs to, in order, and the tensors of all; or `file` alone
/// where it is whole. The metadata are the first file's.
pub(super) fn complete(
    file: Opened,
    options: &OpenOptions,
) -> Result<(Vec<Shard>, Metadata, TensorTable), Error> {
    let Some(Place { prefix, number, count }) = Place::read(&file)? else {
        let (shard, Header { metadata, table, .. }) = file;
        return Ok((vec![shard], metadata, table));
    };
    let prefix = prefix.to_owned();
    let path = file.0.source.clone().expect("a file with a place in a set has a name");
    let mut given = Some(file);
    let mut open = |n: u32| match given.take_if(|_| n == number) {
        Some(file) => Ok(file),
        None => open_sibling(&path, &file_name(&prefix, n, count), count, options),
    };

    let (first, Header { metadata, table, .. }) = open(1)?;
    let (mut shards, mut tables) = (vec![first], vec![table]);
    for n in 2..=count {
        // Its metadata are dropped: memory does not grow with the number of files.
        let (shard, Header { metadata: other, table, .. }) = open(n)?;
        agree(&metadata, &other, &shards[0])?;
        shards.push(shard);
        tables.push(table);
    }

    let found: usize = tables.iter().map(|table| table.tensors.len()).sum();
    let table = TensorTable::join(tables).map_err(|pair| {
        let [earlier, again] = *pair;
        let file_of = |tensor: &TensorInfo| {
            path.with_file_name(file_name(&prefix, tensor.shard as u32 + 1, count)).into()
        };
        Error::RepeatedTensor {
            file: file_of(&again),
            name: Quoted(&again.name).to_string(),
            offset: again.offset,
            earlier: file_of(&earlier),
        }
    })?;
    if metadata.usize(TENSORS_KEY)? != Some(found) {
        let expected = format!("{found}, the tensors of the {count} files together");
        return Err(metadata.unexpected(TENSORS_KEY, &expected));
    }
    Ok((shards, metadata, table))
}

/// Opens the file `name`, one of `count`, in the folder of `path`, which belongs to the same set.
fn open_sibling(
    path: &Arc<Path>,
    name: &str,
    count: u32,
    options: &OpenOptions,
) -> Result<Opened, Error> {
    let file = Shard::open(&path.with_file_name(name), options).map_err(|error| match error {
        Error::Io { path: missing, error, .. } if error.kind() == ErrorKind::NotFound => {
            Error::MissingShard { path: missing, sibling: path.clone(), count }
        }
        error => error,
    })?;
    if Place::read(&file)?.is_none() {
        let expected = format!("{count}, as in the file's name");
        return Err(file.1.metadata.unexpected(COUNT_KEY, &expected));
    }
    Ok(file)
}

/// Checks that a further file is of the model and of the split of the first one.
fn agree(first: &Metadata, other: &Metadata, shard: &Shard) -> Result<(), Error> {
    let name = || shard.path().map(|path| path.display().to_string()).unwrap_or_default();
    let tensors = first.usize(TENSORS_KEY)?.unwrap_or_default();
    if other.usize(TENSORS_KEY)? != Some(tensors) {
        return Err(other.unexpected(TENSORS_KEY, &format!("{tensors}, as in {}", name())));
    }
    // Usually only the first file states it.
    let architecture = first.str(ARCHITECTURE_KEY)?.unwrap_or_default();
    if other.str(ARCHITECTURE_KEY)?.is_some_and(|other| other != architecture) {
        let expected = format!("{}, as in {}", Quoted(architecture), name());
        return Err(other.unexpected(ARCHITECTURE_KEY, &expected));
    }
    Ok(())
}
