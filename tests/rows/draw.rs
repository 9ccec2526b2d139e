//! Random and adversarial rows, and how results are compared.

use half::f16;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use quintile::formats::Format;
use quintile::isa::Isa;
use quintile::kernels::Kernels;

pub const SCALAR: Kernels = Kernels::new(Isa::SCALAR);

pub fn siblings() -> impl Iterator<Item = Kernels> {
    Isa::available().filter(|&isa| isa != Isa::SCALAR).map(Kernels::new)
}

/// Equal bits; a NaN equals a NaN, whatever its payload. Under Valgrind, which computes `-(a·b) + c` as
/// `-(a·b - c)`, a zero also equals a zero of the other sign.
pub fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || (a == b && std::env::var_os("QUINTILE_UNDER_VALGRIND").is_some())
}

#[track_caller]
pub fn assert_same(got: &[f32], want: &[f32], what: &dyn std::fmt::Display) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!(same(got, want), "{what}: value {i} is {got:e}, not {want:e}");
    }
}

/// Share of the cases that are run, in percent: more for a long run, less where an emulator makes each slow.
fn percent() -> u64 {
    std::env::var("QUINTILE_CASES").map_or(100, |n| n.parse().expect("QUINTILE_CASES is a number"))
}

/// The stride of tests that run through all cases: 1, unless [`percent`] asks for fewer.
pub fn stride() -> usize {
    100usize.div_ceil(percent() as usize)
}

/// Runs a property with `times` generators, or the share of them that [`percent`] asks for.
pub fn check(times: u64, property: fn(&mut Gen)) {
    #[derive(Clone, Debug)]
    struct Seed(u64);
    impl Arbitrary for Seed {
        fn arbitrary(g: &mut Gen) -> Self {
            Seed(u64::arbitrary(g))
        }
    }
    std::thread_local! {
        static PROPERTY: std::cell::Cell<Option<fn(&mut Gen)>> = const { std::cell::Cell::new(None) };
    }
    fn run(seed: Seed) -> bool {
        PROPERTY.get().expect("set below")(&mut Gen::from_size_and_seed(64, seed.0));
        true
    }
    PROPERTY.set(Some(property));
    let times = (times * percent() / 100).max(1);
    QuickCheck::new().tests(times).quickcheck(run as fn(Seed) -> bool);
}

pub fn below(g: &mut Gen, n: usize) -> usize {
    usize::arbitrary(g) % n
}

pub fn bytes(g: &mut Gen, n: usize) -> Vec<u8> {
    (0..n).map(|_| u8::arbitrary(g)).collect()
}

/// Numbers of ordinary size.
pub fn tame(g: &mut Gen, n: usize) -> Vec<f32> {
    (0..n).map(|_| f32::from(i16::arbitrary(g)) / 8192.0).collect()
}

/// Mostly numbers of ordinary size; zeros, subnormals, the largest, infinities, NaN and any bits among them.
pub fn any(g: &mut Gen, n: usize) -> Vec<f32> {
    const CORNERS: [f32; 10] = [
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        f32::MIN_POSITIVE,
        -f32::MIN_POSITIVE,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    // A single NaN hides what the rest of a sum would show: most draws hold none.
    let corners = if u8::arbitrary(g) < 64 { CORNERS.len() } else { 6 };
    let wild = u8::arbitrary(g) < 16;
    (0..n)
        .map(|_| match u8::arbitrary(g) {
            0..32 => CORNERS[below(g, corners)],
            32 if wild => f32::from_bits(u32::arbitrary(g)),
            _ => f32::from(i16::arbitrary(g)) / 8192.0,
        })
        .collect()
}

/// Where a block holds f16 scales and minimums.
fn scale_offsets(format: Format) -> &'static [usize] {
    match format {
        Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q2K => &[80, 82],
        Format::Q3K => &[108],
        Format::Q6K => &[208],
        _ => &[],
    }
}

/// Blocks of any bytes, or of one byte repeated, whose scales are ordinary numbers of either sign, or corners.
pub fn row(g: &mut Gen, format: Format, blocks: usize) -> Vec<u8> {
    const CORNERS: [u16; 11] = [
        0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x7bff,
        0xfbff, // zeros, subnormals, the largest
        0x7c00, 0xfc00, 0x7e00, 0x7c01, // infinities and NaN
    ];
    let size = format.block_bytes();
    let mut row = match u8::arbitrary(g) % 4 {
        0 => vec![[0x00, 0xff, 0x80, 0x7f][below(g, 4)]; blocks * size],
        _ => bytes(g, blocks * size),
    };
    let last = if u8::arbitrary(g) < 64 { CORNERS.len() } else { 5 };
    for block in row.chunks_mut(size) {
        for &at in scale_offsets(format) {
            let scale = match u8::arbitrary(g) {
                0..40 => CORNERS[below(g, last)],
                _ => f16::from_f32(f32::from(i8::arbitrary(g)) / 1024.0).to_bits(),
            };
            block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
        if format == Format::Q8K {
            block[..4].copy_from_slice(&any(g, 1)[0].to_le_bytes());
        }
    }
    row
}
