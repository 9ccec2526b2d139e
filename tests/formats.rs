//! The formats against reference vectors: blocks with the values that the Python package `gguf`
//! dequantises them to (`scripts/make_vectors.py`, `tests/data/vectors/index.json`).

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use quintile::formats::{Block, BlockQ5K, Format, f16_bits, f16_value};

/// Blocks and the values of their elements.
struct Vector {
    name: String,
    format: Format,
    blocks: Vec<u8>,
    values: Vec<f32>,
}

/// All vectors of the index.
fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vectors");
    let read =
        |file: &str| fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let index: serde_json::Value = serde_json::from_slice(&read("index.json")).unwrap();
    let vector = |entry: &serde_json::Value| {
        let name = entry["name"].as_str().expect("name").to_owned();
        let type_name = entry["type"].as_str().expect("type");
        let format = Format::ALL.into_iter().find(|format| format.name() == type_name);
        let blocks = read(&format!("{name}.blocks.bin"));
        let values = read(&format!("{name}.f32.bin"));
        assert_eq!(Some(blocks.len() as u64), entry["bytes"].as_u64(), "{name}: bytes");
        assert_eq!(Some(values.len() as u64 / 4), entry["values"].as_u64(), "{name}: values");
        let values = values.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        Vector { format: format.expect(type_name), blocks, values: values.collect(), name }
    };
    index.as_array().expect("a list").iter().map(vector).collect()
}

/// The bits of a value; one pattern for every NaN.
fn bits(x: f32) -> u32 {
    if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }
}

#[track_caller]
fn assert_same_bits(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let same = bits(found) == bits(expected);
        assert!(same, "{what}: value {i} is {found:e}, expected {expected:e}");
    }
}

fn dequantized(format: Format, row: &[u8], len: usize) -> Vec<f32> {
    // A value that is not written stays a number that no vector has.
    let mut out = vec![1.2345e-33; len];
    format.dequantize(row, &mut out);
    out
}

#[test]
fn every_format_has_vectors_of_numbers_and_of_edge_cases() {
    let vectors = vectors();
    for format in Format::ALL {
        let has = |kind: fn(f32) -> bool| {
            let values = vectors.iter().filter(|v| v.format == format).flat_map(|v| &v.values);
            values.copied().any(kind)
        };
        assert!(has(f32::is_normal), "{format}: no number");
        assert!(has(f32::is_nan), "{format}: no NaN");
        assert!(has(f32::is_infinite), "{format}: no infinity");
        assert!(has(|x| x == 0.0 && x.is_sign_negative()), "{format}: no negative zero");
        // A subnormal f16, the scale of the other formats, is a normal f32.
        let wide_range = matches!(format, Format::F32 | Format::Bf16 | Format::Q8K);
        assert_eq!(has(f32::is_subnormal), wide_range, "{format}: subnormals");
    }
}

#[test]
fn dequantised_blocks_equal_the_reference_to_the_bit() {
    for Vector { name, format, blocks, values } in vectors() {
        assert_eq!(format.row_bytes(values.len()), Some(blocks.len()), "{name}");
        assert_same_bits(&dequantized(format, &blocks, values.len()), &values, &name);
    }
}

#[test]
fn blocks_may_start_at_any_address() {
    for Vector { name, format, blocks, values } in vectors() {
        let mut buffer = vec![0xa5; blocks.len() + 128];
        let aligned = buffer.as_ptr().align_offset(64);
        for offset in [1, 2, 3, 5, 7, 31, 63] {
            let row = &mut buffer[aligned + offset..][..blocks.len()];
            row.copy_from_slice(&blocks);
            assert_eq!(row.as_ptr().addr() % 64, offset);
            let what = format!("{name} at {offset} past a cache line");
            assert_same_bits(&dequantized(format, row, values.len()), &values, &what);
        }
    }
}

