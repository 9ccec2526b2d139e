//! The loops for AVX2, in assembly: a compiler would see that nothing uses what they compute.

use std::arch::asm;

use super::{Compute, Loops, Read};
use crate::isa::{Isa, Level};

/// The loops, where the CPU has AVX2 and FMA.
pub fn loops() -> Option<Loops> {
    Isa::force(Level::Avx2).ok()?;
    Some(Loops {
        instructions: "AVX2 and FMA, 256 bits",
        clock: Some(clock),
        compute: vec![
            Compute {
                name: "fma_f32",
                what: "vfmadd231ps",
                unit: "GFLOP/s",
                per_step: 192.0,
                run: fma,
            },
            Compute {
                name: "mul_u8_i8",
                what: "vpmaddubsw",
                unit: "GMAC/s",
                per_step: 384.0,
                run: maddubs,
            },
            Compute {
                name: "mul_i16",
                what: "vpmaddwd",
                unit: "GMAC/s",
                per_step: 192.0,
                run: madd,
            },
            Compute {
                name: "dot_u8_i8",
                what: "vpmaddubsw, vpmaddwd, vpaddd",
                unit: "GMAC/s",
                per_step: 128.0,
                run: dot,
            },
            Compute {
                name: "loads_32",
                what: "vmovups",
                unit: "Gload/s",
                per_step: 24.0,
                run: loads,
            },
        ],
        reads: vec![
            Read { name: "one stream", run: one_stream },
            Read { name: "four streams", run: four_streams },
            Read { name: "prefetched", run: prefetched },
        ],
    })
}

/// A loop of `steps` turns over the lines given, which may use ymm0 to ymm15.
macro_rules! turns {
    ($steps:expr, $($line:literal),* $(, in($reg:tt) $value:expr)?) => {
        // SAFETY: `loops` has seen that the CPU has AVX2 and FMA. The lines write vector registers, rax
        // and the counter only; where they read memory, it is what the caller of this macro says.
        unsafe {
            asm!(
                // Zeros: numbers of ordinary cost.
                "vzeroall",
                ".p2align 5",
                "2:",
                $($line,)*
                "dec {steps}",
                "jnz 2b",
                "vzeroupper",
                steps = inout(reg) $steps => _,
                $(in($reg) $value,)?
                inout("rax") 0usize => _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nostack, readonly),
            );
        }
    };
}

/// A chain of [`super::CLOCK_CHAIN`] additions of latency 1. (Of registers: some CPUs add constants without executing them.)
fn clock(steps: usize) {
    turns!(steps.max(1), ".rept 64", "add rax, rdx", ".endr", in("rdx") 1usize);
}

/// Twelve independent chains: two ports of latency 5 need ten.
fn fma(steps: usize) {
    turns!(
        steps.max(1),
        ".irp acc, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
        "vfmadd231ps ymm\\acc, ymm14, ymm15",
        ".endr"
    );
}

fn maddubs(steps: usize) {
    turns!(
        steps.max(1),
        ".irp out, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
        "vpmaddubsw ymm\\out, ymm14, ymm15",
        ".endr"
    );
}

fn madd(steps: usize) {
    turns!(
        steps.max(1),
        ".irp out, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
        "vpmaddwd ymm\\out, ymm14, ymm15",
        ".endr"
    );
}

/// What a row dot does for 32 values and one column, without its loads.
fn dot(steps: usize) {
    turns!(
        steps.max(1),
        ".irp acc, 0, 1, 2, 3",
        "vpmaddubsw ymm8, ymm14, ymm15",
        "vpmaddwd ymm8, ymm8, ymm13",
        "vpaddd ymm\\acc, ymm\\acc, ymm8",
        ".endr"
    );
}

fn loads(steps: usize) {
    #[repr(align(64))]
    struct Bytes([u8; 768]);
    let bytes = Bytes([0; 768]);
    // The loop reads these 768 bytes.
    turns!(
        steps.max(1),
        // A multiple of two and of three, which are the load ports of CPUs.
        ".irp at, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23",
        "vmovups ymm0, [rdx + 32*\\at]",
        ".endr",
        in("rdx") bytes.0.as_ptr()
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
        ".irp at, 0, 1, 2, 3, 4, 5, 6, 7",
        "vmovups ymm\\at, [rdx + rax + 32*\\at]",
        ".endr",
        "add rax, 256",
        in("rdx") bytes.as_ptr()
    );
}

fn prefetched(bytes: &[u8]) {
    let steps = bytes.len() / 256;
    if steps == 0 {
        return;
    }
    // As above; a prefetch of any address is allowed.
    turns!(
        steps,
        ".irp line, 0, 1, 2, 3",
        "prefetcht0 [rdx + rax + 2048 + 64*\\line]",
        ".endr",
        ".irp at, 0, 1, 2, 3, 4, 5, 6, 7",
        "vmovups ymm\\at, [rdx + rax + 32*\\at]",
        ".endr",
        "add rax, 256",
        in("rdx") bytes.as_ptr()
    );
}

fn four_streams(bytes: &[u8]) {
    let quarter = bytes.len() / 256 * 64;
    let steps = quarter / 64;
    if steps == 0 {
        return;
    }
    // SAFETY: as in `turns`; each of the four pointers reads its quarter, 64 bytes a turn.
    unsafe {
        asm!(
            ".p2align 5",
            "2:",
            ".irp half, 0, 32",
            "vmovups ymm0, [{a} + rax + \\half]",
            "vmovups ymm1, [{b} + rax + \\half]",
            "vmovups ymm2, [{c} + rax + \\half]",
            "vmovups ymm3, [{d} + rax + \\half]",
            ".endr",
            "add rax, 64",
            "dec {steps}",
            "jnz 2b",
            "vzeroupper",
            a = in(reg) bytes.as_ptr(),
            b = in(reg) bytes.as_ptr().add(quarter),
            c = in(reg) bytes.as_ptr().add(2 * quarter),
            d = in(reg) bytes.as_ptr().add(3 * quarter),
            steps = inout(reg) steps => _,
            inout("rax") 0usize => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            // vzeroupper touches the upper halves of all, which no caller expects to be kept.
            options(nostack, readonly),
        );
    }
}
