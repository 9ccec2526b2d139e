//! Which format each tensor of a quantised file gets.
//!
//! `tests/data/mixtures` holds what `llama-quantize` of llama.cpp 0.5.0 chooses for real models,
//! tiny ones and invented ones (`scripts/make_mixture_tables.py` writes it and explains the
//! format). The models themselves are not needed: no rule looks at the number of rows beyond
//! whether there are two, so files of the same tensors with two rows stand in for them.
#![cfg(feature = "driver")]

#[path = "gguf/builder.rs"]
#[allow(dead_code)]
mod builder;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use builder::{File, Record, array, pair, string, tensor_type, value_type};
use quintile::formats::Format;
use quintile::gguf::{Gguf, Limits, OpenOptions, TensorType, Value, type_name};
use quintile::quantize::{Error, FileType, Plan};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
const F16: u32 = 1;
const I32: u32 = 26;

fn read(file: &File) -> Gguf {
    Gguf::from_bytes(file.bytes(), &Limits::default()).expect("a sound file")
}

/// A file that says it is of this architecture and has this many layers.
fn model(architecture: &str, layers: u32) -> File {
    let mut file = File::empty();
    let layers_key = format!("{architecture}.block_count");
    file.pairs.push(pair("general.architecture", value_type::STRING, &string(architecture)));
    file.pairs.push(pair(&layers_key, value_type::U32, &layers.to_le_bytes()));
    file
}

fn llama(tensors: &[(&str, &[u64], u32)]) -> File {
    let mut file = model("llama", 2);
    for (name, dims, type_id) in tensors {
        add(&mut file, name, dims, *type_id);
    }
    file
}

fn add(file: &mut File, name: &str, dims: &[u64], type_id: u32) {
    let offset = file.data.len().next_multiple_of(file.alignment);
    let rows: u64 = dims[1..].iter().product();
    let size = TensorType::from_gguf_id(type_id).unwrap().bytes(dims[0] as usize, rows as usize);
    file.tensors.push(Record::new(name, dims, type_id, offset as u64));
    file.data.resize(offset + size.unwrap(), 0);
}

/// The name of every tensor's type in the result.
fn types(plan: &Plan<'_>) -> BTreeMap<String, String> {
    let entries = plan.entries().iter();
    entries.map(|entry| (entry.tensor.name.clone(), entry.type_name().to_owned())).collect()
}

/// What `llama-quantize` makes of a model.
struct Table {
    name: String,
    file: File,
    /// For every file type, the type of every tensor.
    expected: BTreeMap<&'static str, BTreeMap<String, String>>,
}

fn table_paths() -> Vec<PathBuf> {
    let folder = fs::read_dir(format!("{DATA}/mixtures")).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 17, "{paths:?}");
    paths
}

