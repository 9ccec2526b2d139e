//! Block layouts: how weights and activations lie in memory, and what their bytes mean.
//!
//! A quantised row is a sequence of blocks of 32 or 256 values. Every block type is a `repr(C)`
//! struct of bytes with alignment 1, so a row of a memory-mapped file is viewed in place, at any
//! address ([`Block::slice`]). All numbers are little-endian; `f16` is IEEE binary16.
//!
//! The layouts are those of the GGUF format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use core::fmt;

mod activation;
mod half_floats;
mod k_quants;
mod legacy;
pub mod quantize;

pub use activation::{ActBlock, ActScale};
pub use half_floats::{BlockBf16, BlockF16, BlockF32, f16_bits, f16_value};
pub use k_quants::{
    BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K, Integers256, SuperBlock,
    scale_min_k4,
};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use k_quants::{q3_k_scale_words, scale_min_words};
pub use legacy::{Block32, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0, Integers32};

/// Values in a super-block of the K formats, and in an [`ActBlock`].
pub const SUPER_BLOCK: usize = 256;
/// Values in a block of the formats with one scale per 32 values.
pub const BLOCK_32: usize = 32;

/// A storage format that this crate computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the formats' own
pub enum Format {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Q8K,
}

impl Format {
    /// Every format, in the order of the enum.
    pub const ALL: [Format; 14] = [
        Format::F32,
        Format::F16,
        Format::Bf16,
        Format::Q4_0,
        Format::Q4_1,
        Format::Q5_0,
        Format::Q5_1,
        Format::Q8_0,
        Format::Q2K,
        Format::Q3K,
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
        Format::Q8K,
    ];

    /// Its number in a GGUF tensor record (`ggml_type`).
    pub const fn gguf_id(self) -> u32 {
        match self {
            Format::F32 => 0,
            Format::F16 => 1,
            Format::Q4_0 => 2,
            Format::Q4_1 => 3,
            Format::Q5_0 => 6,
            Format::Q5_1 => 7,
            Format::Q8_0 => 8,
            Format::Q2K => 10,
            Format::Q3K => 11,
            Format::Q4K => 12,
            Format::Q5K => 13,
            Format::Q6K => 14,
            Format::Q8K => 15,
            Format::Bf16 => 30,
        }
    }

    /// The format with this GGUF number, if it is one of ours.
    pub fn from_gguf_id(id: u32) -> Option<Format> {
        Self::ALL.into_iter().find(|f| f.gguf_id() == id)
    }

