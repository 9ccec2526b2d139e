//! Lines: tokens a second by threads, and by tokens that stand before.

use serde_json::Value as Json;

use crate::data::{list, number, origin, text};
use crate::paper::{Align, Axis, Paper, Theme, short, width};

const SIZE: (f64, f64) = (860.0, 360.0);
const TOP: f64 = 92.0;
const BOTTOM: f64 = SIZE.1 - 52.0;

/// Points of a line: numbers of threads or tokens, and tokens a second.
type Line = Vec<(f64, f64)>;

/// The tests of prefill or of decoding, by one of their fields.
fn line(records: &[Json], by: &str, decoding: bool, keep: impl Fn(&Json) -> bool) -> Line {
    let of_kind = |test: &&Json| (number(test, "n_gen") > 0.0) == decoding && keep(test);
    let mut line: Line = records
        .iter()
        .filter(of_kind)
        .map(|test| (number(test, by), number(test, "avg_ts")))
        .collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    line
}

fn panel(paper: &Paper, (left, right): (f64, f64), lines: [(&str, Line); 2], what: &str) {
    let theme = paper.theme;
    let all: Vec<f64> = lines[0].1.iter().map(|p| p.0).collect();
    let most = lines.iter().flat_map(|l| &l.1).map(|p| p.1).fold(0.0, f64::max);
    // Each value of the axis at the same distance from the next: they are powers of two.
    let place = |value: f64| all.iter().position(|&x| x == value).unwrap_or(0) as f64;
    let x = Axis::linear(-0.25, all.len() as f64 - 0.75, (left, right));
    let y = Axis::linear(0.0, 1.12 * most, (BOTTOM, TOP));
    let step = 10f64.powf(most.log10().floor());
    let step = if most / step < 2.0 {
        step / 4.0
    } else if most / step < 5.0 {
        step / 2.0
    } else {
        step
    };
    for i in 0..=(1.12 * most / step) as usize {
        let tick = i as f64 * step;
        paper.line(&[(left, y.at(tick)), (right, y.at(tick))], theme.grid, 1);
        paper.text((left - 8.0, y.at(tick)), &format!("{tick}"), 10.5, theme.faint, Align::Right);
    }
    for &value in &all {
        let at = (x.at(place(value)), BOTTOM + 14.0);
        paper.text(at, &format!("{value}"), 10.5, theme.faint, Align::Middle);
    }
    paper.text(((left + right) / 2.0, BOTTOM + 36.0), what, 12.0, theme.ink, Align::Middle);
    for ((_, line), color) in lines.iter().zip([theme.blue, theme.green]) {
        let points: Vec<_> =
            line.iter().map(|&(value, rate)| (x.at(place(value)), y.at(rate))).collect();
        paper.line(&points, color, 2);
        for (&at, &(_, rate)) in points.iter().zip(line) {
            paper.dot(at, 4, color);
            paper.text((at.0, at.1 - 12.0), &short(rate), 10.5, theme.ink, Align::Middle);
        }
    }
}

pub fn draw(scaling: &Json, theme: Theme) -> Option<String> {
    let records = list(scaling, "records");
    if records.is_empty() {
        return None;
    }
    let most = records.iter().map(|test| number(test, "n_threads")).fold(0.0, f64::max);
    let mut svg = String::new();
    let paper = Paper::new(&mut svg, (SIZE.0 as u32, SIZE.1 as u32), theme);
    paper.title(
        &format!("Tokens a second of {}, by threads and by context", text(scaling, "model")),
        &origin(scaling),
    );
    let test = |decoding: bool| {
        let mut of_kind = records.iter().filter(|t| (number(t, "n_gen") > 0.0) == decoding);
        let (name, key) = if decoding { ("decoding", "n_gen") } else { ("prefill", "n_prompt") };
        of_kind.next().map_or(String::new(), |t| format!("{name} of {}", number(t, key)))
    };
    let names = [test(false), test(true)];
    let mut at = 24.0;
    for (name, color) in names.iter().zip([theme.blue, theme.green]) {
        paper.dot((at, 66.0), 4, color);
        paper.text((at + 10.0, 66.0), name, 11.5, theme.ink, Align::Left);
        at += 44.0 + width(name, 11.5);
    }
    let both = |by: &str, keep: &dyn Fn(&Json) -> bool| {
        [false, true].map(|decoding| ("", line(records, by, decoding, keep)))
    };
    panel(&paper, (60.0, 330.0), both("n_threads", &|t| number(t, "n_depth") == 0.0), "threads");
    let of_most = |t: &Json| number(t, "n_threads") == most;
    panel(
        &paper,
        (410.0, 840.0),
        both("n_depth", &of_most),
        &format!("tokens before, {most} threads"),
    );
    drop(paper);
    Some(svg)
}
