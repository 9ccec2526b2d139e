//! A small sound model, and the ways in which the fuzzer's bytes damage it.

const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

const WIDTH: u64 = 32;
const HIDDEN: u64 = 64;
const HEAD: u64 = 16;
const TOKENS: [&str; 12] =
    ["<unk>", "<s>", "</s>", "\u{2581}", "a", "b", "ab", "\u{2581}a", "Ġ", "Ġa", "<0x0A>", "é"];

/// Numbers at which lengths, counts and sizes go wrong.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    3,
    15,
    17,
    33,
    1 << 16,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    (1 << 61) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

struct Pair {
    key: Vec<u8>,
    value_type: u32,
    value: Vec<u8>,
}

struct Record {
    name: String,
    dims: Vec<u64>,
    type_id: u32,
    /// What is added to the true offset.
    shift: u64,
}

struct Model {
    pairs: Vec<Pair>,
    tensors: Vec<Record>,
    alignment: u64,
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

fn array(element_type: u32, count: usize, elements: Vec<u8>) -> Vec<u8> {
    [&element_type.to_le_bytes(), &(count as u64).to_le_bytes()[..], &elements].concat()
}

fn strings(texts: &[&str]) -> Vec<u8> {
    array(STRING, texts.len(), texts.iter().flat_map(|text| string(text.as_bytes())).collect())
}

impl Model {
    /// One layer of the architecture, with a vocabulary of its kind.
    fn sound(arch: &str) -> Model {
        let gemma = arch == "gemma3";
        let mut model = Model { pairs: Vec::new(), tensors: Vec::new(), alignment: 32 };
        model.pair("general.architecture", STRING, string(arch.as_bytes()));
        let u32s = [
            ("block_count", 1),
            ("context_length", 64),
            ("embedding_length", WIDTH),
            ("feed_forward_length", HIDDEN),
            ("attention.head_count", 2),
            ("attention.head_count_kv", 1),
            ("attention.key_length", HEAD),
            ("attention.value_length", HEAD),
            ("rope.dimension_count", HEAD),
            ("attention.sliding_window", 4),
            ("expert_count", 0),
        ];
        for (key, value) in u32s {
            model.pair(&format!("{arch}.{key}"), U32, (value as u32).to_le_bytes().into());
        }
        for (key, value) in [("attention.layer_norm_rms_epsilon", 1e-5f32), ("rope.freq_base", 1e4)]
        {
            model.pair(&format!("{arch}.{key}"), F32, value.to_le_bytes().into());
        }
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let kind = if gemma { "llama" } else { "gpt2" };
        model.pair(&key("model"), STRING, string(kind.as_bytes()));
        model.pair(&key("pre"), STRING, string(b"default"));
        model.pair(&key("tokens"), ARRAY, strings(&TOKENS));
        let scores = (0..TOKENS.len()).flat_map(|i| (-(i as f32)).to_le_bytes()).collect();
        model.pair(&key("scores"), ARRAY, array(F32, TOKENS.len(), scores));
        let types = [2i32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 6, 4];
        let types = types.into_iter().flat_map(i32::to_le_bytes).collect();
        model.pair(&key("token_type"), ARRAY, array(I32, TOKENS.len(), types));
        if !gemma {
            model.pair(&key("merges"), ARRAY, strings(&["a b", "Ġ a"]));
        }
        model.pair(&key("bos_token_id"), U32, 1u32.to_le_bytes().into());
        model.pair(&key("eos_token_id"), U32, 2u32.to_le_bytes().into());
        model.pair(&key("add_bos_token"), BOOL, vec![1]);

        let (query, kv) = (2 * HEAD, HEAD);
        model.tensor("token_embd.weight", &[WIDTH, TOKENS.len() as u64]);
        model.tensor("output_norm.weight", &[WIDTH]);
        let mut layer = |name: &str, dims: &[u64]| model.tensor(&format!("blk.0.{name}"), dims);
        layer("attn_norm.weight", &[WIDTH]);
        layer("attn_q.weight", &[WIDTH, query]);
        layer("attn_k.weight", &[WIDTH, kv]);
        layer("attn_v.weight", &[WIDTH, kv]);
        layer("attn_output.weight", &[query, WIDTH]);
        layer("ffn_norm.weight", &[WIDTH]);
        layer("ffn_gate.weight", &[WIDTH, HIDDEN]);
        layer("ffn_up.weight", &[WIDTH, HIDDEN]);
        layer("ffn_down.weight", &[HIDDEN, WIDTH]);
        match arch {
            "qwen2" => {
                layer("attn_q.bias", &[query]);
                layer("attn_k.bias", &[kv]);
                layer("attn_v.bias", &[kv]);
            }
            "gemma3" => {
                layer("attn_q_norm.weight", &[HEAD]);
                layer("attn_k_norm.weight", &[HEAD]);
                layer("post_attention_norm.weight", &[WIDTH]);
                layer("post_ffw_norm.weight", &[WIDTH]);
            }
            _ => {}
        }
        model
    }

    fn pair(&mut self, key: &str, value_type: u32, value: Vec<u8>) {
        self.pairs.push(Pair { key: key.into(), value_type, value });
    }

    fn tensor(&mut self, name: &str, dims: &[u64]) {
        self.tensors.push(Record { name: name.into(), dims: dims.into(), type_id: 0, shift: 0 });
    }

