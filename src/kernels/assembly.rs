//! The assembly files of this target, assembled into the crate, and the symbols they define.
//!
//! `build.rs` decides which targets have which files (the cfg `asm_x86_64`) and gives the suffix of the
//! symbols. The object formats differ in how a symbol is declared; that is all they differ in here.

/// Declares functions of the assembly files: `name` is defined there, and carries the suffix.
macro_rules! symbols {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $out:ty;)*) => {
        unsafe extern "sysv64" {
            $(
                $(#[$doc])*
                #[link_name = concat!(stringify!($name), env!("QUINTILE_ASM_SUFFIX"))]
                pub fn $name($($arg: $ty),*) -> $out;
            )*
        }
    };
}
pub(super) use symbols;

/// Assembles the files; the arguments are what the object format puts before a symbol's name, where it is
/// opened and where it is closed.
macro_rules! assemble {
    ($prefix:literal, $open:expr, $close:expr) => {
        core::arch::global_asm!(
            ".text",
            concat!(
                ".macro OPEN_SYMBOL name\n",
                $open,
                "\n",
                ".globl ",
                $prefix,
                "\\name\\()",
                env!("QUINTILE_ASM_SUFFIX"),
                "\n",
                $prefix,
                "\\name\\()",
                env!("QUINTILE_ASM_SUFFIX"),
                ":\n.endm"
            ),
            concat!(".macro CLOSE_SYMBOL name\n", $close, "\n.endm"),
            include_str!("../../asm/x86_64/macros.S"),
            include_str!("../../asm/x86_64/dot_f32_avx2.S"),
            include_str!("../../asm/x86_64/super_blocks.S"),
            include_str!("../../asm/x86_64/q4_k_dot_avx2.S"),
            include_str!("../../asm/x86_64/q5_k_dot_avx2.S"),
            include_str!("../../asm/x86_64/q6_k_dot_avx2.S"),
            include_str!("../../asm/x86_64/gemm_8x6_avx2.S"),
            options(raw)
        );
    };
}

#[cfg(target_vendor = "apple")]
assemble!("_", concat!(".private_extern _\\name\\()", env!("QUINTILE_ASM_SUFFIX")), "");

#[cfg(windows)]
assemble!("", "", "");

#[cfg(not(any(windows, target_vendor = "apple")))]
assemble!(
    "",
    concat!(
        ".hidden \\name\\()",
        env!("QUINTILE_ASM_SUFFIX"),
        "\n",
        ".type \\name\\()",
        env!("QUINTILE_ASM_SUFFIX"),
        ", @function"
    ),
    concat!(
        ".size \\name\\()",
        env!("QUINTILE_ASM_SUFFIX"),
        ", .-\\name\\()",
        env!("QUINTILE_ASM_SUFFIX")
    )
);
