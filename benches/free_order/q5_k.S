// What `free_order` times in assembly: a Q5_K row times one row of byte activations, rounded in lanes.
//
//     float free_order_q5_k_free(const block_q5_k *row, const act_block *x, size_t blocks)
//
// `blocks` is even, and not zero. The loop is that of asm/x86_64/q5_k_dot_avx2.S, made of its own macros, which stand before this
// file: registers, scales and integer sums are as there. What differs is what becomes of the sums of a turn: nothing is folded, no
// chain follows.
//
//     ymm0, ymm1  lanes of fma(d·dx, isum of the lane, lane), of the first and of the second super-block of a turn
//     ymm14       lanes of fma(-(dmin·dx), msum of the lane, lane), of both
//
// Of two super-blocks, 17 vector operations and loads where the contract's end takes 25. Tried: factors stored, and broadcast by
// loads, 1.04 of the time.

// Factors as K_TERMS brings them: d0·dx0, dmin0·dx0, d1·dx1, dmin1·dx1.
.macro FREE_TERMS w, x
    vmovd       xmm3, [rdi]
    vpunpckldq  xmm3, xmm3, [rdi + \w]
    vcvtph2ps   xmm3, xmm3
    K_FACTORS   xmm3, \x
    vcvtdq2ps   ymm7, ymm7
    vcvtdq2ps   ymm8, ymm8
    vcvtdq2ps   ymm10, ymm10
    vbroadcastss ymm4, xmm3
    vfmadd231ps ymm0, ymm4, ymm7
    vmovshdup   xmm4, xmm3
    vunpckhpd   xmm3, xmm3, xmm3
    vbroadcastss ymm3, xmm3
    vinsertf128 ymm4, ymm4, xmm4, 1
    vfmadd231ps ymm1, ymm3, ymm8
    vfnmadd231ps ymm14, ymm4, ymm10
.endm

FUNCTION free_order_q5_k_free
    K_ENTER
    Q5_K_CONSTANTS
    .p2align 5
10:
    K_SCALES    176
    Q5_K_SUMS   ymm7, 0, 0
    Q5_K_SUMS   ymm8, 176, 320
    K_MINS      320
    FREE_TERMS  176, 320
    add         rdi, 2*176
    add         rsi, 640
    sub         r11, 2
    jne         10b
    vaddps      ymm0, ymm0, ymm1
    vaddps      ymm0, ymm0, ymm14
    vextractf128 xmm1, ymm0, 1
    vaddps      xmm0, xmm0, xmm1
    vmovhlps    xmm1, xmm0, xmm0
    vaddps      xmm0, xmm0, xmm1
    vmovshdup   xmm1, xmm0
    vaddss      xmm0, xmm0, xmm1
    END_FRAME
END free_order_q5_k_free
