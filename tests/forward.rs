//! The forward pass: against PyTorch, against itself however the work is divided, and against the digests
//! that every CPU must reproduce.
#![cfg(feature = "driver")]

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use quintile::gguf::{Builder, Gguf, OpenOptions, Value as MetadataValue};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::model::{CacheType, Model, Pool, Session, SessionOptions};
use quintile::quantize::{FileType, Plan, WriteOptions};
use quintile::tensor::Dims;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// One prompt of one tiny model, and what PyTorch computed for it: see `scripts/make_tiny_models.py`.
struct Reference {
    name: String,
    file: PathBuf,
    prompt: Vec<u32>,
    first_row: usize,
    logits: Vec<f32>,
}

fn references() -> Vec<Reference> {
    let folder = Path::new("tests/data/tiny");
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_str(&index).unwrap();
    let reference = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        let bytes = std::fs::read(folder.join(text("logits"))).unwrap();
        Reference {
            name: text("logits").replace(".logits.f32", ""),
            file: folder.join(text("file")),
            prompt: serde_json::from_value(entry["prompt"].clone()).unwrap(),
            first_row: entry["first_row"].as_u64().unwrap() as usize,
            logits: bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        }
    };
    index.iter().map(reference).collect()
}

/// The logits of every position from the reference's first row on.
fn logits(r: &Reference, isa: Isa, threads: usize, batch: usize, cache: CacheType) -> Vec<f32> {
    let model = Model::load(Gguf::open(&r.file, &OpenOptions::default()).unwrap(), isa).unwrap();
    let pool = Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap();
    let context = Some(r.prompt.len());
    let options = SessionOptions { context, cache, batch, ..SessionOptions::default() };
    let mut session = Session::new(&model, &pool, &options).unwrap();
    let mut out = Vec::new();
    let each = |_, logits: &mut [f32]| out.extend_from_slice(logits);
    session.forward_each(&r.prompt, r.first_row..r.prompt.len(), each).unwrap();
    out
}

/// Whether a cache of this type takes the heads of the reference's model.
fn takes(cache: CacheType, r: &Reference) -> bool {
    let model = Model::load(Gguf::open(&r.file, &OpenOptions::default()).unwrap(), Isa::detect());
    cache != CacheType::Q8_0 || model.unwrap().config().head_dim.is_multiple_of(32)
}

/// Whether an emulator makes every case slow: `QUINTILE_CASES` is the share of the random cases, in percent.
fn emulated() -> bool {
    std::env::var("QUINTILE_CASES").is_ok_and(|n| n.parse::<u32>().is_ok_and(|n| n < 100))
}

