//! AVX-512: the 64 lanes are four zmm registers.
//!
//! Two loads of 64 bytes feed each fused multiply-add. Two load ports allow one of them a cycle, 16 MACs; its latency
//! of 4 allows four a turn of four cycles as well. A load that crosses a line takes the time of two, so one that lies
//! at no multiple of 64 bytes would halve this. Hence, in long rows:
//!
//! - The first elements, up to the first whole line of `b`, are taken by a mask, into the *last* lanes of the last
//!   register. Element `i` is then in lane `i - head mod 64`, all lanes turned by `head`. Folding in halves adds the
//!   same pairs whatever the turn, and a sum of two does not depend on their order: the bits are the same.
//! - Where the lines of `a` begin elsewhere, whole lines of it are loaded too, and `vpermt2ps` picks each sixteen
//!   elements from two of them.
//!
//! Halves are widened from loads of 32 bytes, of which every other one crosses a line at worst.

use core::arch::x86_64::*;

use half::{bf16, f16};

use super::LANES;
use crate::kernels::uninterpreted::{_mm512_cvtph_ps, _mm512_permutex2var_ps};

const WIDTH: usize = 16;
const N: usize = LANES / WIDTH;

/// Rows below this many elements are read from where they begin: a head and its masks take as long as two loads of
/// each register.
const ALIGNED_FROM: usize = 4 * LANES;

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b)
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn dot_f16(a: &[f16], b: &[f32]) -> f32 {
    dot(a, b)
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn dot_bf16(a: &[bf16], b: &[f32]) -> f32 {
    dot(a, b)
}

/// A number of which sixteen are loaded as f32.
pub(in crate::kernels) trait Load: Copy {
    /// Whether loads are best of whole lines.
    const BY_LINES: bool;

    /// The sixteen values at `from`.
    ///
    /// # Safety
    /// They can be read; the call is where AVX-512 is enabled.
    unsafe fn load(from: *const Self) -> __m512;

    /// Those of the sixteen values at `from` that `mask` has, and zeros.
    ///
    /// # Safety
    /// As for [`load`](Self::load), of these values.
    unsafe fn load_some(mask: u16, from: *const Self) -> __m512;
}

impl Load for f32 {
    const BY_LINES: bool = true;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller promises the values and the features.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_some(mask: u16, from: *const f32) -> __m512 {
        // SAFETY: as in `load`; a masked load reads the elements of the mask only.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }
}

impl Load for f16 {
    const BY_LINES: bool = false;

    #[inline(always)]
    unsafe fn load(from: *const f16) -> __m512 {
        // SAFETY: the caller promises the values and the features.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_some(mask: u16, from: *const f16) -> __m512 {
        // SAFETY: as in `load`; a masked load reads the elements of the mask only.
        unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from.cast())) }
    }
}

impl Load for bf16 {
    const BY_LINES: bool = false;

    #[inline(always)]
    unsafe fn load(from: *const bf16) -> __m512 {
        // SAFETY: the caller promises the values and the features.
        unsafe { widen_bf16(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_some(mask: u16, from: *const bf16) -> __m512 {
        // SAFETY: as in `load`; a masked load reads the elements of the mask only.
        unsafe { widen_bf16(_mm256_maskz_loadu_epi16(mask, from.cast())) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn widen_bf16(bits: __m256i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn dot<A: Load>(a: &[A], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let mut acc = [_mm512_setzero_ps(); N];
    let mut i = 0;
    if n >= ALIGNED_FROM {
        // f32 are aligned to 4, so a line begins within sixteen elements; counted in elements.
        let head = (b as usize / 4).wrapping_neg() % WIDTH;
        // Lane `l` takes element `head - 16 + l`, where there is one.
        let present = !(u16::MAX >> head);
        // SAFETY: elements `0..head` of `n`; the pointers before them are not read, and made without `add`.
        let (x, y) = unsafe {
            let (a, b) = (
                a.wrapping_add(head).wrapping_sub(WIDTH),
                b.wrapping_add(head).wrapping_sub(WIDTH),
            );
            (A::load_some(present, a), f32::load_some(present, b))
        };
        acc[N - 1] = _mm512_mask3_fmadd_ps(x, y, acc[N - 1], present);
        i = head;
        // SAFETY: `head < n`; both pointers stay in their slices.
        let shift = unsafe { a.add(head) } as usize / 4 % WIDTH;
        if A::BY_LINES && shift != 0 {
            let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let order = _mm512_add_epi32(lane, _mm512_set1_epi32(shift as i32));
            // The line that holds element `head`, from there on.
            let lines = a.wrapping_add(head).wrapping_sub(shift);
            // SAFETY: lanes from `shift` on are elements `head..`, of which there are sixteen.
            let mut line = unsafe { A::load_some(u16::MAX << shift, lines) };
            // Of the last sixteen elements, the line ends up to fifteen elements behind them.
            while i + LANES + WIDTH <= n {
                for (j, acc) in acc.iter_mut().enumerate() {
                    let at = i + j * WIDTH;
                    // SAFETY: `at + 16 - shift` and the fifteen that follow are below `i + 80 <= n`.
                    let (next, y) =
                        unsafe { (A::load(a.add(at + WIDTH - shift)), _mm512_loadu_ps(b.add(at))) };
                    *acc = _mm512_fmadd_ps(_mm512_permutex2var_ps(line, order, next), y, *acc);
                    line = next;
                }
                i += LANES;
            }
        }
    }
    while i + LANES <= n {
        for (j, acc) in acc.iter_mut().enumerate() {
            // SAFETY: `i + 64 <= n`, and `j < 4`.
            let (x, y) =
                unsafe { (A::load(a.add(i + j * WIDTH)), _mm512_loadu_ps(b.add(i + j * WIDTH))) };
            *acc = _mm512_fmadd_ps(x, y, *acc);
        }
        i += LANES;
    }
    if i < n {
        // Absent lanes are left alone: adding 0 * 0 would turn a lane of -0 into +0.
        let mut present = !(u64::MAX << (n - i));
        for acc in &mut acc {
            let some = present as u16;
            // SAFETY: the mask has elements below `n` only; where it is empty, nothing is read.
            let (x, y) = unsafe {
                (A::load_some(some, a.wrapping_add(i)), f32::load_some(some, b.wrapping_add(i)))
            };
            *acc = _mm512_mask3_fmadd_ps(x, y, *acc, some);
            i += WIDTH;
            present >>= WIDTH;
        }
    }
    fold(acc)
}

/// Folds the 64 lanes in halves: registers first, then halves of one register.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub fn fold([a, b, c, d]: [__m512; N]) -> f32 {
    let x = _mm512_add_ps(_mm512_add_ps(a, c), _mm512_add_ps(b, d));
    let x = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    let x = _mm_add_ss(x, _mm_movehdup_ps(x));
    _mm_cvtss_f32(x)
}
