#!/usr/bin/env python3
"""Makes the tiny reference models under tests/data/tiny: random weights, real architectures.

    python3 -m venv venv && venv/bin/pip install -r scripts/requirements.txt
    venv/bin/python scripts/make_tiny_models.py [NAME...]

With names, only these models are made. The files of weights are the same everywhere; of logits the last bits may differ
from one CPU to another, since PyTorch's sums are in another order.

Each model is a few layers of a `transformers` architecture with seeded random weights. The logits that
PyTorch computes for a prompt (weights and matrix products in f64) are written beside the GGUF file, so the
forward pass is checked against code that shares nothing with ours. `index.json` says what each model
exercises. The tensors' names, their order of elements and the metadata keys are those of the GGUF format as
converters write it.
"""

import json
import math
import sys
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
    # Several matrices in one: queries, keys and values; gate and up.
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_up_proj": "ffn_up",
    # Mixtures of experts.
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
}
# What follows attention is the norm before the feed-forward part, but in gemma one after attention.
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


# Architectures whose files have the rows of queries and keys in neighbouring pairs.
NEIGHBOURS = ("llama", "mistral3", "smollm3")


def tensors(arch, model, config):
    """The names and values that a converter writes."""
    gemma = arch.startswith("gemma")
    for name, p in model.named_parameters():
        data = p.detach().float().numpy()
        if gemma and "norm" in name:
            data = data + np.float32(1)
        if arch in NEIGHBOURS and "q_proj" in name:
            data = neighbours(data, config.num_attention_heads)
        if arch in NEIGHBOURS and "k_proj" in name:
            data = neighbours(data, config.num_key_value_heads)
        if "mlp.experts." in name:
            # Of all experts, and no modules: their names end with what others have before `.weight`.
            layer, stem = name.split(".")[2], name.rsplit(".", 1)[1]
            parts = {"down_proj": ["down"], "gate_up_proj": ["gate", "up"]}[stem]
            for part, values in zip(parts, np.split(data, len(parts), axis=1)):
                yield f"blk.{layer}.ffn_{part}_exps.weight", values
            continue
        if "shared_expert_gate" in name:
            data = data[0]
        yield tensor_name(name, gemma), data


def write(path, arch, model, config, rope_factors=None, linear_factor=None, extra=None):
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
    elif arch == "gemma2":
        writer.add_sliding_window(config.sliding_window)
        add_sentencepiece_vocabulary(writer)
    else:
        writer.add_rope_dimension_count(rotated(config, head_dim))
        writer.add_rope_freq_base(rope_base(config))
        add_byte_level_vocabulary(writer, PRE_TOKENIZERS.get(arch, "qwen2"))
    if extra:
        extra(writer, config)
    if linear_factor:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(linear_factor)
    if rope_factors is not None:
        writer.add_tensor("rope_freqs.weight", np.array(rope_factors, dtype=np.float32))
    for name, data in tensors(arch, model, config):
        writer.add_tensor(name, np.ascontiguousarray(data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


PRE_TOKENIZERS = {"llama": "smollm", "mistral3": "pixtral", "smollm3": "smaug-bpe", "phi3": "gpt-2"}


def rotated(config, head_dim):
    """Elements of a head that are rotated."""
    return int(head_dim * config.rope_parameters.get("partial_rotary_factor", 1.0))


def add_head_length(writer, config):
    """For heads that are no equal shares of the embedding."""
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)


def add_gemma2(writer, config):
    add_head_length(writer, config)
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)


def add_yarn(writer, config):
    parameters = config.rope_parameters
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(parameters["factor"])
    writer.add_rope_scaling_orig_ctx_len(parameters["original_max_position_embeddings"])


