//! The shape of the sources: which layer may know which, and how long a file may grow.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, each a folder of `src` that imports only those before it.
const LAYERS: [&str; 10] =
    ["isa", "formats", "kernels", "matmul", "tensor", "gguf", "model", "quantize", "capi", "cli"];

/// Lines of the longest file that is still read in one sitting; the aim is about 400.
const MAX_LINES: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust sources below a folder of the repository, in order, as paths from its root.
fn sources(folder: &str) -> Vec<PathBuf> {
    fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if path.ends_with("target") {
                // What was built of `benches/peers`.
            } else if entry.file_type().unwrap().is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    visit(Path::new(folder), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{folder} has no Rust sources");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The first names of all `crate::` paths in code, with their lines: `crate::a::b`,
/// `crate::{a, b::{c, d}}` and `pub(in crate::a)`. Comments name what they like.
fn crate_paths(source: &str) -> Vec<(usize, &str)> {
    let code: Vec<&str> =
        source.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect();
    let tokens: Vec<(usize, &str)> = code
        .iter()
        .enumerate()
        .flat_map(|(i, line)| words_and_signs(line).map(move |token| (i + 1, token)))
        .collect();
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.1);
        if text(i) != "crate" || (text(i + 1), text(i + 2)) != (":", ":") {
            continue;
        }
        if text(i + 3) != "{" {
            found.extend(tokens.get(i + 3));
            continue;
        }
        let mut depth = 0;
        for (at, &token) in tokens.iter().enumerate().skip(i + 3) {
            match token.1 {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ if depth == 1 && matches!(text(at - 1), "{" | ",") => found.push(token),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// A line as identifiers and single signs, without spaces.
fn words_and_signs(line: &str) -> impl Iterator<Item = &str> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = line.trim_start();
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let word = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (token, after) =
            rest.split_at(word.max(if in_word(first) { 1 } else { first.len_utf8() }));
        rest = after.trim_start();
        Some(token)
    })
}

/// The layers in `source`, a file of `layer`, that come after it, with their lines.
fn violations<'a>(layer: &str, source: &'a str) -> Vec<(usize, &'a str)> {
    let place = |name: &str| LAYERS.iter().position(|&layer| layer == name);
    crate_paths(source).into_iter().filter(|(_, name)| place(name) > place(layer)).collect()
}

#[test]
fn a_layer_imports_only_layers_named_before_it() {
    let mut found = Vec::new();
    for layer in LAYERS {
        for path in sources(&format!("src/{layer}")) {
            for (line, imported) in violations(layer, &read(&path)) {
                found.push(format!("{}:{line}: {layer} imports {imported}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "a layer imports a later one:\n{}", found.join("\n"));
}

#[test]
fn every_folder_of_src_is_a_layer() {
    let folders = fs::read_dir(root().join("src")).unwrap().map(Result::unwrap);
    for folder in folders.filter(|entry| entry.file_type().unwrap().is_dir()) {
        let name = folder.file_name().into_string().unwrap();
        assert!(LAYERS.contains(&&*name), "src/{name} has no place in LAYERS of this test");
    }
}

#[test]
fn the_scan_sees_every_form_of_a_path() {
    let source = "use crate::isa::Isa;\n\
        use crate::{\n    formats::{Format, model},\n    gguf,\n    cli::{self},\n};\n\
        /// See [`crate::model`].\n\
        fn f(x: crate::tensor::Tensor) -> u8 { 1 } // crate::cli\n\
        pub(in crate :: kernels) use super::my_crate::matmul;\n";
    let expected =
        [(1, "isa"), (3, "formats"), (4, "gguf"), (5, "cli"), (8, "tensor"), (9, "kernels")];
    assert_eq!(crate_paths(source), expected);
    assert_eq!(violations("tensor", source), [(4, "gguf"), (5, "cli")]);
    assert_eq!(violations("cli", source), []);
}

#[test]
fn every_source_file_is_read_in_one_sitting() {
    let mut found = Vec::new();
    for path in ["src", "benches", "tests", "examples"].into_iter().flat_map(sources) {
        let lines = read(&path).lines().count();
        if lines > MAX_LINES {
            found.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(found.is_empty(), "files of more than {MAX_LINES} lines:\n{}", found.join("\n"));
}
