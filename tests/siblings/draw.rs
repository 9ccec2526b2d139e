//! What the tests draw: numbers, rows and lengths; and how often.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::panic::{catch_unwind, resume_unwind};

use quickcheck::{Arbitrary, Gen, QuickCheck};
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;

pub const SCALAR: Kernels = Kernels::new(Isa::SCALAR);

pub fn siblings() -> impl Iterator<Item = Kernels> {
    Isa::available().filter(|&isa| isa != Isa::SCALAR).map(Kernels::new)
}

/// Lengths around every SIMD width, the 64 lanes, and the blocks of 32 and 256.
pub const LENGTHS: [usize; 34] = [
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 56, 63, 64, 65, 95, 96, 127, 128,
    129, 191, 255, 256, 257, 511, 513, 640, 1000,
];

/// Equal bits; a NaN equals a NaN, whatever its payload.
pub fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a == b && zeros_lose_their_sign())
}

/// Whether the tests run under Valgrind, where only memory is looked at: it computes `-(a·b) + c` as
/// `-(a·b - c)`, so the instruction `vfnmadd` gives -0 for +0.
fn zeros_lose_their_sign() -> bool {
    std::env::var_os("QUINTILE_UNDER_VALGRIND").is_some()
}

pub fn all_same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| same(a, b))
}

/// # Panics
/// With the first difference, unless [`all_same`].
#[track_caller]
pub fn assert_all_same(got: &[f32], want: &[f32], label: impl Display) {
    assert_eq!(got.len(), want.len(), "{label}");
    let differing = |&(&got, &want): &(&f32, &f32)| !same(got, want);
    let mut differences = got.iter().zip(want).enumerate().filter(|(_, pair)| differing(pair));
    if let Some((i, (got, want))) = differences.next() {
        let (bits, wanted) = (got.to_bits(), want.to_bits());
        let more = differences.count();
        panic!("[{i}] is {got:e} ({bits:#x}), not {want:e} ({wanted:#x}), {more} more: {label}");
    }
}

/// An f32 of any kind: mostly of ordinary size, sometimes any bits at all.
#[derive(Clone, Copy, Debug)]
struct AnyF32(f32);

const ADVERSARIAL: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    0.5,
    63.5,
    1e-31,
    3.4e-38,
];

impl Arbitrary for AnyF32 {
    fn arbitrary(g: &mut Gen) -> Self {
        AnyF32(match u8::arbitrary(g) {
            0 => f32::from_bits(u32::arbitrary(g)),
            1 => ADVERSARIAL[usize::arbitrary(g) % ADVERSARIAL.len()],
            n if n < 16 => {
                f32::from_bits(u32::arbitrary(g) & 0x807f_ffff | (100 + u32::from(n)) << 23)
            }
            _ => i16::arbitrary(g) as f32 / 8192.0,
        })
    }
}

/// An f32 of ordinary size.
#[derive(Clone, Copy, Debug)]
pub struct Tame(pub f32);

impl Arbitrary for Tame {
    fn arbitrary(g: &mut Gen) -> Self {
        Tame(i16::arbitrary(g) as f32 / 8192.0)
    }
}

pub fn vector<T: Arbitrary>(g: &mut Gen, n: usize) -> Vec<T> {
    (0..n).map(|_| T::arbitrary(g)).collect()
}

pub fn any(g: &mut Gen, n: usize) -> Vec<f32> {
    vector::<AnyF32>(g, n).into_iter().map(|x| x.0).collect()
}

pub fn tame(g: &mut Gen, n: usize) -> Vec<f32> {
    vector::<Tame>(g, n).into_iter().map(|x| x.0).collect()
}

pub fn length(g: &mut Gen) -> usize {
    if bool::arbitrary(g) {
        LENGTHS[usize::arbitrary(g) % LENGTHS.len()]
    } else {
        usize::arbitrary(g) % 700
    }
}

/// A row of a quantised format: any bytes, with scales that are finite in most blocks.
pub fn quantised_row(g: &mut Gen, format: Format, blocks: usize) -> Vec<u8> {
    let mut row: Vec<u8> = vector(g, blocks * format.block_bytes());
    for block in row.chunks_mut(format.block_bytes()) {
        if u8::arbitrary(g) < 8 {
            continue;
        }
        // 2^-10 to 2^-2, put together from its bits: Miri cannot convert to f16.
        let exponent = 5 + u16::arbitrary(g) % 8;
        let scale = (u16::arbitrary(g) & 0x83ff | exponent << 10).to_le_bytes();
        for &at in scale_offsets(format) {
            block[at..at + 2].copy_from_slice(&scale);
        }
        if format == Format::Q8K {
            block[..4].copy_from_slice(&0.01f32.to_le_bytes());
        }
    }
    row
}

