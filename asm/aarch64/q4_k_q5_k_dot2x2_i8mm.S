// void quintile_q4_k_dot2x2_i8mm(const block_q4_k *row_0, const block_q4_k *row_1,
//                                const act_block *x_0, const act_block *x_1, size_t blocks, float out[2][2])
// and quintile_q5_k_dot2x2_i8mm
//
// Two rows times two rows of byte activations: four times the contract of src/kernels/qdot/mod.rs.
//
//     x0, x1  block of either row
//     x2, x3  block of activations of either column (320 bytes: 256 quants, 16 sums, 8 scales)
//     x4  blocks left         x5  out         x8, x9, x13, x14  scales and minimums of either row
//     x10, x11  constants
//     v0  acc, as all sums: row 0 times columns 0 and 1, row 1 times both        v1  0x0f in each byte
//     v2, v3  isum, msum
//     v4, v5  scales, bytes       v6, v7  sums of two sub-blocks      v16 to v31  quants, activations, temporary
//     v8 to v11  fifth bits of both rows (Q5_K)       v12  0x10 in each byte      [sp]  zeros, then d8 to d12
//
// smmla multiplies two rows of eight bytes by two columns of eight. So eight bytes of either row share a register, and
// are unpacked together; activations are interleaved likewise. Rows are interleaved before they are unpacked, which
// halves that. A lane of the sums is an element of the result: nothing is added across lanes. Minimums go by smmla too:
// their six bits are bytes as they are, and the sums of activations are split into two bytes.
//
// Slots of vector operations of a super-block, Q4_K: 34 smmla, 48 zip for quants and activations, 32 to unpack, 8 mla,
// 16 that spread scales, 7 for minimums, 12 for d and the chain: 157; Q5_K 64 more for fifth bits: 221. 64 loads. On the
// four vector pipes of Neoverse V1 39.3 and 55.3 cycles. Ordered for it by llvm-mca.

.macro Q4_K_2X2_UNPACK g
    INTERLEAVE  x0, x1, 16 + 32*\g, 20, 21, 22, 23
    and         v16.16b, v20.16b, v1.16b
    and         v17.16b, v21.16b, v1.16b
    and         v18.16b, v22.16b, v1.16b
    and         v19.16b, v23.16b, v1.16b
    ushr        v20.16b, v20.16b, #4
    ushr        v21.16b, v21.16b, #4
    ushr        v22.16b, v22.16b, #4
    ushr        v23.16b, v23.16b, #4
.endm

.macro Q5_K_2X2_UNPACK g
    INTERLEAVE  x0, x1, 48 + 32*\g, 20, 21, 22, 23
    and         v16.16b, v20.16b, v1.16b
    and         v17.16b, v21.16b, v1.16b
    and         v18.16b, v22.16b, v1.16b
    and         v19.16b, v23.16b, v1.16b
    ushr        v20.16b, v20.16b, #4
    ushr        v21.16b, v21.16b, #4
    ushr        v22.16b, v22.16b, #4
    ushr        v23.16b, v23.16b, #4
    Q5_K_2X2_FIFTH 2*\g, 16, 17, 18, 19
    Q5_K_2X2_FIFTH 2*\g + 1, 20, 21, 22, 23
.endm

// Bits j of v8 to v11 become the fifth ones of four registers of quants.
.macro Q5_K_2X2_FIFTH j, q0, q1, q2, q3
.if (\j) == 4
    bit         v\q0\().16b, v8.16b, v12.16b
    bit         v\q1\().16b, v9.16b, v12.16b
    bit         v\q2\().16b, v10.16b, v12.16b
    bit         v\q3\().16b, v11.16b, v12.16b
.else
.if (\j) < 4
    shl         v24.16b, v8.16b, #(4 - (\j))
    shl         v25.16b, v9.16b, #(4 - (\j))
    shl         v26.16b, v10.16b, #(4 - (\j))
    shl         v27.16b, v11.16b, #(4 - (\j))
.else
    ushr        v24.16b, v8.16b, #((\j) - 4)
    ushr        v25.16b, v9.16b, #((\j) - 4)
    ushr        v26.16b, v10.16b, #((\j) - 4)
    ushr        v27.16b, v11.16b, #((\j) - 4)
.endif
    bit         v\q0\().16b, v24.16b, v12.16b
    bit         v\q1\().16b, v25.16b, v12.16b
    bit         v\q2\().16b, v26.16b, v12.16b
    bit         v\q3\().16b, v27.16b, v12.16b
.endif
.endm