impl Table {
    fn read(path: PathBuf) -> Table {
        let mut file = File::empty();
        let mut architecture = String::new();
        let mut expected: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let mut names: Vec<String> = Vec::new();
        let mut dims: Vec<u64> = Vec::new();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["architecture", name] => {
                    architecture = name.to_owned();
                    let value = string(name);
                    file.pairs.push(pair("general.architecture", value_type::STRING, &value));
                }
                ["count", key, ref numbers @ ..] => {
                    let key = format!("{architecture}.{key}");
                    let numbers: Vec<[u8; 4]> =
                        numbers.iter().map(|n| n.parse::<u32>().unwrap().to_le_bytes()).collect();
                    let (count, bytes) = (numbers.len() as u64, numbers.concat());
                    file.pairs.push(match count {
                        1 => pair(&key, value_type::U32, &bytes),
                        _ => {
                            let list = array(value_type::U32, count, &bytes);
                            pair(&key, value_type::ARRAY, &list)
                        }
                    });
                }
                ["tensor", name, ref sizes @ ..] => {
                    names = unfold(name);
                    dims = sizes.iter().map(|n| n.parse().unwrap()).collect();
                    dims[1..].iter_mut().for_each(|size| *size = 2.min(*size));
                }
                _ => {
                    let (types, file_types) = (runs(&words), &words[..]);
                    assert_eq!(types.len(), names.len(), "{line}");
                    let is = |word| file_types.contains(&word) || file_types.contains(&"*");
                    if is("source") {
                        for (name, of_type) in names.iter().zip(&types) {
                            add(&mut file, name, &dims, id_of(of_type));
                        }
                    }
                    for file_type in FileType::ALL.map(FileType::name).into_iter().filter(|t| is(t))
                    {
                        let new = names.iter().cloned().zip(types.iter().cloned());
                        expected.entry(file_type).or_default().extend(new);
                    }
                }
            }
        }
        // Rules count by layer and name: an order unlike that must not matter.
        file.tensors.reverse();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Table { name, file, expected }
    }

    /// Asserts that `source` is planned as the table says, for every file type.
    fn check(&self, source: &Gguf) {
        for file_type in FileType::ALL {
            let plan = Plan::new(source, file_type).unwrap();
            let (found, expected) = (types(&plan), &self.expected[file_type.name()]);
            assert_eq!(found.len(), expected.len(), "{}", self.name);
            let wrong = |(name, of_type): &(&String, &String)| found[*name] != **of_type;
            let differences: Vec<String> = (expected.iter().filter(wrong))
                .map(|(name, of_type)| format!("{name}: {} for {of_type}", found[name]))
                .collect();
            assert!(differences.is_empty(), "{} as {file_type}: {differences:#?}", self.name);
        }
    }
}

/// `blk.0-2.x` is `blk.0.x`, `blk.1.x`, `blk.2.x`.
fn unfold(name: &str) -> Vec<String> {
    let range = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    let Some((range, rest)) = range else { return vec![name.to_owned()] };
    let (first, last) = range.split_once('-').unwrap();
    let layers = first.parse::<u32>().unwrap()..=last.parse().unwrap();
    layers.map(|layer| format!("blk.{layer}.{rest}")).collect()
}

/// `2xQ6_K 1xQ4_K` is `Q6_K`, `Q6_K`, `Q4_K`; words that are no runs are skipped.
fn runs(words: &[&str]) -> Vec<String> {
    let pairs = words.iter().filter_map(|word| word.split_once('x'));
    pairs.flat_map(|(n, name)| vec![name.to_owned(); n.parse().unwrap()]).collect()
}

fn id_of(name: &str) -> u32 {
    (0..64).find(|&id| type_name(id) == Some(name)).unwrap_or_else(|| panic!("type {name}"))
}

#[test]
fn every_tensor_gets_the_type_that_llama_quantize_gives_it() {
    for table in table_paths().into_iter().map(Table::read) {
        table.check(&read(&table.file));
    }
}

#[test]
fn tiny_models_are_planned_as_their_tables_say() {
    let mut checked = 0;
    for table in table_paths().into_iter().map(Table::read) {
        if let Some(name) = table.name.strip_prefix("tiny-") {
            let path = PathBuf::from(format!("{DATA}/tiny/{name}.gguf"));
            table.check(&Gguf::open(&path, &OpenOptions::default()).unwrap());
            checked += 1;
        }
    }
    assert_eq!(checked, 3);
}

#[test]
fn entries_are_in_the_order_of_the_file_and_totals_add_up() {
    let file = read(&llama(&[
        ("output_norm.weight", &[256], tensor_type::F32),
        ("blk.1.ffn_up.weight", &[256, 3], F16),
        ("blk.0.ffn_up.weight", &[32, 2, 2], F16),
        ("token_embd.weight", &[512, 2], tensor_type::Q8_0),
    ]));
    let plan = Plan::new(&file, FileType::Q5KS).unwrap();
    let found: Vec<_> =
        plan.entries().iter().map(|e| (&*e.tensor.name, e.target, e.size())).collect();
    let expected = [
        ("output_norm.weight", None, 1024),
        ("blk.1.ffn_up.weight", Some(Format::Q5K), 3 * 176),
        ("blk.0.ffn_up.weight", Some(Format::Q5_1), 4 * 24),
        ("token_embd.weight", Some(Format::Q6K), 4 * 210),
    ];
    assert_eq!(found, expected);
    assert_eq!(plan.bytes_before(), 1024 + 3 * 512 + 4 * 64 + 2 * 16 * 34);
    assert_eq!(plan.bytes_after(), 1024 + 3 * 176 + 4 * 24 + 4 * 210);
    assert_eq!(plan.entries().iter().map(|e| e.type_id()).collect::<Vec<_>>(), [0, 13, 7, 14]);
}

