//! The floating-point environment: how the CPU rounds, and whether it keeps subnormals.
//!
//! A host built with fast-math flags runs with subnormals flushed to zero, one that does interval arithmetic with another
//! rounding: either would change bits of every kernel. The entries that such hosts call hold a [`DefaultEnvironment`].

use core::marker::PhantomData;

use register::Word;

/// The environment of the numeric contract on this thread for as long as it lives: rounding to nearest, ties to even,
/// subnormals kept, no exception trapped. When dropped, the host's is back, exception flags included.
///
/// Where the host's is that already, as almost everywhere, it costs reading a register. On targets whose register is not known here (neither
/// x86-64 nor aarch64) and under Miri, which knows the default alone, it does nothing.
///
/// Arithmetic is held between both switches by the memory that it reads and writes, which the compiler moves across neither:
/// what is computed from constants, or returned in a register, is not held.
///
/// ```
/// use quintile::isa::DefaultEnvironment;
///
/// let x = std::hint::black_box([f32::MIN_POSITIVE]);
/// let environment = DefaultEnvironment::enter();
/// assert!(x[0] / 2.0 > 0.0);
/// drop(environment);
/// ```
#[derive(Debug)]
#[must_use = "the environment is the host's again as soon as this is dropped"]
pub struct DefaultEnvironment {
    /// To be put back; none where it is the default.
    host: Option<Word>,
    /// The register is the thread's.
    thread: PhantomData<*const ()>,
}

impl DefaultEnvironment {
    /// Sets the default environment.
    #[inline]
    pub fn enter() -> Self {
        let host = Some(register::read()).filter(|&host| !register::is_default(host));
        if host.is_some() {
            register::write(register::DEFAULT);
        }
        DefaultEnvironment { host, thread: PhantomData }
    }
}

impl Drop for DefaultEnvironment {
    #[inline]
    fn drop(&mut self) {
        if let Some(host) = self.host {
            register::write(host);
        }
    }
}

/// MXCSR (Intel SDM 1, 10.2.3). The control word of the x87 unit plays no part: nothing here computes with it.
#[cfg(all(target_arch = "x86_64", target_feature = "sse", not(miri)))]
mod register {
    use core::arch::asm;

    pub type Word = u32;

    /// All exceptions masked, to nearest, neither FTZ nor DAZ.
    pub const DEFAULT: Word = 0x1f80;
    /// The flags of exceptions that have been: they change no result.
    const FLAGS: Word = 0x3f;

    pub fn is_default(word: Word) -> bool {
        word & !FLAGS == DEFAULT
    }

    #[inline]
    pub fn read() -> Word {
        let mut word = 0;
        // SAFETY: stores four bytes where `word` is.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack, preserves_flags)) };
        word
    }

    #[inline]
    pub fn write(word: Word) {
        // SAFETY: the word is the default, or was read from the register: no reserved bit is set. Between entering and leaving,
        // the environment is the one that the compiler assumes; the one put back is the host's own affair.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack, preserves_flags)) };
    }
}

/// FPCR (Arm ARM, C5.2.8).
#[cfg(all(target_arch = "aarch64", target_feature = "neon", not(miri)))]
mod register {
    use core::arch::asm;

    pub type Word = u64;

    /// To nearest, subnormals kept, NaN as they come, no trap.
    pub const DEFAULT: Word = 0;

    pub fn is_default(word: Word) -> bool {
        word == DEFAULT
    }

    #[inline]
    pub fn read() -> Word {
        let word;
        // SAFETY: reads a register that user code may read. Not `nomem`: it keeps its place among loads and stores.
        unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nostack, preserves_flags)) };
        word
    }

    #[inline]
    pub fn write(word: Word) {
        // SAFETY: user code may write the register; the word is the default, or was read from it. Between entering and leaving, the
        // environment is the one that the compiler assumes; the one put back is the host's own affair.
        unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack, preserves_flags)) };
    }
}

#[cfg(not(all(
    not(miri),
    any(
        all(target_arch = "x86_64", target_feature = "sse"),
        all(target_arch = "aarch64", target_feature = "neon")
    )
)))]
mod register {
    pub type Word = ();

    pub const DEFAULT: Word = ();

    pub fn is_default((): Word) -> bool {
        true
    }

    pub fn read() -> Word {}

    pub fn write((): Word) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_environment_is_left_alone_and_nests() {
        let outer = DefaultEnvironment::enter();
        let inner = DefaultEnvironment::enter();
        assert_eq!((outer.host, inner.host), (None, None));
    }
}
