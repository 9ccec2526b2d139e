//! The interface for C: the same bits as the Rust interface, a status for every bad argument, programs in C, C++ and Python.
//!
//! The library is built once, by cargo, as an installation would have it; with the feature `capi` (for sanitizers) its entries
//! are those of this program instead, and programs in other languages are left out.
#![cfg(all(target_os = "linux", feature = "driver"))]

mod api;
mod arguments;
#[path = "../environment/word.rs"]
mod environment;
mod models;
#[cfg(not(feature = "capi"))]
mod programs;
mod rows;

use std::ffi::CString;
#[cfg(not(feature = "capi"))]
use std::path::PathBuf;

#[cfg(not(feature = "capi"))]
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// Numbers of no pattern.
fn floats(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i + seed) * 7919 % 1013) as f32 / 506.5 - 1.0).collect()
}

/// Memory of which byte `offset` lies at a multiple of 64 and one more.
struct Bytes {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Bytes {
    fn aligned(len: usize) -> Bytes {
        Self::beside(0, len)
    }

    fn beside(offset: usize, len: usize) -> Bytes {
        let memory = vec![0; len + 64 + offset];
        let start = memory.as_ptr().align_offset(64) + offset;
        Bytes { memory, start, len }
    }

    fn copy(offset: usize, bytes: &[u8]) -> Bytes {
        let mut copy = Self::beside(offset, bytes.len());
        copy.memory[copy.start..][..bytes.len()].copy_from_slice(bytes);
        copy
    }

    fn get(&self) -> &[u8] {
        &self.memory[self.start..][..self.len]
    }

    fn as_ptr<T>(&self) -> *const T {
        self.get().as_ptr().cast()
    }

    fn as_mut_ptr<T>(&mut self) -> *mut T {
        self.memory[self.start..][..self.len].as_mut_ptr().cast()
    }
}
