#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["gguf==0.19.0", "numpy==2.4.6"]
# ///
"""Makes reference vectors of the storage formats, for tests/formats.rs.

    python3 -m venv venv
    venv/bin/pip install gguf==0.19.0 numpy==2.4.6
    venv/bin/python scripts/make_vectors.py            # writes tests/data/vectors
    venv/bin/python scripts/make_vectors.py --check    # compares, writes nothing

A vector is NAME.blocks.bin, the bytes of whole blocks, and NAME.f32.bin, the values that the
package `gguf` dequantises them to (little-endian f32; every NaN is written as 0x7fc00000). Q8_K,
which `gguf` does not know, is the product of scale and quants by numpy. index.json lists them.

Two kinds are made here:

    TYPE_random_bits   every bit of the integer fields is random, the scales are gaussian: all
                       positions of all bit fields, and integers that no quantiser would choose
    TYPE_edges         scales of zero, subnormal, largest, infinite and NaN, of either sign, each
                       with integer fields of all zeros, all ones and random bits

The other entries of index.json come from published models; they are kept as they are.
"""

import argparse
import json
import sys
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

PINNED = {"gguf": "0.19.0", "numpy": "2.4.6"}
VECTORS = Path(__file__).resolve().parent.parent / "tests" / "data" / "vectors"

