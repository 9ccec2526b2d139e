//! x86-64, System V: rbx, rbp, rsp, r12 to r15, the direction flag and the control bits of MXCSR are preserved.
//!
//! Of vector and mask registers nothing is: zmm0 to zmm31 and k0 to k7 are the function's own. So they hold all ones when it is
//! called, for one that counts on zeros to be found out by its result; and assembly leaves zmm0 to zmm15 without
//! upper parts, by `vzeroupper`, because the SSE code of a caller would wait for them. That instruction leaves zmm16 to
//! zmm31 alone, and no SSE code can wait for those.

use std::arch::asm;
use std::cell::UnsafeCell;
use std::ffi::c_void;
#[cfg(asm_x86_64)]
use std::fmt;

/// What the caller sets up, and what it finds after the call. Offsets are written out in the assembly.
#[repr(C, align(64))]
struct State {
    /// 0: the function.
    function: usize,
    /// 8: rdi, rsi, rdx.
    arguments: [usize; 3],
    /// 32: whether there are ymm registers.
    avx: u64,
    /// 40: the stack pointer of the caller, and that of the call.
    stack: [usize; 2],
    /// 56: the stack pointer after the call.
    stack_after: usize,
    /// 64: what rbx, rbp, r12 to r15 hold before the call.
    before: [u64; 6],
    /// 112: and after.
    after: [u64; 6],
    /// 160.
    flags_after: u64,
    /// 168.
    mxcsr: [u32; 2],
    /// 176: whether what lies above the return address is intact.
    frame_intact: u64,
    /// 184: the lowest element of xmm0.
    result: u64,
    /// 192: all bits set.
    ones: [u64; 4],
    /// 224: the upper halves of ymm0 to ymm15.
    upper: [[u64; 2]; 16],
    /// 480: rcx, r8, r9.
    more_arguments: [usize; 3],
    /// 504: whether there are zmm registers.
    avx512: u64,
    /// 512: the upper halves of zmm0 to zmm15.
    upper_512: [[u64; 4]; 16],
}

/// What is in a register that takes no argument.
const NONE: usize = usize::MAX;

struct Shared(UnsafeCell<State>);
// SAFETY: used by one call at a time; the module above holds a lock.
unsafe impl Sync for Shared {}

const PATTERN: [u64; 6] = [
    0x0123_4567_89ab_cdef,
    0xfedc_ba98_7654_3210,
    0x1122_3344_5566_7788,
    0x99aa_bbcc_ddee_ff00,
    0xdead_beef_cafe_f00d,
    0x5a5a_a5a5_5a5a_a5a5,
];

static STATE: Shared = Shared(UnsafeCell::new(State {
    function: 0,
    arguments: [0; 3],
    avx: 0,
    stack: [0; 2],
    stack_after: 0,
    before: PATTERN,
    after: [0; 6],
    flags_after: 0,
    mxcsr: [0; 2],
    frame_intact: 0,
    result: 0,
    ones: [u64::MAX; 4],
    upper: [[0; 2]; 16],
    more_arguments: [0; 3],
    avx512: 0,
    upper_512: [[0; 4]; 16],
}));

/// Calls `f` with `argument`; the names of what it changed.
///
/// # Safety
/// `f` takes `argument`; no other call is running.
pub unsafe fn call(f: extern "C" fn(*mut c_void), argument: *mut c_void) -> Vec<&'static str> {
    // The compiler decides about the upper parts in what it makes.
    // SAFETY: the caller's promise.
    unsafe { trampoline(f as usize, [argument as usize, 0, 0, 0, NONE, NONE]) };
    // SAFETY: the call is over.
    changed(unsafe { &*STATE.0.get() }, false)
}

/// Calls an assembly function directly: nothing the compiler made saves a register between it and here.
///
/// # Safety
/// `f` takes these arguments, at most six.
#[cfg(asm_x86_64)]
pub unsafe fn call_assembly(label: fmt::Arguments<'_>, f: usize, arguments: &[usize]) -> f32 {
    let mut six = [0, 0, 0, 0, NONE, NONE];
    six[..arguments.len()].copy_from_slice(arguments);
    // SAFETY: the caller's promise.
    let (seen, result) = super::with_label(label, || unsafe {
        trampoline(f, six);
        let state = &*STATE.0.get();
        (changed(state, true), state.result)
    });
    assert!(seen.is_empty(), "{label} changed {seen:?}");
    f32::from_bits(result as u32)
}

