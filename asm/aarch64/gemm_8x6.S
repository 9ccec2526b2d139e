// What the micro-kernels of eight rows and 2, 4 or 6 columns share: the functions are in gemm_8x6_dotprod.S and
// gemm_8x6_i8mm.S, which differ in how bytes are multiplied (sdot, smmla) and in what a lane of a sum is.
//
//     v0 to v11   parts: sums of products
//     v12 to v23  sums: of a super-block, or a lane of the contract of each element (blocks of 32)
//     v24 to v27  weights, then scales        v28 to v30  columns, then their scales      v31  temporary
//
// An oct is eight values of each row, 64 bytes, and of each column, 16 bytes for each pair of columns and 48 for three.
// sdot takes four values of four rows and, by element, of one column; a lane belongs to a row. Its sums of columns 2 p
// and 2 p + 1 are 4 p: rows 0 to 3 of the first, 4 p + 1: rows 4 to 7 of it, then the same of the second. smmla takes
// eight values of two rows and two columns; its sums of the columns are 4 p + r for rows 2 r and 2 r + 1, in each: the
// first row times both columns, the second row times both. In both, nothing is added across lanes.
//
// Parts are never set back to zero between scales. With s[j] - s[j + 1] for scales (the last is less nothing), the sum of
// a super-block is that of each part, so far, times such a difference: twelve operations less for each scale.

// Calls \what for each pair of columns: their register, then the numbers of the pair's parts, of its sums, or of both.
.macro GEMM_EACH pairs, set, what, more:vararg
.ifc \set,parts
    \what       28, 0, 1, 2, 3, \more
.if \pairs > 1
    \what       29, 4, 5, 6, 7, \more
.endif
.if \pairs > 2
    \what       30, 8, 9, 10, 11, \more
.endif
.endif
.ifc \set,sums
    \what       28, 12, 13, 14, 15, \more
.if \pairs > 1
    \what       29, 16, 17, 18, 19, \more
.endif
.if \pairs > 2
    \what       30, 20, 21, 22, 23, \more
.endif
.endif
.ifc \set,both
    \what       28, 0, 1, 2, 3, 12, 13, 14, 15, \more
.if \pairs > 1
    \what       29, 4, 5, 6, 7, 16, 17, 18, 19, \more
.endif
.if \pairs > 2
    \what       30, 8, 9, 10, 11, 20, 21, 22, 23, \more
.endif
.endif
.endm

.macro GEMM_SDOT_FOUR x, a, b, c, d, low, high, even, odd
    sdot        v\a\().4s, v\low\().16b, v\x\().4b[\even]
    sdot        v\b\().4s, v\high\().16b, v\x\().4b[\even]
    sdot        v\c\().4s, v\low\().16b, v\x\().4b[\odd]
    sdot        v\d\().4s, v\high\().16b, v\x\().4b[\odd]
.endm

.macro GEMM_SMMLA_FOUR x, a, b, c, d, w0, w1, w2, w3
    smmla       v\a\().4s, v\w0\().16b, v\x\().16b
    smmla       v\b\().4s, v\w1\().16b, v\x\().16b
    smmla       v\c\().4s, v\w2\().16b, v\x\().16b
    smmla       v\d\().4s, v\w3\().16b, v\x\().16b
.endm

