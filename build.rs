//! Decides which assembly files this target gets, and names their symbols.
//!
//! Emits the cfg `asm_x86_64` where the files under `asm/x86_64` assemble, `asm_aarch64` where those under
//! `asm/aarch64` do, and in the environment of the compiler `QUINTILE_ASM_SUFFIX`, which holds the crate's version: every symbol ends in it, so
//! that two versions of the crate can be linked into one program.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(asm_x86_64, asm_aarch64)");
    let target = |key: &str| env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    // x32 and ilp32 have 32-bit pointers: the files assume 64. Lanes and the bytes of formats are little-endian. Miri
    // runs no assembly.
    let is_little_64 = target("POINTER_WIDTH") == "64" && target("ENDIAN") == "little";
    let assembles = is_little_64 && env::var_os("CARGO_CFG_MIRI").is_none();
    // Targets without floating point have no vector registers either.
    let has_neon = target("FEATURE").split(',').any(|feature| feature == "neon");
    match &*target("ARCH") {
        "x86_64" if assembles => println!("cargo::rustc-cfg=asm_x86_64"),
        "aarch64" if assembles && has_neon => println!("cargo::rustc-cfg=asm_aarch64"),
        _ => {}
    }
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let suffix: String =
        version.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    println!("cargo::rustc-env=QUINTILE_ASM_SUFFIX=_v{suffix}");
}
