// float quintile_q4_k_dot_exact_avx2(const block_q4_k *row, const float *x, size_t blocks)
// float quintile_q5_k_dot_exact_avx2(const block_q5_k *row, const float *x, size_t blocks)
//
// One row of Q4_K or Q5_K times a vector of f32 that is not quantised, by the contract of src/kernels/qdot_exact/mod.rs.
//
//     rdi  block of the row + 64     rsi  its values of x + 128       rdx  blocks left       r9  [rsp + EXACT_D]
//     r8   quants of a pair of sub-blocks, at rsp                     rax, rcx, r11  temporary
//     ymm0 to ymm7   the 64 lanes    ymm8, ymm9  scale and minimum of a sub-block        ymm10 to ymm12  temporary
//     ymm13  fifth bits of Q5_K      ymm14  0x10 in each byte         ymm15  0x0f in each byte
//     [rsp]  quants of a block as words, 32 bytes for each eight: 512      [rsp + EXACT_D]  four scales, four minimums, twice: f32
//     [rsp + EXACT_BYTES]  the same as bytes                               [rsp + EXACT_FACTORS]  d four times, dmin four times
//
// A quant as a word is half a float: q times 2^-24, below the normal ones, and exact. vcvtph2ps reads eight from memory in one
// operation (from a register it takes two), where vpmovzxbd and vcvtdq2ps are two; scales are multiplied by 2^24 instead.
// The value, a product less the minimum, rounds once as the contract says, since the product is exact: 5 + 17 bits.
//
// All 64 lanes stay in registers, so quants go through memory: while a pair of sub-blocks is multiplied, those of the next block
// take its place. Nothing waits for a store. Pointers move with the pair, so that displacements have a byte: with four bytes
// each, the cache of decoded operations holds fewer of them a line, and Zen 3 takes a tenth longer.
//
// Per super-block of Q5_K: 32 vcvtph2ps, 32 vfmsub, 32 vfmadd, 51 to unpack and 8 for scales: 155 vector operations on four
// pipes (Zen): 39 cycles; its 91 loads take 46. Measured on Zen 3: 56, where the intrinsics of the AVX2 sibling take 84.

.set EXACT_D, 512
.set EXACT_FACTORS, 576
.set EXACT_BYTES, 608
.set EXACT_FRAME, 640

    .p2align 5
80: // 2^24 for scales, 1 for minimums
    .long 0x4b800000, 0x4b800000, 0x4b800000, 0x4b800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000
81: // of a pair of words, the first four times, then the second
    .byte 0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3
82: // the lower bits of scales 0 to 3, and of 4 to 7
    .quad 0x3f3f3f3f3f3f3f3f, 0x0f0f0f0f0f0f0f0f

// Factors, and bytes of scales and minimums, of the block at rdi.
.macro EXACT_SCALE_BYTES
    mov         rax, [rdi - 60]
    mov         ecx, [rdi - 52]
    vpbroadcastd xmm12, [rdi - 64]
    vpshufb     xmm12, xmm12, [rip + 81b]
    mov         r11d, ecx
    shr         r11d, 4
    shl         r11, 32
    or          rcx, r11
    mov         r11, rax
    and         rax, [rip + 82b]
    xor         r11, rax
    shr         r11, 2
    and         rcx, [rip + 82b + 8]
    or          rcx, r11
    vcvtph2ps   ymm12, xmm12
    vmulps      ymm12, ymm12, [rip + 80b]
    vmovaps     [r9 + EXACT_FACTORS - EXACT_D], ymm12
    mov         [r9 + EXACT_BYTES - EXACT_D], rax
    mov         [r9 + EXACT_BYTES - EXACT_D + 8], rcx
.endm

// Four scales and minimums as f32.
.macro EXACT_SCALES half
    vpmovzxbd   ymm11, [r9 + EXACT_BYTES - EXACT_D + 8*\half]
    vcvtdq2ps   ymm11, ymm11
    vmulps      ymm11, ymm11, [r9 + EXACT_FACTORS - EXACT_D]
    vmovaps     [r9 + 32*\half], ymm11
.endm

// Quants of sub-blocks 2g and 2g + 1 of the block at rdi, from bytes in ymm11 and ymm12 to words at r8.
.macro EXACT_WORDS
    vpxor       xmm10, xmm10, xmm10
    vpunpcklbw  ymm9, ymm11, ymm10
    vpunpckhbw  ymm11, ymm11, ymm10
    vpunpcklbw  ymm8, ymm12, ymm10
    vpunpckhbw  ymm12, ymm12, ymm10
    vmovdqa     [r8], ymm9
    vmovdqa     [r8 + 32], ymm11
    vmovdqa     [r8 + 64], ymm8
    vmovdqa     [r8 + 96], ymm12
.endm

