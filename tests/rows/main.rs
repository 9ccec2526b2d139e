//! Kernels that take weights as they lie in a file and activations as f32: every sibling returns the bits of
//! the scalar definition, and the definition is right.

mod dequantize;
mod dot;
mod draw;
mod qdot_exact;
