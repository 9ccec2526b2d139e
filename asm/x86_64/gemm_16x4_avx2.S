// void quintile_gemm_{q4_0,q4_1,q5_0,q5_1,q8_0}_16x{1,4}_avx2(const uint8_t *w, size_t second, const act_block *x,
//     size_t stride, tile *lanes, size_t blocks)
//
// Adds blocks of 32 values of sixteen rows and 1 or 4 columns to the eight lanes of their elements, by the contract of
// src/kernels/qdot/mod.rs. The first block belongs to lane 0. src/kernels/gemm/avx2/blocks_of_32 has the structures.
//
//     rdi  eight rows        rdx  activations of the first column     r8   lanes, and behind each eight registers to spare
//     rsi  the other eight   r10  their sums and scales               r9   blocks to come
//     rcx  bytes from column to column, rax three times these         r11  blocks to come of eight
//     ymm0 to ymm7    sums: of column c and the first eight rows 2 c, of the others 2 c + 1
//     ymm8, ymm9      weights, four values of each row; then the scales of the rows
//     ymm10 to ymm13  activations, products; then what an offset adds, scales of the columns, products of scales
//     ymm14, ymm15    minus the offset, and ones, in 16 bits
//
// Weights of q8_0 have a sign and eight bits: too many for vpmaddubsw. ymm8 and ymm9 hold all ones where they are negative, ymm10 and
// ymm11 their magnitudes, ymm12 activations. x xor -1 is -x - 1, and the sums of negative weights make up for the ones.
//
// Of 32 values of eight rows and one column, per format: operations, and how many of them multiply, which are what two
// multipliers (Zen) are busy with; what belongs to a column alone serves two registers of rows.
//
//     q4_0   8 vpmaddubsw, 7 vpaddw, 1 vpmaddwd, 1 vpaddd, 3 in f32, 0.5 for the offset   20.5   11.5
//     q4_1   without the vpaddd, with a vmulps, a vfmadd, and 1 for the sum of activations   22   13.5
//     q5_0   sums of four vpmaddubsw are widened: 1 vpmaddwd more   21.5   12.5
//     q5_1   so here   23   14.5
//     q8_0   8 vpxor, 8 vpmaddubsw, 8 vpmaddwd, 8 vpaddd, 3 in f32   35   18
//
// So the bounds are 5.75, 6.75, 6.25, 7.25 and 9 cycles for 256 products on two multipliers; 6.8, 7.3, 7.2, 7.7 and 11.7 on three
// vector ports (Intel). Measured on Zen 5, over rows of 1536: 6.6, 7.6, 6.9, 7.7 and 10.0. Without the additions of products
// (wrong, but of interest) 6.0, 7.1, 6.6, 7.6 and 9.6, and without loads nothing changes: they take pipes that multiply.
//
// Loads: 16 of weights (q8_0: 32), 32 of activations, some 20 of scales and lanes, for eight registers of sums, in 46
// cycles or more: two ports keep up.

.set TILE_BLOCK, 16*32
.set TILE_BSUMS, 256
.set TILE_DX, 256 + 32
.set TILE_ACT_BLOCK, 320

// \macro for each column: address of its activations, of its scales, and its two sums.
.macro TILE_EACH n, macro, more:vararg
    \macro rdx, r10, 0, 1, \more
.if \n == 4
    \macro rdx+rcx, r10+rcx, 2, 3, \more
    \macro rdx+2*rcx, r10+2*rcx, 4, 5, \more
    \macro rdx+rax, r10+rax, 6, 7, \more
.endif
.endm

// Four values of each row, at \at of a column; unsigned weights.
.macro TILE_UNSIGNED q, scales, a, b, at, first
    vpbroadcastd ymm10, [\q+\at]
.if \first
    vpmaddubsw  ymm\a, ymm8, ymm10
    vpmaddubsw  ymm\b, ymm9, ymm10
.else
    vpmaddubsw  ymm11, ymm8, ymm10
    vpmaddubsw  ymm12, ymm9, ymm10
    vpaddw      ymm\a, ymm\a, ymm11
    vpaddw      ymm\b, ymm\b, ymm12
.endif
.endm

// The same, of weights with a sign, in 32 bits. At first, with what makes up for the ones.
.macro TILE_SIGNED q, scales, a, b, at, first
    vpbroadcastd ymm12, [\q+\at]
    vpxor       ymm13, ymm12, ymm8
    vpxor       ymm14, ymm12, ymm9
    vpmaddubsw  ymm13, ymm10, ymm13
    vpmaddubsw  ymm14, ymm11, ymm14
.if \first
    vpmaddwd    ymm\a, ymm13, ymm15
    vpmaddwd    ymm\b, ymm14, ymm15
    vpaddd      ymm\a, ymm\a, [rdi + 512 + 32]
    vpaddd      ymm\b, ymm\b, [rsi + 512 + 32]
.else
    vpmaddwd    ymm13, ymm13, ymm15
    vpmaddwd    ymm14, ymm14, ymm15
    vpaddd      ymm\a, ymm\a, ymm13
    vpaddd      ymm\b, ymm\b, ymm14
.endif
.endm

// Sums of 16 values, in 32 bits, to the spare registers.
.macro TILE_SPARE q, scales, a, b, none
    vpmaddwd    ymm\a, ymm\a, ymm15
    vpmaddwd    ymm\b, ymm\b, ymm15
    vmovdqa     [r8 + 8*32 + 32*\a], ymm\a
    vmovdqa     [r8 + 8*32 + 32*\b], ymm\b
.endm

