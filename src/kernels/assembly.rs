//! The assembly files of this target, assembled into the crate, and the symbols they define.
//!
//! `build.rs` decides which targets have which files (the cfgs `asm_x86_64` and `asm_aarch64`) and gives the suffix
//! of the symbols. The object formats differ in how a symbol is declared; that is all they differ in here.

/// Declares functions of the assembly files, which follow a convention of calls: `name` is defined there, and
/// carries the suffix.
macro_rules! symbols {
    (extern $convention:literal; $($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)?;)*) => {
        unsafe extern $convention {
            $(
                $(#[$doc])*
                #[link_name = concat!(stringify!($name), env!("QUINTILE_ASM_SUFFIX"))]
                pub fn $name($($arg: $ty),*) $(-> $out)?;
            )*
        }
    };
}
pub(super) use symbols;

#[cfg(asm_x86_64)]
macro_rules! files {
    () => {
        concat!(
            include_str!("../../asm/x86_64/macros.S"),
            include_str!("../../asm/x86_64/dot_f32_avx2.S"),
            include_str!("../../asm/x86_64/super_blocks.S"),
            include_str!("../../asm/x86_64/q4_k_dot_avx2.S"),
            include_str!("../../asm/x86_64/q5_k_dot_avx2.S"),
            include_str!("../../asm/x86_64/q4_k_q5_k_dot_exact_avx2.S"),
            include_str!("../../asm/x86_64/super_blocks_16.S"),
            include_str!("../../asm/x86_64/q2_k_dot_avx2.S"),
            include_str!("../../asm/x86_64/q3_k_dot_avx2.S"),
            include_str!("../../asm/x86_64/q6_k_dot_avx2.S"),
            include_str!("../../asm/x86_64/blocks_of_32.S"),
            include_str!("../../asm/x86_64/q4_0_q4_1_dot_avx2.S"),
            include_str!("../../asm/x86_64/q5_0_q5_1_dot_avx2.S"),
            include_str!("../../asm/x86_64/q8_0_dot_avx2.S"),
            include_str!("../../asm/x86_64/gemv_avx2.S"),
            include_str!("../../asm/x86_64/gemm_8x6_avx2.S"),
            include_str!("../../asm/x86_64/gemm_32x6_avx512vnni.S"),
            include_str!("../../asm/x86_64/gemm_16x4_avx2.S"),
            include_str!("../../asm/x86_64/gemm_32x6_blocks_avx512vnni.S"),
        )
    };
}

#[cfg(asm_aarch64)]
macro_rules! files {
    () => {
        concat!(
            include_str!("../../asm/aarch64/macros.S"),
            include_str!("../../asm/aarch64/dot_f32_neon.S"),
            include_str!("../../asm/aarch64/q4_k_q5_k_dot_neon.S"),
            include_str!("../../asm/aarch64/q6_k_dot_neon.S"),
            include_str!("../../asm/aarch64/q8_0_dot_neon.S"),
            include_str!("../../asm/aarch64/q4_k_q5_k_dot2x2_i8mm.S"),
            include_str!("../../asm/aarch64/q6_k_dot2x2_i8mm.S"),
            include_str!("../../asm/aarch64/q8_0_dot2x2_i8mm.S"),
            include_str!("../../asm/aarch64/gemm_8x6.S"),
            include_str!("../../asm/aarch64/gemm_8x6_dotprod.S"),
            include_str!("../../asm/aarch64/gemm_8x6_i8mm.S"),
        )
    };
}

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
            files!(),
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
