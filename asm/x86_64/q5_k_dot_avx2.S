// float quintile_q5_k_dot_avx2(const block_q5_k *row, const act_block *x, size_t blocks)
//
// One Q5_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
// Registers as in super_blocks.S, and ymm2, ymm10 the nibbles of fifth bits, ymm9, ymm11, ymm12, ymm13 tables by a nibble; a
// block of the row is 176 bytes: d, dmin, 12 bytes of scales, 32 of fifth bits, 128 of nibbles.
//
// A fifth bit comes to its place by a look-up: the byte of fifth bits holds one of each sub-block, and vpshufb of a table,
// by a nibble of them, is bit j at its place. Two operations a sub-block with vpor, where shifting and masking take three.
//
// Per super-block of 256: what Q4_K takes, and 8 vpshufb, 8 vpor and 3 for the nibbles. Of 68.5 vector operations on four
// pipes (Zen): 17.1 cycles; its 25 loads take 13. Measured on Zen 3, which the table of scales is tuned on: 22.6; on Zen 5, which the
// rest is tuned on, with scales that are broadcast: 18.6.

    .p2align 5
60: // by a nibble of fifth bits: the lowest, the second, .. as bit 4
.irp bit, 0, 1, 2, 3
    .rept 2
    .irp nibble, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .byte (\nibble >> \bit & 1) << 4
    .endr
    .endr
.endr

// Adds sub-blocks 2g and 2g + 1, whose fifth bits are among \fifth, by the tables of both, to \sum.
.macro Q5_K_PAIR sum, g, fifth, table_0, table_1, w, x, s
    vmovdqu     ymm3, [rdi + \w + 48 + 32*\g]
    vpshufb     ymm5, \table_0, \fifth
    vpshufb     ymm6, \table_1, \fifth
    vpsrlw      ymm4, ymm3, 4
    vpand       ymm3, ymm3, ymm15
    vpand       ymm4, ymm4, ymm15
    vpor        ymm3, ymm3, ymm5
    vpor        ymm4, ymm4, ymm6
    K_PAIR      ymm3, ymm4, \sum, \g, \x, \s
.endm

// The integer sums of the super-block at rdi + \w and rsi + \x.
.macro Q5_K_SUMS sum, w, x
    vmovdqu     ymm2, [rdi + \w + 16]
    vpsrlw      ymm10, ymm2, 4
    vpand       ymm2, ymm2, ymm15
    vpand       ymm10, ymm10, ymm15
    Q5_K_PAIR   \sum, 0, ymm2, ymm9, ymm11, \w, \x, a
    Q5_K_PAIR   \sum, 1, ymm2, ymm12, ymm13, \w, \x, a
    Q5_K_PAIR   \sum, 2, ymm10, ymm9, ymm11, \w, \x, c
    Q5_K_PAIR   \sum, 3, ymm10, ymm12, ymm13, \w, \x, c
.endm

.macro Q5_K_CONSTANTS
    vmovdqa     ymm9, [rip + 60b]
    vmovdqa     ymm11, [rip + 60b + 32]
    vmovdqa     ymm12, [rip + 60b + 64]
    vmovdqa     ymm13, [rip + 60b + 96]
.endm

FUNCTION quintile_q5_k_dot_avx2
    K_ENTER
    Q5_K_CONSTANTS
    K_ROW       Q5_K_SUMS, 176
    END_FRAME
END quintile_q5_k_dot_avx2
