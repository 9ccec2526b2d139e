//! Decides which assembly files this target gets, and names their symbols.
//!
//! Emits the cfg `asm_x86_64` where the files under `asm/x86_64` assemble, and in the environment of
//! the compiler `QUINTILE_ASM_SUFFIX`, which holds the crate's version: every symbol ends in it, so
//! that two versions of the crate can be linked into one program.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(asm_x86_64)");
    let target = |key: &str| env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    // x32 has 32-bit pointers: the files assume 64. Miri runs no assembly.
    let miri = env::var_os("CARGO_CFG_MIRI").is_some();
    if target("ARCH") == "x86_64" && target("POINTER_WIDTH") == "64" && !miri {
        println!("cargo::rustc-cfg=asm_x86_64");
    }
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let suffix: String =
        version.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    println!("cargo::rustc-env=QUINTILE_ASM_SUFFIX=_v{suffix}");
}
