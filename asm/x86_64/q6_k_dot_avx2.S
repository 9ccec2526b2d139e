// float quintile_q6_k_dot_avx2(const block_q6_k *row, const act_block *x, size_t blocks)
//
// One Q6_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
// Registers as in super_blocks_16.S; a block of the row is 210 bytes: 128 of low nibbles, 64 of high pairs of bits, 16 scales
// (signed bytes, one for each 16 weights), d.
//
//     ymm1   scales of half a super-block as i16, in either half; of these, ymm10 takes those of the first two sub-blocks, a
//            pair for each product of both, with those of second halves in the upper half, and ymm11 of the other two
//     ymm12, ymm13  the first and the second pair of bits of a nibble, as bits 4 and 5
//     ymm14  0x30 in each byte        ymm15  0x0f in each byte     ymm2 to ymm6, ymm9  temporary
//     [rsp + SCALES]  scales as i16
//
// The products of two sub-blocks, 16 lanes each, are interleaved and added in 16 bits, so that one vpmaddwd multiplies
// both by their scales.
//
// Per super-block of 256: 8 vpmaddubsw, 5 vpmaddwd, 8 vpunpck, 4 vpaddw, 3 vpaddd, 5 for scales, 2 for the offset; to unpack 6
// shifts, 14 vpand, 4 vpshufb, 8 vpor; 4 for the fold, 1.5 for factors, 1 for the chain. Of 73.5 vector operations on four
// pipes (Zen): 18.4 cycles. Its 22 loads take 11, and half of those of weights cross a line, so 13. Measured on Zen 5, which
// it is tuned on: 20.5.

    .p2align 5
70: // of eight scales: 0 2 0 2 .. | 1 3 1 3 .., then those from 4 on
.irp first, 0, 4
    .rept 4
    .byte 2*\first, 2*\first + 1, 2*\first + 4, 2*\first + 5
    .endr
    .rept 4
    .byte 2*\first + 2, 2*\first + 3, 2*\first + 6, 2*\first + 7
    .endr
.endr
71: // by a nibble: its lower pair of bits, its upper one, as bits 4 and 5
.irp pair, 0, 2
    .rept 2
    .irp nibble, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .byte (\nibble >> \pair & 3) << 4
    .endr
    .endr
.endr

// Products of sub-blocks 4h to 4h + 3: of two in ymm3, of two in ymm9.
.macro Q6_K_HALF h, w, x
    vmovdqu     ymm2, [rdi + \w + 128 + 32*\h]
    vmovdqu     ymm9, [rdi + \w + 64*\h]
    vmovdqu     ymm6, [rdi + \w + 64*\h + 32]
    vpand       ymm5, ymm2, ymm15
    vpshufb     ymm3, ymm12, ymm5
    vpshufb     ymm4, ymm13, ymm5
    vpand       ymm5, ymm9, ymm15
    vpor        ymm3, ymm3, ymm5
    vpmaddubsw  ymm3, ymm3, [rsi + \x + 128*\h]
    vpand       ymm5, ymm6, ymm15
    vpor        ymm4, ymm4, ymm5
    vpmaddubsw  ymm4, ymm4, [rsi + \x + 128*\h + 32]
    vpsrlw      ymm9, ymm9, 4
    vpand       ymm9, ymm9, ymm15
    vpand       ymm5, ymm2, ymm14
    vpor        ymm9, ymm9, ymm5
    vpmaddubsw  ymm9, ymm9, [rsi + \x + 128*\h + 64]
    vpsrlw      ymm6, ymm6, 4
    vpsrlw      ymm2, ymm2, 2
    vpand       ymm6, ymm6, ymm15
    vpand       ymm2, ymm2, ymm14
    vpor        ymm2, ymm2, ymm6
    vpmaddubsw  ymm2, ymm2, [rsi + \x + 128*\h + 96]
    vbroadcasti128 ymm1, [rsp + SCALES + 16*\h]
    vpunpcklwd  ymm5, ymm3, ymm4
    vpunpckhwd  ymm3, ymm3, ymm4
    vpshufb     ymm6, ymm1, ymm10
    vpaddw      ymm3, ymm3, ymm5
    vpmaddwd    ymm3, ymm3, ymm6
    vpunpcklwd  ymm5, ymm9, ymm2
    vpunpckhwd  ymm9, ymm9, ymm2
    vpshufb     ymm6, ymm1, ymm11
    vpaddw      ymm9, ymm9, ymm5
    vpmaddwd    ymm9, ymm9, ymm6
.endm

// The integer sums of the super-block at rdi + \w and rsi + \x. Quants are stored 32 above their weights: with them, the sum is
// 32 Σ scale·x too large.
.macro Q6_K_SUMS sum, mins, w, x
    vpmovsxbw   ymm1, [rdi + \w + 192]
    vmovdqa     [rsp + SCALES], ymm1
    vpmaddwd    \sum, ymm1, [rsi + \x + 256]
    Q6_K_HALF   0, \w, \x
    vpslld      \sum, \sum, 5
    vpaddd      ymm3, ymm3, ymm9
    vpsubd      \sum, ymm3, \sum
    Q6_K_HALF   1, \w, \x
    vpaddd      ymm3, ymm3, ymm9
    vpaddd      \sum, \sum, ymm3
.endm

.macro Q6_K_TERMS w, x
    S_FACTORS   208, \w, \x
    S_FOLD
    S_SUMS
.endm

.macro Q6_K_CONSTANTS
    S_BYTES     15, 0x0f
    S_BYTES     14, 0x30
    vmovdqa     ymm10, [rip + 70b]
    vmovdqa     ymm11, [rip + 70b + 32]
    vmovdqa     ymm12, [rip + 71b]
    vmovdqa     ymm13, [rip + 71b + 32]
.endm

FUNCTION quintile_q6_k_dot_avx2
    S_ENTER
    Q6_K_CONSTANTS
    S_ROW       Q6_K_SUMS, Q6_K_TERMS, 210
    END_FRAME
END quintile_q6_k_dot_avx2
