// float quintile_dot_f32_neon(const float *a, const float *b, size_t n)
//
// The inner product by the contract of 64 lanes (src/kernels/dot/mod.rs): sixteen accumulators, lane j of the contract
// in lane j % 4 of v(16 + j / 4).
//
//     x0  a          x1  b          x2  elements left
//     x3  elements of the last register, 0 to 3        x4  elements of whole registers before it
//     x5, x6  where it is loaded from
//     v16 to v31  the lanes       v0, v1  the last register's elements       v2  where those are       v3 to v7  loaded
//
// A block of 64 elements: 32 registers loaded, in pairs; 16 fmla. Two loads a cycle (Neoverse N1) bound it to 16 cycles,
// three (Neoverse V1) to 10.7; two multiply-adds a cycle take 8. Ordered for Neoverse N1 by llvm-mca.

// Four registers of lanes from v\l0.
.macro DOT_F32_16 offset, l0, l1, l2, l3
    ldp         q0, q1, [x0, #\offset]
    ldp         q2, q3, [x1, #\offset]
    ldp         q4, q5, [x0, #\offset + 32]
    ldp         q6, q7, [x1, #\offset + 32]
    fmla        v\l0\().4s, v0.4s, v2.4s
    fmla        v\l1\().4s, v1.4s, v3.4s
    fmla        v\l2\().4s, v4.4s, v6.4s
    fmla        v\l3\().4s, v5.4s, v7.4s
.endm

FUNCTION quintile_dot_f32_neon
.irp lanes, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    movi        v\lanes\().2d, #0
.endr
    subs        x2, x2, #64
    b.lo        20f
    .p2align 5
10:
    DOT_F32_16  0, 16, 17, 18, 19
    DOT_F32_16  64, 20, 21, 22, 23
    DOT_F32_16  128, 24, 25, 26, 27
    DOT_F32_16  192, 28, 29, 30, 31
    add         x0, x0, #256
    add         x1, x1, #256
    subs        x2, x2, #64
    b.hs        10b
20:
    // The last 0 to 63 elements: whole registers, then one of 1 to 3 elements, which are loaded beforehand.
    ands        x2, x2, #63
    b.eq        40f
    and         x3, x2, #3
    sub         x4, x2, x3
    add         x5, x0, x4, lsl #2
    add         x6, x1, x4, lsl #2
    movi        v0.2d, #0
    movi        v1.2d, #0
    movi        v2.2d, #0
    cbz         x3, 30f
    ldr         s0, [x5]
    ldr         s1, [x6]
    movi        d2, #0x00000000ffffffff
    tbz         x3, #1, 30f
    ldr         d0, [x5]
    ldr         d1, [x6]
    movi        d2, #0xffffffffffffffff
    tbz         x3, #0, 30f
    ldr         s3, [x5, #8]
    ldr         s4, [x6, #8]
    mov         v0.s[2], v3.s[0]
    mov         v1.s[2], v4.s[0]
    mov         v2.s[2], v2.s[0]
30:
.irp lanes, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    cbz         x4, 3\lanes\()f
    ldr         q3, [x0], #16
    ldr         q4, [x1], #16
    sub         x4, x4, #4
    fmla        v\lanes\().4s, v3.4s, v4.4s
.endr
    // Sixteen whole registers are a block, so that only the last one is left.
.irp lanes, 31, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
3\lanes\():
    // Absent lanes are left alone: adding 0 * 0 would turn a lane of -0 into +0.
    mov         v3.16b, v\lanes\().16b
    fmla        v3.4s, v0.4s, v1.4s
    bit         v\lanes\().16b, v3.16b, v2.16b
    b           40f
.endr
40:
    fadd        v16.4s, v16.4s, v24.4s
    fadd        v17.4s, v17.4s, v25.4s
    fadd        v18.4s, v18.4s, v26.4s
    fadd        v19.4s, v19.4s, v27.4s
    fadd        v20.4s, v20.4s, v28.4s
    fadd        v21.4s, v21.4s, v29.4s
    fadd        v22.4s, v22.4s, v30.4s
    fadd        v23.4s, v23.4s, v31.4s
    fadd        v16.4s, v16.4s, v20.4s
    fadd        v17.4s, v17.4s, v21.4s
    fadd        v18.4s, v18.4s, v22.4s
    fadd        v19.4s, v19.4s, v23.4s
    fadd        v16.4s, v16.4s, v18.4s
    fadd        v17.4s, v17.4s, v19.4s
    fadd        v0.4s, v16.4s, v17.4s
    ext         v1.16b, v0.16b, v0.16b, #8
    fadd        v0.2s, v0.2s, v1.2s
    faddp       s0, v0.2s
END quintile_dot_f32_neon
