//! What is timed, how, and what is printed.

use std::hint::black_box;
use std::time::Instant;

use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::{Isa, Level};
use quintile::kernels::Kernels;

use super::{dot, q5_k};

const VALUES: usize = 4096;
const ROUNDS: usize = 400;
const CALLS: u32 = 200;

/// A kernel, and whether it rounds by the contract.
struct Variant<'a> {
    name: String,
    ordered: bool,
    run: Box<dyn Fn() -> f32 + 'a>,
}

impl<'a> Variant<'a> {
    fn ordered(name: impl Into<String>, run: impl Fn() -> f32 + 'a) -> Self {
        Variant { name: name.into(), ordered: true, run: Box::new(run) }
    }
    fn free(name: impl Into<String>, run: impl Fn() -> f32 + 'a) -> Self {
        Variant { name: name.into(), ordered: false, run: Box::new(run) }
    }
}

/// Our levels that have hand-written kernels.
fn levels() -> impl Iterator<Item = Kernels> {
    let by_hand = |isa: &Isa| matches!(isa.level(), Level::Avx2 | Level::Avx2Asm);
    Isa::available().filter(by_hand).map(Kernels::new)
}

fn floats(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i + seed) * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

pub fn dot_f32(measure: bool) {
    let (a, b) = (floats(VALUES, 0), floats(VALUES, 400));
    let (a, b) = (&a[..], &b[..]);
    let mut variants = Vec::new();
    for kernels in levels() {
        let name = format!("quintile {}", kernels.isa().level());
        variants.push(Variant::ordered(name, move || kernels.dot_f32(black_box(a), black_box(b))));
    }
    macro_rules! free {
        ($($n:literal)*) => {$(
            // SAFETY: `main` checked the features.
            let run = move || unsafe { dot::free::<$n>(black_box(a), black_box(b)) };
            variants.push(Variant::free(concat!("free, ", $n, " x 8 lanes"), run));
        )*};
    }
    free!(4 6 8 10 12 14);
    let want = Kernels::new(Isa::SCALAR).dot_f32(a, b);
    let magnitudes = a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum();
    report(&format!("f32 dot, {VALUES} values"), &variants, want, magnitudes, measure);
}

/// Of rows of `values`: what a call costs by itself, lengths checked and a format looked up, is a part of our time alone, the
/// smaller the longer they are.
pub fn q5_k(values: usize, measure: bool) {
    let (weights, activations) = (floats(values, 17), floats(values, 600));
    let scalar = Kernels::new(Isa::SCALAR);
    let mut bytes = vec![0; values / 256 * q5_k::Block::BYTES];
    scalar.quantize_weights(Format::Q5K, &weights, &mut bytes);
    let mut x = vec![ActBlock::ZERO; values / 256];
    scalar.quantize(ActScale::Per256, &activations, &mut x);
    let (bytes, x) = (&bytes[..], &x[..]);
    let row = q5_k::Block::row(bytes);
    let mut variants = Vec::new();
    for kernels in levels() {
        let name = format!("quintile {}", kernels.isa().level());
        let run = move || kernels.qdot(Format::Q5K, black_box(bytes), black_box(x));
        variants.push(Variant::ordered(name, run));
    }
    macro_rules! pair {
        ($($bits:ident $scales:ident $how:literal)*) => {$(
            // SAFETY: `main` checked the features.
            variants.push(Variant::free(concat!("free, ", $how), move || unsafe {
                q5_k::free::<{ q5_k::$bits }, { q5_k::$scales }>(black_box(row), black_box(x))
            }));
            // SAFETY: as above.
            variants.push(Variant::ordered(concat!("ordered, ", $how), move || unsafe {
                q5_k::ordered::<{ q5_k::$bits }, { q5_k::$scales }>(black_box(row), black_box(x))
            }));
        )*};
    }
    pair! {
        SHIFTS SHUFFLES "shifts, shuffles"
        SHIFTS BROADCASTS "shifts, broadcasts"
        TABLES SHUFFLES "tables, shuffles"
        TABLES BROADCASTS "tables, broadcasts"
    }
    #[cfg(not(any(windows, target_vendor = "apple")))]
    {
        // SAFETY: as above.
        let run = move || unsafe { q5_k::assembly::free(black_box(row), black_box(x)) };
        variants.push(Variant::free("free, assembly", run));
        // SAFETY: as above.
        let run = move || unsafe { q5_k::assembly::ordered(black_box(row), black_box(x)) };
        variants.push(Variant::ordered("ordered, assembly", run));
    }
    let want = scalar.qdot(Format::Q5K, bytes, x);
    let magnitudes: f32 = weights.iter().zip(&activations).map(|(a, b)| (a * b).abs()).sum();
    // The longer a chain, the more often it rounds.
    let magnitudes = magnitudes * (values / VALUES) as f32;
    report(&format!("Q5_K row dot, {values} values"), &variants, want, magnitudes, measure);
}

/// Checks all variants against the definition's result, and times them in turns.
fn report(title: &str, variants: &[Variant], want: f32, magnitudes: f32, measure: bool) {
    for Variant { name, ordered, run } in variants {
        let got = run();
        if *ordered {
            assert_eq!(got.to_bits(), want.to_bits(), "{title}, {name}: {got}, {want}");
        } else {
            let bound = f32::EPSILON * magnitudes;
            assert!((got - want).abs() <= bound, "{title}, {name}: {got}, {want} ± {bound}");
        }
    }
    if !measure {
        return;
    }
    let time = |variant: &Variant| {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box((variant.run)());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    let mut times = vec![Vec::with_capacity(ROUNDS); variants.len()];
    // Each round is begun by another: a fixed order could keep step with the scheduler.
    for round in 0..ROUNDS {
        for turn in 0..variants.len() {
            let v = (round + turn) % variants.len();
            times[v].push(time(&variants[v]));
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let free = variants.iter().zip(&times).filter(|(v, _)| !v.ordered);
    let fastest = free.map(|(_, times)| times[0]).fold(f64::INFINITY, f64::min);
    println!("\n{title:<38}{:>12}{:>12}{:>22}", "min, ns", "median, ns", "to the fastest free");
    for (variant, times) in variants.iter().zip(&times) {
        let (min, median) = (times[0], times[ROUNDS / 2]);
        println!("{:<38}{min:>12.1}{median:>12.1}{:>22.3}", variant.name, min / fastest);
    }
}
