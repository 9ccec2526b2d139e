//! Metadata values and how they are read.

use std::borrow::Cow;
use std::fmt::{self, Display};

use super::cursor::Cursor;
use super::error::{Error, Quoted};
use super::strings::Strings;

/// A metadata value, of the type that the file gives it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the names are the types
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(Array),
}

/// A metadata array: elements of one type. Arrays of arrays are not supported.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the names are the types
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    String(Strings),
}

impl Value {
    /// The type's name as the GGUF specification writes it (`uint32`).
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::U8(_) => "uint8",
            Value::I8(_) => "int8",
            Value::U16(_) => "uint16",
            Value::I16(_) => "int16",
            Value::U32(_) => "uint32",
            Value::I32(_) => "int32",
            Value::U64(_) => "uint64",
            Value::I64(_) => "int64",
            Value::F32(_) => "float32",
            Value::F64(_) => "float64",
            Value::Bool(_) => "bool",
            Value::String(_) => "string",
            Value::Array(_) => "array",
        }
    }

    /// The value, if it is an integer of any width.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Value::U8(v) => v.into(),
            Value::I8(v) => v.into(),
            Value::U16(v) => v.into(),
            Value::I16(v) => v.into(),
            Value::U32(v) => v.into(),
            Value::I32(v) => v.into(),
            Value::U64(v) => v.into(),
            Value::I64(v) => v.into(),
            _ => return None,
        })
    }
}

impl<'a> From<Value> for Cow<'a, Value> {
    fn from(value: Value) -> Self {
        Cow::Owned(value)
    }
}

impl<'a> From<&'a Value> for Cow<'a, Value> {
    fn from(value: &'a Value) -> Self {
        Cow::Borrowed(value)
    }
}

/// One line: the value, with strings quoted and shortened, and arrays as their type and length.
impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::U8(v) => v.fmt(f),
            Value::I8(v) => v.fmt(f),
            Value::U16(v) => v.fmt(f),
            Value::I16(v) => v.fmt(f),
            Value::U32(v) => v.fmt(f),
            Value::I32(v) => v.fmt(f),
            Value::U64(v) => v.fmt(f),
            Value::I64(v) => v.fmt(f),
            Value::F32(v) => v.fmt(f),
            Value::F64(v) => v.fmt(f),
            Value::Bool(v) => v.fmt(f),
            Value::String(v) => Quoted(v).fmt(f),
            Value::Array(v) => write!(f, "array of {} {}", v.len(), v.type_name()),
        }
    }
}

impl Array {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Array::U8(v) => v.len(),
            Array::I8(v) => v.len(),
            Array::U16(v) => v.len(),
            Array::I16(v) => v.len(),
            Array::U32(v) => v.len(),
            Array::I32(v) => v.len(),
            Array::U64(v) => v.len(),
            Array::I64(v) => v.len(),
            Array::F32(v) => v.len(),
            Array::F64(v) => v.len(),
            Array::Bool(v) => v.len(),
            Array::String(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the elements' type as the GGUF specification writes it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Array::U8(_) => "uint8",
            Array::I8(_) => "int8",
            Array::U16(_) => "uint16",
            Array::I16(_) => "int16",
            Array::U32(_) => "uint32",
            Array::I32(_) => "int32",
            Array::U64(_) => "uint64",
            Array::I64(_) => "int64",
            Array::F32(_) => "float32",
            Array::F64(_) => "float64",
            Array::Bool(_) => "bool",
            Array::String(_) => "string",
        }
    }

    /// The elements in order, if they are integers of any width.
    pub fn integers(&self) -> Option<Box<dyn Iterator<Item = i128> + '_>> {
        fn wide<T: Copy + Into<i128>>(v: &[T]) -> Option<Box<dyn Iterator<Item = i128> + '_>> {
            Some(Box::new(v.iter().map(|&v| v.into())))
        }
        match self {
            Array::U8(v) => wide(v),
            Array::I8(v) => wide(v),
            Array::U16(v) => wide(v),
            Array::I16(v) => wide(v),
            Array::U32(v) => wide(v),
            Array::I32(v) => wide(v),
            Array::U64(v) => wide(v),
            Array::I64(v) => wide(v),
            _ => None,
        }
    }
}

