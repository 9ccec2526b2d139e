//! Quantised files, as a library call: what is in them, what is refused, and how they compare.
#![cfg(feature = "driver")]

use std::cell::Cell;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use quintile::formats::Format;
use quintile::gguf::{Builder, Gguf, OpenOptions, Value};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::model::{Model, Pool};
use quintile::quantize::{Difference, Error, FileType, Plan, WriteOptions};
use quintile::tensor::{Dims, Tensor};

const MODELS: [&str; 5] = ["llama-linear", "llama-3", "qwen2", "qwen2-narrow", "gemma3"];

/// A path that is free, and is so again when its owner goes.
struct Output(PathBuf);

impl Output {
    fn new(name: &str) -> Output {
        let name = format!("quantize-{}-{name}.gguf", std::process::id());
        Output(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn open(path: &Path) -> Gguf {
    Gguf::open(path, &OpenOptions::default()).unwrap()
}

fn tiny(name: &str) -> Gguf {
    open(format!("tests/data/tiny/{name}.gguf").as_ref())
}

fn pool(threads: usize) -> Pool {
    Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap()
}

/// Quantises a file with the detected kernels.
fn quantize(source: &Gguf, file_type: FileType, output: &Output) -> Result<Gguf, Error> {
    let plan = Plan::new(source, file_type)?;
    let kernels = Kernels::new(Isa::detect());
    plan.write(&kernels, &pool(2), &output.0, &WriteOptions::default())?;
    Ok(open(&output.0))
}

/// A model of one layer that holds one tensor besides a norm.
fn model_of(output: &Output, rows: &[Vec<f32>]) -> Gguf {
    let dims = Dims::new(&[rows[0].len(), rows.len()]).unwrap();
    let mut builder = Builder::new();
    builder.metadata("general.architecture", Value::String("llama".into()));
    builder.metadata("llama.block_count", Value::U32(1));
    builder.tensor("blk.0.ffn_up.weight", dims, Format::F32.gguf_id());
    builder.tensor("blk.0.ffn_norm.weight", Dims::new(&[1]).unwrap(), Format::F32.gguf_id());
    let mut writer = builder.create(&output.0).unwrap();
    for value in rows.iter().flatten().chain(&[f32::NAN]) {
        writer.write(&value.to_le_bytes()).unwrap();
    }
    writer.finish().unwrap();
    open(&output.0)
}

#[test]
fn every_type_of_every_model_holds_what_its_rows_quantise_to() {
    for name in MODELS {
        let source = tiny(name);
        let output = Output::new(&format!("every-{name}"));
        for file_type in FileType::ALL {
            let plan = Plan::new(&source, file_type).unwrap();
            let file = quantize(&source, file_type, &output).unwrap();
            assert_eq!(file.tensors().len(), plan.entries().len());
            for (entry, tensor) in plan.entries().iter().zip(file.tensors()) {
                assert_eq!((&tensor.name, tensor.dims), (&entry.tensor.name, entry.tensor.dims));
                assert_eq!(tensor.type_name(), entry.type_name());
                let (from, to) = (source.tensor(&tensor.name).unwrap(), tensor.format.unwrap());
                let mut row = vec![0; to.row_bytes(from.k()).unwrap()];
                for i in 0..from.rows() {
                    to.quantize(&from.row(i).unwrap(), &mut row);
                    let found = file.tensor(&tensor.name).unwrap();
                    assert!(found.row_bytes(i) == row, "{name} {file_type} {} {i}", tensor.name);
                }
            }
            for (key, value) in plan.metadata() {
                assert_eq!(file.metadata().get(key), Some(&*value), "{key}");
            }
            let sizes: u64 = file.tensors().iter().map(|tensor| tensor.size).sum();
            assert_eq!(sizes, plan.bytes_after());
            Model::load(file, Isa::detect()).unwrap();
        }
    }
}

#[test]
fn threads_and_kernels_change_no_byte() {
    let source = tiny("llama-3");
    for file_type in [FileType::Q5KM, FileType::Q3KM, FileType::Q4_1, FileType::Bf16] {
        let output = Output::new("same");
        quantize(&source, file_type, &output).unwrap();
        let want = fs::read(&output.0).unwrap();
        for isa in Isa::available() {
            for threads in [1, 3, 7] {
                let plan = Plan::new(&source, file_type).unwrap();
                let options = WriteOptions::default();
                plan.write(&Kernels::new(isa), &pool(threads), &output.0, &options).unwrap();
                let found = fs::read(&output.0).unwrap();
                assert!(found == want, "{file_type}: {threads} threads, {}", isa.level());
            }
        }
    }
}

#[test]
fn a_value_that_is_no_number_is_found_with_its_place() {
    for (value, file_type, words) in [
        (f32::NAN, FileType::Q5KM, "found NaN, expected a finite number"),
        (f32::INFINITY, FileType::Q4_0, "found inf, expected a finite number"),
        (f32::NEG_INFINITY, FileType::Bf16, "found -inf, expected a finite number"),
        (
            65520.0,
            FileType::F16,
            "found 65520, expected a finite number that f16 holds, up to 65504",
        ),
    ] {
        // Far into the tensor, with a second one behind: the first is the one that is named.
        let mut rows = vec![vec![0.5; 512]; 300];
        rows[277][411] = value;
        rows[299][0] = value;
        let (input, output) = (Output::new("number-in"), Output::new("number-out"));
        let source = model_of(&input, &rows);
        let message = quantize(&source, file_type, &output).unwrap_err().to_string();
        let place = "tensor \"blk.0.ffn_up.weight\", row 277, column 411";
        assert_eq!(message, format!("{}: {place}: {words}", input.0.display()));
        assert!(!output.0.exists());
    }
    // What is just below, and a copied tensor that is not looked at, are as they were.
    let (input, output) = (Output::new("fits-in"), Output::new("fits-out"));
    let source = model_of(&input, &vec![vec![65519.9, -65519.9, f32::MIN_POSITIVE, -0.0]; 2]);
    let file = quantize(&source, FileType::F16, &output).unwrap();
    let row = file.tensor("blk.0.ffn_up.weight").unwrap().row(1).unwrap();
    assert_eq!(row, [65504.0, -65504.0, 0.0, -0.0]);
    assert!(file.tensor("blk.0.ffn_norm.weight").unwrap().row(0).unwrap()[0].is_nan());
}

#[test]
fn work_can_be_watched_and_ended() {
    let (input, output) = (Output::new("watch-in"), Output::new("watch-out"));
    // More than a batch.
    let source = model_of(&input, &vec![vec![0.5; 4096]; 1100]);
    let plan = Plan::new(&source, FileType::Q4_0).unwrap();
    let kernels = Kernels::new(Isa::detect());
    let (last, cancel) = (Cell::new(0), AtomicBool::new(false));
    let progress = |done: u64| {
        assert!(done >= last.get());
        last.set(done);
    };
    let options =
        WriteOptions { progress: Some(&progress), cancel: Some(&cancel), ..Default::default() };
    plan.write(&kernels, &pool(2), &output.0, &options).unwrap();
    assert_eq!(last.get(), plan.bytes_before());
    fs::remove_file(&output.0).unwrap();

    let end = |done: u64| cancel.store(done > 0, Relaxed);
    let options = WriteOptions { progress: Some(&end), ..options };
    let result = plan.write(&kernels, &pool(2), &output.0, &options);
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(!output.0.exists());
}

#[test]
fn differences_are_those_of_their_formulas() {
    let bytes = |x: &[f32]| -> Vec<u8> { x.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let difference = |a: &[f32], b: &[f32], threads| {
        let (a_bytes, b_bytes) = (bytes(a), bytes(b));
        let tensor = |bytes| Tensor::new(Format::F32, &[a.len()], bytes).unwrap();
        Difference::of(tensor(&a_bytes), tensor(&b_bytes), &pool(threads)).unwrap()
    };
    let found = difference(&[1.0, -2.0, 2.0], &[1.0, -5.0, -2.0], 2);
    assert_eq!((found.values, found.max), (3, 4.0));
    assert_eq!((found.rmse, found.rms), ((25f64 / 3.0).sqrt(), 3f64.sqrt()));
    assert_eq!(found.relative(), found.rmse / found.rms);
    assert!(difference(&[1.0, 0.0], &[f32::NAN, 0.0], 1).max.is_nan());
    assert_eq!(difference(&[f32::INFINITY], &[f32::INFINITY], 1).rmse, 0.0);
    assert_eq!(difference(&[0.0], &[0.0], 1).relative(), 0.0);

    let many: Vec<f32> = (0..100_000).map(|i| (i as f32).sin()).collect();
    let other: Vec<f32> = many.iter().map(|x| x * 1.01).collect();
    let one = difference(&many, &other, 1);
    assert!([2, 3, 7].into_iter().all(|threads| difference(&many, &other, threads) == one));

    let (a, b) = (bytes(&[1.0, 2.0]), bytes(&[1.0, 2.0]));
    let a = Tensor::new(Format::F32, &[2], &a).unwrap();
    let b = Tensor::new(Format::F32, &[1, 2], &b).unwrap();
    assert_eq!(Difference::of(a, b, &pool(1)), None);
}
