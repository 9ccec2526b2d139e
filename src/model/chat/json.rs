//! JSON as values of the engine, and `tojson`, which writes what Python's `json.dumps` does.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use serde_json::Value as Json;

/// Lists within lists; `json.dumps` ends a little later, at Python's recursion limit.
const MAX_DEPTH: usize = 200;

/// Bytes that are written between two payments of fuel, and what one fuel buys below: walking a value is slower than
/// copying bytes.
const PAYMENT: usize = 4096;
const BYTES_A_FUEL: usize = 16;

/// The engine's value.
pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Value::from(value),
            (_, Some(value)) => Value::from(value),
            _ => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(list) => list.iter().map(value).collect(),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(k, v)| (k.as_str(), value(v)))),
    }
}

/// The filter: `value | tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`; the last two by
/// name only.
pub(super) fn tojson(
    state: &State,
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    names: Kwargs,
) -> Result<Value, Error> {
    let ensure_ascii = ensure_ascii.or(names.get("ensure_ascii")?).unwrap_or(false);
    let sort_keys = names.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let given = |value: Option<Value>| value.filter(|v| !v.is_none() && !v.is_undefined());
    let indent = given(indent.or(names.get("indent")?)).map(indentation).transpose()?;
    let separators = given(names.get("separators")?);
    names.assert_all_used()?;
    let [item, key] = match separators {
        Some(pair) => [0, 1].map(|i| pair.get_item_by_index(i).map(|text| text.to_string())),
        None => [Ok(if indent.is_some() { "," } else { ", " }.into()), Ok(": ".into())],
    };
    let (item, key) = (item?, key?);
    let mut writer =
        Writer { state, out: String::new(), paid: 0, ensure_ascii, sort_keys, indent, item, key };
    writer.value(value, 0)?;
    Ok(Value::from(writer.out))
}

/// An indentation is a text or a number of spaces.
fn indentation(indent: Value) -> Result<String, Error> {
    match indent.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let spaces = i64::try_from(indent)?.clamp(0, 64);
            Ok(" ".repeat(usize::try_from(spaces).unwrap_or(0)))
        }
    }
}

struct Writer<'a, 's, 'e> {
    state: &'a State<'s, 'e>,
    out: String,
    /// How much of `out` is paid for.
    paid: usize,
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<String>,
    item: String,
    key: String,
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let refused = |what: String| Err(Error::new(ErrorKind::BadSerialization, what));
        if depth > MAX_DEPTH {
            return refused(format!("tojson: more than {MAX_DEPTH} lists within lists"));
        }
        self.pay()?;
        match value.kind() {
            ValueKind::None => self.out += "null",
            ValueKind::Bool => self.out += if value.is_true() { "true" } else { "false" },
            ValueKind::Number => self.out += &number(value)?,
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                self.out.push('[');
                let mut empty = true;
                for item in value.try_iter()? {
                    self.separate(&mut empty, depth + 1);
                    self.value(&item, depth + 1)?;
                }
                self.close(']', empty, depth);
            }
            ValueKind::Map => {
                self.out.push('{');
                let mut empty = true;
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                for key in keys {
                    self.separate(&mut empty, depth + 1);
                    self.object_key(&key)?;
                    self.out += &self.key;
                    self.value(&value.get_item(&key)?, depth + 1)?;
                }
                self.close('}', empty, depth);
            }
            kind => return refused(format!("tojson: {kind} has no form in JSON")),
        }
        Ok(())
    }

    fn object_key(&mut self, key: &Value) -> Result<(), Error> {
        match key.kind() {
            ValueKind::String => self.string(key.as_str().unwrap_or_default()),
            ValueKind::None => self.string("null"),
            ValueKind::Bool => self.string(if key.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.string(&number(key)?),
            kind => Err(Error::new(
                ErrorKind::BadSerialization,
                format!("tojson: {kind} is no key of an object"),
            )),
        }
    }

    fn separate(&mut self, empty: &mut bool, depth: usize) {
        if !std::mem::take(empty) {
            self.out += &self.item;
        }
        self.line(depth);
    }

    fn close(&mut self, sign: char, empty: bool, depth: usize) {
        if !empty {
            self.line(depth);
        }
        self.out.push(sign);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            (0..depth).for_each(|_| self.out += indent);
        }
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out += "\\\"",
                '\\' => self.out += "\\\\",
                '\n' => self.out += "\\n",
                '\r' => self.out += "\\r",
                '\t' => self.out += "\\t",
                '\u{8}' => self.out += "\\b",
                '\u{c}' => self.out += "\\f",
                ' '..='~' => self.out.push(c),
                c if c < ' ' || self.ensure_ascii => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out += &format!("\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
            self.pay()?;
        }
        self.out.push('"');
        Ok(())
    }

    /// Pays for what was written, now and then.
    fn pay(&mut self) -> Result<(), Error> {
        let new = self.out.len() - self.paid;
        if new >= PAYMENT {
            self.paid = self.out.len();
            self.state.consume_fuel((new / BYTES_A_FUEL) as u64)?;
        }
        Ok(())
    }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        Ok(value.to_string())
    } else {
        Ok(float(f64::try_from(value.clone())?))
    }
}

/// Python's `repr` of a float, with the names that its `json` gives to what is none.
fn float(x: f64) -> String {
    if !x.is_finite() {
        let name = if x.is_nan() { "NaN" } else { "Infinity" };
        return format!("{}{name}", if x < 0.0 { "-" } else { "" });
    }
    let shortest = format!("{x:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..16 => format!("{x:?}"),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::{Environment, context};

    fn render(source: &str) -> String {
        let mut environment = Environment::new();
        environment.add_filter("tojson", tojson);
        let text = "a\"\\\n\u{1}\u{7f}é🙂</b>&'";
        let x = serde_json::json!({"b": [1, -2.5, true, null, [], {}], "a": text});
        environment.render_str(source, context! { x => value(&x) }).unwrap()
    }

    #[test]
    fn it_writes_what_json_dumps_does() {
        // Each line is what Python 3.11 prints.
        let dumped = r#"{"b": [1, -2.5, true, null, [], {}], "a": "a\"\\\n\u0001é🙂</b>&'"}"#;
        let dumped = dumped.replace("\\u0001", "\\u0001\u{7f}");
        assert_eq!(render("{{ x | tojson }}"), dumped);
        assert_eq!(
            render("{{ x | tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }}"),
            r#"{"a":"a\"\\\n\u0001\u007f\u00e9\ud83d\ude42</b>&'","b":[1,-2.5,true,null,[],{}]}"#
        );
        assert_eq!(
            render("{{ {'k': [1, {}], 2: none} | tojson(indent=2) }}"),
            "{\n  \"k\": [\n    1,\n    {}\n  ],\n  \"2\": null\n}"
        );
        assert_eq!(render("{{ [1] | tojson(indent='\t') }}"), "[\n\t1\n]");
    }

    #[test]
    fn floats_are_written_as_python_does() {
        for (x, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e100, "1.25e+100"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float(x), text);
        }
    }
}
