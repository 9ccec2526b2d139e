//! What sound files say.

use std::fs;
use std::path::{Path, PathBuf};

use quintile::formats::Format;
use quintile::gguf::{Array, Error, Gguf, OpenOptions, Value};

use crate::builder::*;
use crate::read;

#[test]
fn every_value_type_is_read_in_the_files_order() {
    let file = read(File::sample().bytes());
    let found: Vec<(&str, Value)> =
        file.metadata().iter().map(|(key, value)| (key, value.clone())).collect();
    let strings = ["a", "", "grüße", "\u{1F600}"].into_iter().collect();
    let expected = [
        ("general.architecture", Value::String("llama".into())),
        ("empty string", Value::String(String::new())),
        ("u8", Value::U8(200)),
        ("u8s", Value::Array(Array::U8(vec![200; 2]))),
        ("i8", Value::I8(-100)),
        ("i8s", Value::Array(Array::I8(vec![-100; 2]))),
        ("u16", Value::U16(60_000)),
        ("u16s", Value::Array(Array::U16(vec![60_000; 2]))),
        ("i16", Value::I16(-30_000)),
        ("i16s", Value::Array(Array::I16(vec![-30_000; 2]))),
        ("u32", Value::U32(4_000_000_000)),
        ("u32s", Value::Array(Array::U32(vec![4_000_000_000; 2]))),
        ("i32", Value::I32(-2_000_000_000)),
        ("i32s", Value::Array(Array::I32(vec![-2_000_000_000; 2]))),
        ("u64", Value::U64(u64::MAX)),
        ("u64s", Value::Array(Array::U64(vec![u64::MAX; 2]))),
        ("i64", Value::I64(i64::MIN)),
        ("i64s", Value::Array(Array::I64(vec![i64::MIN; 2]))),
        ("f32", Value::F32(0.1)),
        ("f32s", Value::Array(Array::F32(vec![0.1; 2]))),
        ("f64", Value::F64(0.1)),
        ("f64s", Value::Array(Array::F64(vec![0.1; 2]))),
        ("bool", Value::Bool(true)),
        ("bools", Value::Array(Array::Bool(vec![true; 2]))),
        ("strings", Value::Array(Array::String(strings))),
        ("nothing", Value::Array(Array::F32(vec![]))),
    ];
    assert_eq!(found, expected);
}

#[test]
fn integers_of_any_width_are_taken_where_the_value_fits() {
    let file = read(File::sample().bytes());
    let metadata = file.metadata();
    assert_eq!(metadata.u32("u8").unwrap(), Some(200));
    assert_eq!(metadata.i32("i16").unwrap(), Some(-30_000));
    assert_eq!(metadata.u64("u64").unwrap(), Some(u64::MAX));
    assert_eq!(metadata.usize("u16").unwrap(), Some(60_000));
    assert_eq!(metadata.i32_array("u16s").unwrap().as_deref(), Some(&[60_000; 2][..]));
    assert_eq!(metadata.u32_array("u32s").unwrap().as_deref(), Some(&[4_000_000_000; 2][..]));
    for (key, fits) in [("i8", false), ("u64", false), ("u32", true), ("f32", false)] {
        assert_eq!(metadata.u32(key).is_ok(), fits, "{key}");
    }
    assert!(metadata.i32_array("u32s").is_err());
    assert!(metadata.u32_array("i8s").is_err());
}

#[test]
fn a_float64_is_taken_for_a_float32_only_where_nothing_is_lost() {
    let mut file = File::sample();
    file.pairs.push(pair("half", value_type::F64, &0.5f64.to_le_bytes()));
    let file = read(file.bytes());
    assert_eq!(file.metadata().f32("half").unwrap(), Some(0.5));
    assert_eq!(file.metadata().f32("f32").unwrap(), Some(0.1));
    assert!(file.metadata().f32("f64").is_err());
}

#[test]
fn absent_keys_are_none_whatever_the_getter() {
    let file = read(File::sample().bytes());
    let metadata = file.metadata();
    assert!(metadata.get("absent").is_none());
    assert_eq!(metadata.u32("absent").unwrap(), None);
    assert_eq!(metadata.f32("absent").unwrap(), None);
    assert_eq!(metadata.bool("absent").unwrap(), None);
    assert_eq!(metadata.str("absent").unwrap(), None);
    assert_eq!(metadata.str_array("absent").unwrap(), None);
    assert_eq!(metadata.missing("absent").to_string(), "no metadata key absent");
}

