//! `limits`: what the CPU can do at most.

use super::*;

#[test]
fn limits_are_found_for_one_thread_and_for_all() {
    let json = call(&["limits", "--json", "--seconds", "0.2", "-t", "2"]).json();
    for (list_name, key, wanted) in [
        ("compute", "name", &["fma_f32", "loads_32"][..]),
        ("read", "level", &["L1", "L2", "DRAM"]),
    ] {
        let figures = list(&json[list_name]);
        for figure in figures {
            let value = figure["value"].as_f64().unwrap();
            assert!(value.is_finite() && value > 0.0, "{figure}");
        }
        // Where the loops are not in assembly, no loads are counted.
        for name in wanted.iter().filter(|&&n| n != "loads_32" || !json["clock_ghz"].is_null()) {
            for threads in [1, 2] {
                let found = figures.iter().filter(|f| f[key] == *name && f["threads"] == threads);
                assert_eq!(found.count(), 1, "{name} of {threads} threads in {json}");
            }
        }
    }
    assert!(json["caches"]["l1d"].as_u64().unwrap() >= 4096);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn limits_are_whole_instructions_a_cycle() {
    if !levels().contains(&("avx2".into(), true)) {
        return;
    }
    // No x86-64 starts more than four of a kind in a cycle. A neighbour on the core can halve a figure, and
    // also the clock that another one is divided by.
    let json = call(&["limits", "--json", "--seconds", "1", "-t", "1"]).json();
    let per_cycle = |name: &str| {
        let figure = list(&json["compute"]).iter().find(|f| f["name"] == name).unwrap();
        figure["per_cycle"].as_f64().unwrap()
    };
    for (name, lanes) in
        [("fma_f32", 16.0), ("mul_u8_i8", 32.0), ("mul_i16", 16.0), ("loads_32", 1.0)]
    {
        let instructions = per_cycle(name) / lanes;
        assert!((0.2..9.0).contains(&instructions), "{name}: {instructions} a cycle in {json}");
    }
    assert!((0.3..8.0).contains(&json["clock_ghz"].as_f64().unwrap()), "{json}");
}

#[test]
fn the_table_has_a_line_for_every_level_of_memory() {
    let table = call(&["limits", "--seconds", "0.1", "-t", "1"]).ok();
    for start in ["cpu ", "caches ", "FMA, f32", "read L1", "read L2", "read L3", "read DRAM"] {
        assert!(table.lines().any(|line| line.starts_with(start)), "{start} is not in {table}");
    }
}

#[test]
fn limits_that_would_take_no_time_or_too_many_threads_are_refused() {
    call(&["limits", "--seconds", "0"]).refused();
    call(&["limits", "--seconds", "nan"]).refused();
    call(&["limits", "--seconds", "1e9"]).refused();
    call(&["limits", "-t", "0"]).refused();
    assert!(call(&["limits", "-t", "100000"]).refused().contains("100000"));
}
