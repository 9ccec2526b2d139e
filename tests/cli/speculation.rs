//! `--lookup` and `--draft`.

use super::*;

#[test]
fn speculation_changes_no_text_and_tells_what_it_brought() {
    for options in ["--temp 0 -n 40 --ignore-eos", "--temp 0.9 --seed 3 -n 40 --ignore-eos"] {
        let plain = run(&format!("{options} --json")).json();
        assert!(plain["speculation"].is_null());
        for draft in ["--lookup".to_owned(), format!("--draft {LLAMA}")] {
            let done = run(&format!("{options} {draft} --json --stats"));
            assert!(done.stderr.contains("speculation: 39 tokens, "), "{done:?}");
            let json = done.json();
            assert_eq!((&json["text"], &json["tokens"]), (&plain["text"], &plain["tokens"]));
            let speculation = &json["speculation"];
            assert_eq!(speculation["tokens"], 39);
            assert!(speculation["accepted"].as_u64() <= speculation["drafted"].as_u64());
            assert!(speculation["gain"].as_f64().is_some_and(|gain| gain > 0.0), "{speculation}");
        }
    }
}

#[test]
fn a_draft_with_another_vocabulary_is_refused_with_the_first_difference() {
    let message = run(&format!("-n 4 --draft {GEMMA3}")).failed();
    assert!(message.contains(GEMMA3) && message.contains("token "), "{message}");
    assert!(message.contains("in the model, and") && message.contains("in the draft"), "{message}");
    assert!(run("-n 4 --draft none.gguf").failed().contains("none.gguf"));
    run(&format!("-n 4 --lookup --draft {LLAMA}")).refused();
}
