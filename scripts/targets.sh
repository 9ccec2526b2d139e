#!/usr/bin/env bash
# Checks the whole crate for Windows and macOS, and assembles its assembly for them (COFF, Mach-O) and for Linux (ELF): LLVM's
# assembler does that as the library is compiled; nothing is linked, so no tools of those systems are needed. A target whose
# standard library cannot be had is named.
#
#     scripts/targets.sh [TARGET ..]       all of them where none is given
#
# That no file is left out is asked of src/kernels/assembly.rs, and that a target gets them, of the names in what was compiled.
set -euo pipefail
cd "$(dirname "$0")/.."
# Code that nobody runs: as quickly as it compiles.
export CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
result=0
targets=("$@")
[ $# -gt 0 ] || targets=({x86_64,aarch64}-{unknown-linux-gnu,pc-windows-msvc,apple-darwin} x86_64-pc-windows-gnu)
for target in "${targets[@]}"; do
    if ! timeout 300 rustup target add "$target" 2>/dev/null; then
        echo "NOT RUN: rustup has no $target here"
        continue
    fi
    echo "-- $target"
    cargo check --quiet --target "$target" --features capi
    cargo build --quiet --target "$target" --lib --no-default-features
    files=(asm/"${target%%-*}"/*.S)
    for file in "${files[@]}"; do
        grep -q "\"../../$file\"" src/kernels/assembly.rs || { echo "$file is not included"; result=1; }
    done
    # Of every function the files name, outside of comments, there is the name, with the crate's version behind it.
    wanted=$(sed 's,//.*,,' "${files[@]}" | grep -o 'quintile_[a-z0-9_]*' | sort -u)
    for name in $wanted; do
        grep -qa "${name}_v[0-9]" target/"$target"/debug/libquintile.rlib || {
            echo "$target: $name is not assembled"
            result=1
        }
    done
    echo "$(echo "$wanted" | wc -l) functions of ${#files[@]} files"
done
exit "$result"
