#!/usr/bin/env bash
# Interprets small cases of kernels with Miri, intrinsics included: of all at AVX2; at AVX-512 with VNNI of those whose
# instructions Miri knows (tests/interpreted.rs tells which it does not). Reads outside the
# slice that a pointer came from, misaligned references and uninitialised bytes fail. Needs a nightly toolchain with
# Miri; assembly is not interpreted (`build.rs` leaves it out), and is for scripts/valgrind.sh and tests/abi.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! { command -v rustup >/dev/null && timeout 300 rustup component add miri rust-src --toolchain nightly; }; then
    echo "NOT RUN: Miri is not available here"
    exit 0
fi
export CARGO_TARGET_DIR=target/miri
avx2=+avx2,+fma,+f16c
avx512=$avx2,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vnni
for features in "$avx2" "$avx512"; do
    echo "-- $features"
    RUSTFLAGS="-Ctarget-feature=$features" timeout 1200 cargo +nightly miri test --no-default-features --test interpreted
done
