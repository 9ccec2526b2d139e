//! The definition, and the loops that one writes first.

use super::pack::Source;
use super::{Line, Plain, Product, Sgemm, Start};
use crate::kernels::arith::{Arith, Exact};
use crate::kernels::sibling::{Sibling, sibling};

pub const SGEMM: Sibling<Sgemm> = sibling!(multiply as Sgemm);
pub const NAIVE: Sibling<Plain> = sibling!(naive::<Exact> as Plain);
pub const BLOCKED: Sibling<Plain> = sibling!(blocked::<Exact> as Plain);

/// # Safety
/// The operands have the elements that the product's numbers say.
pub unsafe fn multiply(product: &Product<'_>, _: &mut [Line]) {
    let &Product { a, b, c, c_row, rows, depth, columns, start, bias } = product;
    // SAFETY: the caller promises the elements.
    let element = |source: Source, i, j| unsafe { source.read::<Exact>(i, j) };
    for i in 0..rows {
        for j in 0..columns {
            // SAFETY: as above; nothing else refers to the output meanwhile.
            let c = unsafe { &mut *c.add(i * c_row + j) };
            let mut acc = if start == Start::Zero { 0.0 } else { *c };
            for p in 0..depth {
                acc = Exact::fma(element(a, i, p), element(b, p, j), acc);
            }
            *c = bias.map_or(acc, |bias| acc + bias[j]);
        }
    }
}

#[inline(always)]
pub fn naive<A: Arith>(a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
    for i in 0..c.len().checked_div(columns).unwrap_or(0) {
        for j in 0..columns {
            let mut acc = 0.0;
            for p in 0..depth {
                acc = A::fma(a[i * depth + p], b[p * columns + j], acc);
            }
            c[i * columns + j] = acc;
        }
    }
}

/// Blocks of 64 by 64: three of them are 48 KiB.
#[inline(always)]
pub fn blocked<A: Arith>(a: &[f32], b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
    const BLOCK: usize = 64;
    let rows = c.len().checked_div(columns).unwrap_or(0);
    c.fill(0.0);
    for i0 in (0..rows).step_by(BLOCK) {
        for p0 in (0..depth).step_by(BLOCK) {
            for j0 in (0..columns).step_by(BLOCK) {
                let j1 = columns.min(j0 + BLOCK);
                for i in i0..rows.min(i0 + BLOCK) {
                    let c = &mut c[i * columns + j0..i * columns + j1];
                    for p in p0..depth.min(p0 + BLOCK) {
                        let a = a[i * depth + p];
                        let b = &b[p * columns + j0..p * columns + j1];
                        for (c, &b) in c.iter_mut().zip(b) {
                            *c = A::fma(a, b, *c);
                        }
                    }
                }
            }
        }
    }
}
