#!/usr/bin/env python3
"""Makes the tiny reference models under tests/data/tiny: random weights, real architectures.

    python3 -m venv venv && venv/bin/pip install -r scripts/requirements.txt
    venv/bin/python scripts/make_tiny_models.py

Each model is a few layers of a `transformers` architecture with seeded random weights. The logits that
PyTorch computes for a prompt (weights and matrix products in f64) are written beside the GGUF file, so the
forward pass is checked against code that shares nothing with ours. `index.json` says what each model
exercises. The tensors' names, their order of elements and the metadata keys are those of the GGUF format as
converters write it.
"""

import json
import math
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiny"
VOCAB = 320
EOS = VOCAB - 1


def byte_alphabet():
    """The characters that stand for bytes 0 to 255 in byte-level BPE."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    table = {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}
    return [table[b] for b in range(256)]


def add_byte_level_vocabulary(writer, pre):
    tokens = byte_alphabet()
    merges = []
    pairs = [("t", "h"), ("th", "e"), ("a", "n"), ("i", "n"), ("e", "r"), ("Ġ", "the"), ("o", "n")]
    pairs += [("Ġ", c) for c in "abcdefghijklmnopqrstuvwxyz"]
    for left, right in pairs:
        merges.append(f"{left} {right}")
        tokens.append(left + right)
    while len(tokens) < VOCAB - 1:
        tokens.append(f"<|unused_{len(tokens)}|>")
    types = [gguf.TokenType.NORMAL] * (256 + len(pairs))
    types += [gguf.TokenType.UNUSED] * (VOCAB - 1 - len(types))
    tokens.append("<|endoftext|>")
    types.append(gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(EOS)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)


def add_sentencepiece_vocabulary(writer):
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"]
    types = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.UNKNOWN]
    tokens += [f"<0x{b:02X}>" for b in range(256)]
    types += [gguf.TokenType.BYTE] * 256
    pieces = ["▁", *"etaoinshrdlucm", "▁t", "he", "▁the", "in", "an", "er"]
    tokens += pieces
    types += [gguf.TokenType.NORMAL] * len(pieces)
    scores = [0.0] * 260 + [-float(i) for i in range(len(pieces))]
    while len(tokens) < VOCAB:
        tokens.append(f"<unused{len(tokens)}>")
        types.append(gguf.TokenType.UNUSED)
        scores.append(-1000.0)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)


def randomise(model, seed):
    """Weights that spread the logits and make every norm and bias count."""
    gemma = model.config.model_type.startswith("gemma")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name:
                p.copy_(0.2 * noise + (0.0 if gemma else 1.0))
            elif "bias" in name:
                p.copy_(0.5 * noise)
            elif "embed_tokens" in name or "lm_head" in name:
                p.copy_(noise * 2.0 / math.sqrt(p.shape[-1]))
            else:
                p.copy_(noise / math.sqrt(p.shape[-1]))


def neighbours(weight, heads):
    """Rows reordered from halves to neighbouring pairs: how `llama` files store queries and keys."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# What follows attention is the norm before the feed-forward part, but in gemma3 one after attention.
PLAIN = {"post_attention_layernorm": "ffn_norm"}
GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def tensor_name(name, gemma):
    top = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in top:
        return top[name]
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{(NAMES | (GEMMA if gemma else PLAIN))[stem]}.{kind}"


