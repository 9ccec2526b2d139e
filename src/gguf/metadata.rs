//! The key-value pairs at the head of a file.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::error::{Error, Quoted, Source};
use super::strings::Strings;
use super::value::{Array, Value, read_value};

/// The fewest bytes of a key-value pair: an empty key, its type and a value of one byte.
pub(super) const SMALLEST_PAIR: usize = 8 + 4 + 1;

/// The metadata of a file, in the file's order. Keys are unique.
///
/// The typed getters return `Ok(None)` where the key is absent and an error that names key, value
/// and expected type where the value does not fit. Integers of any width are taken for one another
/// as long as the value is the same.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    entries: Vec<Entry>,
    /// Numbers of the entries, sorted by key.
    by_key: Vec<usize>,
    source: Source,
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    value: Value,
    offset: usize,
}

impl Metadata {
    pub(super) fn read(cursor: &mut Cursor<'_>, count: usize) -> Result<Metadata, Error> {
        // `Cursor::count` has found enough bytes to be left for all of them.
        let mut entries = Vec::with_capacity(count);
        for i in 0..count {
            let offset = cursor.position();
            let key = cursor.string(cursor.limits.key_bytes, &format_args!("metadata key {i}"))?;
            let value = read_value(cursor, Quoted(key))?;
            entries.push(Entry { key: key.to_owned(), value, offset });
        }
        let key = |&i: &usize| entries[i].key.as_str();
        // Stable: of two equal keys the first one in the file comes first.
        let mut by_key: Vec<usize> = (0..entries.len()).collect();
        by_key.sort_by(|a, b| key(a).cmp(key(b)));
        if let Some(pair) = by_key.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            let (first, again) = (&entries[pair[0]], &entries[pair[1]]);
            let field = format!("metadata key {}", pair[1]);
            let found = format!("{} again, after byte {}", Quoted(&first.key), first.offset);
            return Err(cursor.malformed(field, again.offset, found, "unique keys"));
        }
        Ok(Metadata { entries, by_key, source: cursor.source.clone() })
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), &entry.value))
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        let found = self.by_key.binary_search_by(|&i| self.entries[i].key.as_str().cmp(key));
        found.ok().map(|at| &self.entries[self.by_key[at]])
    }

    /// The error that `key` is not there, for callers that cannot do without it.
    pub fn missing(&self, key: &str) -> Error {
        Error::MissingKey { file: self.source.clone(), key: key.to_owned() }
    }

    /// The error that the value of `key` is not `expected`, for callers with further conditions
    /// (`"at least 1"`).
    pub fn unexpected(&self, key: &str, expected: &str) -> Error {
        match self.entry(key) {
            Some(entry) => self.wrong_type(entry, expected),
            None => self.missing(key),
        }
    }

    fn wrong_type(&self, entry: &Entry, expected: &str) -> Error {
        let value = &entry.value;
        let found = match value {
            Value::Array(_) => value.to_string(),
            _ => format!("{value} ({})", value.type_name()),
        };
        Error::WrongType {
            file: self.source.clone(),
            key: entry.key.clone(),
            offset: entry.offset as u64,
            found,
            expected: expected.to_owned(),
        }
    }

    /// The value of `key` as `convert` sees it; an error where it returns `None`.
    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match convert(&entry.value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong_type(entry, expected)),
        }
    }

    fn integer<T: TryFrom<i128>>(&self, key: &str, expected: &str) -> Result<Option<T>, Error> {
        self.typed(key, expected, |value| value.as_integer()?.try_into().ok())
    }

    /// An integer that fits a `u32`.
    ///
    /// # Errors
    /// If the value is of another type or out of range.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, Error> {
        self.integer(key, "an integer of 32 bits without sign")
    }

    /// An integer that fits an `i32`.
    ///
    /// # Errors
    /// If the value is of another type or out of range.
    pub fn i32(&self, key: &str) -> Result<Option<i32>, Error> {
        self.integer(key, "an integer of 32 bits")
    }

    /// An integer that fits a `u64`.
    ///
    /// # Errors
    /// If the value is of another type or out of range.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, Error> {
        self.integer(key, "an integer of 64 bits without sign")
    }

    /// An integer that fits a `usize`.
    ///
    /// # Errors
    /// If the value is of another type or out of range.
    pub fn usize(&self, key: &str) -> Result<Option<usize>, Error> {
        self.integer(key, "an integer without sign")
    }

    /// A `float32`, or a `float64` that has the same value as an `f32`.
    ///
    /// # Errors
    /// If the value is of another type or would be rounded.
    pub fn f32(&self, key: &str) -> Result<Option<f32>, Error> {
        self.typed(key, "a float32", |value| match *value {
            Value::F32(v) => Some(v),
            Value::F64(v) => Some(v as f32).filter(|&near| f64::from(near) == v),
            _ => None,
        })
    }

    /// A `bool`.
    ///
    /// # Errors
    /// If the value is of another type.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        self.typed(key, "a bool", |value| match *value {
            Value::Bool(v) => Some(v),
            _ => None,
        })
    }

    /// A string.
    ///
    /// # Errors
    /// If the value is of another type.
    pub fn str(&self, key: &str) -> Result<Option<&str>, Error> {
        self.typed(key, "a string", |value| match value {
            Value::String(v) => Some(v.as_str()),
            _ => None,
        })
    }

    fn array<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Array) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.typed(key, expected, |value| match value {
            Value::Array(array) => convert(array),
            _ => None,
        })
    }

    /// An array of strings.
    ///
    /// # Errors
    /// If the value is of another type.
    pub fn str_array(&self, key: &str) -> Result<Option<&Strings>, Error> {
        self.array(key, "an array of string", |array| match array {
            Array::String(v) => Some(v),
            _ => None,
        })
    }

    /// An array of `float32`.
    ///
    /// # Errors
    /// If the value is of another type.
    pub fn f32_array(&self, key: &str) -> Result<Option<&[f32]>, Error> {
        self.array(key, "an array of float32", |array| match array {
            Array::F32(v) => Some(v.as_slice()),
            _ => None,
        })
    }

    /// An array of `bool`.
    ///
    /// # Errors
    /// If the value is of another type.
    pub fn bool_array(&self, key: &str) -> Result<Option<&[bool]>, Error> {
        self.array(key, "an array of bool", |array| match array {
            Array::Bool(v) => Some(v.as_slice()),
            _ => None,
        })
    }

    /// An array of integers that all fit an `i32`; borrowed where the file stores `int32`.
    ///
    /// # Errors
    /// If the value is of another type or an element is out of range.
    pub fn i32_array(&self, key: &str) -> Result<Option<Cow<'_, [i32]>>, Error> {
        self.array(key, "an array of integers of 32 bits", |array| match array {
            Array::I32(v) => Some(Cow::Borrowed(v.as_slice())),
            _ => all_fit(array).map(Cow::Owned),
        })
    }

    /// An array of integers that all fit a `u32`; borrowed where the file stores `uint32`.
    ///
    /// # Errors
    /// If the value is of another type or an element is out of range.
    pub fn u32_array(&self, key: &str) -> Result<Option<Cow<'_, [u32]>>, Error> {
        self.array(key, "an array of integers of 32 bits without sign", |array| match array {
            Array::U32(v) => Some(Cow::Borrowed(v.as_slice())),
            _ => all_fit(array).map(Cow::Owned),
        })
    }
}

/// The elements as `T`, if all of them are integers that fit.
fn all_fit<T: TryFrom<i128>>(array: &Array) -> Option<Vec<T>> {
    array.integers()?.map(|v| T::try_from(v).ok()).collect()
}
