//! `bench`: llama-bench's options, names and fields, and what ours adds.

use super::*;

/// What scripts that read llama-bench's records look for, in its order.
const FIELDS: &str = "build_commit build_number cpu_info gpu_info backends model_filename model_type model_size \
    model_n_params n_batch n_ubatch n_threads cpu_mask cpu_strict poll type_k type_v n_gpu_layers n_cpu_moe split_mode \
    main_gpu no_kv_offload flash_attn devices tensor_split tensor_buft_overrides use_mmap embeddings no_op_offload no_host \
    n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts stddev_ts";

/// A small run without the measurement of limits.
fn bench(args: &str) -> Done {
    let common = ["bench", "-m", QWEN2, "--limits", "0", "-r", "2", "-t", "2"];
    call(&common.into_iter().chain(args.split_whitespace()).collect::<Vec<_>>())
}

#[test]
fn json_has_the_fields_of_llama_bench() {
    let json = bench("-p 8 -n 4 -o json").json();
    let tests = list(&json);
    let sizes: Vec<_> =
        tests.iter().map(|t| (t["n_prompt"].as_u64(), t["n_gen"].as_u64())).collect();
    assert_eq!(sizes, [(Some(8), Some(0)), (Some(0), Some(4))]);
    for test in tests {
        let names: Vec<&String> = test.as_object().expect("an object").keys().collect();
        let wanted = FIELDS.split_whitespace().chain(["samples_ns", "samples_ts"]);
        for (name, wanted) in names.iter().zip(wanted) {
            assert_eq!(*name, wanted);
        }
        assert_eq!((&test["n_threads"], &test["n_ubatch"]), (&2.into(), &512.into()));
        let ns: Vec<u64> = list(&test["samples_ns"]).iter().filter_map(Value::as_u64).collect();
        assert!(ns.len() == 2 && !ns.contains(&0), "{test}");
        assert_eq!(test["avg_ns"], (ns[0] + ns[1]) / 2);
        assert!(test["avg_ts"].as_f64().is_some_and(|x| x > 0.0), "{test}");
        assert!(test["stddev_ts"].as_f64().is_some_and(|x| x >= 0.0), "{test}");
        let time = test["test_time"].as_str().expect("a text");
        assert!(time.len() == 20 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
    let [prefill, decode] = tests else { panic!("{json}") };
    assert_eq!(prefill["ttft_ns"], prefill["avg_ns"]);
    assert!(decode["ttft_ns"].is_null() && prefill["token_ns_p50"].is_null());
    assert!(decode["token_ns_p50"].as_u64() <= decode["token_ns_p99"].as_u64());
    assert!(decode["weight_bytes_per_second"].as_f64().is_some_and(|x| x > 0.0));
    assert!(prefill["products_per_second"].as_f64().is_some_and(|x| x > 0.0));
    assert!(prefill["product_share"].is_null(), "no limit was measured");
}

#[test]
fn lists_make_a_test_of_each_combination() {
    let json = bench("-p 8,0 -n 2 -pg 4,3 -d 0,5 -ub 4,16 -o json").json();
    let tests = list(&json).iter();
    let seen: Vec<_> = tests
        .map(|t| ["n_ubatch", "n_depth", "n_prompt", "n_gen"].map(|name| t[name].as_u64().unwrap()))
        .collect();
    let mut wanted = Vec::new();
    for ubatch in [4, 16] {
        for depth in [0, 5] {
            for [prompt, generated] in [[8, 0], [0, 2], [4, 3]] {
                wanted.push([ubatch, depth, prompt, generated]);
            }
        }
    }
    assert_eq!(seen, wanted);
    let both = &list(&json)[2];
    assert!(both["ttft_ns"].as_u64() < both["avg_ns"].as_u64(), "{both}");
}

#[test]
fn every_output_tells_the_same_tests() {
    let args = |output| format!("-p 8 -n 4 -pg 4,3 -d 2 -ub 4,8 -o {output}");
    let table = bench(&args("md")).ok();
    assert!(table.contains("| n_ubatch |") && !table.contains("| n_batch |"), "{table}");
    for name in ["| pp8 @ d2 |", "| tg4 @ d2 |", "| pp4+tg3 @ d2 |"] {
        assert_eq!(table.matches(name).count(), 2, "{table}");
    }
    let csv = bench(&args("csv")).ok();
    let header = csv.lines().next().expect("a header");
    assert!(
        header.starts_with(&FIELDS.split_whitespace().collect::<Vec<_>>().join(",")),
        "{header}"
    );
    assert_eq!(csv.lines().count(), 7);
    let cells = header.split(',').count();
    for row in csv.lines().skip(1) {
        // No value here has a comma or a quote of its own.
        assert_eq!(row.split("\",\"").count(), cells, "{row}");
    }
    let lines = bench(&args("jsonl")).ok();
    let records = lines.lines().map(serde_json::from_str::<Value>);
    assert_eq!(
        records.map(|record| record.expect("JSON")["n_depth"].clone()).collect::<Vec<_>>(),
        vec![Value::from(2); 6]
    );
    let sql = bench(&args("sql")).ok();
    assert!(
        sql.starts_with("CREATE TABLE IF NOT EXISTS llama_bench (\n  build_commit TEXT,"),
        "{sql}"
    );
    assert!(sql.contains("  avg_ns INTEGER,") && sql.contains("  avg_ts REAL,"), "{sql}");
    assert_eq!(sql.matches("INSERT INTO llama_bench (").count(), 6);
}

#[test]
fn a_share_is_told_where_limits_were_measured() {
    let args =
        ["bench", "-m", QWEN2, "--limits", "0.1", "-r", "1", "-t", "1", "-p", "8", "-n", "2"];
    let json = call(&[&args[..], &["-o", "json"]].concat()).json();
    for (test, [rate, limit, share]) in list(&json).iter().zip([
        ["products_per_second", "product_limit", "product_share"],
        ["weight_bytes_per_second", "read_limit", "read_share"],
    ]) {
        let of = |name: &str| test[name].as_f64();
        // No products of bytes are counted where the loops are plain Rust.
        let Some(limit) = of(limit) else { continue };
        let wanted = of(rate).expect("a rate") / limit;
        assert!(of(share).is_some_and(|share| (share / wanted - 1.0).abs() < 1e-9), "{test}");
    }
}

#[test]
fn what_cannot_be_timed_is_refused() {
    for (args, part) in [
        ("-p 0 -n 0", "-pg"),
        ("-pg 5", "5"),
        ("-p 8,x", "x"),
        ("-ctk f16,f32 -ctv f16", "f32"),
        ("-o xml", "xml"),
        ("-ub 0", "0"),
        ("--limits -1", "-1"),
    ] {
        let message = bench(args).refused();
        assert!(message.contains(part), "{args}: {message}");
    }
}
