#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["gguf==0.19.0", "numpy==2.4.6"]
# ///
"""Asks llama-quantize which type every tensor gets, for tests/quantize_plan.rs.

    python3 -m venv venv
    venv/bin/pip install gguf==0.19.0 numpy==2.4.6
    venv/bin/python scripts/make_mixture_tables.py path/to/llama-quantize [MODEL.gguf ...]

Writes tests/data/mixtures/NAME.txt for each MODEL, for some of the tiny models, and for models
invented here, which exist only as tables: their files, of few rows, are made in a temporary
folder. `llama-quantize --dry-run` reads no weights, so this takes seconds. A table is

    architecture NAME
    count KEY N [N ...]               metadata below the architecture, one number or one a layer
    tensor blk.0-27.ffn_up.weight 1536 8960      names, with a range of layers, and dimensions
    source 28xF16                     their types in the source, in the order of layers
    q2_k q5_0 14xQ6_K 14xQ4_K         file types, and the types that each of them gives
    * 28xF32                          for the source and all file types
"""

import re
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "tests" / "data" / "mixtures"
TINY = ["qwen2-narrow", "gemma3", "llama-linear"]
FILE_TYPES = ("q2_k q3_k_m q4_0 q4_1 q4_k_s q4_k_m q5_0 q5_1 q5_k_s q5_k_m q6_k q8_0 f16 bf16 f32").split()
COUNTS = ["block_count", "attention.head_count", "attention.head_count_kv", "expert_count"]
LINE = re.compile(r"^\[ *\d+/ *\d+\] (\S+) +- \[([^\]]*)\], type = +(\w+), size = .*?(?:\((\w+)\))?$")


def dry_run(quantize, model, file_type):
    """The type of every tensor of `model` as a file of `file_type`, by name."""
    command = [quantize, "--allow-requantize", "--dry-run", model, file_type, "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{model}: {file_type}: {(done.stdout + done.stderr)[-2000:]}")
    found = [LINE.match(line) for line in (done.stdout + done.stderr).splitlines()]
    return {m[1]: (m[4] or m[3]).upper() for m in found if m}


def counts(reader, architecture):
    for key in COUNTS:
        field = reader.get_field(f"{architecture}.{key}")
        if field is not None:
            value = field.contents()
            yield f"count {key} {' '.join(map(str, value if isinstance(value, list) else [value]))}"


def runs(types):
    return " ".join(f"{len(list(run))}x{name}" for name, run in groupby(types))


def ranges(tensors):
    """Tensors of one kind in adjacent layers, together: (name with range, tensors)."""
    def kind(tensor):
        layer = re.match(r"blk\.(\d+)\.(.*)", tensor.name)
        rest = layer[2] if layer else tensor.name
        return rest, tuple(map(int, tensor.shape)), int(layer[1]) if layer else -1
    ordered = sorted(tensors, key=kind)
    group, last = [], None
    for tensor in [*ordered, None]:
        this = kind(tensor) if tensor is not None else None
        if group and (this is None or this[:2] != last[:2] or this[2] != last[2] + 1 or last[2] < 0):
            first = kind(group[0])
            name = f"blk.{first[2]}-{last[2]}.{first[0]}" if first[2] >= 0 else first[0]
            yield name, group
            group = []
        group.append(tensor)
        last = this


def table(quantize, model):
    reader = GGUFReader(model)
    architecture = reader.get_field("general.architecture").contents()
    plans = {file_type: dry_run(quantize, model, file_type) for file_type in FILE_TYPES}
    names = {tensor.name for tensor in reader.tensors}
    assert all(set(plan) == names for plan in plans.values()), "not every tensor is in the output"
    lines = [f"architecture {architecture}", *counts(reader, architecture)]
    for name, group in ranges(reader.tensors):
        lines.append(f"tensor {name} {' '.join(str(size) for size in group[0].shape)}")
        by_types = {runs(tensor.tensor_type.name for tensor in group): ["source"]}
        for file_type, plan in plans.items():
            by_types.setdefault(runs(plan[tensor.name] for tensor in group), []).append(file_type)
        for types, file_types in by_types.items():
            lines.append(f"{'*' if len(by_types) == 1 else ' '.join(file_types)} {types}")
    return "\n".join(lines) + "\n"


