//! `chat`, and `run` with a chat template.

use super::{Done, LLAMA, TempFile, TempFolder, call, call_with, tokenize};
use serde_json::{Value, json};

/// A template whose texts tiny vocabularies can spell.
const TEMPLATE: &str = "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}\
    {{ m.role }}: {{ m.content | trim }}\n{% endfor %}{% if add_generation_prompt %}assistant:{{ mood }}{% endif %}";

fn template() -> TempFile {
    // Tests run at once, each with a file of its own.
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    TempFile::new(&format!("template-{}.jinja", NEXT.fetch_add(1, Relaxed)), TEMPLATE)
}

fn chat(options: &[&str], lines: &str) -> Done {
    let template = template();
    let fixed = ["chat", "-m", LLAMA, "--chat-template", template.path(), "--temp", "0"];
    call_with(&[&fixed[..], options].concat(), lines)
}

/// The tokens that `run` makes of a conversation.
fn prompt(options: &[&str]) -> Value {
    let template = template();
    let fixed = ["run", "-m", LLAMA, "--chat-template", template.path(), "-n", "1", "--json"];
    call(&[&fixed[..], options].concat()).json()["prompt_tokens"].clone()
}

#[test]
fn run_renders_a_message_or_a_file_of_messages() {
    let want = Value::from(tokenize(LLAMA, "system: s\nuser: hi\nassistant:", &[]));
    assert_eq!(prompt(&["--chat", "--system", "s", "-p", " hi "]), want);
    let list = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]);
    let file = TempFile::new("list.json", &list.to_string());
    assert_eq!(prompt(&["--messages", file.path()]), want);
    let object = json!({"messages": list, "add_generation_prompt": false});
    let file = TempFile::new("object.json", &object.to_string());
    let finished = Value::from(tokenize(LLAMA, "system: s\nuser: hi\n", &[]));
    assert_eq!(prompt(&["--messages", file.path()]), finished);
    let moody = Value::from(tokenize(LLAMA, "user: hi\nassistant:glad", &[]));
    assert_eq!(prompt(&["--chat", "-p", "hi", "--template-var", "mood=glad"]), moody);
}

#[test]
fn without_a_template_or_with_a_wrong_file_it_says_so() {
    let message = call(&["run", "-m", LLAMA, "--chat", "-p", "hi"]).failed();
    assert!(message.contains("tokenizer.chat_template") && message.contains(LLAMA), "{message}");
    assert!(call(&["chat", "-m", LLAMA]).failed().contains("tokenizer.chat_template"));
    for (json, part) in
        [("[]", "empty"), ("[{}]", "message 0"), ("{", "line 1"), ("3", "list of messages")]
    {
        let file = TempFile::new("wrong.json", json);
        let message = call(&["run", "-m", LLAMA, "--messages", file.path()]).failed();
        assert!(message.contains(part) && message.contains("wrong.json"), "{message}");
    }
    call(&["run", "-m", LLAMA, "--system", "s", "-p", "hi"]).refused();
}

#[test]
fn lines_are_answered_plainly_and_a_turn_computes_only_what_is_new() {
    let done = chat(&["-n", "6"], "the and\n/stats\nin on\n/stats\n");
    let reports: Vec<&str> = done.stderr.lines().filter(|l| l.starts_with("last answer")).collect();
    let number = |text: &str, before: &str| -> usize {
        let end = text.find(before).expect(before);
        let digits = text[..end].trim_end().rsplit(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|d| d.parse().ok()).expect("a number")
    };
    let [first, second] = reports[..] else { panic!("{done:?}") };
    assert_eq!(number(first, "of them computed earlier"), 0, "{first}");
    let before = number(first, "tokens before it");
    assert!(number(second, "of them computed earlier") >= before, "{first}\n{second}");
    assert!(!done.stdout.contains("last answer"));
    assert_eq!(chat(&["-n", "6"], "the and\nin on\n").ok(), done.ok());
}

