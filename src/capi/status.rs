//! What entries return.

use core::ffi::{CStr, c_char};

/// What became of a call. Numbers are never given another meaning; there may be more of them one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// A pointer is null that must not be.
    NullPointer = 1,
    /// No format, or none that is computed with, has this number.
    UnknownFormat = 2,
    /// Lengths that do not belong together: a row is no whole number of blocks, or a buffer has not the size that the others
    /// ask for.
    WrongSize = 3,
    /// A buffer has room for less than is to be written.
    BufferTooSmall = 4,
    /// Sizes whose product is more than memory can have.
    Overflow = 5,
    /// A pointer is no multiple of what its elements need, or of QUINTILE_ALIGNMENT where that is asked for.
    Misaligned = 6,
    /// What is written overlaps what is read.
    Overlap = 7,
    /// A row, column, part, token or position that is not there.
    OutOfRange = 8,
    /// Not for this format, this model, or this CPU.
    Unsupported = 9,
    /// An option has a value that makes no sense.
    InvalidOption = 10,
    /// A text is not UTF-8.
    InvalidUtf8 = 11,
    /// A file cannot be opened or read.
    Io = 12,
    /// A file is no GGUF file, or holds no model that can be run.
    InvalidFile = 13,
    /// More tokens than the context has room for.
    ContextFull = 14,
    /// quintile_context_cancel was called.
    Cancelled = 15,
    /// Another thread uses the context, or the callback that it runs in.
    Busy = 16,
    /// A defect of this library: please report it.
    Internal = 255,
}

impl Status {
    const ALL: [Status; 18] = [
        Status::Ok,
        Status::NullPointer,
        Status::UnknownFormat,
        Status::WrongSize,
        Status::BufferTooSmall,
        Status::Overflow,
        Status::Misaligned,
        Status::Overlap,
        Status::OutOfRange,
        Status::Unsupported,
        Status::InvalidOption,
        Status::InvalidUtf8,
        Status::Io,
        Status::InvalidFile,
        Status::ContextFull,
        Status::Cancelled,
        Status::Busy,
        Status::Internal,
    ];

    pub(super) const fn text(self) -> &'static CStr {
        match self {
            Status::Ok => c"done",
            Status::NullPointer => c"a pointer is null",
            Status::UnknownFormat => c"unknown format",
            Status::WrongSize => c"lengths do not belong together",
            Status::BufferTooSmall => c"a buffer is too small",
            Status::Overflow => c"sizes overflow",
            Status::Misaligned => c"a pointer is misaligned",
            Status::Overlap => c"an output overlaps an input",
            Status::OutOfRange => c"a number is out of range",
            Status::Unsupported => c"not supported",
            Status::InvalidOption => c"an option makes no sense",
            Status::InvalidUtf8 => c"a text is not UTF-8",
            Status::Io => c"a file cannot be read",
            Status::InvalidFile => c"a file holds no model that can be run",
            Status::ContextFull => c"the context is full",
            Status::Cancelled => c"cancelled",
            Status::Busy => c"the context is in use",
            Status::Internal => c"internal error",
        }
    }
}

/// A status in a few words; of a number that is none, that. Not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn quintile_status_text(status: i32) -> *const c_char {
    let known = Status::ALL.into_iter().find(|&known| known as i32 == status);
    known.map_or(c"unknown status", Status::text).as_ptr()
}
