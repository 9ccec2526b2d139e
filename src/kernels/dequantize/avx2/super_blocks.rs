//! Super-blocks, 64 values at a time.

use core::arch::x86_64::*;

use super::{in_halves, splat_f16, splat_top_byte, spread};
use crate::formats::{Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, BlockQ8K};
use crate::kernels::qdot::avx2::super_blocks::{load, q3_k_scales, scale_min_bytes, two_bits};

/// A super-block whose values come in registers.
pub trait Values256: Block {
    /// What all its values need.
    type Scales;

    /// Prepares the scales of the block.
    ///
    /// # Safety
    /// To be called where AVX2, FMA and F16C are enabled.
    unsafe fn scales(&self) -> Self::Scales;

    /// The values `64 g` to `64 g + 63`, for `g < 4`, in order.
    ///
    /// # Safety
    /// As for [`scales`](Self::scales), of this block.
    unsafe fn values(&self, scales: &Self::Scales, g: usize) -> [__m256; 8];
}

/// `d · scale · 2⁻²⁴` and `dmin · min` of `N` sub-blocks: in memory, where a broadcast is a load.
pub struct Scales<const N: usize> {
    d: [f32; N],
    m: [f32; N],
}

/// Values from two registers of 32 quants in the order of `in_halves`, of the sub-blocks that hold the
/// values `64 g` and on.
#[inline(always)]
unsafe fn scaled<const N: usize, const MINS: bool>(
    quants: [__m256i; 2],
    scales: &Scales<N>,
    g: usize,
) -> [__m256; 8] {
    // SAFETY: called by the methods below only, whose callers promise the features.
    unsafe {
        let mut out = [_mm256_setzero_ps(); 8];
        for (k, out) in out.iter_mut().enumerate() {
            let j = (64 * g + 8 * k) * N / 256;
            let (d, q) = (_mm256_set1_ps(scales.d[j]), spread(quants[k / 4], k % 4));
            *out = if MINS {
                _mm256_fmsub_ps(d, q, _mm256_set1_ps(scales.m[j]))
            } else {
                _mm256_mul_ps(d, q)
            };
        }
        out
    }
}

/// Signed bytes times `d`: eight of them in each half.
#[inline]
#[target_feature(enable = "avx2")]
fn products(bytes: __m128i, d: __m256) -> [f32; 16] {
    let mut out = [0.0; 16];
    let high = _mm_unpackhi_epi64(bytes, bytes);
    for (out, bytes) in out.as_chunks_mut::<8>().0.iter_mut().zip([bytes, high]) {
        let products = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
        // SAFETY: the array holds eight f32; the store takes any address.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), products) }
    }
    out
}

/// The first or the second half.
#[inline(always)]
fn half<const I: usize>(products: [f32; 16]) -> [f32; 8] {
    products.as_chunks::<8>().0[I]
}

/// The scales and minimums of Q4_K and Q5_K.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn scales_k4(d: [u8; 2], dmin: [u8; 2], packed: &[u8; 12]) -> Scales<8> {
    let bytes = scale_min_bytes(packed);
    Scales {
        d: half::<0>(products(bytes, splat_top_byte(d))),
        m: half::<1>(products(bytes, splat_f16(dmin))),
    }
}

impl Values256 for BlockQ2K {
    type Scales = Scales<16>;

    #[inline(always)]
    unsafe fn scales(&self) -> Scales<16> {
        // SAFETY: the caller promises the features; `scales` are 16 bytes.
        unsafe {
            let both = _mm_loadu_si128(self.scales.as_ptr().cast());
            let nibble = _mm_set1_epi8(0x0f);
            let mins = _mm_and_si128(_mm_srli_epi16::<4>(both), nibble);
            Scales {
                d: products(_mm_and_si128(both, nibble), splat_top_byte(self.d)),
                m: products(mins, splat_f16(self.dmin)),
            }
        }
    }

    #[inline(always)]
    unsafe fn values(&self, scales: &Scales<16>, g: usize) -> [__m256; 8] {
        // SAFETY: the caller promises the features.
        unsafe {
            let fields = two_bits(in_halves(load(&self.qs.as_chunks::<32>().0[g / 2])));
            scaled::<16, true>([fields[g % 2 * 2], fields[g % 2 * 2 + 1]], scales, g)
        }
    }
}

impl Values256 for BlockQ3K {
    type Scales = Scales<16>;

    #[inline(always)]
    unsafe fn scales(&self) -> Scales<16> {
        // SAFETY: the caller promises the features.
        unsafe {
            Scales { d: products(q3_k_scales(&self.scales), splat_top_byte(self.d)), m: [0.0; 16] }
        }
    }

    #[inline(always)]
    unsafe fn values(&self, scales: &Scales<16>, g: usize) -> [__m256; 8] {
        // SAFETY: the caller promises the features.
        unsafe {
            let fields = two_bits(in_halves(load(&self.qs.as_chunks::<32>().0[g / 2])));
            // The third bits of sub-block `2 g` and the next: 4 is taken away where they are clear.
            let third = _mm256_srl_epi16(in_halves(load(&self.hmask)), shift(2 * g));
            let four = _mm256_set1_epi8(4);
            let minus = [_mm256_slli_epi16::<2>(third), _mm256_slli_epi16::<1>(third)];
            let mut quants = [fields[g % 2 * 2], fields[g % 2 * 2 + 1]];
            for (q, minus) in quants.iter_mut().zip(minus) {
                *q = _mm256_sub_epi8(*q, _mm256_andnot_si256(minus, four));
            }
            scaled::<16, false>(quants, scales, g)
        }
    }
}

