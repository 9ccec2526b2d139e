//! Dense products of f32 as `matmul::f32` offers them, by name and size: time, GFLOP/s, allocations, relative speed, and on
//! x86-64 the share of the FMA peak that the same run measures.
//!
//! `cargo bench --bench matmul [-- [--isa LEVEL] [--threads N] [SIZE ..]]`; two threads and 64 256 512 1024 2048 unless said. What is
//! no size filters by name: all is called `matmul`.
//! Rounds take turns; what takes longer than half a second is timed once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::kernels::sgemm::{Line, Start, space_len};
use quintile::matmul::f32::{self, Shape};
use quintile::model::Pool;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator, and a counter.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 9;
/// Seconds of a turn, and of a call that gets no second one.
const TURN: f64 = 0.02;
const LONG: f64 = 0.5;

type Run<'a> = Box<dyn FnMut(&mut [f32]) + 'a>;

/// One way to multiply.
struct Variant<'a> {
    name: &'static str,
    threads: usize,
    run: Run<'a>,
    /// Seconds a call, of each round.
    times: Vec<f64>,
    allocations: usize,
}

fn main() {
    let (mut isa, mut threads, mut sizes) = (Isa::detect(), 2, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &arg[..] {
            "--isa" => {
                let level = args.next().expect("--isa LEVEL").parse().expect("a level's name");
                isa = Isa::force(level).expect("a level of this CPU");
            }
            "--threads" => threads = args.next().expect("--threads N").parse().expect("a number"),
            // Of cargo, and of criterion.
            option if option.starts_with('-') => {}
            filter => match filter.parse() {
                Ok(size) => sizes.push(size),
                Err(_) if "matmul".contains(filter) => {}
                Err(_) => return,
            },
        }
    }
    if sizes.is_empty() {
        sizes = vec![64, 256, 512, 1024, 2048];
    }
    let kernels = Kernels::new(isa);
    let pool = Pool::new(NonZeroUsize::new(threads).expect("a thread")).expect("threads");
    println!("{}, {threads} threads, {ROUNDS} rounds\n", isa.level());
    println!(
        "| size | function      |     median, us | GFLOP/s | allocations | to naive | of FMA peak |"
    );
    println!(
        "|-----:|---------------|---------------:|--------:|------------:|---------:|------------:|"
    );
    for n in sizes {
        table(&kernels, &pool, n);
    }
}

/// Small numbers of both signs, never subnormal: denormal operands would be timed otherwise.
fn floats(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i + seed) * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

fn table(kernels: &Kernels, pool: &Pool, n: usize) {
    let shape = Shape { m: n, k: n, n };
    let (a, b) = (floats(n * n, 0), floats(n * n, 400));
    let (a, b) = (&a[..], &b[..]);
    let mut space = vec![Line::ZERO; space_len(n, n, n)];
    let mut shares = vec![Line::ZERO; f32::parallel_space_len(shape, pool.threads())];
    let variant =
        |name, threads, run| Variant { name, threads, run, times: vec![], allocations: 0 };
    let mut variants = vec![
        variant(
            "naive",
            1,
            Box::new(|c: &mut [f32]| f32::naive(kernels, shape, a, b, c)) as Run<'_>,
        ),
        variant("blocked", 1, Box::new(|c| f32::blocked(kernels, shape, a, b, c))),
        variant(
            "parallel",
            pool.threads(),
            Box::new(|c| f32::parallel(kernels, pool, shape, a, b, c)),
        ),
        variant(
            "simd",
            1,
            Box::new(|c| {
                f32::simd(kernels, shape, a, b, c, Start::Zero, None, &mut space);
            }),
        ),
        variant(
            "simd_parallel",
            pool.threads(),
            Box::new(|c| {
                f32::simd_parallel(kernels, pool, shape, a, b, c, Start::Zero, None, &mut shares);
            }),
        ),
    ];
    let mut c = vec![f32::NAN; n * n];
    let mut first: Option<Vec<f32>> = None;
    let mut calls = Vec::new();
    for v in &mut variants {
        c.fill(f32::NAN);
        let mut counted = |v: &mut Variant<'_>| {
            let before = ALLOCATIONS.load(Relaxed);
            let time = seconds(1, || (v.run)(black_box(&mut c)));
            v.allocations = ALLOCATIONS.load(Relaxed) - before;
            time
        };
        // What is long needs no call before it, to warm up.
        let mut time = counted(v);
        if time <= LONG {
            time = counted(v);
        }
        assert_eq!(first.get_or_insert_with(|| c.clone()), &c, "{} of {n}", v.name);
        calls.push(if time > LONG { 0 } else { (TURN / time).ceil() as usize });
        if time > LONG {
            v.times.push(time);
        }
    }
    let mut peaks = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        peaks[0].extend(fma_peak(None));
        peaks[1].extend(fma_peak(Some(pool)));
        for (v, &calls) in variants.iter_mut().zip(&calls).filter(|(_, calls)| **calls > 0) {
            (v.run)(black_box(&mut c));
            v.times.push(seconds(calls, || (v.run)(black_box(&mut c))));
        }
    }
    let naive = median(&mut variants[0].times);
    for v in &mut variants {
        let time = median(&mut v.times);
        let rate = 2.0 * (n as f64).powi(3) / time / 1e9;
        let peak = &mut peaks[usize::from(v.threads > 1)];
        let share = if peak.is_empty() {
            "-".into()
        } else {
            format!("{:.1}%", 100.0 * rate / median(peak))
        };
        println!(
            "| {n:4} | {:13} | {:14.1} | {rate:7.2} | {:11} | {:8.1} | {share:>11} |",
            v.name,
            time * 1e6,
            v.allocations,
            naive / time
        );
    }
}

/// Seconds a call.
fn seconds(calls: usize, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| run());
    start.elapsed().as_secs_f64() / calls as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// GFLOP/s of FMA at 256 bits, on one thread or on all of a pool together.
#[cfg(target_arch = "x86_64")]
fn fma_peak(pool: Option<&Pool>) -> Option<f64> {
    const STEPS: usize = 200_000;
    /// Twelve independent chains: two ports of latency 5 need ten.
    fn chains(_: usize) {
        // SAFETY: the CPU has FMA, as the caller sees; only registers that are named are written.
        unsafe {
            std::arch::asm!(
                "vzeroall",
                ".p2align 5",
                "2:",
                ".irp acc, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
                "vfmadd231ps ymm\\acc, ymm14, ymm15",
                ".endr",
                "dec {steps}",
                "jnz 2b",
                "vzeroupper",
                steps = inout(reg) STEPS => _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nostack, nomem),
            );
        }
    }
    Isa::force(quintile::isa::Level::Avx2).ok()?;
    let threads = pool.map_or(1, Pool::threads);
    // As many tasks as threads could run both on one of them: more, and short ones, level out.
    let tasks = 8 * threads;
    let time = seconds(1, || match pool {
        None => (0..tasks).for_each(chains),
        Some(pool) => pool.run(tasks, chains),
    });
    Some((tasks * STEPS * 12 * 16) as f64 / time / 1e9)
}

#[cfg(not(target_arch = "x86_64"))]
fn fma_peak(_: Option<&Pool>) -> Option<f64> {
    None
}
