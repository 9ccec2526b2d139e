#!/usr/bin/env python3
"""Changes one operation of a SIMD kernel at a time, and tells which changes no test notices.

    scripts/mutate_kernels.py --list             every mutant, by number
    scripts/mutate_kernels.py --sample 50        fifty of them, always the same
    scripts/mutate_kernels.py --only q5_k        those whose file or line has that in it
    scripts/mutate_kernels.py                    all: hours
    scripts/mutate_kernels.py --patch            those of x86-64's assembly files, without building: some seconds each
    scripts/mutate_kernels.py --target aarch64-unknown-linux-gnu
                                                 those of aarch64, under qemu: see scripts/aarch64.sh for what that needs

A mutant changes a number (a shift count, a lane or an element, a mask, an offset, a tail's bound), a sign
(addition for subtraction), a comparison, the order of the halves or elements of a register, or takes a
neighbouring element of a table, in one place of a generic.rs, avx2 or neon file or of an assembly file. Each is
built in a copy of the tree and runs tests/siblings, then, if nobody has noticed, tests/abi. A mutant is caught
where a test fails, crashes or runs out of time; one that does not compile is none.

With --patch, the tests are built once, and llvm-mc assembles the files as the crate does: the bytes of a mutant take the place
of the unchanged ones in a copy of the test's program. A mutant that moves a function is judged only without --patch. Files for
AVX-512 are left out where the CPU lacks it.

Prints a table in Markdown, then mutants by file. Exit code 1 if a mutant survived that EQUIVALENT does not explain.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from mca_aarch64 import tool

ROOT = Path(__file__).resolve().parent.parent
KERNELS = {
    "x86_64": ("src/kernels/*/avx2.rs", "src/kernels/*/avx2/*.rs", "src/kernels/*/generic.rs", "src/kernels/portable.rs",
               "src/kernels/attention/blocked.rs", "src/kernels/sgemm/loops.rs", "src/kernels/sgemm/pack.rs", "asm/x86_64/*.S"),
    "aarch64": ("src/kernels/*/neon.rs", "src/kernels/*/neon/*.rs", "asm/aarch64/*.S"),
}
STAGES = (
    # std: without it, nobody tells what an aarch64 CPU has.
    ("siblings", ["--no-default-features", "--features", "std", "--test", "siblings"]),
    ("abi", ["--no-default-features", "--features", "driver", "--test", "abi"]),
)

ODD = "where the number of super-blocks is odd, nothing reads what is at the place of the second"

# Mutants that compute the same: a part of the file's name, a part of the mutated line, and why.
EQUIVALENT = (
    ("x86_64", "    FRAME       ", "the stack pointer is rounded down to a multiple of 64 next"),
    ("dot_exact", ".set EXACT_FRAME", "the stack pointer is rounded down to a multiple of 64 next"),
    ("dot_exact", ".set EXACT_BYTES", "the bytes lie elsewhere in the frame"),
    ("super_blocks", "    K_SCALES    1", ODD),
    ("super_blocks", "    K_MINS      1", ODD),
    ("super_blocks", "    K_TERMS     1, 0", ODD),
    ("super_blocks", "    K_TERMS     0, 1", ODD),
    ("super_blocks", "    \\terms      0, 1", ODD),
    ("super_blocks", "    \\terms      1, 0", ODD),
    ("super_blocks_16.S", "    S_CHAIN     1, \\mins", "of an odd number, both are the same; elsewhere it is caught"),
    ("super_blocks.S", "vpmovsxbw   ymm10, xmm10", "minimums of six bits have no sign"),
    ("blocks_of_32.S", ".fill 8, 4, -2", "a blend looks at the sign alone"),
    ("blocks_of_32.S", ".fill 8, 4, 1", "a blend looks at the sign alone"),
    ("dot/generic.rs", "17 => self", "no register of 16 lanes without a feature of pulp; any width may use the definition"),
    ("dot/generic.rs", "<S, 5>", "no register of 16 lanes without a feature of pulp"),
    ("dot/generic.rs", "9 => self", "any width may use the definition"),
    ("dot/generic.rs", "5 => self", "any width may use the definition"),
    ("super_blocks.rs", "($sums(w, [x]), x.d[1], acc)", "the scales of activations for super-blocks are all the same"),
    ("super_blocks.rs", "let scales = _mm256_broadcastsi128_si256(_mm_cvtepi8_epi16(bytes));", "scales of six bits have no sign"),
    ("qdot/generic.rs", "* x.d[1]", "the scales of activations for super-blocks are all the same"),
    ("qdot/generic.rs", "5 | WORDS", "any width may use the definition"),
    ("qdot/generic.rs", "WORDS: usize = 9", "any width may use the definition"),
    ("qdot/generic.rs", "out[n] = lanes[1]", "all lanes are the same"),
    ("qdot/generic.rs", "let mut lanes = [1; WORDS]", "all lanes are written, in registers of eight"),
    ("qdot/generic.rs", "self.scales[2 * j + 1]]), [1; 8])", "the format has no minimums"),
    ("quantize/avx2.rs", "_mm256_extract_epi32::<1>(sums)", "after two additions with itself, all of a half are the same"),
    ("quantize/avx2.rs", "_mm256_extract_epi32::<5>(sums)", "after two additions with itself, all of a half are the same"),
    ("dot/avx2.rs", "a.len().max(b.len())", "the lengths are the same"),
    ("quantize_weights/avx2.rs", "_mm256_min_ps(self.0, other.0)", "no NaN comes here, and the sign of a zero is lost where quants become integers"),
    ("quantize_weights/avx2.rs", "_mm256_max_ps(self.0, other.0)", "no NaN comes here, and the sign of a zero is lost where quants become integers"),
    ("aarch64/macros.S", "hint        #35", "a hint: what it says is for CPUs that check landing places"),
    ("dot_f32_avx2.S", "cmp         edx, 9", "eight elements by a mask of all lanes, not by a whole register"),
)

# Pairs that stand for each other in names of instructions and intrinsics.
OPPOSITES = (
    ("sign", "_add_", "_sub_"),
    ("sign", "_sub_", "_add_"),
    ("sign", "_hadd_", "_hsub_"),
    ("sign", "add_f32s", "sub_f32s"),
    ("sign", "sub_f32s", "add_f32s"),
    ("sign", "vpaddd ", "vpsubd "),
    ("sign", "vaddps ", "vsubps "),
    ("sign", "vaddss ", "vsubss "),
    ("sign", "vphaddd ", "vphsubd "),
    ("sign", "_fmadd_", "_fnmadd_"),
    ("sign", "_fnmadd_", "_fmadd_"),
    ("sign", "vfmadd231", "vfnmadd231"),
    ("sign", "vfnmadd231", "vfmadd231"),
    ("sign", " + ", " - "),
    ("sign", " - ", " + "),
    ("lanes", "_movehl_", "_movelh_"),
    ("lanes", "_movehdup_", "_moveldup_"),
    ("lanes", "_unpackhi_", "_unpacklo_"),
    ("lanes", "vmovhlps ", "vmovlhps "),
    ("lanes", "vmovshdup ", "vmovsldup "),
    ("lanes", "vpunpckhbw ", "vpunpcklbw "),
    ("lanes", "vpunpckldq ", "vpunpckhdq "),
    ("lanes", "vpunpcklqdq ", "vpunpckhqdq "),
    ("shift", "_slli_", "_srli_"),
    ("shift", "_srli_", "_slli_"),
    ("shift", "vpsrlw ", "vpsllw "),
    ("operation", "_sign_epi8", "_max_epi8"),
    ("operation", "_max_epi32", "_min_epi32"),
    ("operation", "_cvtepu8_", "_cvtepi8_"),
    ("operation", "_cvtepi8_", "_cvtepu8_"),
    ("operation", "_or_", "_and_"),
    ("operation", "_xor_", "_or_"),
    ("operation", "_andnot_", "_and_"),
    ("operation", "_min_ps", "_max_ps"),
    ("operation", "_max_ps", "_min_ps"),
    ("operation", "_div_ps", "_mul_ps"),
    ("order", "(other.0, self.0", "(self.0, other.0"),
    ("bound", "_CMP_GT_OQ", "_CMP_GE_OQ"),
    ("operation", "vpor ", "vpand "),
    ("operation", "vpmovzxbw ", "vpmovsxbw "),
    # What only tests/abi can see.
    ("convention", "vzeroupper", "nop"),
    ("convention", "pop         rbp", "pop         rax"),
    ("tail", "vmaskmovps  ymm8, ymm11, ", "vmovups     ymm8, "),
    ("tail", "vmaskmovps  ymm9, ymm11, ", "vmovups     ymm9, "),
    # aarch64.
    ("sign", "vaddq_", "vsubq_"),
    ("sign", "vsubq_", "vaddq_"),
    ("sign", "vfmaq_", "vfmsq_"),
    ("sign", "fmla ", "fmls "),
    ("sign", "fmls ", "fmla "),
    ("sign", "fmadd ", "fmsub "),
    ("sign", "fadd ", "fsub "),
    ("sign", "smlal ", "smlsl "),
    ("sign", "smlsl ", "smlal "),
    ("sign", "mla ", "mls "),
    ("lanes", "zip1 ", "zip2 "),
    ("lanes", "zip2 ", "zip1 "),
    ("lanes", "trn1 ", "trn2 "),
    ("lanes", "trn2 ", "trn1 "),
    ("lanes", "uzp1 ", "uzp2 "),
    ("operation", "bit ", "bif "),
    ("operation", "addp ", "add "),
    ("operation", "sshll ", "ushll "),
    ("operation", "eor ", "orr "),
    ("shift", "vshrq_n_u8", "vshlq_n_u8"),
    ("shift", "rshrn ", "shrn "),
    ("shift", "ushr ", "shl "),
    ("shift", "sri ", "sli "),
    ("bound", "b.hs ", "b.hi "),
    ("bound", "b.lo ", "b.ls "),
    ("bound", "b.eq ", "b.ne "),
    ("bound", "cbz ", "cbnz "),
    ("convention", "ldp         d8, d9", "ldp         d9, d8"),
    ("convention", "ldr         d12", "ldr         d16"),
    ("bound", " < ", " <= "),
    ("bound", " > ", " >= "),
    ("bound", "jb ", "jbe "),
    ("bound", "jae ", "ja "),
    ("bound", "je ", "jne "),
    ("bound", "saturating_sub(", "saturating_add("),
    ("bound", ".min(", ".max("),
)


def code_lines(path, text):
    """The lines that compute, with their numbers; without comments, attributes, imports and bounds."""
    for number, line in enumerate(text.splitlines()):
        code = line.split("//")[0].rstrip()
        bare = code.strip()
        skip = ("#", "use ", "pub use", ".macro", ".endm", ".irp", ".endr", ".rept", ".p2align", ".cfi", ".text", ".arch_extension")
        if not bare or bare.startswith(skip) or "assert" in bare or bare.startswith(("impl", "trait")):
            continue
        if path.endswith(".rs") and re.match(r"(pub(\(\w+\))? )?(unsafe )?(fn|type|struct) ", bare):
            continue
        yield number, code


def changed_number(text):
    """Another number of the same kind, near it."""
    digits = text.replace("_", "")
    if digits[:2] in ("0x", "0b"):
        value = int(digits, 0) ^ 1
        width = len(digits) - 2
        return f"0x{value:0{width}x}" if digits[1] == "x" else f"0b{value:0{width}b}"
    # 129 selects the same as 128 in a table of bytes: nothing.
    return "127" if digits == "128" else str(int(digits) + 1)


def mutants_of_line(code):
    """Pairs of what is changed, and the changed line."""
    for kind, old, new in OPPOSITES:
        for match in re.finditer(re.escape(old), code):
            # Offsets of addresses are numbers: their signs are not changed.
            if kind == "sign" and old in (" + ", " - ") and "[" in code[: match.start()].rsplit("]", 1)[-1]:
                continue
            yield kind, code[: match.start()] + new + code[match.end() :]
    # A number stands alone, or behind a sign: names, types and registers hold none of these.
    for match in re.finditer(r"(?<![\w.])(0x[0-9a-f_]+|0b[01_]+|\d+)(?:_?[uif]\d+)?(?![\w.]|\s*[:]$)", code):
        number = match.group(1)
        if re.search(r"(epi|f32s|lane|;\s*)$", code[: match.start()]) and "]" in code[match.end() :][:2]:
            continue  # the length of an array type
        label = re.match(r"\s*(j\w+\s+)?$", code[: match.start()]) and re.match(r"[fb:]", code[match.end() :])
        if label:
            continue
        yield "number", code[: match.start(1)] + changed_number(number) + code[match.end(1) :]
    # A list of lanes or bytes: its first two different elements change places.
    listed = re.search(r"(?:setr_\w+\(|\.byte |\.long |^\s*)((?:\d+, ?){4,}\d+)", code)
    if listed:
        items = listed.group(1).replace(" ", "").split(",")
        at = next((i for i in range(1, len(items)) if items[i] != items[0]), None)
        if at:
            items[0], items[at] = items[at], items[0]
            yield "lanes", code[: listed.start(1)] + ", ".join(items) + code[listed.end(1) :]


def all_mutants(arch):
    """Every mutant of an architecture, in the order of files and lines: (file, line number, kind, before, after)."""
    paths = sorted({p.relative_to(ROOT).as_posix() for pattern in KERNELS[arch] for p in ROOT.glob(pattern)})
    for path in paths:
        for number, code in code_lines(path, (ROOT / path).read_text()):
            seen = {code}
            for kind, after in mutants_of_line(code):
                if after not in seen:
                    seen.add(after)
                    yield path, number, kind, code, after


def sample(mutants, count):
    """`count` of them that look random and are always the same, whatever is added elsewhere."""
    digest = lambda m: hashlib.sha256("\0".join([m[0], m[3], m[4]]).encode()).digest()
    chosen = set(map(id, sorted(mutants, key=digest)[:count]))
    return [m for m in mutants if id(m) in chosen]


def copy_tree(to):
    """The files of the working tree that git knows or would take, except large data."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    names = {n for n in names if (ROOT / n).is_file() and not n.startswith(("tests/data/", "docs/", "fuzz/"))}
    for stale in [p for p in to.rglob("*") if p.is_file() and p.relative_to(to).as_posix() not in names]:
        stale.unlink()
    for name in names - {""}:
        data = (ROOT / name).read_bytes()
        # What differs gets a new time, whatever time it had: cargo must see that a mutant of the last run is gone.
        # What is the same keeps its time, and is not built again.
        if not (to / name).is_file() or (to / name).read_bytes() != data:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes(data)
            shutil.copymode(ROOT / name, to / name)


