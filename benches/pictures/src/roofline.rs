//! The roofline: multiply-adds a second over multiply-adds for a byte, under what memory and multipliers allow.

use plotters::style::RGBColor;
use serde_json::Value as Json;

use crate::data::{limit, list, number, origin, result, text};
use crate::paper::{Align, Axis, Paper, Theme, short, width};

const SIZE: (f64, f64) = (860.0, 580.0);
const LEFT: f64 = 64.0;
const RIGHT: f64 = SIZE.0 - 24.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = SIZE.1 - 56.0;
/// Multiply-adds for a byte.
const X: (f64, f64) = (0.06, 1400.0);

struct Point {
    label: String,
    /// Multiply-adds for a byte, and 10^9 of them a second.
    at: (f64, f64),
    ours: bool,
}

/// Ours: label, kernel, what of.
const OURS: [(&str, &str, &str); 10] = [
    ("f32 dot, L1", "dot_f32", "L1"),
    ("f32 dot, DRAM", "dot_f32", "DRAM"),
    ("Q4_K row dot, L1", "qdot_q4_k", "L1"),
    ("Q8_0 row dot, L1", "qdot_q8_0", "L1"),
    ("Q5_K GEMV, DRAM", "gemv", "q5_k, DRAM"),
    ("Q8_0 GEMV, DRAM", "gemv", "q8_0, DRAM"),
    ("Q5_K, 8 columns", "gemm_packed", "q5_k, 8 columns"),
    ("Q5_K, 64 columns", "gemm_packed", "q5_k, 64 columns"),
    ("Q5_K, 512 columns", "gemm_packed", "q5_k, 512 columns"),
    ("attention, f16, L2", "attention", "f16, L2"),
];

fn points(kernels: &Json, peers: Option<&Json>, sgemm: Option<&Json>) -> Vec<Point> {
    let isa = text(kernels, "isa");
    let mut points = Vec::new();
    for (label, kernel, of) in OURS {
        let Some(row) = result(kernels, kernel, isa, of) else { continue };
        let (products, bytes) = (number(row, "elements"), number(row, "bytes"));
        if bytes.is_finite() {
            let at = (products / bytes, number(row, "gmac_per_s"));
            points.push(Point { label: label.into(), at, ours: true });
        }
    }
    for row in peers.map_or(&[][..], |peers| list(peers, "results")) {
        let name = text(row, "kernel");
        let wanted = match text(row, "of") {
            "f32 dot" => name == "OpenBLAS",
            "Q4_K row dot" | "Q8_0 row dot" => name == "candle",
            _ => false,
        };
        if wanted {
            let at = (
                number(row, "products") / number(row, "bytes"),
                number(row, "products") / number(row, "ns_median"),
            );
            points.push(Point {
                label: format!("{name}, {}, L1", text(row, "of")),
                at,
                ours: false,
            });
        }
    }
    for row in sgemm.map_or(&[][..], |sgemm| list(sgemm, "results")) {
        let (name, n) = (text(row, "kernel"), number(row, "size"));
        let ours = name == "quintile avx2";
        if n == 1024.0 && (ours || !name.starts_with("quintile")) {
            // Three matrices of f32, each once.
            let at = (n / 12.0, number(row, "gflops_median") / 2.0);
            points.push(Point {
                label: format!("{}, f32 of 1024", name.replace(" avx2", "")),
                at,
                ours,
            });
        }
    }
    points
}

type Box = (f64, f64, f64, f64);

fn meet(a: Box, b: Box) -> bool {
    a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3
}

/// Where a label of a point has room: beside it, or further off, with the line that leads there.
fn place(label: &str, (x, y): (f64, f64), taken: &[Box]) -> (f64, f64) {
    const SIZE: f64 = 10.5;
    let wide = width(label, SIZE);
    for far in [9.0, 16.0, 26.0, 38.0, 52.0, 68.0, 86.0, 106.0, 128.0] {
        for (dx, dy) in [
            (1.0, 0.0),
            (1.0, 1.0),
            (1.0, -1.0),
            (-1.0, 0.0),
            (-1.0, 1.0),
            (-1.0, -1.0),
            (0.3, 1.4),
            (0.3, -1.4),
        ] {
            let left = x + dx * far - if dx < 0.0 { wide } else { 0.0 };
            let middle = y + dy * far;
            let area = (left - 2.0, middle - 7.0, left + wide + 2.0, middle + 7.0);
            let inside = area.0 > LEFT && area.2 < RIGHT && area.1 > TOP && area.3 < BOTTOM;
            if inside && !taken.iter().any(|&other| meet(area, other)) {
                return (left, middle);
            }
        }
    }
    (x + 9.0, y)
}

