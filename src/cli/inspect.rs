//! `quintile inspect`: for any architecture, and files of a vocabulary alone.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use crate::gguf::{Array, Gguf, TensorInfo, Value};

use super::output::{Failure, bytes, line};
use super::setup::{Compute, open};

/// Options of `inspect`.
#[derive(clap::Args)]
#[command(after_help = "Example: quintile inspect model.gguf --tensors")]
pub struct Args {
    /// The GGUF file
    file: PathBuf,
    #[command(flatten)]
    compute: Compute,
    /// Print JSON, with every array whole
    #[arg(long)]
    json: bool,
    /// List the tensors
    #[arg(long)]
    tensors: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    args.compute.isa()?;
    let file = open(&args.file, true)?;
    if args.json { write_json(&file, args.tensors) } else { as_text(&file, args.tensors) }
}

/// Tensors, elements and bytes of each type.
fn by_type(file: &Gguf) -> BTreeMap<&'static str, (usize, u64, u64)> {
    let mut types = BTreeMap::new();
    for tensor in file.tensors() {
        let (count, elements, bytes) = types.entry(tensor.type_name()).or_default();
        *count += 1;
        *elements += elements_of(tensor);
        *bytes += tensor.size;
    }
    types
}

fn elements_of(tensor: &TensorInfo) -> u64 {
    tensor.dims.elements() as u64
}

fn as_text(file: &Gguf, tensors: bool) -> Result<(), Failure> {
    let elements: u64 = file.tensors().iter().map(elements_of).sum();
    line(format_args!(
        "file        {}",
        file.path().map(|p| p.display().to_string()).unwrap_or_default()
    ))?;
    line(format_args!("size        {} ({} bytes)", bytes(file.file_size()), file.file_size()))?;
    if file.shards().len() > 1 {
        line(format_args!("files       {}, opened as one", file.shards().len()))?;
    }
    line(format_args!("version     {}", file.version()))?;
    line(format_args!("alignment   {}", file.alignment()))?;
    line(format_args!("tensors     {}", file.tensors().len()))?;
    line(format_args!("parameters  {elements}"))?;
    line("")?;
    for (name, (count, elements, size)) in by_type(file) {
        line(format_args!("{name:10} {count:6} tensors {elements:14} values {:>12}", bytes(size)))?;
    }
    line("")?;
    for (key, value) in file.metadata().iter() {
        line(format_args!("{} = {}", key.escape_debug(), short(value)))?;
    }
    if tensors {
        line("")?;
        for t in file.tensors() {
            let shard = match file.shards().len() {
                1 => String::new(),
                _ => format!("  in file {}", t.shard + 1),
            };
            let dims = format!("{:?}", &t.dims[..]);
            let note = if t.format.is_some() { "" } else { "  (cannot be computed with)" };
            // Escaped: a hostile file must not drive the terminal.
            let (name, ty) = (t.name.escape_debug().to_string(), t.type_name());
            line(format_args!(
                "{name:40} {ty:8} {dims:22} at {:12} {:12} bytes{shard}{note}",
                t.offset, t.size
            ))?;
        }
    }
    Ok(())
}

/// A value in one line: long strings and arrays are cut.
fn short(value: &Value) -> String {
    const STRING: usize = 80;
    const ELEMENTS: usize = 6;
    let text = match value {
        Value::Array(array) => {
            let shown = array_json(array).take(ELEMENTS);
            let more = if array.len() > ELEMENTS { ", ..." } else { "" };
            let list = shown.map(|x| x.to_string()).collect::<Vec<_>>().join(", ");
            return format!("{} x {} [{list}{more}]", array.len(), array.type_name());
        }
        value => value_json(value).to_string(),
    };
    match text.char_indices().nth(STRING) {
        Some((at, _)) => format!("{}... ({} characters)", &text[..at], text.chars().count()),
        None => text,
    }
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::U8(x) => json!(x),
        Value::I8(x) => json!(x),
        Value::U16(x) => json!(x),
        Value::I16(x) => json!(x),
        Value::U32(x) => json!(x),
        Value::I32(x) => json!(x),
        Value::U64(x) => json!(x),
        Value::I64(x) => json!(x),
        Value::F32(x) => json!(x),
        Value::F64(x) => json!(x),
        Value::Bool(x) => json!(x),
        Value::String(x) => json!(x),
        Value::Array(array) => array_json(array).collect(),
    }
}

