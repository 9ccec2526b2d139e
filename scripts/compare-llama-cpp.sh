#!/usr/bin/env bash
# Times this engine beside llama.cpp on one model, in turns, and prints a Markdown table of both and of the ratio:
#
#     scripts/compare-llama-cpp.sh MODEL [--llama FOLDER] [--text FILE] [--svg FILE] [-t N] [-p N] [-n N] [--rounds N]
#
# llama-bench, and llama-perplexity where --text is given, come from --llama or PATH: whoever compares has built
# them, for the CPU at hand. `--help` tells the rest. Needs Python 3, and cargo, which builds this engine, but with --quintile.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
exec python3 "$here/scripts/compare_llama_cpp.py" "$@"
