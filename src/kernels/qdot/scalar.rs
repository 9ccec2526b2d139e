//! The definition: a block is turned into integers, and those into f32 by the contract.

use super::{RowDot, RowDots};
use crate::formats::{
    ActBlock, BLOCK_32, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1,
    BlockQ5K, BlockQ6K, BlockQ8_0, BlockQ8K, Integers32, Integers256, SUPER_BLOCK,
};
use crate::kernels::arith::{Arith, Exact};
use crate::kernels::sibling::sibling;

pub const ROW_DOTS: RowDots = RowDots {
    q4_0: blocks_of_32::<BlockQ4_0>(),
    q4_1: blocks_of_32::<BlockQ4_1>(),
    q5_0: blocks_of_32::<BlockQ5_0>(),
    q5_1: blocks_of_32::<BlockQ5_1>(),
    q8_0: blocks_of_32::<BlockQ8_0>(),
    q2_k: super_blocks::<BlockQ2K>(),
    q3_k: super_blocks::<BlockQ3K>(),
    q4_k: super_blocks::<BlockQ4K>(),
    q5_k: super_blocks::<BlockQ5K>(),
    q6_k: super_blocks::<BlockQ6K>(),
    q8_k: super_blocks::<BlockQ8K>(),
};

const fn super_blocks<B: Integers256>() -> RowDot {
    RowDot {
        x1: sibling!(|row, x| dot_256::<Exact, B>(row, x)),
        x4: sibling!(|row, x| x.map(|x| dot_256::<Exact, B>(row, x))),
    }
}

const fn blocks_of_32<B: Integers32>() -> RowDot {
    RowDot {
        x1: sibling!(|row, x| dot_32::<Exact, B>(row, x)),
        x4: sibling!(|row, x| x.map(|x| dot_32::<Exact, B>(row, x))),
    }
}

/// A row of super-blocks.
#[inline(always)]
pub fn dot_256<A: Arith, B: Integers256>(row: &[u8], x: &[ActBlock]) -> f32 {
    let mut acc = 0.0;
    for (w, x) in B::slice(row).iter().zip(x) {
        let w = w.integers();
        let (mut isum, mut msum) = (0, 0);
        for j in 0..SUPER_BLOCK / 16 {
            let at = 16 * j..16 * (j + 1);
            isum += i32::from(w.scales[j]) * dot_i8(&w.quants[at.clone()], &x.qs[at]);
            msum += i32::from(w.mins[j]) * i32::from(x.bsums[j]);
        }
        acc = A::fma(w.d * x.d[0], isum as f32, acc);
        if B::HAS_MINS {
            acc = A::fma(-(w.dmin * x.d[0]), msum as f32, acc);
        }
    }
    acc
}

/// A row of blocks of 32.
#[inline(always)]
pub fn dot_32<A: Arith, B: Integers32>(row: &[u8], x: &[ActBlock]) -> f32 {
    let mut lanes = [0.0; SUPER_BLOCK / BLOCK_32];
    for (group, x) in B::slice(row).chunks(lanes.len()).zip(x) {
        for (b, (lane, w)) in lanes.iter_mut().zip(group).enumerate() {
            let w = w.integers();
            let isum = dot_i8(&w.quants, &x.qs[BLOCK_32 * b..BLOCK_32 * (b + 1)]);
            *lane = A::fma(w.d * x.d[b], isum as f32, *lane);
            if B::HAS_MINS {
                let xsum = i32::from(x.bsums[2 * b]) + i32::from(x.bsums[2 * b + 1]);
                *lane = A::fma(w.m * x.d[b], xsum as f32, *lane);
            }
        }
    }
    let [l0, l1, l2, l3, l4, l5, l6, l7] = lanes;
    ((l0 + l1) + (l2 + l3)) + ((l4 + l5) + (l6 + l7))
}

#[inline(always)]
fn dot_i8(w: &[i8], x: &[i8]) -> i32 {
    w.iter().zip(x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum()
}