# The fields of a block: floats are scales and minimums, bytes hold packed integers.
LAYOUTS = {
    "Q4_0": [("d", "<f2"), ("qs", "u1", 16)],
    "Q4_1": [("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)],
    "Q5_0": [("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)],
    "Q5_1": [("d", "<f2"), ("m", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)],
    "Q8_0": [("d", "<f2"), ("qs", "u1", 32)],
    "Q2_K": [("scales", "u1", 16), ("qs", "u1", 64), ("d", "<f2"), ("dmin", "<f2")],
    "Q3_K": [("hmask", "u1", 32), ("qs", "u1", 64), ("scales", "u1", 12), ("d", "<f2")],
    "Q4_K": [("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qs", "u1", 128)],
    "Q5_K": [("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qh", "u1", 32),
             ("qs", "u1", 128)],
    "Q6_K": [("ql", "u1", 128), ("qh", "u1", 64), ("scales", "u1", 16), ("d", "<f2")],
    "Q8_K": [("d", "<f4"), ("qs", "u1", 256), ("bsums", "u1", 32)],
}

# Blocks in a vector of random bits: more for Q2_K and Q3_K, which have no vector from a model.
# That of Q5_K came from elsewhere.
RANDOM_BLOCKS = {
    "Q4_0": 64, "Q4_1": 64, "Q5_0": 64, "Q5_1": 64, "Q8_0": 64,
    "Q2_K": 32, "Q3_K": 32, "Q4_K": 8, "Q6_K": 8, "Q8_K": 8,
}  # fmt: skip

# Zeros; subnormals: the smallest, the largest; the smallest normal; 1, -1, a third; the largest;
# infinities; a quiet and a signalling NaN.
F16_EDGES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x3555,
             0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0x7C01]  # fmt: skip
BF16_EDGES = [0x0000, 0x8000, 0x0001, 0x8001, 0x007F, 0x807F, 0x0080, 0x3F80, 0xBF80, 0x3EAB,
              0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7FC0, 0x7F81]  # fmt: skip
F32_EDGES = [0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000,
             0x3F800000, 0xBF800000, 0x3EAAAAAB, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000,
             0x7FC00000, 0x7F800001]  # fmt: skip
EDGES = {
    "<f2": np.array(F16_EDGES, "<u2").view("<f2"),
    "<f4": np.array(F32_EDGES, "<u4").view("<f4"),
}


def generator(name):
    """Random numbers of one vector, which no other vector's presence changes."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def random_bits(type_name, name, count):
    """Blocks whose integer fields are random bits and whose scales are gaussian."""
    rng = generator(name)
    blocks = np.zeros(count, np.dtype(LAYOUTS[type_name]))
    for field in blocks.dtype.names:
        column = blocks[field]
        if column.dtype.kind == "f":
            blocks[field] = 0.05 * rng.standard_normal(count)
        else:
            blocks[field] = rng.integers(0, 256, column.shape, "u1")
    if type_name == "Q8_K":
        sums = blocks["qs"].view("i1").reshape(count, 16, 16).sum(axis=2, dtype="<i2")
        blocks["bsums"] = sums.view("u1")
    return blocks


def edges(type_name, name):
    """Blocks of every edge-case scale with each of three patterns of integers."""
    rng = generator(name)
    scales = len(F32_EDGES)
    blocks = np.zeros((3, scales), np.dtype(LAYOUTS[type_name]))
    turn = 0
    for (field, kind, *_) in LAYOUTS[type_name]:
        column = blocks[field]
        if column.dtype.kind == "f":
            # The minimums are turned against the scales, by another angle for each pattern.
            for pattern in range(3):
                column[pattern] = np.roll(EDGES[kind], turn * 5 * (pattern - 1))
            turn += 1
        else:
            column[1] = 0xFF
            column[2] = rng.integers(0, 256, column[2].shape, "u1")
    return blocks.reshape(-1)


def values(type_name, data):
    """The f32 values of whole blocks, by the reference."""
    with np.errstate(invalid="ignore", over="ignore"):
        if type_name == "Q8_K":
            blocks = data.view(np.dtype(LAYOUTS["Q8_K"]))
            out = blocks["d"][:, None] * blocks["qs"].view("i1").astype("<f4")
        else:
            out = dequantize(data.reshape(1, -1), GGMLQuantizationType[type_name])
    out = np.array(out, "<f4").reshape(-1)
    out.view("<u4")[np.isnan(out)] = 0x7FC00000
    return out


def vectors():
    """Yields the name, the type, the bytes and the description of each vector."""
    for type_name, count in RANDOM_BLOCKS.items():
        name = f"{type_name.lower()}_random_bits"
        source = "uniform random bits in all integer fields; gaussian scales, sigma 0.05"
        yield name, type_name, random_bits(type_name, name, count), source
    for type_name in LAYOUTS:
        name = f"{type_name.lower()}_edges"
        source = "16 edge-case scales with integer fields of zeros, of ones and of random bits"
        yield name, type_name, edges(type_name, name), source
    plain = (("F16", F16_EDGES, "<u2"), ("BF16", BF16_EDGES, "<u2"), ("F32", F32_EDGES, "<u4"))
    for type_name, bits, word in plain:
        source = "zeros, subnormals, a smallest normal, 1, -1, a third, the largest, infinities, NaNs"
        yield f"{type_name.lower()}_edges", type_name, np.array(bits, word), source


def main():
    parser = argparse.ArgumentParser(description="Makes reference vectors of the storage formats.")
    parser.add_argument("--check", action="store_true", help="compare with the files; write nothing")
    check = parser.parse_args().check
    for package, pinned in PINNED.items():
        if version(package) != pinned:
            sys.exit(f"make_vectors: {package} {version(package)} is installed, expected {pinned}")

    index_file = VECTORS / "index.json"
    made = {}
    files = {}
    for name, type_name, blocks, source in vectors():
        data = blocks.view("u1").reshape(-1)
        out = values(type_name, data)
        if type_name in LAYOUTS:
            block_len, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[type_name]]
            assert blocks.dtype.itemsize == block_bytes, (type_name, blocks.dtype.itemsize)
            assert out.size == blocks.size * block_len, (type_name, out.size)
        files[f"{name}.blocks.bin"] = data.tobytes()
        files[f"{name}.f32.bin"] = out.tobytes()
        made[name] = dict(name=name, type=type_name, values=out.size, bytes=data.size, source=source)
    kept = [entry for entry in json.loads(index_file.read_text()) if entry["name"] not in made]
    index = json.dumps(kept + list(made.values()), indent=1) + "\n"
    files[index_file.name] = index.encode()

    for file, content in files.items():
        path = VECTORS / file
        if not check:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            sys.exit(f"make_vectors: {path} differs from what this script makes")
    print(f"{len(made)} vectors {'agree' if check else 'written'}, {len(kept)} kept")


if __name__ == "__main__":
    main()
