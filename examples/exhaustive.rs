//! The errors of `exp`, `tanh`, `silu` and `gelu` over all 2^32 inputs, against f64; that rounding to f16 and bf16 has the
//! bits of the crate `half` for all of them, of `Format::quantize` therefore; and that every level of this CPU returns the
//! same bits. Takes some minutes on all cores; with a name, that part alone:
//!
//!     cargo run --release --example exhaustive [narrow|exp|tanh|silu|gelu]
//!
//! An error is given in units of the last place (ulp) of the true value, rounded to f32's grid; where that is
//! subnormal, in units of the smallest number. Where a formula underflows before its true value does, a number of such
//! units says nothing: there the largest difference is given as it is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use half::{bf16, f16};
use quintile::isa::Isa;
use quintile::kernels::Kernels;

/// An operation with one argument: its kernel, its formula in f64, and what is told of its errors.
struct Operation {
    name: &'static str,
    kernel: fn(&Kernels, &mut [f32]),
    formula: fn(f64) -> f64,
    parts: &'static [Part],
}

/// Inputs `from..to` whose largest error is told.
struct Part {
    what: &'static str,
    from: f32,
    to: f32,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Ulp,
    Absolute,
}

const fn part(what: &'static str, from: f32, to: f32, unit: Unit) -> Part {
    Part { what, from, to, unit }
}

const END: f32 = f32::INFINITY;
/// The least number whose exponential is a normal number.
const EXP_NORMAL: f32 = -87.336_54;
/// Below, `exp(-x)` exceeds f32, and silu is -0.
const SILU_LOW: f32 = -88.72;
/// Below, `exp(-2u)` exceeds f32, and gelu is -0.
const GELU_LOW: f32 = -10.06;

const ONES: [f32; CHUNK] = [1.0; CHUNK];

const OPERATIONS: [Operation; 4] = [
    Operation {
        name: "exp",
        kernel: |k, x| k.exp(x),
        formula: f64::exp,
        parts: &[
            part("x >= -87.33654, normal results", EXP_NORMAL, END, Unit::Ulp),
            part("x < -87.33654, subnormal ones and 0", -END, EXP_NORMAL, Unit::Ulp),
        ],
    },
    Operation {
        name: "tanh",
        // That of a soft cap.
        kernel: |k, x| k.soft_cap(x, 1.0),
        formula: f64::tanh,
        parts: &[
            part("|x| < 0.625", -0.625, 0.625, Unit::Ulp),
            part("x >= 0.625", 0.625, END, Unit::Ulp),
            part("x < -0.625", -END, -0.625, Unit::Ulp),
        ],
    },
    Operation {
        name: "silu",
        kernel: |k, x| k.silu_mul(x, &ONES),
        formula: |x| x / (1.0 + (-x).exp()),
        parts: &[
            part("x >= 0", 0.0, END, Unit::Ulp),
            part("-88.72 <= x < 0", SILU_LOW, 0.0, Unit::Ulp),
            part("x < -88.72", -END, SILU_LOW, Unit::Absolute),
        ],
    },
    Operation {
        name: "gelu",
        kernel: |k, x| k.gelu_mul(x, &ONES),
        formula: |x| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            x / (1.0 + (-2.0 * u).exp())
        },
        parts: &[
            part("x >= 0", 0.0, END, Unit::Ulp),
            part("-1 <= x < 0", -1.0, 0.0, Unit::Ulp),
            part("-5 <= x < -1", -5.0, -1.0, Unit::Ulp),
            part("-10.06 <= x < -5", GELU_LOW, -5.0, Unit::Ulp),
            part("-10.06 <= x < -1", GELU_LOW, -1.0, Unit::Absolute),
            part("x < -10.06", -END, GELU_LOW, Unit::Absolute),
        ],
    },
];

const CHUNK: usize = 1 << 12;
const CHUNKS: u64 = (1 << 32) / CHUNK as u64;
/// Parts of an operation, and levels of a CPU, at most.
const MOST: usize = 8;

/// The worst that a thread has seen.
#[derive(Clone, Copy, Default)]
struct Worst {
    /// Of each part: the error, and the bits of its input.
    errors: [(f64, u32); MOST],
    /// NaNs and infinities that should not be, or are not.
    wrong: u64,
    /// Results of each level that are not as those of the best, or as `half`'s.
    different: [u64; MOST],
}

