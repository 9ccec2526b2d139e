#!/usr/bin/env python3
"""Lists every unsafe block and impl of the project, each with the reason that it is sound; exit code 1 if one has none.

    scripts/unsafe_blocks.py             # all of them
    scripts/unsafe_blocks.py --summary   # how many, by folder

The reason is the `SAFETY:` comment above the block's statement, or at the end of its line. That it belongs to the statement is what clippy's
`undocumented_unsafe_blocks` checks, which the project denies; this shows the words. Functions that are unsafe say in `# Safety` what their
callers promise (`missing_safety_doc`).
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"\bunsafe\s*(\{|impl\b|extern\b.*\{)")
# Lines that may lie between a reason and its block: those of one statement.
REACH = 14


def sources():
    listed = subprocess.run(["git", "ls-files", "*.rs"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(name) for name in listed.stdout.split()]


def reason(lines, at):
    """The words behind `SAFETY:`, of the comment that is nearest above."""
    for i in range(at, max(-1, at - REACH), -1):
        if found := re.search(r"//\s*SAFETY:\s*(.*)", lines[i]):
            words = [found.group(1)]
            for line in lines[i + 1 : at]:
                if not (more := re.match(r"\s*//\s?(.*)", line)):
                    break
                words.append(more.group(1))
            return " ".join(words)
    return None


def blocks(path):
    """Line numbers, and reasons, of the unsafe blocks of a file."""
    lines = (ROOT / path).read_text().splitlines()
    for at, line in enumerate(lines):
        code = line.split("//")[0]
        if not BLOCK.search(code) or "unsafe extern" in code:
            # What is declared `unsafe extern` is promised where it is called.
            continue
        yield at + 1, reason(lines, at)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--summary", action="store_true", help="how many, by folder")
    options = parser.parse_args()

    counts, without = Counter(), []
    for path in sources():
        for line, words in blocks(path):
            counts["/".join(path.parts[:3][: len(path.parts) - 1])] += 1
            if words is None:
                without.append(f"{path}:{line}")
            if not options.summary:
                print(f"{path}:{line}: {words or 'NO REASON'}")
    if options.summary:
        for folder, count in sorted(counts.items()):
            print(f"{count:5}  {folder}")
    print(f"{counts.total()} unsafe blocks, {len(without)} without a reason", file=sys.stderr)
    if without:
        sys.exit("\n".join(["no SAFETY comment:", *without]))


if __name__ == "__main__":
    main()
