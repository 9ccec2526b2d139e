//! The continuation of a text, by a callback.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use std::borrow::ToOwned;
use std::string::String;
use std::vec::Vec;

use super::Status;
use super::context::{ContextHandle, Text};
use super::entry::{entry, slice, text, write};
use super::failure::{Failure, told};
use crate::isa::DefaultEnvironment;
use crate::model::{GenerateOptions, Generator, Piece, Sampler, SamplerOptions, generate};

/// Is given each token that was generated, and the text that is complete with it: UTF-8 of so many bytes, without a zero at the end, and
/// gone when it returns; empty while a character or what may be a stop string is not whole. Returns 0 to go on; of a character that
/// is not whole then, the next call does not know. Runs on the thread
/// that called quintile_generate, in its floating-point environment; it must neither throw nor jump, and calls with the same context
/// get BUSY, except quintile_context_cancel.
pub type OnPiece = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        token: u32,
        text: *const c_char,
        text_bytes: usize,
    ) -> c_int,
>;

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Finish {
    /// The model ended the text.
    End = 0,
    /// As many tokens as were asked for.
    Length = 1,
    /// A stop string: it is no part of what was given.
    StopString = 2,
    /// The context has no room for more.
    ContextFull = 3,
    /// quintile_context_cancel was called.
    Cancelled = 4,
    /// The callback said so.
    Stopped = 5,
}

/// How tokens are chosen, and when to end. quintile_sampling_init fills in what is usual.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sampling {
    /// Tokens to generate at most.
    pub max_tokens: usize,
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// Only the fewest most likely tokens whose probabilities reach this sum; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this many times as likely as the most likely; 0 for all.
    pub min_p: f32,
    /// Divides the positive logits of recent tokens, and multiplies the negative; 1 for none.
    pub repeat_penalty: f32,
    /// How many tokens count as recent.
    pub repeat_last: usize,
    /// Only this many of the most likely tokens; 0 for all.
    pub top_k: usize,
    /// Seeds the draws: the same seed gives the same text, on any CPU.
    pub seed: u64,
    /// Texts before which generation ends, UTF-8 with a zero at the end, none of them empty.
    pub stop: *const *const c_char,
    /// How many.
    pub stop_count: usize,
    /// If not 0, goes on after a token that ends the text.
    pub ignore_end: u32,
}

impl Sampling {
    fn usual() -> Self {
        let SamplerOptions { temperature, top_k, top_p, min_p, repeat_penalty, repeat_last, seed } =
            SamplerOptions::default();
        Sampling {
            max_tokens: usize::MAX,
            temperature,
            top_p,
            min_p,
            repeat_penalty,
            repeat_last,
            top_k,
            seed,
            stop: ptr::null(),
            stop_count: 0,
            ignore_end: 0,
        }
    }

    fn sampler(&self) -> Result<Sampler, Failure> {
        let Sampling {
            temperature, top_k, top_p, min_p, repeat_penalty, repeat_last, seed, ..
        } = *self;
        Ok(Sampler::new(SamplerOptions {
            temperature,
            top_k,
            top_p,
            min_p,
            repeat_penalty,
            repeat_last,
            seed,
        })?)
    }

    /// # Safety
    /// As the [module](super) says.
    unsafe fn options(&self) -> Result<GenerateOptions, Failure> {
        // SAFETY: the caller's promise.
        let stop = unsafe { slice(self.stop, self.stop_count)? };
        let stop = stop.iter().map(|&stop| {
            // SAFETY: the caller's promise.
            let stop = unsafe { text(stop)? }.to_str().map_err(|_| Status::InvalidUtf8)?;
            Ok(stop.to_owned())
        });
        Ok(GenerateOptions {
            max_tokens: self.max_tokens,
            stop: stop.collect::<Result<Vec<String>, Status>>()?,
            ignore_end: self.ignore_end != 0,
            log_probs: None,
        })
    }
}

/// Fills in what is usual: temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, no penalty, seed 0, no limit but the context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_sampling_init(sampling: *mut Sampling) -> Status {
    // SAFETY: the caller's promise.
    entry(|| unsafe { write(sampling, Sampling::usual()) })
}

/// Appends tokens to the text of the context (none, to go on where it ended), continues it, and gives the callback what is
/// generated, piece by piece. The text is then all that it held, the tokens given and those generated. With sampling, or null for
/// the usual. `*finish`, if not null, says why it ended where OK is returned; otherwise `error` says what is wrong as
/// by quintile_model_open, and the text has what was generated so far.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_generate(
    context: *mut ContextHandle,
    tokens: *const u32,
    count: usize,
    sampling: *const Sampling,
    on_piece: OnPiece,
    user: *mut c_void,
    finish: *mut Finish,
    error: *mut c_char,
    error_bytes: usize,
) -> Status {
    let body = || {
        // SAFETY: the caller's promise.
        let found = unsafe { continue_text(context, tokens, count, sampling, on_piece, user)? };
        if !finish.is_null() {
            // SAFETY: the caller's promise.
            unsafe { write(finish, found)? };
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { told(error, error_bytes, body) }
}

/// # Safety
/// As the [module](super) says.
unsafe fn continue_text(
    context: *mut ContextHandle,
    tokens: *const u32,
    count: usize,
    sampling: *const Sampling,
    on_piece: OnPiece,
    user: *mut c_void,
) -> Result<Finish, Failure> {
    let environment = DefaultEnvironment::enter();
    // SAFETY: the caller's promise.
    let handle = unsafe { ContextHandle::of(context)? };
    // SAFETY: the caller's promise.
    let new = unsafe { slice(tokens, count)? };
    let on_piece = on_piece.ok_or(Status::NullPointer)?;
    let sampling = match sampling.is_null() {
        true => Sampling::usual(),
        // SAFETY: the caller's promise.
        false => unsafe { sampling.read_unaligned() },
    };
    let mut sampler = sampling.sampler()?;
    // SAFETY: the caller's promise.
    let options = unsafe { sampling.options()? };
    let tokenizer = handle.model().tokenizer()?;
    let mut text = handle.lock()?;
    let Text { session, pending } = &mut *text;
    let held = [session.tokens(), pending].concat();
    let all = [&held, new].concat();
    let mut generator = Generator::new(session, tokenizer, &mut sampler, all, options)?;
    drop(environment);

    let mut next = || {
        let _environment = DefaultEnvironment::enter();
        generator.next()
    };
    let mut any = false;
    let ended = loop {
        match next() {
            Some(Ok(Piece { token, text, .. })) => {
                any = true;
                // SAFETY: the caller's promise of the callback; the text lives until it returns.
                if unsafe { on_piece(user, token, text.as_ptr().cast(), text.len()) } != 0 {
                    break Ok(Finish::Stopped);
                }
            }
            Some(Err(error)) => break Err(error),
            None => break Ok(Finish::End),
        }
    };
    let reason = generator.finish();
    let tokens = generator.into_tokens();
    // What could not even be begun is not appended, except for what was computed of it.
    let kept = match ended.is_err() && !any {
        true => held.len().max(session.position()),
        false => tokens.len(),
    };
    *pending = tokens[session.position()..kept].to_vec();
    let ended = ended?;
    Ok(match reason {
        _ if ended == Finish::Stopped => ended,
        None | Some(generate::Finish::End) => Finish::End,
        Some(generate::Finish::Length) => Finish::Length,
        Some(generate::Finish::StopString) => Finish::StopString,
        Some(generate::Finish::ContextFull) => Finish::ContextFull,
        Some(generate::Finish::Cancelled | generate::Finish::Deadline) => {
            handle.take_cancel();
            Finish::Cancelled
        }
    })
}
