//! A model file behind a handle: what it is, and its tokens.

use core::ffi::{CStr, c_char, c_void};
use core::ptr;
use std::string::{String, ToString};
use std::sync::Arc;

use super::entry::{entry, silent, slice, slice_mut, text, write};
use super::failure::{Failure, told};
use super::{Status, level};
use crate::isa::{DefaultEnvironment, Isa, Level, UnknownLevel};
use crate::model::tokenizer::{EncodeOptions, Tokenizer};
use crate::model::{LoadOptions, Model};

/// A model file that was opened, and its tokenizer. Any threads may use it at the same time.
pub struct ModelHandle {
    pub(super) model: Model,
    /// Or why there is none: tokens can be computed without.
    tokenizer: Result<Tokenizer, String>,
}

impl ModelHandle {
    pub(super) fn tokenizer(&self) -> Result<&Tokenizer, Failure> {
        self.tokenizer.as_ref().map_err(|text| Failure::new(Status::Unsupported, text.clone()))
    }

    /// # Safety
    /// As the [module](super) says.
    pub(super) unsafe fn of<'a>(model: *const ModelHandle) -> Result<&'a Self, Status> {
        // SAFETY: the caller's promise: a handle that was not freed.
        unsafe { model.as_ref() }.ok_or(Status::NullPointer)
    }
}

/// How a model is opened. quintile_model_options_init fills in what is usual.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ModelOptions {
    /// Which kernels ("scalar", "avx2-asm", ...); null for the fastest. No bit depends on it.
    pub level: *const c_char,
    /// If not 0, the file is read into memory. Otherwise it is mapped, and a process that truncates it ends this one (SIGBUS).
    pub read_file: u32,
}

/// What a model is.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ModelInfo {
    /// Tokens of the vocabulary: logits after a token.
    pub vocab: usize,
    /// Positions that it was made for.
    pub context: usize,
    /// Layers.
    pub layers: usize,
    /// Length of the vector of a token.
    pub embedding: usize,
    /// Bytes of its weights that one token reads.
    pub weight_bytes: u64,
    /// The token that begins a text; -1 if it has none, or no tokenizer.
    pub bos: i64,
    /// The token that ends a text; -1 likewise.
    pub eos: i64,
}

/// A tensor of a file: a matrix `[rows, k]`, row-major, if it has more dimensions all of them but the first as rows.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TensorView {
    /// Its format: a number of GGUF, perhaps of one that is not computed with.
    pub format: u32,
    /// Rows.
    pub rows: usize,
    /// Length of a row.
    pub k: usize,
    /// The data.
    pub data: *const c_void,
    /// Its bytes.
    pub bytes: usize,
}

/// Add the tokens that begin and end a text, as the vocabulary asks.
pub const QUINTILE_TOKENIZE_ADD_SPECIAL: u32 = 1;
/// Recognise the names of control tokens in the text: never for what users wrote.
pub const QUINTILE_TOKENIZE_PARSE_SPECIAL: u32 = 2;
/// A token whose name is no part of the text.
pub const QUINTILE_TOKEN_CONTROL: u32 = 1;
/// A token that ends what is generated.
pub const QUINTILE_TOKEN_END: u32 = 2;

/// Fills in what is usual: the fastest kernels, and a file that is mapped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_model_options_init(options: *mut ModelOptions) -> Status {
    // SAFETY: the caller's promise.
    entry(|| unsafe { write(options, ModelOptions { level: ptr::null(), read_file: 0 }) })
}

/// Opens a GGUF file by its path (bytes of the system's; UTF-8 on Windows), with options or null. `*model` is the handle, to be freed by
/// quintile_model_free; null if it fails. What is wrong is then said in `error`, `error_bytes` long with the zero at its end,
/// or null: the file, the field and its value.
/// IO; INVALID_FILE; INVALID_OPTION; UNSUPPORTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_model_open(
    path: *const c_char,
    options: *const ModelOptions,
    model: *mut *mut ModelHandle,
    error: *mut c_char,
    error_bytes: usize,
) -> Status {
    let body = || {
        let _environment = DefaultEnvironment::enter();
        // SAFETY: the caller's promise.
        unsafe { write(model, ptr::null_mut())? };
        // SAFETY: the caller's promise.
        let path = unsafe { text(path)? };
        let mut load = LoadOptions::default();
        if !options.is_null() {
            // SAFETY: the caller's promise.
            let ModelOptions { level, read_file } = unsafe { options.read_unaligned() };
            load.mmap = read_file == 0;
            if !level.is_null() {
                // SAFETY: the caller's promise.
                load.isa = isa(unsafe { text(level)? })?;
            }
        }
        let opened = Model::open_with(file(path)?, load)?;
        let tokenizer = opened.tokenizer().map_err(|error| error.to_string());
        let handle = Arc::into_raw(Arc::new(ModelHandle { model: opened, tokenizer }));
        // SAFETY: the caller's promise.
        unsafe { write(model, handle.cast_mut()) }.map_err(Failure::from)
    };
    // SAFETY: the caller's promise.
    unsafe { told(error, error_bytes, body) }
}

/// A level by its name.
fn isa(name: &CStr) -> Result<Isa, Failure> {
    let number = level::named(name.to_bytes())
        .map_err(|status| Failure::new(status, std::format!("level {name:?}: {}", UnknownLevel)))?;
    let level = Level::ALL[number as usize];
    Isa::force(level).map_err(|error| Failure::new(Status::Unsupported, error.to_string()))
}

