//! Several quantised rows times several columns of byte activations: what prefill spends its time in.
//!
//! # Contract
//! Element `(row, column)` has the bits of [`Kernels::qdot`](super::Kernels::qdot) of that row and that column.
//!
//! # The loops
//! A row dot unpacks its weights for each few columns, and adds up the lanes of a register for each of its sums. Here
//! weights are unpacked once for all columns, eight rows interleaved in a `Panel`: a register holds four neighbours
//! of each row, and a lane of the sums belongs to one row, so that nothing is ever added across lanes. The loops are those
//! of BLIS (Van Zee and van de Geijn, 2015), where `kc` is one super-block, because after each the contract rounds:
//!
//! 1. [`MC`] rows;
//! 2. their super-blocks, one of each row at a time, unpacked to `Panel`s, which stay in the second-level cache;
//! 3. [`NR`] columns, broadcast to `Columns`, which stay in the first-level cache;
//! 4. `Panel`s of [`MR`] rows;
//! 5. in the micro-kernel, four values of each row and column at a time.
//!
//! So it is at AVX2, and, with words of 16 bits and four columns, in the operations of pulp. AVX-512 has panels of [`ROWS`] rows,
//! broadcasts columns from where they lie, and lays out a [`Workspace`] its own way. On aarch64 products of bytes take part of a
//! register or two columns at a time, so that columns are packed and not broadcast.
//! Formats with blocks of 32 have loops of their own, beside their kernels, and so have few columns at AVX2.
//!
//! The second step can be taken once for many products: [`packed`].

use super::sgemm::Line;
use super::sibling::{Choice, Sibling};
use crate::formats::{ActBlock, Format};

pub(super) mod generic;
pub mod packed;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(asm_x86_64)]
pub(super) mod avx2_asm;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512vnni;
#[cfg(asm_x86_64)]
pub(super) mod avx512vnni_asm;
#[cfg(asm_aarch64)]
mod neon;
#[cfg(asm_aarch64)]
pub(super) mod neon_dotprod_asm;
#[cfg(asm_aarch64)]
pub(super) mod neon_i8mm;

/// Rows of a micro-kernel of AVX2, the lanes of a register; the rows of a product are a multiple.
pub const MR: usize = 8;
/// Rows of a micro-kernel of the level that has most: a range of as many, or a multiple, leaves no part of a tile empty.
pub const ROWS: usize = 32;
/// Columns of a micro-kernel, at most: of sixteen registers six hold sums, four weights, one scales, four products. Each
/// step of 16 values then loads five registers of weights for 24 operands of activations, and two loads a cycle keep up
/// with two multiplications; with four columns they would not. AVX-512, with 32 registers, has 24 of sums for as many.
pub const NR: usize = 6;
/// Rows whose panels are unpacked together. To broadcast a super-block of six columns costs about what two panels cost to
/// multiply with it, so 3% of 64; these take 180 KiB, and the smallest second-level cache of today has 256. Half as many took 6%
/// longer on Zen 3 (docs/matmul.md).
pub const MC: usize = 512;

/// Columns that are few, at most: at AVX2 they have loops of their own. More gain more by sharing what is broadcast than by memory's order
/// (docs/matmul.md).
pub const FEW: usize = 24;

/// A super-block of eight rows.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Panel {
    /// Element `i`: values `4 i` to `4 i + 3` of each row, unsigned.
    quants: [[u8; 32]; 64],
    /// Of each run of values that share one: the scale of each row, twice in 16 bits.
    scales: [[u32; MR]; 16],
    /// What multiplies two sums of activations, of 16 or 32 values as the scales: two numbers of 16 bits for each row.
    mins: [[u32; MR]; 8],
    d: [f32; MR],
    dmin: [f32; MR],
}

/// A super-block of `n` columns, every element in all lanes: for each four values, then for each two sums, `n` registers;
/// at last the scale of each column. Of formats with an offset there are no sums, but after each 16 values `n` registers of
/// what the offset takes from their products.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Columns {
    registers: [[u8; 32]; NR * (64 + 16)],
    dx: [f32; NR],
}

/// What a product needs beside its operands, on 64-byte boundaries: each level lays it out as it likes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Workspace {
    bytes: [u8; WORKSPACE],
}

/// Bytes of a [`Workspace`]: what the level takes that takes most.
const WORKSPACE: usize = 384 << 10;

impl core::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}

impl Workspace {
    /// Of 384 KiB: for the heap, one for each thread.
    pub const ZERO: Workspace = Workspace { bytes: [0; WORKSPACE] };

    /// Lines that hold one.
    pub const LINES: usize = WORKSPACE / size_of::<Line>();

    /// The first [`LINES`](Self::LINES) lines, and those behind them.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn split_from(lines: &mut [Line]) -> (&mut Workspace, &mut [Line]) {
        const { assert!(size_of::<Workspace>() == Self::LINES * size_of::<Line>()) };
        const { assert!(align_of::<Workspace>() <= align_of::<Line>()) };
        let (space, rest) = lines.split_at_mut(Self::LINES);
        // SAFETY: size and alignment are those of a workspace; any bytes are one, and any numbers are lines.
        (unsafe { &mut *space.as_mut_ptr().cast() }, rest)
    }

    /// The workspace as one level lays it out; what it holds does not matter.
    fn layout<T: Layout>(&mut self) -> &mut T {
        const { assert!(size_of::<T>() <= WORKSPACE && align_of::<T>() <= align_of::<Self>()) };
        // SAFETY: size and alignment are enough, and any bytes are a value of `T`.
        unsafe { &mut *self.bytes.as_mut_ptr().cast() }
    }
}

