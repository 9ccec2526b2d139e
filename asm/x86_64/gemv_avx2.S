// void quintile_q4_k_gemv_avx2(const block_q4_k *rows, const act_block *x, size_t blocks, size_t pairs, float *out)
// void quintile_q5_k_gemv_avx2(const block_q5_k *rows, ..)
// void quintile_q6_k_gemv_avx2(const block_q6_k *rows, ..)
//
// 2 · pairs rows, one behind the other, times one row of byte activations: out[r] has the bits of the row dot. None of the
// numbers is zero.
//
// Two rows at a time, one of the first half and one of the second, the block of each in the place that super_blocks.S and
// super_blocks_16.S have for two super-blocks of one row:
//
//     rdi  block of the first row     rbx  bytes of a half: the second row is at rdi + rbx
//     rsi  block of activations       r11  blocks left      r12   bytes of half of the results
//     xmm0 accumulators: lanes 0 and 1 (of Q6_K, 0 and 2)   [rsp + GEMV_X] and on: what is read once a pair
//     and the rest as there
//
// Both rows share sums and scales of the activations, one vfmadd serves two chains, and nothing ends with a row: the
// next one's products begin before the chain of this one is through.
//
// Weights come from memory, and are read once. Each half is one stream, read from its first byte to its last, which
// the CPU's own prefetchers follow, and fetched GEMV_AHEAD (that of src/kernels/gemv/mod.rs) before it is read. Neighbouring
// rows in pairs are two streams that each jump over a row, and slow whichever way they are fetched (docs/matmul.md).
//
// Per super-block, Q5_K: 65 vector operations, where the row dot has 68.5.

.set GEMV_AHEAD, 4096
.set GEMV_X, 128
.set GEMV_BLOCKS, 136
.set GEMV_PAIRS, 144
.set GEMV_OUT, 152

// A frame, in which two registers of the caller's are kept, and what is read once a pair.
.macro GEMV_ENTER bytes
    FRAME       192
    mov         [rbp - 8], rbx
    .cfi_offset rbx, -24
    mov         [rbp - 16], r12
    .cfi_offset r12, -32
    imul        rbx, rdx, \bytes
    imul        rbx, rcx
    lea         r12, [4*rcx]
    mov         [rsp + GEMV_X], rsi
    mov         [rsp + GEMV_BLOCKS], rdx
    mov         [rsp + GEMV_PAIRS], rcx
    mov         [rsp + GEMV_OUT], r8
.endm

.macro GEMV_LEAVE
    mov         rbx, [rbp - 8]
    mov         r12, [rbp - 16]
    END_FRAME
.endm

// Lines of a block of each row.
.macro GEMV_FETCH bytes
.irp line, 0, 64, 128, 192
.if \line < \bytes
    prefetcht0  [rdi + GEMV_AHEAD + \line]
    prefetcht0  [rdi + rbx + GEMV_AHEAD + \line]
.endif
.endr
.endm

// The loops over pairs and blocks; \block adds a block of each to xmm0, \store puts the results at rax and rax + r12.
.macro GEMV_LOOPS block, store, bytes
    .p2align 5
10:
    vxorps      xmm0, xmm0, xmm0
    mov         rsi, [rsp + GEMV_X]
    mov         r11, [rsp + GEMV_BLOCKS]
    .p2align 5
20:
    GEMV_FETCH  \bytes
    \block
    add         rdi, \bytes
    add         rsi, 320
    dec         r11
    jne         20b
    mov         rax, [rsp + GEMV_OUT]
    \store
    add         qword ptr [rsp + GEMV_OUT], 4
    dec         qword ptr [rsp + GEMV_PAIRS]
    jne         10b
.endm

// Of Q4_K and Q5_K: sums of minimums to ymm10, lanes 0 1 of either half of the first row, lanes 2 3 of the second.
.macro GEMV_MINS
    vmovdqa     ymm3, [rip + 51b]
    vpmaddwd    ymm3, ymm3, [rsi + 256]
    vpackssdw   ymm3, ymm3, ymm3
    vmovq       xmm10, [rsp]
    vmovhps     xmm10, xmm10, [rsp + 8]
    vpmovzxbw   ymm10, xmm10
    vpmaddwd    ymm10, ymm10, ymm3
.endm

// Of Q4_K and Q5_K: a block of each row.
.macro GEMV_K_BLOCK sums
    K_SCALES    rbx
    \sums       ymm7, 0, 0
    \sums       ymm8, rbx, 0
    GEMV_MINS
    K_FOLD
    vshufps     ymm4, ymm3, ymm10, 0x88
    vshufps     ymm3, ymm3, ymm10, 0xdd
    vpaddd      ymm3, ymm3, ymm4
    vextracti128 xmm4, ymm3, 1
    vpaddd      xmm3, xmm3, xmm4
    vcvtdq2ps   xmm1, xmm3          // i0 i1 m0 m1
    vmovd       xmm3, [rdi]
    vmovd       xmm4, [rdi + rbx]
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
    vmovss      [rax], xmm0
    vextractps  [rax + r12], xmm0, 1
.endm

.macro GEMV_Q4_K_BLOCK
    GEMV_K_BLOCK Q4_K_SUMS
.endm

.macro GEMV_Q5_K_BLOCK
    GEMV_K_BLOCK Q5_K_SUMS
.endm

FUNCTION quintile_q4_k_gemv_avx2
    GEMV_ENTER  144
    K_CONSTANTS
    GEMV_LOOPS  GEMV_Q4_K_BLOCK, GEMV_K_STORE, 144
    GEMV_LEAVE
END quintile_q4_k_gemv_avx2

FUNCTION quintile_q5_k_gemv_avx2
    GEMV_ENTER  176
    K_CONSTANTS
    Q5_K_CONSTANTS
    GEMV_LOOPS  GEMV_Q5_K_BLOCK, GEMV_K_STORE, 176
    GEMV_LEAVE
END quintile_q5_k_gemv_avx2

.macro GEMV_Q6_K_BLOCK
    Q6_K_SUMS   ymm7, ymm9, 0, 0
    Q6_K_SUMS   ymm8, ymm2, rbx, 0
    S_FACTORS   208, rbx, 0
    S_FOLD
    vcvtdq2ps   xmm3, xmm3          // i0 . i1 .
    vfmadd231ps xmm0, xmm3, [rsp + FACTORS]
.endm

.macro GEMV_Q6_K_STORE
    vmovss      [rax], xmm0
    vextractps  [rax + r12], xmm0, 2
.endm

FUNCTION quintile_q6_k_gemv_avx2
    GEMV_ENTER  210
    Q6_K_CONSTANTS
    GEMV_LOOPS  GEMV_Q6_K_BLOCK, GEMV_Q6_K_STORE, 210
    GEMV_LEAVE
END quintile_q6_k_gemv_avx2
