//! `--trace`: events that viewers understand, and that agree with `--stats` of the same run.

use std::collections::BTreeMap;

use super::*;

/// A span of a track, in nanoseconds.
#[derive(Clone, Debug)]
struct Span {
    start: u64,
    end: u64,
    name: String,
    category: String,
    args: Value,
}

/// What a trace holds, after every event was looked at.
struct Trace {
    /// Spans of each track, by its name, in the order of their beginnings.
    tracks: BTreeMap<String, Vec<Span>>,
    other: Value,
}

/// Microseconds with up to three digits behind the point, as nanoseconds.
fn nanoseconds(event: &Value, field: &str) -> u64 {
    let time = event[field].as_f64().filter(|time| (0.0..1e12).contains(time));
    let ns = time.unwrap_or_else(|| panic!("no {field}: {event}")) * 1e3;
    assert!((ns - ns.round()).abs() < 1e-2, "{event}");
    ns.round() as u64
}

impl Trace {
    /// Checks what the trace-event format demands of its JSON object format, and of each phase that is used.
    fn read(path: &str) -> Trace {
        let text = std::fs::read_to_string(path).expect("a trace");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        assert!(["ns", "ms"].map(Value::from).contains(&json["displayTimeUnit"]));
        let (mut names, mut spans) = (BTreeMap::new(), Vec::new());
        let mut process = None;
        for event in list(&json["traceEvents"]) {
            let id = |field: &str| event[field].as_u64().filter(|&id| id > 0 && id < 1 << 31);
            let (pid, tid) = (id("pid").expect("a process"), id("tid").expect("a thread"));
            assert_eq!(*process.get_or_insert(pid), pid, "{event}");
            let name = event["name"].as_str().filter(|name| !name.is_empty()).expect("a name");
            let args = event["args"].as_object().expect("arguments");
            match event["ph"].as_str().expect("a phase") {
                "M" => match name {
                    "process_name" => assert_eq!(args["name"], "quintile"),
                    "thread_name" => {
                        let name = args["name"].as_str().expect("a name").to_owned();
                        assert!(names.insert(tid, name).is_none(), "two names: {event}");
                    }
                    "thread_sort_index" => assert!(args["sort_index"].is_u64(), "{event}"),
                    _ => panic!("unknown metadata: {event}"),
                },
                "X" => {
                    let start = nanoseconds(event, "ts");
                    let end = start + nanoseconds(event, "dur");
                    let category = event["cat"].as_str().expect("a category").to_owned();
                    let args = event["args"].clone();
                    spans.push((tid, Span { start, end, name: name.to_owned(), category, args }));
                }
                _ => panic!("unknown phase: {event}"),
            }
        }
        let mut tracks: BTreeMap<String, Vec<Span>> =
            names.values().map(|name| (name.clone(), Vec::new())).collect();
        assert_eq!(tracks.len(), names.len(), "two threads of one name: {names:?}");
        for (tid, span) in spans {
            tracks.get_mut(&names[&tid]).expect("a track").push(span);
        }
        tracks.values().for_each(|spans| nested(spans));
        Trace { tracks, other: json["otherData"].clone() }
    }

    fn of<'a>(&'a self, category: &'a str) -> impl Iterator<Item = &'a Span> {
        self.tracks.values().flatten().filter(move |span| span.category == category)
    }

    fn dropped(&self) -> u64 {
        self.other["dropped_events"].as_u64().expect("a number")
    }

    /// Seconds of all threads, by operation.
    fn times(&self) -> BTreeMap<String, f64> {
        let mut times = BTreeMap::new();
        for span in self.of("operation") {
            *times.entry(span.name.clone()).or_default() += 1e-9 * (span.end - span.start) as f64;
        }
        times
    }
}

/// Two spans of one track have no time in common, or one lies inside the other.
fn nested(spans: &[Span]) {
    let mut around: Vec<&Span> = Vec::new();
    for span in spans {
        let last = around.last().map_or(0, |last| last.start);
        assert!(span.start >= last, "not in order: {span:?}");
        while around.last().is_some_and(|outer| outer.end <= span.start) {
            around.pop();
        }
        if let Some(outer) = around.last() {
            assert!(span.end <= outer.end, "{span:?} reaches out of {outer:?}");
            assert!(outer.category != "operation" && outer.category != "barrier", "{outer:?}");
        }
        around.push(span);
    }
}

/// The sums of a record of `--stats`, both kinds of passes together.
fn sums(stats: &Value) -> (BTreeMap<String, f64>, u64, f64) {
    let (mut times, mut barriers, mut wall) = (BTreeMap::new(), 0, 0.0);
    for kind in [&stats["prefill"], &stats["decode"]] {
        for (name, time) in kind["times_s"].as_object().expect("times") {
            *times.entry(name.clone()).or_default() += time.as_f64().expect("seconds");
        }
        barriers += kind["barriers"].as_u64().expect("a number");
        wall += kind["wall_s"].as_f64().expect("seconds");
    }
    (times, barriers, wall)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 0.02 * a.max(b)
}

