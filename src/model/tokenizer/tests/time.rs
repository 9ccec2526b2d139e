//! No text takes more than about linear time.

use std::time::Duration;

use super::*;

/// What these tests allow where the promise is two seconds: CI builds without full optimisation.
const TWO_SECONDS: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });

/// Repeated, each of these is one long run for some splitter, merge table or special token.
const RUNS: [&str; 16] = [
    "a",
    " ",
    "🚀",
    "\n",
    "\r\n",
    "'",
    " x",
    "a b ",
    "7",
    "<|im_end|>",
    "<|im_end",
    "中",
    "\u{301}",
    "a\u{301}\u{20dd}",
    "\u{fffd}",
    "▁",
];

/// Vocabularies of both kinds that merge runs of one character to tokens of up to 128.
fn tokenizers() -> Vec<Tokenizer> {
    let doubled = |ch: &str| -> Vec<String> {
        (0..8).map(|power| [ch.repeat(1 << power), ch.repeat(1 << power)].join(" ")).collect()
    };
    let merges: Vec<String> = [
        doubled("a"),
        doubled("Ġ"),
        doubled("7"),
        ["ð Ł", "ðŁ ļ", "ä ¸", "ä¸ Ń", "Ì ģ"].map(String::from).to_vec(),
    ]
    .concat();
    let merges: Vec<&str> = merges.iter().map(String::as_str).collect();
    let runs: Vec<String> = (2..32).map(|len| "\n".repeat(len)).collect();
    let mut extra: Vec<(&str, i32)> = runs.iter().map(|run| (run.as_str(), 4)).collect();
    extra.push(("<|im_end|>", 3));
    let pieces: Vec<(String, f32)> = (0..8)
        .flat_map(|power| {
            ["a", "▁", "7", "中", "\u{301}"].map(|ch| (ch.repeat(1 << power), power as f32))
        })
        .collect();
    let mut pieces: Vec<(&str, f32)> =
        pieces.iter().map(|(text, score)| (&**text, *score)).collect();
    let mut tokenizers = vec![tokenizer(sentence_piece(&pieces))];
    // A token that crosses from word to word: nothing can be cut before its mark.
    pieces.push(("a▁", 9.0));
    tokenizers.push(tokenizer(sentence_piece(&pieces)));
    for name in
        ["default", "gpt-2", "llama-bpe", "qwen2", "qwen35", "starcoder", "falcon", "deepseek-llm"]
    {
        tokenizers.push(tokenizer(byte_level(name, &merges, &extra)));
    }
    tokenizers.push(tokenizer(byte_level("deepseek-coder", &merges, &extra)));
    tokenizers
}

/// What this thread has computed so far: a machine that is busy with other things does not count.
fn computed() -> Duration {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure can be written.
        let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        assert_eq!(status, 0, "the clock of the thread");
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    {
        std::time::UNIX_EPOCH.elapsed().expect("a clock that is set")
    }
}

fn time(tokenizer: &Tokenizer, text: &str) -> Duration {
    let start = computed();
    let ids = tokenizer.encode(text, PARSE);
    let elapsed = computed() - start;
    assert!(!ids.is_empty());
    elapsed
}

#[test]
fn a_megabyte_of_one_character_takes_less_than_two_seconds() {
    for t in tokenizers().iter().step_by(3) {
        for run in ["a", " ", "🚀"] {
            let text = run.repeat((1 << 20) / run.len());
            let elapsed = time(t, &text);
            assert!(elapsed < TWO_SECONDS, "{t:?}, {run:?}: {elapsed:?}");
        }
    }
}

#[test]
fn thirty_two_times_the_text_takes_less_than_300_times_the_time() {
    for t in tokenizers() {
        for run in RUNS {
            let [short, long] = [2 << 10, 64 << 10].map(|bytes| run.repeat(bytes / run.len()));
            // About 45 times are usual, 150 where the short text fits caches and branch predictors
            // or a neighbour takes the core; a quadratic step would take 1000 times.
            let mut tries = (0..5).map(|_| (time(&t, &short), time(&t, &long)));
            let linear = tries.any(|(short, long)| long < 300 * short);
            assert!(linear, "{t:?}, {run:?}: {:?} and {:?}", time(&t, &short), time(&t, &long));
        }
    }
}

#[test]
fn thousands_of_special_tokens_in_a_megabyte_take_less_than_two_seconds() {
    let names: Vec<String> = (0..5000).map(|n| format!("<unused{n}>")).collect();
    let extra: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 3)).collect();
    let t = tokenizer(byte_level("gpt-2", &["< <"], &extra));
    let text = names.concat() + &"<".repeat(1 << 20);
    let start = computed();
    let ids = t.encode(&text, PARSE);
    let elapsed = computed() - start;
    assert!(elapsed < TWO_SECONDS, "{elapsed:?}");
    let expected: Vec<u32> = (257..5257).chain(vec![256; 1 << 19]).collect();
    assert!(ids == expected);
}
