//! Takes a tiny model apart, so that a test can change one thing and write it again.

use quintile::gguf::{Array, Gguf, Limits, Value};

/// A model in parts.
#[derive(Clone)]
pub struct Parts {
    pub pairs: Vec<(String, Value)>,
    pub tensors: Vec<Part>,
}

#[derive(Clone)]
pub struct Part {
    pub name: String,
    pub dims: Vec<usize>,
    pub type_id: u32,
    pub data: Vec<u8>,
}

impl Parts {
    /// The tiny model `name`.
    pub fn of(name: &str) -> Parts {
        let bytes = std::fs::read(format!("tests/data/tiny/{name}.gguf")).unwrap();
        let file = Gguf::from_bytes(bytes, &Limits::default()).unwrap();
        let pairs = file.metadata().iter().map(|(key, value)| (key.to_owned(), value.clone()));
        let tensors = file.tensors().iter().map(|t| Part {
            name: t.name.clone(),
            dims: t.dims.to_vec(),
            type_id: t.type_id,
            data: file.tensor_bytes(t).to_vec(),
        });
        Parts { pairs: pairs.collect(), tensors: tensors.collect() }
    }

    /// The value of `key`, if it is there.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// Gives `key` another value, or adds it.
    pub fn set(&mut self, key: &str, value: Value) {
        self.remove(key);
        self.pairs.push((key.to_owned(), value));
    }

    pub fn remove(&mut self, key: &str) {
        self.pairs.retain(|(k, _)| k != key);
    }

    pub fn tensor(&mut self, name: &str) -> &mut Part {
        self.tensors.iter_mut().find(|t| t.name == name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// The file: every tensor has the data that it has, whatever its dims say.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = [b"GGUF", &3u32.to_le_bytes()[..]].concat();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, value) in &self.pairs {
            out.extend(string(key));
            let (type_id, bytes) = written(value);
            out.extend(type_id.to_le_bytes());
            out.extend(bytes);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            out.extend(string(&tensor.name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|&size| (size as u64).to_le_bytes()));
            out.extend(tensor.type_id.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + tensor.data.len() as u64).next_multiple_of(32);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(&tensor.data);
        }
        out
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// The type number and the bytes of a value, of the types that tiny models use.
fn written(value: &Value) -> (u32, Vec<u8>) {
    match value {
        Value::U32(v) => (4, v.to_le_bytes().into()),
        Value::I32(v) => (5, v.to_le_bytes().into()),
        Value::F32(v) => (6, v.to_le_bytes().into()),
        Value::Bool(v) => (7, vec![(*v).into()]),
        Value::String(v) => (8, string(v)),
        Value::U64(v) => (10, v.to_le_bytes().into()),
        Value::Array(array) => {
            let (element, bytes): (u32, Vec<u8>) = match array {
                Array::I32(v) => (5, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
                Array::F32(v) => (6, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
                Array::Bool(v) => (7, v.iter().map(|&v| v.into()).collect()),
                Array::String(v) => (8, v.iter().flat_map(string).collect()),
                other => panic!("{other:?}"),
            };
            let head = [&element.to_le_bytes()[..], &(array.len() as u64).to_le_bytes()].concat();
            (9, [head, bytes].concat())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_taken_apart_and_written_again_gives_the_same_logits() {
    for name in super::MODELS {
        let whole = std::fs::read(format!("tests/data/tiny/{name}.gguf")).unwrap();
        let again = Parts::of(name).bytes();
        let [whole, again] = [whole, again].map(|bytes| super::run(&super::load(bytes).unwrap()));
        assert_eq!(whole, again, "{name}");
    }
}
