//! Every sibling of every kernel returns the bits of the scalar definition.
//!
//! Each pair is compared in 10,000 random cases; `QUINTILE_CASES` is a percentage of that. A million cases for
//! every pair, which take about half an hour on two cores:
//!
//! ```sh
//! QUINTILE_CASES=10000 cargo test --release --test siblings
//! ```

mod attention;
mod dot;
mod draw;
mod elementwise;
mod gemm;
mod matmul;
mod narrow;
mod qdot;
mod quantize;
mod sgemm;
