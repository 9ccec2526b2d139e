//! A whole layer of a transformer, of the shape of Qwen2.5-1.5B, in files that are made for it: tokens through norms, products,
//! attention and gates, on one thread and on all cores.
//!
//! Decoding takes turns among as many layers as the last cache cannot hold, so that weights come from memory, as in a model.

use std::cell::OnceCell;

use criterion::{BenchmarkId, Throughput};
use quintile::formats::Format;
use quintile::gguf::{Builder, Gguf, Limits, Value};
use quintile::isa::{Caches, Isa};
use quintile::kernels::Kernels;
use quintile::model::{Model, Pool, Session, SessionOptions, system};
use quintile::tensor::Dims;

use crate::{Criterion, floats};

const WIDTH: usize = 1536;
const HIDDEN: usize = 8960;
const HEADS: usize = 12;
/// Of all key heads, and of all value heads.
const KV: usize = 256;
const KV_HEADS: usize = 2;
/// Tokens before a decoded one.
const CONTEXT: usize = 512;
const PROMPT: usize = 128;

/// Names and shapes, a row's length last.
const MATRICES: [(&str, [usize; 2]); 7] = [
    ("attn_q", [WIDTH, WIDTH]),
    ("attn_k", [KV, WIDTH]),
    ("attn_v", [KV, WIDTH]),
    ("attn_output", [WIDTH, WIDTH]),
    ("ffn_gate", [HIDDEN, WIDTH]),
    ("ffn_up", [HIDDEN, WIDTH]),
    ("ffn_down", [WIDTH, HIDDEN]),
];

/// A model of one layer.
fn model(format: Format) -> Model {
    let mut builder = Builder::new();
    let count = |n: usize| Value::U32(n as u32);
    for (key, value) in [
        ("general.architecture", Value::String("llama".into())),
        ("llama.block_count", count(1)),
        ("llama.context_length", count(2 * CONTEXT)),
        ("llama.embedding_length", count(WIDTH)),
        ("llama.feed_forward_length", count(HIDDEN)),
        ("llama.attention.head_count", count(HEADS)),
        ("llama.attention.head_count_kv", count(KV_HEADS)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
    ] {
        builder.metadata(key, value);
    }
    let mut tensors = Vec::new();
    let mut add = |name: String, dims: &[usize], format: Format| {
        builder.tensor(name, Dims::new(dims).expect("a shape"), format.gguf_id());
        tensors.push((dims.to_vec(), format));
    };
    for norm in ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"] {
        add(norm.into(), &[WIDTH], Format::F32);
    }
    for (name, [rows, k]) in MATRICES {
        add(format!("blk.0.{name}.weight"), &[k, rows], format);
    }
    add("token_embd.weight".into(), &[WIDTH, 32], Format::F32);

    let path = std::env::temp_dir().join(format!("quintile-layer-{}.gguf", std::process::id()));
    let mut writer = builder.create(&path).expect("a file in the folder of temporary ones");
    let kernels = Kernels::new(Isa::detect());
    for (dims, format) in &tensors {
        // Values of about 0.02, as weights have; the row again and again.
        let values: Vec<f32> = floats(dims[0]).iter().map(|x| x * 0.04).collect();
        let mut row = vec![0; format.row_bytes(dims[0]).expect("whole blocks")];
        kernels.quantize_weights(*format, &values, &mut row);
        let rows = dims[1..].iter().product::<usize>();
        (0..rows).for_each(|_| writer.write(&row).expect("room for a layer"));
    }
    writer.finish().expect("room for a layer");
    let bytes = std::fs::read(&path).expect("what was written");
    std::fs::remove_file(&path).expect("a file of ours");
    let file = Gguf::from_bytes(bytes, &Limits::default()).expect("a sound file");
    Model::load(file, Isa::detect()).expect("a sound model")
}

/// Prefill from the start of a text, and decoding of its next token, which is forgotten each time.
pub fn layer(c: &mut Criterion) {
    let products: usize = MATRICES.iter().map(|(_, [rows, k])| rows * k).sum();
    let mut threads = vec![1, system::default_threads().get()];
    threads.dedup();
    let level = Isa::detect().level().name();
    let mut group = c.benchmark_group("layer");
    for format in [Format::Q4K, Format::Q5K, Format::Q8_0] {
        let row_bytes = |k| format.row_bytes(k).expect("whole blocks");
        let bytes: usize = MATRICES.iter().map(|&(_, [rows, k])| rows * row_bytes(k)).sum();
        let copies = (4 * Caches::get().l3).div_ceil(bytes).clamp(1, 8);
        let models = OnceCell::new();
        let models = || models.get_or_init(|| Vec::from_iter((0..copies).map(|_| model(format))));
        for &threads in &threads {
            let pool = Pool::new(threads.try_into().expect("a thread")).expect("threads");
            let options =
                SessionOptions { context: Some(2 * CONTEXT), ..SessionOptions::default() };
            let session = |model| Session::new(model, &pool, &options).expect("memory");
            let plural = if threads > 1 { "s" } else { "" };
            let id = |what: &str| {
                let format = format.name().to_lowercase();
                BenchmarkId::new(level, format!("{format}, {what}, {threads} thread{plural}"))
            };
            let throughput = |tokens: usize| Throughput::ElementsAndBytes {
                elements: (tokens * products) as u64,
                bytes: bytes as u64,
            };
            group.throughput(throughput(PROMPT));
            group.bench_function(id(&format!("prefill of {PROMPT}")), |bench| {
                let mut session = session(&models()[0]);
                bench.iter(|| {
                    session.truncate(0);
                    session.forward(&[1; PROMPT]).expect("room for them");
                });
            });
            group.throughput(throughput(1));
            let mut sessions = Vec::new();
            group.bench_function(id(&format!("decode after {CONTEXT}")), |bench| {
                if sessions.is_empty() {
                    sessions = models().iter().map(session).collect();
                    for session in &mut sessions {
                        session.forward(&[1; CONTEXT]).expect("room for them");
                    }
                }
                let mut turn = 0;
                bench.iter(|| {
                    turn = (turn + 1) % copies;
                    sessions[turn].forward(&[1]).expect("room for it");
                    sessions[turn].truncate(CONTEXT);
                });
            });
        }
    }
}
