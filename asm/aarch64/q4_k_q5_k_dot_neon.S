// float quintile_q4_k_dot_neon(const block_q4_k *row, const act_block *x, size_t blocks), and quintile_q4_k_dot_dotprod,
// quintile_q5_k_dot_neon, quintile_q5_k_dot_dotprod
//
// One row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs. The functions differ in what
// is unpacked (Q4_K, Q5_K) and in how bytes are multiplied (smull, sdot).
//
//     x0  block of the row (144 or 176 bytes: d, dmin, 12 bytes of scales, for Q5_K 32 of fifth bits, 128 of nibbles)
//     x1  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     x2  blocks left         x8, x9  scales, minimums        x10, x11  constants         x6, x7, x12, x15  temporary
//     s0  acc         v1  0x0f in each byte       v2  0x10        v3, v4  fifth bits      v5  scales
//     v16 to v23  quants and activations
//     v28  isum; then, folded with msum, what the chain of the next block adds
//     sdot:   v24, v25  scales of the chain       v27, v29 to v31  sums of sub-blocks     v6, v7, v26  temporary
//             [sp]  zeros
//     smull:  v29, v30  scales of the chain; before, sums and products        v6, v7, v31  products
//             v24 to v27  activations
//
// sdot: sixteen products are one operation. The eight sums of sub-blocks are put in order by six addp, so that two
// multiplications apply the scales: by element (mla) there would be eight, each of two slots on Neoverse N1. Slots of
// vector operations of a super-block, Q4_K: 16 sdot, 16 to unpack, 6 addp, 7 for scales, 4 for minimums, 9 for d and
// the chain: 58; Q5_K: 30 more for fifth bits, which are shifted to bit 4 and inserted: 88. 34 loads. On the two vector
// pipes of Neoverse N1 29 and 44 cycles, on three (Apple M1 as LLVM models it) 19.3 and 29.3, on four (Neoverse V1)
// 14.5 and 22.
//
// smull: eight products are one operation. Sums of sixteen bits hold a sub-block, so that the scales are applied by
// smlal with an element, which also widens: five operations for 32 products, and no horizontal sums but one addp for
// two sub-blocks. Q4_K: 32 smull, 16 to unpack, 13 for scales, 14 for the rest: 75; Q5_K 105. Of these 42 multiply, on
// one pipe of Neoverse N1: 43 and 52 cycles.
//
// Ordered by llvm-mca for Neoverse N1, and for CPUs that take instructions in order (Cortex-A53, A55): four chains of
// products side by side, and the chain of f32 one block late.

// s0 = fma(d * dx, isum, s0), then fma(-(dmin * dx), msum, s0): scales in s\d and s\m, sums in v28, as folded by addp
// once: isum twice, then msum twice, to be added. In the loops, the chain is that of the block before, in between the
// work on the next: so nothing waits for it, and it begins with zeros.
.macro K4_CHAIN d, m
    addp        v28.4s, v28.4s, v28.4s
    scvtf       v28.2s, v28.2s
    fmla        s0, s\d, v28.s[0]
    fmls        s0, s\m, v28.s[1]
.endm

