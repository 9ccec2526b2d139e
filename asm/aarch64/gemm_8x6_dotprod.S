// void quintile_gemm_{mins_32,scales_16,flat_mins_16,flat}_8x{2,4,6}_dotprod(
//     const panel *w, const columns *x, float *out, size_t stride)
// and quintile_gemm_{blocks,blocks_mins}_8x{2,4,6}_dotprod(
//     const blocks *w, const block_columns *x, lanes *lanes, size_t count)
//
// A super-block of eight rows and 2, 4 or 6 columns, or super-blocks of formats with blocks of 32, by sdot. Registers and
// what both do are in gemm_8x6.S.
//
//     mins_32       Q4_K, Q5_K    a scale and a minimum for 32 values
//     scales_16     Q6_K          a scale for 16 values
//     flat_mins_16  Q2_K          weights are minus quants times scales, with a minimum for 16 values
//     flat          Q3_K          the same without minimums
//     blocks        Q4_0, Q5_0, Q8_0
//     blocks_mins   Q4_1, Q5_1
//
// Slots of vector operations of a super-block, for four rows and a column, 1024 products: 64 sdot; for mins_32 8 mla, 5
// operations for minimums, 3 that zero sums, 8 of f32 (a conversion takes two): 88. An mla takes two slots of one pipe on
// Neoverse N1: 96. Six columns, eight rows: 576 cycles on the two pipes of N1, 264 on the four of Neoverse V1. Loads: 7
// registers for 24 sdot. A block of 32: 8 sdot, and fsub, fmul, fmla, with minimums two more: 11 or 13 slots.
//
// Whole calls of six columns by llvm-mca 19, cycles of a super-block on Neoverse N1, V1 and Apple M1: mins_32 589, 267,
// 346; scales_16 634, 261, 342; flat_mins_16 514, 252, 326; flat 428, 210, 274; blocks 540, 268, 356; blocks_mins 636,
// 315, 423. sdot alone would take 384, 192 and 256.

FUNCTION quintile_gemm_mins_32_8x2_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 1, 4, 1
END quintile_gemm_mins_32_8x2_dotprod, dotprod

FUNCTION quintile_gemm_mins_32_8x4_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 2, 4, 1
END quintile_gemm_mins_32_8x4_dotprod, dotprod

FUNCTION quintile_gemm_mins_32_8x6_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 3, 4, 1
END quintile_gemm_mins_32_8x6_dotprod, dotprod

FUNCTION quintile_gemm_scales_16_8x2_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 1, 2, 0
END quintile_gemm_scales_16_8x2_dotprod, dotprod

FUNCTION quintile_gemm_scales_16_8x4_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 2, 2, 0
END quintile_gemm_scales_16_8x4_dotprod, dotprod

FUNCTION quintile_gemm_scales_16_8x6_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 3, 2, 0
END quintile_gemm_scales_16_8x6_dotprod, dotprod

FUNCTION quintile_gemm_flat_mins_16_8x2_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 1, 0, 2
END quintile_gemm_flat_mins_16_8x2_dotprod, dotprod

FUNCTION quintile_gemm_flat_mins_16_8x4_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 2, 0, 2
END quintile_gemm_flat_mins_16_8x4_dotprod, dotprod

FUNCTION quintile_gemm_flat_mins_16_8x6_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 3, 0, 2
END quintile_gemm_flat_mins_16_8x6_dotprod, dotprod

FUNCTION quintile_gemm_flat_8x2_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 1, 0, 0
END quintile_gemm_flat_8x2_dotprod, dotprod

FUNCTION quintile_gemm_flat_8x4_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 2, 0, 0
END quintile_gemm_flat_8x4_dotprod, dotprod

FUNCTION quintile_gemm_flat_8x6_dotprod, dotprod
    GEMM_SUPER_BLOCK sdot, 3, 0, 0
END quintile_gemm_flat_8x6_dotprod, dotprod

FUNCTION quintile_gemm_blocks_8x2_dotprod, dotprod
    GEMM_BLOCKS sdot, 1, 0
END quintile_gemm_blocks_8x2_dotprod, dotprod

FUNCTION quintile_gemm_blocks_8x4_dotprod, dotprod
    GEMM_BLOCKS sdot, 2, 0
END quintile_gemm_blocks_8x4_dotprod, dotprod

FUNCTION quintile_gemm_blocks_8x6_dotprod, dotprod
    GEMM_BLOCKS sdot, 3, 0
END quintile_gemm_blocks_8x6_dotprod, dotprod

FUNCTION quintile_gemm_blocks_mins_8x2_dotprod, dotprod
    GEMM_BLOCKS sdot, 1, 1
END quintile_gemm_blocks_mins_8x2_dotprod, dotprod

FUNCTION quintile_gemm_blocks_mins_8x4_dotprod, dotprod
    GEMM_BLOCKS sdot, 2, 1
END quintile_gemm_blocks_mins_8x4_dotprod, dotprod

FUNCTION quintile_gemm_blocks_mins_8x6_dotprod, dotprod
    GEMM_BLOCKS sdot, 3, 1
END quintile_gemm_blocks_mins_8x6_dotprod, dotprod
