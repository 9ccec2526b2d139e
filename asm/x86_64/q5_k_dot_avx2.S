// float quintile_q5_k_dot_avx2(const block_q5_k *row, const act_block *x, size_t blocks)
//
// One Q5_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
//     rdi  block of the row (176 bytes: d, dmin, 12 bytes of scales, 32 of fifth bits, 128 of nibbles)
//     rsi  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     rdx  blocks left            rax, rcx, r8, r9  unpacking of scales
//     ymm0   acc in its lane 0    ymm1   eight scales, as i16, in both halves
//     ymm2   sums of minimums     ymm3   fifth bits
//     ymm4, ymm5  weights of two sub-blocks     ymm6, ymm7  their fifth bits, then their scales
//     ymm8, ymm9  integer sums of even and odd sub-blocks
//     ymm14  0x10 in each byte    ymm15  0x0f in each byte
//
// Per super-block of 256: 8 vpmaddubsw, 9 vpmaddwd, 8 vpshufb, 8 vpaddd, 13 shifts, 16 vpand, 8 vpor, and
// about 20 for scales and the reduction. Of 94 vector operations on three vector ports (Intel): 31 cycles; on
// four pipes (Zen): 24. Written on a Xeon of the Emerald Rapids generation.

    .p2align 5
60: // Byte selectors that spread the 16-bit element j of each half.
.irp element, 0x0100, 0x0302, 0x0504, 0x0706, 0x0908, 0x0b0a, 0x0d0c, 0x0f0e
    .rept 16
    .short      \element
    .endr
.endr

// Adds sub-blocks 2g and 2g+1. \low and \high shift their fifth bits to bit 4 of each byte.
.macro Q5_K_PAIR g, low_op, low_count, high_op, high_count
    vmovdqu     ymm4, [rdi + 48 + 32*\g]
    vpsrlw      ymm5, ymm4, 4
    vpand       ymm4, ymm4, ymm15
    vpand       ymm5, ymm5, ymm15
    \low_op     ymm6, ymm3, \low_count
    \high_op    ymm7, ymm3, \high_count
    vpand       ymm6, ymm6, ymm14
    vpand       ymm7, ymm7, ymm14
    vpor        ymm4, ymm4, ymm6
    vpor        ymm5, ymm5, ymm7
    vpmaddubsw  ymm4, ymm4, [rsi + 64*\g]
    vpmaddubsw  ymm5, ymm5, [rsi + 64*\g + 32]
    vpshufb     ymm6, ymm1, [rip + 60b + 64*\g]
    vpshufb     ymm7, ymm1, [rip + 60b + 64*\g + 32]
    vpmaddwd    ymm4, ymm4, ymm6
    vpmaddwd    ymm5, ymm5, ymm7
.endm

FUNCTION quintile_q5_k_dot_avx2
    vxorps      xmm0, xmm0, xmm0
    test        rdx, rdx
    je          20f
    mov         eax, 0x0f0f0f0f
    vmovd       xmm15, eax
    vpbroadcastd ymm15, xmm15
    mov         eax, 0x10101010
    vmovd       xmm14, eax
    vpbroadcastd ymm14, xmm14
    .p2align 5
10:
    // Scales 0-3 and minimums 0-3 are the low six bits of eight bytes; the top bits of those bytes, and
    // the nibbles of the last four bytes, are scales 4-7 and minimums 4-7.
    mov         eax, [rdi + 4]
    mov         ecx, [rdi + 8]
    mov         r8d, [rdi + 12]
    mov         r9d, eax
    and         eax, 0x3f3f3f3f
    shr         r9d, 2
    and         r9d, 0x30303030
    vmovd       xmm1, eax
    mov         eax, r8d
    and         eax, 0x0f0f0f0f
    or          eax, r9d
    vpinsrd     xmm1, xmm1, eax, 1
    mov         r9d, ecx
    and         ecx, 0x3f3f3f3f
    vpinsrd     xmm1, xmm1, ecx, 2
    shr         r9d, 2
    and         r9d, 0x30303030
    shr         r8d, 4
    and         r8d, 0x0f0f0f0f
    or          r8d, r9d
    vpinsrd     xmm1, xmm1, r8d, 3
    vpunpckhbw  xmm2, xmm1, xmm1
    vpmovzxbw   ymm2, xmm2
    vpmaddwd    ymm2, ymm2, [rsi + 256]
    vpmovzxbw   xmm1, xmm1
    vinserti128 ymm1, ymm1, xmm1, 1
    vmovdqu     ymm3, [rdi + 16]

    Q5_K_PAIR   0, vpsllw, 4, vpsllw, 3
    vmovdqa     ymm8, ymm4
    vmovdqa     ymm9, ymm5
    Q5_K_PAIR   1, vpsllw, 2, vpsllw, 1
    vpaddd      ymm8, ymm8, ymm4
    vpaddd      ymm9, ymm9, ymm5
    Q5_K_PAIR   2, vpsrlw, 0, vpsrlw, 1
    vpaddd      ymm8, ymm8, ymm4
    vpaddd      ymm9, ymm9, ymm5
    Q5_K_PAIR   3, vpsrlw, 2, vpsrlw, 3
    vpaddd      ymm8, ymm8, ymm4
    vpaddd      ymm9, ymm9, ymm5

    // isum to lane 0, msum to lane 1.
    vpaddd      ymm8, ymm8, ymm9
    vphaddd     ymm8, ymm8, ymm2
    vextracti128 xmm9, ymm8, 1
    vpaddd      xmm8, xmm8, xmm9
    vphaddd     xmm8, xmm8, xmm8
    vcvtdq2ps   xmm8, xmm8
    // d and dmin, times dx.
    vmovd       xmm9, [rdi]
    vcvtph2ps   xmm9, xmm9
    vbroadcastss xmm7, [rsi + 288]
    vmulps      xmm9, xmm9, xmm7
    vfmadd231ss xmm0, xmm9, xmm8
    vmovshdup   xmm9, xmm9
    vmovshdup   xmm8, xmm8
    vfnmadd231ss xmm0, xmm9, xmm8
    add         rdi, 176
    add         rsi, 320
    dec         rdx
    jne         10b
20:
END quintile_q5_k_dot_avx2
