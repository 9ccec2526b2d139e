//! AVX-512.
//!
//! # Bound
//! For each `p`, a strip of fourteen rows and 32 columns takes 28 fused multiply-adds, 2 loads of `b` and 14 broadcasts of
//! `a`: 14 cycles on two FMA ports of 512 bits, 8 on two load ports; 28 on CPUs that take two cycles for each (Zen 4). 28
//! chains are more than the eight that a latency of 4 wants: rows are many so that a load of `b` serves many, and few
//! enough for sums, `b` and two broadcasts to fit 32 registers. Broadcasts as memory operands would be 28 loads more: 30 for 14
//! cycles. 12 rows would take the same share of loads, and more of what a step costs besides.

use core::arch::x86_64::*;

use super::pack::Source;
use super::{Line, Product, Sgemm, Strip, Tile, avx2, loops};
use crate::kernels::sibling::{Sibling, sibling};

pub const SGEMM: Sibling<Sgemm> = sibling!(multiply as Sgemm);

/// Registers of `b`, and lanes of one.
const WIDE: usize = 2;
const LANES: usize = 16;

/// Fourteen rows of two registers.
struct Avx512;

impl Tile for Avx512 {
    const MR: usize = 14;
    const NR: usize = LANES * WIDE;
    /// Of twelve ways `(12 - 1) / (1 + 14/32)`, seven, 28 KiB. With more depth panels of `b` would come from the second-level
    /// cache, at 9 bytes a cycle.
    const KC: usize = 224;

    unsafe fn micro(rows: usize, strip: &Strip) {
        // SAFETY: the caller's promises.
        unsafe {
            match rows {
                1 => micro::<1, false>(strip),
                2 => micro::<2, false>(strip),
                3 => micro::<3, false>(strip),
                4 => micro::<4, false>(strip),
                5 => micro::<5, false>(strip),
                6 => micro::<6, false>(strip),
                7 => micro::<7, false>(strip),
                8 => micro::<8, false>(strip),
                9 => micro::<9, false>(strip),
                10 => micro::<10, false>(strip),
                11 => micro::<11, false>(strip),
                12 => micro::<12, false>(strip),
                13 => micro::<13, false>(strip),
                _ => micro::<14, false>(strip),
            }
        }
    }

    unsafe fn micro_packing(strip: &Strip) {
        // SAFETY: the caller's promises.
        unsafe { micro::<14, true>(strip) }
    }

    #[inline(always)]
    fn prefetch(at: *const u8) {
        // SAFETY: every x86-64 CPU has it, and any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    unsafe fn gather(source: Source, rows: usize, columns: usize, out: *mut f32, out_row: usize) {
        // SAFETY: the caller's promises; this level has the features of that one. Transposing by sixteen would save
        // shuffles, but what is gathered is multiplied by all rows or columns of a block.
        unsafe { avx2::gather(source, rows, columns, out, out_row) }
    }
}

/// # Safety
/// As for [`Sgemm`].
unsafe fn multiply(product: &Product<'_>, space: &mut [Line]) {
    // SAFETY: the caller's promises.
    unsafe { loops::multiply::<Avx512>(product, space) }
}

/// # Safety
/// As for [`Tile::micro`], for `ROWS` rows, or for [`Tile::micro_packing`].
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn micro<const ROWS: usize, const PACKING: bool>(strip: &Strip) {
    let &Strip { a, a_row, b, b_row, depth, c, c_row, from_output, next_c, packed } = strip;
    // SAFETY: the caller promises the elements; an address that is prefetched may be any.
    unsafe {
        let at = |i: usize, w: usize| c.byte_add(i * c_row).add(LANES * w);
        let mut acc = [[_mm512_setzero_ps(); WIDE]; ROWS];
        if from_output == 1 {
            acc = core::array::from_fn(|i| core::array::from_fn(|w| _mm512_loadu_ps(at(i, w))));
        }
        if !next_c.is_null() {
            for i in 0..ROWS {
                let next = next_c.wrapping_byte_add(i * c_row);
                _mm_prefetch::<_MM_HINT_T0>(next.cast());
                _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(LANES).cast());
                _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(LANES * WIDE - 1).cast());
            }
        }
        for p in 0..depth {
            let b = b.byte_add(p * b_row);
            let b: [_; WIDE] = core::array::from_fn(|w| _mm512_loadu_ps(b.add(LANES * w)));
            if PACKING {
                for (w, &b) in b.iter().enumerate() {
                    _mm512_storeu_ps(packed.add(LANES * (WIDE * p + w)), b);
                }
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                let a = _mm512_set1_ps(*a.byte_add(i * a_row).add(p));
                for (acc, b) in acc.iter_mut().zip(b) {
                    *acc = _mm512_fmadd_ps(a, b, *acc);
                }
            }
        }
        for (i, acc) in acc.into_iter().enumerate() {
            for (w, acc) in acc.into_iter().enumerate() {
                _mm512_storeu_ps(at(i, w), acc);
            }
        }
    }
}