#[test]
fn a_block_alone_has_the_values_that_it_has_in_its_row() {
    for Vector { name, format, blocks, values } in vectors() {
        let rows = blocks.chunks(format.block_bytes());
        for (i, (block, values)) in rows.zip(values.chunks(format.block_len())).enumerate() {
            let what = format!("{name}, block {i}");
            assert_same_bits(&dequantized(format, block, values.len()), values, &what);
        }
    }
}

#[test]
fn every_f16_has_the_value_that_ieee_754_gives_it() {
    for bits in 0..=u16::MAX {
        let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let expected = match exponent {
            0 => sign * fraction * 2f64.powi(-24),
            31 if fraction == 0.0 => sign * f64::INFINITY,
            31 => f64::NAN,
            _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
        };
        let found = f16_value(bits.to_le_bytes());
        assert_same_bits(&[found], &[expected as f32], &format!("f16 {bits:#06x}"));
        if !found.is_nan() {
            assert_eq!(f16_bits(found), bits.to_le_bytes(), "f16 {bits:#06x} there and back");
        }
    }
}

#[test]
fn row_bytes_counts_whole_blocks_or_refuses() {
    for format in Format::ALL {
        let (len, bytes) = (format.block_len(), format.block_bytes());
        let last = usize::MAX / len * len;
        let fits = usize::MAX / bytes * len.min(bytes);
        let around = |k: usize| [k.saturating_sub(1), k, k.saturating_add(1)];
        let lengths = [0, len, 2 * len, 3 * len, 32, 256, 576, 640, 1536, fits / len * len, last];
        for k in lengths.into_iter().flat_map(around) {
            let exact = (k as u128 / len as u128) * bytes as u128;
            let expected = (k % len == 0).then_some(exact).and_then(|n| usize::try_from(n).ok());
            assert_eq!(format.row_bytes(k), expected, "{format}, row of {k}");
        }
    }
    // As plain numbers: a row that is empty, whole, in part a block, and beyond the address space.
    assert_eq!(Format::Q5K.row_bytes(0), Some(0));
    assert_eq!(Format::Q5K.row_bytes(1536), Some(1056));
    assert_eq!(Format::Q5K.row_bytes(576), None);
    assert_eq!(Format::Q8_0.row_bytes(576), Some(612));
    assert_eq!(Format::F32.row_bytes(usize::MAX / 4 + 1), None);
}

#[test]
fn an_empty_row_has_no_values() {
    for format in Format::ALL {
        format.dequantize(&[], &mut []);
    }
}

#[test]
fn gguf_numbers_and_formats_name_each_other() {
    for id in 0..=256 {
        if let Some(format) = Format::from_gguf_id(id) {
            assert_eq!(format.gguf_id(), id);
        }
    }
    let ids = Format::ALL.map(Format::gguf_id);
    assert_eq!(ids.map(Format::from_gguf_id), Format::ALL.map(Some));
    // Types that other tools have and this crate does not compute with: Q8_1, IQ2_XXS, F64, none.
    for id in [9, 16, 28, u32::MAX] {
        assert_eq!(Format::from_gguf_id(id), None, "type {id}");
    }
}

/// The message of the panic that `call` ends in.
fn panic_message(call: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(call).expect_err("the call should panic");
    *payload.downcast::<String>().expect("a message with numbers in it")
}

#[test]
fn a_row_of_the_wrong_length_is_refused_with_both_numbers() {
    for format in Format::ALL {
        let (len, bytes) = (format.block_len(), format.block_bytes());
        for (found, values) in [(bytes + 1, len), (2 * bytes - 1, 2 * len), (0, len), (bytes, 0)] {
            let message =
                panic_message(|| format.dequantize(&vec![0; found], &mut vec![0.0; values]));
            let expected = format.row_bytes(values).unwrap();
            for part in [
                format!("bytes of a {format} row of {values} values"),
                format!("Some({found})"),
                format!("Some({expected})"),
            ] {
                assert!(message.contains(&part), "{part:?} is not in {message:?}");
            }
        }
        if len > 1 {
            let message =
                panic_message(|| format.dequantize(&vec![0; bytes], &mut vec![0.0; len - 1]));
            for part in [format!("row of {} values", len - 1), format!("Some({bytes})")] {
                assert!(message.contains(&part), "{part:?} is not in {message:?}");
            }
        }
    }
}

