//! `run --session`: the rest of a prompt is computed, and nothing changes.

use super::*;

/// The parts of `run`'s object that do not tell of time.
fn answer(mut json: Value) -> Value {
    json.as_object_mut().expect("an object").remove("timings");
    json
}

fn prefilled(json: &Value) -> u64 {
    json["timings"]["prefill_tokens"].as_u64().expect("a number")
}

#[test]
fn a_prompt_that_begins_as_the_session_computes_only_the_rest_and_answers_as_a_cold_run() {
    let folder = TempFolder::new("session");
    let session = folder.path("a.session");
    let all = |prompt: &str| tokenize(LLAMA, prompt, &[]).len() as u64;
    let run = |prompt: &str, options: &[&str]| {
        let args = ["run", "-m", LLAMA, "-p", prompt, "-n", "12", "--json", "-s", "3"];
        call(&[&args, options].concat())
    };
    let mut before = 0;
    for (prompt, shared) in [
        ("the and in on", false),
        // The same again; one that goes on; one that branches off; one that begins otherwise.
        ("the and in on", true),
        ("the and in on the and in on the and", true),
        ("the and in on the and was", true),
        ("on the", false),
    ] {
        let cold = run(prompt, &[]).json();
        let warm = run(prompt, &["--session", &session]).json();
        let computed = prefilled(&warm);
        assert_eq!(prefilled(&cold), all(prompt));
        assert_eq!(computed < all(prompt), shared, "{prompt}: {computed} computed");
        assert!(computed > 0);
        assert_eq!(answer(cold), answer(warm), "{prompt}");
        let size = std::fs::metadata(&session).expect("the session").len();
        assert_ne!(size, before);
        before = if prompt == "the and in on" { 0 } else { size };
    }
    assert_eq!(folder.names(), ["a.session"]);
}

#[test]
fn a_session_of_another_model_or_a_damaged_one_is_refused_and_stays() {
    let folder = TempFolder::new("session-foreign");
    let path = folder.path("a.session");
    let run = |model: &str, options: &[&str]| {
        let args = ["run", "-m", model, "-p", PROMPT, "-n", "2", "--temp", "0", "--session", &path];
        call(&[&args, options].concat())
    };
    run(LLAMA, &[]).ok();
    let whole = std::fs::read(&path).expect("the session");
    let message = run(QWEN2, &[]).failed();
    assert!(message.starts_with(&format!("error: {path}: model: found ")), "{message}");
    let message = run(LLAMA, &["-ctk", "f32", "-ctv", "f32"]).failed();
    assert!(message.ends_with("cache type: found \"f16\", expected f32"), "{message}");
    assert!(std::fs::read(&path).expect("the session") == whole);
    for damaged in [&whole[..whole.len() - 1], b"", b"text"] {
        std::fs::write(&path, damaged).expect("it can be written");
        let message = run(LLAMA, &[]).failed();
        assert!(message.contains(&path), "{message}");
        assert!(std::fs::read(&path).expect("the session") == damaged);
    }
    assert_eq!(folder.names(), ["a.session"]);
}

#[test]
fn a_session_that_could_not_be_saved_is_refused_before_anything_is_computed() {
    let folder = TempFolder::new("session-nowhere");
    let path = folder.path("no such folder/a.session");
    let message = run(&format!("--session {}", path.replace(' ', "_"))).failed();
    assert!(message.contains("cannot create"), "{message}");
    let args = ["run", "-m", LLAMA, "-p", PROMPT, "--session", &folder.path("")];
    let message = call(&args).failed();
    assert!(message.contains("it is not a regular file"), "{message}");
}
