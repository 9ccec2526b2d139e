#!/usr/bin/env bash
# Makes include/quintile.h of src/capi by cbindgen; with --check, tells whether the one that is there is current.
#
#     scripts/c_header.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.29.0
tools=$PWD/target/ci-tools
"$tools/bin/cbindgen" --version 2>/dev/null | grep -qF " $version" ||
    cargo install cbindgen --version "$version" --root "$tools" --quiet

# As a crate of its own, so that nothing but the interface is looked at.
crate=target/c-header
mkdir -p "$crate"
cat >"$crate/Cargo.toml" <<'MANIFEST'
[package]
name = "quintile"
version = "0.0.0"
edition = "2024"
[lib]
path = "../../src/capi/mod.rs"
[workspace]
MANIFEST
# Of `driver` it knows no macro, and says so: the header describes the library with all of it.
"$tools/bin/cbindgen" --quiet --config cbindgen.toml --crate quintile --output "$crate/quintile.h" "$crate"
if [ "${1:-}" = --check ]; then
    diff -u include/quintile.h "$crate/quintile.h" || { echo "include/quintile.h is not current: scripts/c_header.sh makes it anew"; exit 1; }
else
    mkdir -p include
    cp "$crate/quintile.h" include/quintile.h
fi
