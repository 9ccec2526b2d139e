// void quintile_gemm_{mins_32,offset_16,flat_mins_16,flat_offset}_32x{1..6}_avx512vnni(
//     const panel *w, const act_block *x, size_t step, const sums *sums, float *out, size_t stride)
//
// Adds a super-block of 32 rows and 1 to 6 columns, step bytes apart, to their elements of out, columns stride elements
// apart, by the contract of src/kernels/gemm/mod.rs; the structures are in src/kernels/gemm/avx512vnni/mod.rs.
//
//     rdi  panel: quants, later what follows them     r8   element of out       eax  turns that are left
//     rsi  quants of column 0                         r9   bytes from column to column
//     r10  of column 3                                r11  scales
//     rdx  bytes from one to the next                 rcx  sums
//     zmm0 to zmm5    sums of a sub-block, rows 0 to 15, then of minimums      zmm6 to zmm11    rows 16 to 31
//     zmm12 to zmm17  sums of the super-block, rows 0 to 15                    zmm18 to zmm23   rows 16 to 31
//     zmm24, zmm25    weights, four values of each row; minimums; elements     zmm26, zmm27     d
//     zmm28, zmm29    scales; dmin         zmm30    four activations, dx       zmm31            d times dx
//
//     mins_32       Q4_K, Q5_K    a scale and a minimum for 32 values
//     offset_16     Q6_K          a scale for 16 values; quants are stored above their weights by an offset
//     flat_mins_16  Q2_K          a minimum for 16 values; quants were multiplied by their scales
//     flat_offset   Q3_K          as before, and are stored above their products by an offset
//
// Per 32 values of 16 rows and a column: 8 vpdpbusd and, with scales, 1 or 2 vpmulld and vpaddd. Loads are no bound: 8 of
// each 12 vpdpbusd. A super-block of mins_32 takes 80 operations that multiply (64, 8 scales, 4 minimums, 4 in f32): 40
// cycles for 4096 products on two multipliers (Zen 5, which it was tuned on), 102.4 a cycle.

.set WIDE_SCALES, 64*128
.set WIDE_MINS, WIDE_SCALES + 16*128
.set WIDE_D, WIDE_MINS + 8*128

// Runs body for each column: its four registers, its number, its address, and what else it is given.
.macro WIDE_COLUMNS body, n, at=0
    \body      0, 6, 12, 18, 0, rsi, \at
.if \n > 1
    \body      1, 7, 13, 19, 1, rsi+rdx, \at
.endif
.if \n > 2
    \body      2, 8, 14, 20, 2, rsi+2*rdx, \at
.endif
.if \n > 3
    \body      3, 9, 15, 21, 3, r10, \at
.endif
.if \n > 4
    \body      4, 10, 16, 22, 4, r10+rdx, \at
.endif
.if \n > 5
    \body      5, 11, 17, 23, 5, r10+2*rdx, \at
.endif
.endm

.macro WIDE_ZERO a, b, i, j, c, x, at
    vpxor       xmm\a, xmm\a, xmm\a
    vpxor       xmm\b, xmm\b, xmm\b
.endm

.macro WIDE_ZERO_ALL a, b, i, j, c, x, at
    vpxord      xmm\i, xmm\i, xmm\i
    vpxord      xmm\j, xmm\j, xmm\j
.endm

.macro WIDE_OFFSET a, b, i, j, c, x, at
    vpbroadcastd zmm\a, [rcx + 64*\c + \at]
    vmovdqa64   zmm\b, zmm\a
.endm

.macro WIDE_OFFSET_ALL a, b, i, j, c, x, at
    vpbroadcastd zmm\i, [rcx + 64*\c]
    vmovdqa64   zmm\j, zmm\i
.endm

// Four values of each row, in zmm24 and zmm25.
.macro WIDE_FOUR a, b, i, j, c, x, at
    vpbroadcastd zmm30, [\x + \at]
    vpdpbusd    zmm\a, zmm24, zmm30
    vpdpbusd    zmm\b, zmm25, zmm30
.endm

.macro WIDE_FOUR_ALL a, b, i, j, c, x, at
    vpbroadcastd zmm30, [\x + \at]
    vpdpbusd    zmm\i, zmm24, zmm30
    vpdpbusd    zmm\j, zmm25, zmm30
.endm

.macro WIDE_SCALE a, b, i, j, c, x, at
    vpmulld     zmm\a, zmm\a, zmm28
    vpmulld     zmm\b, zmm\b, zmm29
    vpaddd      zmm\i, zmm\i, zmm\a
    vpaddd      zmm\j, zmm\j, zmm\b
.endm

