//! Any bytes as a GGUF file: the reader refuses them, or everything it then offers works.
//!
//! `cargo +nightly fuzz run gguf`
#![no_main]

use libfuzzer_sys::fuzz_target;
use quintile::gguf::{Gguf, Limits};

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Gguf::from_bytes(bytes.to_vec(), &Limits::default()) else { return };
    for (key, value) in file.metadata().iter() {
        assert!(file.metadata().get(key).is_some());
        value.to_string();
    }
    for info in file.tensors() {
        assert_eq!(file.tensor_bytes(info).len() as u64, info.size);
        let Ok(tensor) = file.tensor(&info.name) else {
            assert!(info.format.is_none());
            continue;
        };
        let last: Vec<usize> = tensor.dims().iter().rev().map(|size| size - 1).collect();
        let row = tensor.row(tensor.rows() - 1).expect("the last row");
        let element = tensor.at(&last).expect("the last element");
        assert_eq!(row.last().map(|v| v.to_bits()), Some(element.to_bits()));
    }
});
