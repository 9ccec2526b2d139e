//! The template engine, as `transformers` sets up its own, and its limits.

use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, ErrorKind, State};
use serde_json::{Map, Value as Json};

use super::strftime::strftime;
use super::{Clock, Error, generation, json};

const NAME: &str = "chat template";

/// One fuel is a step of the engine or 64 bytes that it makes: 16 MB in all, or some 10 ms.
const FUEL: u64 = 250_000;

/// Each byte that the caller gives may be copied so many times: templates split, strip and join contents.
const COPIES: u64 = 32;

/// Bytes that a template may write beyond those that it was given.
const OUTPUT: usize = 4 << 20;

/// Calls within calls. One of a macro counts several: published templates stay below 100.
const RECURSION: usize = 400;

/// Items of the longest list that another can be added to: far above what conversations have, and few enough that a template which
/// adds the longest again and again is done within its time.
const LIST: usize = 20_000;

/// What a template cannot build within its fuel: lists in lists, so deep that freeing them overflows the stack. A list
/// costs seven steps, and freeing it, or writing it, some hundred bytes.
const STACK: usize = 40 << 20;

/// The name under which `raise_exception` sends its message through the engine.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// Runs a part of the engine on a thread whose stack is as large as the limits allow it to need.
pub(super) fn on_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(NAME.into()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, work).map_err(Error::Thread)?;
        thread.join().unwrap_or_else(|_| Err(Error::Template("the engine panicked".into())))
    })
}

pub(super) fn parse(source: &str, clock: Clock) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(failed)?);
    environment.set_recursion_limit(RECURSION);
    environment.set_unknown_method_callback(method);
    environment.remove_global("debug");
    // These are not Jinja's, and make lists whose length nobody pays for.
    environment.remove_filter("chain");
    environment.remove_filter("zip");
    environment.add_filter(generation::SIZED, sized);
    environment.add_filter("sum", sum);
    // For Python none is not iterable, for the engine it is.
    environment.add_test("iterable", iterable);
    environment.add_filter("tojson", json::tojson);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, minijinja::Error> {
            let raised = minijinja::Error::new(ErrorKind::InvalidOperation, message.clone());
            Err(raised.with_source(Raised(message)))
        },
    );
    environment.add_function("strftime_now", move |format: String| strftime(&format, clock));
    environment.add_template_owned(NAME, source.to_owned()).map_err(failed)?;
    Ok(environment)
}

/// Python's methods. What `str.format` pads to a width that the engine does not count is refused.
fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, minijinja::Error> {
    if name == "format" && value.as_str().is_some_and(is_wide) {
        let message = "str.format with a width above 9999, or one that is an argument";
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments)
}

/// Whether a field of a format has a number of more than four digits, or a field within.
fn is_wide(format: &str) -> bool {
    let (mut depth, mut digits) = (0, 0);
    for byte in format.replace("{{", "").replace("}}", "").bytes() {
        digits = if depth > 0 && byte.is_ascii_digit() { digits + 1 } else { 0 };
        match byte {
            b'{' => depth += 1,
            b'}' => depth = 0,
            _ => {}
        }
        if depth > 1 || digits > 4 {
            return true;
        }
    }
    false
}

fn iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// The sum of numbers. The engine's own adds up lists too, whose length nobody pays for.
fn sum(list: &Value) -> Result<Value, minijinja::Error> {
    let wrong = |value: &Value| {
        let message = format!("sum adds up numbers, not {}", value.kind());
        minijinja::Error::new(ErrorKind::InvalidOperation, message)
    };
    let (mut whole, mut total, mut is_whole) = (0i64, 0f64, true);
    for value in list.try_iter()? {
        if value.kind() != ValueKind::Number {
            return Err(wrong(&value));
        }
        total += f64::try_from(value.clone())?;
        match i64::try_from(value.clone()).ok().and_then(|n| whole.checked_add(n)) {
            Some(sum) if value.is_integer() => whole = sum,
            _ => is_whole = false,
        }
    }
    Ok(if is_whole { Value::from(whole) } else { Value::from(total) })
}

/// The value as it is, if it is no list that is too long to be added to.
fn sized(state: &State, value: &Value) -> Result<Value, minijinja::Error> {
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        let len = value.len().unwrap_or(0);
        if len > LIST {
            let message = format!("a list of {len} items is too long to be added to");
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
        }
        state.consume_fuel(len as u64 / 16)?;
    }
    Ok(value.clone())
}

/// Renders; the fuel and the output grow with what the template is given.
pub(super) fn render(
    environment: &Environment<'static>,
    variables: Map<String, Json>,
) -> Result<String, Error> {
    let given: usize = variables.iter().map(|(name, value)| name.len() + size(value)).sum();
    let mut environment = environment.clone();
    environment.set_fuel(Some(FUEL + COPIES * given as u64 / 64));
    let mut output = Bounded { bytes: Vec::new(), room: OUTPUT + 4 * given };
    let template = environment.get_template(NAME).map_err(failed)?;
    let variables = json::value(&variables.into());
    template.render_captured_to(variables, &mut output).map_err(failed)?;
    String::from_utf8(output.bytes).map_err(|e| Error::Template(e.to_string()))
}

/// Bytes of a value, about.
fn size(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len(),
        Json::Array(list) => list.iter().map(size).sum::<usize>() + 8,
        Json::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
        _ => 8,
    }
}

/// Says what failed and where. What `raise_exception` was given is somewhere among the causes.
fn failed(error: minijinja::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(this) = cause {
        if let Some(Raised(message)) = this.downcast_ref() {
            return Error::Refused(message.clone());
        }
        cause = this.source();
    }
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    Error::Template(match error.detail() {
        Some(detail) => format!("{}: {detail}{line}", error.kind()),
        None => format!("{}{line}", error.kind()),
    })
}

/// Output that ends in an error where it grows too long.
struct Bounded {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.room {
            return Err(io::Error::other("the output is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