    /// The file. Tensors lie one behind the other; there are data for as many as fit a megabyte,
    /// every value of them made of `fill`.
    fn bytes(&self, fill: u8) -> Vec<u8> {
        let mut out = [b"GGUF", &3u32.to_le_bytes()[..]].concat();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for pair in &self.pairs {
            out.extend(string(&pair.key));
            out.extend(pair.value_type.to_le_bytes());
            out.extend(&pair.value);
        }
        let mut end = 0u64;
        for tensor in &self.tensors {
            out.extend(string(tensor.name.as_bytes()));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|size| size.to_le_bytes()));
            out.extend(tensor.type_id.to_le_bytes());
            out.extend(end.wrapping_add(tensor.shift).to_le_bytes());
            let elements = tensor.dims.iter().fold(1u64, |n, &size| n.saturating_mul(size));
            // Four bytes for each element are enough for every type but the largest three.
            end = end.saturating_add(elements.saturating_mul(4)).min(1 << 20).next_multiple_of(32);
        }
        out.resize(out.len().next_multiple_of(self.alignment.clamp(1, 4096) as usize), 0);
        out.resize(out.len() + end as usize, fill);
        out
    }
}

/// The fuzzer's bytes, one after the other; zeros when they are used up.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    fn number(&mut self) -> u64 {
        match self.byte() {
            n @ 0..64 => n.into(),
            n @ 64..192 => EDGES[usize::from(n) % EDGES.len()],
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    fn text(&mut self) -> Vec<u8> {
        let len = self.below(24);
        (0..len).map(|_| self.byte()).collect()
    }
}

/// The file of a model that `choices` have damaged.
pub fn model(choices: &[u8]) -> Vec<u8> {
    let mut choices = Choices(choices);
    let arch = ["llama", "qwen2", "gemma3"][choices.below(3)];
    let fill = choices.byte();
    let mut model = Model::sound(arch);
    for _ in 0..choices.below(8) {
        damage(&mut model, arch, &mut choices);
    }
    let mut bytes = model.bytes(fill);
    for _ in 0..choices.below(3) {
        let at = choices.number() as usize % bytes.len();
        bytes[at] = choices.byte();
    }
    if choices.byte() > 250 {
        bytes.truncate(choices.number() as usize % bytes.len());
    }
    bytes
}

fn damage(model: &mut Model, arch: &str, choices: &mut Choices<'_>) {
    let (pair, tensor) = (choices.below(model.pairs.len()), choices.below(model.tensors.len()));
    let kind = choices.below(16);
    if model.pairs.is_empty() || model.tensors.is_empty() {
        return;
    }
    match kind {
        // A number instead of the value, of the pair's type or of another.
        0..3 => {
            let pair = &mut model.pairs[pair];
            let number = choices.number().to_le_bytes();
            let sizes = [1, 1, 2, 2, 4, 4, 4, 1, 8, 8, 8, 8, 8];
            if kind == 0 || pair.value_type > BOOL {
                pair.value_type = choices.below(14) as u32;
            }
            let size = sizes.get(pair.value_type as usize).copied().unwrap_or(8);
            pair.value = number[..size].to_vec();
        }
        3 => {
            let text = choices.text();
            (model.pairs[pair].value_type, model.pairs[pair].value) = (STRING, string(&text));
        }
        4 => {
            let value = &mut model.pairs[pair].value;
            if !value.is_empty() {
                let at = choices.number() as usize % value.len();
                value[at] = choices.byte();
            }
        }
        5 => drop(model.pairs.remove(pair)),
        6 => {
            let other = choices.below(model.pairs.len());
            let value = model.pairs[other].value.clone();
            model.pairs[pair].value_type = model.pairs[other].value_type;
            model.pairs[pair].value = value;
        }
        7 => {
            let keys = [
                "general.alignment",
                "rope.scaling.type",
                "rope.scaling.factor",
                "rope.scale_linear",
                "rope.freq_base_swa",
                "attention.sliding_window_pattern",
            ];
            let key = keys[choices.below(keys.len())];
            let key = if key.contains("general") { key.into() } else { format!("{arch}.{key}") };
            let number = choices.number();
            let (value_type, value) = match choices.below(3) {
                0 => (U32, (number as u32).to_le_bytes().to_vec()),
                1 => (F32, (number as f32).to_le_bytes().to_vec()),
                _ => (STRING, string([&b"linear"[..], b"none", b"yarn"][choices.below(3)])),
            };
            if key == "general.alignment" {
                model.alignment = number;
            }
            model.pair(&key, value_type, value);
        }
        8 => model.pairs[pair].key = choices.text(),
        9..11 => {
            let dims = &mut model.tensors[tensor].dims;
            let at = choices.below(dims.len());
            let size = choices.number();
            if let Some(dim) = dims.get_mut(at) {
                *dim = size;
            }
        }
        11 => model.tensors[tensor].dims.reverse(),
        12 => {
            let dims = &mut model.tensors[tensor].dims;
            dims.resize(choices.below(6), 1);
        }
        13 => model.tensors[tensor].type_id = choices.below(44) as u32,
        14 => model.tensors[tensor].shift = choices.number().wrapping_mul(32),
        _ => {
            let other = choices.below(model.tensors.len());
            let name = model.tensors[other].name.clone();
            match choices.below(3) {
                0 => drop(model.tensors.remove(tensor)),
                1 => model.tensors[tensor].name = name,
                _ => model.tensors.swap(tensor, other),
            }
        }
    }
}
