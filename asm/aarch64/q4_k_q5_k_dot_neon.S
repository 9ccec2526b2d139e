// float quintile_q4_k_dot_neon(const block_q4_k *row, const act_block *x, size_t blocks), and quintile_q4_k_dot_dotprod,
// quintile_q5_k_dot_neon, quintile_q5_k_dot_dotprod
//
// One row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs. The functions differ in what is unpacked
// (Q4_K, Q5_K) and in how bytes are multiplied (smull, sdot).
//
//     x0  block of the row (144 or 176 bytes: d, dmin, 12 bytes of scales, for Q5_K 32 of fifth bits, 128 of nibbles)
//     x1  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     x2  blocks left         x8, x9  scales, minimums        x10, x11  constants
//     s0  acc         v1  0x0f in each byte       v2  0x10        v3, v4  fifth bits      v5  scales      v6, v7  temporary
//     v16 to v23  quants and activations of two sub-blocks        v24  products; then the sum of minimums     v25 to v27  temporary
//     v28 to v31  sums            [sp]  32 bytes of zeros (dotprod)
//
// sdot: sixteen products are one operation, and the eight sums of sub-blocks are put in order by six addp, so that two
// multiplications apply the scales. By lane (mla with an element) would be eight, each of two slots on Neoverse N1.
// Vector operations of a super-block, Q4_K: 16 sdot, 16 to unpack, 6 addp, 3 + 4 for scales, 4 for minimums, 9 for d and the chain:
// 58 slots; Q5_K: 30 more for fifth bits, which are shifted to bit 4 and inserted: 88. 34 loads. On the two vector pipes of
// Neoverse N1 29 and 44 cycles, on three (Apple M1 as LLVM models it) 19.3 and 29.3, on four (Neoverse V1) 14.5 and 22.
//
// smull: eight products are one operation. Sums of sixteen bits hold a sub-block, so that the scales are applied by smlal with an
// element, which also widens: six operations for 32 products, and no horizontal sums but one addp for two sub-blocks.
// Q4_K: 32 smull, 16 to unpack, 12 for scales, 14 for the rest: 74; Q5_K 104. Of these 42 multiply, and Neoverse N1 does that on one
// of its pipes. Ordered for Neoverse N1 by llvm-mca.

