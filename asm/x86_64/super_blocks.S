// What the row dots of Q4_K and Q5_K share, and Q6_K in part: they take two super-blocks at a time, 0 at rdi and rsi, 1 at
// rdi + \w and rsi + \x, and do the contract's chain of fused multiply-adds one turn late.
//
//     rdi  block of the row           rsi  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     r11  blocks left, less two      r8   the table of scales       r9, r10  0x3f, 0x0f in each byte
//     rax  four times scales 0 to 3 of 0, those of 1; then shifted out     rcx  scales 4 to 7 likewise     rdx  temporary
//     xmm0   acc                      xmm1   sums of the last two, as f32: i0 i1 m0 m1
//     xmm14  their factors: d0·dx0, dmin0·dx0, d1·dx1, dmin1·dx1
//     ymm7, ymm8  integer sums of 0 and 1       ymm10  sums of minimums      ymm15  0x0f in each byte
//     ymm2 to ymm6  temporary         [rsp]  minimums 0 to 3 of 0, those of 1, then 4 to 7
//
// The chain has a latency of 8 cycles a super-block (two FMAs of 4), and what goes before it, products to folded sums,
// about 40. A turn late, its operands are ready when it is read, and none of it holds up what follows.
//
// The vector pipes are what bounds these loops, so scales take none of their operations: integer registers unpack them,
// and each is the index of a register of i16 in a table of 2 KiB, which is an operand of vpmaddwd. With a pair of i16 for each
// scale, and a load that broadcasts it, a super-block takes seven instructions more and as many loads: Q5_K 1.07 of the time
// on Zen 3. By llvm-mca, Zen 4 gains a tenth, Skylake loses 3% (Q4_K 8%).

    .p2align 6
50: // by scale: it, in each lane
.irp eights, 0, 8, 16, 24, 32, 40, 48, 56
.irp ones, 0, 1, 2, 3, 4, 5, 6, 7
    .fill 16, 2, \eights + \ones
.endr
.endr
51: // ones
    .rept 16
    .short 1
    .endr

// acc = 0, and a chain of zeros to begin with.
.macro K_ENTER
    FRAME       64
    mov         r11, rdx
    K_CONSTANTS
    vxorps      xmm0, xmm0, xmm0
    vxorps      xmm1, xmm1, xmm1
    vxorps      xmm14, xmm14, xmm14
.endm

.macro K_CONSTANTS
    lea         r8, [rip + 50b]
    movabs      r9, 0x3f3f3f3f3f3f3f3f
    movabs      r10, 0x0f0f0f0f0f0f0f0f
    vmovq       xmm15, r10
    vpbroadcastq ymm15, xmm15
.endm

// Word \at of the scales of both, 0 in the lower half: \to.
.macro K_WORD to, at, w, temporary
    mov         e\to, [rdi + \at]
    mov         e\temporary, [rdi + \w + \at]
    shl         r\temporary, 32
    or          r\to, r\temporary
.endm

// The six lower bits of each byte of r\of, and of the two upper ones, in r\top, bits 4 and 5.
.macro K_SPLIT of, top
    mov         r\top, r\of
    and         r\of, r9
    xor         r\top, r\of
    shr         r\top, 2
.endm

// Scales, times four, to rax and rcx, minimums to [rsp]. The last word has the low bits of those from 4 on, the others their high bits.
.macro K_SCALES w
    K_WORD      dx, 8, \w, ax
    K_SPLIT     dx, ax
    mov         [rsp], rdx
    K_WORD      cx, 12, \w, dx
    mov         rdx, rcx
    and         rcx, r10
    xor         rdx, rcx
    shr         rdx, 4
    or          rdx, rax
    mov         [rsp + 8], rdx
    K_WORD      ax, 4, \w, dx
    K_SPLIT     ax, dx
    or          rcx, rdx
    shl         rax, 2
    shl         rcx, 2
.endm

// Products of sub-blocks 2g and 2g + 1, times their scales, the lowest of r\s\()x: added to \sum.
.macro K_PAIR low, high, sum, g, x, s
    movzx       edx, \s\()l
    vpmaddubsw  \low, \low, [rsi + \x + 64*(\g)]
    vpmaddwd    \low, \low, [r8 + 8*rdx]
    movzx       edx, \s\()h
    vpmaddubsw  \high, \high, [rsi + \x + 64*(\g) + 32]
    vpmaddwd    \high, \high, [r8 + 8*rdx]
    shr         r\s\()x, 16
.if \g == 0
    vpaddd      \sum, \low, \high
.else
    vpaddd      \low, \low, \high
    vpaddd      \sum, \sum, \low
.endif
.endm

// Sums of minimums to ymm10, lanes 0 1 of either half of super-block 0, lanes 2 3 of super-block 1.
.macro K_MINS x
    vmovq       xmm10, [rsp]
    vmovhps     xmm10, xmm10, [rsp + 8]
    vmovdqa     ymm3, [rip + 51b]
    vpmovzxbw   ymm10, xmm10
    vpmaddwd    ymm4, ymm3, [rsi + 256]
    vpmaddwd    ymm3, ymm3, [rsi + \x + 256]
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
    sub         r11, 2
    jb          20f
    .p2align 5
10:
    K_SCALES    \bytes
    \sums       ymm7, 0, 0
    K_CHAIN_0
    K_CHAIN_1
    \sums       ymm8, \bytes, 320
    K_MINS      320
    K_TERMS     \bytes, 320
    add         rdi, 2*\bytes
    add         rsi, 640
    sub         r11, 2
    jae         10b
20:
    K_CHAIN_0
    K_CHAIN_1
    test        r11b, 1
    je          30f
    // The last of an odd number, in the place of both.
    K_SCALES    0
    \sums       ymm7, 0, 0
    vmovdqa     ymm8, ymm7
    K_MINS      0
    K_TERMS     0, 0
    K_CHAIN_0
30:
.endm
