//! The command line, by running the real binary on the tiny models.
#![cfg(feature = "cli")]

mod bench;
mod chat;
mod compare;
mod embed;
mod isa;
mod limits;
mod quantize;
mod rope;
mod session;
mod speculation;
mod stats;
mod trace;
#[cfg(target_os = "linux")]
mod writes;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const QWEN2: &str = "tests/data/tiny/qwen2.gguf";
/// A model that starts a text with BOS.
const GEMMA3: &str = "tests/data/tiny/gemma3.gguf";
/// A model whose greedy text varies.
const LLAMA: &str = "tests/data/tiny/llama-linear.gguf";
const PROMPT: &str = "the and in on";
const COMMANDS: &str =
    "run chat inspect quantize compare tokenize detokenize embed perplexity bench isa limits";

/// What a finished command left.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    /// Stdout of a command that must have succeeded.
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// The message of a command that must have failed: one line, the last, and nothing on stdout.
    fn failed(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        let errors = self.stderr.lines().filter(|line| line.starts_with("error:")).count();
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(errors == 1 && last.starts_with("error: "), "{self:?}");
        last.to_owned()
    }

    /// The message of a command that must have been refused.
    fn refused(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(2), ""), "{self:?}");
        assert!(self.stderr.contains("error:"), "{self:?}");
        self.stderr
    }
}

