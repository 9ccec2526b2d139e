//! A text in progress behind a handle.

use core::ffi::c_char;
use core::num::NonZeroUsize;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::boxed::Box;
use std::format;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread::{self, JoinHandle};
use std::vec::Vec;

use super::Status;
use super::entry::{entry, silent, slice, slice_mut, write};
use super::failure::{Failure, told};
use super::model::ModelHandle;
use crate::isa::DefaultEnvironment;
use crate::model::{CacheType, Error, Pool, Session, SessionOptions, system};

/// A text in progress: its tokens, what they left in the cache, and threads. One thread uses it at a time (another gets BUSY); only
/// quintile_context_cancel may be called meanwhile. Contexts of one model know nothing of each other.
// In the order in which they are to be dropped: what is borrowed goes after who borrows it.
pub struct ContextHandle {
    text: Mutex<Text>,
    cancel: Arc<AtomicBool>,
    _pool: Arc<Pool>,
    _workers: Workers,
    model: Arc<ModelHandle>,
}

/// What one thread uses at a time.
pub(super) struct Text {
    /// Borrows model and pool of its handle.
    pub session: Session<'static>,
    /// Tokens of the text behind those that the session has computed: the last that was generated, mostly.
    pub pending: Vec<u32>,
}

impl Text {
    /// Tokens in all.
    fn position(&self) -> usize {
        self.session.position() + self.pending.len()
    }
}

/// Threads of a pool. They are not the pool's own, because nobody is to hear of their panics: those are handed on to the caller.
struct Workers(Vec<JoinHandle<()>>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in self.0.drain(..) {
            // They end with their pool, and never panic themselves.
            let _ = worker.join();
        }
    }
}

impl ContextHandle {
    /// # Safety
    /// As the [module](super) says.
    pub(super) unsafe fn of<'a>(context: *const ContextHandle) -> Result<&'a Self, Status> {
        // SAFETY: the caller's promise: a handle that was not freed.
        unsafe { context.as_ref() }.ok_or(Status::NullPointer)
    }

    pub(super) fn model(&self) -> &ModelHandle {
        &self.model
    }

    /// The text, if no one else has it. Of one that a panic left, nothing is known: it begins anew.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Text>, Status> {
        match self.text.try_lock() {
            Ok(text) => Ok(text),
            Err(TryLockError::Poisoned(text)) => {
                let mut text = text.into_inner();
                text.pending.clear();
                text.session.truncate(0);
                self.text.clear_poison();
                Ok(text)
            }
            Err(TryLockError::WouldBlock) => Err(Status::Busy),
        }
    }

    /// Whether a call was cancelled: told once.
    pub(super) fn take_cancel(&self) -> bool {
        self.cancel.swap(false, Relaxed)
    }
}

/// What threads may share: a model, and of a context at least its cancelling.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<ModelHandle>();
    shared::<ContextHandle>();
};

/// How a context is made. quintile_context_options_init fills in what is usual.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ContextOptions {
    /// Positions to make room for; 0 for the smaller of 4096 and the model's.
    pub context: usize,
    /// Tokens that pass through the layers together, at most.
    pub batch: usize,
    /// Threads, the calling one included; 0 for the physical cores that the process may use.
    pub threads: usize,
    /// How keys and values are stored, a number of GGUF: F32 (0), F16 (1) or Q8_0 (8). Each has bits of its own.
    pub cache_format: u32,
}

/// Fills in what is usual: F16, 512 tokens together, and zeros.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_context_options_init(options: *mut ContextOptions) -> Status {
    let usual = ContextOptions { context: 0, batch: 512, threads: 0, cache_format: 1 };
    // SAFETY: the caller's promise.
    entry(|| unsafe { write(options, usual) })
}

/// Makes a context of a model, with options or null: `*context`, to be freed by quintile_context_free; null if it fails, and why is
/// said in `error` as by quintile_model_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_context_new(
    model: *const ModelHandle,
    options: *const ContextOptions,
    context: *mut *mut ContextHandle,
    error: *mut c_char,
    error_bytes: usize,
) -> Status {
    let body = || {
        let _environment = DefaultEnvironment::enter();
        // SAFETY: the caller's promise.
        unsafe { write(context, ptr::null_mut())? };
        // SAFETY: the caller's promise.
        unsafe { ModelHandle::of(model)? };
        let options = match options.is_null() {
            true => None,
            // SAFETY: the caller's promise.
            false => Some(unsafe { options.read_unaligned() }),
        };
        // SAFETY: made by `Arc::into_raw`, and not freed during this call.
        let model = unsafe {
            Arc::increment_strong_count(model);
            Arc::from_raw(model)
        };
        let handle = Box::into_raw(Box::new(new(model, options)?));
        // SAFETY: the caller's promise.
        unsafe { write(context, handle) }.map_err(Failure::from)
    };
    // SAFETY: the caller's promise.
    unsafe { told(error, error_bytes, body) }
}

