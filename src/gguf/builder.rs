//! What a new file will hold: metadata and tensor records, laid out over one or several files.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::{Error, Quoted};
use super::header::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, VERSION};
use super::split::{COUNT_KEY, NO_KEY, TENSORS_KEY, file_name};
use super::tensor_types::TensorType;
use super::value::{Value, write_string, write_value};
use super::writer::Writer;
use crate::tensor::Dims;

/// Describes a new GGUF file: its metadata and its tensors, in the order in which they are added.
///
/// [`create`](Self::create) gives a [`Writer`], which takes the tensors' data in that same order.
///
/// ```
/// use quintile::formats::Format;
/// use quintile::gguf::{Builder, Gguf, OpenOptions, Value};
/// use quintile::tensor::Dims;
///
/// let path = std::env::temp_dir().join(format!("quintile-doc-{}.gguf", std::process::id()));
/// let mut builder = Builder::new();
/// builder.metadata("general.architecture", Value::String("llama".into()));
/// builder.tensor("output_norm.weight", Dims::new(&[2])?, Format::F32.gguf_id());
/// let mut writer = builder.create(&path)?;
/// writer.write(&1.5f32.to_le_bytes())?;
/// writer.write(&2.5f32.to_le_bytes())?;
/// writer.finish()?;
///
/// let file = Gguf::open(&path, &OpenOptions::default())?;
/// assert_eq!(file.tensor("output_norm.weight")?.at(&[1])?, 2.5);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder<'a> {
    metadata: Vec<(Cow<'a, str>, Cow<'a, Value>)>,
    tensors: Vec<Record<'a>>,
    max_file_size: Option<u64>,
}

#[derive(Clone, Debug)]
struct Record<'a> {
    name: Cow<'a, str>,
    dims: Dims,
    type_id: u32,
}

/// One of the files that a [`Builder`] describes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FilePlan {
    /// Where it will lie.
    pub path: PathBuf,
    /// Its bytes, all of them.
    pub size: u64,
    /// How many tensors it holds.
    pub tensors: usize,
}

/// A file that is ready to be written.
#[derive(Debug)]
pub(super) struct Layout {
    pub path: PathBuf,
    pub header: Vec<u8>,
    /// Name and bytes of the data of each tensor, without padding.
    pub tensors: Vec<(String, u64)>,
    pub alignment: u64,
}

impl<'a> Builder<'a> {
    /// A file without metadata and tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key and its value. `general.alignment` sets the alignment of tensor data (32 bytes
    /// without it); the keys of split files are the builder's own.
    pub fn metadata(
        &mut self,
        key: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, Value>>,
    ) -> &mut Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Adds a tensor. `type_id` is the number of its type
    /// ([`Format::gguf_id`](crate::formats::Format::gguf_id), or
    /// [`TensorInfo::type_id`](super::TensorInfo::type_id) where data are copied).
    pub fn tensor(&mut self, name: impl Into<Cow<'a, str>>, dims: Dims, type_id: u32) -> &mut Self {
        self.tensors.push(Record { name: name.into(), dims, type_id });
        self
    }

    /// Makes files of at most so many bytes: if all does not fit one, `model.gguf` becomes
    /// `model-00001-of-00002.gguf` and so on, each with as many tensors as fit.
    pub fn max_file_size(&mut self, bytes: u64) -> &mut Self {
        self.max_file_size = Some(bytes);
        self
    }

    /// The files that [`create`](Self::create) would make at `path`.
    ///
    /// # Errors
    /// As [`create`](Self::create), where nothing needs to be written to find it.
    pub fn files(&self, path: &Path) -> Result<Vec<FilePlan>, Error> {
        let plan = |layout: Layout| FilePlan {
            size: layout.size(),
            tensors: layout.tensors.len(),
            path: layout.path,
        };
        Ok(self.layouts(path)?.into_iter().map(plan).collect())
    }

