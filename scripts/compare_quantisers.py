#!/usr/bin/env python3
"""Compares the files of `quintile quantize` with those of llama.cpp's `llama-quantize`.

    scripts/compare_quantisers.py LLAMA_QUANTIZE [MODEL ...] [--types q4_k_m q5_k_m]

For rows of a normal distribution and for each model, both tools make a file of each type. The files must hold
the same types tensor by tensor; of each format the root of the mean squared error is printed for both, of all
tensors that have it together, in proportion to the root mean square of the source. A format is found BAD where
ours is more than 1.01 times theirs.

Needs the packages of scripts/requirements.txt, and the binary that `cargo build --release` makes.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
QUINTILE = ROOT / "target" / "release" / "quintile"
# One for each base format.
TYPES = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k_m", "q4_k_m", "q5_k_m", "q6_k"]
BAR = 1.01


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def write_gaussian(path):
    """A model of one layer with a tensor of a million normal values."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(32)
    writer.add_embedding_length(1024)
    writer.add_feed_forward_length(1024)
    writer.add_head_count(8)
    writer.add_layer_norm_rms_eps(1e-5)
    values = np.random.default_rng(1).standard_normal((1024, 1024)).astype(np.float32)
    writer.add_tensor("blk.0.ffn_up.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def errors(source, made):
    """Squared error, square of the source and tensors by format, of the tensors that were converted; and all
    types by name."""
    sums, types = {}, {}
    for tensor in json.loads(run(QUINTILE, "compare", source, made, "--json"))["tensors"]:
        types[tensor["name"]] = tensor["b"]
        if tensor["a"] == tensor["b"]:
            continue
        error, square, count = sums.get(tensor["b"], (0.0, 0.0, 0))
        values, rmse = tensor["values"], tensor["rmse"]
        rms = rmse / tensor["relative"] if tensor["relative"] else 0.0
        sums[tensor["b"]] = error + values * rmse**2, square + values * rms**2, count + 1
    return sums, types


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("llama_quantize", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--types", nargs="+", default=TYPES)
    args = parser.parse_args()
    bad = 0
    print("| source | file | format | tensors | llama.cpp | quintile | ratio |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        gaussian = Path(folder) / "gaussian.gguf"
        write_gaussian(gaussian)
        for source in [gaussian, *args.models]:
            for file_type in args.types:
                ours, theirs = Path(folder) / "ours.gguf", Path(folder) / "theirs.gguf"
                run(QUINTILE, "quantize", source, ours, file_type)
                run(args.llama_quantize, "--allow-requantize", source, theirs, file_type, 2)
                (our_errors, our_types), (their_errors, their_types) = errors(source, ours), errors(source, theirs)
                if our_types != their_types:
                    bad += 1
                    print(f"{source.name} {file_type}: the types of tensors differ", file=sys.stderr)
                for name in sorted(our_errors.keys() & their_errors.keys()):
                    error, square, count = our_errors[name]
                    relative = math.sqrt(error / square)
                    reference = math.sqrt(their_errors[name][0] / square)
                    ratio = relative / reference
                    mark = " BAD" if ratio > BAR else ""
                    bad += bool(mark)
                    print(
                        f"| {source.stem} | {file_type} | {name} | {count} | {reference:.3%} | {relative:.3%} "
                        f"| {ratio:.3f}{mark} |",
                        flush=True,
                    )
    sys.exit(f"{bad} are worse than {BAR} times, or differ" if bad else 0)


if __name__ == "__main__":
    main()