fn new(model: Arc<ModelHandle>, options: Option<ContextOptions>) -> Result<ContextHandle, Failure> {
    let cancel = Arc::new(AtomicBool::new(false));
    let mut session = SessionOptions { cancel: Some(Arc::clone(&cancel)), ..Default::default() };
    let mut threads = 0;
    if let Some(options) = options {
        session.context = Some(options.context).filter(|&context| context > 0);
        session.batch = options.batch;
        session.cache = match options.cache_format {
            0 => CacheType::F32,
            1 => CacheType::F16,
            8 => CacheType::Q8_0,
            other => {
                let text =
                    format!("cache_format is {other}; expected 0 (F32), 1 (F16) or 8 (Q8_0)");
                return Err(Failure::new(Status::InvalidOption, text));
            }
        };
        threads = options.threads;
    }
    /// More are a mistake: each takes a stack.
    const MOST: usize = 1024;
    if threads > MOST {
        let text = format!("threads is {threads}; expected {MOST} at most");
        return Err(Failure::new(Status::InvalidOption, text));
    }
    let threads = NonZeroUsize::new(threads).unwrap_or_else(system::default_threads);
    let (pool, workers) = Pool::with_own_threads(threads);
    let pool = Arc::new(pool);
    let mut started = Workers(Vec::new());
    for (i, worker) in workers.into_iter().enumerate() {
        let thread = thread::Builder::new().name(format!("quintile-{}", i + 1));
        match thread.spawn(|| silent(|| worker.run())) {
            Ok(thread) => started.0.push(thread),
            Err(error) => {
                // The others end with the pool, and then are waited for.
                drop(pool);
                let text = format!("thread {} of {threads}: {error}", i + 1);
                return Err(Failure::new(Status::Io, text));
            }
        }
    }
    // SAFETY: the handle keeps both until the session is gone, where they are: behind an `Arc`.
    let (borrowed_model, borrowed_pool): (&'static _, &'static _) =
        unsafe { (&*ptr::from_ref(&model.model), &*Arc::as_ptr(&pool)) };
    match Session::new(borrowed_model, borrowed_pool, &session) {
        Ok(session) => {
            let text = Mutex::new(Text { session, pending: Vec::new() });
            Ok(ContextHandle { text, cancel, _pool: pool, _workers: started, model })
        }
        Err(error) => {
            drop(pool);
            Err(error.into())
        }
    }
}

/// Frees a context; null is fine. No other thread may be using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_context_free(context: *mut ContextHandle) {
    if !context.is_null() {
        // SAFETY: made by `Box::into_raw`, and the caller gives up the handle.
        silent(|| drop(unsafe { Box::from_raw(context) }));
    }
}

/// Appends tokens to the text, and computes them. `logits`, if not null, becomes the logits after the last one: logits_len is vocab of
/// quintile_model_describe. All or nothing is appended, except that of a call that was cancelled the batches that were done stay.
/// CONTEXT_FULL; OUT_OF_RANGE for a token that is none; CANCELLED; BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_context_eval(
    context: *mut ContextHandle,
    tokens: *const u32,
    count: usize,
    logits: *mut f32,
    logits_len: usize,
    error: *mut c_char,
    error_bytes: usize,
) -> Status {
    let body = || {
        let _environment = DefaultEnvironment::enter();
        // SAFETY: the caller's promise.
        let handle = unsafe { ContextHandle::of(context)? };
        // SAFETY: the caller's promise.
        let tokens = unsafe { slice(tokens, count)? };
        let mut text = handle.lock()?;
        let vocab = handle.model.model.config().vocab;
        if !logits.is_null() && logits_len != vocab {
            let text = format!("logits_len is {logits_len}; expected {vocab}");
            return Err(Failure::new(Status::WrongSize, text));
        }
        // SAFETY: the caller's promise.
        let out = match logits.is_null() {
            true => None,
            // SAFETY: the caller's promise.
            false => Some(unsafe { slice_mut(logits, logits_len)? }),
        };
        let Text { session, pending } = &mut *text;
        let before = pending.len();
        pending.extend_from_slice(tokens);
        if out.is_some() && pending.is_empty() && !session.has_logits() {
            // Only the last token's computation gives its logits.
            let Some(last) = session.position().checked_sub(1) else {
                let text = "an empty text has no logits: give a token at least";
                return Err(Failure::new(Status::OutOfRange, text));
            };
            pending.push(session.tokens()[last]);
            session.truncate(last);
        }
        let computed = session.position();
        if let Err(error) = session.forward(pending) {
            // Of the tokens that were there before, none is lost.
            let done = session.position() - computed;
            pending.truncate(before.max(done));
            pending.drain(..done);
            if matches!(error, Error::Cancelled) {
                handle.take_cancel();
            }
            return Err(error.into());
        }
        pending.clear();
        if let Some(out) = out {
            out.copy_from_slice(session.logits());
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { told(error, error_bytes, body) }
}

/// Tokens that the text has, those included that were generated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_context_position(
    context: *const ContextHandle,
    position: *mut usize,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let text = unsafe { ContextHandle::of(context)? }.lock()?;
        // SAFETY: the caller's promise.
        unsafe { write(position, text.position()) }
    })
}

/// Forgets the tokens of the text behind the first `position`: 0 begins anew. OUT_OF_RANGE if there are fewer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_context_truncate(
    context: *mut ContextHandle,
    position: usize,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let mut text = unsafe { ContextHandle::of(context)? }.lock()?;
        if position > text.position() {
            return Err(Status::OutOfRange);
        }
        let computed = text.session.position();
        text.pending.truncate(position.saturating_sub(computed));
        text.session.truncate(position);
        Ok(())
    })
}

/// Ends the call that computes in this context, within some milliseconds, or else the next one: it returns CANCELLED, or
/// finishes as cancelled. From any thread, at any time before the context is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_context_cancel(context: *mut ContextHandle) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        unsafe { ContextHandle::of(context)? }.cancel.store(true, Relaxed);
        Ok(())
    })
}
