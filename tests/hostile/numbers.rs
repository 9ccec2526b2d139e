//! Weights that are no numbers, and bytes of any kind as weights: the result is defined (the same on every
//! kernel), and nothing panics.

use quintile::formats::Format;
use quintile::isa::{Isa, Level};
use quintile::model::Model;

use super::edit::{Part, Parts};
use super::{MODELS, load, run};

/// The logits' bits on the best kernels, which those of the definition must equal; a NaN is a NaN,
/// whatever its payload.
fn bits_of(parts: &Parts) -> Vec<u32> {
    let bits = |model: &Model| -> Vec<u32> {
        let bit = |x: f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
        run(model).into_iter().map(bit).collect()
    };
    let best = load(parts.bytes()).unwrap();
    let bytes = parts.bytes();
    let file = quintile::gguf::Gguf::from_bytes(bytes, &Default::default()).unwrap();
    let scalar = Model::load(file, Isa::force(Level::Scalar).unwrap()).unwrap();
    let best = bits(&best);
    assert_eq!(best, bits(&scalar));
    best
}

fn fill(part: &mut Part, x: f32) {
    part.data.as_chunks_mut::<4>().0.iter_mut().for_each(|v| *v = x.to_le_bytes());
}

#[test]
fn norms_and_embeddings_that_are_no_numbers_run_and_give_the_same_bits_on_every_kernel() {
    for name in MODELS {
        for tensor in ["output_norm.weight", "blk.0.attn_norm.weight", "token_embd.weight"] {
            for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-45, 0.0] {
                let mut parts = Parts::of(name);
                fill(parts.tensor(tensor), x);
                let bits = bits_of(&parts);
                if x.is_nan() && tensor == "output_norm.weight" {
                    assert!(bits.iter().all(|&bits| f32::from_bits(bits).is_nan()), "{name}");
                }
            }
        }
    }
}

#[test]
fn blocks_of_any_bytes_run_and_give_the_same_bits_on_every_kernel() {
    // As f16 scales: NaN, infinity (0x7c00 in two phases), the largest, and zero.
    let patterns: [&[u8]; 5] = [&[0xff], &[0x00, 0x7c], &[0x7c, 0x00], &[0xff, 0x7b], &[0x00]];
    let mut cases = 0;
    for name in ["llama-linear", "qwen2"] {
        for format in Format::ALL {
            let mut parts = Parts::of(name);
            let gate = parts.tensor("blk.0.ffn_gate.weight");
            let (k, rows) = (gate.dims[0], gate.dims[1]);
            if !k.is_multiple_of(format.block_len()) {
                continue;
            }
            let len = k / format.block_len() * format.block_bytes() * rows;
            gate.type_id = format.gguf_id();
            for pattern in patterns {
                let data: Vec<u8> = pattern.iter().copied().cycle().take(len).collect();
                parts.tensor("blk.0.ffn_gate.weight").data = data;
                bits_of(&parts);
                cases += 1;
            }
        }
    }
    assert!(cases >= 5 * Format::ALL.len(), "{cases}");
}
