//! The writer: what it writes is read back the same, and until a file is complete its name does
//! not show it.

use std::fs;
use std::path::{Path, PathBuf};

use quintile::formats::Format;
use quintile::gguf::{Array, Builder, Error, Gguf, Limits, OpenOptions, Strings, Value, Writer};
use quintile::tensor::Dims;

use crate::builder::File;
use crate::mutations::{XorShift, mutate};
use crate::read;
use crate::splits::Folder;

impl Folder {
    /// The names in it, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Everything in `file`, described anew.
fn description(file: &Gguf) -> Builder<'_> {
    let mut builder = Builder::new();
    for (key, value) in file.metadata().iter().filter(|(key, _)| !key.starts_with("split.")) {
        builder.metadata(key, value);
    }
    for tensor in file.tensors() {
        builder.tensor(tensor.name.as_str(), tensor.dims, tensor.type_id);
    }
    builder
}

/// Writes the tensors of `file`, in pieces of at most `piece` bytes.
fn fill(mut writer: Writer, file: &Gguf, piece: usize) -> Vec<PathBuf> {
    for tensor in file.tensors() {
        file.tensor_bytes(tensor).chunks(piece).for_each(|bytes| writer.write(bytes).unwrap());
    }
    writer.finish().unwrap()
}

#[track_caller]
fn assert_same(a: &Gguf, b: &Gguf) {
    let pairs = |file: &Gguf| -> Vec<(String, Value)> {
        let pairs = file.metadata().iter().filter(|(key, _)| !key.starts_with("split."));
        pairs.map(|(key, value)| (key.to_owned(), value.clone())).collect()
    };
    // As text, in which a NaN equals a NaN.
    assert_eq!(format!("{:?}", pairs(a)), format!("{:?}", pairs(b)));
    assert_eq!(a.tensors().len(), b.tensors().len());
    for (x, y) in a.tensors().iter().zip(b.tensors()) {
        assert_eq!((&x.name, x.dims, x.type_id), (&y.name, y.dims, y.type_id));
        assert!(a.tensor_bytes(x) == b.tensor_bytes(y), "{}", x.name);
    }
}

/// A tensor of three f32.
fn small() -> Builder<'static> {
    let mut builder = Builder::new();
    builder.tensor("a", Dims::new(&[3]).unwrap(), Format::F32.gguf_id());
    builder
}

#[test]
fn a_file_with_every_type_of_value_is_written_as_it_was() {
    let folder = Folder::new("every-type");
    let path = folder.path("a.gguf");
    let mut bytes = File::sample().bytes();
    let file = read(bytes.clone());
    // A writer pads the last tensor too.
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    for piece in [1, 7, 32, 1 << 20] {
        let paths = fill(description(&file).create(&path).unwrap(), &file, piece);
        assert_eq!(paths, [path.as_path()]);
        assert!(fs::read(&path).unwrap() == bytes, "in pieces of {piece} bytes");
    }
    assert_eq!(folder.names(), ["a.gguf"]);
}

#[test]
fn tiny_models_are_written_as_they_were() {
    let folder = Folder::new("tiny");
    for name in ["llama-linear", "llama-3", "qwen2", "qwen2-narrow", "gemma3"] {
        let source = format!("tests/data/tiny/{name}.gguf");
        let file = Gguf::open(source.as_ref(), &OpenOptions::default()).unwrap();
        let path = folder.path(name);
        fill(description(&file).create(&path).unwrap(), &file, 1 << 20);
        assert_same(&file, &Gguf::open(&path, &OpenOptions::default()).unwrap());
        assert!(fs::read(&path).unwrap() == fs::read(source).unwrap(), "{name}");
    }
}

#[test]
fn data_are_aligned_as_the_metadata_say() {
    let folder = Folder::new("alignment");
    for alignment in [1u32, 8, 64, 4096] {
        let path = folder.path("a.gguf");
        let file = read(File::sample().bytes());
        let mut builder = description(&file);
        builder.metadata("general.alignment", Value::U32(alignment));
        let size = builder.files(&path).unwrap()[0].size;
        fill(builder.create(&path).unwrap(), &file, 100);
        let written = Gguf::open(&path, &OpenOptions::default()).unwrap();
        assert_eq!((written.alignment(), written.file_size()), (alignment, size));
        assert_eq!(size % u64::from(alignment), 0);
        for tensor in written.tensors() {
            assert_eq!(tensor.offset % u64::from(alignment), 0);
            let original = file.tensor_info(&tensor.name).unwrap();
            assert_eq!(written.tensor_bytes(tensor), file.tensor_bytes(original));
        }
    }
}

