//! The same promises on the models of a directory, named by the environment variable
//! `QUINTILE_MODELS` (`scripts/fetch-models.py` fills one).

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use quintile::gguf::{Gguf, OpenOptions};

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

/// Every cut in the first and last 4096 bytes of the smallest header, of the others every cut in
/// the first 4096 and the last 64 bytes, and 250 cuts between: a minute's work.
#[test]
fn every_truncation_of_a_models_header_is_refused() {
    for (i, (path, model)) in models().into_iter().enumerate() {
        let header = header(&path, &model);
        let tail = if i == 0 { 4096 } else { 64 };
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

/// Damage falls in the beginning, in the tensor records or anywhere, in equal parts.
#[test]
fn three_hundred_mutants_of_a_models_header_stay_within_bounds() {
    for (path, model) in models() {
        let header = header(&path, &model);
        let mut random = XorShift(0xD1B5_4A32_D192_ED03);
        for _ in 0..300 {
            let mut mutant = header.clone();
            let range = match random.below(3) {
                0 => 0..2048,
                1 => mutant.len() - 16_384..mutant.len(),
                _ => 0..mutant.len(),
            };
            mutate(&mut mutant, range, &mut random);
            read_within_bounds(mutant);
        }
    }
}
