// float quintile_q2_k_dot_avx2(const block_q2_k *row, const act_block *x, size_t blocks)
//
// One Q2_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
// Registers as in super_blocks_16.S; a block of the row is 84 bytes: 16 of scales and minimums, a nibble each, one for each 16
// weights, 64 of four pairs of bits, d, dmin.
//
//     ymm9, ymm2   sums of minimums of 0 and 1             ymm10  4 and 1 in turn, as i16
//     ymm11  order of minimums        ymm12  order of scales, of first halves of sub-blocks, then of second ones
//     ymm13, ymm14, ymm15  0x0f, 0x0c, 0x03 in each byte
//
// Every other pair of bits stays where it is, as four times itself; scales make up for it, and a shift of the super-block's sum.
// A product of two bits is so small that all eight sub-blocks are brought together in 16 bits: seven nodes of two shuffles
// and a sum leave the sum of 16 products in each lane, and one vpmaddwd multiplies all by their scales.
//
// Per super-block of 256: 2 shifts, 8 vpand, 8 vpmaddubsw, 21 for the nodes, 6 for scales and minimums, 2 vpmaddwd; 6.5 for the
// fold, 1.5 for factors, 2 for the chain. Of 57 vector operations on four pipes (Zen): 14.3 cycles. Its 18 loads take 9. Measured
// on Zen 5, which it is tuned on: 16.6.

    .p2align 5
90:
.irp n, 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15
    .byte \n, 128
.endr
91:
.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .byte \n, 128
.endr
92: // what makes all products four times themselves
    .rept 8
    .short 4, 1
    .endr
93: // a shift of i0 i1, none of m0 m1
    .long 2, 2, 0, 0

// Products of sub-blocks 4h to 4h + 3, in turn: \v.
.macro Q2_K_HALF h, w, x, v
    vmovdqu     ymm4, [rdi + \w + 16 + 32*\h]
    vpand       \v, ymm4, ymm15
    vpand       ymm3, ymm4, ymm14
    vpsrlw      ymm4, ymm4, 4
    vpmaddubsw  \v, \v, [rsi + \x + 128*\h]
    vpmaddubsw  ymm3, ymm3, [rsi + \x + 128*\h + 32]
    vpand       ymm5, ymm4, ymm15
    vpand       ymm4, ymm4, ymm14
    vpmaddubsw  ymm5, ymm5, [rsi + \x + 128*\h + 64]
    vpmaddubsw  ymm4, ymm4, [rsi + \x + 128*\h + 96]
    S_NODE      \v, ymm3, wd
    S_NODE      ymm5, ymm4, wd
    S_NODE      \v, ymm5, dq
.endm

// Four times the integer sums of the super-block at rdi + \w and rsi + \x, and those of minimums.
.macro Q2_K_SUMS sum, mins, w, x
    Q2_K_HALF   0, \w, \x, ymm1
    Q2_K_HALF   1, \w, \x, ymm2
    vbroadcasti128 ymm3, [rdi + \w]
    S_NODE      ymm1, ymm2, qdq
    vpand       ymm4, ymm3, ymm13
    vpsrlw      ymm3, ymm3, 4
    vpshufb     ymm4, ymm4, ymm12
    vpand       ymm3, ymm3, ymm13
    vpmullw     ymm4, ymm4, ymm10
    vpshufb     ymm3, ymm3, ymm11
    vpmaddwd    \sum, ymm1, ymm4
    vpmaddwd    \mins, ymm3, [rsi + \x + 256]
.endm

// Folds the sums, and brings their factors.
.macro Q2_K_TERMS w, x
    S_FACTORS   80, \w, \x, mins
    K_FOLD
    vpunpcklqdq ymm5, ymm9, ymm2
    vpunpckhqdq ymm6, ymm9, ymm2
    vpaddd      ymm5, ymm5, ymm6
    vshufps     ymm4, ymm3, ymm5, 0x88
    vshufps     ymm3, ymm3, ymm5, 0xdd
    vpaddd      ymm3, ymm3, ymm4
    vextracti128 xmm4, ymm3, 1
    vpaddd      xmm3, xmm3, xmm4
    vpsravd     xmm3, xmm3, [rip + 93b]
    S_SUMS
.endm

FUNCTION quintile_q2_k_dot_avx2
    S_ENTER
    S_BYTES     15, 0x03
    S_BYTES     14, 0x0c
    S_BYTES     13, 0x0f
    vmovdqa     ymm12, [rip + 90b]
    vmovdqa     ymm11, [rip + 91b]
    vmovdqa     ymm10, [rip + 92b]
    S_ROW       Q2_K_SUMS, Q2_K_TERMS, 84, mins
    END_FRAME
END quintile_q2_k_dot_avx2
