// float quintile_q3_k_dot_avx2(const block_q3_k *row, const act_block *x, size_t blocks)
//
// One Q3_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
// Registers as in super_blocks_16.S; a block of the row is 110 bytes: 32 of third bits, 64 of four pairs of bits, 12 of scales of
// six bits, one for each 16 weights and 32 above what it stands for, d.
//
//     r9, r10  0x0f, 0x30 in each byte                     [rsp + SCALES]  scales, as they are stored
//     ymm9, ymm10, ymm11  by a nibble of third bits, the fourth, the second, the first at its place
//     ymm12, ymm13, ymm14, ymm15  0x04, 0x0f, 0x0c, 0x03 in each byte
//
// Every other pair of bits stays where it is, as four times itself, its third bit with it; scales make up for it, and a shift of the
// super-block's sum. Four times 16 products of three bits do not fit 16 bits, half of them do: two levels of nodes bring four
// sub-blocks together, in lanes of 16 bits in turn, two lanes of each, and vpmaddwd multiplies them by their scales.
//
// Per super-block of 256: 3 shifts, 12 vpand, 6 vpshufb, 8 vpor to unpack; 8 vpmaddubsw, 18 for the nodes, 2 vpmaddwd and a sum; 7 for
// scales, 4 for the offset; 4.5 for the fold, 1.5 for factors, 1 for the chain. Of 76 vector operations on four pipes (Zen): 19
// cycles. Its 21 loads take 11. Measured on Zen 5, which it is tuned on: 21.8.

    .p2align 5
100: // by a nibble: its first, its second, its fourth bit; as bit 2, and where the pair is four times itself, bit 4
.irp bit, 0, 1, 3
    .rept 2
    .irp nibble, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .byte (\nibble >> \bit & 1) << (2 + 2*(\bit & 1))
    .endr
    .endr
.endr
101: // what makes all products four times themselves
    .rept 8
    .short 4, 1
    .endr
102: // what scales are stored above
    .rept 16
    .byte 32
    .endr
103: // scales of first halves of sub-blocks, then of second ones
    .byte 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15

// Scales to the stack: of 0 to 7 the lower nibbles of eight bytes, of 8 to 15 the upper ones, and four bytes of pairs of bits above
// them, those of 0 to 3 lowest.
.macro Q3_K_SCALES w
    mov         rax, [rdi + \w + 96]
    mov         ecx, [rdi + \w + 104]
    mov         rdx, rcx
    mov         r8, rcx
    shl         rdx, 34
    shl         r8, 4
    or          r8, rdx
    mov         rdx, rax
    and         r8, r10
    and         rdx, r9
    or          rdx, r8
    mov         [rsp + SCALES], rdx
    mov         rdx, rcx
    shl         rdx, 30
    or          rcx, rdx
    and         rcx, r10
    shr         rax, 4
    and         rax, r9
    or          rax, rcx
    mov         [rsp + SCALES + 8], rax
.endm

// Products of sub-blocks 4h to 4h + 3, in turn: \v. Their third bits are the nibbles \third.
.macro Q3_K_HALF h, w, x, third, v
    vmovdqu     ymm4, [rdi + \w + 32 + 32*\h]
    vpshufb     ymm5, ymm11, \third
    vpshufb     ymm6, ymm10, \third
    vpand       \v, ymm4, ymm15
    vpand       ymm3, ymm4, ymm14
    vpsrlw      ymm4, ymm4, 4
    vpor        \v, \v, ymm5
    vpor        ymm3, ymm3, ymm6
    vpmaddubsw  \v, \v, [rsi + \x + 128*\h]
    vpmaddubsw  ymm3, ymm3, [rsi + \x + 128*\h + 32]
    vpand       ymm5, ymm4, ymm15
    vpand       ymm4, ymm4, ymm14
    vpand       ymm6, \third, ymm12
    vpshufb     \third, ymm9, \third
    vpor        ymm5, ymm5, ymm6
    vpor        ymm4, ymm4, \third
    vpmaddubsw  ymm5, ymm5, [rsi + \x + 128*\h + 64]
    vpmaddubsw  ymm4, ymm4, [rsi + \x + 128*\h + 96]
    S_NODE      \v, ymm3, wd
    S_NODE      ymm5, ymm4, wd
    S_NODE      \v, ymm5, dq
.endm

// Four times the integer sums of the super-block at rdi + \w and rsi + \x. Quants are stored 4 above their weights: with them, the
// sum is 4 Σ scale·x too large.
.macro Q3_K_SUMS sum, mins, w, x
    Q3_K_SCALES \w
    vmovdqu     ymm2, [rdi + \w]
    vpand       ymm1, ymm2, ymm13
    vpsrlw      ymm2, ymm2, 4
    vpand       ymm2, ymm2, ymm13
    Q3_K_HALF   0, \w, \x, ymm1, \sum
    Q3_K_HALF   1, \w, \x, ymm2, ymm1
    vmovq       xmm3, [rsp + SCALES]
    vmovhps     xmm3, xmm3, [rsp + SCALES + 8]
    vpsubb      xmm3, xmm3, [rip + 102b]
    vpmovsxbw   ymm4, xmm3
    vpshufb     xmm3, xmm3, [rip + 103b]
    vpmaddwd    ymm4, ymm4, [rsi + \x + 256]
    vpmovsxbw   ymm3, xmm3
    vpmullw     ymm3, ymm3, [rip + 101b]
    vpslld      ymm4, ymm4, 4
    vpunpcklqdq ymm5, ymm3, ymm3
    vpunpckhqdq ymm3, ymm3, ymm3
    vpmaddwd    \sum, \sum, ymm5
    vpmaddwd    ymm1, ymm1, ymm3
    vpsubd      \sum, \sum, ymm4
    vpaddd      \sum, \sum, ymm1
.endm

.macro Q3_K_TERMS w, x
    S_FACTORS   108, \w, \x
    S_FOLD
    vpsrad      xmm3, xmm3, 2
    S_SUMS
.endm

FUNCTION quintile_q3_k_dot_avx2
    S_ENTER
    movabs      r9, 0x0f0f0f0f0f0f0f0f
    movabs      r10, 0x3030303030303030
    S_BYTES     15, 0x03
    S_BYTES     14, 0x0c
    S_BYTES     13, 0x0f
    S_BYTES     12, 0x04
    vmovdqa     ymm11, [rip + 100b]
    vmovdqa     ymm10, [rip + 100b + 32]
    vmovdqa     ymm9, [rip + 100b + 64]
    S_ROW       Q3_K_SUMS, Q3_K_TERMS, 110
    END_FRAME
END quintile_q3_k_dot_avx2
