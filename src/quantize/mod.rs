//! Quantising a file: which format each of its tensors gets, and writing the result.
//!
//! A [`FileType`] is more than a format: tensors in which errors cost most get a better one than
//! the rest. A [`Plan`] says which, tensor by tensor, without touching the weights; it is what
//! `llama-quantize` of llama.cpp 0.5.0 does for the same name without options and without an
//! importance matrix (`glm5-next`, `granite-switch` and `nanbeige`, for which it has rules of their
//! own, apart). The formats follow from
//!
//! - a tensor's role, which its name tells, and its place among the tensors of that role,
//! - a few properties of the model: layers, heads, experts, whether there is an output layer,
//! - the length of its rows, which blocks must divide.
//!
//! Vectors, norms and some small matrices stay as they are, and so does what already has its
//! format. Where a rule counts tensors, it counts them by layer and name, so the order of the file
//! does not matter.
//!
//! ```no_run
//! use quintile::gguf::{Gguf, OpenOptions};
//! use quintile::isa::Isa;
//! use quintile::kernels::Kernels;
//! use quintile::model::Pool;
//! use quintile::quantize::{FileType, Plan, WriteOptions};
//!
//! let source = Gguf::open("model-f16.gguf".as_ref(), &OpenOptions::default())?;
//! let plan = Plan::new(&source, FileType::Q5KM)?;
//! for entry in plan.entries() {
//!     println!("{}: {} -> {}", entry.tensor.name, entry.tensor.type_name(), entry.type_name());
//! }
//! println!("{} -> {} bytes", plan.bytes_before(), plan.bytes_after());
//!
//! let (kernels, pool) = (Kernels::new(Isa::detect()), Pool::new(2.try_into().unwrap()).unwrap());
//! plan.write(&kernels, &pool, "model-q5_k_m.gguf".as_ref(), &WriteOptions::default())?;
//! # Ok::<(), quintile::quantize::Error>(())
//! ```

mod compare;
mod error;
mod file_type;
mod mixture;
mod role;
mod traits;
mod write;

pub use compare::Difference;
pub use error::Error;
pub use file_type::FileType;
pub use write::WriteOptions;

use std::borrow::Cow;
use std::fmt;

use self::mixture::Mixture;
use self::role::{is_quantized, layer_of};
use self::traits::Traits;
use crate::formats::Format;
use crate::gguf::{self, Gguf, TensorInfo, Value};

/// The version of the block layouts, as `general.quantization_version` has it.
const QUANTIZATION_VERSION: u32 = 2;

/// The keys by which a file says that it is a part of a model.
const SPLIT_KEYS: [&str; 3] = ["split.no", "split.count", "split.tensors.count"];

/// Which format each tensor of a file gets.
#[derive(Debug)]
pub struct Plan<'a> {
    file: &'a Gguf,
    file_type: FileType,
    entries: Vec<Entry<'a>>,
}

/// What becomes of a tensor.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// The tensor in the source.
    pub tensor: &'a TensorInfo,
    /// The format that it is converted to; `None` where its bytes are copied.
    pub target: Option<Format>,
    /// What its format stands in for, where its rows do not fit the one that its role asks for.
    pub fallback: Option<Fallback>,
}

/// Why a tensor has another format than its role asks for: rows are whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The format whose block does not divide the tensor's rows.
    pub wanted: Format,
}

