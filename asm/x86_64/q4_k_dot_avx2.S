// float quintile_q4_k_dot_avx2(const block_q4_k *row, const act_block *x, size_t blocks)
//
// One Q4_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
//     rdi  block of the row (144 bytes: d, dmin, 12 bytes of scales, 128 of nibbles)
//     rsi  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     rdx  blocks left            rax  constants
//     xmm0   acc                  ymm1, ymm14  heads of two pairs of blocks: d, dmin, scales
//     ymm2 to ymm7  temporary     ymm8 to ymm11  integer sums of four blocks
//     ymm12, ymm13  sums of minimums of two pairs, a block in each half     ymm15  0x0f in each byte
//     [rsp]  for each pair: scales 0-3 of either block, scales 4-7 of either, each a pair of i16; then the
//            four sums, the four sums of minimums, and d and dmin of the four blocks, as f32
//
// Four super-blocks at a time, because what is not multiplication is then shared: two blocks' scales are unpacked in
// the two halves of a register, and twenty lanes of sums are folded by one tree. Scales pass through the stack,
// since a broadcast from memory is a load and no vector operation.
//
// Per super-block of 256: 8 vpmaddubsw, 8 vpmaddwd, 6 vpaddd, 4 shifts, 8 vpand; 9 for scales and minimums, 5 for the
// tree, 5 for d and the chain. Of 53 vector operations on three vector ports (Intel): 18 cycles; its 24 loads take 8 to
// 12. Written on a Xeon of the Emerald Rapids generation.

    .p2align 5
61: // scales and their copies of low bits: words s, low, m, low of a head d|dmin, s, m, low
    .rept 2
    .byte 4,5,6,7, 12,13,14,15, 8,9,10,11, 12,13,14,15
    .endr
62: // the word of a head whose top two bits belong to each
    .rept 2
    .byte 128,128,128,128, 4,5,6,7, 128,128,128,128, 8,9,10,11
    .endr
63: // how far low bits are shifted
    .rept 2
    .long 0, 0, 0, 4
    .endr
64: // bits that stay
    .rept 2
    .long 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f
    .endr
65: // top bits, shifted
    .long 0x30303030, 0x30303030, 0x30303030, 0x30303030
    .long 0x30303030, 0x30303030, 0x30303030, 0x30303030
66: // byte i of a half as a pair of i16: bytes 0-3, 4-7, 8-11, 12-15
.irp first, 0, 4, 8, 12
    .rept 2
    .byte \first,128,\first,128, \first+1,128,\first+1,128, \first+2,128,\first+2,128, \first+3,128,\first+3,128
    .endr
.endr

// Unpacks scales and minimums of the blocks at rdi + \w and rdi + \w2. \head gets their heads, \mins their sums of
// minimums in halves, and [rsp + \at] their scales.
.macro Q4_K_SCALES head, mins, w, w2, x, x2, at
    vmovdqu     xmm\head, [rdi + \w]
    vinserti128 ymm\head, ymm\head, [rdi + \w2], 1
    vpshufb     ymm2, ymm\head, [rip + 61b]
    vpshufb     ymm3, ymm\head, [rip + 62b]
    vpsrlvd     ymm2, ymm2, [rip + 63b]
    vpsrld      ymm3, ymm3, 2
    vpand       ymm2, ymm2, [rip + 64b]
    vpand       ymm3, ymm3, [rip + 65b]
    vmovdqa     xmm6, [rsi + \x + 256]
    vmovdqa     xmm7, [rsi + \x + 272]
    vpor        ymm2, ymm2, ymm3
    vinserti128 ymm6, ymm6, [rsi + \x2 + 256], 1
    vinserti128 ymm7, ymm7, [rsi + \x2 + 272], 1
    vpshufb     ymm3, ymm2, [rip + 66b]
    vpshufb     ymm4, ymm2, [rip + 66b + 32]
    vpshufb     ymm5, ymm2, [rip + 66b + 64]
    vpshufb     ymm2, ymm2, [rip + 66b + 96]
    vmovdqa     [rsp + \at], ymm3
    vmovdqa     [rsp + \at + 32], ymm4
    vpmaddwd    ymm5, ymm5, ymm6
    vpmaddwd    ymm2, ymm2, ymm7
    vpaddd      ymm\mins, ymm5, ymm2
.endm

// Sub-blocks 2g and 2g+1, times their scales at [rsp + \at]: ymm2 and ymm3.
.macro Q4_K_PAIR g, w, x, at
    vmovdqu     ymm2, [rdi + \w + 16 + 32*\g]
    vpbroadcastd ymm4, [rsp + \at]
    vpbroadcastd ymm5, [rsp + \at + 4]
    vpsrlw      ymm3, ymm2, 4
    vpand       ymm2, ymm2, ymm15
    vpand       ymm3, ymm3, ymm15
    vpmaddubsw  ymm2, ymm2, [rsi + \x + 64*\g]
    vpmaddubsw  ymm3, ymm3, [rsi + \x + 64*\g + 32]
    vpmaddwd    ymm2, ymm2, ymm4
    vpmaddwd    ymm3, ymm3, ymm5