pub fn draw(
    kernels: &Json,
    peers: Option<&Json>,
    sgemm: Option<&Json>,
    theme: Theme,
) -> Option<String> {
    let fma = limit(kernels, "compute", "fma_f32")? / 2.0;
    let bytes = limit(kernels, "compute", "mul_u8_i8")?;
    let (x, y) = (Axis::log(X.0, X.1, (LEFT, RIGHT)), Axis::log(0.8, 1.8 * bytes, (BOTTOM, TOP)));
    let mut svg = String::new();
    let paper = Paper::new(&mut svg, (SIZE.0 as u32, SIZE.1 as u32), theme);
    paper.title(
        "Roofline: what memory and multipliers allow, and what is reached",
        &format!(
            "{}, one core; each dot a kernel, by bytes that it must read once",
            origin(kernels)
        ),
    );
    for (i, (color, what)) in
        [(theme.blue, "quintile"), (theme.orange, "others, held to AVX2")].into_iter().enumerate()
    {
        let at = (24.0 + 90.0 * i as f64, 64.0);
        if i == 0 {
            paper.dot(at, 5, color)
        } else {
            paper.square(at, 4.0, color)
        }
        paper.text((at.0 + 10.0, at.1), what, 11.0, theme.ink, Align::Left);
    }
    for tick in [0.1, 1.0, 10.0, 100.0, 1000.0] {
        paper.line(&[(x.at(tick), TOP), (x.at(tick), BOTTOM)], theme.grid, 1);
        paper.text(
            (x.at(tick), BOTTOM + 14.0),
            &format!("{tick}"),
            11.0,
            theme.faint,
            Align::Middle,
        );
    }
    for tick in [1.0, 10.0, 100.0] {
        paper.line(&[(LEFT, y.at(tick)), (RIGHT, y.at(tick))], theme.grid, 1);
        paper.text((LEFT - 8.0, y.at(tick)), &format!("{tick}"), 11.0, theme.faint, Align::Right);
    }
    paper.text(
        ((LEFT + RIGHT) / 2.0, BOTTOM + 36.0),
        "multiply-adds for a byte read",
        12.0,
        theme.ink,
        Align::Middle,
    );
    paper.text((16.0, TOP - 2.0), "GMAC/s", 12.0, theme.ink, Align::Left);

    let mut taken: Vec<Box> = Vec::new();
    let mut roof = |peak: f64, label: String, color: RGBColor, from: f64| {
        paper.line(&[(x.at(from), y.at(peak)), (RIGHT, y.at(peak))], color, 2);
        let at = (RIGHT - 4.0, y.at(peak) - 9.0);
        paper.text(at, &label, 10.5, color, Align::Right);
        let wide = width(&label, 10.5);
        taken.push((at.0 - wide, at.1 - 7.0, at.0, at.1 + 11.0));
    };
    let fastest = limit(kernels, "read", "L1").unwrap_or(bytes);
    roof(bytes, format!("products of bytes, {}", short(bytes)), theme.green, bytes / fastest);
    roof(fma, format!("FMA of f32, {}", short(fma)), theme.purple, fma / fastest);
    for level in ["L1", "L2", "L3", "DRAM"] {
        let Some(rate) = limit(kernels, "read", level) else { continue };
        let start = X.0.max(0.8 / rate);
        paper.line(
            &[(x.at(start), y.at(start * rate)), (x.at(bytes / rate), y.at(bytes))],
            theme.grey,
            1,
        );
    }
    // Above where each meets the highest roof; in two rows, since caches are of similar speed.
    for (level, row, align) in [
        ("L1", 0.0, Align::Right),
        ("L2", 1.0, Align::Right),
        ("L3", 0.0, Align::Left),
        ("DRAM", 0.0, Align::Left),
    ] {
        let Some(rate) = limit(kernels, "read", level) else { continue };
        let label = format!("{level}, {} GB/s", short(rate));
        let at = (x.at(bytes / rate), y.at(bytes) - 10.0 - 14.0 * row);
        paper.text(at, &label, 10.5, theme.faint, align);
        let left = if let Align::Right = align { at.0 - width(&label, 10.5) } else { at.0 };
        taken.push((left, at.1 - 7.0, left + width(&label, 10.5), at.1 + 7.0));
    }

    let points = points(kernels, peers, sgemm);
    let pixels: Vec<_> = points.iter().map(|p| (x.at(p.at.0), y.at(p.at.1))).collect();
    taken.extend(pixels.iter().map(|&(x, y)| (x - 6.0, y - 6.0, x + 6.0, y + 6.0)));
    for (point, &at) in points.iter().zip(&pixels) {
        let (left, middle) = place(&point.label, at, &taken);
        let wide = width(&point.label, 10.5);
        taken.push((left - 2.0, middle - 7.0, left + wide + 2.0, middle + 7.0));
        let end = if left > at.0 {
            left - 2.0
        } else if left + wide < at.0 {
            left + wide + 2.0
        } else {
            at.0
        };
        if (end - at.0).hypot(middle - at.1) > 14.0 {
            paper.line(&[at, (end, middle)], theme.grey, 1);
        }
        let color = if point.ours { theme.blue } else { theme.orange };
        if point.ours {
            paper.dot(at, 5, color)
        } else {
            paper.square(at, 4.0, color)
        }
        paper.text((left, middle), &point.label, 10.5, theme.ink, Align::Left);
    }
    drop(paper);
    Some(svg)
}
