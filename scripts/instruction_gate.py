#!/usr/bin/env python3
"""Counts instructions of the kernels under Valgrind and compares them with benches/instructions.json.

    scripts/instruction_gate.py           fails where a count is more than 1% above the committed one, or a row dot's
                                          by as much as an instruction for each of its blocks
    scripts/instruction_gate.py --write   writes the counts of this build

Counts are exact for one compiler: the file names the compiler that they belong to, and under another the
gate only prints. Needs Valgrind, and iai-callgrind-runner of the version in Cargo.lock on PATH or named by
IAI_CALLGRIND_RUNNER.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "benches" / "instructions.json"
TOLERANCE = 0.01
# Row dots, but the definition, call nothing, so that their counts are the same everywhere: of 16 super-blocks, or 128 blocks of 32.
ROW_DOTS, BLOCKS = ("qdot ", "qdot4 ", "qdot_exact "), 16


def compiler():
    return subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def count():
    """Instructions by benchmark, from the JSON that the runner prints."""
    command = ["cargo", "bench", "--features", "iai", "--bench", "instructions", "--", "--output-format=json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{run.stdout}\n{run.stderr}")
    counts = {}
    decoder, text = json.JSONDecoder(), run.stdout
    at = text.find("{")
    while at >= 0:
        summary, end = decoder.raw_decode(text, at)
        counts[f"{summary['function_name']} {summary['id']}"] = instructions(summary)
        at = text.find("{", end)
    return dict(sorted(counts.items()))


def instructions(summary):
    """The newest instruction count (`Ir`) in a summary."""
    found = []

    def walk(node):
        if isinstance(node, dict):
            if isinstance(node.get("Ir"), dict):
                found.append(node["Ir"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(summary)
    # {"Left": {"Int": new}}, or {"Both": [{"Int": new}, {"Int": old}]} where an older run is known.
    metrics = found[-1]["metrics"]
    new = metrics["Left"] if "Left" in metrics else metrics["Both"][0]
    return int(new["Int"])


def main():
    counts = count()
    if not counts:
        sys.exit("no benchmark was counted")
    if "--write" in sys.argv[1:]:
        COMMITTED.write_text(json.dumps({"compiler": compiler(), "instructions": counts}, indent=1) + "\n")
    committed = json.loads(COMMITTED.read_text())
    same_compiler = committed["compiler"] == compiler()
    worse = []
    for name, old in committed["instructions"].items():
        new = counts.get(name)
        if new is None:
            print(f"{name}: not measured any more")
            worse.append(name)
            continue
        change = new / old - 1
        per_block = name.startswith(ROW_DOTS) and not name.endswith("scalar") and new - old >= BLOCKS
        mark = "WORSE" if change > TOLERANCE or per_block else ""
        worse += [name] if mark else []
        print(f"{name:40} {old:9} -> {new:9} {change:+8.2%} {mark}")
    for name in counts.keys() - committed["instructions"].keys():
        print(f"{name}: not committed")
        worse.append(name)
    if not same_compiler:
        print(f"compiler {compiler()}, counts of {committed['compiler']}: not compared")
        return
    if worse:
        sys.exit(
            f"more than {TOLERANCE:.0%} above the committed count, an instruction more for each block, or missing: {', '.join(worse)}.\n"
            "If that is meant, say why in the commit, and write the new counts: scripts/instruction_gate.py --write"
        )


if __name__ == "__main__":
    main()
