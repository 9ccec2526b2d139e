//! Of K formats four rows at a time, by what the row dots do for four super-blocks of a row: `qdot/avx512vnni/super_blocks.rs`. Of
//! blocks of 32 a row at a time, fetched ahead in its loop: `qdot/avx512vnni/blocks_of_32.rs`.

use super::Gemvs;
use crate::kernels::qdot::avx512vnni::blocks_of_32::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use crate::kernels::qdot::avx512vnni::super_blocks::{Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K};

pub const GEMVS: Gemvs = Gemvs {
    q4_0: Some(Q4_0.gemv),
    q4_1: Some(Q4_1.gemv),
    q5_0: Some(Q5_0.gemv),
    q5_1: Some(Q5_1.gemv),
    q8_0: Some(Q8_0.gemv),
    q2_k: Some(Q2_K.gemv),
    q3_k: Some(Q3_K.gemv),
    q4_k: Some(Q4_K.gemv),
    q5_k: Some(Q5_K.gemv),
    q6_k: Some(Q6_K.gemv),
    q8_k: Some(Q8_K.gemv),
};