// Adds the sums to the lane.
.macro TILE_LANE q, scales, a, b, bits, offset, mins, d
.if \offset
    vpbroadcastd ymm10, [\scales+TILE_BSUMS]
    vpmaddwd    ymm10, ymm10, ymm14
.endif
    vbroadcastss ymm12, [\scales+TILE_DX]
.if \bits < 8
    vpmaddwd    ymm\a, ymm\a, ymm15
    vpmaddwd    ymm\b, ymm\b, ymm15
.endif
.if \bits == 5
    vpaddd      ymm\a, ymm\a, [r8 + 8*32 + 32*\a]
    vpaddd      ymm\b, ymm\b, [r8 + 8*32 + 32*\b]
.endif
.if \offset
    vpaddd      ymm\a, ymm\a, ymm10
    vpaddd      ymm\b, ymm\b, ymm10
.endif
    vmulps      ymm11, ymm12, ymm8
    vmulps      ymm13, ymm12, ymm9
    vcvtdq2ps   ymm\a, ymm\a
    vcvtdq2ps   ymm\b, ymm\b
    vfmadd213ps ymm11, ymm\a, [r8 + 32*\a]
    vfmadd213ps ymm13, ymm\b, [r8 + 32*\b]
.if \mins
    vpbroadcastd ymm10, [\scales+TILE_BSUMS]
    vpmaddwd    ymm10, ymm10, ymm15
    vmulps      ymm\a, ymm12, [rdi + \d + 32]
    vmulps      ymm\b, ymm12, [rsi + \d + 32]
    vcvtdq2ps   ymm10, ymm10
    vfmadd231ps ymm11, ymm\a, ymm10
    vfmadd231ps ymm13, ymm\b, ymm10
.endif
    vmovaps     [r8 + 32*\a], ymm11
    vmovaps     [r8 + 32*\b], ymm13
.endm

// offset_log2 is 0 where there is none.
.macro TILE_BODY n, bits, offset_log2, mins
    add         rsi, rdi
    lea         rax, [rcx + 2*rcx]
    mov         r10, rdx
    vpcmpeqw    ymm15, ymm15, ymm15
.if \offset_log2
    vpsllw      ymm14, ymm15, \offset_log2
.endif
    vpabsw      ymm15, ymm15
20:
    mov         r11d, 8
    cmp         r9, r11
    cmovb       r11, r9
    sub         r9, r11
    .p2align 5
10:
.irp g, 0, 1, 2, 3, 4, 5, 6, 7
    vmovdqa     ymm8, [rdi + 32*\g]
    vmovdqa     ymm9, [rsi + 32*\g]
.if \bits == 8
    vmovdqa     ymm10, [rdi + 256 + 32*\g]
    vmovdqa     ymm11, [rsi + 256 + 32*\g]
    TILE_EACH   \n, TILE_SIGNED, 4*\g, (\g == 0)
.else
    TILE_EACH   \n, TILE_UNSIGNED, 4*\g, (\g == 0 || \bits == 5 && \g == 4)
.if \bits == 5 && \g == 3
    TILE_EACH   \n, TILE_SPARE
.endif
.endif
.endr
.if \bits == 8
    .set TILE_D, 512
    .set TILE_NEXT, TILE_D + 64
.else
    .set TILE_D, 256
    .set TILE_NEXT, TILE_D + 32 + 32*\mins
.endif
    vmovaps     ymm8, [rdi + TILE_D]
    vmovaps     ymm9, [rsi + TILE_D]
    TILE_EACH   \n, TILE_LANE, \bits, \offset_log2, \mins, TILE_D
    add         rdi, TILE_NEXT
    add         rsi, TILE_NEXT
    add         rdx, 32
    add         r10, 4
    add         r8, TILE_BLOCK
    dec         r11
    jne         10b
    add         rdx, TILE_ACT_BLOCK - 8*32
    add         r10, TILE_ACT_BLOCK - 8*4
    sub         r8, 8*TILE_BLOCK
    test        r9, r9
    jne         20b
.endm

FUNCTION quintile_gemm_q4_0_16x1_avx2
    TILE_BODY   1, 4, 3, 0
END quintile_gemm_q4_0_16x1_avx2
FUNCTION quintile_gemm_q4_0_16x4_avx2
    TILE_BODY   4, 4, 3, 0
END quintile_gemm_q4_0_16x4_avx2
FUNCTION quintile_gemm_q4_1_16x1_avx2
    TILE_BODY   1, 4, 0, 1
END quintile_gemm_q4_1_16x1_avx2
FUNCTION quintile_gemm_q4_1_16x4_avx2
    TILE_BODY   4, 4, 0, 1
END quintile_gemm_q4_1_16x4_avx2
FUNCTION quintile_gemm_q5_0_16x1_avx2
    TILE_BODY   1, 5, 4, 0
END quintile_gemm_q5_0_16x1_avx2
FUNCTION quintile_gemm_q5_0_16x4_avx2
    TILE_BODY   4, 5, 4, 0
END quintile_gemm_q5_0_16x4_avx2
FUNCTION quintile_gemm_q5_1_16x1_avx2
    TILE_BODY   1, 5, 0, 1
END quintile_gemm_q5_1_16x1_avx2
FUNCTION quintile_gemm_q5_1_16x4_avx2
    TILE_BODY   4, 5, 0, 1
END quintile_gemm_q5_1_16x4_avx2
FUNCTION quintile_gemm_q8_0_16x1_avx2
    TILE_BODY   1, 8, 0, 0
END quintile_gemm_q8_0_16x1_avx2
FUNCTION quintile_gemm_q8_0_16x4_avx2
    TILE_BODY   4, 8, 0, 0
END quintile_gemm_q8_0_16x4_avx2
