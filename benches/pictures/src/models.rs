//! Bars: tokens a second of prefill and of decoding beside llama.cpp, by model.

use serde_json::Value as Json;

use crate::data::{list, number, origin, text};
use crate::paper::{Align, Axis, Paper, Theme, short};

const WIDTH: f64 = 860.0;
const BAR: f64 = 15.0;
const LEFT: f64 = 110.0;

pub fn draw(models: &Json, theme: Theme) -> Option<String> {
    let runs = list(models, "runs");
    let first = runs.first()?;
    let rates = |run: &Json| -> Vec<Json> {
        let tests = list(run, "tests").iter().filter(|test| text(test, "unit") == "t/s");
        tests.cloned().collect()
    };
    let height: f64 =
        runs.iter().map(|run| 30.0 + rates(run).len() as f64 * (2.0 * BAR + 10.0)).sum();
    let mut svg = String::new();
    let paper = Paper::new(&mut svg, (WIDTH as u32, (height + 70.0) as u32), theme);
    paper.title(
        "Tokens a second beside llama.cpp (longer is faster)",
        &format!(
            "{}, {} threads, medians of {} rounds in turns; ratios with their 95% interval; each pair of bars to its own scale",
            origin(first),
            number(first, "threads"),
            number(first, "rounds"),
        ),
    );
    let mut y = 66.0;
    for run in runs {
        paper.text((16.0, y + 8.0), text(run, "model"), 12.5, theme.ink, Align::Left);
        y += 24.0;
        for test in rates(run) {
            let pair = [("quintile", theme.blue), ("llama_cpp", theme.orange)];
            let most = pair.iter().map(|(key, _)| number(&test, key)).fold(0.0, f64::max);
            let axis = Axis::linear(0.0, most, (LEFT, WIDTH - 290.0));
            paper.text((LEFT - 10.0, y + BAR), text(&test, "name"), 11.5, theme.ink, Align::Right);
            for (key, color) in pair {
                let rate = number(&test, key);
                paper.bar((LEFT, y + 1.0), (axis.at(rate), y + BAR - 1.0), color);
                let mut note = format!("{} t/s  {}", short(rate), key.replace('_', "."));
                if key == "quintile" {
                    note += &format!("  ({} x", short(number(&test, "ratio")));
                    if let (Some(low), Some(high)) = (test["low"].as_f64(), test["high"].as_f64()) {
                        note += &format!(", {} to {}", short(low), short(high));
                    }
                    note += ")";
                }
                paper.text(
                    (axis.at(rate) + 6.0, y + BAR / 2.0),
                    &note,
                    11.0,
                    theme.ink,
                    Align::Left,
                );
                y += BAR;
            }
            y += 10.0;
        }
        y += 6.0;
    }
    drop(paper);
    Some(svg)
}