/// The type numbers of the specification.
mod type_id {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

/// Appends a string as files have it: its length, then its bytes.
pub(super) fn write_string(out: &mut Vec<u8>, string: &str) {
    out.extend_from_slice(&(string.len() as u64).to_le_bytes());
    out.extend_from_slice(string.as_bytes());
}

/// Appends the type and the value; [`read_value`] reads them back.
pub(super) fn write_value(out: &mut Vec<u8>, value: &Value) {
    fn put<const N: usize>(out: &mut Vec<u8>, type_id: u32, bytes: [u8; N]) {
        out.extend_from_slice(&type_id.to_le_bytes());
        out.extend_from_slice(&bytes);
    }
    match value {
        Value::U8(v) => put(out, type_id::U8, v.to_le_bytes()),
        Value::I8(v) => put(out, type_id::I8, v.to_le_bytes()),
        Value::U16(v) => put(out, type_id::U16, v.to_le_bytes()),
        Value::I16(v) => put(out, type_id::I16, v.to_le_bytes()),
        Value::U32(v) => put(out, type_id::U32, v.to_le_bytes()),
        Value::I32(v) => put(out, type_id::I32, v.to_le_bytes()),
        Value::U64(v) => put(out, type_id::U64, v.to_le_bytes()),
        Value::I64(v) => put(out, type_id::I64, v.to_le_bytes()),
        Value::F32(v) => put(out, type_id::F32, v.to_le_bytes()),
        Value::F64(v) => put(out, type_id::F64, v.to_le_bytes()),
        Value::Bool(v) => put(out, type_id::BOOL, [u8::from(*v)]),
        Value::String(v) => {
            put(out, type_id::STRING, []);
            write_string(out, v);
        }
        Value::Array(v) => {
            put(out, type_id::ARRAY, []);
            write_array(out, v);
        }
    }
}

fn write_array(out: &mut Vec<u8>, array: &Array) {
    fn put<T: Copy, const N: usize>(
        out: &mut Vec<u8>,
        type_id: u32,
        values: &[T],
        to_le_bytes: fn(T) -> [u8; N],
    ) {
        out.extend_from_slice(&type_id.to_le_bytes());
        out.extend_from_slice(&(values.len() as u64).to_le_bytes());
        values.iter().for_each(|&value| out.extend_from_slice(&to_le_bytes(value)));
    }
    match array {
        Array::U8(v) => put(out, type_id::U8, v, u8::to_le_bytes),
        Array::I8(v) => put(out, type_id::I8, v, i8::to_le_bytes),
        Array::U16(v) => put(out, type_id::U16, v, u16::to_le_bytes),
        Array::I16(v) => put(out, type_id::I16, v, i16::to_le_bytes),
        Array::U32(v) => put(out, type_id::U32, v, u32::to_le_bytes),
        Array::I32(v) => put(out, type_id::I32, v, i32::to_le_bytes),
        Array::U64(v) => put(out, type_id::U64, v, u64::to_le_bytes),
        Array::I64(v) => put(out, type_id::I64, v, i64::to_le_bytes),
        Array::F32(v) => put(out, type_id::F32, v, f32::to_le_bytes),
        Array::F64(v) => put(out, type_id::F64, v, f64::to_le_bytes),
        Array::Bool(v) => put(out, type_id::BOOL, v, |v| [u8::from(v)]),
        Array::String(v) => {
            out.extend_from_slice(&type_id::STRING.to_le_bytes());
            out.extend_from_slice(&(v.len() as u64).to_le_bytes());
            v.iter().for_each(|string| write_string(out, string));
        }
    }
}

/// Reads the type and the value of the metadata key `key`.
pub(super) fn read_value(cursor: &mut Cursor<'_>, key: Quoted<'_>) -> Result<Value, Error> {
    let offset = cursor.position();
    let type_id = cursor.u32(&format_args!("type of {key}"))?;
    Ok(match type_id {
        type_id::U8 => Value::U8(u8::from_le_bytes(cursor.array(&key)?)),
        type_id::I8 => Value::I8(i8::from_le_bytes(cursor.array(&key)?)),
        type_id::U16 => Value::U16(u16::from_le_bytes(cursor.array(&key)?)),
        type_id::I16 => Value::I16(i16::from_le_bytes(cursor.array(&key)?)),
        type_id::U32 => Value::U32(u32::from_le_bytes(cursor.array(&key)?)),
        type_id::I32 => Value::I32(i32::from_le_bytes(cursor.array(&key)?)),
        type_id::U64 => Value::U64(u64::from_le_bytes(cursor.array(&key)?)),
        type_id::I64 => Value::I64(i64::from_le_bytes(cursor.array(&key)?)),
        type_id::F32 => Value::F32(f32::from_le_bytes(cursor.array(&key)?)),
        type_id::F64 => Value::F64(f64::from_le_bytes(cursor.array(&key)?)),
        type_id::BOOL => Value::Bool(read_bools(cursor, 1, &key)?[0]),
        type_id::STRING => {
            Value::String(cursor.string(cursor.limits.string_bytes, &key)?.to_owned())
        }
        type_id::ARRAY => Value::Array(read_array(cursor, key)?),
        _ => {
            let field = format!("type of {key}");
            return Err(cursor.malformed(field, offset, type_id, "a value type, 0 to 12"));
        }
    })
}

fn read_array(cursor: &mut Cursor<'_>, key: Quoted<'_>) -> Result<Array, Error> {
    let offset = cursor.position();
    let element = cursor.u32(&format_args!("element type of {key}"))?;
    let record = match element {
        type_id::U8 | type_id::I8 | type_id::BOOL => 1,
        type_id::U16 | type_id::I16 => 2,
        type_id::U32 | type_id::I32 | type_id::F32 => 4,
        type_id::U64 | type_id::I64 | type_id::F64 | type_id::STRING => 8,
        _ => {
            let field = format!("element type of {key}");
            let found = match element {
                type_id::ARRAY => "an array of arrays".to_string(),
                _ => element.to_string(),
            };
            let expected = "a value type, 0 to 12, other than array";
            return Err(cursor.malformed(field, offset, found, expected));
        }
    };
    let limit = cursor.limits.array_len;
    let count = cursor.count(record, limit, &format_args!("element count of {key}"))?;
    Ok(match element {
        type_id::U8 => Array::U8(read_numbers(cursor, count, u8::from_le_bytes, &key)?),
        type_id::I8 => Array::I8(read_numbers(cursor, count, i8::from_le_bytes, &key)?),
        type_id::U16 => Array::U16(read_numbers(cursor, count, u16::from_le_bytes, &key)?),
        type_id::I16 => Array::I16(read_numbers(cursor, count, i16::from_le_bytes, &key)?),
        type_id::U32 => Array::U32(read_numbers(cursor, count, u32::from_le_bytes, &key)?),
        type_id::I32 => Array::I32(read_numbers(cursor, count, i32::from_le_bytes, &key)?),
        type_id::U64 => Array::U64(read_numbers(cursor, count, u64::from_le_bytes, &key)?),
        type_id::I64 => Array::I64(read_numbers(cursor, count, i64::from_le_bytes, &key)?),
        type_id::F32 => Array::F32(read_numbers(cursor, count, f32::from_le_bytes, &key)?),
        type_id::F64 => Array::F64(read_numbers(cursor, count, f64::from_le_bytes, &key)?),
        type_id::BOOL => Array::Bool(read_bools(cursor, count, &key)?),
        _ => Array::String(read_strings(cursor, count, key)?),
    })
}

/// `count` numbers of `N` bytes. The bytes are known to be there before anything is allocated.
fn read_numbers<T, const N: usize>(
    cursor: &mut Cursor<'_>,
    count: usize,
    from_le_bytes: fn([u8; N]) -> T,
    key: &Quoted<'_>,
) -> Result<Vec<T>, Error> {
    // No overflow: `Cursor::count` has found `count * N` bytes to be left.
    let bytes = cursor.take(count * N, key)?;
    Ok(bytes.as_chunks::<N>().0.iter().map(|&bytes| from_le_bytes(bytes)).collect())
}

fn read_bools(cursor: &mut Cursor<'_>, count: usize, key: &Quoted<'_>) -> Result<Vec<bool>, Error> {
    let start = cursor.position();
    let bytes = cursor.take(count, key)?;
    if let Some(bad) = bytes.iter().position(|&byte| byte > 1) {
        return Err(cursor.malformed(key, start + bad, bytes[bad], "a bool, 0 or 1"));
    }
    Ok(bytes.iter().map(|&byte| byte == 1).collect())
}

/// `count` strings. A first pass finds them all to be there, so that what is then allocated is
/// exactly what they take.
fn read_strings(cursor: &mut Cursor<'_>, count: usize, key: Quoted<'_>) -> Result<Strings, Error> {
    let limit = cursor.limits.string_bytes;
    let read = |cursor: &mut Cursor<'_>, each: &mut dyn FnMut(&str)| {
        (0..count).try_for_each(|i| {
            each(cursor.string(limit, &format_args!("{key}[{i}]"))?);
            Ok::<_, Error>(())
        })
    };
    let mut len = 0;
    read(&mut cursor.clone(), &mut |string| len += string.len())?;
    let (mut text, mut ends) = (String::with_capacity(len), Vec::with_capacity(count));
    read(cursor, &mut |string| {
        text.push_str(string);
        ends.push(text.len());
    })?;
    Ok(Strings::new(text, ends))
}
