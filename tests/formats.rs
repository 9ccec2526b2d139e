//! Block layouts against reference values, to the bit.

use quintile::formats::Format;
use serde_json::Value;
use std::path::Path;

/// A reference: the bytes of whole blocks, and the value of every element.
struct Vector {
    name: String,
    format: Format,
    blocks: Vec<u8>,
    values: Vec<f32>,
}

/// `tests/data/vectors`: blocks of real models, dequantised by another implementation (`source` in
/// `index.json`), and blocks of random bits, by the `gguf` package (`scripts/make_vectors.py`).
fn vectors() -> Vec<Vector> {
    let folder = Path::new("tests/data/vectors");
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_str(&index).unwrap();
    let vector = |entry: &Value| {
        let name = entry["name"].as_str().unwrap().to_owned();
        let read = |kind: &str| std::fs::read(folder.join(format!("{name}.{kind}.bin"))).unwrap();
        let format = Format::ALL.into_iter().find(|f| f.name() == entry["type"]).unwrap();
        let values =
            read("f32").as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Vector { format, blocks: read("blocks"), values, name }
    };
    index.iter().map(vector).collect()
}

fn assert_same(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let same = g.to_bits() == w.to_bits() || (g.is_nan() && w.is_nan());
        assert!(same, "{what}, element {i}: {g:e}, not {w:e}");
    }
}

#[test]
fn every_format_but_f32_has_a_vector() {
    let vectors = vectors();
    for format in Format::ALL {
        let has = vectors.iter().any(|v| v.format == format);
        assert!(has || format == Format::F32, "{format}");
    }
}

#[test]
fn dequantised_blocks_equal_the_reference_to_the_bit_at_any_address() {
    for v in vectors() {
        for offset in [0, 1, 3] {
            let mut bytes = vec![0; offset];
            bytes.extend(&v.blocks);
            let mut got = vec![0.0; v.values.len()];
            v.format.dequantize(&bytes[offset..], &mut got);
            assert_same(&got, &v.values, &v.name);
        }
    }
}

#[test]
fn f32_rows_are_their_bytes() {
    let values = [0.0f32, -0.0, 1.5, f32::MIN_POSITIVE / 2.0, f32::INFINITY, f32::NAN];
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut got = [0.0; 6];
    Format::F32.dequantize(&bytes, &mut got);
    assert_same(&got, &values, "f32");
}

#[test]
fn rows_are_whole_blocks_and_their_bytes_do_not_overflow() {
    assert_eq!(Format::Q5K.row_bytes(512), Some(352));
    assert_eq!(Format::Q5K.row_bytes(128), None);
    assert_eq!(Format::Q8_0.row_bytes(576), Some(612));
    assert_eq!(Format::F32.row_bytes(usize::MAX), None);
    assert_eq!(Format::Q4_0.row_bytes(0), Some(0));
}

#[test]
#[should_panic(expected = "bytes of a Q4_K row of 256 values")]
fn a_row_of_the_wrong_length_is_refused() {
    Format::Q4K.dequantize(&[0; 100], &mut [0.0; 256]);
}

#[test]
fn gguf_numbers_and_formats_map_to_each_other() {
    for format in Format::ALL {
        assert_eq!(Format::from_gguf_id(format.gguf_id()), Some(format));
    }
    assert_eq!(Format::from_gguf_id(16), None);
}
