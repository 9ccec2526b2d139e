// What the row dots of Q4_K, Q5_K and Q6_K share: they take two super-blocks at a time, 0 at rdi and rsi, 1 at
// rdi + \w and rsi + \x, and do the contract's chain of fused multiply-adds one turn late.
//
//     rdi  block of the row           rsi  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     rdx  blocks left, less two
//     xmm0   acc                      xmm1   sums of the last two, as f32: i0 i1 m0 m1
//     xmm14  their factors: d0·dx0, dmin0·dx0, d1·dx1, dmin1·dx1
//     ymm7, ymm8  integer sums of 0 and 1       ymm9   scales and minimums of both, a half each
//     ymm10  sums of minimums         ymm11, ymm12, ymm13  constants of K_SCALES     ymm15  0x0f in each byte
//     ymm2 to ymm6  temporary
//
// The chain has a latency of 8 cycles a super-block (two FMAs of 4), and what goes before it, products to folded sums,
// about 40. A turn late, its operands are ready when it is read, and none of it holds up what follows.
//
// The products of two sub-blocks, 16 lanes each, are interleaved and added in 16 bits, so that one vpmaddwd multiplies
// both by their scales, a pair of i16 that a broadcast load brings: on Zen 5, vpshufb would take the ports of
// multiplication, vpunpck does not.

    .p2align 5
50: // of a head d|dmin, s, m, low (words of four bytes): s, low, m, low
    .rept 2
    .byte 4,5,6,7, 12,13,14,15, 8,9,10,11, 12,13,14,15
    .endr
51: // the word whose top two bits belong to each
    .rept 2
    .byte 128,128,128,128, 4,5,6,7, 128,128,128,128, 8,9,10,11
    .endr
52: // how far low bits are shifted
    .rept 2
    .long 0, 0, 0, 4
    .endr
53: // bits that stay
    .rept 2
    .long 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f
    .endr
54: // top bits, shifted
    .rept 8
    .long 0x30303030
    .endr
55: // ones
    .rept 16
    .short 1
    .endr

// A frame with 32 bytes of scales at [rsp]; acc = 0, and a chain of zeros to begin with.
.macro K_ENTER
    push        rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    mov         rbp, rsp
    .cfi_def_cfa_register rbp
    sub         rsp, 32
    and         rsp, -32
    vxorps      xmm0, xmm0, xmm0
    vxorps      xmm1, xmm1, xmm1
    vxorps      xmm14, xmm14, xmm14
    mov         eax, 0x0f0f0f0f
    vmovd       xmm15, eax
    vpbroadcastd ymm15, xmm15
.endm

.macro K_LEAVE
    mov         rsp, rbp
    pop         rbp
    .cfi_def_cfa rsp, 8
.endm

// Of Q4_K and Q5_K: scales as pairs of i16 to [rsp], 0 before 1; all of both to ymm9.
.macro K_SCALES w
    vmovdqu     xmm9, [rdi]
    vinserti128 ymm9, ymm9, [rdi + \w], 1
    vpshufb     ymm3, ymm9, ymm11
    vpshufb     ymm4, ymm9, ymm12
    vpsrlvd     ymm3, ymm3, [rip + 52b]
    vpsrld      ymm4, ymm4, 2
    vpand       ymm3, ymm3, ymm13
    vpand       ymm4, ymm4, [rip + 54b]
    vpor        ymm9, ymm3, ymm4
    vpxor       xmm2, xmm2, xmm2
    vpunpcklbw  ymm2, ymm9, ymm2
    vmovdqa     [rsp], ymm2
.endm

// Products of two sub-blocks with activations 64 \g and up, times their scales: \low.
.macro K_PAIR low, high, g, x, scales
    vpmaddubsw  \low, \low, [rsi + \x + 64*(\g)]
    vpmaddubsw  \high, \high, [rsi + \x + 64*(\g) + 32]
    vpunpcklwd  ymm5, \low, \high
    vpunpckhwd  \low, \low, \high
    vpaddw      \low, \low, ymm5
    vpmaddwd    \low, \low, \scales