// The products of an oct, rows at \w + \at, columns at \x + \by.
.macro GEMM_OCT op, pairs, set, w, at, x, by
    ldp         q24, q25, [\w, #\at]
    ldp         q26, q27, [\w, #\at + 32]
.if \pairs == 1
    ldr         q28, [\x, #\by]
.else
    ldp         q28, q29, [\x, #\by]
.endif
.if \pairs > 2
    ldr         q30, [\x, #\by + 32]
.endif
.ifc \op,sdot
    GEMM_EACH   \pairs, \set, GEMM_SDOT_FOUR, 24, 25, 0, 2
    GEMM_EACH   \pairs, \set, GEMM_SDOT_FOUR, 26, 27, 1, 3
.else
    GEMM_EACH   \pairs, \set, GEMM_SMMLA_FOUR, 24, 25, 26, 27
.endif
.endm

.macro GEMM_ZERO x, a, b, c, d, element
    movi        v\a\().\element, #0
    movi        v\b\().\element, #0
    movi        v\c\().\element, #0
    movi        v\d\().\element, #0
.endm

.macro GEMM_SHIFT x, a, b, c, d, count
    shl         v\a\().4s, v\a\().4s, #\count
    shl         v\b\().4s, v\b\().4s, #\count
    shl         v\c\().4s, v\c\().4s, #\count
    shl         v\d\().4s, v\d\().4s, #\count
.endm

.macro GEMM_TO_F32 x, a, b, c, d, element
    scvtf       v\a\().\element, v\a\().\element
    scvtf       v\b\().\element, v\b\().\element
    scvtf       v\c\().\element, v\c\().\element
    scvtf       v\d\().\element, v\d\().\element
.endm

// The sums of smmla become what those of sdot are.
.macro GEMM_ROWS_TO_F32 x, a, b, c, d, element
    uzp1        v24.\element, v\a\().\element, v\b\().\element
    uzp1        v25.\element, v\c\().\element, v\d\().\element
    uzp2        v26.\element, v\a\().\element, v\b\().\element
    uzp2        v27.\element, v\c\().\element, v\d\().\element
    scvtf       v\a\().\element, v24.\element
    scvtf       v\b\().\element, v25.\element
    scvtf       v\c\().\element, v26.\element
    scvtf       v\d\().\element, v27.\element
.endm

.macro GEMM_MLA x, a, b, c, d, i, j, k, l, s0, s1, s2, s3
    mla         v\i\().4s, v\a\().4s, v\s0\().4s
    mla         v\j\().4s, v\b\().4s, v\s1\().4s
    mla         v\k\().4s, v\c\().4s, v\s2\().4s
    mla         v\l\().4s, v\d\().4s, v\s3\().4s
.endm

// Adds parts times the scales at x4 to the sums.
.macro GEMM_SCALE op, pairs
    ldp         q24, q25, [x4], #32
.ifc \op,sdot
    GEMM_EACH   \pairs, both, GEMM_MLA, 24, 25, 24, 25
.else
    ldp         q26, q27, [x4], #32
    GEMM_EACH   \pairs, both, GEMM_MLA, 24, 25, 26, 27
.endif
.endm

.macro GEMM_SAVE
    stp         d8, d9, [sp, #-64]!
    .cfi_adjust_cfa_offset 64
    .cfi_offset b8, -64
    .cfi_offset b9, -56
    stp         d10, d11, [sp, #16]
    .cfi_offset b10, -48
    .cfi_offset b11, -40
    stp         d12, d13, [sp, #32]
    .cfi_offset b12, -32
    .cfi_offset b13, -24
    stp         d14, d15, [sp, #48]
    .cfi_offset b14, -16
    .cfi_offset b15, -8
.endm

.macro GEMM_RESTORE
    ldp         d14, d15, [sp, #48]
    ldp         d12, d13, [sp, #32]
    ldp         d10, d11, [sp, #16]
    ldp         d8, d9, [sp], #64
    .cfi_adjust_cfa_offset -64
    .cfi_restore b8
    .cfi_restore b9
    .cfi_restore b10
    .cfi_restore b11
    .cfi_restore b12
    .cfi_restore b13
    .cfi_restore b14
    .cfi_restore b15
.endm

// The element of a column, two registers of sums v\i and v\j, and of minimums v\m and v\n: acc = fma(d·dx, i, acc), then
// fma(-(dmin·dx), m, acc).
.macro GEMM_COLUMN mins, lane, i, j, m, n
    ldp         q29, q30, [x2]
    fmul        v31.4s, v24.4s, v28.s[\lane]
    fmla        v29.4s, v31.4s, v\i\().4s
    fmul        v31.4s, v25.4s, v28.s[\lane]
    fmla        v30.4s, v31.4s, v\j\().4s
.if \mins
    fmul        v\i\().4s, v26.4s, v28.s[\lane]
    fmls        v29.4s, v\i\().4s, v\m\().4s
    fmul        v\j\().4s, v27.4s, v28.s[\lane]
    fmls        v30.4s, v\j\().4s, v\n\().4s
.endif
    stp         q29, q30, [x2]
    add         x2, x2, x3
.endm

.macro GEMM_COLUMNS x, a, b, c, d, i, j, k, l, mins
    ldr         q28, [x1], #16
    GEMM_COLUMN \mins, 0, \i, \j, \a, \b
    GEMM_COLUMN \mins, 1, \k, \l, \c, \d
.endm

// void name(const panel *w, const columns *x, float *out, size_t stride): adds a super-block of eight rows and
// 2 * \pairs columns to their elements of out, columns stride elements apart, by the contract of src/kernels/gemm/mod.rs.
// The structures are in src/kernels/gemm/neon/mod.rs.
//
//     x0  quants of the rows          x1  quants of the columns; then their sums, then their scales
//     x2  element of out              x3  bytes from column to column
//     x4  scales of the rows          x5  turns left          x6  minimums of the rows, then d and dmin
//
// \octs share a scale: 4, 2, or 0 where there are none. Of minimums there are \mins octs: 0, 1 or 2. Sums of activations
// are two signed bytes each: the upper ones are multiplied first, and the products shifted.
.macro GEMM_SUPER_BLOCK op, pairs, octs, mins
    GEMM_SAVE
    lsl         x3, x3, #2
    add         x4, x0, #2048
    mov         w5, #8
    GEMM_EACH   \pairs, sums, GEMM_ZERO, 4s
.if \octs
    GEMM_EACH   \pairs, parts, GEMM_ZERO, 4s
.endif
    .p2align 5
10:
.if \octs
    GEMM_OCT    \op, \pairs, parts, x0, 0, x1, 0
    GEMM_OCT    \op, \pairs, parts, x0, 64, x1, 48
.if \octs == 2
    GEMM_SCALE  \op, \pairs
.endif
    GEMM_OCT    \op, \pairs, parts, x0, 128, x1, 96
    GEMM_OCT    \op, \pairs, parts, x0, 192, x1, 144
    GEMM_SCALE  \op, \pairs
.else
    GEMM_OCT    \op, \pairs, sums, x0, 0, x1, 0
    GEMM_OCT    \op, \pairs, sums, x0, 64, x1, 48
    GEMM_OCT    \op, \pairs, sums, x0, 128, x1, 96
    GEMM_OCT    \op, \pairs, sums, x0, 192, x1, 144
.endif
    add         x0, x0, #256
    add         x1, x1, #192
    subs        w5, w5, #1
    b.ne        10b
    add         x6, x0, #1024
.if \mins
    GEMM_EACH   \pairs, parts, GEMM_ZERO, 4s
    GEMM_OCT    \op, \pairs, parts, x6, 0, x1, 0
.if \mins == 2
    GEMM_OCT    \op, \pairs, parts, x6, 64, x1, 48
.endif
    GEMM_EACH   \pairs, parts, GEMM_SHIFT, 8
    GEMM_OCT    \op, \pairs, parts, x6, 0, x1, 96
.if \mins == 2
    GEMM_OCT    \op, \pairs, parts, x6, 64, x1, 144
.endif
.endif
.ifc \op,sdot
    GEMM_EACH   \pairs, sums, GEMM_TO_F32, 4s
.if \mins
    GEMM_EACH   \pairs, parts, GEMM_TO_F32, 4s
.endif
.else
    GEMM_EACH   \pairs, sums, GEMM_ROWS_TO_F32, 4s
.if \mins
    GEMM_EACH   \pairs, parts, GEMM_ROWS_TO_F32, 4s
.endif
.endif
    ldp         q24, q25, [x6, #128]
.if \mins
    ldp         q26, q27, [x6, #160]
.endif
    add         x1, x1, #192
    GEMM_EACH   \pairs, both, GEMM_COLUMNS, \mins
    GEMM_RESTORE
.endm

// Sums of a block of 32 are less than 2^22 in magnitude, at most 32 * 128 * 127. So they begin at the bits of 1.5 * 2^23
// as f32, whose last bit is worth 1: then the sum's bits are those of 1.5 * 2^23 plus the sum, and one fsub, which is
// exact, takes the place of movi and scvtf (two slots on Neoverse N1 and V1). The bits come from the stack, by pairs:
// loads leave half of their pipes unused.
.macro GEMM_BIAS
    mov         w4, #0x4b400000
    orr         x4, x4, x4, lsl #32
    stp         x4, x4, [sp, #-32]!
    .cfi_adjust_cfa_offset 32
    stp         x4, x4, [sp, #16]
.endm

.macro GEMM_LOAD_BIAS x, a, b, c, d, at
    ldp         q\a, q\b, [sp]
    ldp         q\c, q\d, [sp]
.endm

.macro GEMM_TAKE_BIAS x, a, b, c, d, element
    fsub        v\a\().\element, v\a\().\element, v31.\element
    fsub        v\b\().\element, v\b\().\element, v31.\element
    fsub        v\c\().\element, v\c\().\element, v31.\element
    fsub        v\d\().\element, v\d\().\element, v31.\element
.endm

// Two columns of a block: parts, as f32, times d·dx to the sums, with d in v24 to v27 and dx in v\x. Takes v31.
.macro GEMM_LANES_SDOT x, a, b, c, d, i, j, k, l, element
    fmul        v31.\element, v24.\element, v\x\().s[0]
    fmla        v\i\().\element, v31.\element, v\a\().\element
    fmul        v31.\element, v25.\element, v\x\().s[0]
    fmla        v\j\().\element, v31.\element, v\b\().\element
    fmul        v31.\element, v24.\element, v\x\().s[1]
    fmla        v\k\().\element, v31.\element, v\c\().\element
    fmul        v31.\element, v25.\element, v\x\().s[1]
    fmla        v\l\().\element, v31.\element, v\d\().\element
.endm

.macro GEMM_LANES_SMMLA x, a, b, c, d, i, j, k, l, element
    fmul        v31.\element, v24.\element, v\x\().\element
    fmla        v\i\().\element, v31.\element, v\a\().\element
    fmul        v31.\element, v25.\element, v\x\().\element
    fmla        v\j\().\element, v31.\element, v\b\().\element
    fmul        v31.\element, v26.\element, v\x\().\element
    fmla        v\k\().\element, v31.\element, v\c\().\element
    fmul        v31.\element, v27.\element, v\x\().\element
    fmla        v\l\().\element, v31.\element, v\d\().\element
.endm

// The same for minimums, in v24 to v27, times the sums of activations in v0: parts are free by now.
.macro GEMM_LANES_MINS_SDOT x, a, b, c, d, i, j, k, l, element
    ldr         q0, [x1], #16
    fmul        v31.\element, v24.\element, v\x\().s[0]
    fmla        v\i\().\element, v31.\element, v0.s[0]
    fmul        v31.\element, v25.\element, v\x\().s[0]
    fmla        v\j\().\element, v31.\element, v0.s[0]
    fmul        v31.\element, v24.\element, v\x\().s[1]
    fmla        v\k\().\element, v31.\element, v0.s[1]
    fmul        v31.\element, v25.\element, v\x\().s[1]
    fmla        v\l\().\element, v31.\element, v0.s[1]
.endm

.macro GEMM_LANES_MINS_SMMLA x, a, b, c, d, i, j, k, l, element
    ldr         q0, [x1], #16
    fmul        v31.\element, v24.\element, v\x\().\element
    fmla        v\i\().\element, v31.\element, v0.\element
    fmul        v31.\element, v25.\element, v\x\().\element
    fmla        v\j\().\element, v31.\element, v0.\element
    fmul        v31.\element, v26.\element, v\x\().\element
    fmla        v\k\().\element, v31.\element, v0.\element
    fmul        v31.\element, v27.\element, v\x\().\element
    fmla        v\l\().\element, v31.\element, v0.\element
.endm

.macro GEMM_LOAD_LANES x, a, b, c, d, at
    ldp         q\a, q\b, [x4]
    ldp         q\c, q\d, [x4, #32]
    add         x4, x4, #\at
.endm

.macro GEMM_STORE_LANES x, a, b, c, d, at
    stp         q\a, q\b, [x2]
    stp         q\c, q\d, [x2, #32]
    add         x2, x2, #\at
.endm

// void name(const blocks *w, const block_columns *x, lanes *lanes, size_t count): adds count blocks of 32 of eight rows
// and 2 * \pairs columns to each of the eight lanes of their elements: those of lane 0 come first in w and x. The
// structures are in src/kernels/gemm/neon/blocks_of_32.rs.
//
//     x0  block of the rows       x1  block of the columns        x2  lanes       x3  blocks of a lane
//     x4  temporary               x5  lanes left                  x6  blocks left
.macro GEMM_BLOCKS op, pairs, mins
    GEMM_SAVE
    GEMM_BIAS
    mov         w5, #8
10:
    mov         x4, x2
    GEMM_EACH   \pairs, sums, GEMM_LOAD_LANES, 64
    mov         x6, x3
    .p2align 5
20:
    GEMM_EACH   \pairs, parts, GEMM_LOAD_BIAS, 0
    GEMM_OCT    \op, \pairs, parts, x0, 0, x1, 0
    GEMM_OCT    \op, \pairs, parts, x0, 64, x1, 48
    GEMM_OCT    \op, \pairs, parts, x0, 128, x1, 96
    GEMM_OCT    \op, \pairs, parts, x0, 192, x1, 144
    ldr         q31, [sp]
    GEMM_EACH   \pairs, parts, GEMM_TAKE_BIAS, 4s
    ldp         q24, q25, [x0, #256]
.ifc \op,smmla
    ldp         q26, q27, [x0, #288]
.endif
    ldp         q28, q29, [x1, #192]
    ldr         q30, [x1, #224]
.ifc \op,sdot
    GEMM_EACH   \pairs, both, GEMM_LANES_SDOT, 4s
.else
    GEMM_EACH   \pairs, both, GEMM_LANES_SMMLA, 4s
.endif
    add         x1, x1, #240
.if \mins
    ldp         q24, q25, [x0, #320]
.ifc \op,sdot
    GEMM_EACH   \pairs, both, GEMM_LANES_MINS_SDOT, 4s
.else
    ldp         q26, q27, [x0, #352]
    GEMM_EACH   \pairs, both, GEMM_LANES_MINS_SMMLA, 4s
.endif
    add         x1, x1, #(48 - 16*\pairs)
.else
    add         x1, x1, #48
.endif
    add         x0, x0, #384
    subs        x6, x6, #1
    b.ne        20b
    GEMM_EACH   \pairs, sums, GEMM_STORE_LANES, 64
    add         x2, x2, #(192 - 64*\pairs)
    subs        w5, w5, #1
    b.ne        10b
    add         sp, sp, #32
    .cfi_adjust_cfa_offset -32
    GEMM_RESTORE
.endm
