#!/usr/bin/env python3
"""Writes a GGUF file of a model's shape with random weights: to time a model that is not at hand.

    scripts/make_shape.py 14b.gguf                     # 48 layers, 5120 wide: 10.5 GB in a minute or three
    scripts/make_shape.py 7b.gguf --layers 28 --width 3584 --ffn 18944 --heads 28 --kv-heads 4
    quintile bench -m 14b.gguf -p 64 -n 16 -r 3

The defaults are those of Qwen2.5-14B in the mixture Q5_K_M: Q5_K, and Q6_K in the output and in half of the layers'
`attn_v` and `ffn_down`. Blocks are random bits with sane scales (values of about 0.02), drawn once and repeated from random
places. There is no tokenizer: the file is for `bench`. Needs nothing but Python.
"""

import argparse
import random
import struct

ALIGNMENT = 32
F32, Q5_K, Q6_K = 0, 13, 14
BLOCK_BYTES = {Q5_K: 176, Q6_K: 210}
POOL_BLOCKS = 1 << 16
U32, FLOAT, STRING = 4, 6, 8


def pool(kind, rng):
    """Random blocks whose scales make values of about 0.02."""
    size = BLOCK_BYTES[kind]
    blocks = bytearray(rng.randbytes(size * POOL_BLOCKS))
    for at in range(0, len(blocks), size):
        if kind == Q5_K:
            # d * scale * quant - dmin * min: scales and minimums of about 32, quants of 15.5 at the middle.
            blocks[at : at + 4] = struct.pack("<ee", 7e-5, 15.5 * 7e-5)
        else:
            for i in range(at + 192, at + 208):
                blocks[i] = (blocks[i] % 64 - 32) & 0xFF
            blocks[at + 208 : at + 210] = struct.pack("<e", 6.5e-5)
    return bytes(blocks)


def more_bits(i, n):
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def tensors(o):
    """Names, formats and shapes, the length of a row first."""
    head = o.width // o.heads
    kv = o.kv_heads * head
    yield "token_embd.weight", Q5_K, (o.width, o.vocab)
    for i in range(o.layers):
        better = Q6_K if more_bits(i, o.layers) else Q5_K
        for name, kind, shape in [
            ("attn_norm.weight", F32, (o.width,)),
            ("attn_q.weight", Q5_K, (o.width, o.width)),
            ("attn_k.weight", Q5_K, (o.width, kv)),
            ("attn_v.weight", better, (o.width, kv)),
            ("attn_q.bias", F32, (o.width,)),
            ("attn_k.bias", F32, (kv,)),
            ("attn_v.bias", F32, (kv,)),
            ("attn_output.weight", Q5_K, (o.width, o.width)),
            ("ffn_norm.weight", F32, (o.width,)),
            ("ffn_gate.weight", Q5_K, (o.width, o.ffn)),
            ("ffn_up.weight", Q5_K, (o.width, o.ffn)),
            ("ffn_down.weight", better, (o.ffn, o.width)),
        ]:
            yield f"blk.{i}.{name}", kind, shape
    yield "output_norm.weight", F32, (o.width,)
    yield "output.weight", Q6_K, (o.width, o.vocab)


def size_of(kind, shape):
    count = 1
    for n in shape:
        count *= n
    return 4 * count if kind == F32 else count // 256 * BLOCK_BYTES[kind]


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def pad(n):
    return -n % ALIGNMENT


def header(o, infos):
    keys = [
        ("general.architecture", STRING, "qwen2"),
        ("general.name", STRING, f"random weights, {o.layers} layers of {o.width}"),
        ("qwen2.block_count", U32, o.layers),
        ("qwen2.context_length", U32, 32768),
        ("qwen2.embedding_length", U32, o.width),
        ("qwen2.feed_forward_length", U32, o.ffn),
        ("qwen2.attention.head_count", U32, o.heads),
        ("qwen2.attention.head_count_kv", U32, o.kv_heads),
        ("qwen2.attention.layer_norm_rms_epsilon", FLOAT, 1e-6),
        ("qwen2.rope.freq_base", FLOAT, 1e6),
        ("qwen2.vocab_size", U32, o.vocab),
    ]
    out = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(keys))
    for key, kind, value in keys:
        out += string(key) + struct.pack("<I", kind)
        out += string(value) if kind == STRING else struct.pack({U32: "<I", FLOAT: "<f"}[kind], value)
    offset = 0
    for name, kind, shape in infos:
        out += string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        out += struct.pack("<IQ", kind, offset)
        size = size_of(kind, shape)
        offset += size + pad(size)
    return out + bytes(pad(len(out)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, default=48)
    parser.add_argument("--width", type=int, default=5120)
    parser.add_argument("--ffn", type=int, default=13824)
    parser.add_argument("--heads", type=int, default=40)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--vocab", type=int, default=152064)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    for name in ("width", "ffn"):
        if getattr(o, name) % 256:
            parser.error(f"--{name} must be a multiple of 256")
    if o.width % o.heads or o.heads % o.kv_heads:
        parser.error("--heads must divide --width, and --kv-heads --heads")

    rng = random.Random(o.seed)
    pools = {kind: pool(kind, rng) for kind in BLOCK_BYTES}
    infos = list(tensors(o))
    with open(o.out, "wb") as file:
        file.write(header(o, infos))
        for _, kind, shape in infos:
            size = size_of(kind, shape)
            if kind == F32:
                file.write(struct.pack("<f", 1.0) * (size // 4))
            left = size if kind != F32 else 0
            while left:
                blocks = pools[kind]
                start = rng.randrange(POOL_BLOCKS) * BLOCK_BYTES[kind]
                part = memoryview(blocks)[start : start + left]
                file.write(part)
                left -= len(part)
            file.write(bytes(pad(size)))


if __name__ == "__main__":
    main()
