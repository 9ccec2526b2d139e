//! Text that stays text: names of control tokens in what users write.
//!
//! Such a name is put between two characters of a private use area, which go through the template like any other, and tell
//! in its output what is not to be recognised. The idea is that of `transformers` (`sanitize_control_tokens`).

use std::ops::Range;

use serde_json::Value as Json;

use super::Conversation;
use crate::model::tokenizer::Tokenizer;

const START: char = '\u{f0000}';
const END: char = '\u{f0001}';

/// Marks the names of control tokens in all that is not the assistant's.
pub(super) fn mark(conversation: &Conversation, tokenizer: &Tokenizer) -> Conversation {
    let mut marked = conversation.clone();
    for message in &mut marked.messages {
        let assistant = message.get("role").is_some_and(|role| role == "assistant");
        let Json::Object(fields) = message else { continue };
        for (name, value) in fields {
            if name != "role" {
                let spans = |text: &str| {
                    if assistant { Vec::new() } else { tokenizer.control_spans(text) }
                };
                mark_value(value, &spans);
            }
        }
    }
    let others = [&mut marked.tools, &mut marked.documents];
    for value in others.into_iter().flatten().flatten() {
        mark_value(value, &|text: &str| tokenizer.control_spans(text));
    }
    marked
}

fn mark_value(value: &mut Json, spans: &impl Fn(&str) -> Vec<Range<usize>>) {
    match value {
        Json::String(text) => {
            // Marks that are there already would be taken for ours.
            if text.contains([START, END]) {
                *text = text.replace([START, END], "");
            }
            let spans = spans(text);
            if spans.is_empty() {
                return;
            }
            let mut out = String::with_capacity(text.len() + 8 * spans.len());
            let mut at = 0;
            for span in spans {
                out += &text[at..span.start];
                out.push(START);
                out += &text[span.clone()];
                out.push(END);
                at = span.end;
            }
            *text = out + &text[at..];
        }
        Json::Array(list) => list.iter_mut().for_each(|value| mark_value(value, spans)),
        Json::Object(map) => map.values_mut().for_each(|value| mark_value(value, spans)),
        _ => {}
    }
}

/// Takes the marks away, and tells what stood between two. A mark without its fellow marks nothing.
pub(super) fn unmark(text: &str) -> (String, Vec<Range<usize>>) {
    let mut out = String::with_capacity(text.len());
    let mut literal = Vec::new();
    let mut start = None;
    for c in text.chars() {
        match c {
            START => start = Some(out.len()),
            END => literal.extend(start.take().map(|start| start..out.len())),
            c => out.push(c),
        }
    }
    (out, literal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn marks_come_off_as_they_were_put_on_and_lone_ones_mark_nothing() {
        let spans =
            |text: &str| text.match_indices("<x>").map(|(at, x)| at..at + x.len()).collect();
        let mut value = json!({"a": ["é<x><x>", 1, {"b": format!("{END}<x>{START} ")}]});
        mark_value(&mut value, &spans);
        let first = value["a"][0].as_str().unwrap();
        assert_eq!(unmark(first), ("é<x><x>".into(), vec![2..5, 5..8]));
        let second = value["a"][2]["b"].as_str().unwrap();
        assert_eq!(unmark(second), ("<x> ".into(), std::iter::once(0..3).collect::<Vec<_>>()));
        let lone = format!("a{END}b{START}c{START}d{END}e");
        assert_eq!(unmark(&lone), ("abcde".into(), std::iter::once(3..4).collect::<Vec<_>>()));
    }
}
