#!/usr/bin/env python3
"""What scripts/bench-compare.sh does: the kernels of two revisions, in turns.

Both are built (in folders under target/bench-compare, which later runs use again), and each round runs
`benches/kernels` of one after the other, in alternating order. A change is that of a round; the table gives their
geometric mean with its 95% interval (Student's t on logarithms). A loss counts where the whole interval lies
beyond the threshold. Exit code 1 if there is one, 2 where a revision cannot be built or timed.
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

from compare_llama_cpp import cpu, ratio

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
    """Medians by name of a benchmark."""
    home, start = FOLDER / f"criterion-{side}", time.time()
    options = ["--noplot", "--warm-up-time", "0.1", "--measurement-time", str(args.seconds), "--sample-size", "20"]
    environment = {**os.environ, "CRITERION_HOME": str(home)}
    run = subprocess.run([program, "--bench", *options, args.filter], env=environment, capture_output=True, text=True)
    if run.returncode:
        fail(f"{program}: {run.stderr.strip()[-1000:]}")
    found = {}
    for estimates in home.rglob("new/estimates.json"):
        # What an earlier call has left is not of this one.
        if estimates.stat().st_mtime >= start - 1:
            name = json.loads((estimates.parent / "benchmark.json").read_text())["full_id"]
            found[name] = json.loads(estimates.read_text())["median"]["point_estimate"]
    return found


def main():
    parser = argparse.ArgumentParser(prog="bench-compare.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="a git revision")
    parser.add_argument("new", nargs="?", help="another; the working tree otherwise")
    parser.add_argument("--filter", default="/L1$", metavar="REGEX", help="benchmarks to run: names that match; those in the first-level cache otherwise")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each benchmark in a round")
    parser.add_argument("--threshold", type=float, default=2.0, metavar="PERCENT")
    args = parser.parse_args()
    if args.rounds < 2:
        fail("an interval needs at least two --rounds")
    FOLDER.mkdir(parents=True, exist_ok=True)
    programs = {"base": build("base", args.base), "new": build("new", args.new)}
    found = {side: [] for side in programs}
    for number in range(args.rounds):
        for side in sorted(programs, reverse=number % 2 == 1):
            found[side].append(measure(programs[side], side, args))
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    names = sorted(set(found["base"][0]) & set(found["new"][0]))
    if not names:
        fail(f"no benchmark of both matches {args.filter}")
    print(f"{args.base} and {args.new or 'the working tree'}, {cpu()}, {args.rounds} rounds in turns, medians\n")
    print("| | old | new | change | 95% interval | |\n|---|---:|---:|---:|---:|---|")
    losses = 0
    for name in names:
        old, new = ([sample[name] for sample in found[side]] for side in ("base", "new"))
        mean, (low, high) = ratio(new, old)
        bound = 1 + args.threshold / 100
        verdict = "LOSS" if low > bound else "gain" if high < 1 / bound else ""
        losses += verdict == "LOSS"
        percent = [100 * (x - 1) for x in (mean, low, high)]
        middle = [statistics.median(x) for x in (old, new)]
        print(f"| {name} | {middle[0]:.4g} ns | {middle[1]:.4g} ns | {percent[0]:+.1f}% | {percent[1]:+.1f} to {percent[2]:+.1f}% | {verdict} |")
    for name in sorted(set(found["base"][0]) ^ set(found["new"][0])):
        print(f"| {name} | only in {'base' if name in found['base'][0] else 'new'} | | | | |")
    if losses:
        print(f"\n{losses} lost more than {args.threshold:g}%")
    sys.exit(1 if losses else 0)


if __name__ == "__main__":
    main()
