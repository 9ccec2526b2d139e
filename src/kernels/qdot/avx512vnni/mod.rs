//! AVX-512 with VNNI: 64 weights a register, in the order of the activations, times these by `vpdpbusd`.

pub(in crate::kernels) mod blocks_of_32;
pub(in crate::kernels) mod super_blocks;

use core::arch::x86_64::*;

use super::{RowDot, RowDots};
use crate::formats::ActBlock;
use crate::kernels::gemv::Gemv;
use crate::kernels::sibling::Sibling;

/// The siblings of a format.
pub struct Rows {
    pub dot: RowDot,
    pub gemv: Sibling<Gemv>,
}

pub const ROW_DOTS: RowDots = RowDots {
    q4_0: blocks_of_32::Q4_0.dot,
    q4_1: blocks_of_32::Q4_1.dot,
    q5_0: blocks_of_32::Q5_0.dot,
    q5_1: blocks_of_32::Q5_1.dot,
    q8_0: blocks_of_32::Q8_0.dot,
    q2_k: super_blocks::Q2_K.dot,
    q3_k: super_blocks::Q3_K.dot,
    q4_k: super_blocks::Q4_K.dot,
    q5_k: super_blocks::Q5_K.dot,
    q6_k: super_blocks::Q6_K.dot,
    q8_k: super_blocks::Q8_K.dot,
};

/// The sixteen sums of four products each of weights (unsigned) and activations `64 t` to `64 t + 63`.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn products(weights: __m512i, x: &ActBlock, t: usize) -> __m512i {
    // SAFETY: `t < 4`, so the 64 bytes lie in `qs`; `ActBlock` is aligned to 64.
    let x = unsafe { _mm512_load_si512(x.qs[64 * t..64 * (t + 1)].as_ptr().cast()) };
    _mm512_dpbusd_epi32(_mm512_setzero_si512(), weights, x)
}

/// The last line of a block of activations: its sixteen sums, and its scales.
#[inline]
#[target_feature(enable = "avx512f")]
fn tail(x: &ActBlock) -> __m512i {
    const { assert!(size_of::<ActBlock>() == 320 && core::mem::offset_of!(ActBlock, bsums) == 256) };
    // SAFETY: the block ends 64 bytes behind the offset of `bsums`, and is aligned to 64.
    unsafe { _mm512_load_si512(core::ptr::from_ref(x).cast::<u8>().add(256).cast()) }
}

/// The sums of two blocks of activations, given their last lines.
#[inline]
#[target_feature(enable = "avx512f")]
fn bsums(first: __m512i, second: __m512i) -> __m512i {
    _mm512_shuffle_i64x2::<0b01_00_01_00>(first, second)
}

/// 32 bytes, twice.
#[inline]
#[target_feature(enable = "avx512f")]
fn twice(bytes: &[u8; 32]) -> __m512i {
    // SAFETY: the array holds 32 bytes; the load takes any address.
    _mm512_broadcast_i64x4(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
}

/// Two times 32 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(low: &[i8; 32], high: &[i8; 32]) -> __m512i {
    // SAFETY: the arrays hold 32 bytes; the loads take any address.
    let [low, high] = [low, high].map(|v| unsafe { _mm256_loadu_si256(v.as_ptr().cast()) });
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

/// `low` in the lower eight lanes, `high` in the upper eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn by_half(low: i32, high: i32) -> __m512i {
    let (l, h) = (low, high);
    _mm512_setr_epi32(l, l, l, l, l, l, l, l, h, h, h, h, h, h, h, h)
}

/// The bits of `a` where `mask` is set, those of `b` where it is clear.
#[inline]
#[target_feature(enable = "avx512f")]
fn select(mask: __m512i, a: __m512i, b: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xe4>(a, b, mask)
}
