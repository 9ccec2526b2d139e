// void quintile_gemm_{mins_32,scales_16,flat_mins_16,flat}_8x{2,4,6}_i8mm(
//     const panel *w, const columns *x, float *out, size_t stride)
// and quintile_gemm_{blocks,blocks_mins}_8x{2,4,6}_i8mm(
//     const blocks *w, const block_columns *x, lanes *lanes, size_t count)
//
// What gemm_8x6_dotprod.S has, by smmla. Registers and what both do are in gemm_8x6.S.
//
// Slots of vector operations of a super-block, for two rows and two columns, 1024 products: 32 smmla; for mins_32 8 mla, 3
// operations for minimums, 3 that zero sums, 2 that bring lanes in order, 8 of f32 (a conversion takes two): 56. Six
// columns, eight rows: 168 cycles on the four pipes of Neoverse V1, where smmla alone would take 96. Loads: 7 registers for
// 12 smmla. A block of 32: 4 smmla, and fsub, fmul, fmla, with minimums two more: 7 or 9 slots.
//
// Whole calls of six columns by llvm-mca 19, cycles of a super-block on Neoverse V1: mins_32 171; scales_16 168;
// flat_mins_16 150; flat 117; blocks 172; blocks_mins 219.

FUNCTION quintile_gemm_mins_32_8x2_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 1, 4, 1
END quintile_gemm_mins_32_8x2_i8mm, i8mm

FUNCTION quintile_gemm_mins_32_8x4_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 2, 4, 1
END quintile_gemm_mins_32_8x4_i8mm, i8mm

FUNCTION quintile_gemm_mins_32_8x6_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 3, 4, 1
END quintile_gemm_mins_32_8x6_i8mm, i8mm

FUNCTION quintile_gemm_scales_16_8x2_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 1, 2, 0
END quintile_gemm_scales_16_8x2_i8mm, i8mm

FUNCTION quintile_gemm_scales_16_8x4_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 2, 2, 0
END quintile_gemm_scales_16_8x4_i8mm, i8mm

FUNCTION quintile_gemm_scales_16_8x6_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 3, 2, 0
END quintile_gemm_scales_16_8x6_i8mm, i8mm

FUNCTION quintile_gemm_flat_mins_16_8x2_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 1, 0, 2
END quintile_gemm_flat_mins_16_8x2_i8mm, i8mm

FUNCTION quintile_gemm_flat_mins_16_8x4_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 2, 0, 2
END quintile_gemm_flat_mins_16_8x4_i8mm, i8mm

FUNCTION quintile_gemm_flat_mins_16_8x6_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 3, 0, 2
END quintile_gemm_flat_mins_16_8x6_i8mm, i8mm

FUNCTION quintile_gemm_flat_8x2_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 1, 0, 0
END quintile_gemm_flat_8x2_i8mm, i8mm

FUNCTION quintile_gemm_flat_8x4_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 2, 0, 0
END quintile_gemm_flat_8x4_i8mm, i8mm

FUNCTION quintile_gemm_flat_8x6_i8mm, i8mm
    GEMM_SUPER_BLOCK smmla, 3, 0, 0
END quintile_gemm_flat_8x6_i8mm, i8mm

FUNCTION quintile_gemm_blocks_8x2_i8mm, i8mm
    GEMM_BLOCKS smmla, 1, 0
END quintile_gemm_blocks_8x2_i8mm, i8mm

FUNCTION quintile_gemm_blocks_8x4_i8mm, i8mm
    GEMM_BLOCKS smmla, 2, 0
END quintile_gemm_blocks_8x4_i8mm, i8mm

FUNCTION quintile_gemm_blocks_8x6_i8mm, i8mm
    GEMM_BLOCKS smmla, 3, 0
END quintile_gemm_blocks_8x6_i8mm, i8mm

FUNCTION quintile_gemm_blocks_mins_8x2_i8mm, i8mm
    GEMM_BLOCKS smmla, 1, 1
END quintile_gemm_blocks_mins_8x2_i8mm, i8mm

FUNCTION quintile_gemm_blocks_mins_8x4_i8mm, i8mm
    GEMM_BLOCKS smmla, 2, 1
END quintile_gemm_blocks_mins_8x4_i8mm, i8mm

FUNCTION quintile_gemm_blocks_mins_8x6_i8mm, i8mm
    GEMM_BLOCKS smmla, 3, 1
END quintile_gemm_blocks_mins_8x6_i8mm, i8mm
