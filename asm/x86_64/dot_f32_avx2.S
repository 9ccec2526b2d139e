// float quintile_dot_f32_avx2(const float *a, const float *b, size_t n)
//
// The inner product by the contract of 64 lanes (src/kernels/dot/mod.rs): eight ymm accumulators, lane j of
// the contract in lane j % 8 of ymm(j / 8).
//
//     rdi  a          rsi  b          rdx  elements left      rcx  bytes into the current block
//     ymm0-7  the lanes       ymm8-10  scratch        ymm11  mask of a tail       r8  elements before the first block
//
// Where a register of each slice would cross a line of the cache in every other load, the first elements go before the
// blocks, up to a boundary of a. Then the registers hold the lanes from that element on, those of its first in the last places of
// ymm7, and are moved to their places at last, through [rsp]. On Zen 3, 2048 elements both 16 bytes behind a boundary: 1.21 loads a cycle
// without, 1.90 with (docs/cookbook.md).
//
// A block of 64 elements: 8 vmovups, 8 vfmadd231ps with a memory operand: 16 loads, 8 FMAs, and 3 for
// the loop. Two load ports bound it to 8 cycles a block (Zen 2-4, Haswell to Skylake); three (Ice Lake
// and later, for 32-byte loads) to 5.3. Written on a Xeon of the Emerald Rapids generation.

.set DOT_FEWEST, 512 // elements that pay for moving the lanes

FUNCTION quintile_dot_f32_avx2
    FRAME       320
    vxorps      xmm0, xmm0, xmm0
    vxorps      xmm1, xmm1, xmm1
    vxorps      xmm2, xmm2, xmm2
    vxorps      xmm3, xmm3, xmm3
    vxorps      xmm4, xmm4, xmm4
    vxorps      xmm5, xmm5, xmm5
    vxorps      xmm6, xmm6, xmm6
    vxorps      xmm7, xmm7, xmm7
    xor         r8d, r8d
    cmp         rdx, DOT_FEWEST
    jb          5f
    mov         eax, edi
    neg         eax
    and         eax, 31
    je          5f
    test        al, 3
    jne         5f
    test        sil, 31
    je          5f
    // Elements before the boundary, in the last places of a register.
    shr         eax, 2
    mov         ecx, 7
    sub         ecx, eax
    vmovd       xmm11, ecx
    vpbroadcastd ymm11, xmm11
    vmovdqa     ymm10, [rip + 50f]
    vpcmpgtd    ymm11, ymm10, ymm11
    lea         rdi, [rdi + 4*rax]
    lea         rsi, [rsi + 4*rax]
    vmaskmovps  ymm8, ymm11, [rdi - 32]
    vmaskmovps  ymm9, ymm11, [rsi - 32]
    vfmadd231ps ymm7, ymm8, ymm9
    sub         rdx, rax
    mov         r8d, eax
5:
    mov         rcx, rdx
    and         rcx, -64
    je          20f
    and         edx, 63
    // Both pointers move to the end of the whole blocks; rcx counts up to zero.
    lea         rdi, [rdi + 4*rcx]
    lea         rsi, [rsi + 4*rcx]
    shl         rcx, 2
    neg         rcx
    .p2align 5
10:
    vmovups     ymm8, [rdi + rcx]
    vmovups     ymm9, [rdi + rcx + 32]
    vfmadd231ps ymm0, ymm8, [rsi + rcx]
    vfmadd231ps ymm1, ymm9, [rsi + rcx + 32]
    vmovups     ymm8, [rdi + rcx + 64]
    vmovups     ymm9, [rdi + rcx + 96]
    vfmadd231ps ymm2, ymm8, [rsi + rcx + 64]
    vfmadd231ps ymm3, ymm9, [rsi + rcx + 96]
    vmovups     ymm8, [rdi + rcx + 128]
    vmovups     ymm9, [rdi + rcx + 160]
    vfmadd231ps ymm4, ymm8, [rsi + rcx + 128]
    vfmadd231ps ymm5, ymm9, [rsi + rcx + 160]
    vmovups     ymm8, [rdi + rcx + 192]
    vmovups     ymm9, [rdi + rcx + 224]
    vfmadd231ps ymm6, ymm8, [rsi + rcx + 192]
    vfmadd231ps ymm7, ymm9, [rsi + rcx + 224]
    add         rcx, 256
    jne         10b
20:
    // The last 0 to 63 elements: whole registers, then one masked.
.irp lane, 0, 1, 2, 3, 4, 5, 6, 7
    cmp         edx, 8
    jb          3\lane\()f
    vmovups     ymm8, [rdi]
    vfmadd231ps ymm\lane, ymm8, [rsi]
    add         rdi, 32
    add         rsi, 32
    sub         edx, 8
.endr
    // 64 elements are never left, so the eighth register is masked at most: unreachable.
    ud2
.irp lane, 0, 1, 2, 3, 4, 5, 6, 7
3\lane\():
    test        edx, edx
    je          40f
    vmovd       xmm11, edx
    vpbroadcastd ymm11, xmm11
    vpcmpgtd    ymm11, ymm11, [rip + 50f]
    vmaskmovps  ymm8, ymm11, [rdi]
    vmaskmovps  ymm9, ymm11, [rsi]
    vmovaps     ymm10, ymm\lane
    vfmadd231ps ymm10, ymm8, ymm9
    // Absent lanes are left alone.
    vblendvps   ymm\lane, ymm\lane, ymm10, ymm11
    jmp         40f
.endr
40:
    test        r8d, r8d
    je          45f
    // Lanes from r8 on, and those before it, which are behind lane 63.
    lea         rax, [rsp + 4*r8]
    vmovups     [rax + 224], ymm7
    vmovaps     ymm8, [rsp + 256]
    vmovaps     [rsp], ymm8
.irp lane, 0, 1, 2, 3, 4, 5, 6
    vmovups     [rax + 32*\lane], ymm\lane
.endr
.irp lane, 0, 1, 2, 3, 4, 5, 6, 7
    vmovaps     ymm\lane, [rsp + 32*\lane]
.endr
45:
    FOLD_LANES
    END_FRAME
END quintile_dot_f32_avx2

    .p2align 5
50: .long       0, 1, 2, 3, 4, 5, 6, 7