#[test]
fn a_tensor_that_has_its_format_is_copied() {
    let file = read(&llama(&[
        ("token_embd.weight", &[256, 2], tensor_type::Q5_K),
        ("output.weight", &[256, 2], 14),
    ]));
    let plan = Plan::new(&file, FileType::Q5KM).unwrap();
    assert!(plan.entries().iter().all(|entry| entry.target.is_none()), "{plan:?}");
    assert_eq!(plan.bytes_before(), plan.bytes_after());
    assert!(!plan.requantises());
}

#[test]
fn only_what_was_quantised_and_is_converted_counts_as_requantised() {
    let requantises = |type_id, file_type| {
        let file = read(&llama(&[
            ("blk.0.ffn_up.weight", &[256, 2], type_id),
            ("blk.0.ffn_norm.weight", &[256, 2], tensor_type::Q5_K),
        ]));
        Plan::new(&file, file_type).unwrap().requantises()
    };
    for plain in [tensor_type::F32, F16, 30] {
        assert!(!requantises(plain, FileType::Q4_0));
    }
    assert!(requantises(tensor_type::Q8_0, FileType::Q4_0));
    assert!(requantises(tensor_type::Q8_0, FileType::F32));
    assert!(!requantises(tensor_type::Q8_0, FileType::Q8_0));
}

#[test]
fn a_fallback_states_the_format_that_does_not_fit() {
    let file = read(&llama(&[
        ("blk.0.attn_q.weight", &[576, 2], F16),
        ("blk.0.attn_k.weight", &[100, 2], F16),
        ("blk.0.ffn_up.weight", &[512, 2], F16),
        ("token_embd.weight", &[576, 2], tensor_type::Q8_0),
    ]));
    let plan = Plan::new(&file, FileType::Q4KM).unwrap();
    let why = |i: usize| plan.entries()[i].fallback.map(|fallback| fallback.to_string());
    assert_eq!(plan.entries()[0].target, Some(Format::Q5_0));
    assert_eq!(why(0).unwrap(), "rows are no multiple of 256, the block of Q4_K");
    assert_eq!(plan.entries()[1].target, None, "f16 stands in for it, which it has");
    assert_eq!(plan.entries()[1].fallback.unwrap().wanted, Format::Q4K);
    assert_eq!(why(2), None);
    assert_eq!(why(3).unwrap(), "rows are no multiple of 256, the block of Q6_K");
}

#[test]
fn metadata_keep_their_order_and_state_the_file_type() {
    let number = |key: &str, n: u32| pair(key, value_type::U32, &n.to_le_bytes());
    let mut file = model("llama", 1);
    file.pairs.insert(0, pair("general.file_type", value_type::U64, &1u64.to_le_bytes()));
    file.pairs.push(number("split.count", 1));
    file.pairs.push(number("split.no", 0));
    file.pairs.push(number("split.tensors.count", 0));
    file.pairs.push(number("split.unknown", 5));
    let file = read(&file);
    let plan = Plan::new(&file, FileType::Q5KM).unwrap();
    let owned = |n| Cow::<Value>::Owned(Value::U32(n));
    let expected = [
        ("general.file_type", owned(17)),
        ("general.architecture", Cow::Owned(Value::String("llama".into()))),
        ("llama.block_count", owned(1)),
        ("split.unknown", owned(5)),
        ("general.quantization_version", owned(2)),
    ];
    assert_eq!(plan.metadata(), expected);
}

