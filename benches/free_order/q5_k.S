// What `free_order` times in assembly: a Q5_K row times one row of byte activations, rounded in eight lanes.
//
//     float free_order_q5_k_free(const block_q5_k *row, const act_block *x, size_t blocks)
//
// `blocks` is not zero. Scales are unpacked in one register and broadcast from the stack, fifth bits come from tables of 16
// entries. Per super-block 76 vector operations and 30 loads: on four vector pipes and two loads a cycle (Zen 5) 19 and 15 cycles,
// where loads of weights that cross a line count twice. Tried: the products of two sub-blocks interleaved and scaled together,
// the same time.
//
//     rdi  row        rsi  x        rdx  blocks left
//     rcx  32 bytes of the red zone, aligned: each scale twice, as 16 bits. A load of what a store across two lines wrote
//          would wait for both
//     ymm0   isum, in lanes                ymm1   msum, in lanes
//     ymm2   acc                           ymm3 to ymm8   what is at hand
//     ymm9   acc of minimums               ymm10  not used
//     ymm11  0x0f in each byte             ymm12 to ymm15  tables: bit 0 to 3 of a nibble, at bit 4

    .p2align 5
80: .long       0, 0, 0, 4, 0, 0, 0, 4
81: .long       0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f
82: .long       0, 0x30303030, 0, 0x30303030, 0, 0x30303030, 0, 0x30303030
83: // Byte selectors: each scale twice, widened to 16 bits.
.irp byte, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7
    .byte       \byte, 0x80
.endr
84: // The minimums likewise.
.irp byte, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15
    .byte       \byte, 0x80
.endr
85: .fill       32, 1, 0x0f
86:
.rept 2
    .byte       0, 16, 0, 16, 0, 16, 0, 16, 0, 16, 0, 16, 0, 16, 0, 16
.endr
.rept 2
    .byte       0, 0, 16, 16, 0, 0, 16, 16, 0, 0, 16, 16, 0, 0, 16, 16
.endr
.rept 2
    .byte       0, 0, 0, 0, 16, 16, 16, 16, 0, 0, 0, 0, 16, 16, 16, 16
.endr
.rept 2
    .byte       0, 0, 0, 0, 0, 0, 0, 0, 16, 16, 16, 16, 16, 16, 16, 16
.endr

.macro CONSTANTS
    lea         rcx, [rsp - 32]
    and         rcx, -32
    vmovdqa     ymm11, [rip + 85b]
    vmovdqa     ymm12, [rip + 86b]
    vmovdqa     ymm13, [rip + 86b + 32]
    vmovdqa     ymm14, [rip + 86b + 64]
    vmovdqa     ymm15, [rip + 86b + 96]
.endm

// Sub-blocks 2g and 2g+1 times their scales: ymm6 and ymm8.
.macro PAIR g, nibbles, even, odd
    vmovdqu     ymm6, [rdi + 48 + 32*\g]
    vpshufb     ymm7, \even, \nibbles
    vpsrlw      ymm8, ymm6, 4
    vpand       ymm6, ymm6, ymm11
    vpand       ymm8, ymm8, ymm11
    vpor        ymm6, ymm6, ymm7
    vpshufb     ymm7, \odd, \nibbles
    vpor        ymm8, ymm8, ymm7
    vpmaddubsw  ymm6, ymm6, [rsi + 64*\g]
    vpmaddubsw  ymm8, ymm8, [rsi + 64*\g + 32]
    vpbroadcastd ymm7, [rcx + 8*\g]
    vpmaddwd    ymm6, ymm6, ymm7
    vpbroadcastd ymm7, [rcx + 8*\g + 4]
    vpmaddwd    ymm8, ymm8, ymm7
.endm

// The sums of the super-block at hand, in the lanes of ymm0 and ymm1.
.macro SUMS
    // Of the words a, b, c: the low bits from a, c, b, c >> 4, the top bits of the second and the fourth from a and b.
    vbroadcasti128 ymm1, [rdi + 4]
    vmovdqu     ymm4, [rdi + 16]
    vpshufd     ymm8, ymm1, 0x98
    vpshufd     ymm1, ymm1, 0x50
    vpsrlvd     ymm8, ymm8, [rip + 80b]
    vpsrld      ymm1, ymm1, 2
    vpand       ymm8, ymm8, [rip + 81b]
    vpand       ymm1, ymm1, [rip + 82b]
    vpor        ymm1, ymm1, ymm8
    vpshufb     ymm8, ymm1, [rip + 83b]
    vpshufb     ymm1, ymm1, [rip + 84b]
    vmovdqa     [rcx], ymm8
    vpmaddwd    ymm1, ymm1, [rsi + 256]
    vpsrlw      ymm5, ymm4, 4
    vpand       ymm4, ymm4, ymm11
    vpand       ymm5, ymm5, ymm11
    PAIR        0, ymm4, ymm12, ymm13
    vpaddd      ymm0, ymm6, ymm8
    PAIR        1, ymm4, ymm14, ymm15
    vpaddd      ymm3, ymm6, ymm8
    PAIR        2, ymm5, ymm12, ymm13
    vpaddd      ymm0, ymm0, ymm6
    vpaddd      ymm3, ymm3, ymm8
    PAIR        3, ymm5, ymm14, ymm15
    vpaddd      ymm0, ymm0, ymm6
    vpaddd      ymm3, ymm3, ymm8
    vpaddd      ymm0, ymm0, ymm3
.endm

    .p2align 5
    .globl free_order_q5_k_free
free_order_q5_k_free:
    CONSTANTS
    vxorps      xmm2, xmm2, xmm2
    vxorps      xmm9, xmm9, xmm9
    .p2align 5
10:
    SUMS
    vmovd       xmm6, [rdi]
    vcvtph2ps   xmm6, xmm6
    vbroadcastss xmm7, [rsi + 288]
    vmulps      xmm6, xmm6, xmm7
    vcvtdq2ps   ymm0, ymm0
    vcvtdq2ps   ymm1, ymm1
    vbroadcastss ymm7, xmm6
    vmovshdup   xmm6, xmm6
    vbroadcastss ymm6, xmm6
    vfmadd231ps ymm2, ymm7, ymm0
    vfnmadd231ps ymm9, ymm6, ymm1
    add         rdi, 176
    add         rsi, 320
    dec         rdx
    jne         10b
    vaddps      ymm0, ymm2, ymm9
    vextractf128 xmm1, ymm0, 1
    vaddps      xmm0, xmm0, xmm1
    vmovhlps    xmm1, xmm0, xmm0
    vaddps      xmm0, xmm0, xmm1
    vmovshdup   xmm1, xmm0
    vaddss      xmm0, xmm0, xmm1
    vzeroupper
    ret
