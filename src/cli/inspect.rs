//! `quintile inspect`: for any architecture, and files of a vocabulary alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};

use crate::gguf::{Array, Gguf, TensorInfo, Value};

use super::output::{self, Failure, bytes, line};
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
    if args.json {
        output::json(&as_json(&file, args.tensors))
    } else {
        as_text(&file, args.tensors)
    }
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
            let dims = format!("{:?}", &t.dims[..]);
            let note = if t.format.is_some() { "" } else { "  (cannot be computed with)" };
            // Escaped: a hostile file must not drive the terminal.
            let (name, ty) = (t.name.escape_debug().to_string(), t.type_name());
            line(format_args!(
                "{name:40} {ty:8} {dims:22} at {:12} {:12} bytes{note}",
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
            let shown = array_json(array, ELEMENTS);
            let more = if array.len() > ELEMENTS { ", ..." } else { "" };
            let list = shown.iter().map(Json::to_string).collect::<Vec<_>>().join(", ");
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
        Value::Array(array) => Json::Array(array_json(array, usize::MAX)),
    }
}

fn array_json(array: &Array, n: usize) -> Vec<Json> {
    fn list<T: Clone + Into<Json>>(items: &[T], n: usize) -> Vec<Json> {
        items.iter().take(n).cloned().map(Into::into).collect()
    }
    match array {
        Array::U8(x) => list(x, n),
        Array::I8(x) => list(x, n),
        Array::U16(x) => list(x, n),
        Array::I16(x) => list(x, n),
        Array::U32(x) => list(x, n),
        Array::I32(x) => list(x, n),
        Array::U64(x) => list(x, n),
        Array::I64(x) => list(x, n),
        Array::F32(x) => list(x, n),
        Array::F64(x) => list(x, n),
        Array::Bool(x) => list(x, n),
        Array::String(x) => x.iter().take(n).map(Json::from).collect(),
    }
}

fn as_json(file: &Gguf, tensors: bool) -> Json {
    let metadata: Map<String, Json> =
        file.metadata().iter().map(|(key, value)| (key.to_owned(), value_json(value))).collect();
    let types: Map<String, Json> = by_type(file)
        .into_iter()
        .map(|(name, (tensors, values, bytes))| {
            (name.to_owned(), json!({ "tensors": tensors, "values": values, "bytes": bytes }))
        })
        .collect();
    let mut out = json!({
        "file": file.path().map(|p| p.display().to_string()),
        "size": file.file_size(),
        "version": file.version(),
        "alignment": file.alignment(),
        "tensor_count": file.tensors().len(),
        "parameters": file.tensors().iter().map(elements_of).sum::<u64>(),
        "types": types,
        "metadata": metadata,
    });
    if tensors {
        let list = file.tensors().iter().map(|t| {
            json!({
                "name": t.name,
                "type": t.type_name(),
                "computed": t.format.is_some(),
                "dims": t.dims[..],
                "offset": t.offset,
                "size": t.size,
            })
        });
        out["tensors"] = list.collect();
    }
    out
}
