//! What stands between a foreign caller and safe code: pointers become slices or a status, panics a status.

use core::ffi::CStr;
use core::ffi::c_char;
use core::ops::Range;

use super::Status;
use crate::isa::DefaultEnvironment;

/// Runs the body of an entry.
pub(super) fn entry(body: impl FnOnce() -> Result<(), Status>) -> Status {
    let _environment = DefaultEnvironment::enter();
    match catch(body) {
        Ok(Ok(())) => Status::Ok,
        Ok(Err(status)) => status,
        Err(_) => Status::Internal,
    }
}

/// What a panic said.
#[cfg(feature = "std")]
pub(super) type Panic = std::boxed::Box<dyn std::any::Any + Send>;
#[cfg(not(feature = "std"))]
pub(super) type Panic = core::convert::Infallible;

/// Without std nothing can catch a panic: what the checks before a kernel let through does not.
#[cfg(not(feature = "std"))]
pub(super) fn catch<T>(body: impl FnOnce() -> T) -> Result<T, Panic> {
    Ok(body())
}

#[cfg(feature = "std")]
pub(super) use caught::{catch, silent};

#[cfg(feature = "std")]
mod caught {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
    use std::sync::Once;

    use super::Panic;

    std::thread_local! {
        /// Panics of this thread are statuses, not messages.
        static SILENT: Cell<bool> = const { Cell::new(false) };
    }

    /// Calls `body`, whose panics nobody prints.
    pub fn silent<T>(body: impl FnOnce() -> T) -> T {
        /// Back to what was: the caller may be a callback of another entry.
        struct Before(bool);
        impl Drop for Before {
            fn drop(&mut self) {
                SILENT.set(self.0);
            }
        }
        // The hook is the program's where this is not a library of its own: the panics of others stay theirs.
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let others = take_hook();
            set_hook(Box::new(move |panic| {
                if !SILENT.get() {
                    others(panic);
                }
            }));
        });
        let _before = Before(SILENT.replace(true));
        body()
    }

    /// Calls `body`, or says what it panicked with.
    pub fn catch<T>(body: impl FnOnce() -> T) -> Result<T, Panic> {
        // What unwinding leaves half done is given up: outputs are not defined then, and handles say themselves what they do.
        silent(|| catch_unwind(AssertUnwindSafe(body)))
    }
}

/// Elements that are read.
///
/// # Safety
/// As the [module](super) says.
pub(super) unsafe fn slice<'a, T>(start: *const T, len: usize) -> Result<&'a [T], Status> {
    if len == 0 {
        return Ok(&[]);
    }
    check(start, len)?;
    // SAFETY: neither null nor misaligned, and no longer than memory; the caller promises the elements.
    Ok(unsafe { core::slice::from_raw_parts(start, len) })
}

/// Elements that are written.
///
/// # Safety
/// As the [module](super) says.
pub(super) unsafe fn slice_mut<'a, T>(start: *mut T, len: usize) -> Result<&'a mut [T], Status> {
    if len == 0 {
        return Ok(&mut []);
    }
    check(start, len)?;
    // SAFETY: as above, and the caller promises that they are nobody else's.
    Ok(unsafe { core::slice::from_raw_parts_mut(start, len) })
}

/// Whether there may be so many elements.
pub(super) fn check<T>(start: *const T, len: usize) -> Result<(), Status> {
    if start.is_null() {
        return Err(Status::NullPointer);
    }
    let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= isize::MAX as usize);
    let end = bytes.and_then(|bytes| start.addr().checked_add(bytes));
    end.ok_or(Status::Overflow)?;
    if start.is_aligned() { Ok(()) } else { Err(Status::Misaligned) }
}

/// Where one result goes, at any address.
///
/// # Safety
/// As the [module](super) says.
pub(super) unsafe fn write<T>(place: *mut T, value: T) -> Result<(), Status> {
    if place.is_null() {
        return Err(Status::NullPointer);
    }
    // SAFETY: the caller promises the place.
    unsafe { place.write_unaligned(value) };
    Ok(())
}

/// A text that ends in a zero.
///
/// # Safety
/// As the [module](super) says, and there is a zero.
pub(super) unsafe fn text<'a>(start: *const c_char) -> Result<&'a CStr, Status> {
    if start.is_null() {
        return Err(Status::NullPointer);
    }
    // SAFETY: the caller promises the text.
    Ok(unsafe { CStr::from_ptr(start) })
}

/// The addresses of so many elements, of which `check` was asked.
pub(super) fn region<T>(start: *const T, len: usize) -> Range<usize> {
    start.addr()..start.addr().saturating_add(len.saturating_mul(size_of::<T>()))
}

/// What is written must not be read too.
pub(super) fn apart(written: &Range<usize>, read: &[Range<usize>]) -> Result<(), Status> {
    let overlaps = |read: &Range<usize>| {
        !read.is_empty() && written.start.max(read.start) < written.end.min(read.end)
    };
    if read.iter().any(overlaps) { Err(Status::Overlap) } else { Ok(()) }
}