/// The count of a shift.
#[inline]
#[target_feature(enable = "avx2")]
fn shift(bits: usize) -> __m128i {
    _mm_cvtsi32_si128(bits as i32)
}

impl Values256 for BlockQ4K {
    type Scales = Scales<8>;

    #[inline(always)]
    unsafe fn scales(&self) -> Scales<8> {
        // SAFETY: the caller promises the features.
        unsafe { scales_k4(self.d, self.dmin, &self.scales) }
    }

    #[inline(always)]
    unsafe fn values(&self, scales: &Scales<8>, g: usize) -> [__m256; 8] {
        // SAFETY: the caller promises the features.
        unsafe {
            let nibble = _mm256_set1_epi8(0x0f);
            let qs = in_halves(load(&self.qs.as_chunks::<32>().0[g]));
            let low = _mm256_and_si256(qs, nibble);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(qs), nibble);
            scaled::<8, true>([low, high], scales, g)
        }
    }
}

impl Values256 for BlockQ5K {
    type Scales = Scales<8>;

    #[inline(always)]
    unsafe fn scales(&self) -> Scales<8> {
        // SAFETY: the caller promises the features.
        unsafe { scales_k4(self.d, self.dmin, &self.scales) }
    }

    #[inline(always)]
    unsafe fn values(&self, scales: &Scales<8>, g: usize) -> [__m256; 8] {
        // SAFETY: the caller promises the features.
        unsafe {
            let nibble = _mm256_set1_epi8(0x0f);
            let bit_4 = _mm256_set1_epi8(0x10);
            let qs = in_halves(load(&self.qs.as_chunks::<32>().0[g]));
            // Bit 0 of a byte is now the fifth bit of sub-block `2 g`, bit 1 that of the next. The shifts are of
            // 16-bit words; what crosses from the other byte is masked away.
            let qh = _mm256_srl_epi16(in_halves(load(&self.qh)), shift(2 * g));
            let fifth_low = _mm256_and_si256(_mm256_slli_epi16::<4>(qh), bit_4);
            let fifth_high = _mm256_and_si256(_mm256_slli_epi16::<3>(qh), bit_4);
            let low = _mm256_or_si256(_mm256_and_si256(qs, nibble), fifth_low);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(qs), nibble);
            scaled::<8, true>([low, _mm256_or_si256(high, fifth_high)], scales, g)
        }
    }
}

impl Values256 for BlockQ6K {
    type Scales = Scales<16>;

    #[inline(always)]
    unsafe fn scales(&self) -> Scales<16> {
        // SAFETY: the caller promises the features; `scales` are 16 bytes.
        unsafe {
            let scales = _mm_loadu_si128(self.scales.as_ptr().cast());
            Scales { d: products(scales, splat_top_byte(self.d)), m: [0.0; 16] }
        }
    }

    #[inline(always)]
    unsafe fn values(&self, scales: &Scales<16>, g: usize) -> [__m256; 8] {
        // SAFETY: the caller promises the features.
        unsafe {
            let nibble = _mm256_set1_epi8(0x0f);
            let bits_4_5 = _mm256_set1_epi8(0x30);
            let offset = _mm256_set1_epi8(32);
            let top = _mm256_srl_epi16(
                in_halves(load(&self.qh.as_chunks::<32>().0[g / 2])),
                shift(g % 2 * 4),
            );
            let tops = [_mm256_slli_epi16::<4>(top), _mm256_slli_epi16::<2>(top)];
            let mut quants = tops;
            for (i, q) in quants.iter_mut().enumerate() {
                let low = in_halves(load(&self.ql.as_chunks::<32>().0[g / 2 * 2 + i]));
                let low = _mm256_and_si256(_mm256_srl_epi16(low, shift(g % 2 * 4)), nibble);
                let all = _mm256_or_si256(low, _mm256_and_si256(*q, bits_4_5));
                *q = _mm256_sub_epi8(all, offset);
            }
            scaled::<16, false>(quants, scales, g)
        }
    }
}

impl Values256 for BlockQ8K {
    type Scales = f32;

    #[inline(always)]
    unsafe fn scales(&self) -> f32 {
        f32::from_le_bytes(self.d)
    }

    #[inline(always)]
    unsafe fn values(&self, d: &f32, g: usize) -> [__m256; 8] {
        // SAFETY: the caller promises the features; each load reads 8 of the 256 quants.
        unsafe {
            let d = _mm256_set1_ps(*d);
            let mut out = [d; 8];
            for (out, q) in out.iter_mut().zip(self.qs.as_chunks::<64>().0[g].as_chunks::<8>().0) {
                let q = _mm256_cvtepi8_epi32(_mm_loadl_epi64(q.as_ptr().cast()));
                *out = _mm256_mul_ps(d, _mm256_cvtepi32_ps(q));
            }
            out
        }
    }
}
