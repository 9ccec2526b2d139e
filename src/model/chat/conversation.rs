//! What a template renders: messages and what goes with them.

use serde_json::{Map, Value as Json, json};

use super::Error;

/// Names of a message's reasoning; the first is the one that most templates read.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Messages, and what a template may use beside them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Conversation {
    /// Objects with a `role` and mostly a `content`, oldest first.
    pub messages: Vec<Json>,
    /// Functions that the model may call, as JSON schemas.
    pub tools: Option<Vec<Json>>,
    /// Documents to answer from: objects.
    pub documents: Option<Vec<Json>>,
    /// Whether the text ends with the start of an answer.
    pub add_generation_prompt: bool,
    /// Further variables of a template (`enable_thinking`, ...). They come before all others of the same name.
    pub variables: Map<String, Json>,
}

impl Conversation {
    /// A conversation of these messages, to be answered.
    pub fn new(messages: Vec<Json>) -> Conversation {
        Conversation { messages, add_generation_prompt: true, ..Conversation::default() }
    }

    /// Reads a list of messages, or an object of `messages` and, if wanted, `tools`, `documents`,
    /// `add_generation_prompt` and `variables`.
    ///
    /// # Errors
    /// If the JSON is neither, or a message is no object with a role; the error says which.
    pub fn from_json(json: Json) -> Result<Conversation, Error> {
        let wrong = |what: &str| Error::Conversation(what.to_owned());
        let mut fields = match json {
            Json::Array(messages) => Map::from_iter([("messages".to_owned(), messages.into())]),
            Json::Object(fields) => fields,
            _ => return Err(wrong("expected a list of messages, or an object with `messages`")),
        };
        let mut list = |name: &str| match fields.remove(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Array(list)) => Ok(Some(list)),
            Some(_) => Err(wrong(&format!("`{name}` is not a list"))),
        };
        let (messages, tools, documents) = (list("messages")?, list("tools")?, list("documents")?);
        let messages = messages.ok_or_else(|| wrong("there are no `messages`"))?;
        if messages.is_empty() {
            return Err(wrong("the list of messages is empty"));
        }
        for (i, message) in messages.iter().enumerate() {
            if !message.get("role").is_some_and(Json::is_string) {
                return Err(wrong(&format!(
                    "message {i} is not an object with a `role`: {message}"
                )));
            }
        }
        let add_generation_prompt = match fields.remove("add_generation_prompt") {
            None => true,
            Some(Json::Bool(add)) => add,
            Some(_) => return Err(wrong("`add_generation_prompt` is not a boolean")),
        };
        let variables = match fields.remove("variables") {
            None => Map::new(),
            Some(Json::Object(variables)) => variables,
            Some(_) => return Err(wrong("`variables` is not an object")),
        };
        if let Some((name, _)) = fields.iter().next() {
            return Err(wrong(&format!(
                "`{name}` is not known; expected messages, tools, documents, add_generation_prompt, variables"
            )));
        }
        Ok(Conversation { messages, tools, documents, add_generation_prompt, variables })
    }

    /// What the template sees.
    pub(super) fn variables(&self, special: &Map<String, Json>) -> Map<String, Json> {
        let mut all = special.clone();
        let messages: Vec<Json> = self.messages.iter().map(normalised).collect();
        all.insert("messages".into(), messages.into());
        all.insert("tools".into(), json!(self.tools));
        all.insert("documents".into(), json!(self.documents));
        all.insert("add_generation_prompt".into(), self.add_generation_prompt.into());
        all.extend(self.variables.clone());
        all
    }
}

/// A message without its nulls, and with its reasoning under both names that templates read.
fn normalised(message: &Json) -> Json {
    let Json::Object(fields) = message else { return message.clone() };
    let mut fields: Map<String, Json> =
        fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
    if let Some(reasoning) = REASONING.iter().find_map(|&name| fields.get(name)).cloned() {
        fields.entry("thinking").or_insert_with(|| reasoning.clone());
        fields.insert(REASONING[0].into(), reasoning);
    }
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_messages_and_an_object_are_read_and_what_is_neither_is_named() {
        let hi = json!({"role": "user", "content": "hi"});
        let read = Conversation::from_json(json!([hi])).unwrap();
        assert_eq!(read, Conversation::new(vec![hi.clone()]));
        let object = json!({"messages": [hi], "tools": [{}], "add_generation_prompt": false, "variables": {"x": 1}});
        let read = Conversation::from_json(object).unwrap();
        assert_eq!((read.tools, read.add_generation_prompt), (Some(vec![json!({})]), false));
        for (json, part) in [
            (json!("hi"), "list of messages"),
            (json!([]), "empty"),
            (json!({"tools": []}), "no `messages`"),
            (json!([hi, {"content": "no role"}]), "message 1"),
            (json!([hi, "text"]), "message 1"),
            (json!({"messages": [hi], "tools": "x"}), "`tools`"),
            (json!({"messages": [hi], "tool": []}), "`tool`"),
        ] {
            let message = Conversation::from_json(json).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn nulls_vanish_and_reasoning_is_found_under_both_names() {
        let seen = normalised(&json!({"role": "a", "content": null, "reasoning": "r"}));
        let want =
            json!({"role": "a", "reasoning": "r", "thinking": "r", "reasoning_content": "r"});
        assert_eq!(seen, want);
    }
}