fn bits(x: &[f32]) -> Vec<u32> {
    // A NaN is a NaN, whatever its payload.
    x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

#[test]
fn logits_agree_with_pytorch() {
    for r in references() {
        let tolerances = [(CacheType::F32, 1e-4), (CacheType::F16, 2e-3), (CacheType::Q8_0, 2e-2)];
        for (cache, tolerance) in tolerances.into_iter().filter(|&(cache, _)| takes(cache, &r)) {
            let got = logits(&r, Isa::detect(), 2, 512, cache);
            assert_eq!(got.len(), r.logits.len(), "{}", r.name);
            let largest = r.logits.iter().fold(0f32, |m, x| m.max(x.abs()));
            let worst = got.iter().zip(&r.logits).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            eprintln!("{} {cache}: off by {:.2e} of the largest", r.name, worst / largest);
            assert!(worst <= tolerance * largest, "{} {cache}: {worst} of {largest}", r.name);
        }
    }
}

#[test]
fn logits_have_the_same_bits_for_any_threads_batches_and_isa() {
    for r in references() {
        let want = bits(&logits(&r, Isa::detect(), 1, 512, CacheType::F16));
        for isa in Isa::available() {
            for threads in [1, 2, 3, 7] {
                for batch in [1, 7, 512] {
                    // Every division at the detected level; two of them at each of the others.
                    let all = isa == Isa::detect() && !emulated();
                    if !all && (threads, batch) != (2, 7) && (threads, batch) != (3, 512) {
                        continue;
                    }
                    let got = bits(&logits(&r, isa, threads, batch, CacheType::F16));
                    let level = isa.level();
                    assert!(got == want, "{}: {level}, {threads} threads, batch {batch}", r.name);
                }
            }
        }
    }
}

#[test]
fn tokens_that_threads_share_by_chunks_of_keys_have_the_bits_of_blocks_of_tokens() {
    if emulated() {
        return;
    }
    // One key-value head; four, of which one thread takes the chunks in two waves; a cache of blocks.
    for (name, cache, threads) in [
        ("gemma3", CacheType::F16, &[2, 7][..]),
        ("qwen2-narrow", CacheType::F16, &[1, 3]),
        ("llama-3", CacheType::Q8_0, &[2]),
    ] {
        let r = references().into_iter().find(|r| r.name == name).unwrap();
        let model =
            Model::load(Gguf::open(&r.file, &OpenOptions::default()).unwrap(), Isa::detect());
        let model = model.unwrap();
        let prompt: Vec<u32> = r.prompt.iter().copied().cycle().take(4 * 512 + 100).collect();
        let (long, last) = prompt.split_at(prompt.len() - 12);
        let session = |threads: usize, run: &mut dyn FnMut(&mut Session<'_>)| {
            let pool = Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap();
            let context = Some(prompt.len());
            let options = SessionOptions { context, cache, ..SessionOptions::default() };
            run(&mut Session::new(&model, &pool, &options).unwrap());
        };
        let mut want = Vec::new();
        session(1, &mut |session| {
            let each = |_, logits: &mut [f32]| want.extend_from_slice(logits);
            session.forward_each(&prompt, long.len()..prompt.len(), each).unwrap();
        });
        for &threads in threads {
            session(threads, &mut |session| {
                session.forward(long).unwrap();
                for tokens in [1, 5, 12] {
                    session.truncate(long.len());
                    let mut got = Vec::new();
                    for tokens in last.chunks(tokens) {
                        let each = |_, logits: &mut [f32]| got.extend_from_slice(logits);
                        session.forward_each(tokens, 0..tokens.len(), each).unwrap();
                    }
                    let same = bits(&got) == bits(&want);
                    assert!(same, "{name}: {threads} threads, {tokens} tokens at a time");
                }
            });
        }
    }
}

#[test]
fn a_cache_of_blocks_has_the_same_bits_for_any_threads_batches_and_isa() {
    for r in references().into_iter().filter(|r| takes(CacheType::Q8_0, r)) {
        let want = bits(&logits(&r, Isa::detect(), 1, 512, CacheType::Q8_0));
        for isa in Isa::available() {
            for (threads, batch) in [(2, 7), (3, 1)] {
                let got = bits(&logits(&r, isa, threads, batch, CacheType::Q8_0));
                assert!(got == want, "{}: {}, {threads} threads", r.name, isa.level());
            }
        }
    }
}

#[test]
fn a_cache_of_blocks_refuses_heads_that_do_not_divide_into_them() {
    let r = references().into_iter().find(|r| r.name == "qwen2-narrow").unwrap();
    let model = Model::load(Gguf::open(&r.file, &OpenOptions::default()).unwrap(), Isa::detect());
    let model = model.unwrap();
    let pool = Pool::new(NonZeroUsize::MIN).unwrap();
    let options = SessionOptions { cache: CacheType::Q8_0, ..SessionOptions::default() };
    let error = Session::new(&model, &pool, &options).err().unwrap().to_string();
    for part in ["q8_0", "attention.key_length", "16"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_session_that_forgets_positions_goes_on_as_if_they_had_never_been() {
    let r = &references()[0];
    let model = Model::load(Gguf::open(&r.file, &OpenOptions::default()).unwrap(), Isa::detect());
    let model = model.unwrap();
    let pool = Pool::new(NonZeroUsize::MIN).unwrap();
    let mut session = Session::new(&model, &pool, &SessionOptions::default()).unwrap();
    session.forward(&r.prompt[..20]).unwrap();
    let want = bits(session.logits());
    session.forward(&r.prompt[20..]).unwrap();
    session.truncate(15);
    session.forward(&r.prompt[15..20]).unwrap();
    assert_eq!(bits(session.logits()), want);
}

#[test]
fn tokens_beyond_the_context_or_the_vocabulary_are_refused_and_change_nothing() {
    let r = &references()[0];
    let model = Model::load(Gguf::open(&r.file, &OpenOptions::default()).unwrap(), Isa::detect());
    let model = model.unwrap();
    let pool = Pool::new(NonZeroUsize::MIN).unwrap();
    let options = SessionOptions { context: Some(10), ..SessionOptions::default() };
    let mut session = Session::new(&model, &pool, &options).unwrap();
    session.forward(&r.prompt[..8]).unwrap();
    let error = session.forward(&r.prompt[..3]).unwrap_err().to_string();
    assert!(error.contains("3 tokens after 8 do not fit a context of 10"), "{error}");
    let error = session.forward(&[9, 320]).unwrap_err().to_string();
    assert!(error.contains("token 320 is outside the vocabulary of 320"), "{error}");
    assert_eq!(session.position(), 8);
    let options = SessionOptions { context: Some(usize::MAX), ..SessionOptions::default() };
    let error = Session::new(&model, &pool, &options).err().unwrap().to_string();
    assert!(error.contains("context"), "{error}");
}

/// The types that every model is quantised to, by this crate and at test time, for the digests.
const QUANTISED: [FileType; 12] = [
    FileType::F16,
    FileType::Bf16,
    FileType::Q4_0,
    FileType::Q4_1,
    FileType::Q5_0,
    FileType::Q5_1,
    FileType::Q8_0,
    FileType::Q2K,
    FileType::Q3KM,
    FileType::Q4KM,
    FileType::Q5KM,
    FileType::Q6K,
];

/// Of models that differ in what lies between the products, not in these: a type without blocks, and one of each kind.
const SOME_QUANTISED: [FileType; 3] = [FileType::F16, FileType::Q4_0, FileType::Q8_0];

/// The types of a model's digests. Those that came first have them all.
fn digest_types(r: &Reference) -> &'static [FileType] {
    match r.name.as_str() {
        // The model has a second prompt.
        name if name.ends_with("-long") => &[],
        "llama-linear" | "llama-3" | "qwen2" | "qwen2-narrow" | "gemma3" => &QUANTISED,
        _ => &SOME_QUANTISED,
    }
}

/// The reference with its model quantised, in a file that is overwritten by the next, and with the
/// beginning of its prompt: emulators are slow.
fn quantised(r: &Reference, file_type: FileType, isa: Isa) -> Reference {
    let name = format!("forward-{}-{}.gguf", r.name, std::process::id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Gguf::open(&r.file, &OpenOptions::default()).unwrap();
    let plan = Plan::new(&source, file_type).unwrap();
    let pool = Pool::new(NonZeroUsize::new(2).unwrap()).unwrap();
    plan.write(&Kernels::new(isa), &pool, &file, &WriteOptions::default()).unwrap();
    let prompt = r.prompt[..20].to_vec();
    Reference { name: r.name.clone(), file, prompt, first_row: 12, logits: Vec::new() }
}

/// The reference with `times` as many values between its gates and `down`: rows of gate and up, and values of rows of down, again and
/// again.
fn widened(r: &Reference, times: usize) -> Reference {
    const GATES: [&str; 2] = ["ffn_gate", "ffn_up"];
    let source = Gguf::open(&r.file, &OpenOptions::default()).unwrap();
    let mut builder = Builder::new();
    for (key, value) in source.metadata().iter() {
        if key.ends_with(".feed_forward_length") {
            let len = source.metadata().u32(key).unwrap().unwrap();
            builder.metadata(key, MetadataValue::U32(len * times as u32));
        } else {
            builder.metadata(key, value);
        }
    }
    let name_is = |name: &str, parts: &[&str]| parts.iter().any(|part| name.contains(part));
    for tensor in source.tensors() {
        let [k, rows] = [tensor.dims.k(), tensor.dims.rows()];
        let dims = match &tensor.name {
            name if name_is(name, &GATES) => Dims::new(&[k, rows * times]).unwrap(),
            name if name.contains("ffn_down") => Dims::new(&[k * times, rows]).unwrap(),
            _ => tensor.dims,
        };
        builder.tensor(tensor.name.as_str(), dims, tensor.type_id);
    }
    let name = format!("{}-wide", r.name);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.gguf"));
    let mut writer = builder.create(&file).unwrap();
    for tensor in source.tensors() {
        let bytes = source.tensor_bytes(tensor);
        let run = match &tensor.name {
            name if name_is(name, &GATES) => bytes.len(),
            name if name.contains("ffn_down") => bytes.len() / tensor.dims.rows(),
            _ => {
                writer.write(bytes).unwrap();
                continue;
            }
        };
        for run in bytes.chunks(run) {
            (0..times).for_each(|_| writer.write(run).unwrap());
        }
    }
    writer.finish().unwrap();
    Reference { name, file, prompt: r.prompt.clone(), logits: Vec::new(), ..*r }
}

#[test]
fn gates_that_are_computed_in_strips_give_the_bits_of_single_tokens() {
    // To 1280 and 1152 values, two strips and a part, of which two threads get one each, and three threads parts.
    for (name, times) in [("qwen2", 5), ("gemma3", 12)] {
        let r = references().into_iter().find(|r| r.name == name).unwrap();
        let wide = widened(&r, times);
        for file_type in [FileType::Q8_0, FileType::Q5KM] {
            let mut narrow = quantised(&wide, file_type, Isa::detect());
            let many = if emulated() { 20 } else { 150 };
            narrow.prompt = r.prompt.iter().copied().cycle().take(many).collect();
            let want = bits(&logits(&narrow, Isa::detect(), 1, 1, CacheType::F16));
            for isa in [Isa::detect(), Isa::SCALAR] {
                for threads in [1, 2, 3, 7] {
                    if emulated() && (isa == Isa::SCALAR || ![2, 3].contains(&threads)) {
                        continue;
                    }
                    let got = bits(&logits(&narrow, isa, threads, 512, CacheType::F16));
                    assert!(got == want, "{file_type}, {}, {threads} threads", isa.level());
                }
            }
            std::fs::remove_file(narrow.file).unwrap();
        }
        std::fs::remove_file(wide.file).unwrap();
    }
}

#[test]
fn tokens_that_share_experts_get_the_bits_that_they_get_alone() {
    for name in ["qwen2moe", "qwen3moe"] {
        let r = references().into_iter().find(|r| r.name == name).unwrap();
        for file_type in [FileType::Q8_0, FileType::Q4_0, FileType::F16] {
            let mut some = quantised(&r, file_type, Isa::detect());
            let many = if emulated() { 20 } else { 100 };
            some.prompt = r.prompt.iter().copied().cycle().take(many).collect();
            let want = bits(&logits(&some, Isa::detect(), 1, 1, CacheType::F16));
            for (threads, batch) in [(1, 512), (2, 33), (3, 512), (7, 9)] {
                let got = bits(&logits(&some, Isa::detect(), threads, batch, CacheType::F16));
                assert!(got == want, "{name} {file_type}, {threads} threads, batch {batch}");
            }
            std::fs::remove_file(some.file).unwrap();
        }
    }
}

/// The digests in `tests/data/digests.txt`: `QUINTILE_WRITE_DIGESTS=1 cargo test --test forward digests` writes
/// the file anew, after a change of the contract's version.
#[test]
fn digests_of_the_logits_are_those_of_every_other_cpu() {
    let path = "tests/data/digests.txt";
    for isa in Isa::available() {
        // Emulated, each level but the best computes every model, and every type of weights in one.
        let all = !emulated() || isa == Isa::detect();
        let mut digests = String::new();
        let mut digest = |r: &Reference, file_type: FileType, cache| {
            let mut hash = Sha256::new();
            for bits in bits(&logits(r, isa, 2, 512, cache)) {
                hash.update(bits.to_le_bytes());
            }
            let hex = hash.finalize().iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").unwrap();
                hex
            });
            writeln!(digests, "{} {file_type} {cache} {hex}", r.name).unwrap();
        };
        for r in references() {
            for cache in CacheType::ALL.into_iter().filter(|&cache| takes(cache, &r)) {
                digest(&r, FileType::F32, cache);
            }
            let types = if all || r.name == "llama-linear" { digest_types(&r) } else { &[] };
            for &file_type in types {
                let r = quantised(&r, file_type, isa);
                digest(&r, file_type, CacheType::F16);
                std::fs::remove_file(r.file).unwrap();
            }
        }
        if std::env::var_os("QUINTILE_WRITE_DIGESTS").is_some() && isa == Isa::SCALAR {
            std::fs::write(path, &digests).unwrap();
        }
        let want = std::fs::read_to_string(path).unwrap();
        for digest in digests.lines() {
            assert!(want.lines().any(|want| want == digest), "at {}: {digest}", isa.level());
        }
        assert!(!all || digests.lines().count() == want.lines().count(), "digests of {path}");
    }
}
