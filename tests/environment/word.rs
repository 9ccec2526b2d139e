//! The control word of this thread's vector unit.

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::asm;

    /// FTZ, DAZ, rounding up, all exceptions masked.
    pub const FAST: u64 = 0x1f80 | 1 << 15 | 1 << 6 | 2 << 13;

    /// Without the flags of exceptions.
    pub fn read() -> u64 {
        let mut word = 0u32;
        // SAFETY: stores four bytes where `word` is.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack)) };
        u64::from(word & !0x3f)
    }

    pub fn write(word: u64) {
        let word = word as u32;
        // SAFETY: a word of bits that every CPU has. The tests take it back before they compute anything themselves.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use std::arch::asm;

    /// FZ, rounding up.
    pub const FAST: u64 = 1 << 24 | 1 << 22;

    pub fn read() -> u64 {
        let word;
        // SAFETY: user code may read the register.
        unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nostack)) };
        word
    }

    pub fn write(word: u64) {
        // SAFETY: user code may write these bits. The tests take them back before they compute anything themselves.
        unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack)) };
    }
}