/// The elements in order.
fn array_json(array: &Array) -> Box<dyn Iterator<Item = Json> + '_> {
    fn list<T: Clone + Into<Json>>(items: &[T]) -> Box<dyn Iterator<Item = Json> + '_> {
        Box::new(items.iter().cloned().map(Into::into))
    }
    match array {
        Array::U8(x) => list(x),
        Array::I8(x) => list(x),
        Array::U16(x) => list(x),
        Array::I16(x) => list(x),
        Array::U32(x) => list(x),
        Array::I32(x) => list(x),
        Array::U64(x) => list(x),
        Array::I64(x) => list(x),
        Array::F32(x) => list(x),
        Array::F64(x) => list(x),
        Array::Bool(x) => list(x),
        Array::String(x) => Box::new(x.iter().map(Json::from)),
    }
}

/// Writes the file as indented JSON, a value at a time: a vocabulary as one document would take many times
/// the memory of the file's own header.
fn write_json(file: &Gguf, tensors: bool) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let types: Map<String, Json> = by_type(file)
        .into_iter()
        .map(|(name, (tensors, values, bytes))| {
            (name.to_owned(), json!({ "tensors": tensors, "values": values, "bytes": bytes }))
        })
        .collect();
    let path = |path: Option<&Path>| path.map(|p| p.display().to_string());
    let files: Vec<Json> = (file.shards().iter())
        .map(|shard| json!({ "file": path(shard.path()), "size": shard.size() }))
        .collect();
    let fields = [
        ("file", json!(path(file.path()))),
        ("files", json!(files)),
        ("size", json!(file.file_size())),
        ("version", json!(file.version())),
        ("alignment", json!(file.alignment())),
        ("tensor_count", json!(file.tensors().len())),
        ("parameters", json!(file.tensors().iter().map(elements_of).sum::<u64>())),
        ("types", json!(types)),
    ];
    writeln!(out, "{{")?;
    for (name, value) in fields {
        writeln!(out, "  \"{name}\": {value},")?;
    }
    let metadata = file.metadata().iter().map(|(key, value)| (Json::from(key), value));
    write_list(&mut out, "metadata", "{}", metadata, |out, (key, value)| match value {
        Value::Array(array) => {
            write!(out, "{key}: [")?;
            for (i, element) in array_json(array).enumerate() {
                write!(out, "{}{element}", if i == 0 { "" } else { ", " })?;
            }
            write!(out, "]")
        }
        value => write!(out, "{key}: {}", value_json(value)),
    })?;
    if tensors {
        writeln!(out, ",")?;
        write_list(&mut out, "tensors", "[]", file.tensors().iter(), |out, t| {
            let tensor = json!({
                "name": t.name,
                "type": t.type_name(),
                "computed": t.format.is_some(),
                "dims": t.dims[..],
                "shard": t.shard,
                "offset": t.offset,
                "size": t.size,
            });
            write!(out, "{tensor}")
        })?;
    }
    writeln!(out, "\n}}")?;
    Ok(out.flush()?)
}

/// Writes a field with an object or an array, an item a line.
fn write_list<W: Write, T>(
    out: &mut W,
    name: &str,
    brackets: &str,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut W, T) -> io::Result<()>,
) -> io::Result<()> {
    write!(out, "  \"{name}\": {}", &brackets[..1])?;
    for (i, item) in items.enumerate() {
        write!(out, "{}\n    ", if i == 0 { "" } else { "," })?;
        write(out, item)?;
    }
    write!(out, "\n  {}", &brackets[1..])
}
