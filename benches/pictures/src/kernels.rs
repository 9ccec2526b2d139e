//! Bars: cycles for 32 values of each kernel, by level, beside what the limits of the machine leave.

use serde_json::Value as Json;

use crate::data::{number, origin, result, text};
use crate::paper::{Align, Axis, Paper, Theme, short};

/// Title, kernel, what of, and levels that run a lower one's function, which are no bars of their own.
const KERNELS: [(&str, &str, &str, &[&str]); 12] = [
    ("f32 dot", "dot_f32", "L1", &[]),
    ("Q4_0 row dot", "qdot_q4_0", "L1", &[]),
    ("Q8_0 row dot", "qdot_q8_0", "L1", &[]),
    ("Q4_K row dot", "qdot_q4_k", "L1", &[]),
    ("Q5_K row dot", "qdot_q5_k", "L1", &[]),
    ("Q6_K row dot", "qdot_q6_k", "L1", &[]),
    ("Q5_K dot with f32", "qdot_exact", "q5_k", &["generic"]),
    ("Q5_K to f32", "dequantize", "q5_k", &["generic", "avx2-asm"]),
    ("quantise activations", "quantize", "per 256", &["generic", "avx2-asm"]),
    ("attention, f16", "attention", "f16", &["avx2-asm"]),
    ("Q5_K product, 512 columns", "gemm", "q5_k", &[]),
    ("f32 product, 64 columns", "sgemm", "f32", &["avx2-asm"]),
];

const BAR: f64 = 13.0;
const LEFT: f64 = 196.0;
const WIDTH: f64 = 860.0;

pub fn draw(kernels: &Json, theme: Theme) -> String {
    let chosen = text(kernels, "isa");
    let mut levels = vec![("scalar", theme.grey), ("generic", theme.orange), ("avx2", theme.green)];
    levels.retain(|(level, _)| *level != chosen);
    levels.push((chosen, theme.blue));
    let groups: Vec<_> = KERNELS
        .iter()
        .filter_map(|&(title, kernel, of, same)| {
            let own = levels.iter().filter(|(level, _)| !same.contains(level));
            let bars = own.filter_map(|&(level, color)| {
                Some((level, color, number(result(kernels, kernel, level, of)?, "cycles_per_32")))
            });
            let bars: Vec<_> = bars.collect();
            let row = result(kernels, kernel, chosen, of)?;
            let least = number(row, "cycles_per_32") * number(row, "of_limit");
            Some((title, bars, least))
        })
        .collect();
    let height: f64 = groups.iter().map(|(_, bars, _)| BAR * bars.len() as f64 + 12.0).sum();
    let all =
        || groups.iter().flat_map(|(_, bars, least)| bars.iter().map(|b| b.2).chain([*least]));
    let low = all().filter(|x| x.is_finite()).fold(f64::MAX, f64::min) / 1.5;
    let axis = Axis::log(low, all().fold(0.0, f64::max), (LEFT, WIDTH - 130.0));

    let mut svg = String::new();
    let paper = Paper::new(&mut svg, (WIDTH as u32, (height + 98.0) as u32), theme);
    paper.title(
        "Cycles for 32 values or multiply-adds (logarithmic; shorter is faster)",
        &format!(
            "{}, one core, operands in L1 where they fit; every level returns the same bits",
            origin(kernels)
        ),
    );
    let mut y = 64.0;
    for (title, bars, least) in &groups {
        let end = y + BAR * bars.len() as f64;
        paper.text((LEFT - 10.0, (y + end) / 2.0), title, 12.5, theme.ink, Align::Right);
        for &(level, color, cycles) in bars {
            paper.bar((LEFT, y + 1.0), (axis.at(cycles), y + BAR - 1.0), color);
            let note = format!("{}  {level}", short(cycles));
            paper.text((axis.at(cycles) + 6.0, y + BAR / 2.0), &note, 10.5, theme.ink, Align::Left);
            y += BAR;
        }
        if least.is_finite() {
            let x = axis.at(*least);
            paper.line(&[(x, end - BAR * bars.len() as f64 - 2.0), (x, end + 2.0)], theme.ink, 2);
        }
        y += 12.0;
    }
    paper.line(&[(LEFT, y + 6.0), (LEFT, y + 20.0)], theme.ink, 2);
    let note = "what the machine's limits leave: loads and multipliers, as measured; of what writes, filling the same memory";
    paper.text((LEFT + 10.0, y + 13.0), note, 10.5, theme.faint, Align::Left);
    drop(paper);
    svg
}
