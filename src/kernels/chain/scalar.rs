//! The definition, over [`Arith`] and the weight's format.

use super::Chains;
use crate::kernels::arith::{Arith, Exact};
use crate::kernels::sibling::sibling;

pub const CHAINS: Chains =
    Chains { f32: sibling!(chain_f32), f16: sibling!(chain_f16), bf16: sibling!(chain_bf16) };

fn chain_f32(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<Exact, F32>(rows, x, out);
}

fn chain_f16(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<Exact, F16>(rows, x, out);
}

fn chain_bf16(rows: &[u8], x: &[f32], out: &mut [f32]) {
    chain::<Exact, Bf16>(rows, x, out);
}

/// Rows that are computed together: enough independent chains to hide the latency of one.
pub const ROWS: usize = 8;

/// An unquantised weight.
///
/// Eight are read from an array of their bytes: picked one by one from the slice, f32 took 7 times as long at AVX2.
pub trait Weight {
    /// Bytes of one weight.
    const BYTES: usize;
    /// The values of the eight weights at the start of `bytes`: exact.
    fn load8<A: Arith>(bytes: &[u8]) -> [f32; 8];
}

/// Little-endian f32.
pub struct F32;
/// Little-endian f16.
pub struct F16;
/// Little-endian bf16.
pub struct Bf16;

impl Weight for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    fn load8<A: Arith>(bytes: &[u8]) -> [f32; 8] {
        let words = bytes.as_chunks::<4>().0.first_chunk::<8>().expect("eight weights");
        words.map(f32::from_le_bytes)
    }
}

impl Weight for F16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn load8<A: Arith>(bytes: &[u8]) -> [f32; 8] {
        A::widen(u16x8(bytes))
    }
}

impl Weight for Bf16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn load8<A: Arith>(bytes: &[u8]) -> [f32; 8] {
        u16x8(bytes).map(|bits| f32::from_bits(u32::from(bits) << 16))
    }
}

#[inline(always)]
pub fn u16x8(bytes: &[u8]) -> [u16; 8] {
    let words = bytes.as_chunks::<2>().0.first_chunk::<8>().expect("eight weights");
    words.map(u16::from_le_bytes)
}

#[inline(always)]
pub fn chain<A: Arith, W: Weight>(rows: &[u8], x: &[f32], out: &mut [f32]) {
    let row_bytes = x.len() * W::BYTES;
    if row_bytes == 0 {
        return;
    }
    let (x_body, x_tail) = x.as_chunks::<8>();
    for (rows, out) in rows.chunks(ROWS * row_bytes).zip(out.chunks_mut(ROWS)) {
        // A last group of fewer rows computes its last row again in the spare lanes.
        let row: [&[u8]; ROWS] = core::array::from_fn(|r| {
            let r = r.min(out.len() - 1);
            &rows[r * row_bytes..(r + 1) * row_bytes]
        });
        let mut acc = [0.0f32; ROWS];
        acc[..out.len()].copy_from_slice(out);
        for (k, x) in x_body.iter().enumerate() {
            let w: [[f32; 8]; ROWS] = row.map(|row| W::load8::<A>(&row[k * 8 * W::BYTES..]));
            for i in 0..8 {
                for r in 0..ROWS {
                    acc[r] = A::fma(w[r][i], x[i], acc[r]);
                }
            }
        }
        if !x_tail.is_empty() {
            for (acc, row) in acc.iter_mut().zip(row) {
                let mut padded = [0; 8 * 4];
                let tail = &row[x_body.len() * 8 * W::BYTES..];
                padded[..tail.len()].copy_from_slice(tail);
                for (w, &x) in W::load8::<A>(&padded).into_iter().zip(x_tail) {
                    *acc = A::fma(w, x, *acc);
                }
            }
        }
        out.copy_from_slice(&acc[..out.len()]);
    }
}
