#!/usr/bin/env python3
"""What scripts/compare-llama-cpp.sh does: this engine and llama.cpp on one model, in turns.

Each round starts both, in alternating order, for one repetition: prefill, and decoding. A ratio is that of a round, and
the table gives their geometric mean with its 95% interval (Student's t on logarithms), so that a machine whose
speed drifts between rounds does not look like a difference. Peak memory is that of the process.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Student's t, both tails together 5%, by degrees of freedom.
T95 = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13]


def fail(message):
    sys.exit(f"compare-llama-cpp: {message}")


def program(name, folder):
    path = shutil.which(name, path=folder) if folder else shutil.which(name)
    return path or fail(f"no {name} in {folder or 'PATH'}: build llama.cpp, and name its folder of programs with --llama")


def ours(path):
    if path:
        return path if os.access(path, os.X_OK) else fail(f"{path}: not a program")
    # What an older tree has left there is not what is to be compared.
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    return str(ROOT / "target" / "release" / "quintile")


def run(command):
    """Standard output, and the largest resident set in bytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text, words = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if child.returncode:
        fail(f"{' '.join(command)}: exit code {child.returncode}\n{words.strip()[-2000:]}")
    return text, words, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def bench(command):
    """Tokens a second of prefill and of decoding, seconds to the first token, and memory: those that were measured."""
    text, words, memory = run(command)
    try:
        tests = json.loads(text)
    except json.JSONDecodeError as error:
        fail(f"{command[0]} printed no JSON ({error}): {words.strip()[-500:]}")
    found = {"memory": memory}
    for test in tests:
        if test["n_gen"] == 0:
            found["prefill"], found["first"] = test["avg_ts"], test["avg_ns"] * 1e-9
        else:
            found["decode"] = test["avg_ts"]
    return found


def ratio(ours, theirs):
    """The geometric mean of ratios, and the ends of its 95% interval; ends are missing for one round."""
    logs = [math.log(a / b) for a, b in zip(ours, theirs)]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(mean), None
    t = T95[len(logs) - 2] if len(logs) - 2 < len(T95) else 2.0
    half = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), (math.exp(mean - half), math.exp(mean + half))


def perplexity(programs, args):
    text, _, _ = run([programs["quintile"], "perplexity", "-m", args.model, "-f", args.text, "-t", str(args.threads), "--json"])
    mine = json.loads(text)["ppl"]
    out, err, _ = run([programs["perplexity"], "-m", args.model, "-f", args.text, "-t", str(args.threads), "-c", "512"])
    for line in (out + err).splitlines():
        if "Final estimate: PPL = " in line:
            return mine, float(line.split("PPL = ")[1].split()[0])
    return fail(f"llama-perplexity gave no final estimate for {args.text}: is it long enough for two windows of 512 tokens?")


def cpu():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    except OSError:
        pass
    return "unknown CPU"


def draw(path, title, rows):
    """Bars of both engines for each row, in colours that read on light and on dark paper."""
    width, left, bar = 720, 120, 16
    parts, y = [], 56
    for name, unit, mine, theirs, text in rows:
        scale = (width - left - 190) / max(mine, theirs)
        parts.append(f'<text x="{left - 10}" y="{y + bar + 4}" text-anchor="end">{name}</text>')
        for value, kind, label in [(mine, "a", "quintile"), (theirs, "b", "llama.cpp")]:
            parts.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{scale * value:.1f}" height="{bar - 2}"/>')
            note = f"  ({text})" if kind == "a" else ""
            parts.append(
                f'<text class="n" x="{left + scale * value + 6:.1f}" y="{y + bar - 5}">{value:.1f} {unit}  {label}{note}</text>'
            )
            y += bar
        y += 14
    style = (
        "text{fill:#222}.n{font-size:11px}.a{fill:#2471a3}.b{fill:#8a97a3}rect.p{fill:#fff}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.a{fill:#5dade2}.b{fill:#76828d}rect.p{fill:#1b1f24}}"
    )
    Path(path).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" font-family="sans-serif" font-size="13">'
        f'<style>{style}</style><rect class="p" width="100%" height="100%"/><text x="12" y="24">{title}</text>'
        f'<text class="n" x="12" y="42">longer is faster</text>{"".join(parts)}</svg>\n'
    )


