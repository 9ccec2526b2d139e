#!/usr/bin/env bash
# Installs the library for C below target/, compiles examples/c as its documentation says (shared, and one against the archive), and runs
# them under Valgrind: whatever is leaked, or read or written outside of what was allocated, fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export DESTDIR=
prefix=$PWD/target/c-installed
scripts/install-c.sh --profile dev --prefix "$prefix"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
flags=(-std=c11 -Wall -Wextra -Wpedantic -Werror -g)
if command -v pkg-config >/dev/null; then
    shared=$(pkg-config --cflags --libs quintile)
else
    echo "NOT RUN: there is no pkg-config here; its file is read as it stands"
    shared="-I$prefix/include -L$prefix/lib -lquintile"
fi
private=$(sed -n 's/^Libs.private: //p' "$prefix/lib/pkgconfig/quintile.pc")
for name in generate matmul; do
    # shellcheck disable=SC2086 # words
    gcc "${flags[@]}" "examples/c/$name.c" $shared -pthread -o "$prefix/$name"
done
# shellcheck disable=SC2086
gcc "${flags[@]}" examples/c/generate.c "-I$prefix/include" "$prefix/lib/libquintile.a" $private -o "$prefix/generate-static"

model=tests/data/tiny/llama-linear.gguf
check() { valgrind --quiet --error-exitcode=1 --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=definite,indirect,possible "$@"; }
check "$prefix/generate" "$model" "the and in on" 6
check "$prefix/generate-static" "$model" "the and in on" 6
check "$prefix/matmul" "$model" output.weight 9
"$prefix/generate" no-such-file.gguf x 2>/dev/null && { echo "a missing file is no error"; exit 1; }
echo "no leak"
