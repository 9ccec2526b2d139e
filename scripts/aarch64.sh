#!/usr/bin/env bash
# Runs the tests for aarch64 under qemu, those of kernels on three CPU models, from an x86-64 machine with Debian's packages:
#
#     scripts/aarch64.sh [cargo test arguments]
#
#   cortex-a53    NEON alone
#   neoverse-n1   and dotprod, half-precision arithmetic
#   max           and i8mm, bf16, SVE
#
# The standard library for aarch64 comes from rustup, or where rustup cannot give it, with the compiler of
# Debian's `rustc-web`, unpacked below target/ and used for this alone.
set -euo pipefail
cd "$(dirname "$0")/.."
triple=aarch64-unknown-linux-gnu
root=$PWD/target/aarch64-toolchain

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-gcc >/dev/null; then
    as_root apt-get update -q
    as_root apt-get install -y -q --no-install-recommends \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
fi

if ! { command -v rustup >/dev/null && timeout 300 rustup target add "$triple"; }; then
    echo "rustup has no $triple here: taking Debian's compiler" >&2
    if [ ! -x "$root/rustc" ]; then
        as_root dpkg --add-architecture arm64
        as_root apt-get update -q
        depends() { apt-cache depends "$1" | sed -n "s/.*Depends: \($2\).*/\1/p" | head -n 1; }
        dev=$(depends rustc-web 'libstd-rust-web-dev')
        std=$(depends "$dev" 'libstd-rust[^ ]*')
        llvm=$(depends "$std" 'libllvm[0-9]*')
        mkdir -p "$root/deb"
        (cd "$root/deb" && apt-get download rustc-web \
            "$dev:amd64" "$dev:arm64" "$std:amd64" "$std:arm64" "$llvm:amd64")
        for package in "$root"/deb/*.deb; do dpkg -x "$package" "$root"; done
        {
            echo '#!/bin/sh'
            echo "export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu"
            echo "exec $root/usr/bin/rustc --sysroot $root/usr \"\$@\""
        } >"$root/rustc"
        chmod +x "$root/rustc"
    fi
    export RUSTC=$root/rustc
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
# Emulation is slow: fewer random cases, the same lengths and corners; real models are for native runs.
unset QUINTILE_MODELS
export QUINTILE_CASES=${QUINTILE_CASES:-5}
run() {
    local cpu=$1
    shift
    echo "== aarch64 tests on $cpu" >&2
    QEMU_CPU=$cpu cargo test --target "$triple" "$@"
}
# Where every kernel runs, all tests of what lies below a text: kernels, formats, files, the forward pass. What is built of these
# (texts, sessions, chat, the command line) knows no CPU, and emulation takes minutes for it. On the others, what depends on
# their features.
kernels=(--test siblings --test rows --test abi)
run max --lib "${kernels[@]}" --test formats --test forward --test gguf --test hostile --test interpreted --test quantize --test session_file \
    --test tensor "$@"
for cpu in neoverse-n1 cortex-a53; do
    run "$cpu" "${kernels[@]}" "$@"
    run "$cpu" --test forward "$@" -- digests
    run "$cpu" --lib "$@" -- kernels:: matmul:: formats:: isa::
done
