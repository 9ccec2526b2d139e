// What every file here begins and ends its functions with.
//
//     FUNCTION name       an aligned, global entry named name + the crate's version
//     END name            zeroes the upper halves, returns, and closes the function
//
// and, where registers do not suffice,
//
//     FRAME bytes         so many bytes at [rsp], which is a multiple of 64
//     END_FRAME           gives them back
//
// All functions are leaves of the System V convention (on every system: Rust declares them
// `extern "sysv64"`): arguments in rdi, rsi, rdx, rcx, r8, r9; result in xmm0. They use no callee-saved register but rbp, for
// the frame; without one, the CFI of the entry holds throughout. Intel syntax.
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

.macro FRAME bytes
    push        rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    mov         rbp, rsp
    .cfi_def_cfa_register rbp
    sub         rsp, \bytes
    and         rsp, -64
.endm

.macro END_FRAME
    mov         rsp, rbp
    pop         rbp
    .cfi_def_cfa rsp, 8
.endm

// The 64 lanes of ymm0 to ymm7, folded in halves: xmm0.
.macro FOLD_LANES
    vaddps      ymm0, ymm0, ymm4
    vaddps      ymm1, ymm1, ymm5
    vaddps      ymm2, ymm2, ymm6
    vaddps      ymm3, ymm3, ymm7
    vaddps      ymm0, ymm0, ymm2
    vaddps      ymm1, ymm1, ymm3
    vaddps      ymm0, ymm0, ymm1
    vextractf128 xmm1, ymm0, 1
    vaddps      xmm0, xmm0, xmm1
    vmovhlps    xmm1, xmm0, xmm0
    vaddps      xmm0, xmm0, xmm1
    vmovshdup   xmm1, xmm0
    vaddss      xmm0, xmm0, xmm1
.endm
