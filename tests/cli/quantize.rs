//! `quantize`: its plan, its file, its words.

use super::*;

fn quantize(output: &str, file_type: &str, options: &str) -> Done {
    let args = ["quantize", GEMMA3, output, file_type];
    call(&args.into_iter().chain(options.split_whitespace()).collect::<Vec<_>>())
}

#[test]
fn a_quantised_file_runs_and_has_the_types_of_the_plan() {
    let folder = TempFolder::new("quantize");
    let path = folder.path("q.gguf");
    for file_type in ["q2_k", "Q4_0", "q5_k_m", "f16"] {
        let plan = quantize(&path, file_type, "--dry-run --json").json();
        assert_eq!(plan["type"], file_type.to_lowercase());
        let done = quantize(&path, file_type, "-t 2");
        assert!(done.stderr.contains(&path), "{done:?}");
        assert_eq!(done.ok(), "");

        let file = call(&["inspect", &path, "--json", "--tensors"]).json();
        let types = |list: &Value, key: &str| -> Vec<(String, String)> {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            super::list(list).iter().map(|t| (text(&t["name"]), text(&t[key]))).collect()
        };
        assert_eq!(types(&plan["tensors"], "to"), types(&file["tensors"], "type"));
        assert_eq!(plan["files"][0]["bytes"], std::fs::metadata(&path).unwrap().len());
        call(&["run", "-m", &path, "-p", PROMPT, "-n", "3"]).ok();
    }
    assert_eq!(folder.names(), ["q.gguf"]);
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let folder = TempFolder::new("dry-run");
    let text = quantize(&folder.path("q.gguf"), "q5_k_m", "--dry-run").ok();
    for words in ["F32 -> Q5_1", "the block of Q5_K", "q.gguf: ", " tensors", " -> "] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let split = quantize(&folder.path("q.gguf"), "q8_0", "--dry-run --split-max-size 150K").ok();
    assert!(split.contains("q-00002-of-0000"), "{split}");
    assert!(folder.names().is_empty());
}

#[test]
fn any_number_of_threads_and_any_kernels_make_the_same_file() {
    let folder = TempFolder::new("same-file");
    let first = folder.path("first.gguf");
    quantize(&first, "q4_k_m", "-t 1 --isa scalar").ok();
    for (level, supported) in levels() {
        let other = folder.path("other.gguf");
        if supported {
            quantize(&other, "q4_k_m", &format!("-t 3 --isa {level}")).ok();
            assert!(std::fs::read(&first).unwrap() == std::fs::read(&other).unwrap(), "{level}");
        }
    }
}

#[test]
fn quantising_again_is_warned_of_and_may_replace_its_own_source() {
    let folder = TempFolder::new("again");
    let path = folder.path("q.gguf");
    assert!(!quantize(&path, "q8_0", "").stderr.contains("warning"));
    let again = call(&["quantize", &path, &path, "q4_0"]);
    assert!(again.stderr.contains("warning: ") && again.stderr.contains("quantised already"));
    again.ok();
    call(&["run", "-m", &path, "-p", PROMPT, "-n", "2"]).ok();
    assert_eq!(folder.names(), ["q.gguf"]);
}

#[test]
fn a_split_file_is_written_and_read() {
    let folder = TempFolder::new("split");
    quantize(&folder.path("q.gguf"), "q8_0", "--split-max-size 150k").ok();
    let names = folder.names();
    let count = names.len();
    assert!(count > 1);
    let last = format!("q-{count:05}-of-{count:05}.gguf");
    assert_eq!(names.last(), Some(&last));
    for name in &names {
        assert!(std::fs::metadata(folder.path(name)).unwrap().len() <= 150_000, "{name}");
    }
    // And split files are a source like any other.
    let (joined, whole) = (folder.path("joined.gguf"), folder.path("whole.gguf"));
    call(&["quantize", &folder.path(&last), &joined, "q8_0"]).ok();
    quantize(&whole, "q8_0", "").ok();
    assert!(std::fs::read(joined).unwrap() == std::fs::read(whole).unwrap());
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = TempFolder::new("refused");
    let path = folder.path("q.gguf");
    let types = quantize(&path, "q9_k", "").refused();
    assert!(types.contains("\"q9_k\", expected one of q2_k, q3_k_m,"), "{types}");
    assert!(quantize(&path, "q8_0", "--split-max-size 1T").refused().contains("500M or 2G"));
    assert!(quantize(&path, "q8_0", "--split-max-size 1K").failed().contains("expected at least "));
    assert!(quantize(&folder.path("none/q.gguf"), "q8_0", "").failed().contains("cannot create"));
    assert!(quantize("/dev/null", "q8_0", "").failed().contains("not a regular file"));
    assert!(
        call(&["quantize", "no.gguf", &path, "q8_0"]).failed().contains("no.gguf: cannot open")
    );
    assert!(folder.names().is_empty());
}
