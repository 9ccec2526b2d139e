//! aarch64, AAPCS64: x19 to x29, sp, the lower halves of v8 to v15 and FPCR are preserved.

use std::arch::asm;
use std::cell::UnsafeCell;
use std::ffi::c_void;
#[cfg(asm_aarch64)]
use std::fmt;

/// What the caller sets up, and what it finds after the call. Offsets are written out in the assembly.
#[repr(C, align(64))]
struct State {
    /// 0: the function.
    function: usize,
    /// 8: x0 to x5.
    arguments: [usize; 6],
    /// 56: d0.
    result: u64,
    /// 64: what x19 to x29, then d8 to d15, hold before the call.
    before: [u64; 20],
    /// 224: and after.
    after: [u64; 20],
    /// 384: the stack pointer of the caller, of the call, and after it.
    stack: [usize; 3],
    /// 408: FPCR before and after.
    fpcr: [u64; 2],
    /// 424: how many of the 32 words above the stack pointer of the call are not what they were.
    frame_changed: u64,
}

struct Shared(UnsafeCell<State>);
// SAFETY: used by one call at a time; the module above holds a lock.
unsafe impl Sync for Shared {}

const fn pattern() -> [u64; 20] {
    let mut out = [0; 20];
    let mut i = 0;
    while i < 20 {
        out[i] = 0x0123_4567_89ab_cdef * (i as u64 + 1);
        i += 1;
    }
    out
}

static STATE: Shared = Shared(UnsafeCell::new(State {
    function: 0,
    arguments: [0; 6],
    result: 0,
    before: pattern(),
    after: [0; 20],
    stack: [0; 3],
    fpcr: [0; 2],
    frame_changed: 0,
}));

const NAMES: [&str; 19] = [
    "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "d8", "d9", "d10",
    "d11", "d12", "d13", "d14", "d15",
];

/// Calls `f` with `argument`; the names of what it changed.
///
/// # Safety
/// `f` takes `argument`; no other call is running.
pub unsafe fn call(f: extern "C" fn(*mut c_void), argument: *mut c_void) -> Vec<&'static str> {
    // SAFETY: the caller's promise.
    unsafe { trampoline(f as usize, [argument as usize, 0, 0, 0, 0, 0]) };
    // SAFETY: the call is over.
    changed(unsafe { &*STATE.0.get() })
}

/// Calls an assembly function directly: nothing the compiler made saves a register between it and here.
///
/// # Safety
/// `f` takes these arguments, at most six.
#[cfg(asm_aarch64)]
pub unsafe fn call_assembly(label: fmt::Arguments<'_>, f: usize, arguments: &[usize]) -> f32 {
    let mut registers = [usize::MAX; 6];
    registers[..arguments.len()].copy_from_slice(arguments);
    // SAFETY: the caller's promise.
    let (seen, result) = super::with_label(label, || unsafe {
        trampoline(f, registers);
        let state = &*STATE.0.get();
        (changed(state), state.result)
    });
    assert!(seen.is_empty(), "{label} changed {seen:?}");
    f32::from_bits(result as u32)
}

fn changed(state: &State) -> Vec<&'static str> {
    let saved = NAMES.into_iter().zip(state.before.iter().zip(&state.after));
    let mut found: Vec<_> = saved.filter(|(_, (a, b))| a != b).map(|(name, _)| name).collect();
    for (name, is_changed) in [
        ("the stack pointer", state.stack[1] != state.stack[2]),
        ("the caller's frame", state.frame_changed != 0),
        ("fpcr", state.fpcr[0] != state.fpcr[1]),
    ] {
        if is_changed {
            found.push(name);
        }
    }
    found
}