.endm

// The integer sums of a block, in lanes.
.macro Q4_K_SUMS sum, w, x, at
    Q4_K_PAIR   0, \w, \x, \at
    vpaddd      ymm\sum, ymm2, ymm3
    Q4_K_PAIR   1, \w, \x, \at + 8
    vpaddd      ymm6, ymm2, ymm3
    Q4_K_PAIR   2, \w, \x, \at + 32
    vpaddd      ymm2, ymm2, ymm3
    vpaddd      ymm\sum, ymm\sum, ymm2
    Q4_K_PAIR   3, \w, \x, \at + 40
    vpaddd      ymm2, ymm2, ymm3
    vpaddd      ymm6, ymm6, ymm2
    vpaddd      ymm\sum, ymm\sum, ymm6
.endm

// acc = fma(d * dx, isum, acc), acc = fma(-(dmin * dx), msum, acc), of what is on the stack.
.macro Q4_K_CHAIN isum, msum, d
    vmovss      xmm2, [rsp + \d]
    vmovss      xmm3, [rsp + \d + 4]
    vfmadd231ss xmm0, xmm2, [rsp + \isum]
    vfnmadd231ss xmm0, xmm3, [rsp + \msum]
.endm

FUNCTION quintile_q4_k_dot_avx2
    push        rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    mov         rbp, rsp
    .cfi_def_cfa_register rbp
    sub         rsp, 192
    and         rsp, -32
    vxorps      xmm0, xmm0, xmm0
    mov         eax, 0x0f0f0f0f
    vmovd       xmm15, eax
    vpbroadcastd ymm15, xmm15
    sub         rdx, 4
    jb          20f
    .p2align 5
10:
    Q4_K_SCALES 1, 12, 0, 144, 0, 320, 0
    Q4_K_SCALES 14, 13, 288, 432, 640, 960, 64
    Q4_K_SUMS   8, 0, 0, 0
    Q4_K_SUMS   9, 144, 320, 16
    Q4_K_SUMS   10, 288, 640, 64
    Q4_K_SUMS   11, 432, 960, 80

    // Four sums in order; those of minimums as 0, 2 in one half and 1, 3 in the other; d and dmin likewise.
    vphaddd     ymm8, ymm8, ymm9
    vphaddd     ymm10, ymm10, ymm11
    vphaddd     ymm12, ymm12, ymm13
    vpunpckldq  ymm1, ymm1, ymm14
    vphaddd     ymm8, ymm8, ymm10
    vphaddd     ymm12, ymm12, ymm12
    vextracti128 xmm2, ymm1, 1
    vextracti128 xmm9, ymm8, 1
    vextracti128 xmm13, ymm12, 1
    vpunpcklqdq xmm1, xmm1, xmm2
    vpaddd      xmm8, xmm8, xmm9
    vpunpcklqdq xmm12, xmm12, xmm13
    vbroadcastss ymm2, [rsi + 288]
    vbroadcastss ymm3, [rsi + 320 + 288]
    vbroadcastss ymm4, [rsi + 640 + 288]
    vbroadcastss ymm5, [rsi + 960 + 288]
    vcvtph2ps   ymm1, xmm1
    vblendps    ymm2, ymm2, ymm3, 0x30
    vblendps    ymm4, ymm4, ymm5, 0xc0
    vblendps    ymm2, ymm2, ymm4, 0xcc
    vcvtdq2ps   xmm8, xmm8
    vcvtdq2ps   xmm12, xmm12
    vmulps      ymm1, ymm1, ymm2
    vmovaps     [rsp + 128], xmm8
    vmovaps     [rsp + 144], xmm12
    vmovaps     [rsp + 160], ymm1
    Q4_K_CHAIN  128, 144, 160
    Q4_K_CHAIN  132, 152, 176
    Q4_K_CHAIN  136, 148, 168
    Q4_K_CHAIN  140, 156, 184
    add         rdi, 4*144
    add         rsi, 4*320
    sub         rdx, 4
    jae         10b
20:
    add         rdx, 4
    je          40f
30:
    // One block, in the place of both of a pair.
    Q4_K_SCALES 1, 12, 0, 0, 0, 0, 0
    Q4_K_SUMS   8, 0, 0, 0
    vextracti128 xmm9, ymm8, 1
    vpaddd      xmm8, xmm8, xmm9
    vphaddd     xmm8, xmm8, xmm12
    vphaddd     xmm8, xmm8, xmm8
    vcvtdq2ps   xmm8, xmm8
    vcvtph2ps   xmm1, xmm1
    vbroadcastss xmm2, [rsi + 288]
    vmulps      xmm1, xmm1, xmm2
    vmovaps     [rsp + 128], xmm8
    vmovaps     [rsp + 160], xmm1
    Q4_K_CHAIN  128, 132, 160
    add         rdi, 144
    add         rsi, 320
    dec         rdx
    jne         30b
40:
    mov         rsp, rbp
    pop         rbp
    .cfi_def_cfa rsp, 8
END quintile_q4_k_dot_avx2
