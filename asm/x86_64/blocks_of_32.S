// What the row dots of formats with blocks of 32 share: they take eight blocks at a time, a group, one for each of the contract's
// lanes.
//
//     rdi  blocks of the row          rsi  block of activations (320 bytes: 256 quants, 16 sums, 8 scales)
//     rdx  groups left                r8   blocks behind the last whole group       rax, rcx, r10, r11  temporary
//     ymm0  lanes                     ymm1 to ymm7  temporary         ymm8  lanes before the last group
//     ymm9  0x10 in each byte         ymm10  the bit of each value    ymm11  the byte that holds it
//     ymm12  what each quant is stored above its weight, as i16       ymm13  shifts of nibbles
//     ymm14  ones, as i16             ymm15  0x0f in each byte
//     [rsp]  scales as f16, then minimums; at COPIES, zeros and the blocks behind the last whole group
//
// The sums of a block's products lie in all lanes of a register. Seven nodes of two shuffles and a sum bring those of a group
// together, a lane a block: 2.6 operations a block, and one conversion and one fused multiply-add for the group. Scales are
// put together in integer registers, two by one load of four bytes and one of two.

.set COPIES, 64
// What rows that come from memory one behind the other ask for this early: that of src/kernels/gemv/mod.rs.
.set BLOCKS_AHEAD, 4096

    .p2align 5
80: // shifts of low nibbles, and of high ones
    .long 0, 0, 0, 0, 4, 4, 4, 4
81: // lanes that are there, back from the eighth, and that are not
    .fill 8, 4, -1
    .fill 8, 4, 0
82: // the byte that holds the bit of each value
.irp byte, 0, 1, 2, 3
    .fill 8, 1, \byte
.endr

.macro BLOCKS_ENTER
    FRAME       384
    vxorps      xmm0, xmm0, xmm0
    vpcmpeqd    ymm14, ymm14, ymm14
    vpabsw      ymm14, ymm14
.endm

// Of formats with nibbles: what unpacks them.
.macro BLOCKS_NIBBLES
    mov         eax, 0x0f0f0f0f
    vmovd       xmm15, eax
    vmovdqa     ymm13, [rip + 80b]
    vpbroadcastd ymm15, xmm15
.endm

// Of formats with five bits: what unpacks the fifth.
.macro BLOCKS_FIFTH_BITS
    movabs      rax, 0x8040201008040201
    vmovq       xmm10, rax
    mov         eax, 0x10101010
    vmovd       xmm9, eax
    vmovdqa     ymm11, [rip + 82b]
    vpbroadcastq ymm10, xmm10
    vpbroadcastd ymm9, xmm9
.endm

// The sum of the lanes, in pairs.
.macro BLOCKS_LEAVE
    vmovshdup   ymm1, ymm0
    vaddps      ymm0, ymm0, ymm1
    vunpckhpd   ymm1, ymm0, ymm0
    vaddps      ymm0, ymm0, ymm1
    vextractf128 xmm1, ymm0, 1
    vaddss      xmm0, xmm0, xmm1
    END_FRAME
.endm

// The f16 at \at of each block of a group: [rsp + \to]. Loads of four bytes begin two before one of them, in the block before.
.macro BLOCKS_HALVES bytes, at, to
    mov         eax, [rdi + \bytes + \at - 2]
    mov         r10d, [rdi + 3*\bytes + \at - 2]
    mov         r11d, [rdi + 5*\bytes + \at - 2]
    mov         ecx, [rdi + 7*\bytes + \at - 2]
    mov         ax, [rdi + \at]
    mov         r10w, [rdi + 2*\bytes + \at]
    mov         r11w, [rdi + 4*\bytes + \at]
    mov         cx, [rdi + 6*\bytes + \at]
    shl         r10, 32
    shl         rcx, 32
    or          rax, r10
    or          rcx, r11
    mov         [rsp + \to], rax
    mov         [rsp + \to + 8], rcx
.endm

// Adds lanes of \a and \b, of \by bits in turn. \sum is w where the sums fit 16 bits (two that are neighbours belong to one block),
// else d.
.macro BLOCKS_NODE out, a, b, by, sum
    vpunpckl\by ymm5, \a, \b
    vpunpckh\by \a, \a, \b
    vpadd\sum   \out, \a, ymm5
.endm

