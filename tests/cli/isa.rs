//! `isa`: what was found, what was chosen, and why.

use super::*;

/// The operations and formats of the table, and the levels of their kernels.
fn kernels(args: &[&str]) -> Vec<(String, Option<String>, Option<String>)> {
    let json = call(&[&["isa", "--json"], args].concat()).json();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kernels = list(&json["kernels"]).iter();
    let kernels =
        kernels.map(|k| (text(&k["operation"]).unwrap(), text(&k["format"]), text(&k["level"])));
    kernels.collect()
}

#[test]
fn every_operation_and_format_has_a_kernel_whatever_the_level() {
    let scalar = kernels(&["--isa", "scalar"]);
    for (operation, formats) in [
        ("dot_f32", &[""][..]),
        ("dot_bf16", &[""]),
        ("chain", &["F32", "F16", "BF16"]),
        ("dequantize", &[""]),
        ("quantize_weights", &[""]),
        ("qdot", &["Q4_0", "Q5_1", "Q2_K", "Q5_K", "Q8_K"]),
        ("qdot4", &["Q8_0", "Q6_K"]),
        ("qdot_exact", &[""]),
        ("gemm", &["Q4_0", "Q5_K"]),
        ("gemm_packed", &["Q4_0", "Q5_K"]),
        ("sgemm", &[""]),
        ("qdot2x2", &["Q4_0", "Q5_K"]),
        ("exp", &[""]),
        ("silu_mul", &[""]),
        ("rope, halves", &[""]),
        ("attend, f16", &[""]),
    ] {
        for format in formats {
            let same = |(o, f, _): &&(String, Option<String>, Option<String>)| {
                o == operation && f.as_deref().unwrap_or("") == *format
            };
            assert_eq!(scalar.iter().filter(same).count(), 1, "{operation} {format}");
        }
    }
    assert!(scalar.iter().all(|(o, _, level)| match level.as_deref() {
        Some(level) => level == "scalar",
        None => ["gemm", "gemm_packed", "gemv", "qdot2x2"].contains(&o.as_str()),
    }));
    for (level, _) in levels().into_iter().filter(|&(_, supported)| supported) {
        let of_level = kernels(&["--isa", &level]);
        let names = |kernels: &[(String, Option<String>, Option<String>)]| {
            kernels.iter().map(|(o, f, _)| (o.clone(), f.clone())).collect::<Vec<_>>()
        };
        assert_eq!(names(&of_level), names(&scalar), "{level}");
        // A level has a kernel of its own, or it would be none.
        assert!(of_level.iter().any(|(_, _, l)| l.as_deref() == Some(&level)), "{level}");
    }
}

#[test]
fn json_and_text_tell_the_same() {
    let (text, json) = (call(&["isa"]).ok(), call(&["isa", "--json"]).json());
    for level in list(&json["levels"]) {
        let name = level["name"].as_str().unwrap();
        let line = text.lines().find(|l| l.starts_with(&format!("level     {name} "))).unwrap();
        let reason = level["reason"].as_str();
        assert_eq!(reason.is_none(), level["supported"] == true, "{level}");
        assert!(line.ends_with(reason.unwrap_or("")), "{line}: {level}");
        assert_eq!(line.contains(" chosen "), level["chosen"] == true, "{line}");
        assert_eq!(line.contains(" not supported "), level["supported"] == false, "{line}");
    }
    for feature in list(&json["features"]) {
        let name = feature["name"].as_str().unwrap();
        let line = text.lines().find(|l| l.starts_with(&format!("feature   {name} "))).unwrap();
        let found = feature["found"] == true;
        assert_eq!(line.contains(" yes"), found, "{line}");
        assert_eq!(line.contains("no kernel uses it"), found && feature["used"] == false, "{line}");
    }
    for kernel in list(&json["kernels"]) {
        let field = |key: &str| kernel[key].as_str().unwrap_or("");
        let start = format!(
            "kernel    {:26} {:16}",
            field("operation"),
            match field("level") {
                "" => "-",
                level => level,
            }
        );
        let lines: Vec<&str> =
            text.lines().filter(|l| format!("{l:64}").starts_with(&start)).collect();
        assert!(lines.len() == 1 && lines[0].contains(field("format")), "{kernel}: {lines:?}");
    }
}

#[test]
fn a_level_that_is_not_supported_says_what_is_missing() {
    let json = call(&["isa", "--json"]).json();
    let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    let level = list(&json["levels"]).iter().find(|l| l["name"] == foreign).unwrap();
    assert_eq!(level["reason"], format!("this is {}", std::env::consts::ARCH));
}