/// # Safety
/// `function` takes the arguments; no other call is running.
unsafe fn trampoline(function: usize, arguments: [usize; 6]) {
    // SAFETY: no other call is running.
    unsafe {
        let state = &mut *STATE.0.get();
        state.function = function;
        state.arguments = arguments;
    }
    // SAFETY: everything that the call may change is saved, or declared as changed; the stack pointer is restored
    // from memory, whatever the function did to it.
    unsafe {
        asm!(
            "stp x19, x20, [sp, #-160]!",
            "stp x21, x22, [sp, #16]",
            "stp x23, x24, [sp, #32]",
            "stp x25, x26, [sp, #48]",
            "stp x27, x28, [sp, #64]",
            "stp x29, x30, [sp, #80]",
            "stp d8, d9, [sp, #96]",
            "stp d10, d11, [sp, #112]",
            "stp d12, d13, [sp, #128]",
            "stp d14, d15, [sp, #144]",
            "adrp x9, {state}",
            "add x9, x9, :lo12:{state}",
            "mov x10, sp",
            "str x10, [x9, #384]",
            // A frame of 256 bytes, known ones, which the function must leave alone: words that hold the address of the state.
            ".rept 16",
            "stp x9, x9, [sp, #-16]!",
            ".endr",
            "mov x10, sp",
            "str x10, [x9, #392]",
            "mrs x10, fpcr",
            "str x10, [x9, #408]",
            "ldp x19, x20, [x9, #64]",
            "ldp x21, x22, [x9, #80]",
            "ldp x23, x24, [x9, #96]",
            "ldp x25, x26, [x9, #112]",
            "ldp x27, x28, [x9, #128]",
            "ldr x29, [x9, #144]",
            "ldp d8, d9, [x9, #152]",
            "ldp d10, d11, [x9, #168]",
            "ldp d12, d13, [x9, #184]",
            "ldp d14, d15, [x9, #200]",
            "ldp x10, x0, [x9]",
            "ldp x1, x2, [x9, #16]",
            "ldp x3, x4, [x9, #32]",
            "ldr x5, [x9, #48]",
            "blr x10",
            "adrp x9, {state}",
            "add x9, x9, :lo12:{state}",
            "str d0, [x9, #56]",
            "mov x10, sp",
            "str x10, [x9, #400]",
            "mrs x10, fpcr",
            "str x10, [x9, #416]",
            "ldr x10, [x9, #408]",
            "msr fpcr, x10",
            "stp x19, x20, [x9, #224]",
            "stp x21, x22, [x9, #240]",
            "stp x23, x24, [x9, #256]",
            "stp x25, x26, [x9, #272]",
            "stp x27, x28, [x9, #288]",
            "str x29, [x9, #304]",
            "stp d8, d9, [x9, #312]",
            "stp d10, d11, [x9, #328]",
            "stp d12, d13, [x9, #344]",
            "stp d14, d15, [x9, #360]",
            "ldr x10, [x9, #392]",
            "mov x11, xzr",
            ".rept 32",
            "ldr x12, [x10], #8",
            "cmp x12, x9",
            "cinc x11, x11, ne",
            ".endr",
            "str x11, [x9, #424]",
            "ldr x10, [x9, #384]",
            "mov sp, x10",
            "ldp x21, x22, [sp, #16]",
            "ldp x23, x24, [sp, #32]",
            "ldp x25, x26, [sp, #48]",
            "ldp x27, x28, [sp, #64]",
            "ldp x29, x30, [sp, #80]",
            "ldp d8, d9, [sp, #96]",
            "ldp d10, d11, [sp, #112]",
            "ldp d12, d13, [sp, #128]",
            "ldp d14, d15, [sp, #144]",
            "ldp x19, x20, [sp], #160",
            state = sym STATE,
            clobber_abi("C"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! broken {
        ($($name:ident: $($line:literal),*;)*) => {
            $(
                #[unsafe(naked)]
                extern "C" fn $name(_: *mut c_void) {
                    std::arch::naked_asm!($($line,)* "ret")
                }
            )*
            const BROKEN: [(&str, extern "C" fn(*mut c_void)); [$(stringify!($name)),*].len()] =
                [$((stringify!($name), $name)),*];
        };
    }

    broken! {
        nothing: "nop";
        x19: "mvn x19, x19";
        x28: "mov x28, x27";
        x29: "add x29, x29, #1";
        d8: "fmov d8, xzr";
        d15: "fmov d15, d14";
        stack_pointer: "sub sp, sp, #16";
        frame: "str xzr, [sp, #8]";
        fpcr: "mrs x1, fpcr", "eor x1, x1, #0x1000000", "msr fpcr, x1";
    }

    #[test]
    fn each_broken_function_is_found_out_by_what_it_breaks() {
        for (name, function) in BROKEN {
            let wanted: &[&str] = match name {
                "nothing" => &[],
                "stack_pointer" => &["the stack pointer"],
                "frame" => &["the caller's frame"],
                name => &[name],
            };
            let seen = super::super::with_label(format_args!("{name}"), || {
                // SAFETY: the functions use no argument, and break only what is restored.
                unsafe { call(function, std::ptr::null_mut()) }
            });
            assert_eq!(seen, wanted, "{name}");
        }
    }
}
