//! The fused dequantise-dot: a quantised row times one or four rows of byte activations, or two by two, in integers.
//!
//! # Contract
//! Weights may be any bytes; activations are [`ActBlock`]s with quants in `-127..=127` (the domain that
//! [`quantize`](super::quantize) guarantees). `w` are the integer quants of the weights, `x` those of the
//! activations. f16 scales are widened exactly; `*`, `+` and conversions to f32 are rounded to nearest
//! even, one at a time, and `fma` once.
//!
//! **K formats** (super-blocks of 256, activations [`ActScale::Per256`](crate::formats::ActScale)). With the sub-blocks' integer scales `s`
//! and minimums `m`, all of this exact in i32:
//!
//! ```text
//! isum = Σ_j s[j] · Σ_{i in j} w[i]·x[i]        msum = Σ_j m[j] · Σ_{i in j} x[i]
//! acc = fma(d·dx, isum, acc)                    for each super-block in order, from acc = +0; then,
//! acc = fma(-(dmin·dx), msum, acc)              for formats with minimums (Q2_K, Q4_K, Q5_K)
//! ```
//!
//! **Formats of 32** (activations [`ActScale::Per32`](crate::formats::ActScale)). Eight virtual lanes, from +0; block `b` belongs to
//! lane `b mod 8`, and each lane takes its blocks in order:
//!
//! ```text
//! lane = fma(d·dx, isum, lane)                  isum = Σ w[i]·x[i], exact in i32; then,
//! lane = fma(m·dx, xsum, lane)                  for Q4_1 and Q5_1: xsum = Σ x[i]
//! ```
//!
//! Lanes without a block are left alone. The result is `((l0+l1)+(l2+l3)) + ((l4+l5)+(l6+l7))`. A row-wise kernel holds
//! the lanes in one register; one with interleaved rows takes the blocks of lane 0, then those of lane 1, and
//! so on, and holds one lane of each row at a time. `benches/block32_order.rs` compares this with other orders.
//!
//! The sums are exact, so any order of the integer work serves; the order of the few f32 operations is
//! fixed, and the same for one column and four, one row and two. A scale of NaN or infinity propagates.

use super::Kernels;
use super::sibling::{Choice, Sibling};
use crate::formats::{ActBlock, Format};

pub(super) mod generic;
pub(super) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(asm_x86_64)]
pub(super) mod avx2_asm;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512vnni;
#[cfg(target_arch = "x86_64")]
pub(super) mod avxvnni;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
#[cfg(asm_aarch64)]
pub(super) mod neon_asm;

/// One row times one column.
///
/// # Safety
/// `row` is a whole number of blocks of the sibling's format, `x` holds as many values (rounded up to
/// 256), and the CPU has the features that the sibling enables.
pub(super) type Dot1 = unsafe fn(row: &[u8], x: &[ActBlock]) -> f32;

/// One row times four columns: the bits of four [`Dot1`].
///
/// # Safety
/// As for [`Dot1`], for each column.
pub(super) type Dot4 = unsafe fn(row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4];

/// Two rows times two columns: the bits of four [`Dot1`], those of the first row first.
///
/// # Safety
/// As for [`Dot1`], for each row and column.
pub(super) type Dot2x2 = unsafe fn(rows: [&[u8]; 2], x: [&[ActBlock]; 2]) -> [[f32; 2]; 2];

/// The siblings of one format.
#[derive(Clone, Copy)]
pub(super) struct RowDot {
    pub x1: Sibling<Dot1>,
    pub x4: Sibling<Dot4>,
}

/// The siblings of one level, by weight format.
#[derive(Clone, Copy)]
pub(super) struct RowDots {
    pub q4_0: RowDot,
    pub q4_1: RowDot,
    pub q5_0: RowDot,
    pub q5_1: RowDot,
    pub q8_0: RowDot,
    pub q2_k: RowDot,
    pub q3_k: RowDot,
    pub q4_k: RowDot,
    pub q5_k: RowDot,
    pub q6_k: RowDot,
    pub q8_k: RowDot,
}

