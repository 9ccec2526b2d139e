// float quintile_q6_k_dot_neon(const block_q6_k *row, const act_block *x, size_t blocks), and quintile_q6_k_dot_dotprod
//
// One Q6_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
//     x0  block of the row (210 bytes: 128 of low nibbles, 64 of top bits, 16 scales, d)
//     x1  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     x2  blocks left         x3  the block's top bits
//     s0  acc         v1, v2  masks (smull: 0x0f, 0x30; sdot: 0xc0, 0xaa, and in v3 0xf0)
//     smull:  v3, v4  top bits        v5  scales      v16 to v27  quants, activations     v6, v7, v30, v31  products
//             v28, v29  sums; then isum and the scale of the chain
//     sdot:   v4, v5  top bits        v6, v7, v16 to v21  quants, activations     v22  isum
//             v23  scales; then that of the chain     v24 to v31  sums of sub-blocks      [sp]  32 bytes of zeros
//
// Quants are stored plus 32. Where sdot multiplies, a quant lies in the upper six bits of a byte, its top bit inverted:
// four times the quant less 32, without a subtraction, as the last two bits of isum are taken off by the conversion to
// f32. With smull, products of that size would not fit i16: 32 times the sums of activations is subtracted in the end,
// by their scales.
//
// Vector operations of a super-block, sdot: 16 sdot, 44 to unpack, 12 addp that put the sums in order, 6 + 8 slots for
// scales, 5 for the chain: 91 slots, on two pipes (Neoverse N1) 45.5 cycles, on three (Apple M1 as LLVM models it) 29,
// on four (Neoverse V1) 22. smull: 32, 44 to unpack, 8 addp, 16 smlal by scales, 8 for what is subtracted, 6 for the
// chain: 114, of which 52 multiply, on one pipe of Neoverse N1. Ordered by llvm-mca for Neoverse N1, and for CPUs that
// take instructions in order (Cortex-A53, A55): the chain of f32 is one block late.