// Products of eight blocks, two at a time by \pair: those of the first four in turn in ymm1, those of the others in ymm2.
.macro BLOCKS_PRODUCTS pair, sum
    \pair       ymm1, ymm2, 0
    BLOCKS_NODE ymm1, ymm1, ymm2, dq, \sum
    \pair       ymm2, ymm3, 2
    BLOCKS_NODE ymm2, ymm2, ymm3, dq, \sum
    BLOCKS_NODE ymm1, ymm1, ymm2, qdq, \sum
    \pair       ymm2, ymm3, 4
    BLOCKS_NODE ymm2, ymm2, ymm3, dq, \sum
    \pair       ymm3, ymm4, 6
    BLOCKS_NODE ymm3, ymm3, ymm4, dq, \sum
    BLOCKS_NODE ymm2, ymm2, ymm3, qdq, \sum
.endm

// The last node, of halves: ymm1.
.macro BLOCKS_FOLD sum
    vpblendd    ymm3, ymm1, ymm2, 0xf0
    vperm2i128  ymm2, ymm1, ymm2, 0x21
    vpadd\sum   ymm1, ymm3, ymm2
.endm

// ymm1 less what quants that are stored above their weights add too much.
.macro BLOCKS_OFFSET
    vpmaddwd    ymm2, ymm12, [rsi + 256]
    vpsubd      ymm1, ymm1, ymm2
.endm

// lane = fma(f·dx, sum, lane), with the f16 at [rsp + \from].
.macro BLOCKS_TERM sum, from
    vmovq       xmm2, [rsp + \from]
    vmovhps     xmm2, xmm2, [rsp + \from + 8]
    vcvtph2ps   ymm2, xmm2
    vcvtdq2ps   \sum, \sum
    vmulps      ymm2, ymm2, [rsi + 288]
    vfmadd231ps ymm0, ymm2, \sum
.endm

// Scales of the group, and its integer sums in ymm1, added to the lanes.
.macro BLOCKS_ADD bytes
    BLOCKS_HALVES \bytes, 0, 0
    BLOCKS_TERM ymm1, 0
.endm

// For formats with minimums also those, times the sums of activations.
.macro BLOCKS_ADD_WITH_MINS bytes
    BLOCKS_HALVES \bytes, 0, 0
    BLOCKS_HALVES \bytes, 2, 16
    vpmaddwd    ymm3, ymm14, [rsi + 256]
    BLOCKS_TERM ymm1, 0
    BLOCKS_TERM ymm3, 16
.endm

// The loop over a row. \group adds one group to the lanes, \bytes is the size of a block; lines are asked for \ahead bytes before
// they are read, if that is not 0.
.macro BLOCKS_ROW group, bytes, ahead=0
    mov         r8d, edx
    and         r8d, 7
    shr         rdx, 3
    je          20f
    .p2align 5
10:
.if \ahead
.irp line, 0, 64, 128, 192, 256
.if \line < 8*\bytes
    prefetcht0  [rdi + \ahead + \line]
.endif
.endr
.endif
    \group
    add         rdi, 8*\bytes
    add         rsi, 320
    sub         rdx, 1
    jne         10b
20:
    test        r8d, r8d
    je          40f
    // What is left, copied among zeros: the lanes of absent blocks stay as they are.
    vpxor       xmm1, xmm1, xmm1
.irp at, 0, 32, 64, 96, 128, 160, 192, 224, 256
    vmovdqa     [rsp + COPIES + \at], ymm1
.endr
    lea         rdx, [rsp + COPIES]
    mov         ecx, r8d
30:
    vmovdqu     xmm1, [rdi]
.if \bytes == 34
    vmovdqu     ymm2, [rdi + \bytes - 32]
    vmovdqu     [rdx], xmm1
    vmovdqu     [rdx + \bytes - 32], ymm2
.else
    vmovdqu     xmm2, [rdi + \bytes - 16]
    vmovdqu     [rdx], xmm1
    vmovdqu     [rdx + \bytes - 16], xmm2
.endif
    add         rdi, \bytes
    add         rdx, \bytes
    sub         ecx, 1
    jne         30b
    lea         rdi, [rsp + COPIES]
    vmovaps     ymm8, ymm0
    \group
    lea         rax, [rip + 81b + 32]
    neg         r8
    vmovups     ymm1, [rax + 4*r8]
    vblendvps   ymm0, ymm8, ymm0, ymm1
40:
.endm

// Of nibbles of blocks b and b + 1: low ones, then high ones.
.macro BLOCKS_UNPACK v, u, b, bytes, at
    vbroadcasti128 \v, [rdi + \bytes*\b + \at]
    vbroadcasti128 \u, [rdi + \bytes*(\b + 1) + \at]
    vpsrlvd     \v, \v, ymm13
    vpsrlvd     \u, \u, ymm13
    vpand       \v, \v, ymm15
    vpand       \u, \u, ymm15
.endm
