#!/usr/bin/env bash
# Interprets small cases of kernels with Miri, intrinsics included: at AVX2, at AVX-512 with VNNI, and what AVX-VNNI
# adds. (Some intrinsics have bodies of their own there: src/kernels/uninterpreted.rs.) Reads outside the
# slice that a pointer came from, misaligned references and uninitialised bytes fail. Needs a nightly toolchain with
# Miri; assembly is not interpreted (`build.rs` leaves it out), and is for scripts/valgrind.sh and tests/abi.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! { command -v rustup >/dev/null && timeout 300 rustup component add miri rust-src --toolchain nightly; }; then
    echo "NOT RUN: Miri is not available here"
    exit 0
fi
export CARGO_TARGET_DIR=target/miri
# With what pulp asks for beside.
avx2=+avx2,+fma,+f16c,+bmi1,+bmi2,+lzcnt,+popcnt
avx512=$avx2,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,+avx512vnni
interpret() {
    echo "-- $*"
    RUSTFLAGS="-Ctarget-feature=$1" timeout 2400 cargo +nightly miri test --no-default-features --features std --test interpreted -- "${@:2}"
}
interpret "$avx2"
interpret "$avx512"
interpret "$avx2,+avxvnni" rows_equal_scalar what_is_interpreted
