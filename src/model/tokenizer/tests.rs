use super::bytes::byte_to_char;
use super::*;

mod definition;
mod round_trip;
mod time;

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const PARSE: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };
const FULL: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };
const SHOW: DecodeOptions = DecodeOptions { special: true };

/// A byte-level vocabulary: 256 bytes as tokens 0 to 255, then the results of `merges`, then
/// `extra` tokens with their types.
fn byte_level(pre: &str, merges: &[&str], extra: &[(&str, i32)]) -> Vocab<'static> {
    let mut tokens: Vec<String> = (0..=255).map(|byte| byte_to_char(byte).to_string()).collect();
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let mut token_types = vec![1; tokens.len()];
    for &(text, token_type) in extra {
        tokens.push(text.to_owned());
        token_types.push(token_type);
    }
    let merges = merges.iter().map(|&merge| merge.to_owned().into()).collect();
    Vocab {
        model: "gpt2".into(),
        pre: Some(pre.into()),
        tokens: tokens.into_iter().map(Into::into).collect(),
        token_types: token_types.into(),
        merges,
        ..Vocab::default()
    }
}

/// A SentencePiece vocabulary: `<unk>`, `<s>`, `</s>`, the 256 byte tokens as 3 to 258, then
/// `tokens` with their scores.
fn sentence_piece(tokens: &[(&str, f32)]) -> Vocab<'static> {
    let mut texts: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).to_vec();
    texts.extend((0..=255).map(|byte: u8| format!("<0x{byte:02X}>")));
    let mut token_types = vec![2, 3, 3];
    token_types.resize(texts.len(), 6);
    let mut scores = vec![0.0; texts.len()];
    for &(text, score) in tokens {
        texts.push(text.to_owned());
        token_types.push(1);
        scores.push(score);
    }
    Vocab {
        model: "llama".into(),
        tokens: texts.into_iter().map(Into::into).collect(),
        token_types: token_types.into(),
        scores: scores.into(),
        ..Vocab::default()
    }
}

#[track_caller]
fn tokenizer(vocab: Vocab<'_>) -> Tokenizer {
    Tokenizer::new(vocab).unwrap()
}

#[track_caller]
fn error(vocab: Vocab<'_>) -> String {
    Tokenizer::new(vocab).unwrap_err().to_string()
}

fn decoded(tokenizer: &Tokenizer, ids: &[u32], options: DecodeOptions) -> String {
    String::from_utf8(tokenizer.decode(ids, options)).unwrap()
}

#[test]
fn byte_level_merges_by_rank_then_from_the_left() {
    let t = tokenizer(byte_level("gpt-2", &["b c", "a b", "a a", "aa a"], &[]));
    let [bc, ab, aa, aaa] = [256, 257, 258, 259];
    let [a, b] = [b'a', b'b'].map(u32::from);
    assert_eq!(t.encode("abc", PLAIN), [a, bc]);
    assert_eq!(t.encode("abb", PLAIN), [ab, b]);
    // "aa" merges twice before any "aa a" is looked at.
    assert_eq!(t.encode("aaaa", PLAIN), [aa, aa]);
    assert_eq!(t.encode("aaa", PLAIN), [aaa]);
    assert_eq!(t.encode("aaaaa", PLAIN), [aa, aaa]);
}

#[test]
fn the_first_of_two_equal_merges_counts() {
    let mut vocab = byte_level("gpt-2", &["a b", "b c"], &[]);
    vocab.merges.push("a b".into());
    assert_eq!(tokenizer(vocab).encode("abc", PLAIN), [256, u32::from(b'c')]);
}

#[test]
fn a_byte_without_a_token_is_left_out() {
    let mut vocab = byte_level("gpt-2", &["a b"], &[]);
    vocab.tokens[usize::from(b'x')] = "replaced".into();
    let t = tokenizer(vocab);
    assert_eq!(t.encode("axb", PLAIN), [b'a', b'b'].map(u32::from));
}

#[test]
fn whole_words_beat_merges_in_llama3_only() {
    let merges = ["a b", "c d"];
    let extra = [("abcd", 1)];
    assert_eq!(tokenizer(byte_level("llama-bpe", &merges, &extra)).encode("abcd", PLAIN), [258]);
    assert_eq!(tokenizer(byte_level("dbrx", &merges, &extra)).encode("abcd", PLAIN), [256, 257]);
}

