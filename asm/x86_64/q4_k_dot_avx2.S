// float quintile_q4_k_dot_avx2(const block_q4_k *row, const act_block *x, size_t blocks)
//
// One Q4_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
// Registers as in super_blocks.S; a block of the row is 144 bytes: d, dmin, 12 bytes of scales, 128 of nibbles.
//
// Per super-block of 256: 8 vpmaddubsw, 4 vpmaddwd, 8 vpunpck, 4 vpaddw, 3 vpaddd, 4 shifts, 8 vpand; 5 for scales, 4 for
// minimums, 4 for the fold, 3 for factors, 5 for the chain. Of 60 vector operations on four pipes (Zen): 15 cycles, of
// which 14 multiplications take 7 of two pipes; on three ports (Intel): 20. Its 21 loads take 11. Tuned on Zen 5.

// The integer sums of the super-block at rdi + \w and rsi + \x, with scales at [rsp + \at].
.macro Q4_K_SUMS sum, w, x, at
.irp g, 0, 1, 2, 3
    vmovdqu     ymm3, [rdi + \w + 16 + 32*\g]
    vpbroadcastd ymm6, [rsp + \at + 4*\g]
    vpsrlw      ymm4, ymm3, 4
    vpand       ymm3, ymm3, ymm15
    vpand       ymm4, ymm4, ymm15
    K_PAIR      ymm3, ymm4, \g, \x, ymm6
.if \g == 0
    vmovdqa     \sum, ymm3
.else
    vpaddd      \sum, \sum, ymm3
.endif
.endr
.endm

FUNCTION quintile_q4_k_dot_avx2
    K_ENTER
    K_ROW       Q4_K_SUMS, 144
    K_LEAVE
END quintile_q4_k_dot_avx2
