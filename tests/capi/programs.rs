//! Programs in other languages, and what the library exports.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use quintile::gguf::{Gguf, OpenOptions};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::model::{GenerateOptions, Model, Pool, Sampler, Session, generate};
use quintile::quantize::{FileType, Plan, WriteOptions};

use crate::api::{NAMES, api};
use crate::root;

const MODEL: &str = "tests/data/tiny/llama-linear.gguf";

/// The shared library, installed below target/ as cargo builds tests.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let prefix = folder.join("installed");
        let mut install = Command::new(root().join("scripts/install-c.sh"));
        install.args(["--profile", "dev", "--prefix"]).arg(&prefix);
        output(install.env("CARGO_TARGET_DIR", folder.parent().unwrap()).env_remove("DESTDIR"));
        let extension = if cfg!(target_os = "macos") { "dylib" } else { "so" };
        prefix.join("lib/libquintile").with_extension(extension)
    })
}

/// Stdout of a program that must succeed.
fn output(command: &mut Command) -> String {
    let done = command.current_dir(root()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        done.status.success(),
        "{command:?}: {}\n{}{}",
        done.status,
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

/// Says so where tests that pass are not heard otherwise.
fn not_run(why: &str) {
    let _ = writeln!(std::io::stderr(), "NOT RUN: {why}");
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        not_run(&format!("there is no {program} here"));
    }
    found
}

/// Compiles a program of examples/c, with every warning an error.
fn compile(compiler: &str, name: &str, flags: &[&str]) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{compiler}"));
    let library = library();
    let mut command = Command::new(compiler);
    command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-g"]).args(flags);
    command.args(["-Iinclude", &format!("examples/c/{name}.c"), "-pthread", "-o"]).arg(&program);
    // A language holds for sources alone.
    command.args(["-x", "none"]).arg(library);
    command.arg(format!("-Wl,-rpath,{}", library.parent().unwrap().display()));
    output(&mut command);
    program
}

/// The functions that the header declares.
fn declared() -> Vec<String> {
    let header = std::fs::read_to_string(root().join("include/quintile.h")).unwrap();
    let mut names: Vec<String> = header
        .lines()
        .filter(|line| !line.starts_with("//") && !line.starts_with("typedef"))
        .filter_map(|line| {
            let (before, _) = line.split_once('(')?;
            let name = before.rsplit([' ', '*']).next()?;
            name.starts_with("quintile_").then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    let symbols = output(Command::new("nm").args(["-D", "--defined-only"]).arg(library()));
    let mut exported: Vec<&str> =
        symbols.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    exported.sort();
    assert_eq!(exported, declared());
    let mut known = NAMES.to_vec();
    known.sort();
    assert_eq!(exported, known, "tests/capi/api.rs");
    api();
}

#[test]
fn the_header_is_clean_as_c11_and_as_cpp17() {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("header.c");
    std::fs::write(&source, "#include \"quintile.h\"\nint main(void) { return 0; }\n").unwrap();
    let flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude", "-fsyntax-only"];
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| has(compiler)) {
        output(Command::new(compiler).arg("-std=c11").args(flags).arg(&source));
    }
    for compiler in ["g++", "clang++"].into_iter().filter(|compiler| has(compiler)) {
        output(Command::new(compiler).args(["-std=c++17", "-x", "c++"]).args(flags).arg(&source));
    }
}

#[test]
fn a_c_program_generates_the_text_of_the_rust_interface() {
    let (prompt, tokens) = ("the and in on", 16);
    let model = Model::open(MODEL).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    let pool = Pool::new(NonZeroUsize::MIN).unwrap();
    let mut session = Session::new(&model, &pool, &Default::default()).unwrap();
    let options = GenerateOptions { max_tokens: tokens, ..Default::default() };
    let mut sampler = Sampler::greedy();
    let pieces = generate(&mut session, &tokenizer, &mut sampler, prompt, options).unwrap();
    let want: String = pieces.map(|piece| piece.unwrap().text).collect();
    for (compiler, standard) in [("gcc", "-std=c11"), ("clang", "-std=c11"), ("g++", "-std=c++17")]
    {
        if has(compiler) {
            let language: &[&str] =
                if compiler == "g++" { &[standard, "-x", "c++"] } else { &[standard] };
            let program = compile(compiler, "generate", language);
            let text = output(Command::new(program).args([MODEL, prompt, &tokens.to_string()]));
            assert_eq!(text, format!("{prompt}{want}\n"), "{compiler}");
        }
    }
}

#[test]
fn a_c_program_multiplies_a_tensor_of_a_file_on_two_threads() {
    // Rows of single dots are compared with, so the tensor is to be quantised.
    let quantised = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi-matmul.gguf");
    let source =
        Gguf::open("tests/data/tiny/llama-3.gguf".as_ref(), &OpenOptions::default()).unwrap();
    let plan = Plan::new(&source, FileType::Q5KM).unwrap();
    let (kernels, pool) = (Kernels::new(Isa::detect()), Pool::new(NonZeroUsize::MIN).unwrap());
    plan.write(&kernels, &pool, &quantised, &WriteOptions::default()).unwrap();
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| has(compiler)) {
        let program = compile(compiler, "matmul", &["-std=c11"]);
        let text = output(Command::new(program).arg(&quantised).args(["blk.0.attn_q.weight", "9"]));
        assert!(text.contains("the bits of single rows"), "{compiler}: {text}");
    }
}

#[test]
fn a_failure_in_c_names_the_file() {
    let program = compile("gcc", "generate", &["-std=c11"]);
    let done = Command::new(program).args(["no-such.gguf", "x", "1"]).output().unwrap();
    assert!(!done.status.success());
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(text.contains("no-such.gguf"), "{text}");
}

#[test]
fn python_multiplies_with_ctypes_and_numpy() {
    let python = std::env::var("QUINTILE_PYTHON").unwrap_or_else(|_| "python3".into());
    let numpy = Command::new(&python).args(["-c", "import numpy"]).output();
    if !numpy.is_ok_and(|done| done.status.success()) {
        return not_run(&format!("{python} has no numpy here (QUINTILE_PYTHON names another)"));
    }
    let mut command = Command::new(python);
    command.arg("examples/python/quintile_ctypes.py").arg(library()).args([MODEL, "output.weight"]);
    assert!(output(&mut command).contains("error"));
}