#[test]
fn a_file_of_metadata_alone_is_written() {
    let folder = Folder::new("vocabulary");
    let path = folder.path("a.gguf");
    let tokens = Strings::from(vec!["a", "", "é"]);
    let mut builder = Builder::new();
    builder.metadata("tokens", Value::Array(Array::String(tokens.clone()))).max_file_size(50);
    // There is nothing to split.
    assert_eq!(builder.create(&path).unwrap().finish().unwrap(), [path.as_path()]);
    let file = Gguf::open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(file.metadata().get("tokens"), Some(&Value::Array(Array::String(tokens))));
}

#[test]
fn what_does_not_fit_one_file_is_split_over_several() {
    let folder = Folder::new("sizes");
    let source = Path::new("tests/data/tiny/gemma3.gguf");
    let file = Gguf::open(source, &OpenOptions::default()).unwrap();
    let largest = file.tensors().iter().map(|tensor| tensor.size).max().unwrap();
    for (limit, piece) in [(1_200_000, 999), (600_000, 1 << 20), (largest + 40_000, 4096)] {
        let path = folder.path("m.gguf");
        let mut builder = description(&file);
        builder.max_file_size(limit);
        let plan = builder.files(&path).unwrap();
        let paths = fill(builder.create(&path).unwrap(), &file, piece);
        let count = paths.len();
        let want: Vec<String> = match count {
            1 => vec!["m.gguf".into()],
            _ => (1..=count).map(|n| format!("m-{n:05}-of-{count:05}.gguf")).collect(),
        };
        assert_eq!(folder.names(), want);
        assert_eq!(count > 1, limit < 1_200_000);
        for (planned, path) in plan.iter().zip(&paths) {
            assert_eq!(&planned.path, path);
            assert_eq!(planned.size, path.metadata().unwrap().len());
            assert!(planned.size <= limit);
            assert_same(&file, &Gguf::open(path, &OpenOptions::default()).unwrap());
        }
        // As few files as possible: the first tensor of a file would not have fitted the one before.
        let written = Gguf::open(&paths[0], &OpenOptions::default()).unwrap();
        for (shard, planned) in plan.iter().enumerate().skip(1) {
            let first = written.tensors().iter().find(|t| t.shard == shard).unwrap();
            assert!(plan[shard - 1].size + first.size > limit, "{planned:?}");
        }
        fs::remove_dir_all(&folder.0).unwrap();
        fs::create_dir(&folder.0).unwrap();
    }
}

#[test]
fn an_alignment_is_stated_in_every_file_of_a_set() {
    let folder = Folder::new("set-alignment");
    let file = read(File::sample().bytes());
    let mut builder = description(&file);
    builder.metadata("general.alignment", Value::U32(256)).max_file_size(2048);
    let paths = fill(builder.create(&folder.path("m.gguf")).unwrap(), &file, 100);
    assert!(paths.len() > 1);
    let written = Gguf::open(&paths[1], &OpenOptions::default()).unwrap();
    assert!(written.shards().iter().all(|shard| shard.alignment() == 256));
}

