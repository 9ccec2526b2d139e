//! The loops where no others are written: plain Rust, which a compiler may make slower than the CPU is.

use std::hint::black_box;

use super::{Compute, Loops, Read};

/// The loops.
pub fn loops() -> Loops {
    Loops {
        instructions: "what the compiler chooses",
        // A chain that a compiler cannot shorten passes through memory, and tells nothing.
        clock: None,
        compute: vec![Compute {
            name: "fma_f32",
            what: "a multiplication and an addition",
            unit: "GFLOP/s",
            per_step: 2.0 * 64.0,
            run: multiply_add,
        }],
        reads: vec![Read { name: "one stream", run: one_stream }],
    }
}

fn multiply_add(steps: usize) {
    let (a, b) = black_box(([0.5f32; 64], [0.25f32; 64]));
    let mut acc = [0.0f32; 64];
    for _ in 0..steps {
        for ((acc, a), b) in acc.iter_mut().zip(a).zip(b) {
            *acc = *acc * a + b;
        }
    }
    black_box(acc);
}

fn one_stream(bytes: &[u8]) {
    let mut sum = [0u64; 32];
    for piece in bytes.as_chunks::<256>().0 {
        for (sum, word) in sum.iter_mut().zip(piece.as_chunks::<8>().0) {
            *sum |= u64::from_ne_bytes(*word);
        }
    }
    black_box(sum);
}
