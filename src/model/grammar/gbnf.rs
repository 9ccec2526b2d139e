//! Grammars as llama.cpp writes them, GBNF, to the notation that llguidance reads, Lark.
//!
//! | GBNF | Lark |
//! |---|---|
//! | `root ::= a-rule "text" \| [a-z]+` | `start: a_rule_ "text" \| /[a-z]/+` |
//! | `[^"\\]`, `.` | `/[^"\\]/`, `/(?s:.)/` |
//! | `x{2,}`, `x?`, `( ... )`, `# comment` | the same, without the comment |
//!
//! An alternative may be empty, as in GBNF: it is written `""`.

use super::Error;

/// Rewrites a grammar.
///
/// ```
/// use quintile::model::grammar::gbnf_to_lark;
///
/// let lark = gbnf_to_lark("root ::= \"yes\" | no-way\nno-way ::= [a-z]{2}\n")?;
/// assert_eq!(lark, "start: \"yes\" | no_way_\nno_way_: /[a-z]/{2}\n");
/// # Ok::<(), quintile::model::grammar::Error>(())
/// ```
///
/// # Errors
/// If the grammar is not of the form that llama.cpp reads; the error names the line.
pub fn gbnf_to_lark(source: &str) -> Result<String, Error> {
    let mut reader = Reader { source, at: 0 };
    let mut lark = String::new();
    let mut root = false;
    reader.space(true);
    while !reader.rest().is_empty() {
        let name = reader.name()?;
        root |= name == "root";
        reader.space(true);
        if !reader.take("::=") {
            return Err(reader.wrong("::="));
        }
        reader.space(true);
        let body = reader.alternatives(0)?;
        lark += &format!("{}: {body}\n", rule(name));
        reader.space(true);
    }
    if !root {
        return Err(Error::Grammar("a GBNF grammar needs a rule named root".into()));
    }
    Ok(lark)
}

/// Groups within groups: what a grammar of hands has stays below.
const MAX_DEPTH: usize = 100;

