#!/usr/bin/env bash
# Runs the kernel tests and a forward pass under Valgrind's memcheck: reads and writes outside a slice, and
# results that depend on uninitialised bytes, fail. Valgrind shows AVX2, FMA and F16C to the program.
#
#     scripts/valgrind.sh [cargo test arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
export QUINTILE_CASES=${QUINTILE_CASES:-1}
export QUINTILE_UNDER_VALGRIND=1 # its fused multiply-add loses the sign of zero
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --error-exitcode=1 --leak-check=no --quiet"
cargo test "$@" --test siblings --test rows
cargo test "$@" --test forward forgets
