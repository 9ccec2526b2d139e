#!/usr/bin/env python3
"""Cycles of the loops of the kernels for aarch64, as llvm-mca models three CPUs.

    scripts/mca_aarch64.py                                   the assembly: the hot loop of each function, and whole
                                                             calls of the micro-kernels of matrices
    scripts/mca_aarch64.py --match 'qdot::neon::DOTPROD::x1' every loop of 20 instructions or more of what is compiled
    scripts/mca_aarch64.py --cpu cortex-a72,cortex-a53       other models
    scripts/mca_aarch64.py --object FILE                     of another object file, say a peer's

Builds the library for aarch64 without features, disassembles the object and gives each loop to llvm-mca. A figure is the
cycles of one turn; behind it stands what the busiest unit is taken for. A turn is 256 values (64 of dot_f32); of two
rows times two columns, 4 * 256 products. Loops inside a loop are counted once: of nested loops only the innermost means
anything.

Of a micro-kernel (eight rows, six columns), a figure is the cycles of a super-block: of a whole call, its loops unrolled, as calls follow
one another; with blocks of 32, a call is 6 super-blocks (rows of 1536). Behind it stand the products of a cycle, and what share of the
time `sdot` or `smmla` alone would take. Beside it, the products of a cycle of the row dots of a format of that kind.

Prints tables in Markdown. Without llvm-mca or the target nothing is measured, which is said; exit code 0.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "aarch64-unknown-linux-gnu"
FEATURES = "+dotprod,+i8mm,+sve"
CPUS = "neoverse-n1,neoverse-v1,apple-m1"
TURNS = 200
# Turns of the loops of a micro-kernel, the outer one first; how many super-blocks a call is; how often it is measured; and of the row
# dots of a format, what is compared with it.
TILE = (8,), 1, 50
TILE_OF_BLOCKS = (8, 6), 6, 8
ROW_DOTS = {"mins_32": "q5_k", "scales_16": "q6_k", "blocks": "q8_0"}
# The first LLVM whose models of these CPUs are their own; before, they are taken for a Cortex-A57.
MODELS = 17


def tool(name):
    """The newest of an LLVM tool, with or without a version in its name; and its version."""
    found = []
    for path in filter(None, map(shutil.which, [name, *(f"{name}-{v}" for v in range(MODELS, 40))])):
        told = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
        found.append((int(re.search(r"version (\d+)", told).group(1)), path))
    return max(found, default=(0, None))


def build():
    """The object file of the library, or None where the target is not installed."""
    command = ["cargo", "rustc", "--release", "--lib", "--no-default-features", "--target", TARGET]
    # A crate that is up to date is not built again, and has its object from then.
    done = subprocess.run([*command, "--", "--emit", "obj"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return None
    listed = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, capture_output=True, check=True)
    folder = Path(re.search(r'"target_directory":"([^"]+)"', listed.stdout.decode()).group(1))
    objects = (folder / TARGET / "release/deps").glob("quintile-*.o")
    return max(objects, key=lambda path: path.stat().st_mtime)


def functions(objdump, path):
    """Names and instructions, with addresses."""
    command = [objdump, "-d", "--no-show-raw-insn", "--demangle", f"--mattr={FEATURES}", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, current = {}, None
    for line in text.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            current = found.setdefault(head.group(1), [])
        elif current is not None and (code := re.match(r"\s*([0-9a-f]+):\s+(\S.*)", line)):
            bare = re.sub(r"\s*(<.*>|//.*)", "", code.group(2)).strip()
            current.append((int(code.group(1), 16), bare))
    return found


def loops(code):
    """The instructions from a label to a branch back to it."""
    at = {address: i for i, (address, _) in enumerate(code)}
    for end, (_, line) in enumerate(code):
        branch = re.match(r"(?:b|b\.\w+|cbn?z|tbn?z)\s+.*?0x([0-9a-f]+)$", line)
        start = at.get(int(branch.group(1), 16)) if branch else None
        if start is not None and start < end:
            yield [re.sub(r"0x[0-9a-f]+$", ".Ltop", line) if i == end else line for i, (_, line) in enumerate(code[: end + 1])][start:]


def unrolled(code, turns):
    """The instructions of a call, in the order of execution: each loop is taken as often as `turns` says of its depth."""
    at = {address: i for i, (address, _) in enumerate(code)}
    ends = {}
    for i, (_, line) in enumerate(code):
        branch = re.match(r"b\.\w+\s+0x([0-9a-f]+)$", line)
        if branch and (start := at.get(int(branch.group(1), 16), i)) < i:
            ends[start] = i

    def run(first, last, depth):
        i = first
        while i <= last:
            end = ends.get(i)
            # The loop that is run already begins here as well.
            if end is not None and (i, end) != (first, last):
                for _ in range(turns[depth]):
                    yield from run(i, end, depth + 1)
                i = end + 1
            else:
                yield code[i][1]
                i += 1

    return list(run(0, len(code) - 1, 0))


def forward(lines):
    """The lines, with branches out of the loop as branches to a label."""
    return [re.sub(r"^(b|b\.\w+|cbn?z|tbn?z)(\s.*?)0x[0-9a-f]+$", r"\1\2.Lout", line) for line in lines]


def modelled(mca, lines, cpu, turns):
    """Cycles of a turn, and what llvm-mca says; None where it does not know the CPU or an instruction."""
    command = [mca, "-mtriple=aarch64", f"-mcpu={cpu}", f"-mattr={FEATURES}", f"-iterations={turns}"]
    done = subprocess.run(command, input="\n".join(forward(lines)), capture_output=True, text=True)
    if done.returncode:
        return None, None
    return int(re.search(r"Total Cycles:\s+(\d+)", done.stdout).group(1)) / turns, done.stdout


def measure(mca, lines, cpu):
    """Cycles of a turn, and the pressure on the busiest unit."""
    cycles, told = modelled(mca, lines, cpu, TURNS)
    if cycles is None:
        return "not modelled"
    names = re.findall(r"^\[[\d.]+\]\s+- (\S+)", told, re.M)
    pressure = told.split("Resource pressure per iteration:\n")[1].splitlines()[1].split()
    busy = max((float(p), name) for p, name in zip(pressure, names) if p != "-")
    return f"{cycles:.1f} ({re.sub('^.*Unit', '', busy[1])} {busy[0]:.1f})"


def measure_tile(mca, code, kind, cpu):
    """Cycles of a super-block of eight rows and six columns, its products a cycle, and the share that multiplying has."""
    turns, blocks, times = TILE_OF_BLOCKS if kind.startswith("blocks") else TILE
    lines = unrolled(code, turns)
    cycles, _ = modelled(mca, lines, cpu, times)
    least, _ = modelled(mca, [line for line in lines if re.match("sdot|smmla", line)], cpu, times)
    if cycles is None or least is None:
        return "not modelled"
    return f"{cycles / blocks:.0f} ({8 * 6 * 256 * blocks / cycles:.1f}, {least / cycles:.0%})"


def measure_row_dot(mca, code, products, cpu):
    """Products a cycle of the hot loop of a row dot."""
    cycles, _ = modelled(mca, next(loops(code)), cpu, TURNS)
    return "not modelled" if cycles is None else f"{products / cycles:.1f}"


def tiles(mca, found, cpus):
    """The table of the micro-kernels."""
    print(f"\n| micro-kernel, 8 x 6 | {' | '.join(cpus)} | row dots: {' | '.join(cpus)} |\n|---|{'---:|' * 2 * len(cpus)}")
    for name, code in found.items():
        if not (tile := re.match(r"gemm_(\w+)_8x6_(\w+)", name)):
            continue
        kind, extension = tile.groups()
        figures = [measure_tile(mca, code, kind, cpu) for cpu in cpus]
        dot = f"{ROW_DOTS.get(kind)}_dot{'_dotprod' if extension == 'dotprod' else '2x2_i8mm'}"
        products = 256 if extension == "dotprod" else 4 * 256
        dots = [measure_row_dot(mca, found[dot], products, cpu) if dot in found else "" for cpu in cpus]
        print(f"| {kind} {extension} | {' | '.join(figures)} | {' | '.join(dots)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--match", metavar="REGEX", help="functions by their name; default: the assembly")
    parser.add_argument("--cpu", default=CPUS, metavar="A,B", help=f"llvm's names; default {CPUS}")
    parser.add_argument("--object", type=Path, metavar="FILE", help="an object file that is there already")
    options = parser.parse_args()

    (version, mca), (_, objdump) = tool("llvm-mca"), tool("llvm-objdump")
    if version < MODELS:
        print(f"NOT RUN: no llvm-mca of LLVM {MODELS} or later here (Debian: llvm-19)", file=sys.stderr)
        return
    path = options.object or build()
    if not path:
        print(f"NOT RUN: the library cannot be built for {TARGET} here", file=sys.stderr)
        return
    cpus = options.cpu.split(",")
    print(f"llvm-mca {version}\n\n| loop | instructions | {' | '.join(cpus)} |\n|---|---:|{'---:|' * len(cpus)}")
    found = sorted(functions(objdump, path).items())
    for name, code in found:
        assembly = re.match(r"quintile_(\w+?)_v\d", name)
        if not (re.search(options.match, name) if options.match else assembly):
            continue
        chosen = [loop for loop in loops(code) if len(loop) >= 20]
        if assembly:
            # The hot loop comes first, before that of the last blocks.
            name, chosen = assembly.group(1), list(loops(code))[:1]
            if name.startswith("gemm_"):
                continue
        for loop in chosen:
            figures = [measure(mca, loop, cpu) for cpu in cpus]
            print(f"| {name} | {len(loop)} | {' | '.join(figures)} |", flush=True)
    if not options.match:
        assembly = [(re.match(r"quintile_(\w+?)_v\d", name), code) for name, code in found]
        tiles(mca, {name.group(1): code for name, code in assembly if name}, cpus)


if __name__ == "__main__":
    main()
