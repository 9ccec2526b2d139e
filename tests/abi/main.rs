//! Every kernel reads and writes its slices and nothing else, and leaves the registers of its caller alone.
//!
//! All slices of a call lie between guard pages, once beginning right behind one and once ending right before one;
//! inputs cannot be written, and outputs have canaries where no page guards them. The calls go through the table
//! of each level; assembly is also called directly, where nothing between it and the check saves a register.
#![cfg(all(unix, feature = "driver"))]

#[cfg(any(asm_x86_64, asm_aarch64))]
mod assembly;
mod guard;
#[cfg(asm_aarch64)]
mod packed;
mod products;
mod registers;
mod rows;

use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;

use guard::Side;

const SCALAR: Kernels = Kernels::new(Isa::SCALAR);

/// Every level with either place of its slices.
fn cases() -> impl Iterator<Item = (Kernels, Side)> {
    Isa::available().flat_map(|isa| Side::BOTH.map(|side| (Kernels::new(isa), side)))
}

/// Every length up to three blocks of 64, and around blocks of 256.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=3 * 64).chain([255, 256, 257, 511, 512, 513, 517, 640, 1000])
}

/// Numbers between -2 and 2, always the same.
fn values(n: usize, seed: u32) -> Vec<f32> {
    bits(n, seed).map(|bits| (bits >> 16) as i16 as f32 / 16384.0).collect()
}

fn bits(n: usize, seed: u32) -> impl Iterator<Item = u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..n).map(move |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}

/// A row of blocks that were made from ordinary weights.
fn row(format: Format, blocks: usize) -> Vec<u8> {
    let x = values(blocks * format.block_len(), 5);
    let mut row = vec![0; blocks * format.block_bytes()];
    SCALAR.quantize_weights(format, &x, &mut row);
    row
}

fn activations(scale: ActScale, n: usize, seed: u32) -> Vec<ActBlock> {
    let mut out = vec![ActBlock::ZERO; ActBlock::count(n)];
    SCALAR.quantize(scale, &values(n, seed), &mut out);
    out
}

fn bits_of(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}