/// Holds a trace against `--stats` of the same work.
fn agrees(trace: &Trace, stats: &[&Value]) {
    let (mut times, mut barriers, mut wall) = (BTreeMap::<String, f64>::new(), 0, 0.0);
    for record in stats {
        let (some, number, time) = sums(record);
        some.into_iter().for_each(|(name, time)| *times.entry(name).or_default() += time);
        (barriers, wall) = (barriers + number, wall + time);
    }
    assert_eq!(trace.dropped(), 0);
    // What no operation took is more than waits at barriers: threads also wait for loops to be opened.
    let waiting = times.remove("waiting").expect("waiting");
    let waits: u64 = trace.of("barrier").map(|span| span.end - span.start).sum();
    assert!(1e-9 * waits as f64 <= 1.02 * waiting, "{waits} ns of {waiting} s");
    let traced = trace.times();
    assert_eq!(traced.keys().collect::<Vec<_>>(), times.keys().collect::<Vec<_>>());
    for (name, time) in &times {
        assert!(close(*time, traced[name]), "{name}: {time} s, in the trace {} s", traced[name]);
    }
    let caller = &trace.tracks["caller"];
    let waits = caller.iter().filter(|span| span.category == "barrier").count();
    assert_eq!(waits as u64, barriers);
    let passes: f64 = trace.of("pass").map(|span| 1e-9 * (span.end - span.start) as f64).sum();
    assert!(close(wall, passes), "{wall} s, in the trace {passes} s");
    // Others wait for loops that the caller opened, until these end.
    let ends: BTreeMap<u64, u64> = caller
        .iter()
        .filter(|span| span.category == "barrier")
        .map(|span| (span.args["loop"].as_u64().expect("a number"), span.end))
        .collect();
    for wait in trace.of("barrier") {
        assert_eq!(ends[&wait.args["loop"].as_u64().expect("a number")], wait.end, "{wait:?}");
    }
}

#[test]
fn a_trace_of_run_agrees_with_its_stats() {
    let folder = TempFolder::new("trace-run");
    let path = folder.path("trace.json");
    for threads in [1, 2, 3] {
        let options =
            format!("-t {threads} -n 7 --temp 0 --ignore-eos --json --stats --trace {path}");
        let start = std::time::Instant::now();
        let done = run(&options);
        let whole = start.elapsed().as_nanos() as u64;
        assert!(done.stderr.contains(&format!(" events in {path}\n")), "{done:?}");
        let json = done.json();
        let trace = Trace::read(&path);
        agrees(&trace, &[&json["stats"]]);

        let names: Vec<&String> = trace.tracks.keys().collect();
        assert_eq!(
            names,
            ["caller", "quintile-1", "quintile-2"][..threads].iter().collect::<Vec<_>>()
        );
        assert!(trace.tracks.values().flatten().all(|span| span.end <= whole));
        assert_eq!(trace.other["model"], LLAMA);

        // The prompt, six tokens after the first, and the logits of all seven.
        let passes: Vec<(&str, &Value)> =
            trace.of("pass").map(|span| (&*span.name, &span.args)).collect();
        let prompt = list(&json["prompt_tokens"]).len();
        assert_eq!(passes[0], ("prefill", &serde_json::json!({"tokens": prompt, "position": 0})));
        assert_eq!(passes[1], ("logits", &serde_json::json!({"tokens": 1})));
        assert_eq!(passes.len(), 14);
        for (i, pair) in passes[2..].chunks(2).enumerate() {
            let decode = serde_json::json!({"tokens": 1, "position": prompt + i});
            assert_eq!((pair[0], pair[1].0), (("decode", &decode), "logits"));
        }
        // What the caller does, it does in a pass.
        let caller = &trace.tracks["caller"];
        let inside = |span: &Span| {
            trace.of("pass").any(|pass| pass.start <= span.start && span.end <= pass.end)
        };
        assert!(caller.iter().all(inside));
    }
}

