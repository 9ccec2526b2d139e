//! `--stats`, and threads of batches.

use super::*;

/// The sum of all times but the waiting, as a part of the whole; and the kind's record.
fn part(kind: &Value) -> f64 {
    let times = kind["times_s"].as_object().unwrap();
    let waiting = times["waiting"].as_f64().unwrap();
    let all: f64 = times.values().map(|time| time.as_f64().unwrap()).sum();
    let whole = kind["threads_s"].as_f64().unwrap();
    // Waiting is what is left of the whole: together they are it.
    assert!((all - whole).abs() <= 1e-6 * whole, "{kind}");
    (all - waiting) / whole
}

#[test]
fn the_times_of_operations_add_up_to_the_whole() {
    // Of one thread, which waits for nobody: most of the time is that of some operation, even in a tiny model.
    let args = ["bench", "-m", QWEN2, "--limits", "0", "-p", "64", "-n", "8", "-r", "3", "-t", "1"];
    let args = [&args[..], &["-o", "json", "--stats"]].concat();
    let done = call(&args);
    for line in
        ["prefill: 192 tokens in 3 passes", "decode: 24 tokens in 24 passes", "  attention "]
    {
        assert!(done.stderr.contains(line), "{done:?}");
    }
    let json = done.json();
    let [prefill, decode] = [&json[0]["stats"]["prefill"], &json[1]["stats"]["decode"]];
    assert_eq!((&prefill["passes"], &prefill["tokens"]), (&3.into(), &192.into()));
    assert_eq!((&decode["passes"], &decode["tokens"]), (&24.into(), &24.into()));
    for kind in [prefill, decode] {
        assert!(part(kind) > 0.5 && part(kind) <= 1.0, "{kind}");
        assert_eq!(kind["barriers"], 0);
        let names: Vec<&String> = kind["times_s"].as_object().unwrap().keys().collect();
        for name in ["attention", "norms", "rope and cache", "gate", "embedding", "waiting"] {
            assert!(names.iter().any(|n| *n == name), "{names:?}");
        }
        assert!(names.iter().any(|name| name.starts_with("matmul ")), "{names:?}");
    }
    // A pass reads every matrix once, of however many tokens.
    let bytes = |kind: &Value| kind["weight_bytes"].as_u64().unwrap();
    assert_eq!(bytes(prefill) / 3, bytes(decode) / 24);
    assert!(call(&args[..args.len() - 1]).json()[0]["stats"].is_null());
}

#[test]
fn a_decoded_token_has_five_barriers_a_layer_and_one_for_its_logits() {
    let layers = call(&["inspect", LLAMA, "--json"]).json();
    let layers = layers["metadata"]["llama.block_count"].as_u64().unwrap();
    let json = run("-t 2 -n 9 --temp 0 --json --stats --ignore-eos").json();
    let decode = &json["stats"]["decode"];
    let (passes, barriers) =
        (decode["passes"].as_u64().unwrap(), decode["barriers"].as_u64().unwrap());
    assert_eq!(passes, 8);
    let most = passes * (5 * layers + 1);
    // On one processor nothing is shared, and small products need not be.
    assert!(barriers <= most, "{barriers} of {most}");
    assert!(part(decode) <= 1.0);
    assert!(run("-t 2 -n 2 --json").json()["stats"].is_null());
}

#[test]
fn batches_may_have_threads_of_their_own_and_the_text_is_the_same() {
    let want = run("-t 1 -n 12 --temp 0").ok();
    for options in ["-t 1 -tb 3 -n 12 --temp 0", "-t 3 --threads-batch 1 -n 12 --temp 0"] {
        let done = run(options);
        assert!(done.stderr.contains("for batches)"), "{done:?}");
        assert_eq!(done.ok(), want, "{options}");
    }
}
