//! Entries for C, and for whatever calls C: kernels and products on the caller's memory and threads, models behind handles.
//!
//! `include/quintile.h` is made of these sources by `scripts/c_header.sh`, comments included; `docs/embedding.md` shows how to build
//! and use it.
//!
//! # What every entry does
//! - It returns a [`Status`]; results go to where pointers point. It prints nothing, reads no environment variable, and
//!   neither aborts nor unwinds: a panic, which is a defect, becomes [`Status::Internal`].
//! - It checks pointers, lengths, alignment and overlaps before it touches anything; then it computes in the
//!   [default floating-point environment](crate::isa::DefaultEnvironment), and gives the host's back.
//! - What it writes in case of an error is not defined, unless it says so.
//!
//! # Safety
//! Of every entry, said once: a pointer that is not null must point to as many elements as the length beside it says, which nobody
//! else writes during the call, nor reads where the entry writes; a handle must be one that was given and not yet freed. Entries
//! that threads may call at the same time say so.
#![allow(clippy::missing_safety_doc)] // the module's documentation has it, the same for all

mod status;

mod entry;
mod level;

mod kernels;
mod products;

#[cfg(feature = "driver")]
mod failure;
#[cfg(feature = "driver")]
mod model;

#[cfg(feature = "driver")]
mod context;
#[cfg(feature = "driver")]
mod generate;

pub use kernels::*;
pub use level::{quintile_format_name, quintile_level_name};
pub use products::*;
pub use status::{Status, quintile_status_text};

#[cfg(feature = "driver")]
pub use {context::*, generate::*, model::*};

use core::ffi::c_char;

/// The version of the interface that this header describes: changed whenever a program would have to be compiled again.
pub const QUINTILE_ABI_VERSION: u32 = 1;

/// Bytes on a multiple of which packed weights and activations begin. Weights as files hold them, and scratch, lie at any address;
/// numbers where C puts them.
pub const QUINTILE_ALIGNMENT: usize = 64;

/// The version of the interface that the library has. Compare it with QUINTILE_ABI_VERSION before anything else, where the
/// library is found at run time.
#[unsafe(no_mangle)]
pub extern "C" fn quintile_abi_version() -> u32 {
    QUINTILE_ABI_VERSION
}

/// The version of the numeric contract: libraries with the same one return the same bits, on any CPU.
#[unsafe(no_mangle)]
pub extern "C" fn quintile_contract_version() -> u32 {
    crate::kernels::CONTRACT_VERSION
}

/// The library's own version, such as "0.1.0"; not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn quintile_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