// Four sub-blocks whose quants are \w0 to \w3, their activations at \at, interleaved for CPUs that take instructions in
// order. A lane of a product adds up two, and four after addp: 4 * 63 * 127 < 2^15. Times their scales, elements of v5
// from \first on, the sums go to v28 and v29, by instructions that are called \scale and \scale\()2, then smlal.
.macro Q6_K_SMULL at, w0, w1, w2, w3, first, scale
    ldp         q24, q25, [x1, #\at]
    ldp         q26, q27, [x1, #\at + 32]
    smull       v6.8h, v\w0\().8b, v24.8b
    smull       v7.8h, v\w1\().8b, v25.8b
    smull       v30.8h, v\w2\().8b, v26.8b
    smull       v31.8h, v\w3\().8b, v27.8b
    smlal2      v6.8h, v\w0\().16b, v24.16b
    smlal2      v7.8h, v\w1\().16b, v25.16b
    smlal2      v30.8h, v\w2\().16b, v26.16b
    smlal2      v31.8h, v\w3\().16b, v27.16b
    addp        v6.8h, v6.8h, v7.8h
    addp        v30.8h, v30.8h, v31.8h
    \scale      v28.4s, v6.4h, v5.h[\first]
    \scale\()2  v29.4s, v6.8h, v5.h[\first + 1]
    smlal       v28.4s, v30.4h, v5.h[\first + 2]
    smlal2      v29.4s, v30.8h, v5.h[\first + 3]
.endm

// Sub-blocks 8 h to 8 h + 7, with the scales v5.
.macro Q6_K_SMULL_HALF h, scale
    ldp         q16, q17, [x0, #64*\h]
    ldp         q3, q4, [x3, #32*\h]
    ldp         q18, q19, [x0, #64*\h + 32]
    and         v20.16b, v16.16b, v1.16b
    and         v21.16b, v17.16b, v1.16b
    shl         v24.16b, v3.16b, #4
    shl         v25.16b, v4.16b, #4
    and         v22.16b, v18.16b, v1.16b
    and         v23.16b, v19.16b, v1.16b
    shl         v26.16b, v3.16b, #2
    shl         v27.16b, v4.16b, #2
    bit         v20.16b, v24.16b, v2.16b
    bit         v21.16b, v25.16b, v2.16b
    bit         v22.16b, v26.16b, v2.16b
    bit         v23.16b, v27.16b, v2.16b
    ushr        v16.16b, v16.16b, #4
    ushr        v17.16b, v17.16b, #4
    ushr        v18.16b, v18.16b, #4
    ushr        v19.16b, v19.16b, #4
    Q6_K_SMULL  128*\h, 20, 21, 22, 23, 0, \scale
    bit         v16.16b, v3.16b, v2.16b
    bit         v17.16b, v4.16b, v2.16b
    ushr        v3.16b, v3.16b, #2
    ushr        v4.16b, v4.16b, #2
    bit         v18.16b, v3.16b, v2.16b
    bit         v19.16b, v4.16b, v2.16b
    Q6_K_SMULL  128*\h + 64, 16, 17, 18, 19, 4, smlal
.endm

FUNCTION quintile_q6_k_dot_neon
    movi        v0.2d, #0
    cbz         x2, 20f
    movi        v1.16b, #0x0f
    movi        v2.16b, #0x30
    movi        v28.2d, #0
    movi        v29.2d, #0
    .p2align 5
10:
    // The chain is that of the block before, of which isum lies in the lanes of v28, and the scale in s29.
    add         x3, x0, #128
    ldr         q5, [x3, #64]
    addv        s28, v28.4s
    sshll       v5.8h, v5.8b, #0
    scvtf       s28, s28
    fmadd       s0, s29, s28, s0
    Q6_K_SMULL_HALF 0, smull
    ldr         q5, [x3, #64]
    sshll2      v5.8h, v5.16b, #0
    Q6_K_SMULL_HALF 1, smlal
    // Quants are stored plus 32: 32 times a scale times the sum of its activations is too much.
    ldr         q6, [x3, #64]
    ldp         q16, q17, [x1, #256]
    shl         v5.8h, v5.8h, #5
    sshll       v6.8h, v6.8b, #5
    ldr         h18, [x3, #80]
    ldr         s19, [x1, #288]
    smlsl       v28.4s, v5.4h, v17.4h
    smlsl2      v29.4s, v5.8h, v17.8h
    fcvt        s18, h18
    smlsl       v28.4s, v6.4h, v16.4h
    smlsl2      v29.4s, v6.8h, v16.8h
    add         x0, x0, #210
    add         x1, x1, #320
    subs        x2, x2, #1
    add         v28.4s, v28.4s, v29.4s
    fmul        s29, s18, s19
    b.ne        10b
    addv        s28, v28.4s
    scvtf       s28, s28
    fmadd       s0, s29, s28, s0
20:
END quintile_q6_k_dot_neon

// Products of sub-blocks 8 h + 2 b, b = 0 or 1, and the next: low nibbles of v\ql0 and v\ql1.
.macro Q6_K_LOW h, b, ql0, ql1, even, odd
    shl         v20.16b, v\ql0\().16b, #2
    shl         v21.16b, v\ql1\().16b, #2
.if \b == 0
    sli         v20.16b, v4.16b, #6
    sli         v21.16b, v5.16b, #6
.else
    shl         v6.16b, v4.16b, #4
    shl         v7.16b, v5.16b, #4
    bit         v20.16b, v6.16b, v1.16b
    bit         v21.16b, v7.16b, v1.16b
.endif
    ldp         q6, q7, [x1, #128*\h + 32*\b]
    ldp         q\even, q\odd, [sp]
    sdot        v\even\().4s, v20.16b, v6.16b
    sdot        v\odd\().4s, v21.16b, v7.16b
.endm

// Products of sub-blocks 8 h + 2 b, b = 2 or 3, and the next: high nibbles. v\t0 and v\t1 get the quants; for b = 3
// they are v4 and v5, whose top bits are in place.
.macro Q6_K_HIGH h, b, ql0, ql1, even, odd, t0, t1
    and         v20.16b, v\ql0\().16b, v3.16b
    and         v21.16b, v\ql1\().16b, v3.16b
.if \b == 2
    shl         v\t0\().16b, v4.16b, #2
    shl         v\t1\().16b, v5.16b, #2
.endif
    sri         v\t0\().16b, v20.16b, #2
    sri         v\t1\().16b, v21.16b, #2
    ldp         q20, q21, [x1, #128*\h + 32*\b]
    ldp         q\even, q\odd, [sp]
    sdot        v\even\().4s, v\t0\().16b, v20.16b
    sdot        v\odd\().4s, v\t1\().16b, v21.16b
.endm

// The sums of sub-blocks 8 h to 8 h + 7, in order, in v24 and v28.
.macro Q6_K_HALF h
    ldp         q4, q5, [x3, #32*\h]
    ldp         q16, q17, [x0, #64*\h]
    ldp         q18, q19, [x0, #64*\h + 32]
    eor         v4.16b, v4.16b, v2.16b
    eor         v5.16b, v5.16b, v2.16b
    Q6_K_LOW    \h, 0, 16, 17, 24, 25
    Q6_K_LOW    \h, 1, 18, 19, 26, 27
    Q6_K_HIGH   \h, 2, 16, 17, 28, 29, 6, 7
    Q6_K_HIGH   \h, 3, 18, 19, 30, 31, 4, 5
    addp        v24.4s, v24.4s, v25.4s
    addp        v26.4s, v26.4s, v27.4s
    addp        v28.4s, v28.4s, v29.4s
    addp        v30.4s, v30.4s, v31.4s
    addp        v24.4s, v24.4s, v26.4s
    addp        v28.4s, v28.4s, v30.4s
.endm

FUNCTION quintile_q6_k_dot_dotprod, dotprod
    movi        v0.2d, #0
    cbz         x2, 20f
    ZEROS
    movi        v1.16b, #0xc0
    movi        v2.16b, #0xaa
    movi        v3.16b, #0xf0
    movi        v22.2d, #0
    movi        v23.2d, #0
    .p2align 5
10:
    // The chain is that of the block before, of which isum lies in the lanes of v22, and the scale in s23.
    addv        s22, v22.4s
    add         x3, x0, #128
    scvtf       s22, s22, #2
    fmadd       s0, s23, s22, s0
    Q6_K_HALF   0
    ldr         q23, [x3, #64]
    sshll       v20.8h, v23.8b, #0
    sshll       v21.4s, v20.4h, #0
    sshll2      v20.4s, v20.8h, #0
    mul         v22.4s, v24.4s, v21.4s
    mla         v22.4s, v28.4s, v20.4s
    Q6_K_HALF   1
    sshll2      v20.8h, v23.16b, #0
    ldr         h16, [x3, #80]
    ldr         s17, [x1, #288]
    sshll       v21.4s, v20.4h, #0
    sshll2      v20.4s, v20.8h, #0
    fcvt        s16, h16
    mla         v22.4s, v24.4s, v21.4s
    add         x0, x0, #210
    add         x1, x1, #320
    subs        x2, x2, #1
    mla         v22.4s, v28.4s, v20.4s
    fmul        s23, s16, s17
    b.ne        10b
    addv        s22, v22.4s
    scvtf       s22, s22, #2
    fmadd       s0, s23, s22, s0
    DROP_ZEROS
20:
END quintile_q6_k_dot_dotprod, dotprod