/// The name of a rule in Lark: small letters, and none of its own words.
fn rule(name: &str) -> String {
    if name == "root" {
        return "start".into();
    }
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '-' => out.push('_'),
            // Names that differ in case are different.
            c if c.is_ascii_uppercase() => {
                out.push('_');
                out.push(c.to_ascii_lowercase());
            }
            c => out.push(c),
        }
    }
    let digit = out.starts_with(|c: char| !c.is_ascii_lowercase());
    format!("{}{out}_", if digit { "r" } else { "" })
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// White space and comments; beyond the line's end where that has no meaning.
    fn space(&mut self, lines: bool) {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                '\n' | '\r' if !lines => break,
                c if c.is_whitespace() => self.at += c.len_utf8(),
                _ => break,
            }
        }
    }

    fn wrong(&self, expected: &str) -> Error {
        let line = self.source[..self.at].matches('\n').count() + 1;
        let found: String = self.rest().chars().take(20).collect();
        Error::Grammar(format!("GBNF, line {line}: expected {expected}, found {found:?}"))
    }

    fn name(&mut self) -> Result<&'a str, Error> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        let name = &rest[..end.unwrap_or(rest.len())];
        if name.is_empty() {
            return Err(self.wrong("the name of a rule"));
        }
        self.at += name.len();
        Ok(name)
    }

    /// Sequences between bars. Within a group, and after a bar, lines do not matter.
    fn alternatives(&mut self, depth: usize) -> Result<String, Error> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("fewer groups within groups"));
        }
        let mut all = Vec::new();
        loop {
            all.push(self.sequence(depth)?);
            self.space(depth > 0);
            // A bar may begin the next line.
            let line = self.at;
            self.space(true);
            if !self.take("|") {
                self.at = line;
                return Ok(all.join(" | "));
            }
            self.space(true);
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<String, Error> {
        let mut items: Vec<String> = Vec::new();
        loop {
            self.space(depth > 0);
            let Some(c) = self.rest().chars().next() else { break };
            let item = match c {
                '"' => self.literal()?,
                '[' => self.class()?,
                '.' => {
                    self.at += 1;
                    "/(?s:.)/".into()
                }
                '(' => {
                    self.at += 1;
                    let inner = self.alternatives(depth + 1)?;
                    self.space(true);
                    if !self.take(")") {
                        return Err(self.wrong(")"));
                    }
                    format!("({inner})")
                }
                '*' | '+' | '?' | '{' => {
                    let repeated = self.repetition()?;
                    match items.last_mut() {
                        Some(last) => *last += &repeated,
                        None => return Err(self.wrong("something to repeat")),
                    }
                    continue;
                }
                c if c.is_ascii_alphanumeric() => rule(self.name()?),
                '|' | ')' | '\n' | '\r' => break,
                _ => return Err(self.wrong("a text, a class, a rule or a group")),
            };
            items.push(item);
        }
        Ok(if items.is_empty() { "\"\"".into() } else { items.join(" ") })
    }

    fn repetition(&mut self) -> Result<String, Error> {
        let rest = self.rest();
        let len = if rest.starts_with('{') { rest.find('}').map_or(0, |at| at + 1) } else { 1 };
        let text = &rest[..len];
        let signs = |c: char| c.is_ascii_digit() || matches!(c, '{' | '}' | ',' | ' ');
        if text.is_empty() || (len > 1 && !text.chars().all(signs)) {
            return Err(self.wrong("a repetition such as {2,3}"));
        }
        self.at += len;
        Ok(text.replace(' ', ""))
    }

    /// A text in quotes. Both notations have the escapes of C, apart from `\U`.
    fn literal(&mut self) -> Result<String, Error> {
        let mut text = String::new();
        self.at += 1;
        loop {
            match self.character()? {
                ('"', false) => break,
                (c, _) => text.push(c),
            }
        }
        Ok(serde_json::Value::from(text).to_string())
    }

    /// A class, as a regular expression.
    fn class(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut out = String::from("/[");
        if self.take("^") {
            out.push('^');
        }
        loop {
            match self.character()? {
                (']', false) => break,
                ('-', false) => out.push('-'),
                (c, _) => match c {
                    '\n' => out += "\\n",
                    '\r' => out += "\\r",
                    '\t' => out += "\\t",
                    '/' | '\\' | '[' | ']' | '^' | '-' | '&' | '~' => out.extend(['\\', c]),
                    c if c.is_control() => out += &format!("\\x{{{:x}}}", u32::from(c)),
                    c => out.push(c),
                },
            }
        }
        if out.ends_with('[') || out.ends_with("[^") {
            return Err(self.wrong("a class that is not empty"));
        }
        Ok(out + "]/")
    }

    /// The next character, and whether it was escaped.
    fn character(&mut self) -> Result<(char, bool), Error> {
        let mut signs = self.rest().chars();
        let Some(c) = signs.next() else { return Err(self.wrong("the end of a text or class")) };
        if c != '\\' {
            self.at += c.len_utf8();
            return Ok((c, false));
        }
        let escape = signs.next().unwrap_or(' ');
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let (c, len) = match escape {
            'n' => ('\n', 2),
            'r' => ('\r', 2),
            't' => ('\t', 2),
            '"' | '\\' | '[' | ']' | '-' | '^' | '/' | '.' => (escape, 2),
            _ if digits > 0 => {
                let hex = self.rest().get(2..2 + digits).unwrap_or("");
                let code = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
                (
                    code.ok_or_else(|| self.wrong("the hexadecimal number of a character"))?,
                    2 + digits,
                )
            }
            _ => return Err(self.wrong("an escape that GBNF knows")),
        };
        self.at += len;
        Ok((c, true))
    }
}

#[cfg(test)]
mod tests {
    use super::gbnf_to_lark;

    #[test]
    fn rules_texts_classes_groups_and_repetitions_keep_their_meaning() {
        for (gbnf, lark) in [
            ("root ::= \"a\\n\\x41\\\"\"", "start: \"a\\nA\\\"\"\n"),
            ("root::=[^a-z\\]/\\-]+ .?", "start: /[^a-z\\]\\/\\-]/+ /(?s:.)/?\n"),
            (
                "root ::= (\"a\" |\n \"b\")* x{2, 3} # note\nx ::= \"\"\n",
                "start: (\"a\" | \"b\")* x_{2,3}\nx_: \"\"\n",
            ),
            (
                "root ::= a |\n  aB\n  | b-2\na ::=\n  \"x\"\naB ::= | \"y\"\nb-2 ::= root",
                "start: a_ | a_b_ | b_2_\na_: \"x\"\na_b_: \"\" | \"y\"\nb_2_: start\n",
            ),
        ] {
            assert_eq!(gbnf_to_lark(gbnf).unwrap(), lark, "{gbnf}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (gbnf, part) in [
            ("x ::= \"a\"", "named root"),
            ("root ::= \"a", "line 1"),
            ("root ::= \"a\"\nb = \"c\"", "line 2: expected ::="),
            ("root ::= (\"a\"", "expected )"),
            ("root ::= *", "something to repeat"),
            ("root ::= []", "not empty"),
            ("root ::= \"\\q\"", "escape"),
            ("root ::= \"\\ud800\"", "hexadecimal"),
            ("root ::= \"a\"{x}", "{2,3}"),
        ] {
            let message = gbnf_to_lark(gbnf).unwrap_err().to_string();
            assert!(message.contains(part), "{gbnf}: {message}");
        }
        let deep = format!("root ::= {}", "(".repeat(100_000));
        assert!(gbnf_to_lark(&deep).unwrap_err().to_string().contains("groups"));
    }
}