    /// Its name as GGUF tools write it (`Q5_K`).
    pub const fn name(self) -> &'static str {
        match self {
            Format::F32 => "F32",
            Format::F16 => "F16",
            Format::Bf16 => "BF16",
            Format::Q4_0 => "Q4_0",
            Format::Q4_1 => "Q4_1",
            Format::Q5_0 => "Q5_0",
            Format::Q5_1 => "Q5_1",
            Format::Q8_0 => "Q8_0",
            Format::Q2K => "Q2_K",
            Format::Q3K => "Q3_K",
            Format::Q4K => "Q4_K",
            Format::Q5K => "Q5_K",
            Format::Q6K => "Q6_K",
            Format::Q8K => "Q8_K",
        }
    }

    /// Values in a block; a row's length is a multiple of it.
    pub const fn block_len(self) -> usize {
        match self {
            Format::F32 | Format::F16 | Format::Bf16 => 1,
            Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 | Format::Q8_0 => BLOCK_32,
            _ => SUPER_BLOCK,
        }
    }

    /// Bytes in a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::F16 | Format::Bf16 => 2,
            Format::Q4_0 => size_of::<BlockQ4_0>(),
            Format::Q4_1 => size_of::<BlockQ4_1>(),
            Format::Q5_0 => size_of::<BlockQ5_0>(),
            Format::Q5_1 => size_of::<BlockQ5_1>(),
            Format::Q8_0 => size_of::<BlockQ8_0>(),
            Format::Q2K => size_of::<BlockQ2K>(),
            Format::Q3K => size_of::<BlockQ3K>(),
            Format::Q4K => size_of::<BlockQ4K>(),
            Format::Q5K => size_of::<BlockQ5K>(),
            Format::Q6K => size_of::<BlockQ6K>(),
            Format::Q8K => size_of::<BlockQ8K>(),
        }
    }

    /// Bytes of a row of `k` values, or `None` where `k` is not a whole number of blocks or the
    /// product overflows.
    pub const fn row_bytes(self, k: usize) -> Option<usize> {
        if !k.is_multiple_of(self.block_len()) {
            return None;
        }
        (k / self.block_len()).checked_mul(self.block_bytes())
    }

    /// How activations are scaled for an integer dot with this format; `None` where the matmul
    /// multiplies f32 activations directly.
    pub const fn activation(self) -> Option<ActScale> {
        match self.block_len() {
            1 => None,
            BLOCK_32 => Some(ActScale::Per32),
            _ => Some(ActScale::Per256),
        }
    }

    /// Writes the exact f32 value of every element of `row` to `out`, in order.
    ///
    /// # Panics
    /// If `row.len()` is not [`row_bytes`](Self::row_bytes)`(out.len())`.
    pub fn dequantize(self, row: &[u8], out: &mut [f32]) {
        fn blocks<B: Block>(row: &[u8], out: &mut [f32]) {
            for (block, out) in B::slice(row).iter().zip(out.chunks_exact_mut(B::LEN)) {
                block.dequantize(out);
            }
        }
        assert_eq!(
            Some(row.len()),
            self.row_bytes(out.len()),
            "bytes of a {} row of {} values",
            self.name(),
            out.len()
        );
        match self {
            Format::F32 => blocks::<BlockF32>(row, out),
            Format::F16 => blocks::<BlockF16>(row, out),
            Format::Bf16 => blocks::<BlockBf16>(row, out),
            Format::Q4_0 => blocks::<BlockQ4_0>(row, out),
            Format::Q4_1 => blocks::<BlockQ4_1>(row, out),
            Format::Q5_0 => blocks::<BlockQ5_0>(row, out),
            Format::Q5_1 => blocks::<BlockQ5_1>(row, out),
            Format::Q8_0 => blocks::<BlockQ8_0>(row, out),
            Format::Q2K => blocks::<BlockQ2K>(row, out),
            Format::Q3K => blocks::<BlockQ3K>(row, out),
            Format::Q4K => blocks::<BlockQ4K>(row, out),
            Format::Q5K => blocks::<BlockQ5K>(row, out),
            Format::Q6K => blocks::<BlockQ6K>(row, out),
            Format::Q8K => blocks::<BlockQ8K>(row, out),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One block of a quantised row, as it lies in the file.
///
/// # Safety
/// The type has alignment 1, no padding, and every bit pattern is a value of it, so any
/// `size_of::<Self>()` bytes may be viewed as one.
pub unsafe trait Block: Sized + Copy + 'static {
    /// Values in the block.
    const LEN: usize;

    /// Writes the exact value of each element to `out`, which has [`LEN`](Self::LEN) places.
    fn dequantize(&self, out: &mut [f32]);

    /// Views bytes as blocks, in place.
    ///
    /// # Panics
    /// If `bytes.len()` is not a multiple of the block's size.
    fn slice(bytes: &[u8]) -> &[Self] {
        const { assert!(align_of::<Self>() == 1) };
        let size = size_of::<Self>();
        assert_eq!(bytes.len() % size, 0, "{} bytes in blocks of {size}", bytes.len());
        // SAFETY: the trait promises alignment 1 and that any bytes are a value; the length is a
        // whole number of blocks inside `bytes`.
        unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size) }
    }
    /// Views bytes as blocks to be written, in place.
    ///
    /// # Panics
    /// If `bytes.len()` is not a multiple of the block's size.
    fn slice_mut(bytes: &mut [u8]) -> &mut [Self] {
        const { assert!(align_of::<Self>() == 1) };
        let size = size_of::<Self>();
        assert_eq!(bytes.len() % size, 0, "{} bytes in blocks of {size}", bytes.len());
        // SAFETY: as in `slice`; a block has no padding, so what is written to it are bytes.
        unsafe { core::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size) }
    }
}
