#!/usr/bin/env bash
# Builds the backend for ggml, libggml-quintile.so, against the headers of a llama.cpp source tree: of the version that the programs are of
# which shall load it. Nothing of llama.cpp is built or changed.
#
#     scripts/build-ggml-backend.sh LLAMA_CPP [OUT]
#
# OUT is target/ggml where not given. Then: GGML_BACKEND_PATH=OUT/libggml-quintile.so llama-bench -m model.gguf
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
source=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
out=${2:-$PWD/target/ggml}
[ -f "$source/ggml/src/ggml-backend-impl.h" ] || { echo "$source: no source tree of llama.cpp (ggml/src/ggml-backend-impl.h)" >&2; exit 2; }
part() { sed -n "s/^set(GGML_VERSION_$1 \([0-9]*\)).*/\1/p" "$source/ggml/CMakeLists.txt"; }
version=$(part MAJOR).$(part MINOR).$(part PATCH)

mkdir -p "$out"
DESTDIR='' scripts/install-c.sh --prefix "$out/quintile" --kernels-only
# ggml's own functions are the program's, found when it loads this.
${CXX:-c++} -std=c++17 -O2 -g -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden -DQUINTILE_GGML_VERSION="\"$version\"" \
    -DGGML_BACKEND_SHARED -DGGML_BACKEND_BUILD -DGGML_SHARED \
    -isystem "$source/ggml/include" -isystem "$source/ggml/src" -I"$out/quintile/include" \
    integrations/ggml/ggml-quintile.cpp "$out/quintile/lib/libquintile.a" -Wl,--exclude-libs,ALL -lm -lpthread \
    -o "$out/libggml-quintile.so"
echo "$out/libggml-quintile.so, for ggml $version"