#[test]
fn sentence_piece_merges_by_score_then_from_the_left() {
    let t = tokenizer(sentence_piece(&[
        ("▁", -9.0),
        ("a", -9.0),
        ("b", -9.0),
        ("aa", -2.0),
        ("ab", -1.0),
        ("▁a", -3.0),
    ]));
    let [mark, a, b, aa, ab, mark_a] = [259, 260, 261, 262, 263, 264];
    assert_eq!(t.encode("ab", PLAIN), [mark, ab]);
    assert_eq!(t.encode("aab", PLAIN), [mark_a, ab]);
    assert_eq!(t.encode("aaa", PLAIN), [mark, aa, a]);
    assert_eq!(t.encode("a b", PLAIN), [mark_a, mark, b]);
}

#[test]
fn sentence_piece_falls_back_to_bytes_then_to_unknown() {
    let mut vocab = sentence_piece(&[("▁", -1.0)]);
    vocab.add_space_prefix = Some(false);
    let t = tokenizer(vocab.clone());
    let ids = t.encode("é🚀 x", PLAIN);
    assert_eq!(
        ids,
        [0xc3, 0xa9, 0xf0, 0x9f, 0x9a, 0x80]
            .map(|b| b + 3)
            .into_iter()
            .chain([259, u32::from(b'x') + 3])
            .collect::<Vec<u32>>()
    );
    assert_eq!(decoded(&t, &ids, DecodeOptions::default()), "é🚀 x");

    vocab.tokens[3 + 0xa9] = "gone".into();
    vocab.token_types.to_mut()[3 + 0xa9] = 1;
    assert_eq!(tokenizer(vocab).encode("é", PLAIN), [0xc3 + 3, 0]);
}

#[test]
fn text_behind_a_special_token_gets_the_implied_space() {
    let t = tokenizer(sentence_piece(&[("▁", -9.0), ("a", -9.0), ("▁a", -1.0)]));
    assert_eq!(t.encode("a</s>a", PARSE), [261, 2, 261]);
    assert_eq!(t.encode("</s></s>", PARSE), [2, 2]);
    assert_eq!(t.encode("</s>", PLAIN).len(), 5);
}

#[test]
fn bos_and_eos_follow_the_model_unless_the_file_says() {
    let t = tokenizer(sentence_piece(&[("a", 0.0)]));
    assert_eq!((t.bos(), t.eos(), t.unk()), (Some(1), Some(2), Some(0)));
    assert_eq!(t.encode("", FULL), [1]);
    let vocab = Vocab { add_bos: Some(false), add_eos: Some(true), ..sentence_piece(&[]) };
    assert_eq!(tokenizer(vocab).encode("", FULL), [2]);

    let ids = |pre| Vocab { bos: Some(7), eos: Some(8), ..byte_level(pre, &["a b"], &[]) };
    assert_eq!(tokenizer(ids("gpt-2")).encode("", FULL), [0u32; 0]);
    assert_eq!(tokenizer(ids("llama-bpe")).encode("", FULL), [7]);
    assert_eq!(tokenizer(ids("llama-bpe")).encode("", PARSE), [0u32; 0]);
}

#[test]
fn special_tokens_are_found_longest_first() {
    let extra = [("<a>", 4), ("<a><b>", 4), ("b><c", 4), ("<c>", 3), ("<?>", 2)];
    let t = tokenizer(byte_level("gpt-2", &["a b"], &extra));
    let [a, ab, bc, c, unknown] = [257, 258, 259, 260, 261];
    let lt = u32::from(b'<');
    assert_eq!(t.encode("<a><b><c>", PARSE), [ab, c]);
    assert_eq!(t.encode("<b><c>", PARSE), [lt, bc, u32::from(b'>')]);
    assert_eq!(t.encode("<a><a><?>", PARSE), [a, a, unknown]);
    // Control and unknown tokens are text unless asked for; user-defined ones never are.
    assert_eq!(t.encode("<a><c>", PLAIN), [a, lt, u32::from(b'c'), u32::from(b'>')]);
    assert_eq!(t.encode("<?>", PLAIN).len(), 3);
}

#[test]
fn equally_long_special_tokens_go_by_id() {
    let t = tokenizer(byte_level("gpt-2", &["a b"], &[("[xy", 4), ("y[x", 4)]));
    assert_eq!(t.encode("y[xy[x", PARSE), [u32::from(b'y'), 257, u32::from(b'['), u32::from(b'x')]);
}

