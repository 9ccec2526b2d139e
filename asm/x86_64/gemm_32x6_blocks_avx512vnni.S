// void quintile_gemm_blocks_{offset,mins}_32x{1..6}_avx512vnni(
//     const blocks *w, const act_block *x, size_t step, const sides *sides, lanes *lanes, size_t count)
//
// Adds count / 2 super-blocks of blocks of 32, of 32 rows and 1 to 6 columns, step bytes apart, to the eight lanes of their
// elements, which begin at 0 where count is odd, by the contract of src/kernels/qdot/mod.rs; the structures are in
// src/kernels/gemm/avx512vnni/blocks_of_32.rs. The macros of gemm_32x6_avx512vnni.S are used.
//
//     rdi  blocks, lane by lane     rsi  quants of column 0     r10  of column 3     rdx  bytes from one to the next
//     rcx  sides of column 0        r8   lane                   r9   count           rax  blocks of the lane that are left
//     r11  lanes that are left
//     zmm0 to zmm11   sums of a block, rows 0 to 15, then 16 to 31     zmm12 to zmm23   lanes, likewise
//     zmm24, zmm25    weights, four values of each row; then scales times dx            zmm26, zmm27   d
//     zmm28, zmm29    minimums             zmm30    four activations, dx                zmm31          sum of activations
//
//     offset   Q4_0, Q5_0, Q8_0    quants are stored above their weights by an offset: sums begin below 0
//     mins     Q4_1, Q5_1
//
// A block of 16 rows and a column: 8 vpdpbusd, 1 vcvtdq2ps, 1 vmulps, 1 vfmadd, and with minimums a vmulps and a vfmadd
// more. 10 or 12 multiply: 5 or 6 cycles for 512 products on two multipliers (Zen 5, which it was tuned on).

.set SIDES, 12*64

.macro WIDE32_OFFSET a, b, i, j, c, x, at
    vpbroadcastd zmm\a, [rcx + SIDES*\c]
    vmovdqa64   zmm\b, zmm\a
.endm

.macro WIDE32_LOAD a, b, i, j, c, x, at
    vmovaps     zmm\i, [r8 + 128*\c]
    vmovaps     zmm\j, [r8 + 128*\c + 64]
.endm

.macro WIDE32_STORE a, b, i, j, c, x, at
    vmovaps     [r8 + 128*\c], zmm\i
    vmovaps     [r8 + 128*\c + 64], zmm\j
.endm

// lane = fma(d·dx, isum, lane)
.macro WIDE32_ADD a, b, i, j, c, x, at
    vbroadcastss zmm30, [rcx + SIDES*\c + 4]
    vcvtdq2ps   zmm\a, zmm\a
    vcvtdq2ps   zmm\b, zmm\b
    vmulps      zmm24, zmm30, zmm26
    vmulps      zmm25, zmm30, zmm27
    vfmadd231ps zmm\i, zmm24, zmm\a
    vfmadd231ps zmm\j, zmm25, zmm\b
.endm

// And lane = fma(m·dx, xsum, lane).
.macro WIDE32_ADD_MINS a, b, i, j, c, x, at
    WIDE32_ADD  \a, \b, \i, \j, \c, \x, \at
    vbroadcastss zmm31, [rcx + SIDES*\c]
    vmulps      zmm24, zmm30, zmm28
    vmulps      zmm25, zmm30, zmm29
    vfmadd231ps zmm\i, zmm24, zmm31
    vfmadd231ps zmm\j, zmm25, zmm31
.endm

.macro WIDE32_BODY n, mins
    lea         r10, [rdx + 2*rdx]
    add         r10, rsi
    mov         r11d, 8
10:
    mov         rax, r9
    WIDE_COLUMNS WIDE_ZERO_ALL, \n
    shr         rax, 1
    jc          20f
    WIDE_COLUMNS WIDE32_LOAD, \n
    .p2align 6
20:
.if \mins
    WIDE_COLUMNS WIDE_ZERO, \n
.else
    WIDE_COLUMNS WIDE32_OFFSET, \n
.endif
.irp g, 0, 1, 2, 3, 4, 5, 6, 7
    vmovdqa64   zmm24, [rdi + 128*\g]
    vmovdqa64   zmm25, [rdi + 128*\g + 64]
    WIDE_COLUMNS WIDE_FOUR, \n, 4*\g
.endr
    vmovaps     zmm26, [rdi + 1024]
    vmovaps     zmm27, [rdi + 1024 + 64]
.if \mins
    vmovaps     zmm28, [rdi + 1024 + 128]
    vmovaps     zmm29, [rdi + 1024 + 192]
    WIDE_COLUMNS WIDE32_ADD_MINS, \n
.else
    WIDE_COLUMNS WIDE32_ADD, \n
.endif
    add         rdi, 1024 + 256
    add         rsi, 320
    add         r10, 320
    add         rcx, 64
    dec         rax
    jnz         20b

    WIDE_COLUMNS WIDE32_STORE, \n
    add         r8, 6*128
    // Back to the first super-block, one block further.
    mov         rax, r9
    shr         rax, 1
    imul        rax, rax, 320
    sub         rsi, rax
    sub         r10, rax
    mov         rax, r9
    shr         rax, 1
    shl         rax, 6
    sub         rcx, rax
    add         rsi, 32
    add         r10, 32
    add         rcx, 8
    dec         r11d
    jnz         10b
.endm

FUNCTION quintile_gemm_blocks_mins_32x1_avx512vnni
    WIDE32_BODY 1, 1
END quintile_gemm_blocks_mins_32x1_avx512vnni
FUNCTION quintile_gemm_blocks_mins_32x2_avx512vnni
    WIDE32_BODY 2, 1
END quintile_gemm_blocks_mins_32x2_avx512vnni
FUNCTION quintile_gemm_blocks_mins_32x3_avx512vnni
    WIDE32_BODY 3, 1
END quintile_gemm_blocks_mins_32x3_avx512vnni
FUNCTION quintile_gemm_blocks_mins_32x4_avx512vnni
    WIDE32_BODY 4, 1
END quintile_gemm_blocks_mins_32x4_avx512vnni
FUNCTION quintile_gemm_blocks_mins_32x5_avx512vnni
    WIDE32_BODY 5, 1
END quintile_gemm_blocks_mins_32x5_avx512vnni
FUNCTION quintile_gemm_blocks_mins_32x6_avx512vnni
    WIDE32_BODY 6, 1
END quintile_gemm_blocks_mins_32x6_avx512vnni

FUNCTION quintile_gemm_blocks_offset_32x1_avx512vnni
    WIDE32_BODY 1, 0
END quintile_gemm_blocks_offset_32x1_avx512vnni
FUNCTION quintile_gemm_blocks_offset_32x2_avx512vnni
    WIDE32_BODY 2, 0
END quintile_gemm_blocks_offset_32x2_avx512vnni
FUNCTION quintile_gemm_blocks_offset_32x3_avx512vnni
    WIDE32_BODY 3, 0
END quintile_gemm_blocks_offset_32x3_avx512vnni
FUNCTION quintile_gemm_blocks_offset_32x4_avx512vnni
    WIDE32_BODY 4, 0
END quintile_gemm_blocks_offset_32x4_avx512vnni
FUNCTION quintile_gemm_blocks_offset_32x5_avx512vnni
    WIDE32_BODY 5, 0
END quintile_gemm_blocks_offset_32x5_avx512vnni
FUNCTION quintile_gemm_blocks_offset_32x6_avx512vnni
    WIDE32_BODY 6, 0
END quintile_gemm_blocks_offset_32x6_avx512vnni
