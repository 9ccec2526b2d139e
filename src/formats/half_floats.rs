//! f32, f16 and bf16 rows.
