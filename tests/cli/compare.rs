//! `compare`: the errors of tensors and of predictions.

use super::*;

#[test]
fn a_file_differs_from_itself_in_nothing() {
    let text = TempFile::new("same.txt", &"the and in on a to of is it ".repeat(20));
    let options = ["-f", text.path(), "-c", "16", "--windows", "3", "--json"];
    let json = call(&[&["compare", GEMMA3, GEMMA3][..], &options].concat()).json();
    for tensor in list(&json["tensors"]) {
        assert_eq!((&tensor["rmse"], &tensor["max"]), (&0.0.into(), &0.0.into()), "{tensor}");
        assert_eq!(tensor["a"], tensor["b"]);
    }
    let found = &json["predictions"];
    assert_eq!(found["kl_divergence"], 0.0);
    assert_eq!(found["same_top"], 1.0);
    assert_eq!(found["ppl"][0], found["ppl"][1]);
    assert_eq!((&found["predicted"], &found["windows"]), (&21.into(), &3.into()));

    let ppl = ["perplexity", "-m", GEMMA3, "-f", text.path(), "-c", "16", "--windows", "3"];
    let ppl = call(&[&ppl[..], &["--json"]].concat()).json()["ppl"].as_f64().unwrap();
    assert!((found["ppl"][0].as_f64().unwrap() / ppl - 1.0).abs() < 1e-5);
}

#[test]
fn fewer_bits_cost_more() {
    let folder = TempFolder::new("fewer-bits");
    let text = TempFile::new("bits.txt", &"the and in on a to of is it ".repeat(20));
    let mut last = 0.0;
    for file_type in ["q8_0", "q5_0", "q4_0"] {
        let path = folder.path("q.gguf");
        call(&["quantize", GEMMA3, &path, file_type]).ok();
        let options = ["-f", text.path(), "-c", "16", "--json", "-t", "2"];
        let json = call(&[&["compare", GEMMA3, &path][..], &options].concat()).json();
        let divergence = json["predictions"]["kl_divergence"].as_f64().unwrap();
        assert!(divergence > last, "{file_type}: {divergence} after {last}");
        last = divergence;
        let rmse = |t: &&Value| t["b"] != "F32" && t["rmse"].as_f64().unwrap() > 0.0;
        assert!(list(&json["tensors"]).iter().filter(rmse).count() > 5);

        let table = call(&["compare", GEMMA3, &path, "-t", "3"]).ok();
        assert!(table.starts_with("tensor ") && table.contains("token_embd.weight"), "{table}");
    }
}

#[test]
fn models_that_do_not_belong_together_are_told_apart() {
    let table = call(&["compare", GEMMA3, QWEN2]).ok();
    assert!(table.contains("only in A") && table.contains("only in B"), "{table}");
    let text = TempFile::new("other.txt", &"the and in on a to of is it ".repeat(20));
    let done = call(&["compare", GEMMA3, QWEN2, "-f", text.path(), "-c", "16", "--json"]);
    assert!(done.failed().contains("different vocabularies"));
}
