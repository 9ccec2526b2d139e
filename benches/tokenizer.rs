//! Text to tokens, in bytes a second on one core: `cargo bench --bench tokenizer`.
//!
//! The vocabularies are the GGUF files in the folders that `QUINTILE_MODELS` (see
//! `scripts/fetch-models.py`) and `QUINTILE_VOCABULARIES` (see `tests/data/tokenizer/README.md`)
//! name. The text is this project's own, each word of it once; `QUINTILE_TEXT` names another.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quintile::gguf::{Gguf, OpenOptions};
use quintile::model::tokenizer::{DecodeOptions, EncodeOptions, Tokenizer, Vocab};

const TEXT: &str = concat!(
    include_str!("../README.md"),
    include_str!("../docs/contract.md"),
    include_str!("../docs/cookbook.md"),
    include_str!("../LICENSE-APACHE"),
);

fn files() -> Vec<PathBuf> {
    let folders = ["QUINTILE_MODELS", "QUINTILE_VOCABULARIES"].map(std::env::var_os);
    let entries = folders.iter().flatten().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "gguf")).collect();
    files.sort();
    files
}

fn tokenizer(criterion: &mut Criterion) {
    let files = files();
    if files.is_empty() {
        eprintln!("SKIPPED: neither QUINTILE_MODELS nor QUINTILE_VOCABULARIES names GGUF files");
    }
    let text = match std::env::var_os("QUINTILE_TEXT") {
        Some(path) => std::fs::read_to_string(path).unwrap(),
        None => TEXT.to_owned(),
    };
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let file = Gguf::open(&path, &OpenOptions::default()).unwrap();
        let load = || Tokenizer::new(Vocab::from_gguf(&file).unwrap());
        let Ok(tokenizer) = load() else {
            eprintln!("SKIPPED {name}: its tokenizer is not supported");
            continue;
        };
        let options = EncodeOptions { add_special: true, parse_special: true };
        let ids = tokenizer.encode(&text, options);
        let mut group = criterion.benchmark_group("tokenizer");
        group.sample_size(20);
        group.bench_function(BenchmarkId::new("load", &name), |b| b.iter(load));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("encode", &name), |b| {
            b.iter(|| tokenizer.encode(black_box(&text), options));
        });
        group.bench_function(BenchmarkId::new("decode", &name), |b| {
            b.iter(|| tokenizer.decode(black_box(&ids), DecodeOptions::default()));
        });
    }
}

criterion_group!(tokenizers, tokenizer);
criterion_main!(tokenizers);