#[test]
fn a_broken_block_is_not_viewed() {
    assert_eq!(BlockQ5K::slice(&[0; 352]).len(), 2);
    let message = panic_message(|| assert!(BlockQ5K::slice(&[0; 351]).is_empty()));
    assert!(message.contains("351 bytes in blocks of 176"), "{message}");
}

#[cfg(feature = "driver")]
mod tensor {
    use super::*;
    use quintile::tensor::{Error, Tensor};

    /// Two ways to see the vector as a tensor: a matrix of up to four rows, and three dimensions.
    fn shapes(format: Format, values: usize) -> [Vec<usize>; 2] {
        let blocks = values / format.block_len();
        let rows = (1..=4).rev().find(|&rows| blocks.is_multiple_of(rows)).unwrap();
        let matrix = vec![values / rows, rows];
        [matrix, vec![format.block_len(), blocks / rows, rows]]
    }

    /// Calls `visit` with each vector in each shape, its values beside it.
    fn for_each_tensor(visit: impl Fn(&str, Tensor<'_>, &[f32])) {
        for Vector { name, format, blocks, values } in vectors() {
            for dims in shapes(format, values.len()) {
                let tensor = Tensor::new(format, &dims, &blocks).unwrap();
                visit(&format!("{name} as {dims:?}"), tensor, &values);
            }
        }
    }

    #[test]
    fn a_tensor_of_a_vector_has_its_values() {
        for_each_tensor(|what, tensor, values| assert_same_bits(&tensor.to_f32(), values, what));
    }

    #[test]
    fn rows_of_a_tensor_are_consecutive_runs_of_its_values() {
        for_each_tensor(|what, tensor, values| {
            assert_eq!(tensor.rows() * tensor.k(), values.len(), "{what}");
            let mut into = vec![0.0; tensor.k()];
            for (row, values) in values.chunks(tensor.k()).enumerate() {
                assert_same_bits(&tensor.row(row).unwrap(), values, what);
                tensor.row_into(row, &mut into).unwrap();
                assert_same_bits(&into, values, what);
            }
            let rows = tensor.rows();
            assert_eq!(tensor.row(rows), Err(Error::Row { row: rows, rows }), "{what}");
        });
    }

    #[test]
    fn an_element_is_found_at_its_row_major_indices() {
        for_each_tensor(|what, tensor, values| {
            let dims = tensor.dims();
            // A step that is prime to every block length visits each position of a block.
            for i in (0..values.len()).step_by(37) {
                let column = i % dims[0];
                let indices = match *dims {
                    [_, _] => vec![i / dims[0], column],
                    [_, d1, _] => vec![i / (dims[0] * d1), i / dims[0] % d1, column],
                    _ => unreachable!("shapes have two or three dimensions"),
                };
                let found = tensor.at(&indices).unwrap();
                assert_same_bits(&[found], &values[i..=i], &format!("{what} at {indices:?}"));
            }
        });
    }

    #[test]
    fn an_index_past_a_dimension_is_refused() {
        for_each_tensor(|what, tensor, _| {
            let dims = tensor.dims();
            let last: Vec<usize> = dims.iter().rev().map(|size| size - 1).collect();
            assert!(tensor.at(&last).is_ok(), "{what}");
            for position in 0..last.len() {
                let mut past = last.clone();
                past[position] += 1;
                let size = past[position];
                let expected = Error::Index { position, index: size, size };
                assert_eq!(tensor.at(&past), Err(expected), "{what}");
            }
            let expected = Error::IndexCount { found: last.len() - 1, expected: last.len() };
            assert_eq!(tensor.at(&last[1..]), Err(expected), "{what}");
        });
    }
}
