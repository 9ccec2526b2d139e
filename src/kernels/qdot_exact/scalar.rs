//! The definition: a block is dequantised, and its values join the lanes.

use crate::formats::{Format, SUPER_BLOCK};
use crate::kernels::arith::{Arith, Exact};
use crate::kernels::dot::LANES;
use crate::kernels::dot::scalar::fold;

pub fn qdot_exact(format: Format, row: &[u8], x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut w = [0.0; SUPER_BLOCK];
    let w = &mut w[..format.block_len()];
    let blocks = row.chunks(format.block_bytes()).zip(x.chunks(w.len()));
    for (b, (block, x)) in blocks.enumerate() {
        format.dequantize(block, w);
        for (i, (&w, &x)) in w.iter().zip(x).enumerate() {
            let lane = &mut lanes[(b * format.block_len() + i) % LANES];
            *lane = Exact::fma(w, x, *lane);
        }
    }
    fold(&mut lanes)
}
