#!/usr/bin/env python3
"""Cycles of the loops of the kernels with wide vectors, as llvm-mca models some CPUs.

    scripts/mca_x86_64.py                            the row dots and the f32 dot, at AVX2 and with wider vectors
    scripts/mca_x86_64.py --match 'attention::avx512' the innermost loops of other functions
    scripts/mca_x86_64.py --cpu znver4               other models
    scripts/mca_x86_64.py --object FILE              of another object file or program

Builds the library without features, disassembles the object and gives the hot loop of each function to llvm-mca: the longest of its
loops that hold no other, unless the name says more. A figure is the cycles of one turn. The model knows no caches
and no lines that loads cross. Prints a table in Markdown. Without llvm-mca nothing is measured, which is said; exit code 0.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from mca_aarch64 import MODELS, ROOT, TURNS, tool

CPUS = "znver4,sapphirerapids"
# Functions, and the values that one turn of their hot loop takes: of super-blocks, at AVX2 one, with VNNI four.
HOT = {
    r"dot::avx2::dot_f32$": 64,
    r"dot::avx512::dot_f32$": 64,
    r"qdot::avx2::super_blocks::Q[2-8]_K::x1$": 256,
    r"qdot::avx2::blocks_of_32::Q[458]_[01]::x1$": 256,
    r"qdot::avx512vnni::super_blocks::Q[2-8]_K::x1$": 1024,
    r"qdot::avx512vnni::blocks_of_32::Q[458]_[01]::x1$": 256,
}
ASSEMBLY = {r"quintile_q[456]_k_dot_avx2": 512}


def build():
    """The object file of the library."""
    command = ["cargo", "rustc", "--release", "--lib", "--no-default-features", "--", "--emit", "obj"]
    subprocess.run(command, cwd=ROOT, check=True)
    listed = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, capture_output=True, check=True)
    folder = Path(re.search(r'"target_directory":"([^"]+)"', listed.stdout.decode()).group(1))
    return max((folder / "release/deps").glob("quintile-*.o"), key=lambda path: path.stat().st_mtime)


def functions(objdump, path):
    """Names and instructions, with addresses."""
    command = [objdump, "-d", "--no-show-raw-insn", "--demangle", "--x86-asm-syntax=intel", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, current = {}, None
    for line in text.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            current = found.setdefault(re.sub(r"::h[0-9a-f]{16}$", "", head.group(1)), [])
        elif current is not None and (code := re.match(r"\s*([0-9a-f]+):\s+(\S.*)", line)):
            current.append((int(code.group(1), 16), re.sub(r"\s*(<.*>|#.*)", "", code.group(2)).strip()))
    return found


def innermost(code):
    """The instructions from a label to a branch back to it, where no other such branch is between."""
    at = {address: i for i, (address, _) in enumerate(code)}
    last = -1
    for end, (_, line) in enumerate(code):
        branch = re.match(r"j\w+\s+0x([0-9a-f]+)$", line)
        start = at.get(int(branch.group(1), 16)) if branch else None
        if start is not None and last < start <= end:
            yield [line for _, line in code[start:end]]
            last = end


def measure(mca, lines, cpu):
    """Cycles of a turn."""
    body = [line for line in lines if not line.startswith(("j", "endbr"))]
    command = [mca, "-mtriple=x86_64", "-x86-asm-syntax=intel", f"-mcpu={cpu}", f"-iterations={TURNS}"]
    text = ".intel_syntax noprefix\n" + "\n".join(body)
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        return None
    return int(re.search(r"Total Cycles:\s+(\d+)", done.stdout).group(1)) / TURNS


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--match", metavar="REGEX", help="functions by their name, a turn as it is")
    parser.add_argument("--cpu", default=CPUS, metavar="A,B", help=f"llvm's names; default {CPUS}")
    parser.add_argument("--object", type=Path, metavar="FILE", help="an object file that is there already")
    options = parser.parse_args()

    (version, mca), (_, objdump) = tool("llvm-mca"), tool("llvm-objdump")
    if version < MODELS:
        print(f"NOT RUN: no llvm-mca of LLVM {MODELS} or later here (Debian: llvm-19)", file=sys.stderr)
        return
    wanted = {options.match: None} if options.match else {**HOT, **ASSEMBLY}
    cpus = options.cpu.split(",")
    print(f"llvm-mca {version}, cycles for 256 values\n\n| loop | instructions | {' | '.join(cpus)} |\n|---|---:|{'---:|' * len(cpus)}")
    for name, code in sorted(functions(objdump, options.object or build()).items()):
        values = next((values or 256 for regex, values in wanted.items() if re.search(regex, name)), None)
        loops = list(innermost(code))
        if values is None or not loops:
            continue
        hot = max(loops, key=len)
        figures = [measure(mca, hot, cpu) for cpu in cpus]
        scaled = ["not modelled" if f is None else f"{f * 256 / values:.1f}" for f in figures]
        short = re.sub(r"^.*kernels::|::x1$|^quintile_|_v\d.*$", "", name)
        print(f"| {short} | {len(hot) * 256 / values:.0f} | {' | '.join(scaled)} |", flush=True)


if __name__ == "__main__":
    main()
