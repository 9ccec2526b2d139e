#!/usr/bin/env bash
# Where time or memory goes: a table of the twenty largest, and a picture.
#
#     scripts/profile.sh cpu MODEL [options of `quintile bench`]     prefill and decoding of a model
#     scripts/profile.sh kernel REGEX                                kernels of `cargo bench --bench kernels` by name
#     scripts/profile.sh memory MODEL [options of `quintile run`]    who allocates, under Valgrind's DHAT
#
# What it writes lies in target/profile. Times are sampled by perf, by cycles where the machine counts them, otherwise by the
# clock, and drawn as a flame graph by inferno, which is installed there if it is missing. Where perf may not run, callgrind
# counts instructions instead, without a picture. The script says which it was.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$here/target/profile
mkdir -p "$folder"

usage() { sed -n '4,6s/^#     //p' "$here/scripts/profile.sh" >&2; exit 2; }
fail() { echo "profile: $*" >&2; exit 1; }
say() { echo "profile: $*" >&2; }
export PATH=$folder/tools/bin:$PATH

# What perf can sample here: cycles, or else the clock; asked of a program that runs for a moment. (Where nothing counts cycles,
# perf takes the clock in silence, so the samples are asked what they are.)
event() {
    command -v perf >/dev/null || return 1
    perf record -q -e cycles:u -o "$folder/try.data" bash -c 'for ((i = 0; i < 100000; i++)); do :; done' >/dev/null 2>&1 ||
        perf record -q -e cpu-clock:u -o "$folder/try.data" bash -c 'for ((i = 0; i < 100000; i++)); do :; done' >/dev/null 2>&1 ||
        return 1
    perf script -i "$folder/try.data" -F event >"$folder/try.txt" 2>/dev/null
    awk 'NF { sub(/:$/, "", $1); print $1; found = 1; exit } END { exit !found }' "$folder/try.txt"
}

# Profiles a command: name, command.
times() {
    local name=$1 event data
    shift
    data=$folder/$name.data
    if ! event=$(event); then
        say "perf may not run here (kernel.perf_event_paranoid, or no perf): callgrind counts instructions instead"
        command -v valgrind >/dev/null || fail "no perf and no valgrind: install one of them"
        valgrind --tool=callgrind --callgrind-out-file="$folder/$name.callgrind" "$@" >"$folder/$name.out" 2>"$folder/$name.err" ||
            { tail -5 "$folder/$name.err" >&2; fail "$1 failed"; }
        callgrind_annotate "$folder/$name.callgrind" | grep -E '^ *[0-9,]+ ' | head -20
        say "wrote $folder/$name.callgrind (for KCachegrind)"
        return
    fi
    say "samples by $event"
    # Release builds keep no frame pointers: stacks are unwound by DWARF, which the assembly has too.
    perf record -q -e "$event" -F 499 --call-graph dwarf,8192 -o "$data" "$@" >"$folder/$name.out" 2>"$folder/$name.err" ||
        { tail -5 "$folder/$name.err" >&2; fail "$1 failed"; }
    perf report -i "$data" --sort symbol --no-children --no-inline -g none --stdio 2>/dev/null |
        sed -nE 's/^ +([0-9.]+%) +\[.\] +/\1  /p' | sed -E 's/ +- +- *$//' | head -20
    if ! command -v inferno-flamegraph >/dev/null; then
        say "installing inferno for the flame graph"
        cargo install --quiet inferno --root "$folder/tools" || { say "inferno cannot be installed: no picture"; return; }
    fi
    perf script -i "$data" --no-inline 2>/dev/null | inferno-collapse-perf 2>/dev/null |
        inferno-flamegraph --title "$name" >"$folder/$name.svg"
    say "wrote $folder/$name.svg"
}

program() {
    cargo build --release --quiet --manifest-path "$here/Cargo.toml"
    echo "$here/target/release/quintile"
}

[ $# -ge 2 ] || usage
what=$1 of=$2
shift 2
case $what in
cpu)
    [ -r "$of" ] || fail "$of: cannot be read"
    times cpu "$(program)" bench --limits 0 -m "$of" "$@"
    ;;
kernel)
    bench=$(cargo bench --manifest-path "$here/Cargo.toml" --bench kernels --no-run 2>&1 | sed -n 's/.*Executable .*(\(.*\))$/\1/p')
    [ -n "$bench" ] || fail "benches/kernels does not build"
    (cd "$here" && times kernel "$bench" --bench --profile-time 3 "$of")
    grep -q . "$folder/kernel.out" || fail "no benchmark matches $of"
    ;;
memory)
    [ -r "$of" ] || fail "$of: cannot be read"
    command -v valgrind >/dev/null || fail "DHAT is a part of Valgrind, which is missing"
    valgrind --tool=dhat --dhat-out-file="$folder/memory.json" "$(program)" run -m "$of" --temp 0 -n 4 -p 'Once upon a time' "$@" \
        >"$folder/memory.out" 2>"$folder/memory.err" || { tail -5 "$folder/memory.err" >&2; fail "quintile failed"; }
    grep -E 'Total:|At t-gmax:|At t-end:' "$folder/memory.err" | sed 's/^==[0-9]*== //'
    python3 "$here/scripts/dhat_top.py" "$folder/memory.json"
    say "wrote $folder/memory.json (for Valgrind's dh_view.html)"
    ;;
*) usage ;;
esac
