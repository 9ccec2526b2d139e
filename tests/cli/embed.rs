//! `embed`.

use serde_json::Value;

use super::*;

fn embed(options: &[&str]) -> Done {
    call(&[&["embed", "-m", LLAMA], options].concat())
}

fn vectors(json: &Value) -> Vec<Vec<f32>> {
    let vector = |entry: &Value| {
        list(&entry["embedding"]).iter().map(|x| x.as_f64().expect("a number") as f32).collect()
    };
    list(&json["embeddings"]).iter().map(vector).collect()
}

#[test]
fn texts_of_a_file_have_the_vectors_that_they_have_alone() {
    let file = TempFile::new("texts.txt", "the and in on\nan\nthe the\n");
    for options in [&["--pooling", "mean"][..], &["--pooling", "last", "--no-normalize"]] {
        let together = embed(&[&["-f", file.path()], options].concat()).json();
        assert_eq!(together["pooling"], options[1]);
        assert_eq!(together["normalized"], options.len() == 2);
        let got = vectors(&together);
        assert_eq!(got.len(), 3);
        for (text, got) in ["the and in on", "an", "the the"].iter().zip(&got) {
            let alone = embed(&[&["-p", text], options].concat()).json();
            assert_eq!(vectors(&alone), std::slice::from_ref(got), "{text}");
            assert_eq!(Some(got.len() as u64), alone["dimension"].as_u64());
            let len: f32 = got.iter().map(|x| x * x).sum();
            assert_eq!((len - 1.0).abs() < 1e-5, options.len() == 2, "{len}");
        }
        // Texts from stdin, as numbers without words.
        let args = [&["embed", "-m", LLAMA, "-p", "-", "--raw"], options].concat();
        let mut child = spawn(&args);
        child.stdin.take().expect("a pipe").write_all(b"the and in on\nan\n").expect("read");
        let out = child.wait_with_output().expect("it ends");
        let bytes: Vec<u8> = got[..2].iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        assert!(out.status.success() && out.stdout == bytes);
    }
}

#[test]
fn a_text_without_tokens_and_an_unknown_pooling_are_told() {
    let file = TempFile::new("gap.txt", "the\n\nthe\n");
    assert!(embed(&["-f", file.path()]).failed().contains("text 2 is empty"));
    assert!(embed(&["-p", ""]).failed().contains("text 1 is empty"));
    let message = embed(&["-p", "the", "--pooling", "cls"]).refused();
    assert!(message.contains("expected mean or last"), "{message}");
    embed(&[]).refused();
    // A file without a text is no error: nor is the list.
    let none = TempFile::new("none.txt", "");
    assert_eq!(vectors(&embed(&["-f", none.path()]).json()).len(), 0);
}
