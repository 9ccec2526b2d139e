// What every file here begins and ends its functions with.
//
//     FUNCTION name       an aligned, global entry named name + the crate's version
//     END name            zeroes the upper halves, returns, and closes the function
//
// All functions are leaves of the System V convention (on every system: Rust declares them
// `extern "sysv64"`): arguments in rdi, rsi, rdx, rcx, r8, r9; result in xmm0. They use no stack and no
// callee-saved register, so the CFI of the entry holds throughout. Intel syntax.
//
// The macros OPEN_SYMBOL and CLOSE_SYMBOL come from src/kernels/assembly.rs, which knows the object format.

.macro FUNCTION name
    .p2align 5
    OPEN_SYMBOL \name
    .cfi_startproc
    endbr64
.endm

.macro END name
    vzeroupper
    ret
    .cfi_endproc
    CLOSE_SYMBOL \name
.endm
