//! `--stats`: what the time of a session went to.

use serde_json::{Map, Value as Json, json};

use crate::model::speculate::SpeculationStats;
use crate::model::stats::{Operation, Passes, Stats};

use super::output::status;

/// How figures name an operation.
pub fn name(operation: Operation) -> String {
    match operation {
        Operation::Matmul(format) => format!("matmul {format}"),
        other => other.name().to_owned(),
    }
}

/// The operations that took any time, and at last the waiting: names, and seconds of all threads together.
fn times(passes: &Passes) -> Vec<(String, f64)> {
    let operations = Operation::all().map(|o| (name(o), passes.time(o)));
    let waiting = [("waiting".to_owned(), passes.waiting())];
    let some = operations.filter(|(_, time)| !time.is_zero()).chain(waiting);
    some.map(|(name, time)| (name, time.as_secs_f64())).collect()
}

/// Writes the figures of each kind of pass to stderr.
pub fn report(stats: &Stats) {
    for (kind, passes) in [("prefill", &stats.prefill), ("decode", &stats.decode)] {
        if passes.tokens > 0 {
            table(kind, passes);
        }
    }
}

fn table(kind: &str, passes: &Passes) {
    let wall = passes.wall.as_secs_f64();
    let (tokens, count) = (passes.tokens as f64, passes.passes as f64);
    let threads = passes.threads_wall.as_secs_f64() / wall;
    status(format_args!(
        "{kind}: {tokens} tokens in {count} passes, {threads:.0} threads, {:.3} ms a token:",
        1e3 * wall / tokens
    ));
    for (name, time) in times(passes) {
        // Of the threads' time, a thread's share: so that all add up to the time that passed.
        let ms = 1e3 * time / threads / tokens;
        status(format_args!("  {name:16} {ms:9.4} ms {:5.1}%", 100.0 * time / threads / wall));
    }
    let bytes = passes.weight_bytes as f64;
    status(format_args!(
        "  {:.1} barriers and {:.4} GB of weights a pass, {:.2} GB/s",
        passes.barriers as f64 / count,
        1e-9 * bytes / count,
        1e-9 * bytes / wall,
    ));
}

/// Writes what speculation brought to stderr.
pub fn report_speculation(stats: &SpeculationStats) {
    let SpeculationStats { tokens, verified, drafted, accepted, .. } = stats;
    let acceptance =
        stats.acceptance().map_or_else(String::new, |part| format!(" ({:.1}%)", 100.0 * part));
    let gain = stats.gain().map_or_else(|| "unknown".into(), |gain| format!("{gain:.2} x"));
    status(format_args!(
        "speculation: {tokens} tokens, {verified} passes verified {drafted} drafted ones, {accepted} were \
         accepted{acceptance}; gain {gain}"
    ));
}

/// The same as JSON.
pub fn record_speculation(stats: &SpeculationStats) -> Json {
    json!({
        "tokens": stats.tokens,
        "verified_passes": stats.verified,
        "drafted": stats.drafted,
        "accepted": stats.accepted,
        "acceptance": stats.acceptance(),
        "time_s": stats.time.as_secs_f64(),
        "plain_pass_s": stats.plain_pass.map(|pass| pass.as_secs_f64()),
        "gain": stats.gain(),
    })
}

/// The same as JSON.
pub fn record(stats: &Stats) -> Json {
    let kind = |passes: &Passes| {
        let seconds = times(passes).into_iter().map(|(name, time)| (name, json!(time)));
        json!({
            "passes": passes.passes,
            "tokens": passes.tokens,
            "wall_s": passes.wall.as_secs_f64(),
            "threads_s": passes.threads_wall.as_secs_f64(),
            "barriers": passes.barriers,
            "weight_bytes": passes.weight_bytes,
            "times_s": seconds.collect::<Map<_, _>>(),
        })
    };
    json!({ "prefill": kind(&stats.prefill), "decode": kind(&stats.decode) })
}