fn spawn(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_quintile"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

fn wait(child: Child) -> Done {
    let out = child.wait_with_output().expect("the child ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Done { code: out.status.code(), stdout: text(out.stdout), stderr: text(out.stderr) }
}

fn call_with(args: &[&str], stdin: &str) -> Done {
    let mut child = spawn(args);
    // A command that does not read it may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    wait(child)
}

fn call(args: &[&str]) -> Done {
    call_with(args, "")
}

/// `run` on [`LLAMA`] with [`PROMPT`], and with options.
fn run_args(options: &str) -> Vec<&str> {
    ["run", "-m", LLAMA, "-p", PROMPT].into_iter().chain(options.split_whitespace()).collect()
}

fn run(options: &str) -> Done {
    call(&run_args(options))
}

/// Levels, and whether this CPU has them, as `isa` tells.
fn levels() -> Vec<(String, bool)> {
    let text = call(&["isa"]).ok();
    let lines = text.lines().filter_map(|line| line.strip_prefix("level "));
    let parts = lines.filter_map(|line| line.trim().split_once(' '));
    parts.map(|(name, rest)| (name.into(), !rest.trim().starts_with("not supported"))).collect()
}

/// A file in the temp directory that goes with its owner.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> TempFile {
        let path = std::env::temp_dir().join(format!("quintile-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("the temp directory can be written");
        TempFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A folder in the temp directory that goes with its owner.
struct TempFolder(PathBuf);

impl TempFolder {
    fn new(name: &str) -> TempFolder {
        let path = std::env::temp_dir().join(format!("quintile-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).expect("the temp directory can be written");
        TempFolder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    /// The names in it, sorted.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("kill starts").success());
}

/// What `tokenize` makes of a text.
fn tokenize(model: &str, text: &str, options: &[&str]) -> Vec<u64> {
    let json = call(&[&["tokenize", "-m", model, "-p", text], options].concat()).json();
    list(&json).iter().map(|id| id.as_u64().expect("an id")).collect()
}

fn list(json: &Value) -> &[Value] {
    json.as_array().expect("a list")
}

#[test]
fn every_command_has_help_with_an_example() {
    assert!(call(&["--help"]).ok().contains("Example"));
    for command in COMMANDS.split(' ') {
        let help = call(&[command, "--help"]).ok();
        assert!(help.contains("Example"), "{help}");
        assert!(help.contains(&format!("quintile {command} ")), "{help}");
    }
}

#[test]
fn wrong_usage_is_exit_2() {
    call(&["fly"]).refused();
    call(&["run", "--fly"]).refused();
    call(&["run", "-m", QWEN2]).refused();
    call(&["run", "-m", QWEN2, "-p", "a", "-f", "b"]).refused();
    for options in ["--temp -1", "--temp nan", "--top-p 2", "-t 0", "-b 0", "-c 0", "-n x"] {
        run(options).refused();
    }
    call(&["run", "-m", QWEN2, "-p", PROMPT, "--stop", ""]).refused();
    call(&["bench", "-m", QWEN2, "-p", "0", "-n", "0"]).refused();
    call(&["perplexity", "-m", QWEN2, "-f", "Cargo.toml", "-c", "3"]).refused();
}

#[test]
fn a_file_that_is_missing_or_no_gguf_is_exit_1_and_named_in_one_line() {
    let (missing, other) = ("no/such\nmodel.gguf", "Cargo.toml");
    for (file, name) in [(missing, "model.gguf"), (other, other)] {
        for args in [
            &["run", "-m", file, "-p", PROMPT][..],
            &["inspect", file],
            &["tokenize", "-m", file, "-p", PROMPT],
            &["detokenize", "-m", file, "1"],
            &["perplexity", "-m", file, "-f", "Cargo.toml"],
            &["bench", "-m", file],
        ] {
            let done = call(args);
            assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
            assert!(done.failed().contains(name));
        }
    }
    assert!(call(&["run", "-m", QWEN2, "-f", "none.txt"]).failed().contains("none.txt"));
}

#[test]
fn an_unknown_level_is_exit_2_with_the_list_and_one_that_the_cpu_lacks_is_exit_1() {
    let (has, lacks): (Vec<_>, Vec<_>) = levels().into_iter().partition(|(_, has)| *has);
    assert!(!has.is_empty() && !lacks.is_empty(), "no CPU has all levels");
    for args in [&["isa", "--isa", "mmx"][..], &["inspect", QWEN2, "--isa", "mmx"]] {
        let message = call(args).refused();
        assert!(has.iter().chain(&lacks).all(|(level, _)| message.contains(level)), "{message}");
    }
    for (level, _) in &lacks {
        assert!(call(&["isa", "--isa", level]).failed().contains(level));
        assert!(run(&format!("--isa {level}")).failed().contains(level));
    }
}

#[test]
fn inspect_shows_metadata_and_types_as_text_and_json_and_tensors_if_asked() {
    let text = call(&["inspect", QWEN2]).ok();
    assert!(text.contains("general.architecture = \"qwen2\""), "{text}");
    assert!(!text.contains("blk.0."), "{text}");
    let with_tensors = call(&["inspect", QWEN2, "--tensors"]).ok();
    assert!(with_tensors.starts_with(&text) && with_tensors.contains("blk.0.attn_q.weight"));

    let json = call(&["inspect", QWEN2, "--json"]).json();
    assert_eq!(json["metadata"]["general.architecture"], "qwen2");
    assert!(json.get("tensors").is_none());
    let json = call(&["inspect", QWEN2, "--json", "--tensors"]).json();
    let tensors = list(&json["tensors"]);
    assert_eq!(json["tensor_count"], tensors.len());
    let types = json["types"].as_object().expect("an object");
    assert!(types.keys().all(|ty| text.contains(ty.as_str())), "{types:?}");
    let sum = |key: &str| types.values().filter_map(|ty| ty[key].as_u64()).sum::<u64>();
    assert_eq!(sum("tensors"), tensors.len() as u64);
    assert_eq!(sum("values"), json["parameters"].as_u64().expect("a number"));
    assert_eq!(sum("bytes"), tensors.iter().filter_map(|t| t["size"].as_u64()).sum::<u64>());
}

#[test]
fn detokenize_gives_back_what_tokenize_took() {
    for text in [PROMPT, " the\n\tand  ünïcödé 日本 🙂 ", ""] {
        let json = call(&["tokenize", "-m", QWEN2, "-p", text]).ok();
        assert_eq!(call_with(&["tokenize", "-m", QWEN2, "-p", "-"], text).ok(), json);
        assert_eq!(call_with(&["detokenize", "-m", QWEN2], &json).ok(), text);
    }
    let ids: Vec<String> = tokenize(QWEN2, PROMPT, &[]).iter().map(u64::to_string).collect();
    let args = ["detokenize", "-m", QWEN2].into_iter().chain(ids.iter().map(String::as_str));
    assert_eq!(call(&args.collect::<Vec<_>>()).ok(), PROMPT);
    assert!(call(&["detokenize", "-m", QWEN2, "4000000000"]).failed().contains("4000000000"));
    call_with(&["detokenize", "-m", QWEN2], "the").failed();
}

#[test]
fn no_special_neither_adds_nor_recognises_special_tokens() {
    let plain = tokenize(GEMMA3, PROMPT, &["--no-special"]);
    let [bos, rest @ ..] = &tokenize(GEMMA3, PROMPT, &[])[..] else { panic!("no tokens") };
    assert!(rest == plain && !plain.contains(bos));
    let detokenize = ["detokenize", "-m", GEMMA3, &bos.to_string(), "--no-special"];
    let name = call(&detokenize[..4]).ok();
    assert!(!name.is_empty());
    assert_eq!(call(&detokenize).ok(), "");
    assert!(tokenize(GEMMA3, &name, &[]).iter().all(|id| id == bos));
    assert!(!tokenize(GEMMA3, &name, &["--no-special"]).contains(bos));
}

#[test]
fn the_text_does_not_depend_on_threads_batch_or_level() {
    let base = "--temp 0 -n 24 --ignore-eos";
    let want = run(base).ok();
    assert!(want.len() >= 12, "{want:?}");
    let levels = levels().into_iter().filter(|(_, has)| *has);
    let choices = ["-t 1", "-t 2", "-t 3", "-b 1", "-b 7", "-b 512", "--no-mmap"].map(String::from);
    for choice in choices.into_iter().chain(levels.map(|(level, _)| format!("--isa {level}"))) {
        assert_eq!(run(&format!("{base} {choice}")).ok(), want, "{choice}");
    }
}

#[test]
fn a_seed_fixes_the_text_at_any_temperature_and_number_of_threads() {
    let text = |seed, threads| {
        let options = "-n 32 --ignore-eos --temp 1.5 --top-k 0 --top-p 1 --min-p 0";
        run(&format!("{options} --seed {seed} -t {threads}")).ok()
    };
    let want = text(7, 1);
    assert_eq!(text(7, 3), want);
    assert_eq!(text(7, 1), want);
    assert_ne!(text(8, 1), want);
}

#[test]
fn json_tells_prompt_text_tokens_and_timings_and_its_text_is_what_streams_without_it() {
    let options = "--temp 0.7 --seed 5 -n 12 --ignore-eos";
    let json = run(&format!("{options} --json")).json();
    assert_eq!(run(options).ok(), json["text"].as_str().expect("a text"));
    assert_eq!(json["prompt_tokens"], Value::from(tokenize(LLAMA, PROMPT, &[])));
    assert_eq!((&json["stop"], &json["seed"]), (&"length".into(), &5.into()));
    assert_eq!(json["timings"]["decode_tokens"], 12);
    for key in ["load_s", "ttft_s", "prefill_ts", "decode_ts"] {
        assert!(json["timings"][key].as_f64().is_some_and(|x| x > 0.0), "{key}: {json}");
    }
    let tokens = list(&json["tokens"]);
    assert_eq!(tokens.len(), 12);
    for token in tokens {
        let top = list(&token["top"]);
        assert_eq!(top.len(), 5);
        for entry in top.iter().chain([token]) {
            assert!(entry["id"].is_u64() && entry["text"].is_string(), "{entry}");
        }
        let probs: Vec<f64> = top.iter().filter_map(|t| t["logprob"].as_f64()).collect();
        assert!(probs.len() == 5 && probs.is_sorted_by(|a, b| a >= b) && probs[0] < 0.0);
        assert!(token["logprob"].as_f64().is_some_and(|p| p <= probs[0]), "{token}");
    }
}

#[test]
fn a_prompt_comes_from_the_command_line_stdin_or_a_file() {
    let file = TempFile::new("prompt.txt", PROMPT);
    let with = |[option, source]: [&str; 2]| {
        let rest = ["--temp", "0", "-n", "8", "--ignore-eos"];
        call_with(&[&["run", "-m", LLAMA, option, source], &rest[..]].concat(), PROMPT).ok()
    };
    let want = with(["-p", PROMPT]);
    assert_eq!(with(["-p", "-"]), want);
    assert_eq!(with(["-f", file.path()]), want);
}

#[test]
fn an_empty_prompt_needs_a_model_that_adds_bos() {
    let args = |model| ["run", "-m", model, "-p", "", "-n", "4", "--ignore-eos", "--temp", "0"];
    assert!(call(&args(QWEN2)).failed().contains("empty"));
    call(&args(GEMMA3)).ok();
}

#[test]
fn a_prompt_that_the_context_cannot_hold_is_exit_1_with_both_numbers() {
    let prompt = tokenize(LLAMA, PROMPT, &[]).len();
    let message = run(&format!("-c {}", prompt - 1)).failed();
    let numbers: Vec<usize> =
        message.split(|c: char| !c.is_ascii_digit()).filter_map(|s| s.parse().ok()).collect();
    assert_eq!(numbers, [prompt, prompt - 1], "{message}");
}

#[test]
fn a_full_context_ends_generation_with_exit_0_and_says_so() {
    let prompt = tokenize(LLAMA, PROMPT, &[]).len();
    // After a prompt that fills the context, one token is known.
    for room in [0, 8] {
        let done = run(&format!("-c {} -n 100 --ignore-eos --json", prompt + room));
        assert!(done.stderr.contains(&format!("context of {} is full", prompt + room)), "{done:?}");
        let json = done.json();
        assert_eq!(json["stop"], "context");
        assert_eq!(list(&json["tokens"]).len(), room + 1);
    }
}

#[test]
fn a_stop_string_cuts_the_text_before_it() {
    let options = "--temp 0 -n 32 --ignore-eos --json";
    let full = run(options).json()["text"].as_str().expect("a text").to_owned();
    let middle: Vec<char> = full.chars().skip(full.chars().count() / 2).take(3).collect();
    let stop = middle.iter().collect::<String>();
    let args = [run_args(options), vec!["--stop", "never here", "--stop", &stop]].concat();
    let json = call(&args).json();
    assert_eq!(json["stop"], "stop");
    assert_eq!(json["text"], full[..full.find(&stop).expect("it is there")]);
}

#[test]
fn a_closed_stdout_ends_a_command_at_once_with_exit_0_and_no_words() {
    let mut child = spawn(&run_args("--temp 1.5 --seed 3 --ignore-eos -n 5000 -c 8192"));
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0]).expect("a byte");
    drop(stdout);
    let done = wait(child);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.stderr.contains("panicked") && !done.stderr.contains("error"), "{done:?}");
    assert!(!done.stderr.contains("decode"), "it went on to the end: {done:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_stdout_is_exit_1() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintile"));
    let out = command.args(["inspect", QWEN2]).stdout(full).output().expect("the binary starts");
    assert_eq!(out.status.code(), Some(1));
    assert!(out.stderr.starts_with(b"error: cannot write to stdout"), "{out:?}");
}

#[test]
#[cfg(unix)]
fn sigint_ends_a_run_with_130_and_keeps_what_was_printed() {
    let options = "--temp 1.5 --seed 3 --ignore-eos -c 8192";
    let mut child = spawn(&run_args(&format!("{options} -n 5000")));
    let mut first = [0];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("a byte");
    interrupt(&child);
    let out = child.wait_with_output().expect("the child ends");
    assert_eq!(out.status.code(), Some(130), "{out:?}");
    let printed = String::from_utf8([&first[..], &out.stdout].concat()).expect("UTF-8");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(stderr.contains("decode") && !stderr.contains("decode 5000"), "{stderr}");
    let start = run(&format!("{options} -n 16")).ok();
    assert!(printed.starts_with(&start) || start.starts_with(&printed), "{printed:?} {start:?}");
}

#[test]
#[cfg(unix)]
fn sigint_still_prints_the_json_of_what_was_done() {
    use std::io::{BufRead, BufReader};
    let mut child = spawn(&run_args("--temp 0 --ignore-eos -n 5000 -c 8192 --json"));
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("context ") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).expect("a line"), 0, "it ended too early");
    }
    interrupt(&child);
    let done = wait(child);
    assert_eq!(done.code, Some(130), "{done:?}");
    let json: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(json["stop"], "interrupt");
    assert!(list(&json["tokens"]).len() < 5000);
}