impl<'a> Plan<'a> {
    /// Chooses a format for every tensor of `file`.
    ///
    /// # Errors
    /// If the metadata lacks `general.architecture` or the number of layers, if a tensor that is
    /// to be converted has a type that this crate cannot read, or if an expert's tensor names no
    /// layer of the model.
    pub fn new(file: &'a Gguf, file_type: FileType) -> Result<Plan<'a>, Error> {
        let traits = Traits::new(file)?;
        let mut mixture = Mixture::new(file_type, &traits);
        let tensors = file.tensors();
        let copy = |tensor| Entry { tensor, target: None, fallback: None };
        let mut entries: Vec<Entry<'a>> = tensors.iter().map(copy).collect();
        let mut by_layer: Vec<usize> = (0..tensors.len()).collect();
        by_layer.sort_by_key(|&i| (layer_of(&tensors[i].name), tensors[i].name.as_str()));
        for i in by_layer {
            let tensor = &tensors[i];
            if !is_quantized(tensor) {
                continue;
            }
            let (format, fallback) = mixture.next(tensor)?;
            entries[i].fallback = fallback;
            if tensor.format != Some(format) {
                entries[i].target = Some(format);
                if tensor.format.is_none() {
                    return Err(not_computed(file, tensor).into());
                }
            }
        }
        Ok(Plan { file, file_type, entries })
    }

    /// The source.
    pub fn file(&self) -> &'a Gguf {
        self.file
    }

    /// The file type that was asked for.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }

    /// All tensors, in the order of the source.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// Whether a tensor is converted that has lost bits before: its errors add up.
    pub fn requantises(&self) -> bool {
        let lossy = |entry: &Entry<'_>| entry.tensor.format.is_some_and(|f| f.block_len() > 1);
        self.entries.iter().any(|entry| entry.target.is_some() && lossy(entry))
    }

    /// Bytes of all tensors in the source, without padding.
    pub fn bytes_before(&self) -> u64 {
        self.entries.iter().map(|entry| entry.tensor.size).sum()
    }

    /// Bytes of all tensors in the result, without padding.
    pub fn bytes_after(&self) -> u64 {
        self.entries.iter().map(Entry::size).sum()
    }

    /// The keys and values of the result: those of the source in their order, with the file type
    /// and the version of the block layouts in their place or at the end, and without the keys by
    /// which a file says that it is a part of one.
    pub fn metadata(&self) -> Vec<(&'a str, Cow<'a, Value>)> {
        let changed = [
            ("general.quantization_version", QUANTIZATION_VERSION),
            ("general.file_type", self.file_type.number()),
        ];
        let new_value = |key: &str| {
            let change = changed.into_iter().find(|&(changed, _)| changed == key);
            change.map(|(_, number)| Value::U32(number))
        };
        let source = self.file.metadata();
        let kept = source.iter().filter(|(key, _)| !SPLIT_KEYS.contains(key));
        let mut pairs: Vec<_> = kept
            .map(|(key, value)| (key, new_value(key).map_or(Cow::Borrowed(value), Cow::Owned)))
            .collect();
        for (key, number) in changed {
            if source.get(key).is_none() {
                pairs.push((key, Cow::Owned(Value::U32(number))));
            }
        }
        pairs
    }
}

impl Entry<'_> {
    /// The number of the tensor's type in the result (`ggml_type`).
    pub fn type_id(&self) -> u32 {
        self.target.map_or(self.tensor.type_id, Format::gguf_id)
    }

    /// The name of the tensor's type in the result (`Q5_K`).
    pub fn type_name(&self) -> &'static str {
        self.target.map_or(self.tensor.type_name(), Format::name)
    }

    /// Bytes of the tensor in the result.
    pub fn size(&self) -> u64 {
        let Some(format) = self.target else { return self.tensor.size };
        let dims = &self.tensor.dims;
        // Every target fits the rows, and a tensor's size as f32 fits memory.
        let row = format.row_bytes(dims.k()).expect("a target whose block divides the rows");
        row as u64 * dims.rows() as u64
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = self.wanted.block_len();
        write!(f, "rows are no multiple of {block}, the block of {}", self.wanted)
    }
}

#[cold]
fn not_computed(file: &Gguf, tensor: &TensorInfo) -> gguf::Error {
    gguf::Error::NotComputed {
        file: file.path().map(Into::into),
        name: tensor.name.clone(),
        offset: tensor.offset,
        type_name: tensor.type_name(),
    }
}
