// float quintile_q8_0_dot_neon(const block_q8_0 *row, const act_block *x, size_t blocks), and quintile_q8_0_dot_dotprod
//
// One Q8_0 row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs: lane b of the contract is
// lane b % 4 of v0 or, from b = 4 on, of v1.
//
//     x0  block of the row (34 bytes: d, 32 quants)
//     x1  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     x2  blocks left         x3  x0 + 128        x4, x5  scales; then the lane, on the stack, and its activations' scale
//     v0, v1  lanes       v2, v7  scales      v3, v4  those of activations, then products of both
//     v5, v6, v16 to v23, v28 to v31  loaded          v24 to v27  products
//
// Eight blocks: 16 sdot and 8 movi (no loads here: they would be as many as two pipes allow), or 32 smull, 8 saddlp and
// 8 sadalp; 6 addp, 12 slots for scales and lanes: 42 or 66 slots, 42 loads. On two pipes of either (Neoverse N1) 21
// cycles with sdot; of the other slots 40 take one of its pipes. On three of loads (Neoverse V1) 14. Ordered by
// llvm-mca for Neoverse N1, and for CPUs that take instructions in order: three or four chains of products side by
// side.

// Blocks 4 half to 4 half + 3 in v16 to v23, and the activations of the first three in v28 to v31, v5 and v6; x3 = x0 +
// 128, as offsets of ldur end at 255, and those of ldp are multiples of 16.
.macro Q8_0_LOAD_4 half
    ldur        q16, [x3, #136*\half + 2 - 128]
    ldur        q17, [x3, #136*\half + 18 - 128]
    ldp         q28, q29, [x1, #128*\half]
    ldur        q18, [x3, #136*\half + 36 - 128]
    ldur        q19, [x3, #136*\half + 52 - 128]
    ldp         q30, q31, [x1, #128*\half + 32]
    ldur        q20, [x3, #136*\half + 70 - 128]
    ldur        q21, [x3, #136*\half + 86 - 128]
    ldp         q5, q6, [x1, #128*\half + 64]
    ldur        q22, [x3, #136*\half + 104 - 128]
    ldur        q23, [x3, #136*\half + 120 - 128]
.endm

// Products of four blocks in the lanes of v24 to v27.
.macro Q8_0_SDOT_4 half
    Q8_0_LOAD_4 \half
    movi        v24.2d, #0
    movi        v25.2d, #0
    movi        v26.2d, #0
    movi        v27.2d, #0
    sdot        v24.4s, v16.16b, v28.16b
    sdot        v25.4s, v18.16b, v30.16b
    sdot        v26.4s, v20.16b, v5.16b
    sdot        v24.4s, v17.16b, v29.16b
    ldp         q28, q29, [x1, #128*\half + 96]
    sdot        v25.4s, v19.16b, v31.16b
    sdot        v26.4s, v21.16b, v6.16b
    sdot        v27.4s, v22.16b, v28.16b
    sdot        v27.4s, v23.16b, v29.16b
.endm

// Likewise without sdot. A lane adds up two products: 2 * 128 * 127 < 2^15.
.macro Q8_0_SMULL_4 half
    Q8_0_LOAD_4 \half
    smull       v24.8h, v16.8b, v28.8b
    smull       v25.8h, v18.8b, v30.8b
    smull       v26.8h, v20.8b, v5.8b
    smlal2      v24.8h, v16.16b, v28.16b
    smull       v16.8h, v17.8b, v29.8b
    smlal2      v25.8h, v18.16b, v30.16b
    smull       v18.8h, v19.8b, v31.8b
    smlal2      v26.8h, v20.16b, v5.16b
    smull       v20.8h, v21.8b, v6.8b
    smlal2      v16.8h, v17.16b, v29.16b
    ldp         q28, q29, [x1, #128*\half + 96]
    smlal2      v18.8h, v19.16b, v31.16b
    smlal2      v20.8h, v21.16b, v6.16b
    saddlp      v24.4s, v24.8h
    smull       v27.8h, v22.8b, v28.8b
    smull       v17.8h, v23.8b, v29.8b
    saddlp      v25.4s, v25.8h
    saddlp      v26.4s, v26.8h
    smlal2      v27.8h, v22.16b, v28.16b
    smlal2      v17.8h, v23.16b, v29.16b
    sadalp      v24.4s, v16.8h
    sadalp      v25.4s, v18.8h
    sadalp      v26.4s, v20.8h
    saddlp      v27.4s, v27.8h
    sadalp      v27.4s, v17.8h
.endm

// Products of one block, at x0 and x1, in the lanes of v24.
.macro Q8_0_LOAD_1
    add         x3, x0, #2
    ldp         q16, q17, [x3]
    ldp         q18, q19, [x1], #32
.endm

.macro Q8_0_SDOT_1
    Q8_0_LOAD_1
    movi        v24.2d, #0
    sdot        v24.4s, v16.16b, v18.16b
    sdot        v24.4s, v17.16b, v19.16b
.endm

.macro Q8_0_SMULL_1
    Q8_0_LOAD_1
    smull       v24.8h, v16.8b, v18.8b
    smull       v20.8h, v17.8b, v19.8b
    smlal2      v24.8h, v16.16b, v18.16b
    smlal2      v20.8h, v17.16b, v19.16b
    saddlp      v24.4s, v24.8h
    sadalp      v24.4s, v20.8h
.endm

.macro Q8_0_DOT products
    movi        v0.2d, #0
    movi        v1.2d, #0
    subs        x2, x2, #8
    b.lo        20f
    .p2align 5
10:
    add         x3, x0, #128
    Q8_0_SCALES x0, 0, 4
    Q8_0_SCALES x0, 4, 5
    fmov        d2, x4
    fmov        d7, x5
    ldp         q3, q4, [x1, #288]
    fcvtl       v2.4s, v2.4h
    fcvtl       v7.4s, v7.4h
    fmul        v3.4s, v3.4s, v2.4s
    fmul        v4.4s, v4.4s, v7.4s
    // lane = fma(d * dx, isum, lane): that of the first four blocks along with the second four.
    \products\()_4 0
    addp        v2.4s, v24.4s, v25.4s
    addp        v7.4s, v26.4s, v27.4s
    \products\()_4 1
    addp        v2.4s, v2.4s, v7.4s
    addp        v24.4s, v24.4s, v25.4s
    addp        v26.4s, v26.4s, v27.4s
    scvtf       v2.4s, v2.4s
    addp        v24.4s, v24.4s, v26.4s
    fmla        v0.4s, v3.4s, v2.4s
    scvtf       v24.4s, v24.4s
    fmla        v1.4s, v4.4s, v24.4s
    add         x0, x0, #272
    add         x1, x1, #320
    subs        x2, x2, #8
    b.hs        10b
20:
    // The last 0 to 7 blocks, one at a time: lanes without a block are left alone.
    adds        x2, x2, #8
    b.eq        40f
    stp         q0, q1, [sp, #-32]!
    .cfi_adjust_cfa_offset 32
    mov         x4, sp
    add         x5, x1, #288
30:
    \products\()_1
    ldr         h2, [x0], #34
    ldr         s3, [x5], #4
    ldr         s4, [x4]
    addv        s24, v24.4s
    fcvt        s2, h2
    fmul        s2, s2, s3
    scvtf       s24, s24
    fmadd       s4, s2, s24, s4
    str         s4, [x4], #4
    subs        x2, x2, #1
    b.ne        30b
    ldp         q0, q1, [sp], #32
    .cfi_adjust_cfa_offset -32
40:
    faddp       v0.4s, v0.4s, v1.4s
    faddp       v0.4s, v0.4s, v0.4s
    faddp       s0, v0.2s
.endm

FUNCTION quintile_q8_0_dot_neon
    Q8_0_DOT    Q8_0_SMULL
END quintile_q8_0_dot_neon

FUNCTION quintile_q8_0_dot_dotprod, dotprod
    Q8_0_DOT    Q8_0_SDOT
END quintile_q8_0_dot_dotprod, dotprod