#[cfg(unix)]
fn file(path: &CStr) -> Result<&std::path::Path, Failure> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::OsStr::from_bytes(path.to_bytes()).as_ref())
}

#[cfg(not(unix))]
fn file(path: &CStr) -> Result<&std::path::Path, Failure> {
    Ok(path.to_str().map_err(|_| Status::InvalidUtf8)?.as_ref())
}

/// Frees a model; null is fine. Contexts of it may go on: its memory goes with the last of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_model_free(model: *mut ModelHandle) {
    if !model.is_null() {
        // SAFETY: made by `Arc::into_raw`, and the caller gives up the handle.
        silent(|| drop(unsafe { Arc::from_raw(model) }));
    }
}

/// What a model is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_model_describe(
    model: *const ModelHandle,
    info: *mut ModelInfo,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let handle = unsafe { ModelHandle::of(model)? };
        let (config, tokenizer) = (handle.model.config(), handle.tokenizer.as_ref().ok());
        let filled = ModelInfo {
            vocab: config.vocab,
            context: config.context_length,
            layers: config.layers,
            embedding: config.embedding,
            weight_bytes: handle.model.weight_bytes(),
            bos: tokenizer.and_then(Tokenizer::bos).map_or(-1, i64::from),
            eos: tokenizer.and_then(Tokenizer::eos).map_or(-1, i64::from),
        };
        // SAFETY: the caller's promise.
        unsafe { write(info, filled) }
    })
}

/// The data of a tensor of the file, of the name that it has there ("output.weight", ...): in place, not to be freed, and gone with the
/// model. OUT_OF_RANGE if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_model_tensor(
    model: *const ModelHandle,
    name: *const c_char,
    tensor: *mut TensorView,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let (handle, name) = unsafe { (ModelHandle::of(model)?, text(name)?) };
        let file = handle.model.file();
        let name = name.to_str().map_err(|_| Status::InvalidUtf8)?;
        let found = file.tensor_info(name).ok_or(Status::OutOfRange)?;
        let data = file.tensor_bytes(found);
        let view = TensorView {
            format: found.type_id,
            rows: found.dims.rows(),
            k: found.dims.k(),
            data: data.as_ptr().cast(),
            bytes: data.len(),
        };
        // SAFETY: the caller's promise.
        unsafe { write(tensor, view) }
    })
}

/// The tokens of a text of so many bytes, which is UTF-8; `flags` are those of QUINTILE_TOKENIZE_*. `*count` is their number also where
/// there is no room for it (BUFFER_TOO_SMALL, and `tokens` is left alone): ask with a capacity of 0 first. UNSUPPORTED if the
/// file has no tokenizer that is known here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_tokenize(
    model: *const ModelHandle,
    text: *const c_char,
    text_bytes: usize,
    flags: u32,
    tokens: *mut u32,
    capacity: usize,
    count: *mut usize,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let tokenizer = unsafe { ModelHandle::of(model)? }.tokenizer().map_err(|f| f.status)?;
        // SAFETY: the caller's promise.
        let text = unsafe { slice(text.cast::<u8>(), text_bytes)? };
        let text = std::str::from_utf8(text).map_err(|_| Status::InvalidUtf8)?;
        if flags & !(QUINTILE_TOKENIZE_ADD_SPECIAL | QUINTILE_TOKENIZE_PARSE_SPECIAL) != 0 {
            return Err(Status::InvalidOption);
        }
        let options = EncodeOptions {
            add_special: flags & QUINTILE_TOKENIZE_ADD_SPECIAL != 0,
            parse_special: flags & QUINTILE_TOKENIZE_PARSE_SPECIAL != 0,
        };
        let found = tokenizer.encode(text, options);
        // SAFETY: the caller's promise.
        unsafe { write(count, found.len())? };
        if found.len() > capacity {
            return Err(Status::BufferTooSmall);
        }
        // SAFETY: the caller's promise.
        unsafe { slice_mut(tokens, found.len())? }.copy_from_slice(&found);
        Ok(())
    })
}

/// The bytes that a token stands for, the name of one whose QUINTILE_TOKEN_CONTROL is set: perhaps part of a character, and without a
/// zero at the end. They are the model's, and go with it. OUT_OF_RANGE; UNSUPPORTED. `flags` are those of QUINTILE_TOKEN_*, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_token_bytes(
    model: *const ModelHandle,
    token: u32,
    bytes: *mut *const u8,
    count: *mut usize,
    flags: *mut u32,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let tokenizer = unsafe { ModelHandle::of(model)? }.tokenizer().map_err(|f| f.status)?;
        if token as usize >= tokenizer.vocab_len() {
            return Err(Status::OutOfRange);
        }
        let text = tokenizer.token_bytes(token);
        // SAFETY: the caller's promise.
        unsafe {
            write(bytes, text.as_ptr())?;
            write(count, text.len())?;
        }
        if !flags.is_null() {
            let control = if tokenizer.is_control(token) { QUINTILE_TOKEN_CONTROL } else { 0 };
            let end = if tokenizer.is_end_of_generation(token) { QUINTILE_TOKEN_END } else { 0 };
            // SAFETY: the caller's promise.
            unsafe { write(flags, control | end)? };
        }
        Ok(())
    })
}
