//! What a tensor is for, as far as its name and shape tell.

use crate::gguf::TensorInfo;

/// The part of a tensor in the model, as far as some file type has a rule for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The token embedding, and the one of every layer.
    Embedding,
    /// The output layer.
    Output,
    /// The key projection of attention.
    Key,
    /// The value projection of attention, also where it is fused with others.
    Value,
    /// The output projection of attention.
    AttentionOutput,
    /// The down projection of a feed-forward network, dense or of experts.
    Down,
    /// Any other.
    Other,
}

/// Roles of which a part of the name tells. A name has the first that it contains.
const BY_PART: [(&str, Role); 6] = [
    ("attn_qkv.weight", Role::Value),
    ("attn_kv_b.weight", Role::Value),
    ("attn_v.weight", Role::Value),
    ("attn_k.weight", Role::Key),
    ("attn_output.weight", Role::AttentionOutput),
    ("ffn_down", Role::Down),
];

impl Role {
    pub fn of(name: &str) -> Role {
        match name {
            "output.weight" => Role::Output,
            "token_embd.weight" | "per_layer_token_embd.weight" => Role::Embedding,
            _ => BY_PART
                .into_iter()
                .find(|(part, _)| name.contains(part))
                .map_or(Role::Other, |(_, role)| role),
        }
    }
}

/// Parts of the names of matrices that are left as they are: they are small, and what goes wrong
/// in them goes wrong everywhere after.
const UNTOUCHED_PARTS: [&str; 35] = [
    "_norm.weight",
    // Routing to experts.
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    // Gemma 3n.
    "altup",
    "laurel",
    "per_layer_model_proj",
    // Short convolutions.
    "ssm_conv1d",
    "shortconv.conv.weight",
    // Sparse attention.
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    // RWKV.
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    // The relative positions of T5.
    "attn_rel_b.weight",
    // Images and sound.
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
];

/// Whole names of matrices that are left as they are.
const UNTOUCHED: [&str; 2] = ["position_embd.weight", "token_types.weight"];

/// Whether quantising changes the tensor at all: the weights of matrices, one or many, that are
/// not among those left as they are.
pub(super) fn is_quantized(tensor: &TensorInfo) -> bool {
    let name = tensor.name.as_str();
    // A matrix of one row counts as a vector.
    tensor.dims.rows() > 1
        && name.ends_with("weight")
        && !UNTOUCHED.contains(&name)
        && !UNTOUCHED_PARTS.iter().any(|part| name.contains(part))
}

/// The layer that a name states (`blk.7.`).
pub(super) fn layer_of(name: &str) -> Option<usize> {
    let rest = name.strip_prefix("blk.")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