    /// Starts the file at `path`, or the files, if they must be several.
    ///
    /// Nothing is under that name until [`Writer::finish`]; see there.
    ///
    /// # Errors
    /// [`Error::Unwritable`] if a key or a tensor's name is there twice, the alignment is no power
    /// of two, a type is unknown, rows are no whole blocks, or a tensor does not fit the greatest
    /// size of a file; [`Error::Io`] if something other than a file has that name, or nothing can
    /// be created beside it.
    pub fn create(&self, path: &Path) -> Result<Writer, Error> {
        Writer::create(self.layouts(path)?)
    }

    fn layouts(&self, path: &Path) -> Result<Vec<Layout>, Error> {
        let check = Check { path };
        check.unique("metadata key", self.metadata.iter().map(|(key, _)| key.as_ref()))?;
        check.unique("tensor name", self.tensors.iter().map(|tensor| tensor.name.as_ref()))?;
        let alignment = self.alignment(&check)?;
        let sizes: Vec<u64> =
            self.tensors.iter().map(|tensor| check.size(tensor)).collect::<Result<_, _>>()?;

        let whole = self.layout(path.to_owned(), 0..self.tensors.len(), &sizes, alignment, None);
        match self.max_file_size {
            Some(limit) if whole.size() > limit && !sizes.is_empty() => {
                self.split(&check, limit, &sizes, alignment)
            }
            _ => Ok(vec![whole]),
        }
    }

    fn alignment(&self, check: &Check<'_>) -> Result<u64, Error> {
        let Some((_, value)) = self.metadata.iter().find(|(key, _)| key == ALIGNMENT_KEY) else {
            return Ok(DEFAULT_ALIGNMENT.into());
        };
        let valid = value.as_integer().and_then(|alignment| u32::try_from(alignment).ok());
        match valid.filter(|alignment| alignment.is_power_of_two()) {
            Some(alignment) => Ok(alignment.into()),
            None => Err(check.error(ALIGNMENT_KEY, &value, "a power of two that fits 32 bits")),
        }
    }

    /// As few files as `limit` allows while the tensors keep their order.
    fn split(
        &self,
        check: &Check<'_>,
        limit: u64,
        sizes: &[u64],
        alignment: u64,
    ) -> Result<Vec<Layout>, Error> {
        const FIELD: &str = "greatest size of a file";
        let mut ranges = Vec::new();
        let mut start = 0;
        while start < sizes.len() {
            let place = (ranges.len().min(1) as u16, 0);
            let mut header = self.header(start..start, sizes, alignment, Some(place)).len() as u64;
            let (mut data, mut end) = (0, start);
            for (tensor, size) in self.tensors[start..].iter().zip(&sizes[start..]) {
                header += tensor.record_bytes();
                data += size.next_multiple_of(alignment);
                let needed = header.next_multiple_of(alignment) + data;
                if needed > limit {
                    if end > start {
                        break;
                    }
                    let name = Quoted(&tensor.name);
                    let expected =
                        format!("at least {needed}, the bytes of a file with tensor {name}");
                    return Err(check.error(FIELD, &limit, &expected));
                }
                end += 1;
            }
            ranges.push(start..end);
            start = end;
        }
        let Ok(count) = u16::try_from(ranges.len()) else {
            return Err(check.error(FIELD, &limit, "so many that at most 65535 files are needed"));
        };

        let name = check.path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = name.strip_suffix(".gguf").unwrap_or(&name);
        let layout = |(no, range): (u16, Range<usize>)| {
            let name = file_name(prefix, u32::from(no) + 1, count.into());
            let path = check.path.with_file_name(name);
            self.layout(path, range, sizes, alignment, Some((no, count)))
        };
        Ok((0..count).zip(ranges).map(layout).collect())
    }

