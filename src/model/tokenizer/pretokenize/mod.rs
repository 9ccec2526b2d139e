//! Cutting text into the words that byte-level BPE works on.
//!
//! A GGUF file names its pre-tokeniser in `tokenizer.ggml.pre`. Each name stands for one or more
//! regular expressions, applied one after the other, each to the pieces of the one before. Here
//! they are hand-written [splitters](split): no regular-expression engine, one pass over the
//! text each, whatever the text.
//!
//! The character classes are those of Unicode 16.0. The reference's tables are of Unicode 15.1:
//! letters and digits first assigned in 16.0 are not letters or digits there.

mod class;
mod split;

use class::LETTER;

/// Which splitters a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Default,
    Gpt2,
    Llama3,
    Qwen2,
    Qwen35,
    /// GPT-2 behind single digits: StarCoder and its kin.
    Starcoder,
    Falcon,
    DeepseekLlm,
    DeepseekCoder,
}

/// A pre-tokeniser of byte-level BPE, with the settings that its name implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PreTokenizer {
    pattern: Pattern,
    /// A word that is a token is that token, whatever the merges say.
    pub(super) ignore_merges: bool,
    /// Whether BOS is prepended when the file does not say.
    pub(super) add_bos: bool,
}

/// Every supported name, with its pattern and settings.
#[rustfmt::skip]
const NAMES: &[(&str, PreTokenizer)] = {
    const fn named(pattern: Pattern) -> PreTokenizer {
        PreTokenizer { pattern, ignore_merges: false, add_bos: false }
    }
    const fn whole_words(pattern: Pattern, add_bos: bool) -> PreTokenizer {
        PreTokenizer { ignore_merges: true, add_bos, ..named(pattern) }
    }
    &[
        ("default", named(Pattern::Default)),
        ("gpt-2", named(Pattern::Gpt2)),
        ("phi-2", named(Pattern::Gpt2)),
        ("gigachat", named(Pattern::Gpt2)),
        ("a.x-4.0", named(Pattern::Gpt2)),
        ("mellum", named(Pattern::Gpt2)),
        ("exaone4", named(Pattern::Gpt2)),
        ("mpt", named(Pattern::Gpt2)),
        ("olmo", named(Pattern::Gpt2)),
        ("jais", named(Pattern::Gpt2)),
        ("trillion", named(Pattern::Gpt2)),
        ("granite-docling", named(Pattern::Gpt2)),
        ("llama-bpe", whole_words(Pattern::Llama3, true)),
        ("llama3", whole_words(Pattern::Llama3, true)),
        ("llama-v3", whole_words(Pattern::Llama3, true)),
        ("falcon3", whole_words(Pattern::Llama3, true)),
        ("falcon-h1", whole_words(Pattern::Llama3, true)),
        ("pixtral", whole_words(Pattern::Llama3, true)),
        ("midm-2.0", whole_words(Pattern::Llama3, true)),
        ("lfm2", whole_words(Pattern::Llama3, true)),
        ("glm4", whole_words(Pattern::Llama3, false)),
        ("glm5", whole_words(Pattern::Llama3, false)),
        ("chatglm-bpe", named(Pattern::Llama3)),
        ("dbrx", named(Pattern::Llama3)),
        ("smaug-bpe", named(Pattern::Llama3)),
        ("qwen2", named(Pattern::Qwen2)),
        ("deepseek-r1-qwen", named(Pattern::Qwen2)),
        ("kormo", named(Pattern::Qwen2)),
        ("hunyuan", named(Pattern::Qwen2)),
        ("solar-open", named(Pattern::Qwen2)),
        ("grok-2", named(Pattern::Qwen2)),
        ("megrez", named(Pattern::Qwen2)),
        ("stablelm2", named(Pattern::Qwen2)),
        ("qwen35", named(Pattern::Qwen35)),
        ("starcoder", named(Pattern::Starcoder)),
        ("refact", named(Pattern::Starcoder)),
        ("codeshell", named(Pattern::Starcoder)),
        ("exaone", named(Pattern::Starcoder)),
        ("minerva-7b", named(Pattern::Starcoder)),
        ("smollm", named(Pattern::Starcoder)),
        ("command-r", named(Pattern::Starcoder)),
        ("falcon", named(Pattern::Falcon)),
        ("deepseek-llm", named(Pattern::DeepseekLlm)),
        ("deepseek-coder", named(Pattern::DeepseekCoder)),
    ]
};

impl PreTokenizer {
    /// The pre-tokeniser that `tokenizer.ggml.pre` names, if it is a supported one.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, found)| found)
    }

    /// The supported names, for an error message.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|&(name, _)| name)
    }

    /// Cuts `text` into words: their ends, ascending, the last one `text.len()`.
    pub(super) fn split(&self, text: &str) -> Vec<usize> {
        use split::*;
        type Stage = fn(&str, usize, &mut Vec<usize>);
        let stages: &[Stage] = match self.pattern {
            Pattern::Gpt2 => &[gpt2],
            Pattern::Llama3 => &[|text, base, ends| llama3(text, base, ends, 3, LETTER)],
            Pattern::Qwen2 => &[|text, base, ends| llama3(text, base, ends, 1, LETTER)],
            Pattern::Qwen35 => &[|text, base, ends| llama3(text, base, ends, 1, LETTERS_AND_MARKS)],
            Pattern::Starcoder => &[each_number, gpt2],
            Pattern::Falcon => {
                &[|text, base, ends| punctuation_runs(text, base, ends, "`"), gpt2, digit_triples]
            }
            Pattern::DeepseekLlm => &[
                each_line_break,
                spaced_cased_letters,
                spaced_signs,
                trailing_space,
                cjk_runs,
                number_runs,
            ],
            Pattern::DeepseekCoder => {
                &[each_line_break, spaced_letters, spaced_punctuation, cjk_runs, each_number]
            }
            Pattern::Default => &[
                |text, base, ends| punctuation_runs(text, base, ends, ""),
                gpt2,
                number_runs,
                digit_triples,
            ],
        };
        let mut ends = vec![text.len(); usize::from(!text.is_empty())];
        for stage in stages {
            let pieces = std::mem::take(&mut ends);
            ends.reserve(pieces.len());
            let mut start = 0;
            for end in pieces {
                stage(&text[start..end], start, &mut ends);
                start = end;
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests;
