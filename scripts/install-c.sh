#!/usr/bin/env bash
# Builds the library for C and installs it: lib/libquintile.so and .a, include/quintile.h, and what pkg-config asks for.
#
#     scripts/install-c.sh [--prefix DIR] [--kernels-only] [--profile PROFILE]
#
# DIR is /usr/local where not given. DESTDIR, where it is set, is put before all paths, as packagers expect. --kernels-only leaves
# out models: the handles of the header are not there then. PROFILE is one of cargo's: release where not given; dev compiles sooner.
set -euo pipefail
prefix=/usr/local
features=capi,driver
profile=release
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) prefix=${2:?--prefix takes a folder} && shift ;;
    --kernels-only) features=capi,std ;;
    --profile) profile=${2:?--profile takes a name} && shift ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
cd "$(dirname "$0")/.."

abi=$(sed -n 's/^#define QUINTILE_ABI_VERSION \([0-9]*\)$/\1/p' include/quintile.h)
version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)
case $(uname -s) in
Darwin) file=libquintile.$abi.dylib link=libquintile.dylib name=-Wl,-install_name,$prefix/lib/libquintile.$abi.dylib ;;
*) file=libquintile.so.$abi link=libquintile.so name=-Wl,-soname,libquintile.so.$abi ;;
esac

# A folder of its own: what `cargo build` makes stays as it is. Panics stay inside of the library, so it must unwind.
target=${CARGO_TARGET_DIR:-target}/c
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo rustc --profile "$profile" --lib --no-default-features --features "$features" --crate-type cdylib,staticlib --target-dir "$target" \
    -- -C "link-arg=$name" --print native-static-libs 2> >(tee "$log" >&2)
# What a program needs that links the archive: cargo tells when it builds, and keeps it for when it need not.
private=$(sed -n 's/^note: native-static-libs: //p' "$log" | tail -n 1)
if [ -n "$private" ]; then echo "$private" >"$target/native-static-libs"; else private=$(cat "$target/native-static-libs"); fi

built=$target/$profile
[ "$profile" != dev ] || built=$target/debug
root=${DESTDIR:-}$prefix
mkdir -p "$root/lib/pkgconfig" "$root/include"
install -m 755 "$built/${link}" "$root/lib/$file"
ln -sf "$file" "$root/lib/$link"
install -m 644 "$built/libquintile.a" "$root/lib/libquintile.a"
install -m 644 include/quintile.h "$root/include/quintile.h"
cat >"$root/lib/pkgconfig/quintile.pc" <<PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: quintile
Description: Kernels of quantised transformers, and models that run on them: the same bits on every CPU
Version: $version
Libs: -L\${libdir} -lquintile
Libs.private: $private
Cflags: -I\${includedir}
PC
# Debugging information of the kernels is for those who build them.
strip --strip-debug "$root/lib/$file" "$root/lib/libquintile.a" 2>/dev/null || true
echo "installed libquintile $version (interface $abi) below $root"
