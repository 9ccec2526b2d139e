//! The tensor records of a file, and the checks of where their data lies.

use super::cursor::Cursor;
use super::error::{Error, Quoted};
use super::tensor_types::TensorType;
use crate::formats::Format;
use crate::tensor::Dims;

/// The fewest bytes of a tensor record: an empty name, the number of dimensions, one dimension,
/// the type and the offset.
pub(super) const SMALLEST_RECORD: usize = 8 + 4 + 8 + 4 + 8;

/// A tensor as the file lists it. Its data lies inside the file and overlaps no other tensor's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Its name, unique in the file.
    pub name: String,
    /// Its dimensions, the length of a row first.
    pub dims: Dims,
    /// The number of its type (`ggml_type`); [`type_name`](super::type_name) knows it.
    pub type_id: u32,
    /// The format, if the type is one that this crate computes with.
    pub format: Option<Format>,
    /// The number of its file among [`Gguf::shards`](super::Gguf::shards); 0 unless split.
    pub shard: usize,
    /// The byte of that file where its data begins.
    pub offset: u64,
    /// Bytes of its data.
    pub size: u64,
}

impl TensorInfo {
    /// The name of its type (`Q5_K`).
    pub fn type_name(&self) -> &'static str {
        super::type_name(self.type_id).expect("records with an unknown type are rejected")
    }
}

/// The tensor records, with what is needed to look them up and to place them.
#[derive(Clone, Debug, Default)]
pub(super) struct TensorTable {
    /// In the order of the file. Until [`place`](Self::place), offsets count from the data section.
    pub tensors: Vec<TensorInfo>,
    /// Numbers of the tensors, sorted by name.
    by_name: Vec<usize>,
    /// Where the offset of each tensor is written, for messages.
    offset_fields: Vec<usize>,
}

impl TensorTable {
    pub fn read(cursor: &mut Cursor<'_>, count: usize) -> Result<TensorTable, Error> {
        // `Cursor::count` has found enough bytes to be left for all of them.
        let mut table = TensorTable {
            tensors: Vec::with_capacity(count),
            by_name: Vec::new(),
            offset_fields: Vec::with_capacity(count),
        };
        let mut name_fields = Vec::with_capacity(count);
        for i in 0..count {
            name_fields.push(cursor.position());
            table.tensors.push(read_record(cursor, i)?);
            table.offset_fields.push(cursor.position() - size_of::<u64>());
        }
        let name = |&i: &usize| table.tensors[i].name.as_str();
        let mut by_name: Vec<usize> = (0..count).collect();
        by_name.sort_by(|a, b| name(a).cmp(name(b)));
        if let Some(pair) = by_name.windows(2).find(|pair| name(&pair[0]) == name(&pair[1])) {
            let (first, again) = (pair[0], pair[1]);
            let field = format!("name of tensor {again}");
            let quoted = Quoted(name(&pair[0]));
            let found = format!("{quoted} again, after byte {}", name_fields[first]);
            return Err(cursor.malformed(field, name_fields[again], found, "unique names"));
        }
        table.by_name = by_name;
        Ok(table)
    }

    pub fn find(&self, name: &str) -> Option<&TensorInfo> {
        let found = self.by_name.binary_search_by(|&i| self.tensors[i].name.as_str().cmp(name));
        found.ok().map(|at| &self.tensors[self.by_name[at]])
    }

    /// Turns offsets from the data section into offsets in the file, and checks that they are
    /// aligned, inside the file and apart from each other.
    pub fn place(
        &mut self,
        cursor: &Cursor<'_>,
        data: u64,
        alignment: u64,
        file_len: u64,
    ) -> Result<(), Error> {
        for (tensor, &field_at) in self.tensors.iter_mut().zip(&self.offset_fields) {
            let Some(end) =
                (tensor.offset.checked_add(data)).and_then(|o| o.checked_add(tensor.size))
            else {
                let expected = "a sum with the tensor's size that does not overflow";
                return Err(misplaced(cursor, tensor, field_at, tensor.offset, expected));
            };
            if !tensor.offset.is_multiple_of(alignment) {
                let expected = format!("a multiple of the alignment, {alignment}");
                return Err(misplaced(cursor, tensor, field_at, tensor.offset, &expected));
            }
            if end > file_len {
                let found = format!("{} and {} bytes of data", tensor.offset, tensor.size);
                let room = file_len.saturating_sub(data);
                let expected = format!("an end within the {room} bytes of tensor data in the file");
                return Err(misplaced(cursor, tensor, field_at, found, &expected));
            }
            tensor.offset += data;
        }
        let mut by_offset: Vec<usize> = (0..self.tensors.len()).collect();
        by_offset.sort_by_key(|&i| self.tensors[i].offset);
        for pair in by_offset.windows(2) {
            let [before, after] = [pair[0], pair[1]];
            let (first, second) = (&self.tensors[before], &self.tensors[after]);
            if first.offset + first.size > second.offset {
                let found = second.offset - data;
                let name = Quoted(&first.name);
                let end = first.offset + first.size - data;
                let expected = format!("at least {end}, where {name} ends");
                let field_at = self.offset_fields[after];
                return Err(misplaced(cursor, second, field_at, found, &expected));
            }
        }
        self.offset_fields = Vec::new();
        Ok(())
    }