#[test]
fn phi3_special_tokens_take_the_white_space_behind_them() {
    let mut vocab = byte_level("gpt-2", &["a b"], &[("<|user|>", 3), ("<|endoftext|>", 3)]);
    vocab.name = Some("Phi-3 mini".into());
    let t = tokenizer(vocab);
    assert_eq!(t.encode("<|user|> \n a<|endoftext|> ", PARSE), [257, 97, 258, 32]);
}

#[test]
fn control_tokens_are_rendered_on_request() {
    let t = tokenizer(byte_level("gpt-2", &["a b"], &[("<|x|>", 3), ("<y>", 4), ("unused", 5)]));
    assert_eq!(decoded(&t, &[257, 256, 258, 259, 9999], DecodeOptions::default()), "ab<y>");
    assert_eq!(decoded(&t, &[257, 256], SHOW), "<|x|>ab");
    assert!(t.is_control(257) && !t.is_control(258) && !t.is_control(9999));
    assert_eq!(t.token_bytes(9999), b"");
}

#[test]
fn generation_ends_at_tokens_known_by_id_or_name() {
    let extra = [("<|im_end|>", 1), ("<|eot_id|>", 3), ("</s>", 3), ("<|im_start|>", 3)];
    let vocab = Vocab { eos: Some(5), ..byte_level("gpt-2", &["a b"], &extra) };
    let t = tokenizer(vocab);
    let ends: Vec<u32> = (0..300).filter(|&id| t.is_end_of_generation(id)).collect();
    assert_eq!(ends, [5, 257, 258, 259]);
    // Of several end-of-turn names the one listed first counts.
    assert_eq!(t.eot(), Some(258));
    // A name makes a control token of what the file calls normal.
    assert!(t.is_control(257));
    assert_eq!(t.encode("<|im_end|>", PLAIN).len(), 10);
}

#[test]
fn harmony_end_of_message_does_not_end_generation() {
    let extra = [("<|end|>", 3), ("<|return|>", 3), ("<|call|>", 3), ("<|start|>", 3)];
    let t = tokenizer(byte_level("gpt-2", &["a b"], &extra));
    let ends: Vec<u32> = (0..300).filter(|&id| t.is_end_of_generation(id)).collect();
    assert_eq!(ends, [258, 259]);
    assert!(!t.is_control(257) && !t.is_control(260));
}

#[test]
fn contradictions_in_a_vocabulary_are_errors() {
    let base = || byte_level("gpt-2", &["a b"], &[]);
    let change = |edit: fn(&mut Vocab)| {
        let mut vocab = base();
        edit(&mut vocab);
        error(vocab)
    };
    assert_eq!(
        change(|v| v.token_types.to_mut().truncate(3)),
        "token_types has 3 entries for 257 tokens"
    );
    assert_eq!(change(|v| v.scores = vec![0.0; 2].into()), "scores has 2 entries for 257 tokens");
    assert_eq!(
        change(|v| v.scores = vec![f32::NAN; 257].into()),
        "the score of token 0 is not a number"
    );
    assert_eq!(
        change(|v| v.bos = Some(257)),
        "bos is token 257, but the vocabulary has 257 tokens"
    );
    assert_eq!(change(|v| v.pad = Some(u32::MAX)).split(' ').next(), Some("pad"));
    assert_eq!(
        change(|v| v.add_bos = Some(true)),
        "add_bos is set, but the vocabulary names no such token"
    );
    assert_eq!(change(|v| v.tokens[9] = "a".into()), "tokens 9 and 97 have the same text \"a\"");
    assert_eq!(change(|v| v.merges.clear()), "the vocabulary has no merges");
    assert_eq!(
        change(|v| v.merges.push("ab".into())),
        "merge 1, \"ab\", has no space between two tokens"
    );
    assert_eq!(
        change(|v| v.merges.push("ab c".into())),
        "merge 1, \"ab c\", needs token \"abc\", which does not exist"
    );
    assert_eq!(
        change(|v| v.merges.push("é ".into())),
        "merge 1, \"é \", needs token \"\", which does not exist"
    );
    assert_eq!(
        change(|v| v.token_types.to_mut()[0] = 6),
        "token 0 is of type byte, but its text \"Ā\" is not of the form <0xXX>"
    );
    assert_eq!(
        change(|v| v.tokens[0] = "x".repeat(MAX_TOKEN_LEN + 1).into()),
        "token 0 has 4097 bytes, more than 4096"
    );
    assert_eq!(change(|v| v.tokens.clear()), "the vocabulary has no tokens");
    assert_eq!(
        change(|v| v.merges = vec![" ".into()]),
        "merge 0, \" \", has no space between two tokens"
    );
    assert!(Tokenizer::new(base()).is_ok());
}

