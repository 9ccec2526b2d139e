#!/usr/bin/env python3
"""Makes the reference vectors that no real model gives: Q2_K, Q3_K and Q8_K blocks of random bits.

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy==2.4.6
    venv/bin/python scripts/make_vectors.py

Every integer field is uniform random bits; the f16 scales are Gaussian. The values are those of the `gguf`
package (for Q8_K, which it lacks, `d * q` in f32). Writes NAME.blocks.bin and NAME.f32.bin under
tests/data/vectors, and adds the entries to index.json there.
"""

import json
from pathlib import Path

import gguf
import numpy as np

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "vectors"
BLOCKS = 64


def main():
    random = np.random.default_rng(20)

    def bits(n):
        return random.integers(0, 256, (BLOCKS, n), dtype=np.uint8)

    def scale():
        return random.normal(0, 0.05, (BLOCKS, 1)).astype("<f2").view(np.uint8)

    # Fields in their order in the block.
    q2_k = np.concatenate([bits(16), bits(64), scale(), scale()], axis=1)
    q3_k = np.concatenate([bits(32), bits(64), bits(12), scale()], axis=1)
    d = random.normal(0, 0.05, (BLOCKS, 1)).astype("<f4")
    quants = bits(256).view(np.int8)
    sums = quants.reshape(BLOCKS, 16, 16).astype(np.int16).sum(axis=2).astype("<i2")
    q8_k = np.concatenate([d.view(np.uint8), quants.view(np.uint8), sums.view(np.uint8)], axis=1)

    types = gguf.GGMLQuantizationType
    made = {
        "q2_k_random_bits": ("Q2_K", q2_k, gguf.quants.dequantize(q2_k, types.Q2_K)),
        "q3_k_random_bits": ("Q3_K", q3_k, gguf.quants.dequantize(q3_k, types.Q3_K)),
        "q8_k_random_bits": ("Q8_K", q8_k, d * quants.astype(np.float32)),
    }
    index = [e for e in json.loads((OUT / "index.json").read_text()) if e["name"] not in made]
    for name, (kind, blocks, values) in made.items():
        blocks.tofile(OUT / f"{name}.blocks.bin")
        values.astype("<f4").tofile(OUT / f"{name}.f32.bin")
        index.append(
            {
                "name": name,
                "type": kind,
                "values": int(values.size),
                "bytes": int(blocks.size),
                "source": "uniform random bits in the integer fields; Gaussian scales",
            }
        )
    (OUT / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