// Sub-blocks 2g and 2g + 1, unpacked by \unpack: v16 to v19 are the quants of the even one (elements 0 to 7, 8 to 15,
// and so on), v20 to v23 of the odd one. Their scales are made of v\bytes by \widen, four numbers for each of the rows'
// elements.
.macro K4_2X2_GROUP g, unpack, widen, bytes, size
    \unpack     \g
    INTERLEAVE  x2, x3, 64*\g, 28, 29, 30, 31
    ldp         q6, q7, [sp]
    smmla       v6.4s, v16.16b, v28.16b
    smmla       v6.4s, v17.16b, v29.16b
    smmla       v6.4s, v18.16b, v30.16b
    smmla       v6.4s, v19.16b, v31.16b
    INTERLEAVE  x2, x3, 64*\g + 32, 28, 29, 30, 31
    \widen      v16.8h, v\bytes\().\size, #0
    smmla       v7.4s, v20.16b, v28.16b
    smmla       v7.4s, v21.16b, v29.16b
    ushll       v17.4s, v16.4h, #0
    ushll2      v16.4s, v16.8h, #0
    smmla       v7.4s, v22.16b, v30.16b
    smmla       v7.4s, v23.16b, v31.16b
.if \g == 0
    mul         v2.4s, v6.4s, v17.4s
.else
    mla         v2.4s, v6.4s, v17.4s
.endif
    mla         v2.4s, v7.4s, v16.4s
.endm

.macro K4_2X2_BLOCK unpack, bytes
    K4_SCALES   x0, 8, 9
    K4_SCALES   x1, 13, 14
    // Bytes: scale j of the first row twice, then that of the second twice.
    fmov        d3, x8
    fmov        d4, x13
    zip1        v3.16b, v3.16b, v3.16b
    zip1        v4.16b, v4.16b, v4.16b
    zip2        v5.8h, v3.8h, v4.8h
    zip1        v4.8h, v3.8h, v4.8h
    K4_2X2_GROUP 0, \unpack, ushll, 4, 8b
    K4_2X2_GROUP 1, \unpack, ushll2, 4, 16b
    K4_2X2_GROUP 2, \unpack, ushll, 5, 8b
    // A sum of 32 activations is 256 times a signed byte, plus a signed byte.
    ldp         q16, q17, [x2, #256]
    ldp         q18, q19, [x3, #256]
    ldr         q3, [sp]
    fmov        d20, x9
    addp        v16.8h, v16.8h, v17.8h
    addp        v18.8h, v18.8h, v19.8h
    mov         v20.d[1], x14
    rshrn       v17.8b, v16.8h, #8
    rshrn2      v17.16b, v18.8h, #8
    uzp1        v16.16b, v16.16b, v18.16b
    smmla       v3.4s, v20.16b, v17.16b
    shl         v3.4s, v3.4s, #8
    smmla       v3.4s, v20.16b, v16.16b
    K4_2X2_GROUP 3, \unpack, ushll2, 5, 16b
    // acc = fma(d * dx, isum, acc), then fma(-(dmin * dx), msum, acc).
    ldr         w6, [x0], #\bytes
    ldr         w7, [x1], #\bytes
    ldr         w8, [x2, #288]
    ldr         w9, [x3, #288]
    orr         x6, x6, x7, lsl #32
    orr         x8, x8, x9, lsl #32
    fmov        d16, x6
    dup         v18.2d, x8
    fcvtl       v16.4s, v16.4h
    scvtf       v2.4s, v2.4s
    scvtf       v3.4s, v3.4s
    trn1        v17.4s, v16.4s, v16.4s
    trn2        v16.4s, v16.4s, v16.4s
    fmul        v17.4s, v17.4s, v18.4s
    fmul        v16.4s, v16.4s, v18.4s
    fmla        v0.4s, v17.4s, v2.4s
    fmls        v0.4s, v16.4s, v3.4s
    add         x2, x2, #320
    add         x3, x3, #320
    subs        x4, x4, #1
.endm

FUNCTION quintile_q4_k_dot2x2_i8mm, i8mm
    movi        v0.2d, #0
    cbz         x4, 20f
    ZEROS
    K4_CONSTANTS
    .p2align 5
10:
    K4_2X2_BLOCK Q4_K_2X2_UNPACK, 144
    b.ne        10b
    DROP_ZEROS
20:
    str         q0, [x5]
END quintile_q4_k_dot2x2_i8mm, i8mm

FUNCTION quintile_q5_k_dot2x2_i8mm, i8mm
    movi        v0.2d, #0
    cbz         x4, 20f
    stp         d8, d9, [sp, #-48]!
    .cfi_adjust_cfa_offset 48
    .cfi_offset b8, -48
    .cfi_offset b9, -40
    stp         d10, d11, [sp, #16]
    .cfi_offset b10, -32
    .cfi_offset b11, -24
    str         d12, [sp, #32]
    .cfi_offset b12, -16
    ZEROS
    K4_CONSTANTS
    movi        v12.16b, #0x10
    .p2align 5
10:
    INTERLEAVE  x0, x1, 16, 8, 9, 10, 11
    K4_2X2_BLOCK Q5_K_2X2_UNPACK, 176
    b.ne        10b
    DROP_ZEROS
    ldr         d12, [sp, #32]
    ldp         d10, d11, [sp, #16]
    ldp         d8, d9, [sp], #48
    .cfi_adjust_cfa_offset -48
    .cfi_restore b8
    .cfi_restore b9
    .cfi_restore b10
    .cfi_restore b11
    .cfi_restore b12
20:
    str         q0, [x5]
END quintile_q5_k_dot2x2_i8mm, i8mm
