// void quintile_q6_k_dot2x2_i8mm(const block_q6_k *row_0, const block_q6_k *row_1,
//                                const act_block *x_0, const act_block *x_1, size_t blocks, float out[2][2])
//
// Two Q6_K rows times two rows of byte activations: four times the contract of src/kernels/qdot/mod.rs.
//
//     x0, x1  block of either row         x2, x3  block of activations of either column       x4  blocks left
//     x5  out
//     x6, x7  top bits, scales and d of either block          x8, x9, x12  temporary
//     v0  acc, as all sums: row 0 times columns 0 and 1, row 1 times both     v1, v2, v3  0xc0, 0xaa, 0xf0 in each byte
//     v4  isum        v5, v6  scales of eight sub-blocks, bytes       v7  of two, 16 bits      v30, v31  of one
//     v16 to v19  top bits        v20 to v23  low bits        v24, v25  quants        v26 to v29  activations, sums
//     [sp]  zeros
//
// As in q4_k_q5_k_dot2x2_i8mm.S, eight bytes of either row share a register; quants are four times themselves, as in
// q6_k_dot_neon.S.
//
// Slots of vector operations of a super-block: 32 smmla, 24 zip for quants and 32 for activations, 88 to unpack, 16
// mla, 32 that spread scales, 8 for d and the chain: 232, on four pipes (Neoverse V1) 58 cycles. 80 loads. Ordered for
// Neoverse V1 by llvm-mca.

// Quants of low nibbles, in v24 and v25: b = 0 or 1.
.macro Q6_K_2X2_LOW b, qh0, qh1, ql0, ql1
    shl         v24.16b, v\ql0\().16b, #2
    shl         v25.16b, v\ql1\().16b, #2
.if \b == 0
    sli         v24.16b, v\qh0\().16b, #6
    sli         v25.16b, v\qh1\().16b, #6
.else
    shl         v26.16b, v\qh0\().16b, #4
    shl         v27.16b, v\qh1\().16b, #4
    bit         v24.16b, v26.16b, v1.16b
    bit         v25.16b, v27.16b, v1.16b
.endif
.endm

// Quants of high nibbles: for b = 2 in v24 and v25; for b = 3, whose top bits are in place, in v\qh0 and v\qh1.
.macro Q6_K_2X2_HIGH b, qh0, qh1, ql0, ql1
    and         v26.16b, v\ql0\().16b, v3.16b
    and         v27.16b, v\ql1\().16b, v3.16b
.if \b == 2
    shl         v24.16b, v\qh0\().16b, #2
    shl         v25.16b, v\qh1\().16b, #2
    sri         v24.16b, v26.16b, #2
    sri         v25.16b, v27.16b, #2
.else
    sri         v\qh0\().16b, v26.16b, #2
    sri         v\qh1\().16b, v27.16b, #2
.endif
.endm

// Adds a sub-block: quants v\w0 (elements 0 to 7 of both rows) and v\w1 (8 to 15), activations at \at, scales v\scale.
.macro Q6_K_2X2 w0, w1, at, scale
    ldr         q26, [x2, #\at]
    ldr         q27, [x3, #\at]
    ldr         q29, [sp]
    zip1        v28.2d, v26.2d, v27.2d
    zip2        v26.2d, v26.2d, v27.2d
    smmla       v29.4s, v\w0\().16b, v28.16b
    smmla       v29.4s, v\w1\().16b, v26.16b
    mla         v4.4s, v29.4s, v\scale\().4s
.endm

// Sub-blocks 8 h + 2 b and the next, by \unpack, which leaves their quants in v\w0 to v\w3. Their scales are v\bytes,
// widened by \widen.
.macro Q6_K_2X2_PAIR h, b, unpack, w0, w1, w2, w3, widen, bytes, size
    \widen      v7.8h, v\bytes\().\size, #0
    \unpack     \b, 16, 17, 20, 21
    sshll       v30.4s, v7.4h, #0
    Q6_K_2X2    \w0, \w1, 128*\h + 32*\b, 30
    \unpack     \b, 18, 19, 22, 23
    sshll2      v31.4s, v7.8h, #0
    Q6_K_2X2    \w2, \w3, 128*\h + 32*\b + 16, 31
.endm

.macro Q6_K_2X2_HALF h
    INTERLEAVE  x6, x7, 32*\h, 16, 17, 18, 19
    INTERLEAVE  x0, x1, 64*\h, 20, 21, 22, 23
    eor         v16.16b, v16.16b, v2.16b
    eor         v17.16b, v17.16b, v2.16b
    eor         v18.16b, v18.16b, v2.16b
    eor         v19.16b, v19.16b, v2.16b
    Q6_K_2X2_PAIR \h, 0, Q6_K_2X2_LOW, 24, 25, 24, 25, sshll, 5, 8b
    Q6_K_2X2_PAIR \h, 2, Q6_K_2X2_HIGH, 24, 25, 24, 25, sshll, 6, 8b
    INTERLEAVE  x0, x1, 64*\h + 32, 20, 21, 22, 23
    Q6_K_2X2_PAIR \h, 1, Q6_K_2X2_LOW, 24, 25, 24, 25, sshll2, 5, 16b
    Q6_K_2X2_PAIR \h, 3, Q6_K_2X2_HIGH, 16, 17, 18, 19, sshll2, 6, 16b
.endm

FUNCTION quintile_q6_k_dot2x2_i8mm, i8mm
    movi        v0.2d, #0
    cbz         x4, 20f
    ZEROS
    movi        v1.16b, #0xc0
    movi        v2.16b, #0xaa
    movi        v3.16b, #0xf0
    .p2align 5
10:
    add         x6, x0, #128
    add         x7, x1, #128
    ldr         q24, [x6, #64]
    ldr         q25, [x7, #64]
    movi        v4.2d, #0
    zip1        v5.16b, v24.16b, v24.16b
    zip1        v7.16b, v25.16b, v25.16b
    zip2        v6.8h, v5.8h, v7.8h
    zip1        v5.8h, v5.8h, v7.8h
    Q6_K_2X2_HALF 0
    ldr         q24, [x6, #64]
    ldr         q25, [x7, #64]
    zip2        v5.16b, v24.16b, v24.16b
    zip2        v7.16b, v25.16b, v25.16b
    zip2        v6.8h, v5.8h, v7.8h
    zip1        v5.8h, v5.8h, v7.8h
    Q6_K_2X2_HALF 1
    ldrh        w8, [x6, #80]
    ldrh        w9, [x7, #80]
    orr         w8, w8, w9, lsl #16
    ldr         w9, [x2, #288]
    ldr         w12, [x3, #288]
    fmov        s16, w8
    orr         x9, x9, x12, lsl #32
    fcvtl       v16.4s, v16.4h
    dup         v17.2d, x9
    scvtf       v4.4s, v4.4s, #2
    zip1        v16.4s, v16.4s, v16.4s
    fmul        v16.4s, v16.4s, v17.4s
    fmla        v0.4s, v16.4s, v4.4s
    add         x0, x0, #210
    add         x1, x1, #210
    add         x2, x2, #320
    add         x3, x3, #320
    subs        x4, x4, #1
    b.ne        10b
    DROP_ZEROS
20:
    str         q0, [x5]
END quintile_q6_k_dot2x2_i8mm, i8mm
