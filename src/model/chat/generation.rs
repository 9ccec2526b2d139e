//! What the engine is not given as it stands.
//!
//! - `{% generation %}` marks what the assistant wrote, for training; the text is that of its body. It becomes a block that
//!   the engine knows and that, like it, keeps its variables to itself: `with`.
//! - The engine adds lists lazily and without fuel: sixty doublings, and it is busy for ever. So what stands before a `+` goes
//!   through a filter that pays, and is nothing else: `a + b` becomes `a|` [`SIZED`] ` + b`.

/// The name of the filter that pays for a list that is added to.
pub(super) const SIZED: &str = "_quintile_sized";

/// Rewrites a template.
pub(super) fn rewrite(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out += before;
        let len = if from.starts_with("{#") {
            end(from, "#}")
        } else if let Some((name, dashes, len)) = tag(from) {
            match name {
                "generation" => {
                    out += &format!("{{%{}with{}%}}", dashes[0], dashes[1]);
                    rest = &from[len..];
                    continue;
                }
                "endgeneration" => {
                    out += &format!("{{%{}endwith{}%}}", dashes[0], dashes[1]);
                    rest = &from[len..];
                    continue;
                }
                "raw" => raw_end(from, len),
                _ => len,
            }
        } else if from.starts_with("{{") {
            code_end(from, "}}")
        } else {
            1
        };
        let raw = tag(from).is_some_and(|(name, ..)| name == "raw");
        if !raw && (from.starts_with("{{") || from.starts_with("{%")) {
            pay_for_additions(&from[..len], &mut out);
        } else {
            out += &from[..len];
        }
        rest = &from[len..];
    }
    out + rest
}

/// Writes code with the filter before each `+` between two operands.
fn pay_for_additions(code: &str, out: &mut String) {
    /// After these an operand follows, so a `+` there is its sign.
    const WORDS: [&str; 10] =
        ["and", "elif", "else", "if", "in", "is", "not", "or", "print", "set"];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut quote = None;
    let mut escaped = false;
    // The end of the last token before this place, in `code`.
    let mut last = 0;
    for (at, c) in code.char_indices() {
        match quote {
            Some(open) => {
                quote = if c == open && !escaped { None } else { quote };
                escaped = c == '\\' && !escaped;
                last = at + c.len_utf8();
            }
            None if c == '"' || c == '\'' => {
                (quote, escaped) = (Some(c), false);
                last = at + 1;
            }
            None if c == '+' => {
                let before = &code[..last];
                let word = &before[before.trim_end_matches(is_word).len()..];
                let exponent = last == at
                    && word.starts_with(|c: char| c.is_ascii_digit())
                    && word.ends_with(['e', 'E']);
                let operand = before.ends_with(|c: char| is_word(c) || ")]}'\"".contains(c));
                // The sign of `+%}` stands before no operand.
                let ends = ["%}", "}}"].iter().any(|end| code[at + 1..].starts_with(end));
                if operand && !exponent && !ends && !WORDS.contains(&word) {
                    *out += "|";
                    *out += SIZED;
                    out.push(' ');
                }
                last = at + 1;
            }
            None if !c.is_whitespace() => last = at + c.len_utf8(),
            None => {}
        }
        out.push(c);
    }
}

/// The length up to and with `sign`, or of everything.
fn end(text: &str, sign: &str) -> usize {
    text.find(sign).map_or(text.len(), |at| at + sign.len())
}

/// As [`end`], past the strings in which the sign may stand.
fn code_end(text: &str, sign: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 2;
    let mut quote = None;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) if bytes[at..].starts_with(sign.as_bytes()) => return at + sign.len(),
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// The first word of the tag that `text` starts with, its signs for white space (`-`, `+`, none), and its length.
fn tag(text: &str) -> Option<(&str, [&str; 2], usize)> {
    let inner = text.strip_prefix("{%")?;
    let len = code_end(text, "%}");
    let inner = inner.get(..len.checked_sub(4)?)?;
    let sign = |byte: Option<&u8>| match byte {
        Some(b'-') => "-",
        Some(b'+') => "+",
        _ => "",
    };
    let first = sign(inner.as_bytes().first());
    let last = sign(inner.as_bytes()[first.len()..].last());
    let name = inner[first.len()..inner.len() - last.len()].trim();
    let word = name.split_whitespace().next()?;
    // A tag of more than its name is not one of these.
    Some((if word == name || word == "raw" { word } else { "" }, [first, last], len))
}

/// The length of a raw block, to the start of its end.
fn raw_end(text: &str, open: usize) -> usize {
    let mut at = open;
    while let Some(next) = text[at..].find("{%") {
        at += next;
        if tag(&text[at..]).is_some_and(|(name, ..)| name == "endraw") {
            return at;
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn the_tags_are_found_where_they_are_tags_and_nowhere_else() {
        for (source, want) in [
            ("a{% generation %}b{% endgeneration %}c", "a{%with%}b{%endwith%}c"),
            ("{%- generation -%} x {%-endgeneration-%}", "{%-with-%} x {%-endwith-%}"),
            ("{%+ generation%}{% endgeneration +%}", "{%+with%}{%endwith+%}"),
        ] {
            assert_eq!(rewrite(source), want);
        }
        for same in [
            "",
            "{",
            "{%",
            "{{",
            "{%%}",
            "{# {% generation %} #}",
            "{{ '{% generation %}' }}",
            "{% set x = \"{% generation %}\" %}",
            "{% raw %}{% generation %}{% endraw %}",
            "{% if generation %}{% endif %}",
            "{% generation",
            "{# {% generation %}",
        ] {
            assert_eq!(rewrite(same), same);
        }
    }

    #[test]
    fn what_is_added_to_is_paid_for_and_signs_and_strings_are_left_alone() {
        for (source, want) in [
            ("{{ a + b }}+{{ c+d }}", "{{ a |@ + b }}+{{ c|@ +d }}"),
            ("{%+ set x = f(1) + [2] + 'a' +%}", "{%+ set x = f(1) |@ + [2] |@ + 'a' +%}"),
            ("{{ 'a+b' + \"c'+\" + x }}", "{{ 'a+b' |@ + \"c'+\" |@ + x }}"),
            ("{{ +1 - +2 * (+3), 1e+5 + 1 }}", "{{ +1 - +2 * (+3), 1e+5 |@ + 1 }}"),
            ("{% if x and +y == z %}{% for a in +b %}", "{% if x and +y == z %}{% for a in +b %}"),
            (
                "{# a + b #}{% raw %}{{ a + b }}{% endraw %}",
                "{# a + b #}{% raw %}{{ a + b }}{% endraw %}",
            ),
        ] {
            assert_eq!(rewrite(source), want.replace('@', super::SIZED));
        }
    }

    #[test]
    fn strings_with_escaped_quotes_do_not_end_early() {
        let source = r#"{{ "\"}}{% generation %}" }}{% generation %}"#;
        assert_eq!(rewrite(source), r#"{{ "\"}}{% generation %}" }}{%with%}"#);
    }
}
