//! AVX-512: sixteen rows a register, two registers of chains side by side.
//!
//! A chain is bound by the latency of its FMAs, 4 cycles an element whatever the number of rows; so 32 rows take the time of
//! one. Sixteen elements of sixteen rows are turned into sixteen registers of one element of each by 64
//! shuffles; with loads and FMAs about 100 instructions of 256 products, 25 cycles of four vector pipes, while
//! sixteen FMAs take 64.

use core::arch::x86_64::*;

use super::Chains;
use crate::kernels::sibling::sibling;
use crate::kernels::uninterpreted::_mm512_cvtph_ps;

pub const CHAINS: Chains =
    Chains { f32: sibling!(chain_f32), f16: sibling!(chain_f16), bf16: sibling!(chain_bf16) };

/// Rows of a register.
const ROWS: usize = 16;

/// An unquantised weight.
trait Weight {
    /// Bytes of one weight.
    const BYTES: usize;
    /// Those of the sixteen weights at `from` that `mask` has, as f32, and zeros.
    ///
    /// # Safety
    /// They can be read; the call is where AVX-512 is enabled.
    unsafe fn load(mask: u16, from: *const u8) -> __m512;
}

struct F32;
struct F16;
struct Bf16;

impl Weight for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    unsafe fn load(mask: u16, from: *const u8) -> __m512 {
        // SAFETY: the caller promises the values and the features; the load takes any address.
        unsafe { _mm512_maskz_loadu_ps(mask, from.cast()) }
    }
}

impl Weight for F16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn load(mask: u16, from: *const u8) -> __m512 {
        // SAFETY: the caller promises the values and the features; the load takes any address.
        unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from.cast())) }
    }
}

impl Weight for Bf16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn load(mask: u16, from: *const u8) -> __m512 {
        // SAFETY: the caller promises the values and the features; the load takes any address.
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn chain_f32(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<F32>(rows, x, out);
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn chain_f16(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<F16>(rows, x, out);
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn chain_bf16(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<Bf16>(rows, x, out);
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn chain<W: Weight>(rows: &[u8], x: &[f32], out: &mut [f32]) {
    let row_bytes = x.len() * W::BYTES;
    if row_bytes == 0 {
        return;
    }
    let mut rows = rows.chunks(2 * ROWS * row_bytes);
    let (pairs, rest) = out.as_chunks_mut::<{ 2 * ROWS }>();
    for (out, rows) in pairs.iter_mut().zip(&mut rows) {
        chains::<W, 2>(rows, row_bytes, x, out);
    }
    if let (false, Some(rows)) = (rest.is_empty(), rows.next()) {
        if rest.len() > ROWS {
            chains::<W, 2>(rows, row_bytes, x, rest);
        } else {
            chains::<W, 1>(rows, row_bytes, x, rest);
        }
    }
}

/// Up to `16 T` rows. Of fewer the last one is computed again in the spare lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn chains<W: Weight, const T: usize>(rows: &[u8], row_bytes: usize, x: &[f32], out: &mut [f32]) {
    let row: [[&[u8]; ROWS]; T] = core::array::from_fn(|t| {
        core::array::from_fn(|r| {
            let r = (ROWS * t + r).min(out.len() - 1);
            &rows[r * row_bytes..(r + 1) * row_bytes]
        })
    });
    let mut acc = [_mm512_setzero_ps(); T];
    for (out, acc) in out.chunks(ROWS).zip(&mut acc) {
        // SAFETY: a masked load reads the elements of the mask only, of which `out` has each.
        *acc = unsafe { _mm512_maskz_loadu_ps(u16::MAX >> (ROWS - out.len()), out.as_ptr()) };
    }
    let (body, tail) = x.as_chunks::<ROWS>();
    for (k, x) in body.iter().enumerate() {
        for (acc, row) in acc.iter_mut().zip(&row) {
            let columns = transposed::<W>(row, k, u16::MAX);
            for (column, &x) in columns.into_iter().zip(x) {
                *acc = _mm512_fmadd_ps(column, _mm512_set1_ps(x), *acc);
            }
        }
    }
    if !tail.is_empty() {
        let present = !(u16::MAX << tail.len());
        for (acc, row) in acc.iter_mut().zip(&row) {
            let columns = transposed::<W>(row, body.len(), present);
            for (column, &x) in columns.into_iter().zip(tail) {
                *acc = _mm512_fmadd_ps(column, _mm512_set1_ps(x), *acc);
            }
        }
    }
    for (out, acc) in out.chunks_mut(ROWS).zip(acc) {
        let present = u16::MAX >> (ROWS - out.len());
        // SAFETY: a masked store writes the elements of the mask only, of which `out` has each.
        unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), present, acc) };
    }
}

/// Elements `16 k` to `16 k + 15` of sixteen rows, those that `mask` has: element `i` of all rows in register `i`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn transposed<W: Weight>(row: &[&[u8]; ROWS], k: usize, mask: u16) -> [__m512; ROWS] {
    let at = k * ROWS * W::BYTES;
    let w = row.map(|row| {
        debug_assert!(at + (16 - mask.leading_zeros() as usize) * W::BYTES <= row.len());
        // SAFETY: the callers ask for elements that each row has.
        unsafe { W::load(mask, row.as_ptr().add(at)) }
    });
    let low = |a, b| _mm512_unpacklo_ps(a, b);
    let high = |a, b| _mm512_unpackhi_ps(a, b);
    let low_two =
        |a, b| _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    let high_two =
        |a, b| _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    // Of four rows, in quarter `q` of register `c`: element `4 q + c`.
    let four = |r: usize| {
        let (a, b) = (low(w[r], w[r + 1]), low(w[r + 2], w[r + 3]));
        let (c, d) = (high(w[r], w[r + 1]), high(w[r + 2], w[r + 3]));
        [low_two(a, b), high_two(a, b), low_two(c, d), high_two(c, d)]
    };
    let (a, b, c, d) = (four(0), four(4), four(8), four(12));
    let mut out = [_mm512_setzero_ps(); ROWS];
    for i in 0..4 {
        let even =
            [_mm512_shuffle_f32x4::<0x88>(a[i], b[i]), _mm512_shuffle_f32x4::<0x88>(c[i], d[i])];
        let odd =
            [_mm512_shuffle_f32x4::<0xdd>(a[i], b[i]), _mm512_shuffle_f32x4::<0xdd>(c[i], d[i])];
        out[i] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
        out[4 + i] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
        out[8 + i] = _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]);
        out[12 + i] = _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]);
    }
    out
}
