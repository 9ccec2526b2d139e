//! The loops for NEON, in assembly: a compiler would see that nothing uses what they compute.

use std::arch::asm;

use super::{Compute, Loops, Read};

/// The loops: NEON is the architecture's baseline.
pub fn loops() -> Loops {
    Loops {
        instructions: "NEON, 128 bits",
        clock: Some(clock),
        compute: vec![
            Compute { name: "fma_f32", what: "fmla", unit: "GFLOP/s", per_step: 128.0, run: fma },
            Compute { name: "mul_i8", what: "smull", unit: "GMAC/s", per_step: 128.0, run: smull },
            Compute { name: "loads_32", what: "ldp", unit: "Gload/s", per_step: 8.0, run: loads },
        ],
        reads: vec![Read { name: "one stream", run: one_stream }],
    }
}

/// A loop of `steps` turns over the lines given, which may use v0 to v7 and v16 to v31.
macro_rules! turns {
    ($steps:expr, $($line:literal),* $(, in($reg:tt) $value:expr)?) => {
        // SAFETY: the lines write vector registers, x9, x11 and the counter only; where they read memory, it is
        // what the caller of this macro says.
        unsafe {
            asm!(
                "movi v30.2d, #0",
                "movi v31.2d, #0",
                "2:",
                $($line,)*
                "subs {steps}, {steps}, #1",
                "b.ne 2b",
                steps = inout(reg) $steps => _,
                $(in($reg) $value,)?
                inout("x9") 0usize => _,
                out("x11") _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                out("v20") _, out("v21") _, out("v22") _, out("v23") _,
                out("v30") _, out("v31") _,
                options(nostack, readonly),
            );
        }
    };
}

/// A chain of [`super::CLOCK_CHAIN`] additions of latency 1.
fn clock(steps: usize) {
    turns!(steps.max(1), ".rept 64", "add x9, x9, x10", ".endr", in("x10") 1usize);
}

/// Sixteen independent chains: four ports of latency 4.
fn fma(steps: usize) {
    turns!(
        steps.max(1),
        ".irp acc, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23",
        "fmla v\\acc\\().4s, v30.4s, v31.4s",
        ".endr"
    );
}

fn smull(steps: usize) {
    turns!(
        steps.max(1),
        ".irp out, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23",
        "smull v\\out\\().8h, v30.8b, v31.8b",
        ".endr"
    );
}

fn loads(steps: usize) {
    let bytes = [0u128; 16];
    // The loop reads these 256 bytes.
    turns!(
        steps.max(1),
        ".irp at, 0, 1, 2, 3, 4, 5, 6, 7",
        "ldp q16, q17, [x10, #32*\\at]",
        ".endr",
        in("x10") bytes.as_ptr()
    );
}

fn one_stream(bytes: &[u8]) {
    let steps = bytes.len() / 256;
    if steps == 0 {
        return;
    }
    // The loop reads `steps` pieces of 256 bytes, from the first on.
    turns!(
        steps,
        "add x11, x10, x9",
        ".irp at, 0, 1, 2, 3, 4, 5, 6, 7",
        "ldp q16, q17, [x11, #32*\\at]",
        ".endr",
        "add x9, x9, #256",
        in("x10") bytes.as_ptr()
    );
}
