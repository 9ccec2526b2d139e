#!/usr/bin/env python3
"""Compares the texts that llama.cpp makes of our files with those that it makes of its own.

    scripts/compare_texts.py LLAMA_BIN MODEL ... [--types q2_k q4_k_s] [--control] [--json FILE]

LLAMA_BIN is the folder of `llama-quantize` and `llama-completion`. Both tools make a file of each type of each
model; `llama-completion` continues six prompts greedily with both. Where the first 40 characters differ,
`examples/near_ties.rs` finds how near a tie that was: A is llama.cpp's file, B the other, S the model. It was a near
tie where one of the two files prefers its token by no more than llama.cpp's quantiser moved the two tokens' difference
of logits ("moved in A"), or differences there on average ("noise A"). A margin below zero is one that llama.cpp's
arithmetic turned: the figures are of ours. The command fails where a difference was not one.

With `--control`, llama.cpp's file is also compared with a second one that llama-quantize makes of the model rounded
to bf16: texts that differ there show what its quantiser makes of a change of the weights by 2^-9 at most.

Needs the binaries that `cargo build --release --bin quintile --example near_ties` makes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUINTILE = ROOT / "target" / "release" / "quintile"
NEAR_TIES = ROOT / "target" / "release" / "examples" / "near_ties"
TYPES = "q2_k q3_k_m q4_0 q4_1 q4_k_s q4_k_m q5_0 q5_1 q5_k_s q5_k_m q6_k q8_0 f16 bf16 f32".split()
PROMPTS = [
    "The largest planet in the solar system is",
    "Once upon a time there was a",
    "The three primary colours are",
    "def fibonacci(n):\n",
    "Water boils at a temperature of",
    "My favourite book is about a",
]
CHARACTERS = 40
TOKENS = 32


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def text(llama, model, prompt):
    """What llama.cpp continues the prompt with; the two line ends that it adds are taken away."""
    shape = "--no-conversation --no-display-prompt --no-warmup --no-escape --no-perf --temp 0 -c 512 -t 2".split()
    made = run(llama / "llama-completion", "-m", model, "-p", prompt, "-n", TOKENS, *shape).decode(errors="replace")
    # The last token may be a part of a character.
    return made.removesuffix("\n\n").removesuffix(" [end of text]").split("\ufffd")[0]


def compare(llama, source, a, b):
    """A row for each prompt whose first characters differ."""
    differing = []
    for prompt in PROMPTS:
        texts = {"prompt": prompt, "a": text(llama, a, prompt), "b": text(llama, b, prompt)}
        if texts["a"][:CHARACTERS] != texts["b"][:CHARACTERS]:
            differing.append(texts)
    lines = "".join(json.dumps(texts) + "\n" for texts in differing).encode()
    found = run(NEAR_TIES, source, a, b, input=lines).decode().splitlines() if differing else []
    return [{**texts, **json.loads(row)} for texts, row in zip(differing, found, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("llama", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--types", nargs="+", default=TYPES)
    parser.add_argument("--control", action="store_true", help="llama.cpp against llama.cpp, of rounded weights")
    parser.add_argument("--json", type=Path, help="write every differing text and its figures")
    args = parser.parse_args()
    rows, counts = [], {}
    print("| model | type | against | prompt | a | b | margin in A | in B | in S | moved in A | noise A | noise B |"
          " S takes | KL A | KL B | near |")
    print("|---|---|---|---:|---|---|---:|---:|---:|---:|---:|---:|---|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours, rounded, control = (
            Path(folder) / f"{name}.gguf" for name in ("theirs", "ours", "rounded", "control"))
        for source in args.models:
            if args.control:
                run(args.llama / "llama-quantize", "--allow-requantize", source, rounded, "bf16", 2)
            for kind in args.types:
                run(args.llama / "llama-quantize", "--allow-requantize", source, theirs, kind, 2)
                run(QUINTILE, "quantize", source, ours, kind)
                pairs = [("quintile", ours)]
                if args.control:
                    run(args.llama / "llama-quantize", "--allow-requantize", rounded, control, kind, 2)
                    pairs.append(("llama.cpp, bf16", control))
                for against, b in pairs:
                    found = compare(args.llama, source, theirs, b)
                    for row in found:
                        row.update(model=source.stem, type=kind, against=against)
                        print(line(row), flush=True)
                    rows += found
                    count = counts.setdefault(against, [0, 0, 0])
                    near = sum(map(is_near, found))
                    for i, of in enumerate((len(PROMPTS) - len(found), near, len(found) - near)):
                        count[i] += of
                    print(f"{source.stem} {kind} {against}: {len(PROMPTS) - len(found)} of {len(PROMPTS)} texts equal,"
                          f" {near} near ties", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    for against, (equal, near, far) in counts.items():
        print(f"against {against}: {equal} texts equal, {near} near ties, {far} other", file=sys.stderr)
    sys.exit(1 if counts["quintile"][2] else 0)


def is_near(row):
    if not row["differs"]:
        return False
    return min(row["margin_a"], row["margin_b"]) <= max(row["moved_a"], row["noise_a"])


def line(row):
    if not row["differs"]:
        return f"| {row['model']} | {row['type']} | {row['against']} | the tokens are the same |"
    ranks = row["rank_in_s"]
    taken = "a" if ranks[0] == 0 else "b" if ranks[1] == 0 else "neither"
    figures = [row[key] for key in ("margin_a", "margin_b", "margin_s", "moved_a", "noise_a", "noise_b")]
    cells = [row["model"], row["type"], row["against"], str(PROMPTS.index(row["prompt"]) + 1), repr(row["token_a"]),
             repr(row["token_b"]), *(f"{figure:.2f}" for figure in figures), taken, f"{row['kl_a']:.3f}", f"{row['kl_b']:.3f}",
             "yes" if is_near(row) else "NO"]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