    /// The tables of a split model's files as one; two tensors of the same name where names are not
    /// unique, the earlier one first.
    pub fn join(tables: Vec<TensorTable>) -> Result<TensorTable, Box<[TensorInfo; 2]>> {
        let mut tensors = Vec::new();
        for (shard, table) in tables.into_iter().enumerate() {
            tensors.extend(table.tensors.into_iter().map(|tensor| TensorInfo { shard, ..tensor }));
        }
        let name = |&i: &usize| tensors[i].name.as_str();
        let mut by_name: Vec<usize> = (0..tensors.len()).collect();
        by_name.sort_by(|a, b| name(a).cmp(name(b)));
        match by_name.windows(2).find(|pair| name(&pair[0]) == name(&pair[1])) {
            Some(pair) => Err(Box::new([pair[0], pair[1]].map(|i| tensors[i].clone()))),
            None => Ok(TensorTable { tensors, by_name, offset_fields: Vec::new() }),
        }
    }
}

#[cold]
fn misplaced(
    cursor: &Cursor<'_>,
    tensor: &TensorInfo,
    field_at: usize,
    found: impl std::fmt::Display,
    expected: &str,
) -> Error {
    let field = format!("offset of tensor {}", Quoted(&tensor.name));
    cursor.malformed(field, field_at, found, expected)
}

/// Reads tensor record `i`.
fn read_record(cursor: &mut Cursor<'_>, i: usize) -> Result<TensorInfo, Error> {
    let name = cursor.string(cursor.limits.name_bytes, &format_args!("name of tensor {i}"))?;
    let quoted = Quoted(name);

    let count_at = cursor.position();
    let count = cursor.u32(&format_args!("dimension count of tensor {quoted}"))?;
    if !(1..=Dims::MAX as u32).contains(&count) {
        let field = format!("dimension count of tensor {quoted}");
        return Err(cursor.malformed(field, count_at, count, "1 to 4"));
    }
    let count = count as usize;
    let dims_at = cursor.position();
    let mut sizes = [0usize; Dims::MAX];
    for (dimension, size) in sizes[..count].iter_mut().enumerate() {
        let offset = cursor.position();
        let field = format_args!("dimension {dimension} of tensor {quoted}");
        let found = cursor.u64(&field)?;
        *size = usize::try_from(found).ok().filter(|&size| size > 0).ok_or_else(|| {
            let field = format!("dimension {dimension} of tensor {quoted}");
            cursor.malformed(field, offset, found, "a size from 1 to what memory can address")
        })?;
    }
    let sizes = &sizes[..count];
    let dims = Dims::new(sizes).map_err(|_| {
        let field = format!("dimensions of tensor {quoted}");
        let expected = "a product that memory can hold as f32";
        cursor.malformed(field, dims_at, format!("{sizes:?}"), expected)
    })?;

    let type_at = cursor.position();
    let type_id = cursor.u32(&format_args!("type of tensor {quoted}"))?;
    let Some(tensor_type) = TensorType::from_gguf_id(type_id) else {
        let field = format!("type of tensor {quoted}");
        return Err(cursor.malformed(field, type_at, type_id, "a known tensor type"));
    };
    let TensorType { name: type_name, block_len, .. } = tensor_type;
    if !dims.k().is_multiple_of(block_len) {
        let field = format!("dimension 0 of tensor {quoted}");
        let expected = format!("a multiple of {block_len}, the block of {type_name}");
        return Err(cursor.malformed(field, dims_at, dims.k(), expected));
    }
    let size = tensor_type.bytes(dims.k(), dims.rows()).ok_or_else(|| {
        let field = format!("dimensions of tensor {quoted}");
        let expected = format!("a size in bytes, as {type_name}, that does not overflow");
        cursor.malformed(field, dims_at, format!("{sizes:?}"), expected)
    })?;
    let offset = cursor.u64(&format_args!("offset of tensor {quoted}"))?;
    Ok(TensorInfo {
        name: name.to_owned(),
        dims,
        type_id,
        format: Format::from_gguf_id(type_id),
        shard: 0,
        offset,
        size: size as u64,
    })
}