def runs_of(path):
    """The runs that a file has; none if there is no file."""
    try:
        return json.loads(path.read_text())["runs"] if path.exists() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"--json {path}: no table of this script: {error}")


def write(args, tests):
    """Adds the run to a file, of which pictures are made."""
    path, model = Path(args.json), Path(args.model).name
    runs = [run for run in runs_of(path) if run["model"] != model]
    command = f"scripts/compare-llama-cpp.sh {model} -t {args.threads} -p {args.n_prompt} -n {args.n_gen} --rounds {args.rounds}"
    run = {"model": model, "cpu": cpu(), "date": time.strftime("%Y-%m-%d", time.gmtime()), "command": command}
    runs.append({**run, "threads": args.threads, "rounds": args.rounds, "tests": tests})
    path.write_text(json.dumps({"runs": runs}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="compare-llama-cpp.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--llama", metavar="FOLDER", help="where llama-bench is; PATH otherwise")
    parser.add_argument("--quintile", metavar="FILE", help="the program; cargo builds it otherwise")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-p", "--n-prompt", type=int, default=512)
    parser.add_argument("-n", "--n-gen", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text", metavar="FILE", help="compare perplexity on this text too")
    parser.add_argument("--svg", metavar="FILE", help="draw the rates there")
    parser.add_argument("--json", metavar="FILE", help="write the table there, in place of that of the same model")
    args = parser.parse_args()
    if min(args.n_prompt, args.n_gen, args.threads, args.rounds) < 1:
        fail("-p, -n, -t and --rounds are at least 1")
    if args.json:
        runs_of(Path(args.json))
    for path in [args.model, args.text]:
        if path and not os.access(path, os.R_OK):
            fail(f"{path}: cannot be read")
    programs = {"quintile": ours(args.quintile), "bench": program("llama-bench", args.llama)}
    if args.text:
        programs["perplexity"] = program("llama-perplexity", args.llama)
    common = ["-m", args.model, "-t", str(args.threads), "-p", str(args.n_prompt), "-n", str(args.n_gen), "-r", "1", "-o", "json"]
    commands = {
        "ours": [programs["quintile"], "bench", "--limits", "0", *common],
        "theirs": [programs["bench"], *common],
    }
    found = {"ours": [], "theirs": []}
    for number in range(args.rounds):
        for side in sorted(commands, reverse=number % 2 == 1):
            found[side].append(bench(commands[side]))
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)

    threads = f"{args.threads} thread{'s' if args.threads > 1 else ''}"
    title = f"{Path(args.model).name}, {threads}, {cpu()}, median of {args.rounds} rounds in turns"
    print(f"{title}\n\n| | quintile | llama.cpp | ratio | 95% interval |\n|---|---:|---:|---:|---:|")
    bars, tests = [], []
    for name, key, unit, scale in [
        (f"pp{args.n_prompt}", "prefill", "t/s", 1),
        (f"tg{args.n_gen}", "decode", "t/s", 1),
        (f"first token of {args.n_prompt}", "first", "s", 1),
        ("peak memory", "memory", "MiB", 2**-20),
    ]:
        mine, theirs = ([sample[key] for sample in found[side]] for side in ("ours", "theirs"))
        mean, ends = ratio(mine, theirs)
        middle = [statistics.median(x) * scale for x in (mine, theirs)]
        digits = 0 if unit == "MiB" else 2
        interval = f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else ""
        print(f"| {name}, {unit} | {middle[0]:.{digits}f} | {middle[1]:.{digits}f} | {mean:.2f} | {interval} |")
        low, high = ends or (None, None)
        tests.append({"name": name, "unit": unit, "quintile": middle[0], "llama_cpp": middle[1], "ratio": mean, "low": low, "high": high})
        if unit == "t/s":
            bars.append((name, unit, *middle, f"{mean:.2f} x"))
    if args.text:
        mine, theirs = perplexity(programs, args)
        print(f"| perplexity of {Path(args.text).name} | {mine:.4f} | {theirs:.4f} | {mine / theirs:.4f} | |")
    if args.svg:
        draw(args.svg, title, bars)
    if args.json:
        write(args, tests)


if __name__ == "__main__":
    main()