#[test]
fn typed_getters_return_what_the_file_holds() {
    let file = read(File::sample().bytes());
    let metadata = file.metadata();
    assert_eq!(metadata.str("general.architecture").unwrap(), Some("llama"));
    assert_eq!(metadata.bool("bool").unwrap(), Some(true));
    assert_eq!(metadata.str_array("strings").unwrap().map(quintile::gguf::Strings::len), Some(4));
    assert_eq!(metadata.f32_array("f32s").unwrap(), Some(&[0.1f32; 2][..]));
    assert_eq!(metadata.f32_array("nothing").unwrap(), Some(&[][..]));
    assert_eq!(metadata.bool_array("bools").unwrap(), Some(&[true; 2][..]));
}

#[test]
fn a_value_of_another_type_is_an_error_that_names_key_value_and_type() {
    let file = read(File::sample().bytes());
    let metadata = file.metadata();
    assert_eq!(
        metadata.u32("general.architecture").unwrap_err().to_string(),
        "general.architecture at byte 24: found \"llama\" (string), \
         expected an integer of 32 bits without sign"
    );
    let message = metadata.f32_array("strings").unwrap_err().to_string();
    assert!(
        message.ends_with("found array of 4 string, expected an array of float32"),
        "{message}"
    );
    assert!(metadata.str("strings").is_err());
    assert!(metadata.bool("u8").is_err());
    assert!(metadata.str_array("general.architecture").is_err());
}

#[test]
fn tensors_are_listed_and_found_by_name() {
    let bytes = File::sample().bytes();
    let data = (bytes.len() - File::sample().data.len()) as u64;
    let file = read(bytes);
    assert_eq!(file.data_offset(), data);
    let listed: Vec<_> = file
        .tensors()
        .iter()
        .map(|t| (t.name.as_str(), t.dims.to_vec(), t.type_name(), t.offset - data, t.size))
        .collect();
    let expected = [
        ("norm", vec![3], "F32", 0, 12),
        ("blocks", vec![64, 2], "Q8_0", 32, 136),
        ("super-blocks", vec![256, 1, 2], "Q5_K", 192, 352),
        ("not computed", vec![32, 2, 1, 1], "IQ4_NL", 544, 36),
    ];
    assert_eq!(listed, expected);
    assert_eq!(file.tensor_info("blocks").map(|t| t.format), Some(Some(Format::Q8_0)));
    assert!(file.tensor_info("absent").is_none());
}

#[test]
fn a_tensor_is_a_view_on_the_bytes_of_the_file() {
    let file = read(File::sample().bytes());
    let tensor = file.tensor("norm").unwrap();
    assert_eq!(tensor.to_f32(), [1.5, -2.0, 0.25]);
    let info = file.tensor_info("norm").unwrap();
    assert_eq!(tensor.bytes().as_ptr(), file.tensor_bytes(info).as_ptr());
}

#[test]
fn an_absent_tensor_is_an_error_or_none() {
    let file = read(File::sample().bytes());
    assert_eq!(file.tensor("absent").unwrap_err().to_string(), "no tensor absent");
    assert!(file.find_tensor("absent").unwrap().is_none());
}

#[test]
fn a_tensor_of_a_type_without_arithmetic_is_listed_but_not_viewed() {
    let file = read(File::sample().bytes());
    let error = file.tensor("not computed").unwrap_err();
    assert!(matches!(error, Error::NotComputed { type_name: "IQ4_NL", .. }), "{error}");
    assert!(file.find_tensor("not computed").is_err());
}

#[test]
fn version_2_is_read_as_version_3() {
    let file = read(File { version: 2, ..File::sample() }.bytes());
    assert_eq!(file.version(), 2);
    assert_eq!(file.tensors().len(), 4);
}