/// What a [`Workspace`] can be taken for.
///
/// # Safety
/// Any bytes are a value of the type.
unsafe trait Layout: Copy {}

/// Multiplies rows, a multiple of [`MR`], by columns.
///
/// # Safety
/// `w` holds a multiple of [`MR`] rows of `blocks` super-blocks, or of blocks of 32 that fill so many, the last but in part;
/// `x` a whole number of columns of `blocks` blocks, `out` an element for each of both, neither of none, and the CPU has the
/// features that the sibling enables.
pub(super) type Gemm =
    unsafe fn(w: &[u8], x: &[ActBlock], blocks: usize, space: &mut Workspace, out: &mut [f32]);

/// The siblings of one level that multiply (many columns, or one), or pack, by weight format: `None` where row dots serve, or rows stay as they are.
#[derive(Clone, Copy)]
pub(super) struct ByFormat<T> {
    pub q4_0: Option<Sibling<T>>,
    pub q4_1: Option<Sibling<T>>,
    pub q5_0: Option<Sibling<T>>,
    pub q5_1: Option<Sibling<T>>,
    pub q8_0: Option<Sibling<T>>,
    pub q2_k: Option<Sibling<T>>,
    pub q3_k: Option<Sibling<T>>,
    pub q4_k: Option<Sibling<T>>,
    pub q5_k: Option<Sibling<T>>,
    pub q6_k: Option<Sibling<T>>,
    pub q8_k: Option<Sibling<T>>,
}

pub(super) type Gemms = ByFormat<Gemm>;

impl<T: Copy> ByFormat<T> {
    /// No format has one.
    pub const NONE: Self = ByFormat {
        q4_0: None,
        q4_1: None,
        q5_0: None,
        q5_1: None,
        q8_0: None,
        q2_k: None,
        q3_k: None,
        q4_k: None,
        q5_k: None,
        q6_k: None,
        q8_k: None,
    };

    pub fn choices(self, operation: &'static str) -> impl Iterator<Item = Choice> {
        let quantised = Format::ALL.into_iter().filter(|format| format.activation().is_some());
        quantised.map(move |format| Choice {
            operation,
            format: Some(format),
            level: self.get(format).map(|sibling| sibling.level),
        })
    }

    pub fn get(&self, format: Format) -> Option<Sibling<T>> {
        match format {
            Format::Q4_0 => self.q4_0,
            Format::Q4_1 => self.q4_1,
            Format::Q5_0 => self.q5_0,
            Format::Q5_1 => self.q5_1,
            Format::Q8_0 => self.q8_0,
            Format::Q2K => self.q2_k,
            Format::Q3K => self.q3_k,
            Format::Q4K => self.q4_k,
            Format::Q5K => self.q5_k,
            Format::Q6K => self.q6_k,
            Format::Q8K => self.q8_k,
            _ => None,
        }
    }
}

impl super::Kernels {
    /// Whether [`gemm`](Self::gemm) serves rows of `format`.
    #[inline]
    pub fn has_gemm(&self, format: Format) -> bool {
        self.gemms.get(format).is_some()
    }

    /// `out[c * rows + r]` becomes the dot of row `r` and column `c`, by the [contract](self). `x` holds the columns, of `blocks`
    /// blocks each, one behind the other, and `w` the rows, of as many values, at any address; of the last blocks of columns of a
    /// format of 32, rows may lack some.
    ///
    /// # Panics
    /// If the rows are no multiple of [`MR`], the lengths disagree, or the level [has none](Self::has_gemm) of this
    /// format.
    pub fn gemm(
        &self,
        format: Format,
        w: &[u8],
        x: &[ActBlock],
        blocks: usize,
        space: &mut Workspace,
        out: &mut [f32],
    ) {
        let gemm = self.gemms.get(format).expect("gemm: the level has none of this format");
        let columns = x.len().checked_div(blocks).unwrap_or(0);
        assert_eq!(x.len(), columns * blocks, "gemm: activations in columns of {blocks} blocks");
        let rows = out.len().checked_div(columns).unwrap_or(0);
        assert_eq!(out.len(), columns * rows, "gemm: outputs of {columns} columns");
        assert!(rows.is_multiple_of(MR), "gemm: {rows} rows, no multiple of {MR}");
        if out.is_empty() {
            return;
        }
        let per_row = (w.len() / format.block_bytes()).checked_div(rows).unwrap_or(0);
        assert_eq!(w.len(), rows * per_row * format.block_bytes(), "gemm: bytes of {rows} rows");
        let values = per_row * format.block_len();
        assert_eq!(blocks, ActBlock::count(values), "gemm: activations of rows of {values}");
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (gemm.run)(w, x, blocks, space, out) }
    }
}
