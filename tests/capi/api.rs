//! The entries as C sees them, written a second time: what is not so is found where both are called.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

pub const OK: i32 = 0;
pub const NULL_POINTER: i32 = 1;
pub const UNKNOWN_FORMAT: i32 = 2;
pub const WRONG_SIZE: i32 = 3;
pub const BUFFER_TOO_SMALL: i32 = 4;
pub const OVERFLOW: i32 = 5;
pub const MISALIGNED: i32 = 6;
pub const OVERLAP: i32 = 7;
pub const OUT_OF_RANGE: i32 = 8;
pub const UNSUPPORTED: i32 = 9;
pub const INVALID_OPTION: i32 = 10;
pub const INVALID_UTF8: i32 = 11;
pub const IO: i32 = 12;
pub const INVALID_FILE: i32 = 13;
pub const CONTEXT_FULL: i32 = 14;
pub const CANCELLED: i32 = 15;
pub const BUSY: i32 = 16;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Plan {
    pub format: u32,
    pub level: u32,
    pub rows: usize,
    pub k: usize,
    pub columns: usize,
    pub row_multiple: usize,
    pub row_bytes: usize,
    pub packed_bytes: usize,
    pub column_bytes: usize,
    pub activation_bytes: usize,
    pub scratch_bytes: usize,
    pub cache_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Product {
    pub packed: *const c_void,
    pub packed_bytes: usize,
    pub weights: *const c_void,
    pub weights_bytes: usize,
    pub activations: *const c_void,
    pub activations_bytes: usize,
    pub columns: usize,
    pub out: *mut f32,
    pub out_len: usize,
    pub out_stride: usize,
    pub bias: *const f32,
    pub bias_len: usize,
    pub accumulate: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ModelOptions {
    pub level: *const c_char,
    pub read_file: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ModelInfo {
    pub vocab: usize,
    pub context: usize,
    pub layers: usize,
    pub embedding: usize,
    pub weight_bytes: u64,
    pub bos: i64,
    pub eos: i64,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TensorView {
    pub format: u32,
    pub rows: usize,
    pub k: usize,
    pub data: *const c_void,
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ContextOptions {
    pub context: usize,
    pub batch: usize,
    pub threads: usize,
    pub cache_format: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sampling {
    pub max_tokens: usize,
    pub temperature: f32,
    pub top_p: f32,
    pub min_p: f32,
    pub repeat_penalty: f32,
    pub repeat_last: usize,
    pub top_k: usize,
    pub seed: u64,
    pub stop: *const *const c_char,
    pub stop_count: usize,
    pub ignore_end: u32,
}

/// Handles.
pub enum Model {}
pub enum Context {}

pub type OnPiece = Option<unsafe extern "C" fn(*mut c_void, u32, *const c_char, usize) -> c_int>;

macro_rules! entries {
    ($($name:ident($($arg:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        /// Every entry, by its name.
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        #[cfg(not(feature = "capi"))]
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// Those of this program.
        #[cfg(feature = "capi")]
        fn load() -> Api {
            use quintile as _;
            unsafe extern "C" {
                $(fn $name($(_: $arg),*) $(-> $ret)?;)*
            }
            Api { $($name),* }
        }

        /// Those of the library.
        #[cfg(not(feature = "capi"))]
        fn load() -> Api {
            let library = super::programs::library();
            let path = super::c(library.to_str().unwrap());
            // SAFETY: a path that ends in a zero, of a library whose loading runs no code but Rust's own.
            let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            assert!(!handle.is_null(), "{} cannot be loaded", library.display());
            let find = |name: &str| {
                // SAFETY: a handle that stays open, and a name that ends in a zero.
                let found = unsafe { libc::dlsym(handle, super::c(name).as_ptr()) };
                assert!(!found.is_null(), "{name} is not exported");
                found
            };
            Api {
                $($name: {
                    type Entry = unsafe extern "C" fn($($arg),*) $(-> $ret)?;
                    // SAFETY: an entry of this name has this type, as the header says.
                    unsafe { std::mem::transmute::<*mut c_void, Entry>(find(stringify!($name))) }
                }),*
            }
        }
    };
}

entries! {
    quintile_abi_version() -> u32;
    quintile_contract_version() -> u32;
    quintile_version() -> *const c_char;
    quintile_status_text(i32) -> *const c_char;
    quintile_level_name(u32) -> *const c_char;
    quintile_format_name(u32) -> *const c_char;
    quintile_row_bytes(u32, usize, *mut usize) -> i32;
    quintile_dot_f32(*const f32, *const f32, usize, *mut f32) -> i32;
    quintile_dequantize(u32, *const c_void, usize, *mut f32, usize) -> i32;
    quintile_dot_exact(u32, *const c_void, usize, *const f32, usize, *mut f32) -> i32;
    quintile_quantized_bytes(u32, usize, *mut usize) -> i32;
    quintile_quantize(u32, *const f32, usize, *mut c_void, usize) -> i32;
    quintile_dot_quantized(u32, *const c_void, usize, *const c_void, usize, usize, *mut f32) -> i32;
    quintile_plan_init(*mut Plan, *const c_char, u32, usize, usize, usize) -> i32;
    quintile_plan_share(*const Plan, usize, usize, *mut usize, *mut usize) -> i32;
    quintile_pack(*const Plan, usize, usize, *const c_void, usize, *mut c_void, usize) -> i32;
    quintile_activations(*const Plan, *const f32, usize, usize, usize, usize, *mut c_void, usize) -> i32;
    quintile_run(*const Plan, *const Product, *mut c_void, usize, usize, usize) -> i32;
    quintile_model_options_init(*mut ModelOptions) -> i32;
    quintile_model_open(*const c_char, *const ModelOptions, *mut *mut Model, *mut c_char, usize) -> i32;
    quintile_model_free(*mut Model);
    quintile_model_describe(*const Model, *mut ModelInfo) -> i32;
    quintile_model_tensor(*const Model, *const c_char, *mut TensorView) -> i32;
    quintile_tokenize(*const Model, *const c_char, usize, u32, *mut u32, usize, *mut usize) -> i32;
    quintile_token_bytes(*const Model, u32, *mut *const u8, *mut usize, *mut u32) -> i32;
    quintile_context_options_init(*mut ContextOptions) -> i32;
    quintile_context_new(*const Model, *const ContextOptions, *mut *mut Context, *mut c_char, usize) -> i32;
    quintile_context_free(*mut Context);
    quintile_context_eval(*mut Context, *const u32, usize, *mut f32, usize, *mut c_char, usize) -> i32;
    quintile_context_position(*const Context, *mut usize) -> i32;
    quintile_context_truncate(*mut Context, usize) -> i32;
    quintile_context_cancel(*mut Context) -> i32;
    quintile_sampling_init(*mut Sampling) -> i32;
    quintile_generate(
        *mut Context, *const u32, usize, *const Sampling, OnPiece, *mut c_void, *mut i32, *mut c_char, usize,
    ) -> i32;
}

pub fn api() -> &'static Api {
    static API: OnceLock<Api> = OnceLock::new();
    API.get_or_init(load)
}
