// float quintile_q8_0_dot_avx2(const block_q8_0 *row, const act_block *x, size_t blocks)
// float quintile_q8_0_dot_ahead_avx2(..)
//
// One Q8_0 row times one row of byte activations, by the contract of src/kernels/qdot/mod.rs. The second asks for what
// comes after it, early enough for a row that comes from memory.
//
// Registers as in blocks_of_32.S, of whose constants it needs ymm14; a block of the row is 34 bytes: d, 32 of quants.
//
// Per group of eight blocks: 8 vpabsb, 8 vpsignb, 8 vpmaddubsw, 8 vpmaddwd, 21 for the nodes, 5 for the term. Of 58 vector
// operations on four pipes (Zen): 14.5 cycles; 35 of them have three pipes, 11.7. Its 19 loads of vectors take 10, and each other
// one of weights crosses a line, so 12. Measured on Zen 5, which it is tuned on: 18.4.

// Products of blocks b and b + 1. |w| times x with the sign of w: |-128| is 128 as an unsigned byte.
.macro Q8_0_PAIR v, u, b
    vmovdqu     ymm6, [rdi + 34*\b + 2]
    vmovdqa     ymm7, [rsi + 32*\b]
    vpabsb      \v, ymm6
    vpsignb     ymm7, ymm7, ymm6
    vpmaddubsw  \v, \v, ymm7
    vpmaddwd    \v, \v, ymm14
    vmovdqu     ymm6, [rdi + 34*(\b + 1) + 2]
    vmovdqa     ymm7, [rsi + 32*(\b + 1)]
    vpabsb      \u, ymm6
    vpsignb     ymm7, ymm7, ymm6
    vpmaddubsw  \u, \u, ymm7
    vpmaddwd    \u, \u, ymm14
.endm

.macro Q8_0_GROUP
    BLOCKS_PRODUCTS Q8_0_PAIR, d
    BLOCKS_FOLD d
    BLOCKS_ADD  34
.endm

FUNCTION quintile_q8_0_dot_avx2
    BLOCKS_ENTER
    BLOCKS_ROW  Q8_0_GROUP, 34
    BLOCKS_LEAVE
END quintile_q8_0_dot_avx2

FUNCTION quintile_q8_0_dot_ahead_avx2
    BLOCKS_ENTER
    BLOCKS_ROW  Q8_0_GROUP, 34, BLOCKS_AHEAD
    BLOCKS_LEAVE
END quintile_q8_0_dot_ahead_avx2
