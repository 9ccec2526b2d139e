// float quintile_q6_k_dot_avx2(const block_q6_k *row, const act_block *x, size_t blocks)
//
// One Q6_K row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs.
//
// Registers as in super_blocks.S where not said here; a block of the row is 210 bytes: 128 of low nibbles, 64 of high
// pairs of bits, 16 scales (signed bytes, one for each 16 weights), d.
//
//     rax, rcx  d of both             ymm1   scales as i16: of first halves of sub-blocks, of second ones
//     xmm11  sums of the last two, as f32: i0 . i1 .        ymm12  order of scales
//     ymm13  32 Σ scale·x: what quants that are stored 32 above their weights add too much
//     ymm14  0x30 in each byte        xmm10  factors of the last two: d0·dx0 . d1·dx1 .
//
// Per super-block of 256: 8 vpmaddubsw, 5 vpmaddwd, 8 vpunpck, 4 vpaddw, 3 vpaddd, 4 vpshufd, 5 for scales and the offset;
// to unpack 10 shifts, 16 vpand, 8 vpor; 4 for the fold, 2 for factors, 3 for the chain. Of 80 vector operations on four
// pipes (Zen): 20 cycles; on three ports (Intel): 27. Its 18 loads take 9. Tuned on Zen 5.

    .p2align 4
70: // even scales, then odd ones
    .byte 0,2,4,6,8,10,12,14, 1,3,5,7,9,11,13,15

// Sums of sub-blocks 4h to 4h + 3: ymm3.
.macro Q6_K_HALF h, w, x
    vmovdqu     ymm2, [rdi + \w + 128 + 32*\h]
    vmovdqu     ymm9, [rdi + \w + 64*\h]
    vmovdqu     ymm6, [rdi + \w + 64*\h + 32]
    vpsllw      ymm3, ymm2, 4
    vpsllw      ymm4, ymm2, 2
    vpand       ymm3, ymm3, ymm14
    vpand       ymm4, ymm4, ymm14
    vpand       ymm5, ymm9, ymm15
    vpor        ymm3, ymm3, ymm5
    vpand       ymm5, ymm6, ymm15
    vpor        ymm4, ymm4, ymm5
    vpsrlw      ymm9, ymm9, 4
    vpsrlw      ymm6, ymm6, 4
    vpand       ymm5, ymm2, ymm14
    vpsrlw      ymm2, ymm2, 2
    vpand       ymm9, ymm9, ymm15
    vpand       ymm6, ymm6, ymm15
    vpand       ymm2, ymm2, ymm14
    vpor        ymm9, ymm9, ymm5
    vpor        ymm2, ymm2, ymm6
    vpshufd     ymm6, ymm1, 0x55*(2*\h)
    K_PAIR      ymm3, ymm4, 2*\h, \x, ymm6
    vpshufd     ymm6, ymm1, 0x55*(2*\h + 1)
    K_PAIR      ymm9, ymm2, 2*\h + 1, \x, ymm6
    vpaddd      ymm3, ymm3, ymm9
.endm

// The integer sums of the super-block at rdi + \w and rsi + \x.
.macro Q6_K_SUMS sum, w, x
    vmovdqu     xmm1, [rdi + \w + 192]
    vpmovsxbw   ymm13, xmm1
    vpshufb     xmm1, xmm1, xmm12
    vpmaddwd    ymm13, ymm13, [rsi + \x + 256]
    vpmovsxbw   ymm1, xmm1
    vpslld      ymm13, ymm13, 5
    Q6_K_HALF   0, \w, \x
    vpsubd      \sum, ymm3, ymm13
    Q6_K_HALF   1, \w, \x
    vpaddd      \sum, \sum, ymm3
.endm

// Folds the sums, and brings their factors.
.macro Q6_K_TERMS w, x
    K_FOLD
    vextracti128 xmm4, ymm3, 1
    vpaddd      xmm3, xmm3, xmm4
    vpshufd     xmm4, xmm3, 0xb1
    vpaddd      xmm3, xmm3, xmm4
    vcvtdq2ps   xmm11, xmm3
    movzx       eax, word ptr [rdi + 208]
    movzx       ecx, word ptr [rdi + \w + 208]
    shl         rcx, 32
    or          rax, rcx
    vmovq       xmm3, rax
    vcvtph2ps   xmm3, xmm3
    K_FACTORS   xmm10, \x
.endm

// acc = fma(d·dx, i, acc), of both.
.macro Q6_K_CHAIN
    vfmadd231ss xmm0, xmm10, xmm11
    vpunpckhqdq xmm10, xmm10, xmm10
    vpunpckhqdq xmm11, xmm11, xmm11
    vfmadd231ss xmm0, xmm10, xmm11
.endm

FUNCTION quintile_q6_k_dot_avx2
    vxorps      xmm0, xmm0, xmm0
    vxorps      xmm10, xmm10, xmm10
    vxorps      xmm11, xmm11, xmm11
    mov         eax, 0x0f0f0f0f
    vmovd       xmm15, eax
    vpbroadcastd ymm15, xmm15
    mov         eax, 0x30303030
    vmovd       xmm14, eax
    vpbroadcastd ymm14, xmm14
    vmovdqa     xmm12, [rip + 70b]
    sub         rdx, 2
    jb          20f
    .p2align 5
10:
    Q6_K_SUMS   ymm7, 0, 0
    Q6_K_CHAIN
    Q6_K_SUMS   ymm8, 210, 320
    Q6_K_TERMS  210, 320
    add         rdi, 2*210
    add         rsi, 640
    sub         rdx, 2
    jae         10b
20:
    Q6_K_CHAIN
    test        dl, 1
    je          30f
    // The last of an odd number, in the place of both.
    Q6_K_SUMS   ymm7, 0, 0
    vmovdqa     ymm8, ymm7
    Q6_K_TERMS  0, 0
    vfmadd231ss xmm0, xmm10, xmm11
30:
END quintile_q6_k_dot_avx2
