//! Tensors against the reference vectors: `at`, `row` and `to_f32` give the same exact values, at
//! any address, in any shape.

use std::fs;
use std::path::Path;

use quintile::formats::Format;
use quintile::tensor::{Error, Tensor};

struct Vector {
    name: String,
    format: Format,
    bytes: Vec<u8>,
    values: Vec<f32>,
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vectors");
    let read = |name: String| fs::read(folder.join(name)).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&read("index.json".into())).unwrap();
    let entries = index.as_array().unwrap();
    assert!(!entries.is_empty());
    entries
        .iter()
        .map(|entry| {
            let name = entry["name"].as_str().unwrap().to_owned();
            let type_name = entry["type"].as_str().unwrap();
            let format = Format::ALL.into_iter().find(|format| format.name() == type_name).unwrap();
            let values = read(format!("{name}.f32.bin"));
            let values = values.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
            Vector { bytes: read(format!("{name}.blocks.bin")), name, format, values }
        })
        .collect()
}

/// The same number; NaN whatever its payload.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

fn assert_same(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        assert!(same(a, b), "{what}: element {i} is {a}, expected {b}");
    }
}

/// Shapes of `count` elements in rows of one and of several blocks, of one to four dimensions.
fn shapes(format: Format, count: usize) -> Vec<Vec<usize>> {
    let block = format.block_len().max(32);
    let blocks = count / block;
    let shapes = vec![
        vec![count],
        vec![block, blocks],
        vec![2 * block, blocks / 2],
        vec![block, 2, blocks / 2],
        vec![block, blocks / 4, 2, 2],
    ];
    // A vector of few elements has not all of them.
    shapes.into_iter().filter(|dims| dims.iter().product::<usize>() == count).collect()
}

#[test]
fn rows_are_the_reference_values_in_every_shape() {
    for vector in vectors() {
        for dims in shapes(vector.format, vector.values.len()) {
            let what = format!("{} as {dims:?}", vector.name);
            let tensor = Tensor::new(vector.format, &dims, &vector.bytes).unwrap();
            assert_same(&tensor.to_f32(), &vector.values, &what);
            for (i, expected) in vector.values.chunks_exact(tensor.k()).enumerate() {
                assert_same(&tensor.row(i).unwrap(), expected, &what);
            }
        }
    }
}

#[test]
fn elements_are_the_reference_values_in_every_shape() {
    for vector in vectors() {
        for dims in shapes(vector.format, vector.values.len()) {
            let tensor = Tensor::new(vector.format, &dims, &vector.bytes).unwrap();
            for (element, &expected) in vector.values.iter().enumerate().step_by(7) {
                let mut rest = element;
                let mut indices: Vec<usize> = Vec::new();
                for size in &dims {
                    indices.push(rest % size);
                    rest /= size;
                }
                indices.reverse();
                let found = tensor.at(&indices).unwrap();
                assert!(same(found, expected), "{} at {indices:?} of {dims:?}", vector.name);
            }
        }
    }
}

#[test]
fn bytes_may_lie_at_any_address() {
    for vector in vectors() {
        for shift in 0..8 {
            let mut moved = vec![0; shift];
            moved.extend(&vector.bytes);
            let dims = [vector.values.len()];
            let tensor = Tensor::new(vector.format, &dims, &moved[shift..]).unwrap();
            assert_same(&tensor.to_f32(), &vector.values, &vector.name);
        }
    }
}

#[test]
fn shapes_that_do_not_fit_their_format_or_bytes_are_refused() {
    let refusal = |format, dims: &[usize], bytes: usize| {
        Tensor::new(format, dims, &vec![0; bytes]).unwrap_err().to_string()
    };
    assert_eq!(refusal(Format::F32, &[], 0), "tensor with 0 dimensions, expected 1 to 4");
    assert_eq!(refusal(Format::F32, &[1; 5], 4), "tensor with 5 dimensions, expected 1 to 4");
    assert_eq!(refusal(Format::F32, &[4, 0], 0), "dimension 1 is 0, expected at least 1");
    assert_eq!(
        refusal(Format::Q5K, &[576, 4], 0),
        "rows of 576 values are not whole blocks of Q5_K, expected a multiple of 256"
    );
    assert_eq!(
        refusal(Format::F32, &[1 << 32, 1 << 32], 0),
        "tensor of [4294967296, 4294967296] has more elements than memory can hold as f32"
    );
    for bytes in [0, 175, 177, 352] {
        assert_eq!(
            refusal(Format::Q5K, &[256, 1], bytes),
            format!("Q5_K tensor of [256, 1] in {bytes} bytes, expected 176")
        );
    }
}

#[test]
fn indices_and_rows_out_of_range_are_refused() {
    let bytes = [0; 4 * 6];
    let tensor = Tensor::new(Format::F32, &[3, 2], &bytes).unwrap();
    assert_eq!(tensor.at(&[1]), Err(Error::IndexCount { found: 1, expected: 2 }));
    assert_eq!(tensor.at(&[2, 0]), Err(Error::Index { position: 0, index: 2, size: 2 }));
    assert_eq!(tensor.at(&[1, 3]), Err(Error::Index { position: 1, index: 3, size: 3 }));
    assert_eq!(tensor.row(2), Err(Error::Row { row: 2, rows: 2 }));
    assert_eq!(tensor.row_into(0, &mut [0.0; 4]), Err(Error::RowBuffer { found: 4, k: 3 }));
}
