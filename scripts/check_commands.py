#!/usr/bin/env python3
"""Checks the commands that README.md and docs/ show: `scripts/check_commands.py [PROGRAM]`.

What stands in a block of sh, and inline code that begins with quintile, cargo or scripts/. Those of `quintile` that README's
blocks show are run, in a folder where its files are tiny ones; of the others, options are looked for in
the command's help. Of cargo, the targets and features must exist, and of scripts the file, in a language that it
parses in. PROGRAM is target/debug/quintile where not given, as `cargo test` leaves it. Needs nothing but Python.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "data" / "tiny"
# Seconds that a command may take.
LIMIT = 120


def commands(path):
    """Line numbers and commands of a file, and whether they stand in a block."""
    block = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            block = line[3:].strip() if block is None else None
        elif block == "sh":
            for command in re.split(r";|&&", re.sub(r"\s+#\s.*", "", line)):
                if command.strip():
                    yield number, command.strip(), True
        elif block is None:
            for code in re.findall(r"`([^`]+)`", line):
                if re.match(r"(quintile|cargo|scripts/)\S* \S", code) or re.fullmatch(r"scripts/[\w.-]+", code):
                    for command in re.split(r";|&&", code):
                        yield number, command.strip(), False


def folder_of_models(folder):
    """The files that README's commands name, as small as they can be."""
    shutil.copy(TINY / "llama-linear.gguf", folder / "model.gguf")
    words = "the and in on " * 400
    for name in ["prompt.txt", "text.txt"]:
        (folder / name).write_text(words[: 40 if name == "prompt.txt" else None])
    subprocess.run([PROGRAM, "quantize", "model.gguf", "model-f16.gguf", "f16"], cwd=folder, capture_output=True, check=True)


def run(words):
    """What is wrong with a command of quintile, if anything, by running it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder_of_models(folder)
        if words[1] == "quantize":
            (folder / "model.gguf").unlink()
        try:
            done = subprocess.run([PROGRAM, *words[1:]], cwd=folder, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return f"takes more than {LIMIT} s"
    return f"exit code {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else None


def options(words):
    """Options that the command does not have."""
    done = subprocess.run([PROGRAM, words[1], "--help"], capture_output=True, text=True)
    if done.returncode:
        return f"there is no `{' '.join(words[:2])}`"
    known = set(re.findall(r"(?<![\w-])--?[\w-]+", done.stdout))
    unknown = [word for word in words[2:] if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    return f"has no {' '.join(unknown)}" if unknown else None


def cargo(words, package):
    """Targets and features that the package lacks."""
    for flag, kind in [("--bench", "bench"), ("--example", "example"), ("--test", "test"), ("--bin", "bin"), ("--features", "")]:
        for at in [i for i, word in enumerate(words[:-1]) if word == flag]:
            for name in words[at + 1].split(","):
                known = package["features"] if not kind else [t["name"] for t in package["targets"] if kind in t["kind"]]
                if name not in known:
                    return f"there is no {kind or 'feature'} {name}"
    return None


def script(path):
    """What is wrong with a script."""
    if not os.access(path, os.X_OK):
        return "is no program of this repository"
    if path.suffix == ".sh":
        done = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
        return done.stderr.strip() or None
    try:
        compile(path.read_text(), str(path), "exec")
    except SyntaxError as error:
        return str(error)
    return None


def check(command, in_block, packages, where):
    words = shlex.split(command)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if not words or "…" in command or ".." in words:
        return None
    if words[0] == "cd":
        return None if (ROOT / words[1]).is_dir() else "there is no such folder"
    if words[0] == "quintile" and len(words) > 1:
        return run(words) if in_block else options(words)
    if words[0] == "cargo":
        return cargo(words, packages[where])
    path = words[1] if words[0] == "python3" else words[0]
    return script(ROOT / path) if path.startswith("scripts/") else None


def main():
    metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    packages = {}
    for folder in ["", "benches/peers", "benches/pictures", "fuzz"]:
        text = subprocess.run(metadata, cwd=ROOT / folder, capture_output=True, text=True, check=True).stdout
        packages[folder] = json.loads(text)["packages"][0]
    wrong, count = 0, 0
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        line, where = 0, ""
        for number, command, in_block in commands(path):
            # A line begins at the root.
            where, line = (where if number == line else ""), number
            problem = check(command, in_block and path.name == "README.md", packages, where)
            count += 1
            if command.startswith("cd "):
                where = command[3:].strip()
            if problem:
                wrong += 1
                print(f"{path.relative_to(ROOT)}:{number}: `{command}`: {problem}")
    print(f"{count} commands, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target" / "debug" / "quintile").resolve())
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f"{PROGRAM}: no such program; cargo build makes it")
    main()
