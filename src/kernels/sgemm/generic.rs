//! Portable SIMD: six rows of two registers, or of four that have four lanes.
//!
//! Of four lanes, 24 sums and four registers of `b` fill the 32 registers of Advanced SIMD.

use core::slice::from_raw_parts;

use pulp::{Simd, WithSimd};

use super::pack::{self, Source};
use super::{Line, Product, Sgemm, Strip, Tile, loops};
use crate::kernels::arith::Exact;
use crate::kernels::portable::dispatch;
use crate::kernels::sibling::{Sibling, sibling};

pub const SGEMM: Sibling<Sgemm> = sibling!(multiply as Sgemm);

const MR: usize = 6;

/// `NR` columns.
struct Generic<const NR: usize>;

impl<const NR: usize> Tile for Generic<NR> {
    const MR: usize = MR;
    const NR: usize = NR;

    unsafe fn micro(rows: usize, strip: &Strip) {
        dispatch(Micro::<NR> { rows, strip, packing: false });
    }

    unsafe fn micro_packing(strip: &Strip) {
        dispatch(Micro::<NR> { rows: MR, strip, packing: true });
    }

    /// pulp has none.
    fn prefetch(_: *const u8) {}

    unsafe fn gather(source: Source, rows: usize, columns: usize, out: *mut f32, out_row: usize) {
        // SAFETY: the caller's promises.
        unsafe { pack::gather::<Exact>(source, rows, columns, out, out_row) }
    }
}

/// # Safety
/// As for [`Sgemm`].
unsafe fn multiply(product: &Product<'_>, space: &mut [Line]) {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    // SAFETY: the caller's promises.
    unsafe {
        match dispatch(Lanes) {
            16 => loops::multiply::<Generic<32>>(product, space),
            4 | 8 => loops::multiply::<Generic<16>>(product, space),
            _ => super::scalar::multiply(product, space),
        }
    }
}

/// A strip; made by [`Tile::micro`] alone, whose caller promises that its pointers reach what it says.
struct Micro<'a, const NR: usize> {
    rows: usize,
    strip: &'a Strip,
    packing: bool,
}

impl<const NR: usize> WithSimd for Micro<'_, NR> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (S::F32_LANES, NR) {
            (16, 32) | (8, 16) => self.with_registers::<S, 2>(simd),
            (4, 16) => self.with_registers::<S, 4>(simd),
            _ => unreachable!("`multiply` looks for registers"),
        }
    }
}

impl<const NR: usize> Micro<'_, NR> {
    /// `N` registers are the columns.
    #[inline(always)]
    fn with_registers<S: Simd, const N: usize>(self, simd: S) {
        match self.rows {
            1 => self.rows::<S, N, 1, false>(simd),
            2 => self.rows::<S, N, 2, false>(simd),
            3 => self.rows::<S, N, 3, false>(simd),
            4 => self.rows::<S, N, 4, false>(simd),
            5 => self.rows::<S, N, 5, false>(simd),
            _ if self.packing => self.rows::<S, N, MR, true>(simd),
            _ => self.rows::<S, N, MR, false>(simd),
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const N: usize, const ROWS: usize, const PACKING: bool>(self, simd: S) {
        let &Strip { a, a_row, b, b_row, depth, c, c_row, from_output, packed, .. } = self.strip;
        let mut acc = [[simd.splat_f32s(0.0); N]; ROWS];
        if from_output == 1 {
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: the strip's promise.
                let row = unsafe { from_raw_parts(c.byte_add(i * c_row), NR) };
                acc.copy_from_slice(S::as_simd_f32s(row).0);
            }
        }
        for p in 0..depth {
            // SAFETY: the strip's promise.
            let b = unsafe { from_raw_parts(b.byte_add(p * b_row), NR) };
            let b: [S::f32s; N] = core::array::from_fn(|w| S::as_simd_f32s(b).0[w]);
            if PACKING {
                // SAFETY: as above.
                let packed = unsafe { core::slice::from_raw_parts_mut(packed.add(p * NR), NR) };
                S::as_mut_simd_f32s(packed).0.copy_from_slice(&b);
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: as above.
                let a = simd.splat_f32s(unsafe { *a.byte_add(i * a_row).add(p) });
                for (acc, b) in acc.iter_mut().zip(b) {
                    *acc = simd.mul_add_f32s(a, b, *acc);
                }
            }
        }
        for (i, acc) in acc.iter().enumerate() {
            // SAFETY: as above.
            let row = unsafe { core::slice::from_raw_parts_mut(c.byte_add(i * c_row), NR) };
            S::as_mut_simd_f32s(row).0.copy_from_slice(acc);
        }
    }
}
