#!/usr/bin/env bash
# Interprets small cases of kernels with Miri, intrinsics included: at AVX2, and at AVX-512 with VNNI and AVX-VNNI.
# (Some intrinsics have bodies of their own there: src/kernels/uninterpreted.rs.) Reads outside the
# slice that a pointer came from, misaligned references and uninitialised bytes fail. Needs a nightly toolchain with
# Miri; assembly is not interpreted (`build.rs` leaves it out), and is for scripts/valgrind.sh and tests/abi.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! { command -v rustup >/dev/null && timeout 300 rustup component add miri rust-src --toolchain nightly; }; then
    echo "NOT RUN: Miri is not available here"
    for feature in avx2 avx512f avx512_vnni avx_vnni; do
        grep -qw "$feature" /proc/cpuinfo || echo "NOT RUN: siblings with $feature, which this CPU lacks"
    done
    exit 0
fi
# With what pulp asks for beside.
avx2=+avx2,+fma,+f16c,+bmi1,+bmi2,+lzcnt,+popcnt
avx512=$avx2,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,+avx512vnni,+avxvnni
interpret() {
    echo "-- $1"
    RUSTFLAGS="-Ctarget-feature=$2" CARGO_TARGET_DIR=target/miri/$1 \
        timeout 2400 cargo +nightly miri test --no-default-features --features std --test interpreted 2>&1
}
# The interpreter takes one core: both at a time.
mkdir -p target/miri
interpret avx512 "$avx512" >target/miri/avx512.log &
interpret avx2 "$avx2"
wait $! || { cat target/miri/avx512.log; exit 1; }
cat target/miri/avx512.log