.endm

// Of Q4_K and Q5_K: sums of minimums to ymm10, lanes 0 1 of either half of super-block 0, lanes 2 3 of super-block 1.
.macro K_MINS x
    vpxor       xmm10, xmm10, xmm10
    vmovdqa     ymm3, [rip + 55b]
    vpunpckhbw  ymm10, ymm9, ymm10
    vpmaddwd    ymm4, ymm3, [rsi + 256]
    vpmaddwd    ymm3, ymm3, [rsi + \x + 256]
    vpermq      ymm10, ymm10, 0xd8
    vpackssdw   ymm3, ymm4, ymm3
    vpmaddwd    ymm10, ymm10, ymm3
.endm

// Half of the fold: ymm3, lanes as in ymm10.
.macro K_FOLD
    vpunpcklqdq ymm3, ymm7, ymm8
    vpunpckhqdq ymm4, ymm7, ymm8
    vpaddd      ymm3, ymm3, ymm4
.endm

// Folds the sums, and brings the factors of Q4_K and Q5_K.
.macro K_TERMS w, x
    K_FOLD
    vshufps     ymm4, ymm3, ymm10, 0x88
    vshufps     ymm3, ymm3, ymm10, 0xdd
    vpaddd      ymm3, ymm3, ymm4
    vextracti128 xmm4, ymm3, 1
    vpaddd      xmm3, xmm3, xmm4
    vcvtdq2ps   xmm1, xmm3
    vmovd       xmm3, [rdi]
    vpunpckldq  xmm3, xmm3, [rdi + \w]
    vcvtph2ps   xmm3, xmm3
    K_FACTORS   xmm14, \x
.endm

// Scales of activations, times those of weights in xmm3.
.macro K_FACTORS factors, x
    vmovq       xmm4, [rsi + 288]
    vmovhps     xmm4, xmm4, [rsi + \x + 288]
    vmulps      \factors, xmm3, xmm4
.endm

// acc = fma(d·dx, i, acc), acc = fma(-(dmin·dx), m, acc), of super-block 0.
.macro K_CHAIN_0
    vfmadd231ss xmm0, xmm14, xmm1
    vmovshdup   xmm4, xmm14
    vpunpckhqdq xmm3, xmm1, xmm1
    vfnmadd231ss xmm0, xmm4, xmm3
.endm

// The same of super-block 1, after 0.
.macro K_CHAIN_1
    vmovshdup   xmm1, xmm1
    vpunpckhqdq xmm14, xmm14, xmm14
    vmovshdup   xmm3, xmm3
    vmovshdup   xmm4, xmm14
    vfmadd231ss xmm0, xmm14, xmm1
    vfnmadd231ss xmm0, xmm4, xmm3
.endm

// Of Q4_K and Q5_K: the loop over a row. \sums is the macro of a super-block's integer sums, \bytes its size.
.macro K_ROW sums, bytes
    vmovdqa     ymm11, [rip + 50b]
    vmovdqa     ymm12, [rip + 51b]
    vmovdqa     ymm13, [rip + 53b]
    sub         rdx, 2
    jb          20f
    .p2align 5
10:
    K_SCALES    \bytes
    \sums       ymm7, 0, 0, 0
    K_CHAIN_0
    K_CHAIN_1
    \sums       ymm8, \bytes, 320, 16
    K_MINS      320
    K_TERMS     \bytes, 320
    add         rdi, 2*\bytes
    add         rsi, 640
    sub         rdx, 2
    jae         10b
20:
    K_CHAIN_0
    K_CHAIN_1
    test        dl, 1
    je          30f
    // The last of an odd number, in the place of both.
    K_SCALES    0
    \sums       ymm7, 0, 0, 0
    vmovdqa     ymm8, ymm7
    K_MINS      0
    K_TERMS     0, 0
    K_CHAIN_0
30:
.endm