pub fn scale_offsets(format: Format) -> &'static [usize] {
    match format {
        Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q2K => &[80, 82],
        Format::Q3K => &[108],
        Format::Q6K => &[208],
        _ => &[],
    }
}

pub fn quantised_formats() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(|f| f.activation().is_some())
}

/// Share of the random cases that are run, in percent: `QUINTILE_CASES=10000` for a long run, less where an
/// emulator makes each case slow.
fn percent() -> u64 {
    std::env::var("QUINTILE_CASES").map_or(100, |n| n.parse().expect("QUINTILE_CASES is a number"))
}

/// A property of what is drawn from a `Gen`, checked that often. A seed that fails is printed: `QUINTILE_SEED` is
/// that seed again, and alone.
pub fn check(times: u64, property: fn(&mut Gen)) {
    /// Wraps the generator so that a property draws what it needs from it.
    #[derive(Clone, Debug)]
    struct Seed(u64);
    impl Arbitrary for Seed {
        fn arbitrary(g: &mut Gen) -> Self {
            // One draw in ten is of a few special numbers: a seed of one draw would often be a seed again.
            Seed((0..4).fold(0, |seed: u64, _| seed.rotate_left(17) ^ u64::arbitrary(g)))
        }
    }
    std::thread_local! {
        static PROPERTY: Cell<Option<fn(&mut Gen)>> = const { Cell::new(None) };
    }
    PROPERTY.set(Some(property));
    fn run(seed: Seed) -> bool {
        let property = PROPERTY.get().expect("set above");
        let fails = || catch_unwind(|| property(&mut Gen::from_size_and_seed(64, seed.0)));
        if let Err(panic) = fails() {
            let again = if fails().is_err() { "fails again" } else { "passes when run again" };
            eprintln!("QUINTILE_SEED={} {again}", seed.0);
            resume_unwind(panic);
        }
        true
    }
    if let Ok(seed) = std::env::var("QUINTILE_SEED") {
        run(Seed(seed.parse().expect("QUINTILE_SEED is a number")));
        return;
    }
    let times = (times * percent() / 100).max(1);
    // By itself, QuickCheck ends after 10,000, whatever it is asked for.
    let mut checks = QuickCheck::new().tests(times).max_tests(times).min_tests_passed(times);
    checks.quickcheck(run as fn(Seed) -> bool);
}

#[test]
fn a_property_is_checked_as_often_as_asked_and_seldom_twice_on_the_same() {
    std::thread_local! {
        static DRAWN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    }
    check(20_000, |g| {
        DRAWN.with_borrow_mut(|drawn| drawn.push(u64::arbitrary(g) ^ u64::arbitrary(g)))
    });
    let mut drawn = DRAWN.take();
    let times = drawn.len();
    assert_eq!(times as u64, (20_000 * percent() / 100).max(1));
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() * 10 >= times * 9, "{} different of {times}", drawn.len());
}

/// A quantised row, at times with all quants and packed scales at an extreme.
pub fn hard_row(g: &mut Gen, format: Format, blocks: usize) -> Vec<u8> {
    let mut row = quantised_row(g, format, blocks);
    if u8::arbitrary(g) < 16 {
        let extreme = if bool::arbitrary(g) { 0xff } else { 0x80 };
        let scale = scale_offsets(format);
        for block in row.chunks_mut(format.block_bytes()) {
            let start = if scale.first() == Some(&0) { scale.len() * 2 } else { 0 };
            let end = scale.first().filter(|&&s| s > 0).copied().unwrap_or(block.len());
            if format != Format::Q8K {
                block[start..end].fill(extreme);
            }
        }
    }
    row
}

/// Activations at the corners of the domain as well as inside it.
pub fn activations(g: &mut Gen, scale: ActScale, k: usize) -> Vec<ActBlock> {
    let x: Vec<f32> = match u8::arbitrary(g) % 4 {
        0 => (0..k).map(|_| if bool::arbitrary(g) { 1.0 } else { -1.0 }).collect(),
        1 => vec![-1.0; k],
        2 => any(g, k),
        _ => tame(g, k),
    };
    let mut out = vec![ActBlock::ZERO; ActBlock::count(k)];
    SCALAR.quantize(scale, &x, &mut out);
    out
}
