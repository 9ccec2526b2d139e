// float quintile_{q5_0,q5_1}_dot_avx2(const block *row, const act_block *x, size_t blocks)
// float quintile_{q5_0,q5_1}_dot_ahead_avx2(..)
//
// One row of Q5_0 or Q5_1 times one row of byte activations, by the contract of src/kernels/qdot/mod.rs. The second asks for what
// comes after it, early enough for a row that comes from memory.
//
// Registers as in blocks_of_32.S; a block of Q5_0 is 22 bytes: d, 4 of fifth bits, 16 of nibbles; one of Q5_1 is 24: d, m, then
// the same.
//
// Eight products of 5 bits fit 16 bits: there, two levels of nodes add, vpmaddwd by ones follows, and the last adds in 32.
//
// Per group of eight blocks: 8 shifts, 16 vpand of nibbles and bits, 8 vpshufb, 8 vpcmpeqb, 8 vpand, 8 vpor, 8 vpmaddubsw, 21 for
// the nodes, 2 vpmaddwd, 5 for the term; of Q5_0 2 for the offset, of Q5_1 6 for minimums. Of 94 and 98 vector operations on four
// pipes (Zen): 23.5 and 24.5 cycles. 28 loads take 14. Measured on Zen 5, which it is tuned on: 27.7 and 29.2. Two blocks take turns:
// one after the other, the queues of the pipes fill with operations that wait, and a group takes a cycle more.

.macro Q5_PAIR v, u, b, bytes, at
    vpbroadcastd ymm6, [rdi + \bytes*\b + \at]
    vpbroadcastd ymm7, [rdi + \bytes*(\b + 1) + \at]
    BLOCKS_UNPACK \v, \u, \b, \bytes, \at + 4
    vpshufb     ymm6, ymm6, ymm11
    vpshufb     ymm7, ymm7, ymm11
    vpand       ymm6, ymm6, ymm10
    vpand       ymm7, ymm7, ymm10
    vpcmpeqb    ymm6, ymm6, ymm10
    vpcmpeqb    ymm7, ymm7, ymm10
    vpand       ymm6, ymm6, ymm9
    vpand       ymm7, ymm7, ymm9
    vpor        \v, \v, ymm6
    vpor        \u, \u, ymm7
    vpmaddubsw  \v, \v, [rsi + 32*\b]
    vpmaddubsw  \u, \u, [rsi + 32*\b + 32]
.endm

.macro Q5_0_PAIR v, u, b
    Q5_PAIR     \v, \u, \b, 22, 2
.endm

.macro Q5_1_PAIR v, u, b
    Q5_PAIR     \v, \u, \b, 24, 4
.endm

.macro Q5_FOLD
    vpmaddwd    ymm1, ymm1, ymm14
    vpmaddwd    ymm2, ymm2, ymm14
    BLOCKS_FOLD d
.endm

.macro Q5_0_GROUP
    BLOCKS_PRODUCTS Q5_0_PAIR, w
    Q5_FOLD
    BLOCKS_OFFSET
    BLOCKS_ADD  22
.endm

.macro Q5_1_GROUP
    BLOCKS_PRODUCTS Q5_1_PAIR, w
    Q5_FOLD
    BLOCKS_ADD_WITH_MINS 24
.endm

FUNCTION quintile_q5_0_dot_avx2
    BLOCKS_ENTER
    BLOCKS_NIBBLES
    BLOCKS_FIFTH_BITS
    vpsllw      ymm12, ymm14, 4
    BLOCKS_ROW  Q5_0_GROUP, 22
    BLOCKS_LEAVE
END quintile_q5_0_dot_avx2

FUNCTION quintile_q5_0_dot_ahead_avx2
    BLOCKS_ENTER
    BLOCKS_NIBBLES
    BLOCKS_FIFTH_BITS
    vpsllw      ymm12, ymm14, 4
    BLOCKS_ROW  Q5_0_GROUP, 22, BLOCKS_AHEAD
    BLOCKS_LEAVE
END quintile_q5_0_dot_ahead_avx2

FUNCTION quintile_q5_1_dot_avx2
    BLOCKS_ENTER
    BLOCKS_NIBBLES
    BLOCKS_FIFTH_BITS
    BLOCKS_ROW  Q5_1_GROUP, 24
    BLOCKS_LEAVE
END quintile_q5_1_dot_avx2

FUNCTION quintile_q5_1_dot_ahead_avx2
    BLOCKS_ENTER
    BLOCKS_NIBBLES
    BLOCKS_FIFTH_BITS
    BLOCKS_ROW  Q5_1_GROUP, 24, BLOCKS_AHEAD
    BLOCKS_LEAVE
END quintile_q5_1_dot_ahead_avx2