def write(path, arch, model, config, rope_factors=None, linear_factor=None):
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(path.stem)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(VOCAB)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if arch == "gemma3":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_freq_base(1e6)
        add_sentencepiece_vocabulary(writer)
    else:
        writer.add_rope_dimension_count(head_dim)
        writer.add_rope_freq_base(rope_base(config))
        add_byte_level_vocabulary(writer, "smollm" if arch == "llama" else "qwen2")
    if linear_factor:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(linear_factor)
    if rope_factors is not None:
        writer.add_tensor("rope_freqs.weight", np.array(rope_factors, dtype=np.float32))
    gemma = arch == "gemma3"
    for name, p in model.named_parameters():
        data = p.detach().float().numpy()
        if gemma and "norm" in name:
            data = data + np.float32(1)
        if arch == "llama" and "q_proj" in name:
            data = neighbours(data, config.num_attention_heads)
        if arch == "llama" and "k_proj" in name:
            data = neighbours(data, config.num_key_value_heads)
        writer.add_tensor(tensor_name(name, gemma), np.ascontiguousarray(data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def rope_base(config):
    parameters = getattr(config, "rope_parameters", None)
    return float(parameters["rope_theta"] if parameters else config.rope_theta)


def llama3_factors(dims, base, factor, low, high, original):
    """How much slower than plain each pair of a llama-3 model turns."""
    factors = []
    for i in range(0, dims, 2):
        wavelength = 2 * math.pi * base ** (i / dims)
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return factors


def reference(model, prompt):
    with torch.no_grad():
        logits = model.double()(torch.tensor([prompt])).logits[0]
    model.float()
    return logits.float().numpy()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    shared = dict(
        vocab_size=VOCAB,
        max_position_embeddings=1024,
        attn_implementation="eager",
        bos_token_id=EOS,
        eos_token_id=EOS,
        pad_token_id=None,
    )
    llama3 = dict(
        factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
    )

    def rope(theta, **scaling):
        return dict(rope_parameters=dict(rope_theta=theta, **(scaling or dict(rope_type="default"))))

    Llama, Qwen = transformers.LlamaConfig, transformers.Qwen2Config
    models = [
        dict(
            name="llama-linear",
            exercises="GQA, separate output, linear rope scaling, rows of 96 and 160; a prompt over two chunks",
            config=Llama(
                hidden_size=96, intermediate_size=160, num_hidden_layers=3, num_attention_heads=6,
                num_key_value_heads=2, tie_word_embeddings=False, rms_norm_eps=1e-5,
                **rope(10000.0, rope_type="linear", factor=2.0), **shared,
            ),
            model=transformers.LlamaForCausalLM, arch="llama", linear_factor=2.0, long=700,
        ),
        dict(
            name="llama-3",
            exercises="llama-3 rope factors, tied output, GQA, rows of 256",
            config=Llama(
                hidden_size=256, intermediate_size=256, num_hidden_layers=1, num_attention_heads=8,
                num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-5,
                **rope(500000.0, rope_type="llama3", **llama3), **shared,
            ),
            model=transformers.LlamaForCausalLM, arch="llama",
            rope_factors=llama3_factors(
                32, 500000.0, llama3["factor"], llama3["low_freq_factor"], llama3["high_freq_factor"],
                llama3["original_max_position_embeddings"],
            ),
        ),
        dict(
            name="qwen2",
            exercises="biases, tied output, GQA, rows of 256",
            config=Qwen(
                hidden_size=256, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4,
                num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-6,
                **rope(1000000.0), **shared,
            ),
            model=transformers.Qwen2ForCausalLM, arch="qwen2",
        ),
        dict(
            name="qwen2-narrow",
            exercises="biases, separate output, rows of 64 and 96",
            config=Qwen(
                hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
                num_key_value_heads=4, tie_word_embeddings=False, rms_norm_eps=1e-6,
                **rope(1000000.0), **shared,
            ),
            model=transformers.Qwen2ForCausalLM, arch="qwen2",
        ),
        dict(
            name="gemma3",
            exercises="a window of 16 keys in six layers of seven, q/k norms, norms after each half, heads "
            "wider than the embedding's share, two rope bases",
            config=transformers.Gemma3TextConfig(
                hidden_size=64, intermediate_size=96, num_hidden_layers=7, num_attention_heads=4,
                num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32, sliding_window=16,
                rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True,
                layer_types=["full_attention" if i == 5 else "sliding_attention" for i in range(7)],
                rope_parameters={
                    "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                },
                vocab_size=VOCAB, max_position_embeddings=1024, attn_implementation="eager",
                bos_token_id=2, eos_token_id=1, pad_token_id=0,
            ),
            model=transformers.Gemma3ForCausalLM, arch="gemma3",
        ),
    ]
    index = []
    for number, spec in enumerate(models):
        config = spec["config"]
        model = spec["model"](config).eval()
        randomise(model, seed=1000 + number)
        path = OUT / f"{spec['name']}.gguf"
        write(
            path, spec["arch"], model, config, rope_factors=spec.get("rope_factors"),
            linear_factor=spec.get("linear_factor"),
        )
        random = np.random.default_rng(number)
        prompts = [(random.integers(4, 280, 48).tolist(), 0)]
        if "long" in spec:
            # Only the last positions: they see everything.
            prompts.append((random.integers(4, 280, spec["long"]).tolist(), spec["long"] - 4))
        for i, (prompt, first) in enumerate(prompts):
            logits = reference(model, prompt)[first:]
            name = f"{spec['name']}{'-long' if i else ''}.logits.f32"
            logits.astype("<f4").tofile(OUT / name)
            index.append(
                dict(
                    file=path.name, architecture=spec["arch"], exercises=spec["exercises"],
                    logits=name, first_row=first, vocab=VOCAB, prompt=prompt,
                )
            )
            print(f"{name}: std {logits.std():.2f}, max {np.abs(logits).max():.2f}, {path.stat().st_size} bytes")
    with open(OUT / "index.json", "w", encoding="utf-8") as file:
        lines = ",\n".join(" " + json.dumps(entry) for entry in index)
        file.write(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
