#!/usr/bin/env python3
"""Draws docs/kernels.svg from the last `cargo bench --bench kernels`: time of each kernel at each ISA level.

    cargo bench --bench kernels -- '/(scalar|generic|avx2|avx2-asm)/(L1|per 256)$' && scripts/chart.py
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = {
    "dot_f32": ("f32 dot", "L1"),
    "qdot_q4_k": ("Q4_K row dot", "L1"),
    "qdot_q5_k": ("Q5_K row dot", "L1"),
    "qdot_q6_k": ("Q6_K row dot", "L1"),
    "qdot_q8_0": ("Q8_0 row dot", "L1"),
    "qdot_q4_0": ("Q4_0 row dot", "L1"),
    "quantize": ("quantise", "per 256"),
}
LEVELS = {"scalar": "#9aa5b1", "generic": "#7fb3d5", "avx2": "#1f618d", "avx2-asm": "#117a65"}
# Generic pulp kernels exist for these; elsewhere the level runs the definition.
GENERIC = {"dot_f32", "qdot_q4_k", "qdot_q5_k", "qdot_q6_k"}
ASSEMBLY = {"dot_f32", "qdot_q4_k", "qdot_q5_k", "qdot_q6_k"}
VALUES = 4096
WIDTH, LEFT, BAR, GAP = 760, 130, 14, 14


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = info.get("model name", "unknown CPU")
    return f"{name}, family {info['cpu family']} model {info['model']}" if "cpu family" in info else name


def nanoseconds(operation, level, size):
    path = ROOT / "target" / "criterion" / operation / level / size / "new" / "estimates.json"
    return json.loads(path.read_text())["median"]["point_estimate"] if path.exists() else None


def main():
    groups = []
    for operation, (label, size) in OPERATIONS.items():
        bars = []
        for level in LEVELS:
            if (level == "generic" and operation not in GENERIC) or (
                level == "avx2-asm" and operation not in ASSEMBLY
            ):
                continue
            time = nanoseconds(operation, level, size)
            if time is not None:
                bars.append((level, time * 32 / VALUES))
        if bars:
            groups.append((label, bars))
    if not groups:
        raise SystemExit("no results under target/criterion: run cargo bench --bench kernels first")

    # A logarithmic axis: the levels are up to a hundred times apart.
    import math

    low, high = 0.5, max(t for _, bars in groups for _, t in bars) * 1.3
    scale = (WIDTH - LEFT - 90) / math.log(high / low)
    parts, y = [], 64
    for label, bars in groups:
        middle = y + len(bars) * BAR / 2 + 4
        parts.append(f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{label}</text>')
        for level, time in bars:
            width = max(1, scale * math.log(max(time, low * 1.01) / low))
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR - 2}" fill="{LEVELS[level]}"/>'
                f'<text x="{LEFT + width + 6:.0f}" y="{y + BAR - 4}" class="n">{time:.2f} ns  {level}</text>'
            )
            y += BAR
        y += GAP
    title = f"Nanoseconds per 32 values, rows of {VALUES} in the first-level cache (log scale; shorter is faster)"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 6}" font-family="sans-serif" '
        f'font-size="13"><style>.n{{font-size:11px;fill:#333}}</style>'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="12" y="24" font-size="14">{title}</text>'
        f'<text x="12" y="44" class="n">{cpu()}, one core; every level returns the same bits</text>'
        + "".join(parts)
        + "</svg>\n"
    )
    (ROOT / "docs" / "kernels.svg").write_text(svg)


if __name__ == "__main__":
    main()
