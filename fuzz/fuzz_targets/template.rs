//! Any text as a chat template: it renders, or ends in an error, within the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quintile::model::chat::{ChatTemplate, Conversation, SpecialTexts};
use serde_json::json;

fuzz_target!(|source: &str| {
    let Ok(template) = ChatTemplate::new(source, &SpecialTexts::default()) else { return };
    let mut conversation = Conversation::new(vec![
        json!({"role": "system", "content": "Be brief."}),
        json!({"role": "user", "content": "Hi \u{e9}"}),
        json!({"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]}),
        json!({"role": "tool", "content": "1.5"}),
    ]);
    conversation.tools = Some(vec![
        json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}),
    ]);
    if let Err(error) = template.render(&conversation) {
        assert!(!error.to_string().is_empty());
    }
});