// Two minimums of each row, in zmm24 and zmm25.
.macro WIDE_TWO_MINS a, b, i, j, c, x, at
    vpdpwssd    zmm\a, zmm24, dword ptr [rcx + 64*\c + \at]{1to16}
    vpdpwssd    zmm\b, zmm25, dword ptr [rcx + 64*\c + \at]{1to16}
.endm

// acc = fma(d·dx, i, acc); x has gone 256 bytes.
.macro WIDE_STORE a, b, i, j, c, x, at
    vbroadcastss zmm30, [\x + 32]
    vcvtdq2ps   zmm\i, zmm\i
    vcvtdq2ps   zmm\j, zmm\j
    vmulps      zmm24, zmm30, zmm26
    vmulps      zmm25, zmm30, zmm27
    vfmadd213ps zmm\i, zmm24, [r8]
    vfmadd213ps zmm\j, zmm25, [r8 + 64]
    vmovups     [r8], zmm\i
    vmovups     [r8 + 64], zmm\j
    add         r8, r9
.endm

// And acc = fma(-(dmin·dx), m, acc).
.macro WIDE_STORE_MINS a, b, i, j, c, x, at
    vbroadcastss zmm30, [\x + 32]
    vcvtdq2ps   zmm\i, zmm\i
    vcvtdq2ps   zmm\j, zmm\j
    vmulps      zmm24, zmm30, zmm26
    vmulps      zmm25, zmm30, zmm27
    vcvtdq2ps   zmm\a, zmm\a
    vcvtdq2ps   zmm\b, zmm\b
    vfmadd213ps zmm\i, zmm24, [r8]
    vfmadd213ps zmm\j, zmm25, [r8 + 64]
    vmulps      zmm24, zmm30, zmm28
    vmulps      zmm25, zmm30, zmm29
    vfnmadd231ps zmm\i, zmm24, zmm\a
    vfnmadd231ps zmm\j, zmm25, zmm\b
    vmovups     [r8], zmm\i
    vmovups     [r8 + 64], zmm\j
    add         r8, r9
.endm

// \shared values share a scale, or weights were multiplied by theirs; \mins pairs of minimums.
.macro WIDE_BODY n, shared, mins, offset
    shl         r9, 2
    lea         r10, [rdx + 2*rdx]
    add         r10, rsi
.if \shared == 256
.if \offset
    WIDE_COLUMNS WIDE_OFFSET_ALL, \n
.else
    WIDE_COLUMNS WIDE_ZERO_ALL, \n
.endif
.else
    lea         r11, [rdi + WIDE_SCALES]
    WIDE_COLUMNS WIDE_ZERO_ALL, \n
.endif
    mov         eax, 8
    .p2align 6
10:
.irp g, 0, 1, 2, 3, 4, 5, 6, 7
.if \g == 0 || (\g == 4 && \shared == 16)
.if \shared != 256
    vmovdqa64   zmm28, [r11 + 32*\g]
    vmovdqa64   zmm29, [r11 + 32*\g + 64]
.if \offset
    WIDE_COLUMNS WIDE_OFFSET, \n, \g
.else
    WIDE_COLUMNS WIDE_ZERO, \n
.endif
.endif
.endif
    vmovdqa64   zmm24, [rdi + 128*\g]
    vmovdqa64   zmm25, [rdi + 128*\g + 64]
.if \shared == 256
    WIDE_COLUMNS WIDE_FOUR_ALL, \n, 4*\g
.else
    WIDE_COLUMNS WIDE_FOUR, \n, 4*\g
.if \g == 7 || (\g == 3 && \shared == 16)
    WIDE_COLUMNS WIDE_SCALE, \n
.endif
.endif
.endr
    add         rdi, 1024
    add         rsi, 32
    add         r10, 32
.if \shared == 32
    add         r11, 128
.endif
.if \shared == 16
    add         r11, 256
    add         rcx, 8
.endif
    dec         eax
    jnz         10b

    vmovaps     zmm26, [rdi + WIDE_D - WIDE_SCALES]
    vmovaps     zmm27, [rdi + WIDE_D - WIDE_SCALES + 64]
.if \mins
    WIDE_COLUMNS WIDE_ZERO, \n
.irp g, 0, 1, 2, 3, 4, 5, 6, 7
.if \g < \mins
    vmovdqa64   zmm24, [rdi + WIDE_MINS - WIDE_SCALES + 128*\g]
    vmovdqa64   zmm25, [rdi + WIDE_MINS - WIDE_SCALES + 128*\g + 64]
    WIDE_COLUMNS WIDE_TWO_MINS, \n, 4*\g
.endif
.endr
    vmovaps     zmm28, [rdi + WIDE_D - WIDE_SCALES + 128]
    vmovaps     zmm29, [rdi + WIDE_D - WIDE_SCALES + 192]
    WIDE_COLUMNS WIDE_STORE_MINS, \n
