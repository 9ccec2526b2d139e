//! One test for each class of faults that GGUF readers have had. Messages are compared in full:
//! they name the field, its byte, what was found and what was expected. Where a fault has a public
//! record, the test names it.

use crate::assert_refused;
use crate::builder::*;

/// Bytes of a header before its first pair or record.
const FIRST: usize = 24;

fn pair_of(type_id: u32, value: &[u8]) -> Vec<u8> {
    File::with_pair(pair("k", type_id, value)).bytes()
}

/// A file with one tensor `t` and no data.
fn tensor_of(dims: &[u64], type_id: u32) -> Vec<u8> {
    File::with_tensor(Record::new("t", dims, type_id, 0), 0).bytes()
}

fn alignment_of(type_id: u32, value: &[u8]) -> Vec<u8> {
    File::with_pair(pair("general.alignment", type_id, value)).bytes()
}

#[test]
fn every_truncation_of_a_sound_file_is_refused() {
    let whole = File::sample().bytes();
    crate::read(whole.clone());
    for len in 0..whole.len() {
        crate::refusal(whole[..len].to_vec());
    }
}

#[test]
fn other_magic_is_refused() {
    let file = File { magic: *b"GG\nF", ..File::empty() };
    assert_refused(file.bytes(), r#"magic at byte 0: found "GG\nF", expected "GGUF""#);
}

#[test]
fn versions_other_than_2_and_3_are_refused() {
    for version in [0, 1, 4, u32::MAX] {
        let file = File { version, ..File::empty() };
        let message = format!("version at byte 4: found {version}, expected 2 or 3");
        assert_refused(file.bytes(), &message);
    }
}

#[test]
fn big_endian_files_are_refused_as_such() {
    let file = File { version: 3u32.swap_bytes(), ..File::empty() };
    let message = "version at byte 4: found 3 in big-endian order, expected a little-endian file";
    assert_refused(file.bytes(), message);
}

/// candle#3533; as signed numbers two of these are negative.
#[test]
fn a_tensor_count_beyond_the_limit_is_refused() {
    for count in [131_073, i64::MIN as u64, u64::MAX] {
        let file = File { tensor_count: Some(count), ..File::empty() };
        let message =
            format!("number of tensors at byte 8: found {count}, expected at most 131072");
        assert_refused(file.bytes(), &message);
    }
}

#[test]
fn a_tensor_count_beyond_the_bytes_that_follow_is_refused() {
    let file = File { tensor_count: Some(1), ..File::empty() };
    let message = "number of tensors at byte 8: found 1, expected at most 0, for 8 bytes follow";
    assert_refused(file.bytes(), message);
}

/// candle#3533.
#[test]
fn a_pair_count_beyond_the_bytes_that_follow_is_refused() {
    let mut file = File::with_pair(pair("k", value_type::U8, &[0]));
    file.pair_count = Some(2);
    let message =
        "number of metadata keys at byte 16: found 2, expected at most 1, for 14 bytes follow";
    assert_refused(file.bytes(), message);
}

#[test]
fn a_key_longer_than_the_specification_allows_is_refused() {
    let file = File::with_pair(pair(&"k".repeat(65_536), value_type::U8, &[0]));
    let message = "metadata key 0, length at byte 24: found 65536, expected at most 65535";
    assert_refused(file.bytes(), message);
}

/// CVE-2025-66960, candle#3533: memory for what a length promises.
#[test]
fn a_string_length_beyond_the_file_is_refused() {
    let message = "\"k\", length at byte 37: found 4, expected at most 3, for 3 bytes follow";
    assert_refused(pair_of(value_type::STRING, b"\x04\0\0\0\0\0\0\0abc"), message);
    let message = "\"k\", length at byte 37: found 18446744073709551615, expected at most 16777216";
    assert_refused(pair_of(value_type::STRING, &[0xff; 8]), message);
}

/// candle#3533.
#[test]
fn an_array_count_beyond_the_file_is_refused() {
    let message =
        "element count of \"k\" at byte 41: found 3, expected at most 2, for 8 bytes follow";
    assert_refused(pair_of(value_type::ARRAY, &array(value_type::U32, 3, &[0; 8])), message);
}

/// candle#3533, where the count times the element's size is small again.
#[test]
fn an_array_whose_size_in_bytes_wraps_is_refused() {
    let count = (1u64 << 61) + 1;
    let message =
        format!("element count of \"k\" at byte 41: found {count}, expected at most 16777216");
    assert_refused(pair_of(value_type::ARRAY, &array(value_type::U64, count, &[0; 8])), &message);
}

/// GHSA-7rxv-5jhh-j6xx: a count of tokens that is negative as a signed number.
#[test]
fn a_count_of_tokens_that_is_negative_as_a_signed_number_is_refused() {
    for count in [1 << 31, u32::MAX.into(), 1 << 63, u64::MAX] {
        let tokens = array(value_type::STRING, count, &string("a"));
        let file = File::with_pair(pair("tokenizer.ggml.tokens", value_type::ARRAY, &tokens));
        let message = format!(
            "element count of \"tokenizer.ggml.tokens\" at byte 61: found {count}, \
             expected at most 16777216"
        );
        assert_refused(file.bytes(), &message);
    }
}

#[test]
fn a_string_array_that_ends_early_is_refused() {
    let strings = [string("a"), string("b")[..8].to_vec()].concat();
    let message = "\"k\"[1], length at byte 58: found 1, expected at most 0, for 0 bytes follow";
    assert_refused(pair_of(value_type::ARRAY, &array(value_type::STRING, 2, &strings)), message);
}

#[test]
fn an_unknown_value_type_is_refused() {
    let message = "type of \"k\" at byte 33: found 13, expected a value type, 0 to 12";
    assert_refused(pair_of(13, &[0; 8]), message);
}

/// llama.cpp#26690.
#[test]
fn an_unknown_element_type_is_refused() {
    let message = "element type of \"k\" at byte 37: found 13, \
                   expected a value type, 0 to 12, other than array";
    assert_refused(pair_of(value_type::ARRAY, &array(13, 1, &[0; 8])), message);
}

/// Arrays do not nest at all: no depth to bound.
#[test]
fn an_array_of_arrays_is_refused() {
    let inner = array(value_type::U8, 1, &[0]);
    let message = "element type of \"k\" at byte 37: found an array of arrays, \
                   expected a value type, 0 to 12, other than array";
    assert_refused(pair_of(value_type::ARRAY, &array(value_type::ARRAY, 1, &inner)), message);
}

#[test]
fn a_bool_other_than_0_and_1_is_refused() {
    let message = "\"k\" at byte 37: found 2, expected a bool, 0 or 1";
    assert_refused(pair_of(value_type::BOOL, &[2]), message);
    let message = "\"k\" at byte 51: found 255, expected a bool, 0 or 1";
    assert_refused(pair_of(value_type::ARRAY, &array(value_type::BOOL, 3, &[0, 1, 255])), message);
}

#[test]
fn a_repeated_key_is_refused() {
    let mut file = File::with_pair(pair("k", value_type::U8, &[0]));
    file.pairs.push(pair("other", value_type::U8, &[0]));
    file.pairs.push(pair("k", value_type::U8, &[1]));
    let message =
        "metadata key 2 at byte 56: found \"k\" again, after byte 24, expected unique keys";
    assert_refused(file.bytes(), message);
}

#[test]
fn a_repeated_tensor_name_is_refused() {
    let mut file = File::with_tensor(Record::new("t", &[1], tensor_type::F32, 0), 64);
    file.tensors.push(Record::new("t", &[1], tensor_type::F32, 32));
    let message =
        "name of tensor 1 at byte 57: found \"t\" again, after byte 24, expected unique names";
    assert_refused(file.bytes(), message);
}

#[test]
fn bytes_that_are_not_utf8_are_refused_wherever_they_are() {
    let bad = b"ab\xffd";
    let expected = "found byte 0xff, expected UTF-8";
    let value = pair_of(value_type::STRING, &string(bad));
    assert_refused(value, &format!("\"k\" at byte 47: {expected}"));

    let element = pair_of(value_type::ARRAY, &array(value_type::STRING, 1, &string(bad)));
    assert_refused(element, &format!("\"k\"[0] at byte 59: {expected}"));

    let key = [string(bad).as_slice(), &value_type::U8.to_le_bytes(), &[0]].concat();
    let key = File::with_pair(key).bytes();
    assert_refused(key, &format!("metadata key 0 at byte 34: {expected}"));

    let mut name = Record::new("", &[1], tensor_type::F32, 0);
    name.name = bad.to_vec();
    let name = File::with_tensor(name, 4).bytes();
    assert_refused(name, &format!("name of tensor 0 at byte 34: {expected}"));
}

/// candle#3876: an alignment of 0 makes a file of 57 bytes panic its reader.
#[test]
fn an_alignment_that_is_no_power_of_two_or_too_large_is_refused() {
    assert_eq!(alignment_of(value_type::U32, &0u32.to_le_bytes()).len(), 57);
    for alignment in [0u32, 3, 48, 1 << 22, 1 << 31, u32::MAX] {
        let message = format!(
            "general.alignment at byte 24: found {alignment} (uint32), \
             expected a power of two, at most 2097152"
        );
        assert_refused(alignment_of(value_type::U32, &alignment.to_le_bytes()), &message);
    }
}

#[test]
fn an_alignment_that_is_no_u32_is_refused() {
    let message = "general.alignment at byte 24: found \"32\" (string), \
                   expected an integer of 32 bits without sign";
    assert_refused(alignment_of(value_type::STRING, &string("32")), message);
    let message = "general.alignment at byte 24: found -32 (int32), \
                   expected an integer of 32 bits without sign";
    assert_refused(alignment_of(value_type::I32, &(-32i32).to_le_bytes()), message);
}

/// ggml#709: more sizes than the array for them holds.
#[test]
fn a_dimension_count_other_than_1_to_4_is_refused() {
    for count in [0, 5, u32::MAX] {
        let mut record = Record::new("t", &[1; 5], tensor_type::F32, 0);
        record.dim_count = Some(count);
        let message =
            format!("dimension count of tensor \"t\" at byte 33: found {count}, expected 1 to 4");
        assert_refused(File::with_tensor(record, 64).bytes(), &message);
    }
}

#[test]
fn an_empty_dimension_is_refused() {
    let message = "dimension 1 of tensor \"t\" at byte 45: found 0, \
                   expected a size from 1 to what memory can address";
    assert_refused(tensor_of(&[4, 0], tensor_type::F32), message);
}

/// CVE-2025-53630, CVE-2026-27940, CVE-2026-33298: a small allocation, then reads far outside it.
#[test]
fn dimensions_whose_product_wraps_are_refused() {
    let cases: [&[u64]; 4] = [
        &[1 << 32, 1 << 32],                   // wraps to 0
        &[(1 << 32) + 1, (1 << 32) - 1, 2, 1], // wraps to 2^64 - 2
        &[u64::MAX, 1],
        &[1 << 16, 1 << 16, 1 << 16, 1 << 14], // fits as a count, not as bytes of f32
    ];
    for dims in cases {
        let message = format!(
            "dimensions of tensor \"t\" at byte 37: found {dims:?}, \
             expected a product that memory can hold as f32"
        );
        assert_refused(tensor_of(dims, tensor_type::F32), &message);
    }
}

#[test]
fn rows_that_are_not_whole_blocks_are_refused() {
    let message = "dimension 0 of tensor \"t\" at byte 37: found 576, \
                   expected a multiple of 256, the block of Q5_K";
    assert_refused(tensor_of(&[576, 256], tensor_type::Q5_K), message);
}

#[test]
fn an_unknown_tensor_type_is_refused() {
    for type_id in [4, 5, 31, 33, 36, 1000, u32::MAX] {
        let message = format!(
            "type of tensor \"t\" at byte 45: found {type_id}, expected a known tensor type"
        );
        assert_refused(tensor_of(&[256], type_id), &message);
    }
}

#[test]
fn a_tensor_off_its_alignment_is_refused() {
    let file = File::with_tensor(Record::new("t", &[1], tensor_type::F32, 4), 64);
    let message = "offset of tensor \"t\" at byte 49: found 4, \
                   expected a multiple of the alignment, 32";
    assert_refused(file.bytes(), message);
}

/// CVE-2026-7482.
#[test]
fn a_tensor_that_ends_beyond_the_file_is_refused() {
    let file = File::with_tensor(Record::new("t", &[16], tensor_type::F32, 32), 95);
    let message = "offset of tensor \"t\" at byte 49: found 32 and 64 bytes of data, \
                   expected an end within the 95 bytes of tensor data in the file";
    assert_refused(file.bytes(), message);
}

/// CVE-2026-7482, by an offset near the end of all numbers.
#[test]
fn a_tensor_whose_end_wraps_is_refused() {
    let offset = u64::MAX - 31;
    let file = File::with_tensor(Record::new("t", &[16], tensor_type::F32, offset), 64);
    let message = format!(
        "offset of tensor \"t\" at byte 49: found {offset}, \
         expected a sum with the tensor's size that does not overflow"
    );
    assert_refused(file.bytes(), &message);
}

#[test]
fn overlapping_tensors_are_refused() {
    for (offset, second) in [(0, 1), (32, 1), (64, 9)] {
        let mut file = File::with_tensor(Record::new("a", &[17], tensor_type::F32, 0), 128);
        file.tensors.push(Record::new("b", &[second], tensor_type::F32, offset));
        let message = format!(
            "offset of tensor \"b\" at byte {}: found {offset}, \
             expected at least 68, where \"a\" ends",
            FIRST + 33 + 25
        );
        assert_refused(file.bytes(), &message);
    }
}

#[test]
fn hostile_strings_are_escaped_and_shortened_in_messages() {
    let name = format!("line\nbreak \x1b[31m{}", "x".repeat(100));
    let message = crate::refusal(File::with_tensor(Record::new(&name, &[1], 99, 0), 4).bytes());
    assert!(!message.contains(char::is_control), "{message:?}");
    assert!(message.contains(r#""line\nbreak \u{1b}[31mx"#), "{message}");
    assert!(message.len() < 200, "{} bytes", message.len());
}