/// The siblings of one level for pairs of rows, by weight format: `None` where four single dots serve.
#[derive(Clone, Copy)]
pub(super) struct RowPairs {
    pub q8_0: Option<Sibling<Dot2x2>>,
    pub q4_k: Option<Sibling<Dot2x2>>,
    pub q5_k: Option<Sibling<Dot2x2>>,
    pub q6_k: Option<Sibling<Dot2x2>>,
}

impl RowPairs {
    /// No format has one.
    pub const NONE: RowPairs = RowPairs { q8_0: None, q4_k: None, q5_k: None, q6_k: None };

    pub fn choices(self) -> impl Iterator<Item = Choice> {
        let quantised = Format::ALL.into_iter().filter(|format| format.activation().is_some());
        quantised.map(move |format| Choice {
            operation: "qdot2x2",
            format: Some(format),
            level: self.get(format).map(|pair| pair.level),
        })
    }

    fn get(&self, format: Format) -> Option<Sibling<Dot2x2>> {
        match format {
            Format::Q8_0 => self.q8_0,
            Format::Q4K => self.q4_k,
            Format::Q5K => self.q5_k,
            Format::Q6K => self.q6_k,
            _ => None,
        }
    }
}

impl RowDots {
    #[inline]
    fn get(&self, format: Format) -> &RowDot {
        match format {
            Format::Q4_0 => &self.q4_0,
            Format::Q4_1 => &self.q4_1,
            Format::Q5_0 => &self.q5_0,
            Format::Q5_1 => &self.q5_1,
            Format::Q8_0 => &self.q8_0,
            Format::Q2K => &self.q2_k,
            Format::Q3K => &self.q3_k,
            Format::Q4K => &self.q4_k,
            Format::Q5K => &self.q5_k,
            Format::Q6K => &self.q6_k,
            Format::Q8K => &self.q8_k,
            Format::F32 | Format::F16 | Format::Bf16 => panic!("qdot: {format} is not quantised"),
        }
    }
}

impl RowDots {
    pub fn choices(self) -> impl Iterator<Item = Choice> {
        let quantised = Format::ALL.into_iter().filter(|format| format.activation().is_some());
        quantised.flat_map(move |format| {
            let RowDot { x1, x4 } = *self.get(format);
            [("qdot", x1.level), ("qdot4", x4.level)]
                .map(|(operation, level)| Choice::new(operation, Some(format), level))
        })
    }
}

impl Kernels {
    /// One quantised row times one row of activations, by the [contract](self). `row` may lie at any
    /// address.
    ///
    /// # Panics
    /// If `format` is not quantised, or the lengths disagree.
    ///
    /// ```
    /// use quintile::{formats::{ActBlock, ActScale, Format}, isa::Isa, kernels::Kernels};
    ///
    /// let kernels = Kernels::new(Isa::detect());
    /// let mut x = [ActBlock::ZERO];
    /// kernels.quantize(ActScale::Per32, &[1.0; 32], &mut x);
    /// // One block of Q8_0: the scale 1.0 as f16, then 32 quants.
    /// let mut row = vec![0x00, 0x3c];
    /// row.extend([2; 32]);
    /// assert_eq!(kernels.qdot(Format::Q8_0, &row, &x), 64.0);
    /// ```
    #[inline]
    pub fn qdot(&self, format: Format, row: &[u8], x: &[ActBlock]) -> f32 {
        check(format, row, x);
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.row_dots.get(format).x1.run)(row, x) }
    }

    /// One quantised row times four rows of activations: the bits of four calls of
    /// [`qdot`](Self::qdot), for less than four times the time.
    ///
    /// # Panics
    /// As [`qdot`](Self::qdot).
    #[inline]
    pub fn qdot4(&self, format: Format, row: &[u8], x: [&[ActBlock]; 4]) -> [f32; 4] {
        x.iter().for_each(|x| check(format, row, x));
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe { (self.row_dots.get(format).x4.run)(row, x) }
    }

    /// Two quantised rows times two rows of activations: element `[r][c]` has the bits of
    /// [`qdot`](Self::qdot) of row `r` and column `c`. Where the CPU multiplies small matrices of bytes (aarch64 with
    /// i8mm), less than four times its time for Q8_0, Q4_K, Q5_K and Q6_K; elsewhere, four calls of it.
    ///
    /// # Panics
    /// As [`qdot`](Self::qdot).
    ///
    /// ```
    /// use quintile::{formats::{ActBlock, ActScale, Format}, isa::Isa, kernels::Kernels};
    ///
    /// let kernels = Kernels::new(Isa::detect());
    /// let mut x = [[ActBlock::ZERO]; 2];
    /// kernels.quantize(ActScale::Per32, &[1.0; 32], &mut x[0]);
    /// kernels.quantize(ActScale::Per32, &[-1.0; 32], &mut x[1]);
    /// // One block of Q8_0: the scale 1.0 as f16, then 32 quants.
    /// let rows = [2u8, 3].map(|q| [&[0x00, 0x3c][..], &[q; 32]].concat());
    /// let out = kernels.qdot2x2(Format::Q8_0, [&rows[0], &rows[1]], [&x[0], &x[1]]);
    /// assert_eq!(out, [[64.0, -64.0], [96.0, -96.0]]);
    /// ```
    #[inline]
    pub fn qdot2x2(&self, format: Format, rows: [&[u8]; 2], x: [&[ActBlock]; 2]) -> [[f32; 2]; 2] {
        rows.iter().for_each(|row| x.iter().for_each(|x| check(format, row, x)));
        // SAFETY: the lengths agree; `Kernels` is made from an `Isa`, which proves the features.
        unsafe {
            match self.row_pairs.get(format) {
                Some(pair) => (pair.run)(rows, x),
                None => rows.map(|row| x.map(|x| (self.row_dots.get(format).x1.run)(row, x))),
            }
        }
    }
}

