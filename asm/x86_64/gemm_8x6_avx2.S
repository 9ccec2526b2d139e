// void quintile_gemm_{mins_32,mins_16,offset_16}_8x{1..6}_avx2(
//     const panel *w, const columns *x, float *out, size_t stride)
//
// Adds a super-block of eight rows and 1 to 6 columns to their elements of out, columns stride elements apart, by the
// contract of src/kernels/gemm/mod.rs, which also has both structures.
//
//     rdi  panel: quants, later what follows them     r8  its scales       r9  end of the quants
//     rsi  columns: quants, later their sums          r10  factors of the columns
//     rdx  element of out                             rcx  bytes from column to column
//     ymm0 to ymm5  integer sums of the columns       ymm6  dmin
//     ymm7  scales, then d                            ymm8 to ymm11  weights, 16 values of each row; then minimums
//     ymm12 to ymm15  products
//
//     mins_32     Q4_K, Q5_K    a scale and a minimum for 32 values
//     mins_16     Q2_K          for 16 values
//     offset_16   Q3_K, Q6_K    a scale for 16 values; quants are stored above their weights by an offset
//
// Per 16 values of eight rows and a column: 4 vpmaddubsw, 3 vpaddw, 1 vpmaddwd, 1 vpaddd, with 4 loads, and a sixth of
// 5 more. Five multiply: 2.5 cycles on two multipliers (Zen), 3 for all on three vector ports (Intel); the loads take 2.4
// on two ports. With 8 columns there would be no registers for weights; with 4, the loads would be the bound. A super-block
// takes 16 of these; with mins_32, 8 more operations multiply, so 44 cycles for 2048 products on Zen. Measured there 47
// (six columns, panels in the second-level cache).
//
// An offset takes a vpaddw more, of minus the offset times the sum of the lane's activations, which the columns hold for each
// 16 values. Eight products of unsigned quants may leave 16 bits on the way; those of weights do not, and that is what
// the lane holds in the end, whatever wrapped.

.set PANEL_SCALES, 64*32
.set PANEL_MINS, PANEL_SCALES + 16*32
.set PANEL_D, PANEL_MINS + 8*32
.set COLUMNS_D, 6*(64 + 16)*32

// 16 values of each row, in ymm8 to ymm11, and column \c.
.macro GEMM_16 n, c, offset
    vpmaddubsw  ymm12, ymm8, [rsi + 32*\c]
    vpmaddubsw  ymm13, ymm9, [rsi + 32*\c + 32*\n]
    vpmaddubsw  ymm14, ymm10, [rsi + 32*\c + 64*\n]
    vpmaddubsw  ymm15, ymm11, [rsi + 32*\c + 96*\n]
.if \offset
    vpaddw      ymm12, ymm12, [rsi + 32*\c + 128*\n]
.endif
    vpaddw      ymm12, ymm12, ymm13
    vpaddw      ymm14, ymm14, ymm15
    vpaddw      ymm12, ymm12, ymm14
    vpmaddwd    ymm12, ymm12, ymm7
    vpaddd      ymm\c, ymm\c, ymm12
.endm

// Sums times minimums of column \c, four registers of them: ymm12.
.macro GEMM_MINS n, c
    vpmaddwd    ymm12, ymm8, [rsi + 32*\c]
    vpmaddwd    ymm13, ymm9, [rsi + 32*\c + 32*\n]
    vpmaddwd    ymm14, ymm10, [rsi + 32*\c + 64*\n]
    vpmaddwd    ymm15, ymm11, [rsi + 32*\c + 96*\n]
    vpaddd      ymm12, ymm12, ymm13
    vpaddd      ymm14, ymm14, ymm15
    vpaddd      ymm12, ymm12, ymm14
.endm

.macro GEMM_LOAD_MINS at
    vmovdqa     ymm8, [rdi + \at]
    vmovdqa     ymm9, [rdi + \at + 32]
    vmovdqa     ymm10, [rdi + \at + 64]
    vmovdqa     ymm11, [rdi + \at + 96]
.endm

// acc = fma(d·dx, i, acc), and where there are minimums, in ymm12, acc = fma(-(dmin·dx), m, acc).
.macro GEMM_STORE c, mins
    vbroadcastss ymm13, [r10 + 4*\c]
    vmovups     ymm15, [rdx]
    vcvtdq2ps   ymm\c, ymm\c
    vmulps      ymm14, ymm13, ymm7
    vfmadd231ps ymm15, ymm14, ymm\c
.if \mins
    vcvtdq2ps   ymm12, ymm12
    vmulps      ymm13, ymm13, ymm6
    vfnmadd231ps ymm15, ymm13, ymm12
.endif
    vmovups     [rdx], ymm15
    add         rdx, rcx
.endm

// \shared values share a scale, and have a minimum or an offset.
.macro GEMM_BODY n, shared, mins, offset, columns:vararg
    shl         rcx, 2
    lea         r8, [rdi + PANEL_SCALES]
    lea         r9, [rdi + PANEL_SCALES]
    lea         r10, [rsi + COLUMNS_D]
.irp c, \columns
    vpxor       xmm\c, xmm\c, xmm\c
.endr
    .p2align 5