#[test]
fn perplexity_does_not_depend_on_the_threads_and_counts_windows() {
    let file = TempFile::new("text.txt", &"the and in on, then no other one.\n".repeat(12));
    let perplexity = |options: &str| {
        let args = ["perplexity", "-m", QWEN2, "-f", file.path(), "--json", "-c"];
        call(&args.into_iter().chain(options.split(' ')).collect::<Vec<_>>())
    };
    let (one, three) = (perplexity("32 -t 1").json(), perplexity("32 -t 3").json());
    assert!(one["ppl"].as_f64().is_some_and(|ppl| ppl > 1.0 && ppl.is_finite()), "{one}");
    assert_eq!((&one["ppl"], &one["nll"]), (&three["ppl"], &three["nll"]));
    let tokens = one["tokens"].as_u64().expect("a number");
    assert_eq!(one["windows"], tokens / 32);
    assert_eq!(perplexity("32 --windows 1").json()["windows"], 1);
    assert!(perplexity("100000").failed().contains(&tokens.to_string()));
}

#[test]
fn the_cache_types_must_match() {
    run("-n 2 -ctk f32 -ctv f32").ok();
    run("-n 2 -ctk=f32 --cache-type-v f32").ok();
    let message = run("-ctk f32").refused();
    assert!(message.contains("f16") && message.contains("f32"), "{message}");
    run("-ctk q4_0 -ctv q4_0").refused();
}
