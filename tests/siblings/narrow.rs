//! Rounding to f16 and bf16.

use half::{bf16, f16};
use quickcheck::{Arbitrary, Gen};
use quintile::formats::Format;
use quintile::kernels::Kernels;

use crate::draw::*;

/// The bits of both, as a kernel rounds them into the middle of longer slices.
fn narrowed(kernels: &Kernels, x: &[f32], offset: usize) -> [Vec<u16>; 2] {
    const UNTOUCHED: u16 = 0x5a5a;
    let mut halves = vec![f16::from_bits(UNTOUCHED); x.len() + 40];
    let mut brains = vec![bf16::from_bits(UNTOUCHED); x.len() + 40];
    let at = offset..offset + x.len();
    kernels.narrow_f16(x, &mut halves[at.clone()]);
    kernels.narrow_bf16(x, &mut brains[at.clone()]);
    let halves: Vec<u16> = halves.into_iter().map(f16::to_bits).collect();
    let brains: Vec<u16> = brains.into_iter().map(bf16::to_bits).collect();
    [halves, brains].map(|all| {
        let around = all[..at.start].iter().chain(&all[at.end..]);
        assert!(around.copied().all(|bits| bits == UNTOUCHED), "{kernels:?} {at:?}");
        all[at.clone()].to_vec()
    })
}

fn assert_siblings(x: &[f32], offset: usize) {
    let want = narrowed(&SCALAR, x, 0);
    for kernels in siblings() {
        let got = narrowed(&kernels, x, offset);
        for (got, want) in got.iter().zip(&want) {
            for ((x, got), want) in x.iter().zip(got).zip(want) {
                assert_eq!(got, want, "{kernels:?} {x:e} ({:#010x})", x.to_bits());
            }
        }
    }
}

/// Numbers at and beside a result or a tie of either format, and the edges of the exponents.
fn near_a_tie(g: &mut Gen) -> f32 {
    let bits = u32::arbitrary(g);
    let tie = match u8::arbitrary(g) % 3 {
        0 => bits & !0x0fff,
        1 => bits & !0x7fff,
        // A tie among the subnormal numbers of f16.
        _ => ((bits % 0x1_0000) as f32 * 2f32.powi(-25)).to_bits() | bits & 0x8000_0000,
    };
    f32::from_bits(tie.wrapping_add(u32::arbitrary(g) % 3).wrapping_sub(1))
}

#[test]
fn narrow_equals_scalar_for_every_length_and_alignment() {
    let mut g = Gen::from_size_and_seed(64, 1);
    for n in 0..=3 * 32 {
        for offset in 0..32 {
            assert_siblings(&tame(&mut g, n), offset);
        }
    }
}

#[test]
fn narrow_equals_scalar_on_any_bits_and_near_ties_payloads_of_nan_too() {
    check(10_000, |g| {
        let x: Vec<f32> = (0..64)
            .map(|i| match i % 4 {
                0 => f32::from_bits(u32::arbitrary(g)),
                1 => f32::from_bits(u32::arbitrary(g) | 0x7f80_0000),
                _ => near_a_tie(g),
            })
            .collect();
        assert_siblings(&x, 0);
    });
}

/// The value nearest to `x` of a format, found in f64 among all that it has: ties to the even bits.
fn nearest(x: f32, positive: &[f64]) -> u16 {
    let magnitude = f64::from(x.abs());
    let above = positive.partition_point(|&value| value < magnitude);
    let distance = |i: usize| (positive[i] - magnitude).abs();
    let best = match above {
        0 => 0,
        i if i == positive.len() => i - 1,
        i if distance(i - 1) < distance(i) => i - 1,
        i if distance(i - 1) > distance(i) => i,
        i => i - i % 2,
    };
    best as u16 | u16::from(x.is_sign_negative()) << 15
}