#[inline]
fn check(format: Format, row: &[u8], x: &[ActBlock]) {
    let blocks = row.len() / format.block_bytes();
    assert_eq!(row.len() % format.block_bytes(), 0, "qdot: bytes of a {format} row");
    assert_eq!(x.len(), ActBlock::count(blocks * format.block_len()), "qdot: activation blocks");
}

/// Bounds that the integer kernels rely on, by format: proven when this compiles.
mod bounds {
    /// Largest magnitude of an activation quant.
    const X: i32 = 127;
    /// Largest sum of a pair of products of unsigned `bits`-bit weights, as `vpmaddubsw` forms it.
    const fn pair(bits: u32) -> i32 {
        2 * ((1 << bits) - 1) * X
    }
    const _: () = {
        // How many pair sums of 4, 5 and 6-bit weights add up in i16.
        assert!(8 * pair(4) <= i16::MAX as i32);
        assert!(4 * pair(5) <= i16::MAX as i32);
        assert!(2 * pair(6) <= i16::MAX as i32);
        // Four of weights that lie 32 below their quants, and what is taken from them.
        assert!(8 * 32 * X <= i16::MAX as i32);
        // Of assembly where every other pair of bits stays four times itself, its third bit with it.
        assert!(8 * 4 * pair(2) <= i16::MAX as i32);
        assert!(4 * 4 * pair(3) <= i16::MAX as i32);
        assert!(4 * 256 * (7 + 4) * X as i64 * 32 <= i32::MAX as i64);
        // Q8_0 multiplies |w| <= 128 by sign(w)·x.
        assert!(2 * 128 * X <= i16::MAX as i32);
        // A 32-bit sum of a super-block: 6-bit scales and minimums, or Q6_K's signed bytes.
        assert!(256 * 31 * X as i64 * 63 <= i32::MAX as i64);
        assert!(256 * 32 * X as i64 * 128 <= i32::MAX as i64);
        assert!(256 * X as i64 * 63 <= i32::MAX as i64);
        // Q6_K with its quants times four, as the assembly with `sdot` and `smmla` has them.
        assert!(4 * 256 * 32 * X as i64 * 128 <= i32::MAX as i64);
        // Four products of 6-bit weights in 16 bits, as the pulp sibling adds them.
        assert!(2 * pair(6) <= i16::MAX as i32);
        // A sum of 32 activation quants fits i16, as does one of 16.
        assert!(32 * X <= i16::MAX as i32);
    };
}
