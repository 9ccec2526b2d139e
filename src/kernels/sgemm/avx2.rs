//! AVX2 and FMA.
//!
//! # Bound
//! For each `p`, a strip of six rows and sixteen columns takes 12 fused multiply-adds, 2 loads of `b` and 6 broadcasts of
//! `a`: 6 cycles on two FMA ports, 4 on two load ports. Twelve chains cover a latency of 5 at two a cycle (of 4, eight
//! would do); twelve sums, two registers of `b` and two broadcasts are the sixteen that there are. 4 x 24 would take as
//! many registers and 7 loads; 8 x 8 leaves eight chains and 9 loads for 8.

use core::arch::x86_64::*;

use super::pack::{self, Kind, Source};
use super::{Line, Plain, Product, Sgemm, Strip, Tile, loops, scalar};
use crate::kernels::arith::Fast;
use crate::kernels::chain::scalar::{Bf16, F16, F32, Weight};
use crate::kernels::sibling::{Sibling, sibling};

pub const SGEMM: Sibling<Sgemm> = sibling!(multiply as Sgemm);
pub const NAIVE: Sibling<Plain> = sibling!(naive as Plain);
pub const BLOCKED: Sibling<Plain> = sibling!(blocked as Plain);

/// Registers of `b`.
const WIDE: usize = 2;

/// Six rows of two registers.
struct Avx2;

impl Tile for Avx2 {
    const MR: usize = 6;
    const NR: usize = 8 * WIDE;

    unsafe fn micro(rows: usize, strip: &Strip) {
        // SAFETY: the caller's promises.
        unsafe {
            match rows {
                1 => micro::<1, false>(strip),
                2 => micro::<2, false>(strip),
                3 => micro::<3, false>(strip),
                4 => micro::<4, false>(strip),
                5 => micro::<5, false>(strip),
                _ => micro::<6, false>(strip),
            }
        }
    }

    unsafe fn micro_packing(strip: &Strip) {
        // SAFETY: the caller's promises.
        unsafe { micro::<6, true>(strip) }
    }

    #[inline(always)]
    fn prefetch(at: *const u8) {
        // SAFETY: every x86-64 CPU has it, and any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    unsafe fn gather(source: Source, rows: usize, columns: usize, out: *mut f32, out_row: usize) {
        // SAFETY: the caller's promises.
        unsafe { gather(source, rows, columns, out, out_row) }
    }
}

/// # Safety
/// As for [`Sgemm`].
unsafe fn multiply(product: &Product<'_>, space: &mut [Line]) {
    // SAFETY: the caller's promises.
    unsafe { loops::multiply::<Avx2>(product, space) }
}

/// # Safety
/// As for [`Tile::micro`], for `ROWS` rows, or for [`Tile::micro_packing`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const ROWS: usize, const PACKING: bool>(strip: &Strip) {
    let &Strip { a, a_row, b, b_row, depth, c, c_row, from_output, next_c, packed } = strip;
    // SAFETY: the caller promises the elements; an address that is prefetched may be any.
    unsafe {
        let at = |i: usize, w: usize| c.byte_add(i * c_row).add(8 * w);
        let mut acc = [[_mm256_setzero_ps(); WIDE]; ROWS];
        if from_output == 1 {
            acc = core::array::from_fn(|i| core::array::from_fn(|w| _mm256_loadu_ps(at(i, w))));
        }
        if !next_c.is_null() {
            for i in 0..ROWS {
                let next = next_c.wrapping_byte_add(i * c_row);
                _mm_prefetch::<_MM_HINT_T0>(next.cast());
                _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(15).cast());
            }
        }
        // Not unrolled: of four steps at once, the compiler loads all that it can before it multiplies, and spills.
        for p in 0..depth {
            let b = b.byte_add(p * b_row);
            let b: [_; WIDE] = core::array::from_fn(|w| _mm256_loadu_ps(b.add(8 * w)));
            if PACKING {
                for (w, &b) in b.iter().enumerate() {
                    _mm256_storeu_ps(packed.add(8 * (WIDE * p + w)), b);
                }
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                let a = _mm256_broadcast_ss(&*a.byte_add(i * a_row).add(p));
                for (acc, b) in acc.iter_mut().zip(b) {
                    *acc = _mm256_fmadd_ps(a, b, *acc);
                }
            }
        }
        for (i, acc) in acc.into_iter().enumerate() {
            for (w, acc) in acc.into_iter().enumerate() {
                _mm256_storeu_ps(at(i, w), acc);
            }
        }
    }
}