    /// A file with some of the tensors; `place` is the number and the count of a split model's files.
    fn layout(
        &self,
        path: PathBuf,
        range: Range<usize>,
        sizes: &[u64],
        alignment: u64,
        place: Option<(u16, u16)>,
    ) -> Layout {
        let mut header = self.header(range.clone(), sizes, alignment, place);
        header.resize(header.len().next_multiple_of(alignment as usize), 0);
        let names = self.tensors[range.clone()].iter().map(|tensor| tensor.name.to_string());
        let tensors = names.zip(sizes[range].iter().copied()).collect();
        Layout { path, header, tensors, alignment }
    }

    /// Everything before the tensors' data but the padding. Of a split model only the first file has
    /// the metadata; what its alignment is, each must say for itself.
    fn header(
        &self,
        range: Range<usize>,
        sizes: &[u64],
        alignment: u64,
        place: Option<(u16, u16)>,
    ) -> Vec<u8> {
        let first = place.is_none_or(|(no, _)| no == 0);
        let own = self.metadata.iter().filter(|(key, _)| first || key == ALIGNMENT_KEY);
        let own = own.map(|(key, value)| (key.as_ref(), value.as_ref()));
        let split = place.map(|(no, count)| {
            let all = Value::I32(self.tensors.len() as i32);
            [(NO_KEY, Value::U16(no)), (COUNT_KEY, Value::U16(count)), (TENSORS_KEY, all)]
        });
        let split = split.iter().flatten().map(|(key, value)| (*key, value));
        let pairs: Vec<(&str, &Value)> = own.chain(split).collect();

        let mut header = Vec::new();
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&(range.len() as u64).to_le_bytes());
        header.extend_from_slice(&(pairs.len() as u64).to_le_bytes());
        for (key, value) in pairs {
            write_string(&mut header, key);
            write_value(&mut header, value);
        }
        let mut offset = 0;
        for (tensor, size) in self.tensors[range.clone()].iter().zip(&sizes[range]) {
            tensor.write(&mut header, offset);
            offset += size.next_multiple_of(alignment);
        }
        header
    }
}

impl Record<'_> {
    fn write(&self, out: &mut Vec<u8>, offset: u64) {
        write_string(out, &self.name);
        out.extend_from_slice(&(self.dims.len() as u32).to_le_bytes());
        self.dims.iter().for_each(|&dim| out.extend_from_slice(&(dim as u64).to_le_bytes()));
        out.extend_from_slice(&self.type_id.to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
    }

    /// The bytes that [`write`](Self::write) writes.
    fn record_bytes(&self) -> u64 {
        (8 + self.name.len() + 4 + 8 * self.dims.len() + 4 + 8) as u64
    }
}

impl Layout {
    pub fn size(&self) -> u64 {
        let padded = self.tensors.iter().map(|(_, size)| size.next_multiple_of(self.alignment));
        self.header.len() as u64 + padded.sum::<u64>()
    }
}

/// Finds what cannot be written at a path.
struct Check<'p> {
    path: &'p Path,
}

impl Check<'_> {
    #[cold]
    fn error(&self, field: &str, found: &dyn std::fmt::Display, expected: &str) -> Error {
        Error::Unwritable {
            path: self.path.to_owned(),
            field: field.to_owned(),
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }

    fn unique<'s>(&self, field: &str, names: impl Iterator<Item = &'s str>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name) {
                return Err(self.error(field, &Quoted(name), "unique names"));
            }
        }
        Ok(())
    }

    /// Bytes of a tensor's data.
    fn size(&self, tensor: &Record<'_>) -> Result<u64, Error> {
        let name = Quoted(&tensor.name);
        let Some(kind) = TensorType::from_gguf_id(tensor.type_id) else {
            let field = format!("type of tensor {name}");
            return Err(self.error(&field, &tensor.type_id, "a known tensor type"));
        };
        let (k, rows) = (tensor.dims.k(), tensor.dims.rows());
        kind.bytes(k, rows).map(|bytes| bytes as u64).ok_or_else(|| {
            let field = format!("dimension 0 of tensor {name}");
            let expected = format!("a multiple of {}, the block of {}", kind.block_len, kind.name);
            self.error(&field, &k, &expected)
        })
    }
}
