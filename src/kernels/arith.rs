//! The few operations that hardware offers and the definitions need in one exact form.
//!
//! A body written over [`Arith`] is the definition when instantiated with [`Exact`], and a fast
//! sibling when instantiated with [`Fast`] inside a function that enables the CPU's features: the
//! compiler may vectorise it, but never reorder or contract its floating-point operations.

use half::f16;

/// A fused multiply-add, and f16 widened.
pub(crate) trait Arith: Copy {
    /// `a * b + c`, rounded once.
    fn fma(a: f32, b: f32, c: f32) -> f32;
    /// The values of eight f16 bit patterns: exact.
    fn widen(bits: [u16; 8]) -> [f32; 8];
}

/// No feature assumed: the same bits on any CPU, in software where hardware has no such operation.
#[derive(Clone, Copy)]
pub(crate) struct Exact;

impl Arith for Exact {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        // Hardware's; or Miri's own, which it has not to interpret step by step.
        #[cfg(all(any(target_arch = "aarch64", miri), feature = "std"))]
        return a.mul_add(b, c);
        #[cfg(not(all(any(target_arch = "aarch64", miri), feature = "std")))]
        return libm::fmaf(a, b, c);
    }

    #[inline(always)]
    fn widen(bits: [u16; 8]) -> [f32; 8] {
        bits.map(|b| f16::from_bits(b).to_f32_const())
    }
}

/// The instructions of AVX2, FMA and F16C.
///
/// To be used inside functions that enable those features only: elsewhere the intrinsics would not
/// be inlined, and on a CPU without them be undefined. Hence it is private to the kernels.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Fast;

#[cfg(target_arch = "x86_64")]
impl Arith for Fast {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        use core::arch::x86_64::{_mm_cvtss_f32, _mm_fmadd_ss, _mm_set_ss};
        // SAFETY: `Fast` is named only in functions that enable FMA.
        unsafe { _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c))) }
    }

    #[inline(always)]
    fn widen(bits: [u16; 8]) -> [f32; 8] {
        use core::arch::x86_64::{__m128i, __m256, _mm256_cvtph_ps};
        // SAFETY: `Fast` is named only in functions that enable F16C; the arrays and the vectors
        // have the same size, and any bits are a value of either.
        unsafe {
            let bits = core::mem::transmute::<[u16; 8], __m128i>(bits);
            core::mem::transmute::<__m256, [f32; 8]>(_mm256_cvtph_ps(bits))
        }
    }
}

/// The instructions of Advanced SIMD, which every aarch64 CPU has.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
pub(crate) struct Fast;

#[cfg(target_arch = "aarch64")]
impl Arith for Fast {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        use core::arch::aarch64::{vdup_n_f32, vfma_f32, vget_lane_f32};
        // SAFETY: aarch64 has Advanced SIMD.
        unsafe { vget_lane_f32::<0>(vfma_f32(vdup_n_f32(c), vdup_n_f32(a), vdup_n_f32(b))) }
    }

    #[inline(always)]
    fn widen(bits: [u16; 8]) -> [f32; 8] {
        use core::arch::aarch64::{float32x4_t, uint16x8_t};
        // SAFETY: aarch64 has Advanced SIMD; the arrays and the vectors have the same size, and any bits are a
        // value of either.
        unsafe {
            let wide = widen_f16(core::mem::transmute::<[u16; 8], uint16x8_t>(bits));
            core::mem::transmute::<[float32x4_t; 2], [f32; 8]>(wide)
        }
    }
}

/// The values of eight f16. The intrinsic is not stable.
#[cfg(target_arch = "aarch64")]
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn widen_f16(
    bits: core::arch::aarch64::uint16x8_t,
) -> [core::arch::aarch64::float32x4_t; 2] {
    let (low, high);
    // SAFETY: `fcvtl` and `fcvtl2` read and write the registers they name.
    unsafe {
        core::arch::asm!(
            "fcvtl {low:v}.4s, {bits:v}.4h",
            "fcvtl2 {high:v}.4s, {bits:v}.8h",
            bits = in(vreg) bits,
            low = out(vreg) low,
            high = lateout(vreg) high,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    [low, high]
}
