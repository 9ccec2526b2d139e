// float quintile_q4_k_dot_avx2(const block_q4_k *row, const act_block *x, size_t blocks)
//
// One Q4_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
// Registers as in super_blocks.S; a block of the row is 144 bytes: d, dmin, 12 bytes of scales, 128 of nibbles.
//
// Per super-block of 256: 8 vpmaddubsw, 8 vpmaddwd, 7 vpaddd, 4 shifts, 8 vpand; 3 for minimums, 4.5 for the fold, 2 for
// factors, 5 for the chain. Of 49.5 vector operations on four pipes (Zen): 12.4 cycles, of which 20 multiplications take 10 of
// two pipes. Its 24 loads of vectors take 12, and each fourth one of weights crosses a line, so 13. Measured on Zen 5, which it
// is tuned on: 14.0.

// The integer sums of the super-block at rdi + \w and rsi + \x.
.macro Q4_K_SUMS sum, w, x
.irp g, 0, 1, 2, 3
    vmovdqu     ymm3, [rdi + \w + 16 + 32*\g]
    vpsrlw      ymm4, ymm3, 4
    vpand       ymm3, ymm3, ymm15
    vpand       ymm4, ymm4, ymm15
.if \g < 2
    K_PAIR      ymm3, ymm4, \sum, \g, \x, a
.else
    K_PAIR      ymm3, ymm4, \sum, \g, \x, c
.endif
.endr
.endm

FUNCTION quintile_q4_k_dot_avx2
    K_ENTER
    K_ROW       Q4_K_SUMS, 144
    END_FRAME
END quintile_q4_k_dot_avx2
