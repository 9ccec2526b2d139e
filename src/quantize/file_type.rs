//! The file types: what a user asks `quantize` for.

use std::fmt;
use std::str::FromStr;

use super::Error;
use crate::formats::Format;

/// What a quantised file is called: the format of most of its tensors, and for `_s` and `_m` how
/// many of the sensitive ones get a better format than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// Every weight as f32.
    F32,
    /// Every weight as f16.
    F16,
    /// Every weight as bf16.
    Bf16,
    /// Blocks of 32 with 4 bits a weight and a scale.
    Q4_0,
    /// Blocks of 32 with 4 bits a weight, a scale and a minimum.
    Q4_1,
    /// Blocks of 32 with 5 bits a weight and a scale.
    Q5_0,
    /// Blocks of 32 with 5 bits a weight, a scale and a minimum.
    Q5_1,
    /// Blocks of 32 with 8 bits a weight and a scale; the output layer too.
    Q8_0,
    /// Q2_K, with Q3_K or better for values, attention outputs and down projections.
    Q2K,
    /// Q3_K, with Q4_K for values, attention outputs and down projections, Q5_K in the first ones.
    Q3KM,
    /// Q4_K, with Q5_K for values and down projections of the first layers.
    Q4KS,
    /// Q4_K, with Q6_K for values and down projections of half the layers.
    Q4KM,
    /// Q5_K.
    Q5KS,
    /// Q5_K, with Q6_K for values and down projections of half the layers.
    Q5KM,
    /// Q6_K.
    Q6K,
}

impl FileType {
    /// Every file type, smallest files first.
    pub const ALL: [FileType; 15] = [
        FileType::Q2K,
        FileType::Q3KM,
        FileType::Q4_0,
        FileType::Q4_1,
        FileType::Q4KS,
        FileType::Q4KM,
        FileType::Q5_0,
        FileType::Q5_1,
        FileType::Q5KS,
        FileType::Q5KM,
        FileType::Q6K,
        FileType::Q8_0,
        FileType::F16,
        FileType::Bf16,
        FileType::F32,
    ];

    /// Its name, in lower case (`q5_k_m`).
    pub const fn name(self) -> &'static str {
        match self {
            FileType::F32 => "f32",
            FileType::F16 => "f16",
            FileType::Bf16 => "bf16",
            FileType::Q4_0 => "q4_0",
            FileType::Q4_1 => "q4_1",
            FileType::Q5_0 => "q5_0",
            FileType::Q5_1 => "q5_1",
            FileType::Q8_0 => "q8_0",
            FileType::Q2K => "q2_k",
            FileType::Q3KM => "q3_k_m",
            FileType::Q4KS => "q4_k_s",
            FileType::Q4KM => "q4_k_m",
            FileType::Q5KS => "q5_k_s",
            FileType::Q5KM => "q5_k_m",
            FileType::Q6K => "q6_k",
        }
    }

    /// Its number as the metadata key `general.file_type` has it (`llama_ftype`).
    pub const fn number(self) -> u32 {
        match self {
            FileType::F32 => 0,
            FileType::F16 => 1,
            FileType::Q4_0 => 2,
            FileType::Q4_1 => 3,
            FileType::Q8_0 => 7,
            FileType::Q5_0 => 8,
            FileType::Q5_1 => 9,
            FileType::Q2K => 10,
            FileType::Q3KM => 12,
            FileType::Q4KS => 14,
            FileType::Q4KM => 15,
            FileType::Q5KS => 16,
            FileType::Q5KM => 17,
            FileType::Q6K => 18,
            FileType::Bf16 => 32,
        }
    }

    /// The format of a tensor that no rule gives another.
    pub const fn base(self) -> Format {
        match self {
            FileType::F32 => Format::F32,
            FileType::F16 => Format::F16,
            FileType::Bf16 => Format::Bf16,
            FileType::Q4_0 => Format::Q4_0,
            FileType::Q4_1 => Format::Q4_1,
            FileType::Q5_0 => Format::Q5_0,
            FileType::Q5_1 => Format::Q5_1,
            FileType::Q8_0 => Format::Q8_0,
            FileType::Q2K => Format::Q2K,
            FileType::Q3KM => Format::Q3K,
            FileType::Q4KS | FileType::Q4KM => Format::Q4K,
            FileType::Q5KS | FileType::Q5KM => Format::Q5K,
            FileType::Q6K => Format::Q6K,
        }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Reads a [`name`](FileType::name), in either case.
impl FromStr for FileType {
    type Err = Error;

    fn from_str(text: &str) -> Result<FileType, Error> {
        let found = Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| Error::FileType { found: text.to_owned() })
    }
}
