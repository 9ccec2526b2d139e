#!/usr/bin/env python3
"""Cycles of the loops of the kernels with wide vectors, beside those at AVX2, as llvm-mca models some CPUs.

    scripts/mca_x86_64.py                            each kernel with wide vectors and the one that it replaces
    scripts/mca_x86_64.py --match 'attention::avx512' the innermost loops of other functions
    scripts/mca_x86_64.py --cpu znver4               other models
    scripts/mca_x86_64.py --object FILE              of another object file or program

Builds the library without features, disassembles the object and gives the hot loop of each function to llvm-mca: the longest of its
loops that hold no other. A figure is the cycles for 256 values, or of matrices for 256 products; the model knows no caches
and no lines that loads cross. Prints a table in Markdown. Without llvm-mca nothing is measured, which is said; exit code 0.

What the models of LLVM 19 say is not always what the CPUs do. That of Zen 4, which stands for Zen 5 as well, lets a broadcast from
memory take a shuffle if EVEX encodes it and not if VEX does, and a dot product two cycles of whatever width: broadcasts are
taken for loads here, and dot products for FMAs of the same width, as fast on Zen 5. Sapphire Rapids has one port for FMAs of 512 bits
in its model, the CPU two; so has the model of Cascade Lake, of four instructions a cycle.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from mca_aarch64 import MODELS, ROOT, TURNS, tool

CPUS = "znver4,sapphirerapids,cascadelake"

# What a turn of a loop is counted in: products of floats or of bytes, each lane of an instruction one, or floats that are stored.
FLOATS = r"vfn?m(?:add|sub)\w+ps\s+([xyz])mm"
BYTES = r"(?:vpmaddubsw|vpdpbusd)\s+([xyz])mm"
STORES = r"vmovup[sd]\s+([xyz])mmword ptr"
PER_WIDTH = {FLOATS: 4, STORES: 4, BYTES: 16}

SUPER_BLOCKS = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K"]
BLOCKS_OF_32 = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]


def block(name):
    """A format's type."""
    return "Block" + name.replace("_K", "K")


def pairs():
    """What is compared: a name, and of both siblings the function and what a turn of its loop takes, a number or how it is counted.
    A pair is of a function and an instruction that the loop has."""
    yield "f32 dot", r"dot::avx2::dot_f32$", 64, r"dot::avx512::dot_f32$", 64
    for name in BLOCKS_OF_32 + SUPER_BLOCKS:
        kind = "super_blocks" if name in SUPER_BLOCKS else "blocks_of_32"
        assembled = name in ["Q4_K", "Q5_K", "Q6_K"]
        before = f"quintile_{name.lower()}_dot_avx2" if assembled else rf"qdot::avx2::{kind}::{name}::x1$"
        after = rf"qdot::avx512vnni::{kind}::{name}::x1$"
        yield f"{name} row dot", before, 512 if assembled else 256, after, 1024 if name in SUPER_BLOCKS else 256
    for name in ["Q4_K", "Q6_K", "Q2_K", "Q3_K"]:
        # At AVX2 those of Q3_K and Q6_K are the same instructions, which the compiler keeps once, under either name.
        same = "(?:BlockQ3K|BlockQ6K)" if name in ["Q3_K", "Q6_K"] else block(name)
        micros = rf"gemm::avx2::micro::add::<.*{same}, 6>$", rf"gemm::avx512vnni::micro::add::<.*{block(name)}, 6>$"
        yield f"{name} matrix", micros[0], BYTES, micros[1], BYTES
    yield "f32 matrix", r"sgemm::avx2::micro::<6, false>$", FLOATS, r"sgemm::avx512::micro::<14, false>$", FLOATS
    yield "f32 matrix, pulp", r"v3.*sgemm::generic::Micro<16>>>$", FLOATS, r"v4.*sgemm::generic::Micro<32>>>$", FLOATS
    for of in ["dequantize", "qdot_exact"]:
        count = STORES if of == "dequantize" else 0
        for name in BLOCKS_OF_32 + SUPER_BLOCKS:
            row = f"row_{256 if name in SUPER_BLOCKS else 32}::<.*{block(name)}>$"
            unit = count or (256 if name in SUPER_BLOCKS else 64)
            yield f"{name}, {of}", rf"{of}::avx2::{row}", unit, rf"{of}::avx512::{row}", unit
    # Compiled into the function that chooses the format, and told by what widens.
    for name, widens in [("f16", "vcvtph2ps"), ("bf16", "vpmovzxwd|vpshufb")]:
        functions = [(rf"dequantize::avx{width}::(?:dequantize|{name})$", widens) for width in (2, 512)]
        yield f"{name}, dequantize", functions[0], STORES, functions[1], STORES
    for name in ["exp_all", "silu_mul", "gelu_mul", "scale_by", "add"]:
        yield name, rf"elementwise::avx2::{name}$", STORES, rf"elementwise::avx512::{name}$", STORES


