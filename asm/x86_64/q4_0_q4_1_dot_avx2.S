// float quintile_{q4_0,q4_1}_dot_avx2(const block *row, const act_block *x, size_t blocks)
// float quintile_{q4_0,q4_1}_dot_ahead_avx2(..)
//
// One row of Q4_0 or Q4_1 times one row of byte activations, by the contract of src/kernels/qdot/mod.rs. The second asks for what
// comes after it, early enough for a row that comes from memory.
//
// Registers as in blocks_of_32.S; a block of Q4_0 is 18 bytes: d, 16 of nibbles; one of Q4_1 is 20: d, m, 16 of nibbles.
//
// Sixteen products of 4 bits fit 16 bits, so all nodes add there, and vpmaddwd by ones ends them.
//
// Per group of eight blocks: 8 shifts, 8 vpand, 8 vpmaddubsw, 21 for the nodes, 1 vpmaddwd, 5 for the term; of Q4_0 2 for the
// offset, of Q4_1 6 for minimums. Of 53 and 57 vector operations on four pipes (Zen): 13.3 and 14.3 cycles. 20 loads take 10.
// Measured on Zen 5, which it is tuned on: 15.8 and 17.5.

.macro Q4_0_PAIR v, u, b
    BLOCKS_UNPACK \v, \u, \b, 18, 2
    vpmaddubsw  \v, \v, [rsi + 32*\b]
    vpmaddubsw  \u, \u, [rsi + 32*\b + 32]
.endm

.macro Q4_1_PAIR v, u, b
    BLOCKS_UNPACK \v, \u, \b, 20, 4
    vpmaddubsw  \v, \v, [rsi + 32*\b]
    vpmaddubsw  \u, \u, [rsi + 32*\b + 32]
.endm

.macro Q4_0_GROUP
    BLOCKS_PRODUCTS Q4_0_PAIR, w
    BLOCKS_FOLD w
    vpmaddwd    ymm1, ymm1, ymm14
    BLOCKS_OFFSET
    BLOCKS_ADD  18
.endm

.macro Q4_1_GROUP
    BLOCKS_PRODUCTS Q4_1_PAIR, w
    BLOCKS_FOLD w
    vpmaddwd    ymm1, ymm1, ymm14
    BLOCKS_ADD_WITH_MINS 20
.endm

FUNCTION quintile_q4_0_dot_avx2
    BLOCKS_ENTER
    BLOCKS_NIBBLES
    vpsllw      ymm12, ymm14, 3
    BLOCKS_ROW  Q4_0_GROUP, 18
    BLOCKS_LEAVE
END quintile_q4_0_dot_avx2

FUNCTION quintile_q4_0_dot_ahead_avx2
    BLOCKS_ENTER
    BLOCKS_NIBBLES
    vpsllw      ymm12, ymm14, 3
    BLOCKS_ROW  Q4_0_GROUP, 18, BLOCKS_AHEAD
    BLOCKS_LEAVE
END quintile_q4_0_dot_ahead_avx2

FUNCTION quintile_q4_1_dot_avx2
    BLOCKS_ENTER
    BLOCKS_NIBBLES
    BLOCKS_ROW  Q4_1_GROUP, 20
    BLOCKS_LEAVE
END quintile_q4_1_dot_avx2

FUNCTION quintile_q4_1_dot_ahead_avx2
    BLOCKS_ENTER
    BLOCKS_NIBBLES
    BLOCKS_ROW  Q4_1_GROUP, 20, BLOCKS_AHEAD
    BLOCKS_LEAVE
END quintile_q4_1_dot_ahead_avx2