fn changed(state: &State, clean_upper_parts: bool) -> Vec<&'static str> {
    let mut found = Vec::new();
    let names = ["rbx", "rbp", "r12", "r13", "r14", "r15"];
    for ((name, before), after) in names.into_iter().zip(state.before).zip(state.after) {
        if before != after {
            found.push(name);
        }
    }
    let dirty_512 = state.avx512 != 0 && state.upper_512.as_flattened().iter().any(|&x| x != 0);
    let dirty = dirty_512 || state.avx != 0 && state.upper.as_flattened().iter().any(|&x| x != 0);
    // Of MXCSR, the six lowest bits are flags of what happened.
    let control = state.mxcsr.map(|mxcsr| mxcsr & !0x3f);
    for (name, is_changed) in [
        ("the stack pointer", state.stack[1] != state.stack_after),
        ("the caller's frame", state.frame_intact == 0),
        ("the direction flag", state.flags_after & 1 << 10 != 0),
        ("mxcsr", control[0] != control[1]),
        ("the upper parts of vector registers", clean_upper_parts && dirty),
    ] {
        if is_changed {
            found.push(name);
        }
    }
    found
}

/// # Safety
/// `function` takes the arguments; no other call is running.
unsafe fn trampoline(function: usize, [first, second, third, more @ ..]: [usize; 6]) {
    // SAFETY: no other call is running.
    let state = unsafe { &mut *STATE.0.get() };
    state.function = function;
    state.arguments = [first, second, third];
    state.more_arguments = more;
    state.avx = u64::from(std::is_x86_feature_detected!("avx"));
    state.avx512 = u64::from(std::is_x86_feature_detected!("avx512f"));
    // SAFETY: everything that the call may change is saved, or declared as changed; the stack pointer is restored
    // from memory, whatever the function did to it.
    unsafe {
        asm!(
            "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
            "mov [rip + {state} + 40], rsp",
            // A frame of 256 bytes, known ones, which the function must leave alone.
            "sub rsp, 320",
            "and rsp, -64",
            "mov rdi, rsp",
            "mov rax, 0x7eed7eed7eed7eed",
            "mov ecx, 32",
            "cld",
            "rep stosq",
            "mov [rip + {state} + 48], rsp",
            "stmxcsr [rip + {state} + 168]",
            "cmp qword ptr [rip + {state} + 32], 0",
            "je 2f",
            ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "vmovups ymm\\i, [rip + {state} + 192]",
            ".endr",
            "cmp qword ptr [rip + {state} + 504], 0",
            "je 2f",
            ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "vpternlogd zmm\\i, zmm\\i, zmm\\i, 255",
            ".endr",
            ".irp i, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            "vpternlogd zmm\\i, zmm\\i, zmm\\i, 255",
            ".endr",
            ".irp i, 0, 1, 2, 3, 4, 5, 6, 7",
            "kxnorw k\\i, k\\i, k\\i",
            ".endr",
            "2:",
            "mov rbx, [rip + {state} + 64]",
            "mov rbp, [rip + {state} + 72]",
            "mov r12, [rip + {state} + 80]",
            "mov r13, [rip + {state} + 88]",
            "mov r14, [rip + {state} + 96]",
            "mov r15, [rip + {state} + 104]",
            "mov rdi, [rip + {state} + 8]",
            "mov rsi, [rip + {state} + 16]",
            "mov rdx, [rip + {state} + 24]",
            "mov rcx, [rip + {state} + 480]",
            "mov r8, [rip + {state} + 488]",
            "mov r9, [rip + {state} + 496]",
            "mov rax, -1", "mov r10, -1", "mov r11, -1",
            "call [rip + {state}]",
            "mov [rip + {state} + 56], rsp",
            "mov rsp, [rip + {state} + 48]",
            "mov [rip + {state} + 112], rbx",
            "mov [rip + {state} + 120], rbp",
            "mov [rip + {state} + 128], r12",
            "mov [rip + {state} + 136], r13",
            "mov [rip + {state} + 144], r14",
            "mov [rip + {state} + 152], r15",
            "pushfq",
            "pop rax",
            "mov [rip + {state} + 160], rax",
            "cld",
            "stmxcsr [rip + {state} + 172]",
            "ldmxcsr [rip + {state} + 168]",
            "movq [rip + {state} + 184], xmm0",
            "cmp qword ptr [rip + {state} + 32], 0",
            "je 3f",
            ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "vextractf128 [rip + {state} + 224 + 16*\\i], ymm\\i, 1",
            ".endr",
            "cmp qword ptr [rip + {state} + 504], 0",
            "je 4f",
            ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "vextractf64x4 [rip + {state} + 512 + 32*\\i], zmm\\i, 1",
            ".endr",
            "4:",
            "vzeroupper",
            "3:",
            "mov rdi, rsp",
            "mov rax, 0x7eed7eed7eed7eed",
            "mov ecx, 32",
            "repe scasq",
            "sete al",
            "movzx eax, al",
            "mov [rip + {state} + 176], rax",
            "mov rsp, [rip + {state} + 40]",
            "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
            state = sym STATE,
            clobber_abi("sysv64"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions that break the convention, each in one way; by name, with their addresses.
    macro_rules! broken {
    ($($name:ident: $($line:literal),*;)*) => {
        $(
            #[unsafe(naked)]
            extern "sysv64" fn $name() {
                std::arch::naked_asm!($($line,)* "ret")
            }
        )*
            const BROKEN: [(&str, extern "sysv64" fn()); [$(stringify!($name)),*].len()] =
                [$((stringify!($name), $name)),*];
    };
}

    broken! {
        nothing: "vzeroupper";
        rbx: "vzeroupper", "inc ebx";
        rbp: "vzeroupper", "mov ebp, ebp";
        r12: "vzeroupper", "not r12";
        r13: "vzeroupper", "mov r13, r12";
        r14: "vzeroupper", "neg r14";
        r15: "vzeroupper", "xor r15b, r15b";
        stack_pointer: "vzeroupper", "pop rax", "push rax", "push rax";
        frame: "vzeroupper", "mov byte ptr [rsp + 8], 0";
        direction_flag: "vzeroupper", "std";
        mxcsr: "vzeroupper", "push rax", "stmxcsr [rsp]", "xor dword ptr [rsp], 0x8000", "ldmxcsr [rsp]", "pop rax";
        flags_of_mxcsr: "vzeroupper", "push rax", "stmxcsr [rsp]", "xor dword ptr [rsp], 0x3f", "ldmxcsr [rsp]", "pop rax";
        upper_halves: "vpcmpeqd ymm7, ymm7, ymm7";
        all_of_zmm9: "vzeroupper", "vpternlogd zmm9, zmm9, zmm9, 255";
        its_own_registers: "vpternlogd zmm20, zmm20, zmm20, 255", "kxorw k1, k1, k1", "vzeroupper";
    }

    #[test]
    fn each_broken_function_is_found_out_by_what_it_breaks() {
        if !std::is_x86_feature_detected!("avx2") {
            return;
        }
        let has_512 = std::is_x86_feature_detected!("avx512f");
        let takes_512 = ["all_of_zmm9", "its_own_registers"];
        for (name, function) in BROKEN {
            if takes_512.contains(&name) && !has_512 {
                continue;
            }
            let wanted: &[&str] = match name {
                "nothing" | "flags_of_mxcsr" | "its_own_registers" => &[],
                "stack_pointer" => &["the stack pointer"],
                "frame" => &["the caller's frame"],
                "direction_flag" => &["the direction flag"],
                "upper_halves" | "all_of_zmm9" => &["the upper parts of vector registers"],
                name => &[name],
            };
            let seen = super::super::with_label(format_args!("{name}"), || {
                // SAFETY: the functions take no arguments, and break only what is restored.
                unsafe {
                    trampoline(function as usize, [0; 6]);
                    changed(&*STATE.0.get(), true)
                }
            });
            assert_eq!(seen, wanted, "{name}");
        }
    }
}
