//! The files that pictures are made of.

use std::path::Path;

use serde_json::Value as Json;

/// Reads a file of the folder; none where there is none.
pub fn read(folder: &Path, name: &str) -> Option<Json> {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

pub fn number(json: &Json, key: &str) -> f64 {
    json[key].as_f64().unwrap_or(f64::NAN)
}

pub fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or("")
}

pub fn list<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

/// A row of `results` by kernel, level and what it is of.
pub fn result<'a>(kernels: &'a Json, kernel: &str, isa: &str, of: &str) -> Option<&'a Json> {
    let mut rows = list(kernels, "results").iter();
    rows.find(|row| {
        text(row, "kernel") == kernel && text(row, "isa") == isa && text(row, "of") == of
    })
}

/// A limit on one thread, in 10^9 a second.
pub fn limit(kernels: &Json, list_name: &str, name: &str) -> Option<f64> {
    let key = if list_name == "read" { "level" } else { "name" };
    let mut rows = list(&kernels["limits"], list_name).iter();
    let row = rows.find(|row| text(row, key) == name && number(row, "threads") == 1.0)?;
    row["value"].as_f64()
}

/// Machine and day, for the line under a title.
pub fn origin(json: &Json) -> String {
    format!("{}, {}", text(json, "cpu"), text(json, "date"))
}
