//! The errors of `exp`, `silu` and `gelu` over all 2^32 inputs, against f64; that rounding to f16 and bf16 has the
//! bits of the crate `half` for all of them, of `Format::quantize` therefore; and that every level of this CPU returns the
//! same bits. Takes some minutes; with a name, that part alone:
//!
//!     cargo run --release --example exhaustive [narrow|exp|silu|gelu]
//!
//! An error is given in units of the last place (ulp) of the true value, rounded to f32's grid; where that is
//! subnormal, in units of the smallest number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use half::{bf16, f16};
use quintile::isa::Isa;
use quintile::kernels::Kernels;

/// An operation with one argument: its kernel, and its formula in f64.
struct Operation {
    name: &'static str,
    kernel: fn(&Kernels, &mut [f32]),
    formula: fn(f64) -> f64,
}

const ONES: [f32; CHUNK] = [1.0; CHUNK];

const OPERATIONS: [Operation; 3] = [
    Operation { name: "exp", kernel: |k, x| k.exp(x), formula: f64::exp },
    Operation {
        name: "silu",
        kernel: |k, x| k.silu_mul(x, &ONES),
        formula: |x| x / (1.0 + (-x).exp()),
    },
    Operation {
        name: "gelu",
        kernel: |k, x| k.gelu_mul(x, &ONES),
        formula: |x| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            x / (1.0 + (-2.0 * u).exp())
        },
    },
];

const CHUNK: usize = 1 << 12;
const CHUNKS: u64 = (1 << 32) / CHUNK as u64;

/// The worst that a thread has seen: error, and the bits of its input.
#[derive(Clone, Copy, Default)]
struct Worst {
    normal: (f64, u32),
    subnormal: (f64, u32),
    wrong: u64,
}

impl Worst {
    fn see(&mut self, x: f32, y: f32, truth: f64) {
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
        let place = truth.abs().max(f64::from(f32::MIN_POSITIVE));
        let ulp = f64::powi(2.0, place.log2().floor() as i32 - 23);
        let error = (f64::from(y) - truth).abs() / ulp;
        let worst = match truth.abs() < f64::from(f32::MIN_POSITIVE) {
            true => &mut self.subnormal,
            false => &mut self.normal,
        };
        if error > worst.0 {
            *worst = (error, x.to_bits());
        }
    }

    fn with(self, other: Worst) -> Worst {
        let larger = |a: (f64, u32), b: (f64, u32)| if a.0 >= b.0 { a } else { b };
        Worst {
            normal: larger(self.normal, other.normal),
            subnormal: larger(self.subnormal, other.subnormal),
            wrong: self.wrong + other.wrong,
        }
    }
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
    for isa in Isa::available() {
        let kernels = Kernels::new(isa);
        let different = all_inputs(|first| {
            let x = inputs(first);
            let (mut halves, mut brains) = ([f16::ZERO; CHUNK], [bf16::ZERO; CHUNK]);
            kernels.narrow_f16(&x, &mut halves);
            kernels.narrow_bf16(&x, &mut brains);
            let results = x.iter().zip(halves.iter().zip(&brains));
            let wrong = results.filter(|&(&x, (half, brain))| {
                half.to_bits() != f16::from_f32_const(x).to_bits()
                    || brain.to_bits() != bf16::from_f32_const(x).to_bits()
            });
            Worst { wrong: wrong.count() as u64, ..Worst::default() }
        });
        println!("narrow: {} results differ from half's at {}", different.wrong, isa.level());
    }
}

fn main() {
    let part = std::env::args().nth(1);
    let wanted = |name| part.as_ref().is_none_or(|part| part == name);
    if wanted("narrow") {
        narrow();
    }
    let best = Isa::detect();
    println!("kernels: {}", best.level());
    let kernels = Kernels::new(best);
    for Operation { name, kernel, formula } in OPERATIONS.into_iter().filter(|o| wanted(o.name)) {
        let worst = all_inputs(|first| {
            let x = inputs(first);
            let mut y = x.clone();
            kernel(&kernels, &mut y);
            let mut worst = Worst::default();
            for (&x, &y) in x.iter().zip(&y) {
                worst.see(x, y, formula(f64::from(x)));
            }
            worst
        });
        let at =
            |(error, bits): (f64, u32)| format!("{error:.3} ulp at {:e}", f32::from_bits(bits));
        println!(
            "{name}: normal results {}, subnormal results {}, {} wrong NaNs or infinities",
            at(worst.normal),
            at(worst.subnormal),
            worst.wrong
        );
        for isa in Isa::available().filter(|&isa| isa != best) {
            let other = Kernels::new(isa);
            let different = all_inputs(|first| {
                let (mut a, mut b) = (inputs(first), inputs(first));
                kernel(&kernels, &mut a);
                kernel(&other, &mut b);
                let same =
                    |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                let wrong = a.iter().zip(&b).filter(|&(&a, &b)| !same(a, b)).count() as u64;
                Worst { wrong, ..Worst::default() }
            });
            println!("{name}: {} bits differ at {}", different.wrong, isa.level());
        }
    }
}
