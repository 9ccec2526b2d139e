#!/usr/bin/env python3
"""The twenty places that held most memory at once: `scripts/dhat_top.py FILE`, as DHAT wrote it.

A place is told by the first function of its stack that is this crate's; of no such, by the first that is not an allocator's.
"""

import json
import re
import sys
from collections import Counter

ALLOCATORS = re.compile(r"alloc|malloc|realloc|RawVec|raw_vec|exchange|vec::|slice::|iter::|boxed|\?\?\?")


def name(frame):
    """A frame without its address and file."""
    return re.sub(r" \([^()]*\)$", "", frame.split(": ", 1)[-1])


def place(stack):
    names = [name(frame) for frame in stack]
    own = [n for n in names if "quintile::" in n and not n.startswith("<alloc") and not n.startswith("alloc::")]
    others = [n for n in names if not ALLOCATORS.search(n)]
    return (own or others or names or ["unknown"])[0]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    profile = json.load(open(sys.argv[1]))
    frames, peak, blocks = profile["ftbl"], Counter(), Counter()
    for point in profile["pps"]:
        where = place([frames[at] for at in point["fs"]])
        peak[where] += point.get("gb", 0)
        blocks[where] += point["tbk"]
    print(f"{'at the peak':>14} {'allocations':>12}")
    for where, size in peak.most_common(20):
        if size:
            print(f"{size:14,} {blocks[where]:12,}  {where}")


if __name__ == "__main__":
    main()
