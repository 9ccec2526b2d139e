//! Every limit is enforced, and memory is bounded by the bytes that are there.

use quintile::gguf::{Gguf, Limits};

use crate::allocation::peak_during;
use crate::builder::*;
use crate::refusal_within;

#[test]
fn every_limit_is_enforced() {
    let sound = Limits::default();
    let cases = [
        (Limits { header_bytes: 100, ..sound.clone() }, "Limits::header_bytes"),
        (Limits { metadata_count: 3, ..sound.clone() }, "number of metadata keys at byte 16"),
        (Limits { tensor_count: 3, ..sound.clone() }, "number of tensors at byte 8"),
        (Limits { key_bytes: 4, ..sound.clone() }, "metadata key 0, length at byte 24"),
        (Limits { name_bytes: 4, ..sound.clone() }, "name of tensor 1, length"),
        (Limits { string_bytes: 4, ..sound.clone() }, "\"general.architecture\", length"),
        (Limits { array_len: 1, ..sound.clone() }, "element count of \"u8s\""),
    ];
    let bytes = File::sample().bytes();
    for (limits, field) in cases {
        let message = refusal_within(bytes.clone(), &limits);
        assert!(message.contains(field), "{message}");
    }
    let alignment = pair("general.alignment", value_type::U32, &64u32.to_le_bytes());
    let message =
        refusal_within(File::with_pair(alignment).bytes(), &Limits { alignment: 32, ..sound });
    assert!(message.ends_with("expected a power of two, at most 32"), "{message}");
}

/// The bytes allocated while reading, beyond the file itself.
fn peak(bytes: Vec<u8>) -> usize {
    peak_during(|| Gguf::from_bytes(bytes, &Limits::default()).is_ok()).1
}

#[test]
fn promised_elements_that_are_absent_cost_no_memory() {
    for type_id in [value_type::STRING, value_type::U64, value_type::U8] {
        let claim = File::with_pair(pair("k", value_type::ARRAY, &array(type_id, 1 << 24, &[])));
        assert!(peak(claim.bytes()) < 2000);
    }
    let claim = File { tensor_count: Some(1 << 17), ..File::empty() };
    assert!(peak(claim.bytes()) < 2000);
    let claim = File { pair_count: Some(1 << 16), ..File::empty() };
    assert!(peak(claim.bytes()) < 2000);
}

/// The worst files for a reader are made of the smallest records.
#[test]
fn memory_is_at_most_eight_times_the_header_whatever_its_records() {
    const STRINGS: usize = (1 << 17) + 1;
    let empty_strings = array(value_type::STRING, STRINGS as u64, &[0; 8 * STRINGS]);
    let strings = File::with_pair(pair("k", value_type::ARRAY, &empty_strings));

    let mut pairs = File::empty();
    let names = |count: u64| (0..count).map(|i| format!("{i:x}"));
    pairs.pairs.extend(names((1 << 15) + 1).map(|name| pair(&name, value_type::U8, &[0])));

    let mut tensors = File::empty();
    for (name, offset) in names((1 << 16) + 1).zip((0..).step_by(32)) {
        tensors.tensors.push(Record::new(&name, &[1], tensor_type::F32, offset));
    }
    let header_of_tensors = tensors.bytes().len();
    tensors.data = vec![0; 32 << 16 | 4];

    let [strings, pairs, tensors] = [strings, pairs, tensors].map(|file| file.bytes());
    let cases = [(strings.len(), strings), (pairs.len(), pairs), (header_of_tensors, tensors)];
    for (header, bytes) in cases {
        let peak = peak_during(|| crate::read(bytes)).1;
        assert!(peak <= 8 * header, "{peak} bytes for a header of {header}");
        assert!(peak >= header / 2, "only {peak} bytes were counted for a header of {header}");
    }
}

/// As many pairs and tensors as the limits allow, as small as they can be, and empty strings that
/// fill the rest of the largest header.
#[test]
fn no_header_within_the_default_limits_takes_more_than_64_mib() {
    let limits = Limits::default();
    let mut file = File::empty();
    for i in 1..limits.metadata_count {
        file.pairs.push(pair(&format!("{i:x}"), value_type::U8, &[0]));
    }
    for i in 0..limits.tensor_count {
        let offset = 32 * i as u64;
        file.tensors.push(Record::new(&format!("{i:x}"), &[1], tensor_type::F32, offset));
    }
    let left = limits.header_bytes - file.bytes().len() - 64;
    let strings = array(value_type::STRING, left as u64 / 8, &vec![0; left / 8 * 8]);
    file.pairs.push(pair("k", value_type::ARRAY, &strings));
    let header = file.bytes().len();
    assert!((limits.header_bytes - 64..limits.header_bytes).contains(&header), "{header}");
    file.data = vec![0; 32 * limits.tensor_count];
    let bytes = file.bytes();
    let (_, peak) = peak_during(|| crate::read(bytes));
    assert!((header..64 << 20).contains(&peak), "{peak} bytes");
}
