// void quintile_q4_k_gemv_avx2(const block_q4_k *rows, const act_block *x, size_t blocks, size_t pairs, float *out)
// void quintile_q5_k_gemv_avx2(const block_q5_k *rows, ..)
// void quintile_q6_k_gemv_avx2(const block_q6_k *rows, ..)
//
// 2 · pairs rows, one behind the other, times one row of byte activations: out[r] has the bits of the row dot. None of the
// numbers is zero.
//
// Two rows at a time, the block of each in the place that super_blocks.S has for two super-blocks of one row:
//
//     rdi  block of the first row     r10  bytes of a row: the second is at rdi + r10
//     rsi  block of activations       r11  the first of them        eax  blocks left        rdx  blocks
//     rcx  pairs left                 r8   out                      r9   what is fetched ahead
//     xmm0 accumulators: lanes 0 and 1 (of Q6_K, 0 and 2)           the rest as in super_blocks.S
//
// Both rows share sums and scales of the activations, one vfmadd serves two chains, and nothing ends with a row: the
// next one's products begin before the chain of this one is through.
//
// Weights come from memory, and are read once: the address at which they are fetched ahead goes through both rows in
// the order of memory, 4 KiB before the second of them is read. Two streams that each jump over a row confuse the
// CPU's own prefetching: without this, half the speed of one row at a time; with it, 1.2 to 1.4 times (Zen 5).
//
// Per super-block, Q5_K: 74 vector operations, where the row dot has 79. Of rows in the second-level cache the loop
// takes 21.4 cycles, on four pipes that would do it in 18.5; from memory, 23.

.set AHEAD, 4096

// Lines of a block of each row.
.macro GEMV_FETCH bytes
.irp line, 0, 64, 128, 192, 256, 320, 384
.if \line < 2*\bytes
    prefetcht0  [r9 + \line]
.endif
.endr
    add         r9, 2*\bytes
.endm

// The loops over pairs and blocks; \block adds a block of each to xmm0, \store puts both results at r8.
.macro GEMV_LOOPS block, store, bytes
    imul        r10, rdx, \bytes
    mov         r11, rsi
    lea         r9, [rdi + r10 + AHEAD]
    .p2align 5
10:
    vxorps      xmm0, xmm0, xmm0
    mov         rsi, r11
    mov         rax, rdx
    .p2align 5
20:
    GEMV_FETCH  \bytes
    \block
    add         rdi, \bytes
    add         rsi, 320
    dec         rax
    jne         20b
    \store
    add         r8, 8
    add         rdi, r10
    dec         rcx
    jne         10b
.endm

// Of Q4_K and Q5_K: sums of minimums to ymm10, lanes 0 1 of either half of the first row, lanes 2 3 of the second.
.macro GEMV_MINS
    vpxor       xmm10, xmm10, xmm10
    vmovdqa     ymm3, [rip + 55b]
    vpunpckhbw  ymm10, ymm9, ymm10
    vpmaddwd    ymm3, ymm3, [rsi + 256]
    vpermq      ymm10, ymm10, 0xd8
    vpackssdw   ymm3, ymm3, ymm3
    vpmaddwd    ymm10, ymm10, ymm3
.endm

// Of Q4_K and Q5_K: a block of each row.
.macro GEMV_K_BLOCK sums
    K_SCALES    r10
    \sums       ymm7, 0, 0, 0
    \sums       ymm8, r10, 0, 16
    GEMV_MINS
    K_FOLD
    vshufps     ymm4, ymm3, ymm10, 0x88
    vshufps     ymm3, ymm3, ymm10, 0xdd
    vpaddd      ymm3, ymm3, ymm4
    vextracti128 xmm4, ymm3, 1
    vpaddd      xmm3, xmm3, xmm4
    vcvtdq2ps   xmm1, xmm3          // i0 i1 m0 m1
    vmovd       xmm3, [rdi]
    vmovd       xmm4, [rdi + r10]
    vpunpcklwd  xmm3, xmm3, xmm4
    vcvtph2ps   xmm3, xmm3          // d0 d1 dmin0 dmin1
    vbroadcastss xmm4, [rsi + 288]
    vmulps      xmm3, xmm3, xmm4
    vfmadd231ps xmm0, xmm3, xmm1
    vunpckhpd   xmm3, xmm3, xmm3
    vunpckhpd   xmm4, xmm1, xmm1
    vfnmadd231ps xmm0, xmm3, xmm4
.endm

.macro GEMV_K_STORE
    vmovlps     [r8], xmm0
.endm

.macro GEMV_Q4_K_BLOCK
    GEMV_K_BLOCK Q4_K_SUMS
.endm

.macro GEMV_Q5_K_BLOCK
    GEMV_K_BLOCK Q5_K_SUMS
.endm

.macro GEMV_K block, bytes
    K_ENTER
    vmovdqa     ymm11, [rip + 50b]
    vmovdqa     ymm12, [rip + 51b]
    vmovdqa     ymm13, [rip + 53b]
    GEMV_LOOPS  \block, GEMV_K_STORE, \bytes
    K_LEAVE
.endm

FUNCTION quintile_q4_k_gemv_avx2
    GEMV_K      GEMV_Q4_K_BLOCK, 144
END quintile_q4_k_gemv_avx2

FUNCTION quintile_q5_k_gemv_avx2
    GEMV_K      GEMV_Q5_K_BLOCK, 176
END quintile_q5_k_gemv_avx2

.macro GEMV_Q6_K_BLOCK
    Q6_K_SUMS   ymm7, 0, 0
    Q6_K_SUMS   ymm8, r10, 0
    K_FOLD
    vextracti128 xmm4, ymm3, 1
    vpaddd      xmm3, xmm3, xmm4
    vpshufd     xmm4, xmm3, 0xb1
    vpaddd      xmm3, xmm3, xmm4
    vcvtdq2ps   xmm11, xmm3         // i0 . i1 .
    vpinsrw     xmm3, xmm10, [rdi + 208], 0
    vpinsrw     xmm3, xmm3, [rdi + r10 + 208], 2
    vcvtph2ps   xmm3, xmm3          // d0 . d1 .
    vbroadcastss xmm4, [rsi + 288]
    vmulps      xmm3, xmm3, xmm4
    vfmadd231ps xmm0, xmm3, xmm11
.endm

.macro GEMV_Q6_K_STORE
    vmovss      [r8], xmm0
    vextractps  [r8 + 4], xmm0, 2
.endm

FUNCTION quintile_q6_k_gemv_avx2
    mov         eax, 0x0f0f0f0f
    vmovd       xmm15, eax
    vpbroadcastd ymm15, xmm15
    mov         eax, 0x30303030
    vmovd       xmm14, eax
    vpbroadcastd ymm14, xmm14
    vmovdqa     xmm12, [rip + 70b]
    vpxor       xmm10, xmm10, xmm10
    GEMV_LOOPS  GEMV_Q6_K_BLOCK, GEMV_Q6_K_STORE, 210
END quintile_q6_k_gemv_avx2