#[test]
fn products_name_their_tensor_and_operations_of_layers_their_layer() {
    let folder = TempFolder::new("trace-names");
    let path = folder.path("trace.json");
    run(&format!("-t 1 -n 2 --temp 0 --ignore-eos --trace {path}")).ok();
    let trace = Trace::read(&path);
    let json = call(&["inspect", LLAMA, "--json", "--tensors"]).json();
    let mut matrices: Vec<&str> = list(&json["tensors"])
        .iter()
        .filter(|tensor| list(&tensor["dims"]).len() > 1)
        .filter_map(|tensor| tensor["name"].as_str())
        .collect();
    let output = if matrices.contains(&"output.weight") { "token_embd.weight" } else { "" };
    matrices.retain(|name| *name != output);
    matrices.sort_unstable();
    let mut seen = Vec::new();
    for span in trace.of("operation") {
        let layer = span.args.get("layer").map(|layer| layer.as_u64().expect("a number"));
        if let Some(tensor) = span.args["tensor"].as_str() {
            assert!(span.name.starts_with("matmul "), "{span:?}");
            let part = tensor.strip_prefix("blk.").and_then(|rest| rest.split('.').next());
            assert_eq!(part.map(|part| part.parse().expect("a number")), layer, "{span:?}");
            seen.push(tensor);
        } else {
            assert!(!span.name.starts_with("matmul "), "{span:?}");
        }
        if ["attention", "rope and cache", "gate"].contains(&&*span.name) {
            assert!(layer.is_some(), "{span:?}");
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, matrices);
}

#[test]
fn a_trace_of_bench_has_the_tests_that_were_timed_and_agrees_with_their_stats() {
    let folder = TempFolder::new("trace-bench");
    let path = folder.path("trace.json");
    let args = ["bench", "-m", QWEN2, "--limits", "0", "-r", "2", "-t", "1,2", "-o", "json"];
    // Neither the run before the first nor what lies before a test is timed, or traced.
    let more = ["-p", "40", "-n", "5", "-d", "3", "--by-op", "--trace", &path];
    let json = call(&[&args[..], &more].concat()).json();
    let trace = Trace::read(&path);
    let stats: Vec<&Value> = list(&json).iter().map(|test| &test["stats"]).collect();
    assert_eq!(stats.len(), 4);
    agrees(&trace, &stats);
    let tests = &trace.tracks["tests"];
    let mut names: Vec<&str> = tests.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    let want = ["pp40 @ d3, 1 threads", "pp40 @ d3, 2 threads", "tg5 @ d3, 1 threads"];
    let want = [&want[..], &["tg5 @ d3, 2 threads"]].concat();
    assert_eq!(names, want.iter().flat_map(|name| [*name; 2]).collect::<Vec<_>>());
    // Every pass belongs to one of them.
    for pass in trace.of("pass") {
        assert!(tests.iter().any(|t| t.start <= pass.start && pass.end <= t.end), "{pass:?}");
    }
    assert!(trace.of("pass").any(|pass| pass.args["position"] == 3));
}

#[test]
fn a_trace_keeps_so_many_events_and_counts_the_others() {
    let folder = TempFolder::new("trace-bound");
    let path = folder.path("trace.json");
    let traced = |options: &str| {
        let done = run(&format!("-n 4 --temp 0 --ignore-eos --trace {path} {options}"));
        let told = done.stderr.lines().last().unwrap_or_default().to_owned();
        done.ok();
        let trace = Trace::read(&path);
        let kept: Vec<usize> = trace.tracks.values().map(Vec::len).collect();
        (kept, trace.dropped(), told)
    };
    let (whole, none, told) = traced("-t 1");
    assert!(none == 0 && !told.contains("dropped"), "{told}");
    let (kept, dropped, told) = traced("-t 1 --trace-events 100");
    assert_eq!((kept, dropped), (vec![100], whole[0] as u64 - 100));
    assert_eq!(told, format!("trace: 100 events in {path}, {dropped} dropped: see --trace-events"));
    let (kept, dropped, _) = traced("-t 2 --trace-events 100");
    assert!(kept[0] == 50 && kept[1] <= 50 && dropped > 0, "{kept:?}, {dropped}");
    let (kept, dropped, _) = traced("-t 1 --trace-events 0");
    assert_eq!((kept, dropped), (vec![0], whole[0] as u64));
}

#[test]
fn a_file_that_cannot_be_written_is_named_before_any_work() {
    let folder = TempFolder::new("trace-unwritable");
    let missing = folder.path("none/trace.json");
    // The model is not even looked for.
    let bench = ["bench", "-m", "none.gguf", "--trace"];
    let continued = ["run", "-m", "none.gguf", "-p", PROMPT, "--trace"];
    for args in [&bench[..], &continued] {
        for path in [&*missing, &folder.path("")] {
            let done = call(&[args, &[path]].concat());
            assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
            assert!(done.failed().contains(path), "{path}");
        }
    }
    // What fails later leaves the old file, and no other.
    let path = folder.path("trace.json");
    std::fs::write(&path, "old").expect("a file");
    call(&["run", "-m", "none.gguf", "-p", PROMPT, "--trace", &path]).failed();
    assert_eq!(std::fs::read(&path).expect("a file"), b"old");
    assert_eq!(folder.names(), ["trace.json"]);
    call(&["run", "-m", QWEN2, "-p", PROMPT, "--trace-events", "5"]).refused();
    run(&format!("--trace {path} --trace-events 100000001")).refused();
}
