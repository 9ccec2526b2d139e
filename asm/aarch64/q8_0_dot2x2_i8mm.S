// void quintile_q8_0_dot2x2_i8mm(const block_q8_0 *row_0, const block_q8_0 *row_1,
//                                const act_block *x_0, const act_block *x_1, size_t blocks, float out[2][2])
//
// Two Q8_0 rows times two rows of byte activations: four times the contract of src/kernels/qdot/mod.rs, whose lane b is
// v(16 + b).
//
//     x0, x1  block of either row         x2, x3  block of activations of either column       x4  blocks left
//     x5  out
//     x6 to x12  temporary            v0 to v3  products of the scales of four blocks
//     v4 to v7, v24 to v31  temporary
//     v16 to v23  lanes, in each: row 0 times columns 0 and 1, row 1 times both
//
// Eight blocks: 32 smmla, 64 zip that bring eight bytes of both rows, or columns, into a register, 8 movi, 24 slots for
// the conversion and the lanes, 32 for scales: 160 slots, on four pipes (Neoverse V1) 40 cycles; 86 loads. Ordered for
// Neoverse V1 by llvm-mca.

// Scales of blocks 4 half to 4 half + 3, of two rows and two columns: their four products, by block, in v0 to v3.
.macro Q8_0_2X2_SCALES half
    Q8_0_SCALES x0, 4*\half, 9
    Q8_0_SCALES x1, 4*\half, 10
    fmov        d4, x9
    fmov        d5, x10
    ldr         q6, [x2, #288 + 16*\half]
    ldr         q7, [x3, #288 + 16*\half]
    fcvtl       v4.4s, v4.4h
    fcvtl       v5.4s, v5.4h
    fmul        v0.4s, v4.4s, v6.4s
    fmul        v1.4s, v4.4s, v7.4s
    fmul        v2.4s, v5.4s, v6.4s
    fmul        v3.4s, v5.4s, v7.4s
    zip1        v4.4s, v0.4s, v1.4s
    zip2        v5.4s, v0.4s, v1.4s
    zip1        v6.4s, v2.4s, v3.4s
    zip2        v7.4s, v2.4s, v3.4s
    zip1        v0.2d, v4.2d, v6.2d
    zip2        v1.2d, v4.2d, v6.2d
    zip1        v2.2d, v5.2d, v7.2d
    zip2        v3.2d, v5.2d, v7.2d
.endm

// The products of block \b of both rows and of both columns, in v4, as f32; x11 = x0 + 128, x12 = x1 + 128.
.macro Q8_0_2X2_PRODUCTS b
    ldur        q24, [x11, #34*(\b) + 2 - 128]
    ldur        q25, [x11, #34*(\b) + 18 - 128]
    ldur        q26, [x12, #34*(\b) + 2 - 128]
    ldur        q27, [x12, #34*(\b) + 18 - 128]
    ldp         q28, q29, [x2, #32*(\b)]
    ldp         q30, q31, [x3, #32*(\b)]
    movi        v4.2d, #0
    zip1        v5.2d, v24.2d, v26.2d
    zip1        v6.2d, v28.2d, v30.2d
    zip2        v24.2d, v24.2d, v26.2d
    zip2        v28.2d, v28.2d, v30.2d
    smmla       v4.4s, v5.16b, v6.16b
    zip1        v5.2d, v25.2d, v27.2d
    zip1        v6.2d, v29.2d, v31.2d
    smmla       v4.4s, v24.16b, v28.16b
    zip2        v25.2d, v25.2d, v27.2d
    zip2        v29.2d, v29.2d, v31.2d
    smmla       v4.4s, v5.16b, v6.16b
    smmla       v4.4s, v25.16b, v29.16b
    scvtf       v4.4s, v4.4s
.endm

.macro Q8_0_2X2_HALF half, l0, l1, l2, l3
    Q8_0_2X2_SCALES \half
    Q8_0_2X2_PRODUCTS 4*\half
    fmla        v\l0\().4s, v0.4s, v4.4s
    Q8_0_2X2_PRODUCTS 4*\half + 1
    fmla        v\l1\().4s, v1.4s, v4.4s
    Q8_0_2X2_PRODUCTS 4*\half + 2
    fmla        v\l2\().4s, v2.4s, v4.4s
    Q8_0_2X2_PRODUCTS 4*\half + 3
    fmla        v\l3\().4s, v3.4s, v4.4s
.endm

FUNCTION quintile_q8_0_dot2x2_i8mm, i8mm
.irp lane, 16, 17, 18, 19, 20, 21, 22, 23
    movi        v\lane\().2d, #0
.endr
    subs        x4, x4, #8
    b.lo        20f
    .p2align 5
10:
    add         x11, x0, #128
    add         x12, x1, #128
    Q8_0_2X2_HALF 0, 16, 17, 18, 19
    Q8_0_2X2_HALF 1, 20, 21, 22, 23
    add         x0, x0, #272
    add         x1, x1, #272
    add         x2, x2, #320
    add         x3, x3, #320
    subs        x4, x4, #8
    b.hs        10b
20:
    // The last 0 to 7 blocks, one at a time: lanes without a block are left alone.
    adds        x4, x4, #8
    b.eq        40f
    sub         sp, sp, #128
    .cfi_adjust_cfa_offset 128
    stp         q16, q17, [sp]
    stp         q18, q19, [sp, #32]
    stp         q20, q21, [sp, #64]
    stp         q22, q23, [sp, #96]
    mov         x6, sp
    add         x7, x2, #288
    add         x8, x3, #288
30:
    add         x11, x0, #128
    add         x12, x1, #128
    Q8_0_2X2_PRODUCTS 0
    ldr         h0, [x0], #34
    ldr         h1, [x1], #34
    ldr         s2, [x7], #4
    ldr         s3, [x8], #4
    ldr         q5, [x6]
    zip1        v0.4h, v0.4h, v1.4h
    zip1        v2.2s, v2.2s, v3.2s
    fcvtl       v0.4s, v0.4h
    zip1        v0.4s, v0.4s, v0.4s
    dup         v2.2d, v2.d[0]
    fmul        v0.4s, v0.4s, v2.4s
    fmla        v5.4s, v0.4s, v4.4s
    str         q5, [x6], #16
    add         x2, x2, #32
    add         x3, x3, #32
    subs        x4, x4, #1
    b.ne        30b
    ldp         q16, q17, [sp]
    ldp         q18, q19, [sp, #32]
    ldp         q20, q21, [sp, #64]
    ldp         q22, q23, [sp, #96]
    add         sp, sp, #128
    .cfi_adjust_cfa_offset -128
40:
    fadd        v16.4s, v16.4s, v17.4s
    fadd        v18.4s, v18.4s, v19.4s
    fadd        v20.4s, v20.4s, v21.4s
    fadd        v22.4s, v22.4s, v23.4s
    fadd        v16.4s, v16.4s, v18.4s
    fadd        v20.4s, v20.4s, v22.4s
    fadd        v16.4s, v16.4s, v20.4s
    str         q16, [x5]
END quintile_q8_0_dot2x2_i8mm, i8mm
