//! Filled in by the following commits.

pub mod tokenizer;