def build():
    """The object file of the library, whose names have their parameters."""
    command = ["cargo", "rustc", "--release", "--lib", "--no-default-features", "--", "--emit", "obj", "-Csymbol-mangling-version=v0"]
    subprocess.run(command, cwd=ROOT, check=True)
    listed = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, capture_output=True, check=True)
    folder = Path(re.search(r'"target_directory":"([^"]+)"', listed.stdout.decode()).group(1))
    return max((folder / "release/deps").glob("quintile-*.o"), key=lambda path: path.stat().st_mtime)


def functions(objdump, path):
    """Names and instructions, with addresses."""
    command = [objdump, "-d", "--no-show-raw-insn", "--demangle", "--x86-asm-syntax=intel", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            found.append((re.sub(r"::h[0-9a-f]{16}$|_v\d[\w.]*$", "", head.group(1)), []))
        elif found and (code := re.match(r"\s*([0-9a-f]+):\s+(\S.*)", line)):
            found[-1][1].append((int(code.group(1), 16), re.sub(r"\s*(<.*>|#.*)", "", code.group(2)).strip()))
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
    if cpu.startswith("znver"):
        body = [re.sub(r"^v(?:broadcastss|pbroadcastd)(\s+)([xyz])(mm\d+), dword ptr", r"vmovups\1\2\3, \2mmword ptr", line) for line in body]
        body = [re.sub(r"^vpdp(?:busd|wssd)\b", "vfmadd231ps", line) for line in body]
    command = [mca, "-mtriple=x86_64", "-x86-asm-syntax=intel", f"-mcpu={cpu}", f"-iterations={TURNS}"]
    text = ".intel_syntax noprefix\n" + "\n".join(body)
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        return None
    return int(re.search(r"Total Cycles:\s+(\d+)", done.stdout).group(1)) / TURNS


def turn(lines, unit):
    """Values or products of a turn."""
    if isinstance(unit, int):
        return unit
    widths = [re.match(unit, line) for line in lines]
    return sum(PER_WIDTH[unit] * {"x": 1, "y": 2, "z": 4}[width.group(1)] for width in widths if width)


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
    cpus = options.cpu.split(",")
    code = functions(objdump, options.object or build())

    def hot(function):
        """The hot loop of the function of this name: the one with most vector instructions."""
        function, has = function if isinstance(function, tuple) else (function, "")
        loops = [loop for name, lines in code if re.search(function, name) for loop in innermost(lines)]
        loops = [loop for loop in loops if any(re.search(has, line) for line in loop)]
        return max(loops, key=lambda loop: (sum(bool(re.search("[yz]mm", line)) for line in loop), len(loop)), default=None)

    print(f"llvm-mca {version}\n\n| loop | instructions | {' | '.join(cpus)} |\n|---|---:|{'---:|' * len(cpus)}")
    if options.match:
        for name, lines in sorted(code):
            if re.search(options.match, name) and (loop := max(innermost(lines), key=len, default=None)):
                figures = ["not modelled" if f is None else f"{f:.1f}" for f in (measure(mca, loop, cpu) for cpu in cpus)]
                print(f"| {name} | {len(loop)} | {' | '.join(figures)} |", flush=True)
        return
    for label, before, before_unit, after, after_unit in pairs():
        loops = [(hot(before), before_unit), (hot(after), after_unit)]
        if any(loop is None for loop, _ in loops):
            print(f"no loop of {label}", file=sys.stderr)
            continue
        scales = [256 / turn(loop, unit) for loop, unit in loops]
        counts = ", ".join(f"{len(loop) * scale:.0f}" for (loop, _), scale in zip(loops, scales))
        cells = []
        for cpu in cpus:
            both = [measure(mca, loop, cpu) for loop, _ in loops]
            if None in both:
                cells.append("not modelled")
                continue
            a, b = (cycles * scale for cycles, scale in zip(both, scales))
            cells.append(f"{a:.1f}, {b:.1f}: {b / a:.2f}")
        print(f"| {label} | {counts} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