// The sum of minimums (x9) times sums of activations, in the lanes of v24. Takes v6 and v7.
.macro K4_MINS
    fmov        d7, x9
    ldp         q6, q24, [x1, #256]
    ushll       v7.8h, v7.8b, #0
    addp        v6.8h, v6.8h, v24.8h
    smull       v24.4s, v6.4h, v7.4h
    smlal2      v24.4s, v6.8h, v7.8h
.endm

// s0 = fma(d * dx, isum, s0), then fma(-(dmin * dx), msum, s0), with sums in the lanes of v28 and v24; then the next block.
.macro K4_CHAIN bytes
    ldr         h16, [x0]
    ldr         h17, [x0, #2]
    ldr         s18, [x1, #288]
    addp        v28.4s, v28.4s, v24.4s
    fcvt        s16, h16
    fcvt        s17, h17
    addp        v28.4s, v28.4s, v28.4s
    fmul        s16, s16, s18
    fmul        s17, s17, s18
    scvtf       v28.2s, v28.2s
    fmla        s0, s16, v28.s[0]
    fmls        s0, s17, v28.s[1]
    add         x0, x0, #\bytes
    add         x1, x1, #320
    subs        x2, x2, #1
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
    Q5_K_FIFTH  2*\g, 3, 22
    Q5_K_FIFTH  2*\g, 4, 23
    Q5_K_FIFTH  2*\g + 1, 3, 16
    Q5_K_FIFTH  2*\g + 1, 4, 17
.endm

// Bit j of the bytes of v\qh becomes the fifth of those of v\quants. Takes v26.
.macro Q5_K_FIFTH j, qh, quants
.if (\j) < 4
    shl         v26.16b, v\qh\().16b, #(4 - (\j))
    bit         v\quants\().16b, v26.16b, v2.16b
.elseif (\j) == 4
    bit         v\quants\().16b, v\qh\().16b, v2.16b
.else
    ushr        v26.16b, v\qh\().16b, #((\j) - 4)
    bit         v\quants\().16b, v26.16b, v2.16b
.endif
.endm

// What is unpacked times its activations, by sdot: in the lanes of v\even and v\odd.
.macro K4_SDOT even, odd
    ldp         q\even, q\odd, [sp]
    sdot        v\even\().4s, v22.16b, v18.16b
    sdot        v\odd\().4s, v16.16b, v20.16b
    sdot        v\even\().4s, v23.16b, v19.16b
    sdot        v\odd\().4s, v17.16b, v21.16b
.endm

// A block: sums of eight sub-blocks in order by a tree of addp, in two registers, times their scales.
.macro K4_SDOT_BLOCK unpack, bytes
    K4_SCALES   x0, 8, 9
    \unpack     0
    K4_SDOT     28, 29
    \unpack     1
    K4_SDOT     30, 31
    fmov        d5, x8
    ushll       v5.8h, v5.8b, #0
    addp        v28.4s, v28.4s, v29.4s
    addp        v30.4s, v30.4s, v31.4s
    ushll       v6.4s, v5.4h, #0
    ushll2      v5.4s, v5.8h, #0
    addp        v28.4s, v28.4s, v30.4s
    mul         v28.4s, v28.4s, v6.4s
    \unpack     2
    K4_SDOT     29, 30
    \unpack     3
    K4_SDOT     31, 27
    K4_MINS
    addp        v29.4s, v29.4s, v30.4s
    addp        v31.4s, v31.4s, v27.4s
    addp        v29.4s, v29.4s, v31.4s
    mla         v28.4s, v29.4s, v5.4s
    K4_CHAIN    \bytes
.endm

// What is unpacked times its activations, by smull. A lane adds up four products, and eight after addp: 8 * 31 * 127 < 2^15.
// Times their scales, v5, the sums of the even sub-block go to v28 and those of the odd one to v29, by instructions that are
// called \first and \first\()2.
.macro K4_SMULL g, first
    smull       v24.8h, v22.8b, v18.8b
    smull       v25.8h, v16.8b, v20.8b
    smlal2      v24.8h, v22.16b, v18.16b
    smlal2      v25.8h, v16.16b, v20.16b
    smlal       v24.8h, v23.8b, v19.8b
    smlal       v25.8h, v17.8b, v21.8b
    smlal2      v24.8h, v23.16b, v19.16b
    smlal2      v25.8h, v17.16b, v21.16b
    addp        v24.8h, v24.8h, v25.8h
    \first      v28.4s, v24.4h, v5.h[2*\g]
    \first\()2  v29.4s, v24.8h, v5.h[2*\g + 1]
.endm

.macro K4_SMULL_BLOCK unpack, bytes
    K4_SCALES   x0, 8, 9
    fmov        d5, x8
    ushll       v5.8h, v5.8b, #0
    \unpack     0
    K4_SMULL    0, smull
    \unpack     1
    K4_SMULL    1, smlal
    \unpack     2
    K4_SMULL    2, smlal
    \unpack     3
    K4_SMULL    3, smlal
    K4_MINS
    add         v28.4s, v28.4s, v29.4s
    K4_CHAIN    \bytes
.endm

FUNCTION quintile_q4_k_dot_neon
    movi        v0.2d, #0
    cbz         x2, 20f
    K4_CONSTANTS
    .p2align 5
10:
    K4_SMULL_BLOCK Q4_K_UNPACK, 144
    b.ne        10b
20:
END quintile_q4_k_dot_neon

FUNCTION quintile_q5_k_dot_neon
    movi        v0.2d, #0
    cbz         x2, 20f
    K4_CONSTANTS
    movi        v2.16b, #0x10
    .p2align 5
10:
    ldp         q3, q4, [x0, #16]
    K4_SMULL_BLOCK Q5_K_UNPACK, 176
    b.ne        10b
20:
END quintile_q5_k_dot_neon

FUNCTION quintile_q4_k_dot_dotprod, dotprod
    movi        v0.2d, #0
    cbz         x2, 20f
    ZEROS
    K4_CONSTANTS
    .p2align 5
10:
    K4_SDOT_BLOCK Q4_K_UNPACK, 144
    b.ne        10b
    DROP_ZEROS
20:
END quintile_q4_k_dot_dotprod, dotprod

FUNCTION quintile_q5_k_dot_dotprod, dotprod
    movi        v0.2d, #0
    cbz         x2, 20f
    ZEROS
    K4_CONSTANTS
    movi        v2.16b, #0x10
    .p2align 5
10:
    ldp         q3, q4, [x0, #16]
    K4_SDOT_BLOCK Q5_K_UNPACK, 176
    b.ne        10b
    DROP_ZEROS
20:
END quintile_q5_k_dot_dotprod, dotprod