// Sub-blocks 2g and 2g + 1: v22, v23 and v16, v17 become the quants, v18, v19 and v20, v21 the activations.
.macro Q4_K_UNPACK g
    ldp         q16, q17, [x0, #16 + 32*\g]
    ldp         q18, q19, [x1, #64*\g]
    ldp         q20, q21, [x1, #64*\g + 32]
    and         v22.16b, v16.16b, v1.16b
    and         v23.16b, v17.16b, v1.16b
    ushr        v16.16b, v16.16b, #4
    ushr        v17.16b, v17.16b, #4
.endm

.macro Q5_K_UNPACK g
    ldp         q16, q17, [x0, #48 + 32*\g]
    ldp         q18, q19, [x1, #64*\g]
    ldp         q20, q21, [x1, #64*\g + 32]
    and         v22.16b, v16.16b, v1.16b
    and         v23.16b, v17.16b, v1.16b
    ushr        v16.16b, v16.16b, #4
    ushr        v17.16b, v17.16b, #4
    Q5_K_FIFTHS 2*\g, 22, 23, 16, 17, 6, 7, 26, 6
.endm

// Bits j of v3 and v4 become the fifth ones of v\e0 and v\e1, bits j + 1 those of v\o0 and v\o1. Takes v\t0 to v\t3, of
// which the last may be the first.
.macro Q5_K_FIFTHS j, e0, e1, o0, o1, t0, t1, t2, t3
.if (\j) == 4
    ushr        v\t2\().16b, v3.16b, #1
    bit         v\e0\().16b, v3.16b, v2.16b
    ushr        v\t3\().16b, v4.16b, #1
    bit         v\e1\().16b, v4.16b, v2.16b
.elseif (\j) < 4
    shl         v\t0\().16b, v3.16b, #(4 - (\j))
    shl         v\t1\().16b, v4.16b, #(4 - (\j))
    shl         v\t2\().16b, v3.16b, #(3 - (\j))
    bit         v\e0\().16b, v\t0\().16b, v2.16b
    shl         v\t3\().16b, v4.16b, #(3 - (\j))
    bit         v\e1\().16b, v\t1\().16b, v2.16b
.else
    ushr        v\t0\().16b, v3.16b, #((\j) - 4)
    ushr        v\t1\().16b, v4.16b, #((\j) - 4)
    ushr        v\t2\().16b, v3.16b, #((\j) - 3)
    bit         v\e0\().16b, v\t0\().16b, v2.16b
    ushr        v\t3\().16b, v4.16b, #((\j) - 3)
    bit         v\e1\().16b, v\t1\().16b, v2.16b
.endif
    bit         v\o0\().16b, v\t2\().16b, v2.16b
    bit         v\o1\().16b, v\t3\().16b, v2.16b
.endm

// What is unpacked times its activations, by sdot: in the lanes of v\even and v\odd.
.macro K4_SDOT even, odd
    ldp         q\even, q\odd, [sp]
    sdot        v\even\().4s, v22.16b, v18.16b
    sdot        v\odd\().4s, v16.16b, v20.16b
    sdot        v\even\().4s, v23.16b, v19.16b
    sdot        v\odd\().4s, v17.16b, v21.16b
.endm

// A block, and the chain of the one before. The sums of eight sub-blocks are put in order by a tree of addp, in two
// registers, which are multiplied by the scales.
.macro K4_SDOT_BLOCK unpack, bytes
    addp        v28.4s, v28.4s, v28.4s
    K4_SCALES   x0, 8, 9
    scvtf       v28.2s, v28.2s
    \unpack     0
    fmla        s0, s25, v28.s[0]
    K4_SDOT     29, 30
    \unpack     1
    fmls        s0, s24, v28.s[1]
    K4_SDOT     31, 27
    fmov        d5, x8
    ushll       v5.8h, v5.8b, #0
    addp        v29.4s, v29.4s, v30.4s
    addp        v31.4s, v31.4s, v27.4s
    ushll       v6.4s, v5.4h, #0
    ushll2      v5.4s, v5.8h, #0
    addp        v28.4s, v29.4s, v31.4s
    mul         v28.4s, v28.4s, v6.4s
    \unpack     2
    K4_SDOT     29, 30
    \unpack     3
    K4_SDOT     31, 27
    fmov        d7, x9
    ldp         q6, q24, [x1, #256]
    ldr         h16, [x0], #\bytes
    ldur        h17, [x0, #2 - \bytes]
    ldr         s18, [x1, #288]
    ushll       v7.8h, v7.8b, #0
    addp        v6.8h, v6.8h, v24.8h
    addp        v29.4s, v29.4s, v30.4s
    addp        v31.4s, v31.4s, v27.4s
    smull       v24.4s, v6.4h, v7.4h
    fcvt        s16, h16
    fcvt        s17, h17
    addp        v29.4s, v29.4s, v31.4s
    smlal2      v24.4s, v6.8h, v7.8h
    fmul        s25, s16, s18
    mla         v28.4s, v29.4s, v5.4s
    add         x1, x1, #320
    subs        x2, x2, #1
    addp        v28.4s, v28.4s, v24.4s
    fmul        s24, s17, s18
.endm

.macro K4_SDOT_LOOP unpack, bytes
    movi        v0.2d, #0
    cbz         x2, 20f
    ZEROS
    K4_CONSTANTS
    movi        v24.2d, #0
    movi        v25.2d, #0
    movi        v28.2d, #0
    .p2align 5
10:
.if \bytes == 176
    ldp         q3, q4, [x0, #16]
.endif
    K4_SDOT_BLOCK \unpack, \bytes
    b.ne        10b
    K4_CHAIN    25, 24
    DROP_ZEROS
20:
.endm

// Sub-blocks 4p to 4p + 3, two pairs of which are interleaved for CPUs that take instructions in order. Quants of the
// even ones: v20 and v21, v22 and v23; of the odd ones: v16 and v17, v18 and v19.
.macro Q4_K_UNPACK_4 p, nibbles=16
    ldp         q16, q17, [x0, #\nibbles + 64*\p]
    ldp         q18, q19, [x0, #\nibbles + 64*\p + 32]
    and         v20.16b, v16.16b, v1.16b
    and         v21.16b, v17.16b, v1.16b
    and         v22.16b, v18.16b, v1.16b
    and         v23.16b, v19.16b, v1.16b
    ushr        v16.16b, v16.16b, #4
    ushr        v17.16b, v17.16b, #4
    ushr        v18.16b, v18.16b, #4
    ushr        v19.16b, v19.16b, #4
.endm

.macro Q5_K_UNPACK_4 p
    Q4_K_UNPACK_4 \p, 48
    Q5_K_FIFTHS 4*\p, 20, 21, 16, 17, 24, 25, 26, 27
    Q5_K_FIFTHS 4*\p + 2, 22, 23, 18, 19, 24, 25, 26, 27
.endm

// What is unpacked times its activations, by smull: a lane of v6, v7, v30 and v31 adds up four products.
.macro K4_SMULL p
    ldr         q24, [x1, #128*\p]
    ldr         q25, [x1, #128*\p + 32]
    ldr         q26, [x1, #128*\p + 64]
    ldr         q27, [x1, #128*\p + 96]
    smull       v6.8h, v20.8b, v24.8b
    smull       v7.8h, v16.8b, v25.8b
    smull       v30.8h, v22.8b, v26.8b
    smull       v31.8h, v18.8b, v27.8b
    smlal2      v6.8h, v20.16b, v24.16b
    smlal2      v7.8h, v16.16b, v25.16b
    smlal2      v30.8h, v22.16b, v26.16b
    smlal2      v31.8h, v18.16b, v27.16b
    ldr         q24, [x1, #128*\p + 16]
    ldr         q25, [x1, #128*\p + 48]
    ldr         q26, [x1, #128*\p + 80]
    ldr         q27, [x1, #128*\p + 112]
    smlal       v6.8h, v21.8b, v24.8b
    smlal       v7.8h, v17.8b, v25.8b
    smlal       v30.8h, v23.8b, v26.8b
    smlal       v31.8h, v19.8b, v27.8b
    smlal2      v6.8h, v21.16b, v24.16b
    smlal2      v7.8h, v17.16b, v25.16b
    smlal2      v30.8h, v23.16b, v26.16b
    smlal2      v31.8h, v19.16b, v27.16b
.endm

// Those sums times their scales, v5, to v28 and v29: after addp a lane is one of eight products, 8 * 31 * 127 < 2^15.
.macro K4_SCALE p, first
    addp        v6.8h, v6.8h, v7.8h
    addp        v30.8h, v30.8h, v31.8h
    \first      v28.4s, v6.4h, v5.h[4*\p]
    \first\()2  v29.4s, v6.8h, v5.h[4*\p + 1]
    smlal       v28.4s, v30.4h, v5.h[4*\p + 2]
    smlal2      v29.4s, v30.8h, v5.h[4*\p + 3]
.endm

// A block, and the chain of the one before.
.macro K4_SMULL_BLOCK unpack, bytes
    addp        v28.4s, v28.4s, v28.4s
    K4_SCALES   x0, 8, 9
    fmov        d5, x8
    scvtf       v28.2s, v28.2s
    \unpack     0
    ushll       v5.8h, v5.8b, #0
    fmla        s0, s30, v28.s[0]
    K4_SMULL    0
    fmls        s0, s29, v28.s[1]
    K4_SCALE    0, smull
    \unpack     1
    K4_SMULL    1
    fmov        d16, x9
    ldp         q17, q18, [x1, #256]
    ldr         h19, [x0], #\bytes
    ldur        h20, [x0, #2 - \bytes]
    ldr         s21, [x1, #288]
    ushll       v16.8h, v16.8b, #0
    K4_SCALE    1, smlal
    addp        v17.8h, v17.8h, v18.8h
    fcvt        s19, h19
    fcvt        s20, h20
    smull       v22.4s, v17.4h, v16.4h
    fmul        s30, s19, s21
    add         v28.4s, v28.4s, v29.4s
    fmul        s29, s20, s21
    smlal2      v22.4s, v17.8h, v16.8h
    add         x1, x1, #320
    subs        x2, x2, #1
    addp        v28.4s, v28.4s, v22.4s
.endm

.macro K4_SMULL_LOOP unpack, bytes
    movi        v0.2d, #0
    cbz         x2, 20f
    K4_CONSTANTS
    movi        v28.2d, #0
    movi        v29.2d, #0
    movi        v30.2d, #0
    .p2align 5
10:
.if \bytes == 176
    ldp         q3, q4, [x0, #16]
.endif
    K4_SMULL_BLOCK \unpack, \bytes
    b.ne        10b
    K4_CHAIN    30, 29
20:
.endm

FUNCTION quintile_q4_k_dot_neon
    K4_SMULL_LOOP Q4_K_UNPACK_4, 144
END quintile_q4_k_dot_neon

FUNCTION quintile_q5_k_dot_neon
    movi        v2.16b, #0x10
    K4_SMULL_LOOP Q5_K_UNPACK_4, 176
END quintile_q5_k_dot_neon

FUNCTION quintile_q4_k_dot_dotprod, dotprod
    K4_SDOT_LOOP Q4_K_UNPACK, 144
END quintile_q4_k_dot_dotprod, dotprod

FUNCTION quintile_q5_k_dot_dotprod, dotprod
    movi        v2.16b, #0x10
    K4_SDOT_LOOP Q5_K_UNPACK, 176
END quintile_q5_k_dot_dotprod, dotprod