#[test]
fn a_conversation_that_was_saved_goes_on_as_if_it_had_not_been_left() {
    let folder = TempFolder::new("chat-save");
    let path = folder.path("talk.json");
    let whole = chat(&["-n", "8"], "the and\nin on\n").ok();
    let first = chat(&["-n", "8", "--system", "s"], &format!("the and\n/save {path}\n")).ok();
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let roles: Vec<&str> =
        saved.as_array().unwrap().iter().filter_map(|m| m["role"].as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant"]);
    assert_eq!(saved[2]["content"], first.strip_suffix('\n').unwrap());
    let both = chat(&["-n", "8", "--system", "s"], "the and\nin on\n").ok();
    assert_eq!(first.clone() + &chat(&["-n", "8", "--messages", &path], "in on\n").ok(), both);
    assert_eq!(first + &chat(&["-n", "8"], &format!("/load {path}\nin on\n")).ok(), both);
    // The same as without a system message, once it is gone.
    let lines = format!("/load {path}\n/system -\n/reset\nthe and\nin on\n");
    assert_eq!(chat(&["-n", "8"], &lines).ok(), whole);
}

#[test]
fn a_message_that_does_not_fit_is_not_taken_and_one_before_it_stays() {
    let long = "the and in on ".repeat(40);
    let done = chat(&["-c", "48", "-n", "4"], &format!("the\n{long}\n/stats\nin\n"));
    assert!(done.stderr.contains("room for 48") && done.stderr.contains("/reset"), "{done:?}");
    assert!(done.stderr.contains("(not taken: \"the and in"), "{done:?}");
    assert_eq!(done.ok(), chat(&["-c", "48", "-n", "4"], "the\nin\n").ok());
    // What must end with these signs does so as long as there is room.
    let grammar = TempFile::new("signs.gbnf", "root ::= [a-z]+ \"!!!!!!!!\"");
    let full = chat(&["-c", "40", "--grammar", grammar.path()], "the\n").ok();
    assert!(full.trim_end().ends_with("!!!!!!!!"), "{full}");
}

#[test]
fn what_the_template_refuses_and_unknown_commands_do_not_end_the_conversation() {
    let file = TempFile::new("tool.json", r#"[{"role": "tool", "content": "x"}]"#);
    let done = chat(&["-n", "4"], &format!("/load {}\n/fly\n/help\nthe\n", file.path()));
    for part in ["no tools here", "/fly is no command", "/reset"] {
        assert!(done.stderr.contains(part), "{part}: {done:?}");
    }
    assert!(!done.ok().is_empty());
}

#[test]
fn output_of_a_form_is_valid_and_one_that_cannot_be_so_short_is_refused() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let file = TempFile::new("schema.json", &schema.to_string());
    let run = |n: &str| {
        call(&[
            "run",
            "-m",
            LLAMA,
            "-p",
            "the",
            "-n",
            n,
            "--json-schema",
            file.path(),
            "--temp",
            "2",
        ])
    };
    let value: Value = serde_json::from_str(&run("40").ok()).unwrap();
    assert!(value["a"].is_number(), "{value}");
    assert!(run("2").failed().contains("shortest"));
    let answer = chat(&["-n", "40", "--json-schema", file.path()], "the\nand\n").ok();
    let values = serde_json::Deserializer::from_str(&answer).into_iter::<Value>();
    assert_eq!(
        values.filter(|v| v.as_ref().is_ok_and(|v| v["a"].is_number())).count(),
        2,
        "{answer}"
    );
    let grammar = TempFile::new("x.gbnf", "root ::= (\"no\" | \"yes\") \"!\"");
    let text = call(&["run", "-m", LLAMA, "-p", "the", "--grammar", grammar.path()]).ok();
    assert!(text == "no!" || text == "yes!", "{text}");
    call(&["run", "-m", LLAMA, "-p", "a", "--grammar", grammar.path(), "--ignore-eos"]).refused();
}

#[test]
#[cfg(unix)]
fn sigint_stops_an_answer_and_the_conversation_goes_on() {
    use std::io::{Read, Write};
    let template = template();
    // An answer that cannot end soon.
    let long = "root ::= line{40}\nline ::= [a-z]{50}";
    let grammar = TempFile::new("long.gbnf", long);
    let args =
        ["chat", "-m", LLAMA, "--chat-template", template.path(), "-c", "8192", "--temp", "2"];
    let mut child = super::spawn(&[&args[..], &["--grammar", grammar.path()]].concat());
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "the").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    super::interrupt(&child);
    writeln!(stdin, "/stats\n/quit").unwrap();
    let done = super::wait(child);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("(stopped;") && done.stderr.contains("1 answer;"), "{done:?}");
}