#[test]
fn the_data_section_begins_at_the_files_own_alignment() {
    for alignment in [1u32, 8, 64, 4096] {
        let record = Record::new("t", &[1], tensor_type::F32, 0);
        let mut file = File::with_tensor(record, 4);
        file.pairs.push(pair("general.alignment", value_type::U32, &alignment.to_le_bytes()));
        file.alignment = alignment as usize;
        file.data = 7.0f32.to_le_bytes().to_vec();
        let file = read(file.bytes());
        assert_eq!(file.alignment(), alignment);
        assert_eq!(file.tensor("t").unwrap().at(&[0]).unwrap(), 7.0, "alignment {alignment}");
    }
}

#[test]
fn tensors_may_lie_in_any_order_with_gaps_between_them() {
    let mut file = File::with_tensor(Record::new("last", &[1], tensor_type::F32, 128), 132);
    file.tensors.push(Record::new("first", &[1], tensor_type::F32, 0));
    let names: Vec<String> = read(file.bytes()).tensors().iter().map(|t| t.name.clone()).collect();
    assert_eq!(names, ["last", "first"]);
}

#[test]
fn a_file_without_tensors_or_metadata_is_sound() {
    let file = read(File::empty().bytes());
    assert!(file.metadata().is_empty());
    assert!(file.tensors().is_empty());
    assert_eq!((file.file_size(), file.data_offset()), (24, 32));
}

/// A path for a file that a test writes.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.gguf", std::process::id()))
}

fn both_ways() -> [OpenOptions; 2] {
    [true, false].map(|mmap| OpenOptions { mmap, ..OpenOptions::default() })
}

#[test]
fn a_mapped_file_and_a_file_read_into_memory_are_the_same() {
    let path = scratch("sample");
    let bytes = File::sample().bytes();
    fs::write(&path, &bytes).unwrap();
    for options in both_ways() {
        let file = Gguf::open(&path, &options).unwrap();
        assert_eq!(file.path(), Some(path.as_path()));
        assert_eq!(file.file_size(), bytes.len() as u64);
        assert_eq!(file.tensor("norm").unwrap().to_f32(), [1.5, -2.0, 0.25]);
    }
    fs::remove_file(&path).unwrap();
}

/// A mapped file does not: see [`OpenOptions::mmap`].
#[test]
fn a_file_that_was_read_into_memory_survives_its_truncation() {
    let path = scratch("truncated-later");
    fs::write(&path, File::sample().bytes()).unwrap();
    let options = OpenOptions { mmap: false, ..OpenOptions::default() };
    let file = Gguf::open(&path, &options).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(file.tensor("norm").unwrap().to_f32(), [1.5, -2.0, 0.25]);
    fs::remove_file(&path).unwrap();
}

#[test]
fn errors_of_a_file_begin_with_its_path() {
    let path = scratch("broken");
    let prefix = path.display().to_string();
    for (bytes, rest) in [
        (vec![], "magic at byte 0: found the end of the file after 0 bytes, expected 4 bytes"),
        (b"GGUF\x01\0\0\0".to_vec(), "version at byte 4: found 1, expected 2 or 3"),
    ] {
        fs::write(&path, bytes).unwrap();
        for options in both_ways() {
            let message = Gguf::open(&path, &options).unwrap_err().to_string();
            assert_eq!(message, format!("{prefix}: {rest}"));
        }
    }
    fs::write(&path, File::sample().bytes()).unwrap();
    let file = Gguf::open(&path, &OpenOptions::default()).unwrap();
    let errors = [
        file.metadata().missing("absent"),
        file.metadata().u32("strings").unwrap_err(),
        file.tensor("absent").unwrap_err(),
        file.tensor("not computed").unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().starts_with(&format!("{prefix}: ")), "{error}");
    }
    fs::remove_file(&path).unwrap();
}

#[test]
fn what_is_not_a_regular_file_is_refused() {
    for path in [env!("CARGO_TARGET_TMPDIR"), "/dev/zero"] {
        if !Path::new(path).exists() {
            continue; // no such device on this system
        }
        for options in both_ways() {
            let error = Gguf::open(path.as_ref(), &options).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{error}");
            assert!(error.to_string().starts_with(path), "{error}");
        }
    }
    let absent = scratch("absent");
    let error = Gguf::open(&absent, &OpenOptions::default()).unwrap_err();
    assert!(error.to_string().contains(": cannot open: "), "{error}");
}
