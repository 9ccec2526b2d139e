//! The element types that GGUF files name, those that this crate does not compute included: their
//! tensors are listed and measured, though not multiplied.

use crate::formats::Format;

/// How a tensor type lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorType {
    /// Its number in a tensor record (`ggml_type`).
    pub id: u32,
    /// Its name as GGUF tools write it.
    pub name: &'static str,
    /// Values in a block.
    pub block_len: usize,
    /// Bytes in a block.
    pub block_bytes: usize,
}

const fn other(id: u32, name: &'static str, block_len: usize, block_bytes: usize) -> TensorType {
    TensorType { id, name, block_len, block_bytes }
}

/// The types that are not a [`Format`], in the order of their numbers. Numbers missing here
/// (4, 5, 31 to 33, 36 to 38) were given up before files with them became common.
const OTHERS: [TensorType; 21] = [
    other(9, "Q8_1", 32, 36),
    other(16, "IQ2_XXS", 256, 66),
    other(17, "IQ2_XS", 256, 74),
    other(18, "IQ3_XXS", 256, 98),
    other(19, "IQ1_S", 256, 50),
    other(20, "IQ4_NL", 32, 18),
    other(21, "IQ3_S", 256, 110),
    other(22, "IQ2_S", 256, 82),
    other(23, "IQ4_XS", 256, 136),
    other(24, "I8", 1, 1),
    other(25, "I16", 1, 2),
    other(26, "I32", 1, 4),
    other(27, "I64", 1, 8),
    other(28, "F64", 1, 8),
    other(29, "IQ1_M", 256, 56),
    other(34, "TQ1_0", 256, 54),
    other(35, "TQ2_0", 256, 66),
    other(39, "MXFP4", 32, 17),
    other(40, "NVFP4", 64, 36),
    other(41, "Q1_0", 128, 18),
    other(42, "Q2_0", 64, 18),
];

impl TensorType {
    /// The type with this GGUF number, if it is a known one.
    pub fn from_gguf_id(id: u32) -> Option<TensorType> {
        match Format::from_gguf_id(id) {
            Some(format) => Some(TensorType {
                id,
                name: format.name(),
                block_len: format.block_len(),
                block_bytes: format.block_bytes(),
            }),
            None => OTHERS.into_iter().find(|known| known.id == id),
        }
    }

    /// Bytes of `rows` rows of `k` values; `None` where a row is not a whole number of blocks or
    /// the product overflows.
    pub fn bytes(&self, k: usize, rows: usize) -> Option<usize> {
        if !k.is_multiple_of(self.block_len) {
            return None;
        }
        (k / self.block_len).checked_mul(self.block_bytes)?.checked_mul(rows)
    }
}

/// The name of the tensor type with this GGUF number (`Q5_K`), if it is a known one.
pub fn type_name(id: u32) -> Option<&'static str> {
    TensorType::from_gguf_id(id).map(|known| known.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_both_a_format_and_another_type() {
        for known in OTHERS {
            assert_eq!(Format::from_gguf_id(known.id), None, "{}", known.name);
        }
    }

    #[test]
    fn other_types_are_listed_in_ascending_order_once_each() {
        assert!(OTHERS.is_sorted_by(|a, b| a.id < b.id));
    }
}