10:
    vmovdqa     ymm7, [r8]
    vmovdqa     ymm8, [rdi]
    vmovdqa     ymm9, [rdi + 32]
    vmovdqa     ymm10, [rdi + 64]
    vmovdqa     ymm11, [rdi + 96]
.irp c, \columns
    GEMM_16     \n, \c, \offset
.endr
    add         rsi, (128 + 32*\offset)*\n
.if \shared == 16
    vmovdqa     ymm7, [r8 + 32]
.endif
    vmovdqa     ymm8, [rdi + 128]
    vmovdqa     ymm9, [rdi + 160]
    vmovdqa     ymm10, [rdi + 192]
    vmovdqa     ymm11, [rdi + 224]
.irp c, \columns
    GEMM_16     \n, \c, \offset
.endr
    add         rdi, 256
    add         rsi, (128 + 32*\offset)*\n
    add         r8, 1024/\shared
    cmp         rdi, r9
    jne         10b

    vmovaps     ymm7, [rdi + PANEL_D - PANEL_SCALES]
.if \mins
    vmovaps     ymm6, [rdi + PANEL_D - PANEL_SCALES + 32]
    GEMM_LOAD_MINS PANEL_MINS - PANEL_SCALES
.endif
.irp c, \columns
.if \mins
    GEMM_MINS   \n, \c
.endif
.if \mins && \shared == 16
    // No registers are left for the last four of eight.
.irp i, 4, 5, 6, 7
    vmovdqa     ymm13, [rdi + PANEL_MINS - PANEL_SCALES + 32*\i]
    vpmaddwd    ymm13, ymm13, [rsi + 32*\c + 32*\i*\n]
    vpaddd      ymm12, ymm12, ymm13
.endr
.endif
    GEMM_STORE  \c, \mins
.endr
.endm

FUNCTION quintile_gemm_mins_32_8x1_avx2
    GEMM_BODY   1, 32, 1, 0, 0
END quintile_gemm_mins_32_8x1_avx2
FUNCTION quintile_gemm_mins_32_8x2_avx2
    GEMM_BODY   2, 32, 1, 0, 0, 1
END quintile_gemm_mins_32_8x2_avx2
FUNCTION quintile_gemm_mins_32_8x3_avx2
    GEMM_BODY   3, 32, 1, 0, 0, 1, 2
END quintile_gemm_mins_32_8x3_avx2
FUNCTION quintile_gemm_mins_32_8x4_avx2
    GEMM_BODY   4, 32, 1, 0, 0, 1, 2, 3
END quintile_gemm_mins_32_8x4_avx2
FUNCTION quintile_gemm_mins_32_8x5_avx2
    GEMM_BODY   5, 32, 1, 0, 0, 1, 2, 3, 4
END quintile_gemm_mins_32_8x5_avx2
FUNCTION quintile_gemm_mins_32_8x6_avx2
    GEMM_BODY   6, 32, 1, 0, 0, 1, 2, 3, 4, 5
END quintile_gemm_mins_32_8x6_avx2

FUNCTION quintile_gemm_mins_16_8x1_avx2
    GEMM_BODY   1, 16, 1, 0, 0
END quintile_gemm_mins_16_8x1_avx2
FUNCTION quintile_gemm_mins_16_8x2_avx2
    GEMM_BODY   2, 16, 1, 0, 0, 1
END quintile_gemm_mins_16_8x2_avx2
FUNCTION quintile_gemm_mins_16_8x3_avx2
    GEMM_BODY   3, 16, 1, 0, 0, 1, 2
END quintile_gemm_mins_16_8x3_avx2
FUNCTION quintile_gemm_mins_16_8x4_avx2
    GEMM_BODY   4, 16, 1, 0, 0, 1, 2, 3
END quintile_gemm_mins_16_8x4_avx2
FUNCTION quintile_gemm_mins_16_8x5_avx2
    GEMM_BODY   5, 16, 1, 0, 0, 1, 2, 3, 4
END quintile_gemm_mins_16_8x5_avx2
FUNCTION quintile_gemm_mins_16_8x6_avx2
    GEMM_BODY   6, 16, 1, 0, 0, 1, 2, 3, 4, 5
END quintile_gemm_mins_16_8x6_avx2

FUNCTION quintile_gemm_offset_16_8x1_avx2
    GEMM_BODY   1, 16, 0, 1, 0
END quintile_gemm_offset_16_8x1_avx2
FUNCTION quintile_gemm_offset_16_8x2_avx2
    GEMM_BODY   2, 16, 0, 1, 0, 1
END quintile_gemm_offset_16_8x2_avx2
FUNCTION quintile_gemm_offset_16_8x3_avx2
    GEMM_BODY   3, 16, 0, 1, 0, 1, 2
END quintile_gemm_offset_16_8x3_avx2
FUNCTION quintile_gemm_offset_16_8x4_avx2
    GEMM_BODY   4, 16, 0, 1, 0, 1, 2, 3
END quintile_gemm_offset_16_8x4_avx2
FUNCTION quintile_gemm_offset_16_8x5_avx2
    GEMM_BODY   5, 16, 0, 1, 0, 1, 2, 3, 4
END quintile_gemm_offset_16_8x5_avx2
FUNCTION quintile_gemm_offset_16_8x6_avx2
    GEMM_BODY   6, 16, 0, 1, 0, 1, 2, 3, 4, 5
END quintile_gemm_offset_16_8x6_avx2
