//! Hand-tuned CPU kernels for quantised transformers, and a thin driver that runs GGUF models.
//!
//! Every operation has one scalar definition that fixes the order of every rounding step; every
//! other implementation (pulp, AVX2, NEON, assembly; any thread count, any batch size) returns the
//! same bits. `docs/contract.md` states the definitions.
//!
//! The layers, each of which imports only those above it:
//!
//! | layer | what it knows |
//! |---|---|
//! | [`isa`] | what this CPU can do |
//! | [`formats`] | how weights and activations lie in memory, and what their bytes mean |
//! | [`kernels`] | one folder an operation: the contract, the definition, its fast siblings |
//! | [`matmul`] | row ranges and tiles over the kernels; bring your own threads |
//! | [`tensor`], [`gguf`] | typed views on mapped bytes; reading and writing files |
//! | [`model`] | the transformer: configuration, tokenizer, cache, forward pass, sampler, threads |
//! | [`quantize`] | which format each tensor of a quantised file gets; making it; comparing files |
//! | `capi` | the same for C, and whoever calls C |
//! | `cli` | the command line |
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod formats;
pub mod isa;
pub mod kernels;
pub mod matmul;

#[cfg(feature = "driver")]
pub mod gguf;
#[cfg(feature = "driver")]
pub mod model;
#[cfg(feature = "driver")]
pub mod quantize;
#[cfg(feature = "driver")]
pub mod tensor;

#[cfg(feature = "capi")]
pub mod capi;

#[cfg(feature = "cli")]
pub mod cli;
