//! Writes small GGUF files, sound ones and broken ones.

/// The specification's numbers of value types.
pub mod value_type {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

/// Numbers of tensor types.
pub mod tensor_type {
    pub const F32: u32 = 0;
    pub const Q8_0: u32 = 8;
    pub const Q5_K: u32 = 13;
    pub const IQ4_NL: u32 = 20;
}

/// A file in parts, any of which a test may falsify.
#[derive(Clone)]
pub struct File {
    pub magic: [u8; 4],
    pub version: u32,
    /// What the file says instead of the true number of tensors.
    pub tensor_count: Option<u64>,
    /// What the file says instead of the true number of pairs.
    pub pair_count: Option<u64>,
    /// Key-value pairs, as bytes.
    pub pairs: Vec<Vec<u8>>,
    pub tensors: Vec<Record>,
    /// The data section begins at a multiple of this.
    pub alignment: usize,
    pub data: Vec<u8>,
}

#[derive(Clone)]
pub struct Record {
    pub name: Vec<u8>,
    /// What the record says instead of the true number of dimensions.
    pub dim_count: Option<u32>,
    pub dims: Vec<u64>,
    pub type_id: u32,
    pub offset: u64,
}

impl Record {
    pub fn new(name: &str, dims: &[u64], type_id: u32, offset: u64) -> Record {
        Record { name: name.into(), dim_count: None, dims: dims.into(), type_id, offset }
    }
}

impl File {
    /// A sound file with nothing in it.
    pub fn empty() -> File {
        File {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            pair_count: None,
            pairs: Vec::new(),
            tensors: Vec::new(),
            alignment: 32,
            data: Vec::new(),
        }
    }

    pub fn with_pair(pair: Vec<u8>) -> File {
        File { pairs: vec![pair], ..File::empty() }
    }

    /// One tensor, with `data` bytes behind it.
    pub fn with_tensor(record: Record, data: usize) -> File {
        File { tensors: vec![record], data: vec![0; data], ..File::empty() }
    }

    /// A sound file with every type of value and array, and four tensors, the last of which ends
    /// with the file.
    pub fn sample() -> File {
        use value_type::*;
        let mut file = File::empty();
        let scalars: [(&str, u32, &[u8]); 11] = [
            ("u8", U8, &[200]),
            ("i8", I8, &(-100i8).to_le_bytes()),
            ("u16", U16, &60_000u16.to_le_bytes()),
            ("i16", I16, &(-30_000i16).to_le_bytes()),
            ("u32", U32, &4_000_000_000u32.to_le_bytes()),
            ("i32", I32, &(-2_000_000_000i32).to_le_bytes()),
            ("u64", U64, &u64::MAX.to_le_bytes()),
            ("i64", I64, &i64::MIN.to_le_bytes()),
            ("f32", F32, &0.1f32.to_le_bytes()),
            ("f64", F64, &0.1f64.to_le_bytes()),
            ("bool", BOOL, &[1]),
        ];
        file.pairs.push(pair("general.architecture", STRING, &string("llama")));
        file.pairs.push(pair("empty string", STRING, &string("")));
        for (key, type_id, bytes) in scalars {
            file.pairs.push(pair(key, type_id, bytes));
            file.pairs.push(pair(&format!("{key}s"), ARRAY, &array(type_id, 2, &bytes.repeat(2))));
        }
        let words = ["a", "", "grüße", "\u{1F600}"];
        let strings = words.map(string).concat();
        file.pairs.push(pair("strings", ARRAY, &array(STRING, words.len() as u64, &strings)));
        file.pairs.push(pair("nothing", ARRAY, &array(F32, 0, &[])));

        file.tensors = vec![
            Record::new("norm", &[3], tensor_type::F32, 0),
            Record::new("blocks", &[64, 2], tensor_type::Q8_0, 32),
            Record::new("super-blocks", &[256, 1, 2], tensor_type::Q5_K, 192),
            Record::new("not computed", &[32, 2, 1, 1], tensor_type::IQ4_NL, 544),
        ];
        file.data = vec![0; 544 + 36];
        for (i, value) in [1.5f32, -2.0, 0.25].into_iter().enumerate() {
            file.data[4 * i..][..4].copy_from_slice(&value.to_le_bytes());
        }
        file
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.magic);
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.pair_count.unwrap_or(self.pairs.len() as u64).to_le_bytes());
        out.extend(self.pairs.concat());
        for tensor in &self.tensors {
            out.extend((tensor.name.len() as u64).to_le_bytes());
            out.extend(&tensor.name);
            out.extend(tensor.dim_count.unwrap_or(tensor.dims.len() as u32).to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|size| size.to_le_bytes()));
            out.extend(tensor.type_id.to_le_bytes());
            out.extend(tensor.offset.to_le_bytes());
        }
        if !self.data.is_empty() {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(&self.data);
        }
        out
    }
}

/// A key-value pair whose value has this type and these bytes.
pub fn pair(key: &str, type_id: u32, value: &[u8]) -> Vec<u8> {
    [string(key).as_slice(), &type_id.to_le_bytes(), value].concat()
}

/// A string: its length and its bytes.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

/// An array that claims `count` elements.
pub fn array(type_id: u32, count: u64, elements: &[u8]) -> Vec<u8> {
    [type_id.to_le_bytes().as_slice(), &count.to_le_bytes(), elements].concat()
}