#[test]
fn what_would_be_no_sound_file_is_refused() {
    let folder = Folder::new("unsound");
    let path = folder.path("a.gguf");
    let dims = |dims: &[usize]| Dims::new(dims).unwrap();
    let refused = |change: &dyn Fn(&mut Builder<'static>)| {
        let mut builder = small();
        change(&mut builder);
        let message = builder.create(&path).unwrap_err().to_string();
        assert_eq!(builder.files(&path).unwrap_err().to_string(), message);
        message.strip_prefix(&format!("{}: ", path.display())).expect("the path").to_owned()
    };
    assert_eq!(
        refused(&|b| _ = b.tensor("a", dims(&[1]), 0)),
        "tensor name: cannot write \"a\", expected unique names"
    );
    assert_eq!(
        refused(&|b| _ = b.metadata("k", Value::U8(1)).metadata("k", Value::U8(1))),
        "metadata key: cannot write \"k\", expected unique names"
    );
    assert_eq!(
        refused(&|b| _ = b.metadata("general.alignment", Value::U32(48))),
        "general.alignment: cannot write 48, expected a power of two that fits 32 bits"
    );
    assert_eq!(
        refused(&|b| _ = b.metadata("general.alignment", Value::String("32".into()))),
        "general.alignment: cannot write \"32\", expected a power of two that fits 32 bits"
    );
    assert_eq!(
        refused(&|b| _ = b.tensor("b", dims(&[1]), 99)),
        "type of tensor \"b\": cannot write 99, expected a known tensor type"
    );
    assert_eq!(
        refused(&|b| _ = b.tensor("b", dims(&[320]), Format::Q5K.gguf_id())),
        "dimension 0 of tensor \"b\": cannot write 320, expected a multiple of 256, the block of Q5_K"
    );
    assert_eq!(
        refused(&|b| _ = b.max_file_size(90)),
        "greatest size of a file: cannot write 90, expected at least 192, the bytes of a file \
         with tensor \"a\""
    );
    assert!(folder.names().is_empty());
}

#[test]
fn data_must_be_neither_too_few_nor_too_many() {
    let folder = Folder::new("amount");
    let path = folder.path("a.gguf");
    fs::write(&path, "old").unwrap();
    let message = |error: Error| error.to_string().replace(&format!("{}: ", path.display()), "");

    let mut writer = small().create(&path).unwrap();
    writer.write(&[0; 11]).unwrap();
    assert_eq!(
        message(writer.finish().unwrap_err()),
        "data of tensor \"a\": cannot write 11 bytes, expected 12"
    );
    let mut writer = small().create(&path).unwrap();
    assert_eq!(
        message(writer.write(&[0; 14]).unwrap_err()),
        "data: cannot write 2 bytes behind the last tensor, expected no more"
    );
    drop(writer);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(folder.names(), ["a.gguf"]);

    let file = read(File::sample().bytes());
    let mut builder = description(&file);
    builder.max_file_size(1600);
    let mut writer = builder.create(&path).unwrap();
    for tensor in &file.tensors()[..1] {
        writer.write(file.tensor_bytes(tensor)).unwrap();
    }
    assert!(matches!(writer.finish(), Err(Error::Unwritable { .. })));
    assert_eq!(folder.names(), ["a.gguf"]);
}

#[test]
fn a_writer_that_is_dropped_leaves_the_old_files_and_nothing_else() {
    let folder = Folder::new("dropped");
    let path = folder.path("a.gguf");
    fs::write(&path, "old").unwrap();
    let mut writer = small().create(&path).unwrap();
    writer.write(&[0; 12]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    drop(writer);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(folder.names(), ["a.gguf"]);
}

#[test]
fn only_files_are_replaced() {
    let folder = Folder::new("replaced");
    for (path, words) in [
        (folder.0.clone(), "cannot replace: it is not a regular file"),
        (folder.path("none/a.gguf"), "cannot create: "),
        ("/dev/null".into(), "cannot replace: it is not a regular file"),
    ] {
        let message = small().create(&path).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: {words}", path.display())), "{message}");
    }
}

#[test]
fn whatever_is_read_is_written_the_same() {
    let folder = Folder::new("mutants");
    let path = folder.path("a.gguf");
    let original = File::sample().bytes();
    let (mut random, mut written) = (XorShift(99), 0);
    for _ in 0..3000 {
        let mut bytes = original.clone();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, 0..original.len() / 2, &mut random);
        }
        let Ok(file) = Gguf::from_bytes(bytes, &Limits::default()) else { continue };
        if file.alignment() > 4096 {
            continue; // megabytes of padding prove nothing more
        }
        fill(description(&file).create(&path).unwrap(), &file, 50);
        assert_same(&file, &Gguf::open(&path, &OpenOptions::default()).unwrap());
        written += 1;
    }
    assert!(written > 200, "{written}");
}