class Tests:
    """Builds and runs the tests in the copy."""

    def __init__(self, tree, target, cases, triple):
        self.tree = tree
        self.target = ["--target", triple] if triple else []
        self.environment = os.environ | {
            "CARGO_TARGET_DIR": str(target),
            "CARGO_PROFILE_DEV_DEBUG": "0",
            "CARGO_TERM_COLOR": "never",
            "QUINTILE_CASES": str(cases),
        }
        if triple:
            # As in scripts/aarch64.sh.
            name = f"CARGO_TARGET_{triple.upper().replace('-', '_')}"
            self.environment.setdefault(f"{name}_LINKER", "aarch64-linux-gnu-gcc")
            self.environment.setdefault(f"{name}_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu")
            self.environment.setdefault("QEMU_CPU", "max")
        self.limit = {name: 600.0 for name, _ in STAGES}

    def cargo(self, arguments, limit):
        """The exit code, or None where the time ran out; with the output."""
        command = ["cargo", "test", "--quiet", "--locked", *self.target, *arguments]
        process = subprocess.Popen(
            command, cwd=self.tree, env=self.environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        try:
            output, _ = process.communicate(timeout=limit)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            # The group that was started for it: cargo and the test.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, ""

    def stage(self, name, arguments):
        """`passes`, `no mutant`, or how it was caught."""
        code, output = self.cargo([*arguments, "--no-run"], 900)
        if code != 0:
            return "no mutant", output
        code, output = self.cargo(arguments, self.limit[name])
        if code == 0:
            return "passes", output
        if code is None:
            return f"caught: {name} hangs", output
        failed = re.findall(r"^    ([\w:]+)$", output, re.M)
        crashed = re.search(r"SIG\w+", output)
        count = len(set(failed))
        how = f"{count} failed" if failed else crashed.group() if crashed else "failed"
        return f"caught: {name} {how}", output

    def baseline(self):
        """Everything passes unchanged; a mutant gets ten times as long."""
        for name, arguments in STAGES:
            self.cargo([*arguments, "--no-run"], 1800)
            start = time.monotonic()
            result, output = self.stage(name, arguments)
            if result != "passes":
                sys.exit(f"the tests do not pass unchanged:\n{output}")
            self.limit[name] = 20 + 10 * (time.monotonic() - start)

    def judge(self):
        for name, arguments in STAGES:
            result, _ = self.stage(name, arguments)
            if result != "passes":
                return result
        return "SURVIVED"


# Tests of tests/siblings that call what a file of assembly defines: a part of its name, and parts of theirs.
SIBLINGS = (
    ("gemm_", ["gemm::a_product_equals", "gemm::a_product_at_any_edge"]),
    ("gemv", ["gemm::rows_times"]),
    ("dot_f32", ["dot::dot_f32"]),
    ("super_blocks", ["qdot::", "gemm::rows_times"]),
    ("_dot_", ["qdot::", "gemm::rows_times"]),
    ("blocks_of_32", ["qdot::"]),
    ("", ["dot", "gemm::"]),
)


class Patched:
    """Tests whose assembled functions are replaced in their programs."""

    # What src/kernels/assembly.rs puts before the files, for ELF.
    OPENING = """.intel_syntax noprefix
.text
.macro OPEN_SYMBOL name
.globl \\name
\\name\\():
.endm
.macro CLOSE_SYMBOL name
.endm
"""

    def __init__(self, work, cases):
        self.work = work
        work.mkdir(parents=True, exist_ok=True)
        self.tools = {name: tool(name)[1] for name in ("llvm-mc", "llvm-objcopy", "llvm-nm")}
        if None in self.tools.values():
            sys.exit("NOT RUN: no llvm-mc, llvm-objcopy and llvm-nm here (Debian: llvm-19)")
        listed = (ROOT / "src/kernels/assembly.rs").read_text()
        names = re.findall(r'include_str!\("../../(asm/x86_64/\w+\.S)"\)', listed)
        self.files = {name: (ROOT / name).read_text() for name in names}
        self.bytes, self.symbols = self.assemble(self.files)
        self.environment = os.environ | {"QUINTILE_CASES": str(cases)}
        self.programs = []
        for name in ("siblings", "abi"):
            program = self.build(name)
            data = program.read_bytes()
            at = data.find(self.bytes[:64])
            # Alignment is filled with other instructions that do nothing.
            same = sum(a == b for a, b in zip(self.bytes, data[at:]))
            if at < 0 or same < 0.95 * len(self.bytes):
                sys.exit(f"{program} does not hold what llvm-mc makes of the files")
            copy = work / name
            copy.write_bytes(data)
            copy.chmod(0o755)
            start = time.monotonic()
            result = self.run_with(self.bytes, (name, copy, at, 600.0), "")
            if result != "passes":
                sys.exit(f"{name} does not pass unchanged: {result}")
            self.programs.append((name, copy, at, 20 + 10 * (time.monotonic() - start)))

    def build(self, name):
        """The program of a test."""
        command = ["cargo", "test", "--release", "--locked", "--test", name, "--no-run", "--message-format=json"]
        lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.splitlines()
        messages = (json.loads(line) for line in lines)
        return next(Path(m["executable"]) for m in messages if m.get("executable") and m["target"]["name"] == name)

    def assemble(self, files):
        """The bytes, and where each function is in them; None where it is no assembly."""
        source, unit, flat = (self.work / f"mutant.{suffix}" for suffix in ("S", "o", "bin"))
        source.write_text(self.OPENING + "".join(files.values()))
        command = [self.tools["llvm-mc"], "-triple=x86_64-linux-gnu", "-filetype=obj", source, "-o", unit]
        if subprocess.run(command, capture_output=True).returncode:
            return None
        subprocess.run([self.tools["llvm-objcopy"], "-O", "binary", "--only-section=.text", unit, flat], check=True)
        names = subprocess.run([self.tools["llvm-nm"], "--extern-only", unit], capture_output=True, check=True).stdout
        return flat.read_bytes(), names

    def run_with(self, code, test, path):
        """`passes`, or how what `code` does was noticed."""
        name, program, at, limit = test
        filters = next(tests for part, tests in SIBLINGS if part in path) if name == "siblings" else []
        with program.open("r+b") as file:
            file.seek(at)
            file.write(code)
        command = [program, "--test-threads=2", *filters, "--skip", "sgemm"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"caught: {name} hangs"
        if process.returncode == 0:
            return "passes"
        if process.returncode < 0:
            return f"caught: {name} {signal.Signals(-process.returncode).name}"
        return f"caught: {name} {len(set(re.findall(r'^    ([^ ]+)$', output, re.M)))} failed"

    def judge(self, path, lines):
        assembled = self.assemble(self.files | {path: lines})
        if assembled is None:
            return "no mutant"
        code, symbols = assembled
        if len(code) != len(self.bytes) or symbols != self.symbols:
            return "moves a function"
        if code == self.bytes:
            return "no mutant: the same bytes"
        for test in self.programs:
            result = self.run_with(code, test, path)
            if result != "passes":
                return result
        return "SURVIVED"


def explain(path, after):
    return next((why for file, part, why in EQUIVALENT if file in path and part in after), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants, always the same")
    parser.add_argument("--only", metavar="TEXT", help="only mutants with this in the file's name or the line")
    parser.add_argument("--list", action="store_true", help="print the mutants and do nothing")
    parser.add_argument("--cases", type=int, default=5, metavar="PERCENT", help="QUINTILE_CASES (default 5)")
    parser.add_argument("--patch", action="store_true", help="only assembly of x86-64, put into the built tests")
    parser.add_argument("--target", metavar="TRIPLE", help="mutants of another architecture's files, run for it")
    parser.add_argument("--work", type=Path, default=ROOT / "target/mutants", metavar="FOLDER",
                        help="where the copy and what is built of it go")
    options = parser.parse_args()

    arch = (options.target or platform.machine()).split("-")[0]
    if arch not in KERNELS:
        sys.exit(f"no kernels for {arch}")
    mutants = list(all_mutants(arch))
    if options.only:
        mutants = [m for m in mutants if options.only in m[0] or options.only in m[3]]
    if options.patch:
        wide = "avx512" in Path("/proc/cpuinfo").read_text()
        mutants = [m for m in mutants if m[0].endswith(".S") and (wide or "avx512" not in m[0])]
    if options.sample is not None:
        mutants = sample(mutants, options.sample)
    if options.list:
        for path, number, kind, before, after in mutants:
            print(f"{path}:{number + 1}: {kind}: {before.strip()}  ->  {after.strip()}")
        print(f"{len(mutants)} mutants")
        return
    if not mutants:
        sys.exit("no mutant has that")

    if options.patch:
        judge = Patched(options.work / "patched", options.cases).judge
    else:
        tree = options.work / "tree"
        copy_tree(tree)
        tests = Tests(tree, options.work / "target", options.cases, options.target)
        tests.baseline()

        def judge(path, text):
            (tree / path).write_text(text)
            result = tests.judge()
            (tree / path).write_text((ROOT / path).read_text())
            return result

    print("| place | change | mutant | result |\n|---|---|---|---|", flush=True)
    results, files = Counter(), defaultdict(Counter)
    for path, number, kind, _, after in mutants:
        lines = (ROOT / path).read_text().splitlines()
        lines[number] = after
        result = judge(path, "\n".join(lines) + "\n")
        if result == "SURVIVED" and (why := explain(path, after)):
            result = f"equivalent: {why}"
        results[result.split(":")[0]] += 1
        files[path][result.split(":")[0]] += 1
        shown = after.strip().replace("|", "\\|")
        print(f"| {path}:{number + 1} | {kind} | `{shown}` | {result} |", flush=True)
    names = sorted(results)
    print(f"\n| file | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for path, counts in files.items():
        print(f"| `{path}` | {' | '.join(str(counts[name]) for name in names)} |")
    print("\n" + ", ".join(f"{results[name]} {name}" for name in names))
    sys.exit(1 if results["SURVIVED"] else 0)


if __name__ == "__main__":
    main()
