//! The command line, as a user meets it: the real binary on the tiny models.
#![cfg(feature = "cli")]

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const MODEL: &str = "tests/data/tiny/qwen2.gguf";

fn quintile(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintile"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(args: &[&str]) -> Output {
    quintile(args).output().unwrap()
}

/// Stdout of a command that must succeed.
fn stdout(args: &[&str]) -> String {
    let out = output(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

/// Checks the exit code of a command that fails, that stdout is empty, and returns stderr.
fn fails(code: i32, args: &[&str]) -> String {
    let out = output(args);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(out.stdout.is_empty(), "{args:?}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

fn greedy(more: &[&str]) -> String {
    stdout(&[&["run", "-m", MODEL, "-p", "the and", "--temp", "0", "-n", "24"], more].concat())
}

/// A file of this test process.
fn temporary(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("quintile-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// A run that streams until it is stopped.
fn endless() -> Child {
    let args = ["run", "-m", MODEL, "-p", "the", "--ignore-eos", "-n", "900000", "-c", "900000"];
    quintile(&args).spawn().unwrap()
}

#[test]
fn every_command_shows_help_with_an_example_and_exits_0() {
    for command in ["run", "inspect", "tokenize", "detokenize", "perplexity", "bench", "isa"] {
        let help = stdout(&[command, "--help"]);
        assert!(help.contains("Example"), "{command}");
    }
    assert!(stdout(&["--help"]).contains("Examples:"));
}

#[test]
fn wrong_usage_exits_2_and_failures_exit_1_with_one_line() {
    fails(2, &["frobnicate"]);
    fails(2, &["run", "-m", MODEL]);
    fails(2, &["run", "-m", MODEL, "-p", "x", "--top-p", "7"]);
    fails(2, &["run", "-m", MODEL, "-p", "x", "-ctk", "f32"]);
    fails(2, &["perplexity", "-m", MODEL, "-f", "x", "--windows", "0"]);
    assert!(fails(2, &["isa", "--isa", "avx1024"]).contains("scalar, generic, avx2"));
    let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    let missing = fails(1, &["run", "-m", MODEL, "-p", "x", "--isa", foreign]);
    assert!(missing.starts_with("error:") && missing.contains(foreign), "{missing}");
    let missing = fails(1, &["inspect", "no-such-file.gguf"]);
    assert_eq!(missing.lines().count(), 1, "{missing}");
    assert!(missing.starts_with("error: no-such-file.gguf: "), "{missing}");
    assert!(fails(1, &["run", "-m", MODEL, "-p", ""]).contains("prompt is empty"));
}

#[test]
fn inspect_shows_metadata_types_and_tensors() {
    let text = stdout(&["inspect", MODEL, "--tensors"]);
    assert!(
        text.contains("general.architecture = \"qwen2\"") && text.contains("token_embd.weight")
    );
    let value = json(&["inspect", MODEL, "--json", "--tensors"]);
    assert_eq!(value["metadata"]["qwen2.block_count"], 1);
    assert_eq!(value["tensors"].as_array().unwrap().len() as u64, value["tensor_count"]);
    assert_eq!(value["types"]["F32"]["tensors"], value["tensor_count"]);
}

#[test]
fn text_tokenizes_and_detokenizes_back() {
    let text = "the and in on ŧ 😀";
    let ids: Vec<u32> =
        serde_json::from_str(&stdout(&["tokenize", "-m", MODEL, "-p", text])).unwrap();
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    let mut args = vec!["detokenize", "-m", MODEL];
    args.extend(list.iter().map(String::as_str));
    assert_eq!(stdout(&args), text);
    // Special tokens are not recognised where they are not asked for.
    let with = stdout(&["tokenize", "-m", MODEL, "-p", "<|endoftext|>"]);
    let without = stdout(&["tokenize", "-m", MODEL, "-p", "<|endoftext|>", "--no-special"]);
    assert_eq!(with.trim(), "[319]");
    assert!(without.len() > with.len());
}

#[test]
fn a_run_is_the_same_for_any_threads_batch_and_isa() {
    let want = greedy(&[]);
    assert!(!want.is_empty());
    for more in [["-t", "1"], ["-t", "3"], ["-b", "1"], ["-b", "7"]] {
        assert_eq!(greedy(&more), want, "{more:?}");
    }
    let levels = stdout(&["isa"]);
    let supported = |line: &&str| line.starts_with("level") && !line.contains("not supported");
    for line in levels.lines().filter(supported) {
        let level = line.split_whitespace().nth(1).unwrap();
        assert_eq!(greedy(&["--isa", level]), want, "{level}");
    }
    let drawn = |threads| {
        stdout(&["run", "-m", MODEL, "-p", "the", "-n", "24", "--seed", "5", "-t", threads])
    };
    assert_eq!(drawn("1"), drawn("3"));
}

#[test]
fn json_holds_what_is_documented_and_the_text_that_is_streamed_without_it() {
    let value = json(&["run", "-m", MODEL, "-p", "the and", "--temp", "0", "-n", "24", "--json"]);
    assert_eq!(value["text"], greedy(&[]));
    assert_eq!(value["stop"], "length");
    let tokens = value["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 24);
    for token in tokens {
        let top = token["top"].as_array().unwrap();
        assert_eq!(top.len(), 5);
        // Greedy takes the best, whose probability is first.
        assert_eq!((&top[0]["id"], &top[0]["logprob"]), (&token["id"], &token["logprob"]));
    }
    assert!(value["timings"]["prefill_ts"].as_f64().unwrap() > 0.0);
    assert!(!value["prompt_tokens"].as_array().unwrap().is_empty() && value["seed"].is_u64());
}

#[test]
fn a_prompt_comes_from_stdin_or_a_file() {
    let want = greedy(&[]);
    let args = ["run", "-m", MODEL, "-p", "-", "--temp", "0", "-n", "24"];
    let mut child = quintile(&args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"the and").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, want.as_bytes());
    let path = temporary("prompt.txt", "the and");
    let from_file =
        stdout(&["run", "-m", MODEL, "-f", path.to_str().unwrap(), "--temp", "0", "-n", "24"]);
    assert_eq!(from_file, want);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_context_bounds_the_prompt_and_the_generation() {
    let error = fails(1, &["run", "-m", MODEL, "-p", "zzzzzzzzzz", "-c", "4"]);
    assert!(error.contains("10 tokens") && error.contains("room for 4"), "{error}");
    let args = ["run", "-m", MODEL, "-p", "zz", "-c", "8", "--ignore-eos", "--json"];
    let out = output(&args);
    assert!(out.status.success());
    assert!(String::from_utf8(out.stderr).unwrap().contains("the context of 8 is full"));
    let value: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(value["stop"], "context");
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let whole = greedy(&["--ignore-eos"]);
    let stop: String = whole.chars().skip(5).take(3).collect();
    let cut = greedy(&["--ignore-eos", "--stop", &stop]);
    assert_eq!(cut, whole[..whole.find(&stop).unwrap()]);
}

#[test]
fn a_closed_pipe_ends_a_run_quietly() {
    let mut child = endless();
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    // The pipe is closed now.
    let out = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn sigint_ends_a_run_at_once_with_what_was_produced() {
    let mut child = endless();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130));
    assert!(String::from_utf8(out.stderr).unwrap().contains("t/s"), "the timings are still shown");
}

#[test]
fn perplexity_is_the_same_for_any_threads_and_its_json_has_all_digits() {
    let path = temporary("text.txt", &"the and in on the other hand ".repeat(12));
    let file = path.to_str().unwrap();
    let measure = |threads| {
        json(&["perplexity", "-m", MODEL, "-f", file, "-c", "64", "-t", threads, "--json"])
    };
    let (one, three) = (measure("1"), measure("3"));
    assert_eq!(one["ppl"], three["ppl"]);
    assert!(one["ppl"].as_f64().unwrap() > 1.0);
    let (windows, tokens) = (one["windows"].as_u64().unwrap(), one["tokens"].as_u64().unwrap());
    assert_eq!(windows, tokens / 64);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn bench_speaks_llama_benchs_json() {
    let args = ["bench", "-m", MODEL, "-p", "8", "-n", "4", "-r", "2", "-t", "1", "-o", "json"];
    let value = json(&[&args[..], &["-ctk", "f32", "-ctv", "f32"]].concat());
    let tests = value.as_array().unwrap();
    assert_eq!((&tests[0]["n_prompt"], &tests[1]["n_gen"]), (&8.into(), &4.into()));
    for test in tests {
        assert_eq!(test["samples_ns"].as_array().unwrap().len(), 2);
        assert_eq!((&test["n_threads"], &test["type_k"]), (&1.into(), &"f32".into()));
        for field in ["avg_ts", "stddev_ts", "avg_ns", "test_time", "model_size", "cpu_info"] {
            assert!(!test[field].is_null(), "{field}");
        }
    }
}