def add_mistral3(writer, config):
    add_head_length(writer, config)
    add_yarn(writer, config)
    writer.add_rope_scaling_yarn_beta_fast(config.rope_parameters["beta_fast"])
    writer.add_rope_scaling_yarn_beta_slow(config.rope_parameters["beta_slow"])
    writer.add_rope_scaling_yarn_log_mul(config.rope_parameters["mscale_all_dim"])
    writer.add_attn_temperature_scale(config.rope_parameters["llama_4_scaling_beta"])


def add_longrope(writer, config):
    """Two sets of factors: up to the original context, and beyond it."""
    parameters = config.rope_parameters
    original = parameters["original_max_position_embeddings"]
    scale = config.max_position_embeddings / original
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
    writer.add_sliding_window(config.sliding_window)
    for kind in ("long", "short"):
        factors = np.array(parameters[f"{kind}_factor"], dtype=np.float32)
        writer.add_tensor(f"rope_factors_{kind}.weight", factors)


def add_experts(writer, config):
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    if shared := getattr(config, "shared_expert_intermediate_size", None):
        writer.add_expert_shared_feed_forward_length(shared)


def add_qwen3moe(writer, config):
    add_head_length(writer, config)
    add_experts(writer, config)


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
        # The newer ones are small: what they have in common with those above is proven there.
        dict(
            name="mistral",
            exercises="a head that is no share of the embedding, in the layout of llama",
            config=transformers.MistralConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=16, sliding_window=None, tie_word_embeddings=False,
                rms_norm_eps=1e-5, **rope(1000000.0), **shared,
            ),
            model=transformers.MistralForCausalLM, arch="llama", extra=add_head_length,
        ),
        dict(
            name="mistral3",
            exercises="YaRN whose magnitude was taken out again, queries that grow with their position",
            config=transformers.Ministral3Config(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=32, sliding_window=None, tie_word_embeddings=True,
                rms_norm_eps=1e-5, vocab_size=VOCAB, max_position_embeddings=1024,
                attn_implementation="eager", bos_token_id=EOS, eos_token_id=EOS, pad_token_id=None,
                **rope(
                    10000.0, rope_type="yarn", factor=8.0, original_max_position_embeddings=20,
                    beta_fast=4.0, beta_slow=0.5, mscale=1.0, mscale_all_dim=1.0,
                    llama_4_scaling_beta=0.3,
                ),
            ),
            model=transformers.Ministral3ForCausalLM, arch="mistral3", extra=add_mistral3,
        ),
        dict(
            name="qwen2-yarn",
            exercises="YaRN, biases, tied output: Qwen 2.5 with a longer context",
            config=Qwen(
                hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
                num_key_value_heads=1, tie_word_embeddings=True, rms_norm_eps=1e-6,
                **rope(10000.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=512),
                **shared,
            ),
            model=transformers.Qwen2ForCausalLM, arch="qwen2", extra=add_yarn,
        ),
        dict(
            name="qwen3",
            exercises="q/k norms, a head that is no share of the embedding, tied output",
            config=transformers.Qwen3Config(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=16, tie_word_embeddings=True, rms_norm_eps=1e-6,
                **rope(1000000.0), **shared,
            ),
            model=transformers.Qwen3ForCausalLM, arch="qwen3", extra=add_head_length, states=True,
        ),
        dict(
            name="phi3",
            exercises="fused tensors, three quarters of a head rotated, two sets of factors and a prompt for each, "
            "a window of 40 keys in every layer",
            config=transformers.Phi3Config(
                hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-5, sliding_window=40,
                original_max_position_embeddings=64,
                rope_parameters=dict(
                    rope_theta=10000.0, rope_type="longrope", partial_rotary_factor=0.75,
                    original_max_position_embeddings=64,
                    short_factor=[1.0, 1.05, 1.1, 1.2, 1.3, 1.4],
                    long_factor=[1.1, 1.5, 2.0, 4.0, 8.0, 12.0],
                ),
                **shared,
            ),
            model=transformers.Phi3ForCausalLM, arch="phi3", extra=add_longrope, long=80,
        ),
        dict(
            name="smollm3",
            exercises="a fourth layer that does not rotate",
            config=transformers.SmolLM3Config(
                hidden_size=32, intermediate_size=32, num_hidden_layers=5, num_attention_heads=2,
                num_key_value_heads=1, tie_word_embeddings=True, rms_norm_eps=1e-6,
                **rope(5000000.0), **shared,
            ),
            model=transformers.SmolLM3ForCausalLM, arch="smollm3",
        ),
        dict(
            name="qwen2moe",
            exercises="two experts of six as they come, and one that every token passes; biases",
            config=transformers.Qwen2MoeConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=2, tie_word_embeddings=False, rms_norm_eps=1e-6, num_experts=6,
                num_experts_per_tok=2, moe_intermediate_size=32, shared_expert_intermediate_size=64,
                norm_topk_prob=False, experts_implementation="eager", decoder_sparse_step=1, mlp_only_layers=[],
                **rope(1000000.0), **shared,
            ),
            model=transformers.Qwen2MoeForCausalLM, arch="qwen2moe", extra=add_experts,
        ),
        dict(
            name="qwen3moe",
            exercises="three experts of eight, their weights normalised; q/k norms",
            config=transformers.Qwen3MoeConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=1, head_dim=32, tie_word_embeddings=True, rms_norm_eps=1e-6,
                num_experts=8, num_experts_per_tok=3, moe_intermediate_size=32, norm_topk_prob=True, experts_implementation="eager",
                decoder_sparse_step=1, mlp_only_layers=[], **rope(1000000.0), **shared,
            ),
            model=transformers.Qwen3MoeForCausalLM, arch="qwen3moe", extra=add_qwen3moe,
        ),
        dict(
            name="gemma2",
            exercises="soft caps of scores and logits that count, a window of 16 keys in two layers of three, norms after "
            "each half",
            config=transformers.Gemma2Config(
                hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
                num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32, sliding_window=16,
                rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True,
                attn_logit_softcapping=2.0, final_logit_softcapping=5.0, **rope(10000.0),
                vocab_size=VOCAB, max_position_embeddings=1024, attn_implementation="eager",
                bos_token_id=2, eos_token_id=1, pad_token_id=0,
            ),
            model=transformers.Gemma2ForCausalLM, arch="gemma2", extra=add_gemma2,
        ),
    ]
    wanted = set(sys.argv[1:]) or {spec["name"] for spec in models}
    if unknown := wanted - {spec["name"] for spec in models}:
        sys.exit(f"no such model: {', '.join(sorted(unknown))}")
    index_path = OUT / "index.json"
    index = json.loads(index_path.read_text()) if index_path.exists() else []
    index = [entry for entry in index if entry["file"].removesuffix(".gguf") not in wanted]
    for number, spec in enumerate(models):
        if spec["name"] not in wanted:
            continue
        config = spec["config"]
        model = spec["model"](config).eval()
        randomise(model, seed=1000 + number)
        path = OUT / f"{spec['name']}.gguf"
        write(
            path, spec["arch"], model, config, rope_factors=spec.get("rope_factors"),
            linear_factor=spec.get("linear_factor"), extra=spec.get("extra"),
        )
        random = np.random.default_rng(number)
        prompts = [(random.integers(4, 280, 48).tolist(), 0)]
        if "states" in spec:
            # What the last norm gives: vectors of texts are made of these.
            with torch.no_grad():
                states = model.double().model(torch.tensor([prompts[0][0]])).last_hidden_state[0]
            model.float()
            states.numpy().astype("<f4").tofile(OUT / f"{spec['name']}.states.f32")
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
    order = [spec["name"] for spec in models]
    index.sort(key=lambda entry: (order.index(entry["file"].removesuffix(".gguf")), entry["first_row"]))
    with open(index_path, "w", encoding="utf-8") as file:
        lines = ",\n".join(" " + json.dumps(entry) for entry in index)
        file.write(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
