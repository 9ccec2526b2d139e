#!/usr/bin/env bash
# Compares the kernels of two revisions: builds both, times them in turns, and prints old, new and the change.
#
#     scripts/bench-compare.sh BASE [NEW] [--filter REGEX] [--rounds N] [--threshold PERCENT]
#
# BASE and NEW are git revisions; without NEW, the working tree as it is. Exit code 1 if a kernel lost more than the threshold
# (2%), and the interval of its change has no room for none. `--help` tells the rest. Needs Python 3.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
exec python3 "$here/scripts/bench_compare.py" "$@"
