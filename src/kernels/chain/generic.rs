//! Portable SIMD: eight rows, or the sixteen of a wider register, a row in each lane.
//!
//! pulp has no transposition: weights, as many of each row as there are rows, are arranged by columns in memory.

use core::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::Chains;
use super::scalar::{self, Bf16, F16, F32, Weight, u16x8};
use crate::kernels::arith::Exact;
use crate::kernels::portable::{dispatch, widen_f16};
use crate::kernels::sibling::sibling;

pub const CHAINS: Chains =
    Chains { f32: sibling!(chain_f32), f16: sibling!(chain_f16), bf16: sibling!(chain_bf16) };

fn chain_f32(rows: &[u8], x: &[f32], out: &mut [f32]) {
    dispatch(Chain { rows, x, out, weight: PhantomData::<F32> });
}

fn chain_f16(rows: &[u8], x: &[f32], out: &mut [f32]) {
    dispatch(Chain { rows, x, out, weight: PhantomData::<F16> });
}

fn chain_bf16(rows: &[u8], x: &[f32], out: &mut [f32]) {
    dispatch(Chain { rows, x, out, weight: PhantomData::<Bf16> });
}

/// A weight of which a multiple of eight are widened in registers.
trait Load: Weight {
    /// The values of the weights at the start of `bytes`.
    #[inline(always)]
    fn load<S: Simd, const N: usize>(_: S, bytes: &[u8]) -> [f32; N] {
        let mut out = [0.0; N];
        for (i, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *out = Self::load8::<Exact>(&bytes[8 * i * Self::BYTES..]);
        }
        out
    }
}

impl Load for F32 {}
impl Load for Bf16 {}
impl Load for F16 {
    #[inline(always)]
    fn load<S: Simd, const N: usize>(simd: S, bytes: &[u8]) -> [f32; N] {
        let mut bits = [0; N];
        for (i, bits) in bits.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *bits = u16x8(&bytes[8 * i * Self::BYTES..]);
        }
        widen_f16(simd, bits)
    }
}

struct Chain<'a, W> {
    rows: &'a [u8],
    x: &'a [f32],
    out: &'a mut [f32],
    weight: PhantomData<W>,
}

impl<W: Load> WithSimd for Chain<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.with_registers::<S, 1, 16>(simd),
            8 => self.with_registers::<S, 1, 8>(simd),
            4 => self.with_registers::<S, 2, 8>(simd),
            _ => scalar::chain::<Exact, W>(self.rows, self.x, self.out),
        }
    }
}

impl<W: Load> Chain<'_, W> {
    /// `N` registers of `S` are the rows.
    #[inline(always)]
    fn with_registers<S: Simd, const N: usize, const ROWS: usize>(self, simd: S) {
        let row_bytes = self.x.len() * W::BYTES;
        if row_bytes == 0 {
            return;
        }
        let (x_body, x_tail) = self.x.as_chunks::<ROWS>();
        for (rows, out) in self.rows.chunks(ROWS * row_bytes).zip(self.out.chunks_mut(ROWS)) {
            // A last group of fewer rows computes its last row again in the spare lanes.
            let row: [&[u8]; ROWS] = core::array::from_fn(|r| {
                let r = r.min(out.len() - 1);
                &rows[r * row_bytes..(r + 1) * row_bytes]
            });
            let mut lanes = [0.0; ROWS];
            lanes[..out.len()].copy_from_slice(out);
            let mut acc = [simd.splat_f32s(0.0); N];
            acc.copy_from_slice(S::as_simd_f32s(&lanes).0);
            for (k, x) in x_body.iter().enumerate() {
                let mut w = [[0.0; ROWS]; ROWS];
                for (w, row) in w.iter_mut().zip(row) {
                    *w = W::load(simd, &row[k * ROWS * W::BYTES..]);
                }
                add_columns(simd, &mut acc, &w, x);
            }
            if !x_tail.is_empty() {
                let mut w = [[0.0; ROWS]; ROWS];
                for (w, row) in w.iter_mut().zip(row) {
                    let mut padded = [0; 16 * 4];
                    let tail = &row[x_body.len() * ROWS * W::BYTES..];
                    padded[..tail.len()].copy_from_slice(tail);
                    *w = W::load(simd, &padded);
                }
                add_columns(simd, &mut acc, &w, x_tail);
            }
            S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(&acc);
            out.copy_from_slice(&lanes[..out.len()]);
        }
    }
}

/// Adds the products of as many columns of weights as there are elements in `x`.
#[inline(always)]
fn add_columns<S: Simd, const N: usize, const ROWS: usize>(
    simd: S,
    acc: &mut [S::f32s; N],
    w: &[[f32; ROWS]; ROWS],
    x: &[f32],
) {
    let columns: [[f32; ROWS]; ROWS] = core::array::from_fn(|i| core::array::from_fn(|r| w[r][i]));
    for (column, &x) in columns.iter().zip(x) {
        let x = simd.splat_f32s(x);
        for (acc, &w) in acc.iter_mut().zip(S::as_simd_f32s(column).0) {
            *acc = simd.mul_add_f32s(w, x, *acc);
        }
    }
}