#[test]
fn no_vocabulary_and_no_text_make_it_panic() {
    type Parts = (Vec<String>, Vec<i8>, Vec<(usize, usize)>, Option<u8>, Vec<u32>);
    fn survives((tokens, types, pairs, id, ids): Parts, text: String) -> bool {
        // Most vocabularies should be accepted: merges of texts with spaces, for one, never are.
        let sound = |text: &String| !text.is_empty() && !text.contains(' ');
        let names = ["<|im_end|>", "</s>", "<|end|>", "<|call|>", "<|return|>", "<0x41>", "a", "b"];
        let mut tokens: Vec<String> =
            tokens.into_iter().filter(sound).chain(names.map(String::from)).collect();
        let merges = pairs
            .iter()
            .map(|&(left, right)| [left, right].map(|index| tokens[index % tokens.len()].clone()));
        let merges: Vec<[String; 2]> = merges.collect();
        tokens.extend(merges.iter().map(|pair| pair.concat()));
        tokens.sort();
        tokens.dedup();
        let token_types = (0..tokens.len()).map(|index| match types.len() {
            0 => 1,
            len => i32::from(types[index % len] % 6),
        });
        let vocab = Vocab {
            token_types: token_types.collect(),
            scores: (0..tokens.len()).map(|index| (index % 7) as f32).collect(),
            merges: merges.iter().map(|pair| pair.join(" ").into()).collect(),
            tokens: tokens.into_iter().map(Into::into).collect(),
            eos: id.map(|id| u32::from(id % 9)),
            ..Vocab::default()
        };
        for (model, pre) in [("llama", None), ("gpt2", None), ("gpt2", Some("llama3".into()))] {
            let vocab = Vocab { model: model.into(), pre, ..vocab.clone() };
            if let Ok(tokenizer) = Tokenizer::new(vocab) {
                let found = tokenizer.encode(&text, FULL);
                assert!(found.iter().all(|&id| (id as usize) < tokenizer.vocab_len()));
                tokenizer.decode(&found, SHOW);
                tokenizer.decode(&ids, SHOW);
            }
        }
        true
    }
    quickcheck::quickcheck(survives as fn(Parts, String) -> bool);
}

#[test]
fn empty_tokens_get_a_name_of_their_own() {
    let mut vocab = byte_level("gpt-2", &["a b"], &[]);
    vocab.tokens[0] = "".into();
    vocab.tokens[1] = "".into();
    assert_eq!(tokenizer(vocab).token_bytes(1), b"[EMPTY_1]");
}

#[test]
fn unsupported_kinds_are_named_with_all_that_are_supported() {
    for model in ["bert", "t5", "rwkv", "plamo2", "LLAMA", "", "none"] {
        let found = error(Vocab { model: model.into(), ..Vocab::default() });
        let expected =
            format!("tokenizer model {model:?} is not supported (supported: llama, gpt2)");
        assert_eq!(found, expected);
    }
    let known: Vec<&str> = PreTokenizer::names().collect();
    for name in ["tekken", "GPT-2", "viking", "gpt-4o"] {
        let found = error(byte_level(name, &["a b"], &[]));
        let known = known.join(", ");
        assert_eq!(found, format!("pre-tokenizer {name:?} is not supported (supported: {known})"));
    }
    for name in ["default", "gpt-2", "llama-bpe", "qwen2", "smollm", "deepseek-llm"]
        .into_iter()
        .chain(["deepseek-coder", "starcoder", "refact", "falcon", "mpt"])
    {
        assert!(known.contains(&name), "{name}");
    }
    // A file that names none has the default one.
    for pre in [None, Some(String::new())] {
        assert!(Tokenizer::new(Vocab { pre, ..byte_level("", &["a b"], &[]) }).is_ok());
    }
}
