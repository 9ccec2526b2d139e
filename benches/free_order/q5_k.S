// What `free_order` times in assembly: a Q5_K row times one row of byte activations.
//
//     float free_order_q5_k_free(const block_q5_k *row, const act_block *x, size_t blocks)
//     float free_order_q5_k_ordered(const block_q5_k *row, const act_block *x, size_t blocks)
//
// `blocks` is not zero; for `ordered` it is a multiple of four. Both form the integer sums of a super-block in the same
// way (SUMS): scales unpacked in one register and broadcast from the stack, fifth bits by tables of 16 entries. Per
// super-block that is 65 vector operations and 28 loads. `free` adds 11 and 2, `ordered` 13 and 4. On four vector pipes and two
// loads a cycle (Zen 5) that is 19 and 19.5 cycles of operations, 15 and 16 of loads, where loads of weights that cross a
// line count twice. Tried for `ordered`: all operands of the chain from memory, 5% slower; acc in all lanes, so that only
// it is shuffled, 6% slower.
//
//     rdi  row        rsi  x        rdx  turns left
//     rcx  64 bytes of the red zone, aligned to 32: a load of what a store across two lines wrote would wait for both
//     [rcx]   each scale twice, as 16 bits        [rcx + 32]   ordered: d·dx and dmin·dx of four blocks
//     ymm0   isum, in lanes                ymm1   msum, in lanes
//     ymm2   acc                           ymm3 to ymm8   what is at hand
//     ymm9   free: acc of minimums         ymm9, ymm10   ordered: sums of blocks 0 and 1, 2 and 3
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
    lea         rcx, [rsp - 64]
    and         rcx, -32
    vmovdqa     ymm11, [rip + 85b]
    vmovdqa     ymm12, [rip + 86b]
    vmovdqa     ymm13, [rip + 86b + 32]
    vmovdqa     ymm14, [rip + 86b + 64]
    vmovdqa     ymm15, [rip + 86b + 96]
.endm

// Sub-blocks 2g and 2g+1 times their scales: ymm6 and ymm8.
.macro PAIR g, w, x, nibbles, even, odd
    vmovdqu     ymm6, [rdi + \w + 48 + 32*\g]
    vpshufb     ymm7, \even, \nibbles
    vpsrlw      ymm8, ymm6, 4
    vpand       ymm6, ymm6, ymm11
    vpand       ymm8, ymm8, ymm11
    vpor        ymm6, ymm6, ymm7
    vpshufb     ymm7, \odd, \nibbles
    vpor        ymm8, ymm8, ymm7
    vpmaddubsw  ymm6, ymm6, [rsi + \x + 64*\g]
    vpmaddubsw  ymm8, ymm8, [rsi + \x + 64*\g + 32]
    vpbroadcastd ymm7, [rcx + 8*\g]
    vpmaddwd    ymm6, ymm6, ymm7
    vpbroadcastd ymm7, [rcx + 8*\g + 4]
    vpmaddwd    ymm8, ymm8, ymm7
.endm

// The sums of the super-block at [rdi + \w], in the lanes of ymm0 and ymm1.
.macro SUMS w, x
    // Of the words a, b, c: the low bits from a, c, b, c >> 4, the top bits of the second and the fourth from a and b.
    vbroadcasti128 ymm1, [rdi + \w + 4]
    vmovdqu     ymm4, [rdi + \w + 16]
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
    vpmaddwd    ymm1, ymm1, [rsi + \x + 256]
    vpsrlw      ymm5, ymm4, 4
    vpand       ymm4, ymm4, ymm11
    vpand       ymm5, ymm5, ymm11
    PAIR        0, \w, \x, ymm4, ymm12, ymm13
    vpaddd      ymm0, ymm6, ymm8
    PAIR        1, \w, \x, ymm4, ymm14, ymm15
    vpaddd      ymm3, ymm6, ymm8
    PAIR        2, \w, \x, ymm5, ymm12, ymm13
    vpaddd      ymm0, ymm0, ymm6
    vpaddd      ymm3, ymm3, ymm8
    PAIR        3, \w, \x, ymm5, ymm14, ymm15
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
    SUMS        0, 0
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

// In each half, two lanes that add up to its part of isum, then two for msum.
.macro HALVED to
    vshufpd     ymm3, ymm0, ymm1, 5
    vpblendd    ymm0, ymm0, ymm1, 0xcc
    vpaddd      \to, ymm0, ymm3
.endm

// The halves of \first added in the lower half, those of \second in the upper.
.macro JOINED first, second
    vperm2i128  ymm3, \first, \second, 0x20
    vperm2i128  ymm4, \first, \second, 0x31
    vpaddd      \first, ymm3, ymm4
.endm

// acc = fma(d * dx, isum, acc), acc = fma(-(dmin * dx), msum, acc): the sums from lanes of \sums, their factors from memory.
.macro CHAIN at, sums, lane
.if \lane == 0
    vfmadd231ss xmm2, \sums, [rcx + 32 + 4*\at]
    vmovshdup   xmm6, \sums
.else
    vpermilps   xmm5, \sums, 2
    vpermilps   xmm6, \sums, 3
    vfmadd231ss xmm2, xmm5, [rcx + 32 + 4*\at]
.endif
    vfnmadd231ss xmm2, xmm6, [rcx + 36 + 4*\at]
.endm

    .p2align 5
    .globl free_order_q5_k_ordered
free_order_q5_k_ordered:
    CONSTANTS
    vxorps      xmm2, xmm2, xmm2
    shr         rdx, 2
    .p2align 5
10:
    SUMS        0, 0
    HALVED      ymm9
    SUMS        176, 320
    HALVED      ymm0
    JOINED      ymm9, ymm0
    SUMS        352, 640
    HALVED      ymm10
    SUMS        528, 960
    HALVED      ymm0
    JOINED      ymm10, ymm0
    // isum and msum of blocks 0 and 2 in the lower half, of 1 and 3 in the upper; d and dmin, times dx, likewise.
    vshufps     ymm3, ymm9, ymm10, 0x88
    vshufps     ymm4, ymm9, ymm10, 0xdd
    vpaddd      ymm3, ymm3, ymm4
    vcvtdq2ps   ymm3, ymm3
    vextractf128 xmm4, ymm3, 1
    vmovd       xmm5, [rdi]
    vpinsrd     xmm5, xmm5, [rdi + 352], 1
    vpinsrd     xmm5, xmm5, [rdi + 176], 2
    vpinsrd     xmm5, xmm5, [rdi + 528], 3
    vcvtph2ps   ymm5, xmm5
    vbroadcastss ymm6, [rsi + 288]
    vbroadcastss ymm7, [rsi + 928]
    vblendps    ymm6, ymm6, ymm7, 0x0c
    vbroadcastss ymm7, [rsi + 608]
    vblendps    ymm6, ymm6, ymm7, 0x30
    vbroadcastss ymm7, [rsi + 1248]
    vblendps    ymm6, ymm6, ymm7, 0xc0
    vmulps      ymm5, ymm5, ymm6
    vmovaps     [rcx + 32], ymm5
    CHAIN       0, xmm3, 0
    CHAIN       4, xmm4, 0
    CHAIN       2, xmm3, 2
    CHAIN       6, xmm4, 2
    add         rdi, 704
    add         rsi, 1280
    dec         rdx
    jne         10b
    vmovaps     xmm0, xmm2
    vzeroupper
    ret
