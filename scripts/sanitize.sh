#!/usr/bin/env bash
# Runs the tests of kernels and files with AddressSanitizer: reads and writes outside an allocation fail, on the stack
# too, and so do leaks. Needs a nightly toolchain. Assembly is not instrumented: scripts/valgrind.sh and tests/abi see it.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! { command -v rustup >/dev/null && cargo +nightly --version; }; then
    echo "NOT RUN: AddressSanitizer needs a nightly toolchain, and there is none here"
    exit 0
fi
export CARGO_TARGET_DIR=target/sanitize
export RUSTFLAGS="-Zsanitizer=address"
export QUINTILE_CASES=${QUINTILE_CASES:-10}
unset QUINTILE_MODELS
# Entries for C are called in the test's own program.
cargo +nightly test --target x86_64-unknown-linux-gnu --no-default-features --features driver,capi \
    --test siblings --test rows --test abi --test gguf --test capi
