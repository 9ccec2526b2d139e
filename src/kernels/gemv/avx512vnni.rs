//! Four rows at a time, by what the row dots do for four super-blocks of a row: `qdot/avx512vnni/super_blocks.rs`.

use super::Gemvs;
use crate::kernels::qdot::avx512vnni::super_blocks::{Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K};

pub const GEMVS: Gemvs = Gemvs {
    q2_k: Some(Q2_K.gemv),
    q3_k: Some(Q3_K.gemv),
    q4_k: Some(Q4_K.gemv),
    q5_k: Some(Q5_K.gemv),
    q6_k: Some(Q6_K.gemv),
    q8_k: Some(Q8_K.gemv),
    ..Gemvs::NONE
};
