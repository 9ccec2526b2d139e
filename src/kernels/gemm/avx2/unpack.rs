//! Super-blocks of a row, unpacked: unsigned bytes, and what they are multiplied by.

use core::arch::x86_64::*;

use crate::formats::{
    Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, f16_value, q3_k_scale_words,
    scale_min_words,
};
use crate::kernels::qdot::avx2::super_blocks::{load, two_bits};

/// A super-block of one row, unpacked.
pub struct Unpacked {
    /// 32 values each, unsigned.
    pub quants: [__m256i; 8],
    /// Of each run of values that share one.
    pub scales: [i8; 16],
    /// What multiplies each sum of 16 activations, or of 32 where 32 values share a scale; of formats with an offset zeros.
    pub mins: [i16; 16],
    pub d: f32,
    pub dmin: f32,
}

/// A format whose rows can be interleaved.
pub trait Interleave: Block {
    /// Values that share a scale: 16 or 32.
    const SHARED: usize;
    /// What `quants` are above their weights; 0 where there are minimums instead.
    const OFFSET: i16;

    /// # Safety
    /// The caller enables AVX2 and F16C.
    unsafe fn unpack(&self) -> Unpacked;
}

/// Of Q4_K and Q5_K: eight of each.
fn scales_and_mins(packed: &[u8; 12]) -> ([i8; 16], [i16; 16]) {
    let [scales, mins] = scale_min_words(packed).map(u64::to_le_bytes);
    (
        core::array::from_fn(|j| scales[j % 8] as i8),
        core::array::from_fn(|j| i16::from(mins[j % 8])),
    )
}

/// The low nibbles of 32 bytes, then their high ones.
#[inline]
#[target_feature(enable = "avx2")]
fn nibbles(bytes: &[u8; 32]) -> [__m256i; 2] {
    let (bytes, nibble) = (load(bytes), _mm256_set1_epi8(0x0f));
    [_mm256_and_si256(bytes, nibble), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble)]
}

/// Bytes shifted to the right, or by a negative count to the left, and masked.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(bytes: __m256i, right: i32, mask: i8) -> __m256i {
    // Of words of 16 bits: what crosses from the other byte is masked away.
    let moved = if right >= 0 {
        _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(right))
    } else {
        _mm256_sll_epi16(bytes, _mm_cvtsi32_si128(-right))
    };
    _mm256_and_si256(moved, _mm256_set1_epi8(mask))
}

impl Interleave for BlockQ4K {
    const SHARED: usize = 32;
    const OFFSET: i16 = 0;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let (scales, mins) = scales_and_mins(&self.scales);
        let mut quants = [_mm256_setzero_si256(); 8];
        for (quants, qs) in quants.as_chunks_mut().0.iter_mut().zip(self.qs.as_chunks().0) {
            *quants = nibbles(qs);
        }
        Unpacked { quants, scales, mins, d: f16_value(self.d), dmin: f16_value(self.dmin) }
    }
}

impl Interleave for BlockQ5K {
    const SHARED: usize = 32;
    const OFFSET: i16 = 0;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let (scales, mins) = scales_and_mins(&self.scales);
        let qh = load(&self.qh);
        let mut quants = [_mm256_setzero_si256(); 8];
        for (j, quants) in quants.iter_mut().enumerate() {
            let low = nibbles(&self.qs.as_chunks().0[j / 2])[j % 2];
            *quants = _mm256_or_si256(low, bits(qh, j as i32 - 4, 0x10));
        }
        Unpacked { quants, scales, mins, d: f16_value(self.d), dmin: f16_value(self.dmin) }
    }
}

impl Interleave for BlockQ6K {
    const SHARED: usize = 16;
    const OFFSET: i16 = 32;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let mut quants = [_mm256_setzero_si256(); 8];
        for (j, quants) in quants.iter_mut().enumerate() {
            let (half, b) = (j / 4, j % 4);
            let low = nibbles(&self.ql.as_chunks().0[2 * half + b % 2])[b / 2];
            let qh = load(&self.qh.as_chunks().0[half]);
            *quants = _mm256_or_si256(low, bits(qh, 2 * b as i32 - 4, 0x30));
        }
        Unpacked { quants, scales: self.scales, mins: [0; 16], d: f16_value(self.d), dmin: 0.0 }
    }
}

impl Interleave for BlockQ2K {
    const SHARED: usize = 16;
    const OFFSET: i16 = 0;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let [a, b] =
            [&self.qs.as_chunks().0[0], &self.qs.as_chunks().0[1]].map(|q| two_bits(load(q)));
        Unpacked {
            quants: [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]],
            scales: self.scales.map(|s| (s & 15) as i8),
            mins: self.scales.map(|s| i16::from(s >> 4)),
            d: f16_value(self.d),
            dmin: f16_value(self.dmin),
        }
    }
}

impl Interleave for BlockQ3K {
    const SHARED: usize = 16;
    const OFFSET: i16 = 4;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let [a, b] =
            [&self.qs.as_chunks().0[0], &self.qs.as_chunks().0[1]].map(|q| two_bits(load(q)));
        let mut quants = [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]];
        let hmask = load(&self.hmask);
        for (j, quants) in quants.iter_mut().enumerate() {
            *quants = _mm256_or_si256(*quants, bits(hmask, j as i32 - 2, 4));
        }
        let words = q3_k_scale_words(&self.scales).map(u32::to_le_bytes);
        let scales: [i8; 16] = core::array::from_fn(|j| words[j / 4][j % 4] as i8 - 32);
        Unpacked { quants, scales, mins: [0; 16], d: f16_value(self.d), dmin: 0.0 }
    }
}