/// # Safety
/// As for [`Tile::gather`].
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn gather(source: Source, rows: usize, columns: usize, out: *mut f32, out_row: usize) {
    // SAFETY: the caller's promises, for parts.
    unsafe {
        if source.column == 1 || source.row != 1 {
            return pack::gather::<Fast>(source, rows, columns, out, out_row);
        }
        let (whole_rows, whole_columns) = (rows - rows % 8, columns - columns % 8);
        for j in (0..whole_columns).step_by(8) {
            let transpose = match source.kind {
                // Little-endian both.
                Kind::Native | Kind::F32 => transpose::<F32>,
                Kind::F16 => transpose::<F16>,
                Kind::Bf16 => transpose::<Bf16>,
            };
            transpose(source.at(0, j), whole_rows, out.add(j), out_row);
        }
        let right = source.at(0, whole_columns);
        pack::gather::<Fast>(
            right,
            whole_rows,
            columns - whole_columns,
            out.add(whole_columns),
            out_row,
        );
        let below = source.at(whole_rows, 0);
        pack::gather::<Fast>(
            below,
            rows - whole_rows,
            columns,
            out.add(whole_rows * out_row),
            out_row,
        );
    }
}

/// Copies eight columns of rows, a multiple of eight, that lie one behind the other in each column.
///
/// # Safety
/// As for [`Tile::gather`]; the source's elements are of this kind.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn transpose<W: Weight>(source: Source, rows: usize, out: *mut f32, out_row: usize) {
    let column: [*const u8; 8] = core::array::from_fn(|j| source.at(0, j).start);
    for i in (0..rows).step_by(8) {
        let columns = column.map(|column| {
            // SAFETY: the caller promises the elements.
            unsafe {
                let bytes = core::slice::from_raw_parts(column.add(i * W::BYTES), 8 * W::BYTES);
                _mm256_loadu_ps(W::load8::<Fast>(bytes).as_ptr())
            }
        });
        for (r, row) in transposed(columns).into_iter().enumerate() {
            // SAFETY: the caller promises the room.
            unsafe { _mm256_storeu_ps(out.add((i + r) * out_row), row) };
        }
    }
}

/// Eight columns of eight as rows.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(c: [__m256; 8]) -> [__m256; 8] {
    let low = |a, b| _mm256_permute2f128_ps::<0x20>(a, b);
    let high = |a, b| _mm256_permute2f128_ps::<0x31>(a, b);
    let four = |a, b, c, d| {
        let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
            _mm256_shuffle_ps::<0xee>(ab_low, cd_low),
            _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
        ]
    };
    let [r0, r1, r2, r3] = four(low(c[0], c[4]), low(c[1], c[5]), low(c[2], c[6]), low(c[3], c[7]));
    let [r4, r5, r6, r7] =
        four(high(c[0], c[4]), high(c[1], c[5]), high(c[2], c[6]), high(c[3], c[7]));
    [r0, r1, r2, r3, r4, r5, r6, r7]
}

#[target_feature(enable = "avx2,fma")]
fn naive(a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
    scalar::naive::<Fast>(a, b, c, depth, columns);
}

#[target_feature(enable = "avx2,fma")]
fn blocked(a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
    scalar::blocked::<Fast>(a, b, c, depth, columns);
}