impl Worst {
    fn see(&mut self, parts: &[Part], x: f32, y: f32, truth: f64) {
        if truth.is_nan() || y.is_nan() {
            self.wrong += u64::from(truth.is_nan() != y.is_nan());
            return;
        }
        if y.is_infinite() || truth.abs() > f64::from(f32::MAX) {
            // Where one overflows, the other is infinite or within an ulp of it.
            let largest = f64::from(f32::MAX);
            let near = truth.abs() >= largest * (1.0 - 2e-7) && y.abs() >= f32::MAX;
            self.wrong += u64::from(!near || (truth < 0.0) != (y < 0.0));
            return;
        }
        let error = (f64::from(y) - truth).abs();
        for (worst, part) in self.errors.iter_mut().zip(parts) {
            if !(part.from <= x && x < part.to) {
                continue;
            }
            let error = if part.unit == Unit::Ulp { error / ulp(truth) } else { error };
            if error > worst.0 {
                *worst = (error, x.to_bits());
            }
        }
    }

    fn with(self, other: Worst) -> Worst {
        let larger = |i: usize| {
            let (a, b) = (self.errors[i], other.errors[i]);
            if a.0 >= b.0 { a } else { b }
        };
        Worst {
            errors: std::array::from_fn(larger),
            wrong: self.wrong + other.wrong,
            different: std::array::from_fn(|i| self.different[i] + other.different[i]),
        }
    }
}

/// The distance of f32's numbers at `truth`.
fn ulp(truth: f64) -> f64 {
    let exponent = truth.abs().max(f64::from(f32::MIN_POSITIVE)).to_bits() >> 52;
    f64::from_bits((exponent - 23) << 52)
}

/// Runs `work(first input's bits)` for every chunk, on all cores.
fn all_inputs(work: impl Fn(u64) -> Worst + Sync) -> Worst {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    let claim = || {
        let mut worst = Worst::default();
        loop {
            let chunk = next.fetch_add(1, Relaxed);
            if chunk >= CHUNKS {
                return worst;
            }
            worst = worst.with(work(chunk * CHUNK as u64));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(claim)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        joined.fold(Worst::default(), Worst::with)
    })
}

fn inputs(first: u64) -> Vec<f32> {
    (0..CHUNK as u64).map(|i| f32::from_bits((first + i) as u32)).collect()
}

/// Tells how many results of rounding differ from `half`'s, at each level.
fn narrow() {
    let levels: Vec<Kernels> = Isa::available().map(Kernels::new).collect();
    let worst = all_inputs(|first| {
        let x = inputs(first);
        let mut worst = Worst::default();
        for (different, kernels) in worst.different.iter_mut().zip(&levels) {
            let (mut halves, mut brains) = ([f16::ZERO; CHUNK], [bf16::ZERO; CHUNK]);
            kernels.narrow_f16(&x, &mut halves);
            kernels.narrow_bf16(&x, &mut brains);
            let results = x.iter().zip(halves.iter().zip(&brains));
            let wrong = results.filter(|&(&x, (half, brain))| {
                half.to_bits() != f16::from_f32_const(x).to_bits()
                    || brain.to_bits() != bf16::from_f32_const(x).to_bits()
            });
            *different = wrong.count() as u64;
        }
        worst
    });
    for (kernels, different) in levels.iter().zip(worst.different) {
        println!("narrow: {different} results differ from half's at {}", kernels.isa().level());
    }
}

/// Tells the errors of an operation at the best level, and how many bits of the others differ from it.
fn errors(Operation { name, kernel, formula, parts }: &Operation) {
    let best = Kernels::new(Isa::detect());
    let others: Vec<Kernels> =
        Isa::available().filter(|&isa| isa != best.isa()).map(Kernels::new).collect();
    let worst = all_inputs(|first| {
        let x = inputs(first);
        let mut y = x.clone();
        kernel(&best, &mut y);
        let mut worst = Worst::default();
        for (&x, &y) in x.iter().zip(&y) {
            worst.see(parts, x, y, formula(f64::from(x)));
        }
        for (different, other) in worst.different.iter_mut().zip(&others) {
            let mut z = x.clone();
            kernel(other, &mut z);
            let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            *different = y.iter().zip(&z).filter(|&(&y, &z)| !same(y, z)).count() as u64;
        }
        worst
    });
    for (Part { what, unit, .. }, (error, bits)) in parts.iter().zip(worst.errors) {
        let at = f32::from_bits(bits);
        match unit {
            Unit::Ulp => println!("{name}, {what}: {error:.3} ulp at {at:e}"),
            Unit::Absolute => println!("{name}, {what}: {error:.3e} at {at:e}"),
        }
    }
    println!("{name}: {} wrong NaNs or infinities", worst.wrong);
    for (kernels, different) in others.iter().zip(worst.different) {
        println!("{name}: {different} bits differ at {}", kernels.isa().level());
    }
}

fn main() {
    let name = std::env::args().nth(1);
    let wanted = |part| name.as_ref().is_none_or(|name| name == part);
    println!("kernels: {}", Isa::detect().level());
    if wanted("narrow") {
        narrow();
    }
    OPERATIONS.iter().filter(|operation| wanted(operation.name)).for_each(errors);
}