#[test]
fn narrow_finds_the_nearest_of_all_values_in_f64() {
    // What would follow the largest number stands for infinity: its bits are those.
    let mut f16s: Vec<f64> = (0..0x7c00).map(|bits| f16::from_bits(bits).to_f64()).collect();
    f16s.push(65536.0);
    let mut bf16s: Vec<f64> = (0..0x7f80).map(|bits| bf16::from_bits(bits).to_f64()).collect();
    bf16s.push(2f64.powi(128));
    let mut g = Gen::from_size_and_seed(64, 2);
    for _ in 0..20_000 {
        let x = if bool::arbitrary(&mut g) { near_a_tie(&mut g) } else { any(&mut g, 1)[0] };
        if !x.is_finite() {
            continue;
        }
        let [half, brain] = narrowed(&SCALAR, &[x], 0);
        assert_eq!(half[0], nearest(x, &f16s), "f16 of {x:e}");
        assert_eq!(brain[0], nearest(x, &bf16s), "bf16 of {x:e}");
    }
}

#[test]
fn narrow_keeps_to_its_table() {
    for (bits, half, brain) in [
        (0x0000_0000, 0x0000, 0x0000),
        (0x8000_0000, 0x8000, 0x8000),
        (0x7f80_0000, 0x7c00, 0x7f80),
        (0xff80_0000, 0xfc00, 0xff80),
        // 65520 and what comes before it; the largest number that is no infinite bf16, and the next.
        (0x477f_f000, 0x7c00, 0x4780),
        (0x477f_efff, 0x7bff, 0x4780),
        (0x7f7f_7fff, 0x7c00, 0x7f7f),
        (0x7f7f_8000, 0x7c00, 0x7f80),
        // 2^-25 is a tie of 0 and the smallest f16; the smallest bf16 is 2^-133.
        (0x3300_0000, 0x0000, 0x3300),
        (0x3300_0001, 0x0001, 0x3300),
        (0xb300_0001, 0x8001, 0xb300),
        (0x0000_8000, 0x0000, 0x0000),
        (0x0000_8001, 0x0000, 0x0001),
        // The largest subnormal f16 rounds up to the smallest normal one from a tie on.
        (0x387f_dfff, 0x03ff, 0x3880),
        (0x387f_e000, 0x0400, 0x3880),
        // NaN: signalling ones become quiet, and what is left of a payload is its upper bits.
        (0x7f80_0001, 0x7e00, 0x7fc0),
        (0xff80_0001, 0xfe00, 0xffc0),
        (0x7fff_ffff, 0x7fff, 0x7fff),
        (0x7fa1_4000, 0x7f0a, 0x7fe1),
    ] {
        let x = [f32::from_bits(bits); 33];
        for kernels in siblings().chain([SCALAR]) {
            let got = narrowed(&kernels, &x, 0);
            assert_eq!(got, [vec![half; 33], vec![brain; 33]], "{kernels:?} {bits:#010x}");
        }
    }
}

#[test]
fn narrow_writes_the_bytes_of_quantised_rows() {
    check(1_000, |g| {
        let n = length(g);
        let x: Vec<f32> = (0..n).map(|_| f32::from_bits(u32::arbitrary(g))).collect();
        let [halves, brains] = narrowed(&SCALAR, &x, 0);
        for (format, bits) in [(Format::F16, halves), (Format::Bf16, brains)] {
            let want: Vec<u8> = bits.into_iter().flat_map(u16::to_le_bytes).collect();
            let mut definition = vec![0; 2 * n];
            format.quantize(&x, &mut definition);
            assert_eq!(definition, want, "{format}");
            for kernels in siblings().chain([SCALAR]) {
                // At an odd address.
                let mut row = vec![0; 2 * n + 2];
                let odd = 1 - row.as_ptr() as usize % 2;
                kernels.quantize_weights(format, &x, &mut row[odd..odd + 2 * n]);
                assert_eq!(row[odd..odd + 2 * n], want, "{kernels:?} {format}");
            }
        }
    });
}

#[test]
#[should_panic(expected = "narrow_f16: lengths of x and out\n  left: 2\n right: 3")]
fn narrow_f16_panics_with_both_lengths() {
    SCALAR.narrow_f16(&[1.0; 2], &mut [f16::ZERO; 3]);
}

#[test]
#[should_panic(expected = "narrow_bf16: lengths of x and out\n  left: 2\n right: 3")]
fn narrow_bf16_panics_with_both_lengths() {
    SCALAR.narrow_bf16(&[1.0; 2], &mut [bf16::ZERO; 3]);
}
