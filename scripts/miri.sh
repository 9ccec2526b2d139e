#!/usr/bin/env bash
# Interprets a small case of every kernel with Miri, intrinsics of AVX2, FMA and F16C included: reads outside the
# slice that a pointer came from, misaligned references and uninitialised bytes fail. Needs a nightly toolchain with
# Miri; assembly is not interpreted (`build.rs` leaves it out), and is for scripts/valgrind.sh and tests/abi.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! { command -v rustup >/dev/null && timeout 300 rustup component add miri rust-src --toolchain nightly; }; then
    echo "NOT RUN: Miri is not available here"
    exit 0
fi
export CARGO_TARGET_DIR=target/miri
export RUSTFLAGS="-Ctarget-feature=+avx2,+fma,+f16c"
timeout 600 cargo +nightly miri test --no-default-features --test interpreted
