//! The same promises on the models of a directory, named by the environment variable
//! `QUINTILE_MODELS` (`scripts/fetch-models.py` fills one).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::model::Model;
use quintile::model::tokenizer::{EncodeOptions, Tokenizer, Vocab};

use crate::allocation::peak_during;
use crate::mutations::{XorShift, mutate, read_within_bounds};

/// The models, smallest header first; empty, with a note, where the variable is not set.
fn models() -> Vec<(PathBuf, Gguf)> {
    let Some(directory) = std::env::var_os("QUINTILE_MODELS") else {
        eprintln!("skipped: QUINTILE_MODELS is not set to a directory with GGUF files");
        return Vec::new();
    };
    let entries = fs::read_dir(&directory).expect("QUINTILE_MODELS is a directory");
    let mut models: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .map(|path| {
            let model = Gguf::open(&path, &OpenOptions::default()).unwrap();
            (path, model)
        })
        .collect();
    assert!(!models.is_empty(), "{} holds no .gguf file", directory.display());
    models.sort_by_key(|(_, model)| model.data_offset());
    models
}

/// The file up to its tensor data.
fn header(path: &PathBuf, model: &Gguf) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).unwrap();
    file.take(model.data_offset()).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn rows_and_elements_of_every_tensor_of_a_model_are_finite_and_agree() {
    for (path, model) in models() {
        for info in model.tensors() {
            let tensor = model.tensor(&info.name).unwrap();
            for row in [0, tensor.rows() / 2, tensor.rows() - 1] {
                let values = tensor.row(row).unwrap();
                assert!(values.iter().all(|v| v.is_finite()), "{path:?}: {}", info.name);
                if tensor.dims().len() == 2 {
                    let column = row % tensor.k();
                    assert_eq!(tensor.at(&[row, column]).unwrap(), values[column]);
                }
            }
        }
    }
}

/// Every cut in the first 4096 bytes and the last 1024 of the smallest header, or 64 of the others,
/// and 250 cuts between.
#[test]
fn every_truncation_of_a_models_header_is_refused() {
    for (i, (path, model)) in models().into_iter().enumerate() {
        let header = header(&path, &model);
        let tail = if i == 0 { 1024 } else { 64 };
        let start = Instant::now();
        let ends = (0..4096).chain(header.len() - tail..header.len());
        let between = (4096..header.len()).step_by(header.len() / 250);
        let mut cuts = 0;
        for len in ends.chain(between) {
            assert!(!read_within_bounds(header[..len].to_vec()), "{path:?} cut to {len} bytes");
            cuts += 1;
        }
        println!("{}: {cuts} cuts in {:.1?}", path.display(), start.elapsed());
    }
}

/// A copy of a model in which only the header is there: its data are a hole, so that it costs
/// nothing to make and is as long as the model.
struct Copy {
    path: PathBuf,
    len: u64,
}

impl Copy {
    fn of(model: &Gguf, name: &str) -> Copy {
        Copy { path: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), len: model.file_size() }
    }

    /// Puts `header` at its beginning and cuts it to `len` bytes. Then loads all that a run would,
    /// within a second and 64 MiB; returns whether that succeeded.
    fn load(&self, header: &[u8], len: u64, damage: &str) -> bool {
        let mut file = fs::File::create(&self.path).unwrap();
        file.write_all(header).unwrap();
        file.set_len(len).unwrap();
        drop(file);
        let start = Instant::now();
        let (result, peak) = peak_during(|| self.load_all());
        let elapsed = start.elapsed();
        let path = self.path.display();
        assert!(elapsed < Duration::from_secs(1), "{path}, {damage}: {elapsed:?}");
        assert!(peak <= 64 << 20, "{path}, {damage}: {peak} bytes");
        if let Err(message) = &result {
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.len() < 1000, "{message}");
        }
        result.is_ok()
    }

    fn load_all(&self) -> Result<(), String> {
        let file = Gguf::open(&self.path, &OpenOptions::default()).map_err(|e| e.to_string())?;
        {
            let vocab = Vocab::from_gguf(&file).map_err(|e| e.to_string())?;
            let tokenizer = Tokenizer::new(vocab).map_err(|e| e.to_string())?;
            let options = EncodeOptions { add_special: true, parse_special: true };
            tokenizer.encode("the word", options);
        }
        Model::load(file, Isa::detect()).map(drop).map_err(|e| e.to_string())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Damage falls in the beginning, in the tensor records or anywhere, in equal parts.
#[test]
fn three_hundred_mutants_of_a_model_are_loaded_or_refused_within_a_second_and_64_mib() {
    for (path, model) in models() {
        let header = header(&path, &model);
        let copy = Copy::of(&model, "mutant.gguf");
        assert!(copy.load(&header, copy.len, "none"), "{path:?} is sound");
        let mut random = XorShift(0xD1B5_4A32_D192_ED03);
        let mut loaded = 0;
        for i in 0..300 {
            let mut mutant = header.clone();
            let range = match random.below(3) {
                0 => 0..2048,
                1 => mutant.len() - 16_384..mutant.len(),
                _ => 0..mutant.len(),
            };
            mutate(&mut mutant, range, &mut random);
            // A header that changed its length has moved the data: with the end of them gone, it
            // is cut as well.
            loaded += usize::from(copy.load(&mutant, copy.len, &format!("mutant {i}")));
        }
        assert!((1..300).contains(&loaded), "{path:?}: {loaded} of 300 loaded");
        println!("{}: {loaded} of 300 mutants loaded", path.display());
    }
}

/// Half of the cuts fall in the header, half in the data.
#[test]
fn three_hundred_truncations_of_a_model_are_refused_within_a_second_and_64_mib() {
    for (path, model) in models() {
        let header = header(&path, &model);
        let copy = Copy::of(&model, "cut.gguf");
        let mut random = XorShift(0x2545_F491_4F6C_DD1D);
        for i in 0..300 {
            let len = match i {
                0 => copy.len as usize - 1,
                1..150 => header.len() + random.below(copy.len as usize - header.len()),
                _ => random.below(header.len()),
            };
            let cut = &header[..header.len().min(len)];
            let loaded = copy.load(cut, len as u64, &format!("cut to {len} bytes"));
            assert!(!loaded, "{path:?} cut to {len} bytes");
        }
    }
}
