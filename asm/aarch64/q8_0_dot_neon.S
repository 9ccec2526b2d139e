// float quintile_q8_0_dot_neon(const block_q8_0 *row, const act_block *x, size_t blocks), and quintile_q8_0_dot_dotprod
//
// One Q8_0 row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs: lane b of the contract is lane b % 4
// of v0 or, from b = 4 on, of v1.
//
//     x0  block of the row (34 bytes: d, 32 quants)           x1  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     x2  blocks left         x3  x0 + 128        x4  scales; then the lane, on the stack     x5  its activations' scale
//     v0, v1  lanes       v2  scales      v3, v4  scales of activations       v16 to v20  loaded      v24 to v27  products
//
// Eight blocks: 16 sdot (or 32 smull, 8 saddlp, 8 sadalp), 8 movi (no loads here: they would be as many as two pipes
// allow), 6 addp, 12 slots for scales and lanes: 42 or 66 slots; 42 loads. On two pipes of either (Neoverse N1) 21 and 33 cycles; smull,
// smlal2 and sadalp share its pipes one to one, so 44; on three of loads (Neoverse V1) 14. Ordered for Neoverse N1 by llvm-mca.

// Block \b, in v16 and v17, and its activations, in v18 and v19; x3 = x0 + 128, as offsets of ldur end at 255, and those of ldp are
// multiples of 16.
.macro Q8_0_LOAD b
    ldur        q16, [x3, #34*(\b) + 2 - 128]
    ldur        q17, [x3, #34*(\b) + 18 - 128]
    ldp         q18, q19, [x1, #32*(\b)]
.endm

// Products of what is loaded, in the lanes of v\to.
.macro Q8_0_SDOT to
    movi        v\to\().2d, #0
    sdot        v\to\().4s, v16.16b, v18.16b
    sdot        v\to\().4s, v17.16b, v19.16b
.endm

// Likewise without sdot. A lane adds up two products: 2 * 128 * 127 < 2^15. Takes v20.
.macro Q8_0_SMULL to
    smull       v\to\().8h, v16.8b, v18.8b
    smull       v20.8h, v17.8b, v19.8b
    smlal2      v\to\().8h, v16.16b, v18.16b
    smlal2      v20.8h, v17.16b, v19.16b
    saddlp      v\to\().4s, v\to\().8h
    sadalp      v\to\().4s, v20.8h
.endm

// lane = fma(d * dx, isum, lane) of the four lanes v\lane: scales in x\d and v\dx, products in v24 to v27.
.macro Q8_0_LANES lane, d, dx
    fmov        d2, x\d
    addp        v24.4s, v24.4s, v25.4s
    addp        v26.4s, v26.4s, v27.4s
    fcvtl       v2.4s, v2.4h
    addp        v24.4s, v24.4s, v26.4s
    fmul        v2.4s, v2.4s, v\dx\().4s
    scvtf       v24.4s, v24.4s
    fmla        v\lane\().4s, v2.4s, v24.4s
.endm

// Four blocks.
.macro Q8_0_HALF half, products, lane, dx
    Q8_0_SCALES x0, 4*\half, 4
    Q8_0_LOAD   4*\half
    \products   24
    Q8_0_LOAD   4*\half + 1
    \products   25
    Q8_0_LOAD   4*\half + 2
    \products   26
    Q8_0_LOAD   4*\half + 3
    \products   27
    Q8_0_LANES  \lane, 4, \dx
.endm

.macro Q8_0_DOT products
    movi        v0.2d, #0
    movi        v1.2d, #0
    subs        x2, x2, #8
    b.lo        20f
    .p2align 5
10:
    add         x3, x0, #128
    ldp         q3, q4, [x1, #288]
    Q8_0_HALF   0, \products, 0, 3
    Q8_0_HALF   1, \products, 1, 4
    add         x0, x0, #272
    add         x1, x1, #320
    subs        x2, x2, #8
    b.hs        10b
20:
    // The last 0 to 7 blocks, one at a time: lanes without a block are left alone.
    adds        x2, x2, #8
    b.eq        40f
    stp         q0, q1, [sp, #-32]!
    .cfi_def_cfa_offset 32
    mov         x4, sp
    add         x5, x1, #288
30:
    add         x3, x0, #128
    Q8_0_LOAD   0
    \products   24
    ldr         h2, [x0], #34
    ldr         s3, [x5], #4
    ldr         s4, [x4]
    addv        s24, v24.4s
    fcvt        s2, h2
    fmul        s2, s2, s3
    scvtf       s24, s24
    fmadd       s4, s2, s24, s4
    str         s4, [x4], #4
    add         x1, x1, #32
    subs        x2, x2, #1
    b.ne        30b
    ldp         q0, q1, [sp], #32
    .cfi_def_cfa_offset 0
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
