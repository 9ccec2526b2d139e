//! Blocks of a row, unpacked.

use core::arch::x86_64::*;

use crate::formats::{Block, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0};
use crate::kernels::qdot::avx2::{blocks_of_32, super_blocks};

/// A format whose rows can be interleaved.
pub trait Interleave: Block {
    /// Whether quants have a sign, and all eight bits. Panels then hold which are negative, magnitudes, and, behind the scales, the
    /// magnitudes of the negative ones added up.
    const SIGNED: bool = false;
    /// How many sums of two products of neighbours fit 16 bits: 8 or 4.
    const DEPTH: usize = 8;
    /// By how much quants are stored above their weights.
    const OFFSET: i16 = 0;
    /// Whether there is a minimum beside the scale.
    const HAS_MINS: bool = false;
    /// Of a block of eight rows: registers of quants and magnitudes, before the scales.
    const QUANTS: usize = if Self::SIGNED { 16 } else { 8 };
    /// And all of them.
    const REGISTERS: usize = Self::QUANTS + if Self::SIGNED || Self::HAS_MINS { 2 } else { 1 };

    /// # Safety
    /// The caller enables AVX2.
    unsafe fn quants(&self) -> __m256i;
    fn d(&self) -> [u8; 2];
    fn m(&self) -> [u8; 2] {
        [0; 2]
    }
}

impl Interleave for BlockQ4_0 {
    const OFFSET: i16 = 8;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(&self) -> __m256i {
        blocks_of_32::q4_0(self)
    }
    fn d(&self) -> [u8; 2] {
        self.d
    }
}

impl Interleave for BlockQ4_1 {
    const HAS_MINS: bool = true;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(&self) -> __m256i {
        blocks_of_32::q4_1(self)
    }
    fn d(&self) -> [u8; 2] {
        self.d
    }
    fn m(&self) -> [u8; 2] {
        self.m
    }
}

impl Interleave for BlockQ5_0 {
    const DEPTH: usize = 4;
    const OFFSET: i16 = 16;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(&self) -> __m256i {
        blocks_of_32::q5_0(self)
    }
    fn d(&self) -> [u8; 2] {
        self.d
    }
}

impl Interleave for BlockQ5_1 {
    const DEPTH: usize = 4;
    const HAS_MINS: bool = true;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(&self) -> __m256i {
        blocks_of_32::q5_1(self)
    }
    fn d(&self) -> [u8; 2] {
        self.d
    }
    fn m(&self) -> [u8; 2] {
        self.m
    }
}

impl Interleave for BlockQ8_0 {
    const SIGNED: bool = true;
    const DEPTH: usize = 1;
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn quants(&self) -> __m256i {
        super_blocks::load(&self.qs.map(|q| q as u8))
    }
    fn d(&self) -> [u8; 2] {
        self.d
    }
}
