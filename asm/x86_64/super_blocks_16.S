// What the row dots of Q2_K, Q3_K and Q6_K share, whose scales belong to 16 values each. They take two super-blocks at a time, 0
// at rdi and rsi, 1 at rdi + \w and rsi + \x, as those of super_blocks.S do, and do the contract's chain of fused multiply-adds
// one turn late.
//
//     rdi  block of the row           rsi  block of activations    r11  blocks left, less two    rax, rcx, rdx, r8  temporary
//     xmm0   acc                      ymm7, ymm8   integer sums of 0 and 1     ymm1 to ymm6  temporary
//     [rsp]  d of both as f16, in every other place, or, with minimums, d and dmin of both; then, as f32, those times the scales
//            of activations, and the sums: i0 . i1 . or i0 i1 m0 m1; then what a format needs
//
// These loops have loads to spare, so the operands of the chain go through memory, and no shuffles bring them to their lane.

.set FACTORS, 16
.set SUMS, 32
.set SCALES, 64

.macro S_ENTER
    FRAME       128
    mov         r11, rdx
    vxorps      xmm0, xmm0, xmm0
    vmovaps     [rsp + FACTORS], xmm0
    vmovaps     [rsp + SUMS], xmm0
.endm

.macro S_BYTES register, byte
    mov         eax, \byte * 0x01010101
    vmovd       xmm\register, eax
    vpbroadcastd ymm\register, xmm\register
.endm

// Adds lanes of \a and \b, of \by bits in turn, in 16 bits: \a.
.macro S_NODE a, b, by
    vpunpckl\by ymm6, \a, \b
    vpunpckh\by \a, \a, \b
    vpaddw      \a, \a, ymm6
.endm

// The factors, from d at \at or, with minimums, d and dmin.
.macro S_FACTORS at, w, x, mins
.ifnb \mins
    mov         eax, [rdi + \at]
    mov         ecx, [rdi + \w + \at]
.else
    movzx       eax, word ptr [rdi + \at]
    movzx       ecx, word ptr [rdi + \w + \at]
.endif
    shl         rcx, 32
    or          rax, rcx
    mov         [rsp], rax
    vcvtph2ps   xmm3, [rsp]
    K_FACTORS   xmm3, \x
    vmovaps     [rsp + FACTORS], xmm3
.endm

// Folds the sums to xmm3: i0 . i1 .
.macro S_FOLD
    K_FOLD
    vextracti128 xmm4, ymm3, 1
    vpaddd      xmm3, xmm3, xmm4
    vpshufd     xmm4, xmm3, 0xb1
    vpaddd      xmm3, xmm3, xmm4
.endm

.macro S_SUMS
    vcvtdq2ps   xmm3, xmm3
    vmovaps     [rsp + SUMS], xmm3
.endm

// acc = fma(d·dx, i, acc), of super-block \n; with minimums (a word, or none), acc = fma(-(dmin·dx), m, acc) then.
.macro S_CHAIN n, mins
    vmovss      xmm3, [rsp + FACTORS + 8*\n]
.ifnb \mins
    vmovss      xmm4, [rsp + FACTORS + 8*\n + 4]
    vfmadd231ss xmm0, xmm3, [rsp + SUMS + 4*\n]
    vfnmadd231ss xmm0, xmm4, [rsp + SUMS + 4*\n + 8]
.else
    vfmadd231ss xmm0, xmm3, [rsp + SUMS + 8*\n]
.endif
.endm

// The loop over a row. \sums is the macro of a super-block's integer sums, in the first register, and of those of minimums, in the
// second; \terms that of what goes to the stack, \bytes the size of a super-block.
.macro S_ROW sums, terms, bytes, mins
    sub         r11, 2
    jb          20f
    .p2align 5
10:
    \sums       ymm7, ymm9, 0, 0
    S_CHAIN     0, \mins
    S_CHAIN     1, \mins
    \sums       ymm8, ymm2, \bytes, 320
    \terms      \bytes, 320
    add         rdi, 2*\bytes
    add         rsi, 640
    sub         r11, 2
    jae         10b
20:
    S_CHAIN     0, \mins
    S_CHAIN     1, \mins
    test        r11b, 1
    je          30f
    // The last of an odd number, in the place of both.
    \sums       ymm7, ymm9, 0, 0
    vmovdqa     ymm8, ymm7
    vmovdqa     ymm2, ymm9
    \terms      0, 0
    S_CHAIN     0, \mins
30:
.endm