.else
    WIDE_COLUMNS WIDE_STORE, \n
.endif
.endm

FUNCTION quintile_gemm_flat_mins_16_32x1_avx512vnni
    WIDE_BODY   1, 256, 8, 0
END quintile_gemm_flat_mins_16_32x1_avx512vnni
FUNCTION quintile_gemm_flat_mins_16_32x2_avx512vnni
    WIDE_BODY   2, 256, 8, 0
END quintile_gemm_flat_mins_16_32x2_avx512vnni
FUNCTION quintile_gemm_flat_mins_16_32x3_avx512vnni
    WIDE_BODY   3, 256, 8, 0
END quintile_gemm_flat_mins_16_32x3_avx512vnni
FUNCTION quintile_gemm_flat_mins_16_32x4_avx512vnni
    WIDE_BODY   4, 256, 8, 0
END quintile_gemm_flat_mins_16_32x4_avx512vnni
FUNCTION quintile_gemm_flat_mins_16_32x5_avx512vnni
    WIDE_BODY   5, 256, 8, 0
END quintile_gemm_flat_mins_16_32x5_avx512vnni
FUNCTION quintile_gemm_flat_mins_16_32x6_avx512vnni
    WIDE_BODY   6, 256, 8, 0
END quintile_gemm_flat_mins_16_32x6_avx512vnni

FUNCTION quintile_gemm_flat_offset_32x1_avx512vnni
    WIDE_BODY   1, 256, 0, 1
END quintile_gemm_flat_offset_32x1_avx512vnni
FUNCTION quintile_gemm_flat_offset_32x2_avx512vnni
    WIDE_BODY   2, 256, 0, 1
END quintile_gemm_flat_offset_32x2_avx512vnni
FUNCTION quintile_gemm_flat_offset_32x3_avx512vnni
    WIDE_BODY   3, 256, 0, 1
END quintile_gemm_flat_offset_32x3_avx512vnni
FUNCTION quintile_gemm_flat_offset_32x4_avx512vnni
    WIDE_BODY   4, 256, 0, 1
END quintile_gemm_flat_offset_32x4_avx512vnni
FUNCTION quintile_gemm_flat_offset_32x5_avx512vnni
    WIDE_BODY   5, 256, 0, 1
END quintile_gemm_flat_offset_32x5_avx512vnni
FUNCTION quintile_gemm_flat_offset_32x6_avx512vnni
    WIDE_BODY   6, 256, 0, 1
END quintile_gemm_flat_offset_32x6_avx512vnni

FUNCTION quintile_gemm_mins_32_32x1_avx512vnni
    WIDE_BODY   1, 32, 4, 0
END quintile_gemm_mins_32_32x1_avx512vnni
FUNCTION quintile_gemm_mins_32_32x2_avx512vnni
    WIDE_BODY   2, 32, 4, 0
END quintile_gemm_mins_32_32x2_avx512vnni
FUNCTION quintile_gemm_mins_32_32x3_avx512vnni
    WIDE_BODY   3, 32, 4, 0
END quintile_gemm_mins_32_32x3_avx512vnni
FUNCTION quintile_gemm_mins_32_32x4_avx512vnni
    WIDE_BODY   4, 32, 4, 0
END quintile_gemm_mins_32_32x4_avx512vnni
FUNCTION quintile_gemm_mins_32_32x5_avx512vnni
    WIDE_BODY   5, 32, 4, 0
END quintile_gemm_mins_32_32x5_avx512vnni
FUNCTION quintile_gemm_mins_32_32x6_avx512vnni
    WIDE_BODY   6, 32, 4, 0
END quintile_gemm_mins_32_32x6_avx512vnni

FUNCTION quintile_gemm_offset_16_32x1_avx512vnni
    WIDE_BODY   1, 16, 0, 1
END quintile_gemm_offset_16_32x1_avx512vnni
FUNCTION quintile_gemm_offset_16_32x2_avx512vnni
    WIDE_BODY   2, 16, 0, 1
END quintile_gemm_offset_16_32x2_avx512vnni
FUNCTION quintile_gemm_offset_16_32x3_avx512vnni
    WIDE_BODY   3, 16, 0, 1
END quintile_gemm_offset_16_32x3_avx512vnni
FUNCTION quintile_gemm_offset_16_32x4_avx512vnni
    WIDE_BODY   4, 16, 0, 1
END quintile_gemm_offset_16_32x4_avx512vnni
FUNCTION quintile_gemm_offset_16_32x5_avx512vnni
    WIDE_BODY   5, 16, 0, 1
END quintile_gemm_offset_16_32x5_avx512vnni
FUNCTION quintile_gemm_offset_16_32x6_avx512vnni
    WIDE_BODY   6, 16, 0, 1
END quintile_gemm_offset_16_32x6_avx512vnni