.macro Q4_K_EXACT_QUANTS g
    vmovdqu     ymm11, [rdi - 48 + 32*\g]
    vpsrlw      ymm12, ymm11, 4
    vpand       ymm11, ymm11, ymm15
    vpand       ymm12, ymm12, ymm15
    EXACT_WORDS
.endm

.macro Q5_K_EXACT_QUANTS g
.if \g == 0
    vmovdqu     ymm13, [rdi - 48]
.endif
    vmovdqu     ymm11, [rdi - 16 + 32*\g]
    vpsrlw      ymm12, ymm11, 4
    vpand       ymm11, ymm11, ymm15
    vpand       ymm12, ymm12, ymm15
    // Bits 2g and 2g + 1 to bit 4.
.if \g < 2
    vpsllw      ymm10, ymm13, 4 - 2*\g
    vpsllw      ymm8, ymm13, 3 - 2*\g
    vpand       ymm10, ymm10, ymm14
.elseif \g == 2
    vpand       ymm10, ymm13, ymm14
    vpsrlw      ymm8, ymm13, 1
.else
    vpsrlw      ymm10, ymm13, 2
    vpsrlw      ymm8, ymm13, 3
    vpand       ymm10, ymm10, ymm14
.endif
    vpand       ymm8, ymm8, ymm14
    vpor        ymm11, ymm11, ymm10
    vpor        ymm12, ymm12, ymm8
    EXACT_WORDS
.endm

// Sub-block j, at r8 + at and rsi + 2*at - 128, to four registers of lanes. Words 0 to 7 and 16 to 23 are the first 32 bytes.
.macro EXACT_MULTIPLY j, at, a, b, c, d
    vbroadcastss ymm8, [r9 + 32*(\j/4) + 4*(\j%4)]
    vbroadcastss ymm9, [r9 + 32*(\j/4) + 4*(\j%4) + 16]
    vcvtph2ps   ymm10, [r8 + \at]
    vcvtph2ps   ymm11, [r8 + \at + 32]
    vcvtph2ps   ymm12, [r8 + \at + 16]
    vfmsub213ps ymm10, ymm8, ymm9
    vfmsub213ps ymm11, ymm8, ymm9
    vfmadd231ps ymm\a, ymm10, [rsi + 2*\at - 128]
    vcvtph2ps   ymm10, [r8 + \at + 48]
    vfmsub213ps ymm12, ymm8, ymm9
    vfmadd231ps ymm\b, ymm11, [rsi + 2*\at - 96]
    vfmsub213ps ymm10, ymm8, ymm9
    vfmadd231ps ymm\c, ymm12, [rsi + 2*\at - 64]
    vfmadd231ps ymm\d, ymm10, [rsi + 2*\at - 32]
.endm

// Even sub-blocks belong to the first 32 lanes, odd ones to the others.
.macro EXACT_MULTIPLY_PAIR g
    EXACT_MULTIPLY (2*\g), 0, 0, 1, 2, 3
    EXACT_MULTIPLY (2*\g + 1), 64, 4, 5, 6, 7
    add         rsi, 256
.endm

.macro EXACT_ROW quants, bytes
    FRAME       EXACT_FRAME
    mov         eax, 0x0f0f0f0f
    vmovd       xmm15, eax
    vpbroadcastd ymm15, xmm15
    mov         eax, 0x10101010
    vmovd       xmm14, eax
    vpbroadcastd ymm14, xmm14
.irp lane, 0, 1, 2, 3, 4, 5, 6, 7
    vxorps      xmm\lane, xmm\lane, xmm\lane
.endr
    test        rdx, rdx
    je          30f
    add         rdi, 64
    sub         rsi, -128
    lea         r9, [rsp + EXACT_D]
    mov         r8, rsp
    EXACT_SCALE_BYTES
    EXACT_SCALES 0
    EXACT_SCALES 1
.irp g, 0, 1, 2, 3
    \quants     \g
    sub         r8, -128
.endr
    dec         rdx
    je          20f
    .p2align 5
10: // A block, while the next one is unpacked.
    add         rdi, \bytes
    mov         r8, rsp
    EXACT_SCALE_BYTES
.irp g, 0, 1, 2, 3
    EXACT_MULTIPLY_PAIR \g
    \quants     \g
    sub         r8, -128
.if \g % 2
    EXACT_SCALES (\g/2)
.endif
.endr
    dec         rdx
    jne         10b
20: // The last block.
    mov         r8, rsp
.irp g, 0, 1, 2, 3
    EXACT_MULTIPLY_PAIR \g
    sub         r8, -128
.endr
30:
    FOLD_LANES
    END_FRAME
.endm

FUNCTION quintile_q4_k_dot_exact_avx2
    EXACT_ROW   Q4_K_EXACT_QUANTS, 144
END quintile_q4_k_dot_exact_avx2

FUNCTION quintile_q5_k_dot_exact_avx2
    EXACT_ROW   Q5_K_EXACT_QUANTS, 176
END quintile_q5_k_dot_exact_avx2
