//! Calls a function, and sees what it left in the registers that are not its own.

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), path = "unknown.rs")]
mod arch;

use std::ffi::c_void;
use std::fmt;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, Once, PoisonError};

#[cfg(any(asm_x86_64, asm_aarch64))]
pub use arch::call_assembly;

/// One call at a time: what is seen lies at a fixed place, as no register can be relied on.
static ONE_CALL: Mutex<()> = Mutex::new(());

/// What is running, for a fault to tell.
static LABEL: (AtomicPtr<u8>, AtomicUsize) =
    (AtomicPtr::new(std::ptr::null_mut()), AtomicUsize::new(0));

/// Runs `f`, and panics if it left a register changed that the convention of calls preserves. Whoever faults
/// is told by `label`.
pub fn call<R>(label: fmt::Arguments<'_>, f: impl FnOnce() -> R) -> R {
    /// Calls what it is given once, and keeps the result.
    struct Thunk<F, R>(Option<F>, Option<R>);
    extern "C" fn run<F: FnOnce() -> R, R>(thunk: *mut c_void) {
        // SAFETY: a pointer to the thunk below, which nobody else uses during the call.
        let thunk = unsafe { &mut *thunk.cast::<Thunk<F, R>>() };
        thunk.1 = thunk.0.take().map(|f| f());
    }
    fn entry<F: FnOnce() -> R, R>(_: &Thunk<F, R>) -> extern "C" fn(*mut c_void) {
        run::<F, R>
    }
    let mut thunk = Thunk(Some(f), None);
    let run = entry(&thunk);
    let seen = with_label(label, || {
        // SAFETY: `run` takes the thunk.
        unsafe { arch::call(run, (&raw mut thunk).cast()) }
    });
    assert!(seen.is_empty(), "{label} changed {seen:?}");
    thunk.1.expect("the call returned")
}

/// Runs `f` alone, with a label for faults.
fn with_label<R>(label: fmt::Arguments<'_>, f: impl FnOnce() -> R) -> R {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL] {
            // SAFETY: the handler calls only what a handler may.
            unsafe { libc::signal(signal, tell as *const () as libc::sighandler_t) };
        }
    });
    let _alone = ONE_CALL.lock().unwrap_or_else(PoisonError::into_inner);
    let text = format!("fault in {label}\n");
    LABEL.0.store(text.as_ptr().cast_mut(), Relaxed);
    LABEL.1.store(text.len(), Relaxed);
    let result = f();
    LABEL.1.store(0, Relaxed);
    result
}

/// Says what was running, and lets the fault happen again, without a handler.
extern "C" fn tell(signal: libc::c_int) {
    // SAFETY: the text lives as long as the call that is running; both functions may be called in a handler.
    unsafe {
        libc::write(2, LABEL.0.load(Relaxed).cast(), LABEL.1.load(Relaxed));
        libc::signal(signal, libc::SIG_DFL);
    }
}
