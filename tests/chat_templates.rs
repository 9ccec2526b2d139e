//! Chat templates of well-known models, rendered as the Python package `transformers` renders them.
//!
//! `scripts/render_chat_templates.py` made what is expected. Set `QUINTILE_CHAT_TEMPLATES` to a folder of further templates
//! (`*.jinja`), with an `expected.json` of that script, to compare these as well.
#![cfg(feature = "chat")]

use std::fs;
use std::path::{Path, PathBuf};

use quintile::model::chat::{ChatTemplate, Clock, Conversation, Error, SpecialTexts};
use serde_json::{Value, json};

/// When the expected texts were rendered: 26 July 2024, 09:05:03.
const NOW: i64 = 1_721_984_703;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chat")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&read(path)).unwrap()
}

fn template(source: &str, tokens: &Value) -> Result<ChatTemplate, Error> {
    let text = |name: &str| tokens[name].as_str().map(str::to_owned);
    let mut special = SpecialTexts::default();
    (special.bos, special.eos) = (text("bos_token"), text("eos_token"));
    ChatTemplate::with_clock(source, &special, Clock::Fixed(NOW))
}

/// Renders every conversation by every template of a folder; returns how many texts agree, and what differs.
fn compare(templates: &Path, expected: &Path) -> (usize, Vec<String>) {
    let conversations = json_file(&data().join("conversations.json"));
    let (mut equal, mut different) = (0, Vec::new());
    for (name, expected) in json_file(expected).as_object().unwrap() {
        let source = read(&templates.join(format!("{name}.jinja")));
        let template = match template(&source, expected) {
            Ok(template) => template,
            Err(error) => {
                different.push(format!("{name}: {error}"));
                continue;
            }
        };
        for (title, want) in expected["rendered"].as_object().unwrap() {
            let conversation = Conversation::from_json(conversations[title].clone()).unwrap();
            let found = template.render(&conversation);
            let prefix = expected["prefix"].as_str().unwrap();
            let agree = match (&found, want["text"].as_str(), want["error"].as_str()) {
                (Ok(found), Some(text), _) => found.strip_prefix(prefix) == Some(text),
                (Err(Error::Refused(message)), None, Some(want)) => message == want,
                // Where Python fails by itself, a text that goes on without what is missing does no harm.
                (_, None, None) => true,
                _ => false,
            };
            if agree {
                equal += 1;
            } else {
                different
                    .push(format!("{name}, {title}:\n  found {found:?}\n  want {prefix:?} {want}"));
            }
        }
    }
    (equal, different)
}

#[test]
fn templates_of_known_models_render_as_in_python_to_the_byte() {
    let (equal, different) = compare(&data().join("templates"), &data().join("expected.json"));
    assert!(different.is_empty(), "{equal} are equal, but\n{}", different.join("\n"));
    assert!(equal >= 18 * 11, "{equal}");
}

#[test]
fn templates_of_a_folder_render_as_in_python() {
    let Some(folder) = std::env::var_os("QUINTILE_CHAT_TEMPLATES").map(PathBuf::from) else {
        return;
    };
    let (equal, different) = compare(&folder, &folder.join("expected.json"));
    println!("{equal} equal");
    assert!(different.is_empty(), "{equal} are equal, but\n{}", different.join("\n"));
}

fn render(source: &str) -> Result<String, Error> {
    let conversation = Conversation::new(vec![json!({"role": "user", "content": "Hi"})]);
    template(source, &json!({"bos_token": "<s>"}))?.render(&conversation)
}

#[test]
fn blocks_are_trimmed_as_transformers_sets_them() {
    let source = "a\n  {% if true %}\nb\n  {%- endif %}\n\nc {% set x = 1 %}\nd\n";
    assert_eq!(render(source).unwrap(), "a\nb\nc d");
}

#[test]
fn generation_tags_are_their_body_and_loops_can_be_left() {
    let source = "{% for m in messages %}{%- generation -%} {{ m.content }} {%- endgeneration -%}{% break %}{% endfor %}!";
    assert_eq!(render(source).unwrap(), "Hi!");
}

#[test]
fn a_token_that_the_vocabulary_lacks_is_undefined() {
    assert_eq!(
        render("{{ bos_token }}{{ eos_token }}{{ eos_token is defined }}").unwrap(),
        "<s>False"
    );
}

#[test]
fn what_a_template_refuses_is_told_in_its_own_words() {
    let source =
        "{% if messages[0].role == 'user' %}{{ raise_exception('No ' ~ 'users') }}{% endif %}";
    let error = render(source).unwrap_err();
    assert!(matches!(&error, Error::Refused(message) if message == "No users"), "{error:?}");
    // Also from within a macro.
    let source = "{% macro f() %}{{ raise_exception('deep') }}{% endmacro %}{{ f() }}";
    assert!(matches!(render(source).unwrap_err(), Error::Refused(message) if message == "deep"));
}

#[test]
fn a_template_that_is_wrong_says_where() {
    let error = render("a\n{% if %}").unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
    let error = render("a\n\n{{ messages | fly }}").unwrap_err().to_string();
    assert!(error.contains("fly") && error.contains("line 3"), "{error}");
    assert!(matches!(render(&"a".repeat(300_000)), Err(Error::TooLong { len: 300_000 })));
}
