use super::*;

fn words<'text>(name: &str, text: &'text str) -> Vec<&'text str> {
    let pre = PreTokenizer::named(name).unwrap();
    let mut start = 0;
    let mut word = |end| {
        let word = &text[start..end];
        start = end;
        word
    };
    pre.split(text).into_iter().map(&mut word).collect()
}

#[track_caller]
fn check(name: &str, text: &str, expected: &[&str]) {
    assert_eq!(words(name, text), expected, "{name}: {text:?}");
}

#[test]
fn gpt2_keeps_a_space_with_the_word_behind_it() {
    check("gpt-2", "Hello  world", &["Hello", " ", " world"]);
    check("gpt-2", "a1b22 333", &["a", "1", "b", "22", " 333"]);
    check("gpt-2", " !?\n\n x", &[" !?", "\n\n", " x"]);
    check("gpt-2", "x \n", &["x", " \n"]);
    check("gpt-2", "x\u{a0}y\u{3000}\u{3000}z", &["x", "\u{a0}", "y", "\u{3000}", "\u{3000}", "z"]);
    check("gpt-2", " ", &[" "]);
    check("gpt-2", "", &[]);
}

#[test]
fn gpt2_cuts_lower_case_contractions_only() {
    check("gpt-2", "I'm you'll", &["I", "'m", " you", "'ll"]);
    check("gpt-2", "I'M '", &["I", "'", "M", " '"]);
    check("gpt-2", "''s'", &["''", "s", "'"]);
    check("gpt-2", " 's", &[" '", "s"]);
    check("gpt-2", "'r", &["'", "r"]);
    check("gpt-2", "'é're", &["'", "é", "'re"]);
}

#[test]
fn llama3_groups_three_digits_and_line_breaks() {
    check("llama-bpe", "1234567 89", &["123", "456", "7", " ", "89"]);
    check("llama-bpe", "a.\r\n\n b", &["a", ".\r\n\n", " b"]);
    check("llama-bpe", "a \n \n  b", &["a", " \n \n", " ", " b"]);
    check("llama-bpe", "$x (y) *z*", &["$x", " (", "y", ")", " *", "z", "*"]);
    check("llama-bpe", "I'M'Ll'", &["I", "'M", "'Ll", "'"]);
    check("llama-bpe", "\tx\nx", &["\tx", "\n", "x"]);
    check("llama-bpe", "end  ", &["end", "  "]);
    check("llama-bpe", "  .", &[" ", " ."]);
}

#[test]
fn qwen2_cuts_every_digit() {
    check("qwen2", "x2024", &["x", "2", "0", "2", "4"]);
    check("qwen2", "٣٤½", &["٣", "٤", "½"]);
    check("qwen2", "   7", &["  ", " ", "7"]);
}

#[test]
fn qwen35_keeps_marks_with_their_letters() {
    let combined = "e\u{301}te\u{301}";
    check("qwen35", combined, &[combined]);
    check("qwen2", combined, &["e", "\u{301}te", "\u{301}"]);
}

#[test]
fn starcoder_cuts_digits_before_words() {
    check("starcoder", "ab 12  x", &["ab", " ", "1", "2", " ", " x"]);
    check("smollm", "v1.5's", &["v", "1", ".", "5", "'s"]);
    // The digit ends its piece, so the white space in front of it is not followed by anything.
    check("starcoder", "a   1", &["a", "   ", "1"]);
}

#[test]
fn falcon_cuts_punctuation_first_and_digits_by_threes() {
    check("falcon", "a (b) 12345", &["a", " ", "(", "b", ")", " ", "123", "45"]);
    check("falcon", "it's `x`", &["it", "'", "s", " ", "`", "x", "`"]);
    check("default", "it's `x` 1234", &["it", "'", "s", " `", "x", "`", " ", "123", "4"]);
}

#[test]
fn deepseek_llm_knows_cased_letters_signs_and_ideographs() {
    check("deepseek-llm", "Hi,\n\nyou  12", &["Hi", ",", "\n", "\n", "you", "  ", "12"]);
    check("deepseek-llm", "中文abc かな", &["中文", "abc", " ", "かな"]);
    check("deepseek-llm", "a\u{3000}b。", &["a", "\u{3000}b", "。"]);
    check("deepseek-llm", "x   ", &["x", "   "]);
    check("deepseek-llm", "ƻ Ḁ", &["ƻ", " ", "Ḁ"]);
}

#[test]
fn deepseek_coder_knows_letters_punctuation_and_digits() {
    check("deepseek-coder", "f(x) += 12;", &["f", "(", "x", ")", " += ", "1", "2", ";"]);
    check("deepseek-coder", "中文 ab\r\n", &["中文", " ab", "\r", "\n"]);
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = PreTokenizer::names().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!(PreTokenizer::named("gpt2"), None);
}

#[test]
fn words_cover_every_text_in_order() {
    fn covers(text: String) -> bool {
        PreTokenizer::names().all(|name| {
            let words = words(name, &text);
            words.concat() == text && words.iter().all(|word| !word.is_empty())
        })
    }
    quickcheck::quickcheck(covers as fn(String) -> bool);
    for text in ["'", "''", " '", "\u{a0}", "\r", "1", "🚀 🚀", "\u{3000}。"] {
        assert!(covers(text.to_owned()), "{text:?}");
    }
}
