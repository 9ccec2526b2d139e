#!/usr/bin/env python3
"""What scripts/bench-compare.sh does: the kernels of two revisions, in turns.

Both are built (in folders under target/bench-compare, which later runs use again), and each round runs
`benches/kernels` of one after the other, in alternating order and for a short time, of which the fastest sample counts: so
what else runs on the machine, or lowers its clock for a while, mostly meets both or neither. A change is that of a round;
the table gives the median of all rounds, with its 95% interval by ranks (the sign test's, which asks nothing of how changes
are distributed). A loss counts where the median lies beyond the threshold, and no change outside the interval. Exit code 1
if there is one, 2 where a revision cannot be built or timed.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from compare_llama_cpp import cpu

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "target" / "bench-compare"


def fail(message):
    print(f"bench-compare: {message}", file=sys.stderr)
    sys.exit(2)


def git(*args):
    run = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        fail(f"git {' '.join(args)}: {run.stderr.strip()}")
    return run.stdout.strip()


def build(side, revision):
    """The program that times the kernels of a revision; of the working tree where there is none."""
    tree = ROOT
    if revision:
        commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
        tree = FOLDER / side
        if not (tree / ".git").exists():
            git("worktree", "add", "--detach", "--force", str(tree), commit)
        else:
            subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=tree, check=True)
    command = ["cargo", "bench", "--bench", "kernels", "--no-run", "--message-format=json-render-diagnostics"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(FOLDER / f"build-{side}")}
    run = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, text=True, env=environment)
    if run.returncode:
        fail(f"{revision or 'the working tree'} does not build")
    for line in reversed(run.stdout.splitlines()):
        message = json.loads(line)
        if message.get("executable") and message.get("target", {}).get("name") == "kernels":
            return message["executable"]
    return fail(f"{revision or 'the working tree'} has no bench `kernels`")


def measure(program, side, args):
    """Nanoseconds of the fastest sample, by name of a benchmark."""
    home, start = FOLDER / f"criterion-{side}", time.time()
    options = ["--noplot", "--warm-up-time", "0.02", "--measurement-time", str(args.seconds), "--sample-size", "10"]
    environment = {**os.environ, "CRITERION_HOME": str(home)}
    run = subprocess.run([program, "--bench", *options, args.filter], env=environment, capture_output=True, text=True)
    if run.returncode:
        fail(f"{program}: {run.stderr.strip()[-1000:]}")
    found = {}
    for path in home.rglob("new/sample.json"):
        # What an earlier call has left is not of this one.
        if path.stat().st_mtime >= start - 1:
            name = json.loads((path.parent / "benchmark.json").read_text())["full_id"]
            sample = json.loads(path.read_text())
            found[name] = min(time / iterations for time, iterations in zip(sample["times"], sample["iters"]))
    return found


def interval(changes):
    """The median, and the ends of its 95% interval: so many places from either end as the sign test allows."""
    changes = sorted(changes)
    rank, tail = 0, 0.0
    while True:
        tail += math.comb(len(changes), rank) / 2 ** len(changes)
        if 2 * tail > 0.05:
            break
        rank += 1
    rank = max(rank - 1, 0)
    return statistics.median(changes), changes[rank], changes[-1 - rank]


def main():
    parser = argparse.ArgumentParser(prog="bench-compare.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="a git revision")
    parser.add_argument("new", nargs="?", help="another; the working tree otherwise")
    parser.add_argument("--filter", default="/L1$", metavar="REGEX", help="benchmarks to run: names that match; those in the first-level cache otherwise")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.05, help="of each benchmark in a round")
    parser.add_argument("--threshold", type=float, default=2.0, metavar="PERCENT")
    args = parser.parse_args()
    if args.rounds < 6:
        fail(f"--rounds {args.rounds}: an interval of 95% needs at least 6")
    FOLDER.mkdir(parents=True, exist_ok=True)
    programs = {"base": build("base", args.base), "new": build("new", args.new)}
    found = {side: [] for side in programs}
    for number in range(args.rounds):
        for side in sorted(programs, reverse=number % 2 == 1):
            found[side].append(measure(programs[side], side, args))
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {args.rounds}", end="\n"[number + 1 < args.rounds :], file=sys.stderr)
    names = sorted(set(found["base"][0]) & set(found["new"][0]))
    if not names:
        fail(f"no benchmark of both matches {args.filter}")
    print(f"{args.base} and {args.new or 'the working tree'}, {cpu()}, {args.rounds} rounds in turns, medians\n")
    print("| | old | new | change | 95% interval | |\n|---|---:|---:|---:|---:|---|")
    losses = 0
    for name in names:
        old, new = ([sample[name] for sample in found[side]] for side in ("base", "new"))
        middle, low, high = interval([b / a for a, b in zip(old, new)])
        bound = 1 + args.threshold / 100
        verdict = "LOSS" if middle > bound and low > 1 else "gain" if middle < 1 / bound and high < 1 else ""
        losses += verdict == "LOSS"
        percent = [100 * (x - 1) for x in (middle, low, high)]
        print(f"| {name} | {statistics.median(old):.4g} ns | {statistics.median(new):.4g} ns | {percent[0]:+.1f}% | {percent[1]:+.1f} to {percent[2]:+.1f}% | {verdict} |")
    for name in sorted(set(found["base"][0]) ^ set(found["new"][0])):
        print(f"| {name} | only in {'base' if name in found['base'][0] else 'new'} | | | | |")
    if losses:
        print(f"\n{losses} lost more than {args.threshold:g}%")
    sys.exit(1 if losses else 0)


if __name__ == "__main__":
    main()