/// The one-line message with which planning is refused.
#[track_caller]
fn refusal(file: &File, file_type: FileType) -> String {
    let message = Plan::new(&read(file), file_type).expect_err("no plan").to_string();
    assert_eq!(message.lines().count(), 1, "{message:?}");
    message
}

#[test]
fn a_type_that_is_not_computed_is_copied_but_not_converted() {
    let iq4_nl = tensor_type::IQ4_NL;
    let file = read(&llama(&[
        ("blk.0.ffn_gate_inp.weight", &[32, 2], iq4_nl),
        ("blk.0.ffn_gate_tid2eid.weight", &[32, 2], I32),
        ("blk.0.sizes", &[32, 2], I32),
    ]));
    let plan = Plan::new(&file, FileType::Q4_0).unwrap();
    let kept: Vec<_> = plan.entries().iter().map(|e| (e.type_name(), e.size())).collect();
    assert_eq!(kept, [("IQ4_NL", 36), ("I32", 256), ("I32", 256)]);

    for (type_id, name) in [(iq4_nl, "IQ4_NL"), (I32, "I32")] {
        let message =
            refusal(&llama(&[("blk.0.ffn_up.weight", &[32, 2], type_id)]), FileType::Q4_0);
        assert!(message.starts_with("tensor blk.0.ffn_up.weight at byte"), "{message}");
        assert!(message.contains(&format!("found type {name}, which")), "{message}");
    }
}

#[test]
fn a_down_projection_of_experts_names_a_layer_of_the_model() {
    let experts = pair("llama.expert_count", value_type::U32, &4u32.to_le_bytes());
    for (name, sound) in [
        ("blk.1.ffn_down_exps.weight", true),
        ("blk.2.ffn_down_exps.weight", false),
        ("blk.99999999999999999999.ffn_down_exps.weight", false),
        ("ffn_down_exps.weight", false),
    ] {
        let mut file = llama(&[(name, &[256, 2], F16)]);
        assert!(Plan::new(&read(&file), FileType::Q4KM).is_ok(), "{name} without experts");
        file.pairs.push(experts.clone());
        if sound {
            assert!(Plan::new(&read(&file), FileType::Q4KM).is_ok(), "{name}");
        } else {
            let expected = format!(
                "model: found tensor {name:?} in a model of experts, expected a name that starts \
                 with `blk.` and the number of one of the 2 layers"
            );
            assert_eq!(refusal(&file, FileType::Q4KM), expected);
        }
    }
}

#[test]
fn a_model_without_architecture_or_layers_is_refused() {
    let message = refusal(&File::empty(), FileType::Q8_0);
    assert_eq!(message, "no metadata key general.architecture");
    let mut file = model("qwen2", 1);
    file.pairs.pop();
    assert_eq!(refusal(&file, FileType::Q8_0), "no metadata key qwen2.block_count");
    let mut file = model("llama", 1);
    let nothing = array(value_type::U32, 0, &[]);
    file.pairs.push(pair("llama.attention.head_count", value_type::ARRAY, &nothing));
    let message = refusal(&file, FileType::Q8_0);
    assert!(message.contains("llama.attention.head_count"), "{message}");
    assert!(message.ends_with("expected a count, or one for each layer"), "{message}");
}

#[test]
fn file_types_are_read_by_name_and_unknown_names_are_told_the_known_ones() {
    for file_type in FileType::ALL {
        assert_eq!(file_type.name().parse::<FileType>().unwrap(), file_type);
        assert_eq!(file_type.to_string().to_uppercase().parse::<FileType>().unwrap(), file_type);
    }
    let error: Error = "q9\n".parse::<FileType>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "found file type \"q9\\n\", expected one of q2_k, q3_k_m, q4_0, q4_1, q4_k_s, q4_k_m, \
         q5_0, q5_1, q5_k_s, q5_k_m, q6_k, q8_0, f16, bf16, f32"
    );
}
