// What every file here begins and ends its functions with.
//
//     FUNCTION name, extension    an aligned, global entry named name + the crate's version
//     END name, extension         returns, and closes the function
//     ZEROS, DROP_ZEROS           32 bytes of zeros at sp; and the stack as it was
//
// All functions are leaves of AAPCS64 (Rust declares them `extern "C"`): arguments in x0 to x5, result in s0. x18 and
// x19 to x29 are never used; of v8 to v15, whose lower halves belong to the caller, only what a function saves. An
// extension of the baseline is named for one function alone. Constants are built in registers: code need not be
// readable as data.
//
// The macros OPEN_SYMBOL and CLOSE_SYMBOL come from src/kernels/assembly.rs, which knows the object format.

.macro FUNCTION name, extension
.ifnb \extension
    .arch_extension \extension
.endif
    .p2align 5
    OPEN_SYMBOL \name
    .cfi_startproc
    // bti c: a landing place for indirect calls; nothing on CPUs that do not ask for one.
    hint        #34
.endm

.macro END name, extension
    ret
    .cfi_endproc
    CLOSE_SYMBOL \name
.ifnb \extension
    .arch_extension no\extension
.endif
.endm

// A register that dots are added to starts as zeros. Those are loaded, in pairs: movi takes a vector pipe, and these
// bound the loops, where loads leave half of theirs unused.
.macro ZEROS
    stp         xzr, xzr, [sp, #-32]!
    .cfi_adjust_cfa_offset 32
    stp         xzr, xzr, [sp, #16]
.endm

.macro DROP_ZEROS
    add         sp, sp, #32
    .cfi_adjust_cfa_offset -32
.endm

// Unpacks scales and minimums of the block of Q4_K or Q5_K at \row: eight bytes each, in x\scales and x\mins. Takes x6,
// x7, x12 and x15; w10, w11 and v1 are K4_CONSTANTS.
.macro K4_SCALES row, scales, mins
    ldp         w6, w7, [\row, #4]
    ldr         w12, [\row, #12]
    and         w\scales, w6, #0x3f3f3f3f
    and         w\mins, w7, #0x3f3f3f3f
    and         w6, w10, w6, lsr #2
    and         w7, w10, w7, lsr #2
    and         w15, w11, w12
    and         w12, w11, w12, lsr #4
    orr         w6, w6, w15
    orr         w7, w7, w12
    orr         x\scales, x\scales, x6, lsl #32
    orr         x\mins, x\mins, x7, lsl #32
.endm

.macro K4_CONSTANTS
    mov         w10, #0x30303030
    mov         w11, #0x0f0f0f0f
    movi        v1.16b, #0x0f
.endm

// The scales of blocks \b to \b + 3 of Q8_0 at \row, f16, in x\to. Takes x6 to x8. They lie 34 bytes apart, and come by
// way of integer registers, as a load to an element takes a vector pipe.
.macro Q8_0_SCALES row, b, to
    ldrh        w\to, [\row, #34*(\b)]
    ldrh        w6, [\row, #34*(\b) + 34]
    ldrh        w7, [\row, #34*(\b) + 68]
    ldrh        w8, [\row, #34*(\b) + 102]
    orr         w\to, w\to, w6, lsl #16
    orr         w7, w7, w8, lsl #16
    orr         x\to, x\to, x7, lsl #32
.endm

// 32 bytes at \p + \at and at \q + \at: bytes 0 to 7 of both in v\t0, then 8 to 15, 16 to 23 and 24 to 31. Takes v24 to
// v27.
.macro INTERLEAVE p, q, at, t0, t1, t2, t3
    ldp         q24, q25, [\p, #\at]
    ldp         q26, q27, [\q, #\at]
    zip1        v\t0\().2d, v24.2d, v26.2d
    zip2        v\t1\().2d, v24.2d, v26.2d
    zip1        v\t2\().2d, v25.2d, v27.2d
    zip2        v\t3\().2d, v25.2d, v27.2d
.endm