def invent(path, architecture, layers, heads, kv_heads, tensors, experts=0):
    """A file of f16 matrices and f32 vectors. In a name, `*` stands for every layer."""
    writer = GGUFWriter(path, architecture)
    for key, value in {
        "context_length": 64, "embedding_length": 512, "feed_forward_length": 512,
        "block_count": layers, "expert_count": experts, "expert_used_count": min(experts, 2),
        "attention.head_count": heads,
    }.items():
        writer.add_uint32(f"{architecture}.{key}", value)
    key = f"{architecture}.attention.head_count_kv"
    if isinstance(kv_heads, list):
        writer.add_key_value(key, kv_heads, GGUFValueType.ARRAY, GGUFValueType.UINT32)
    else:
        writer.add_uint32(key, kv_heads)
    for norm in ["layer_norm_rms_epsilon", "layer_norm_epsilon"]:
        writer.add_float32(f"{architecture}.attention.{norm}", 1e-5)
    for name, shape in tensors:
        kind = np.float32 if len(shape) == 1 else np.float16
        for layer in range(layers) if "*" in name else [0]:
            writer.add_tensor(name.replace("*", str(layer)), np.zeros(shape[::-1], kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def matrices(*names, k=512):
    return [(name, (k, 2)) for name in names]


ENDS = matrices("token_embd.weight", "output.weight")
ATTENTION = [f"blk.*.attn_{part}.weight" for part in ["q", "k", "v", "output"]]
DENSE = matrices(*ATTENTION, "blk.*.ffn_up.weight", "blk.*.ffn_gate.weight", "blk.*.ffn_down.weight")
EXPERTS = [
    *matrices(*ATTENTION, "blk.*.ffn_gate_inp.weight", "blk.*.ffn_down_shexp.weight"),
    *[(f"blk.*.ffn_{part}_exps.weight", (512, 2, 2)) for part in ["gate", "up", "down"]],
]
RWKV = "w0 w2 v0 v1 v2 a0 a1 a2 g1 g2 decay_w1 decay_w2".split()
INVENTED = {
    # Eight experts: attention gets more; down projections go by layer, of which each has two.
    "llama-eight-experts": ("llama", 17, 8, 2, ENDS + EXPERTS, 8),
    "llama-four-experts": ("llama", 12, 8, 8, ENDS + EXPERTS, 4),
    # As large as 70B: values get more where heads share them.
    "llama-80-layers": ("llama", 80, 64, 8, ENDS + DENSE),
    "llama-80-layers-no-groups": ("llama", 80, 8, 8, ENDS + DENSE),
    "qwen2-80-layers": ("qwen2", 80, 8, 8, ENDS + DENSE),
    # One count of heads a layer: the first decides.
    "llama-heads-by-layer": ("llama", 3, 8, [1, 8, 8], ENDS + DENSE),
    # The fused projection has the role of values.
    "falcon": ("falcon", 32, 71, 1, ENDS + matrices(
        "blk.*.attn_qkv.weight", "blk.*.attn_output.weight", "blk.*.ffn_up.weight", "blk.*.ffn_down.weight")),
    "falcon-tied": ("falcon", 1, 8, 8, ENDS[:1] + matrices("blk.*.attn_qkv.weight")),
    # Rows that blocks of 256, and of 32, do not divide.
    "llama-rows-of-576": ("llama", 9, 9, 3, [(name, (576, 2)) for name, _ in ENDS + DENSE]),
    "llama-rows-of-100": ("llama", 9, 9, 3, [(name, (100, 2)) for name, _ in ENDS[:1] + DENSE]),
    # What is left as it is; and what is not, though it looks like it.
    "llama-odd-names": ("llama", 2, 8, 8, matrices(
        "token_embd.weight", "per_layer_token_embd.weight", "position_embd.weight", "token_types.weight",
        "v.position_embd.weight", "enc.position_embd.weight", "blk.*.attn_rel_b.weight", "blk.*.ssm_conv1d.weight",
        "blk.*.ssm_in.weight", "blk.*.shortconv.conv.weight", "blk.*.shortconv.in_proj.weight",
        "blk.*.time_mix_w1.weight", "blk.*.time_mix_key.weight", "blk.*.time_mix_lerp_fused.weight",
        "blk.*.altup_router.weight", "blk.*.laurel_l.weight", "per_layer_model_proj.weight",
        "blk.*.ffn_gate_inp.weight", "blk.*.ffn_gate_inp_shexp.weight", "blk.*.attn_q_norm.weight",
        "blk.*.attn_q.bias", "blk.*.attn_sinks", "rope_freqs.weight", "blk.*.indexer.k_proj.weight",
        "blk.*.indexer.attn_k.weight", "blk.*.attn_kv_b.weight", "blk.*.attn_kv_a_mqa.weight",
        "blk.*.ffn_down.bias", "output_norm.weight", "cls.output.weight",
        "v.patch_embd.weight", "sam.net_2.weight", "mm.patch_merger.weight", "v.blk.0.ffn_down.weight",
        "v.blk.10.attn_v.weight", "v.blk.2.attn_v.weight", "a.rvq.codebook.weight", "mm.a.code_embd.weight",
        "blk.0.ffn_gate_tid2eid.weight", "blk.0.indexer.q_proj.weight", "blk.0.time_mix_first.weight",
        *[f"blk.0.time_mix_{part}.weight" for part in RWKV], "blk.0.time_mix_w3.weight",
        "sam.pos_embd.weight", "sam.neck.0.weight", "v.blk.0.attn.rel_pos_h.weight",
    ) + [("blk.*.row.weight", (512, 1)), ("blk.*.vector.weight", (512,)), ("blk.*.box.weight", (512, 1, 2))]),
}


def main():
    quantize, *models = sys.argv[1:]
    tables = {Path(model).stem: model for model in models}
    tables |= {f"tiny-{name}": str(ROOT / "tests" / "data" / "tiny" / f"{name}.gguf") for name in TINY}
    TABLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, model in INVENTED.items():
            tables[name] = f"{folder}/{name}.gguf"
            invent(tables[name], *model)
        for name, model in tables.items():
            (TABLES / f"{name}.txt").write_text(table(quantize, model))
            print(TABLES / f"{name}.txt")


main()
