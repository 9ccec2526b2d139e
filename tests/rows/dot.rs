use half::{bf16, f16};
use quickcheck::Gen;
use quintile::isa::Isa;
use quintile::kernels::Kernels;

use crate::draw::{SCALAR, any, below, check, same, siblings, tame};

/// Compares every sibling with `dot_f32` of the values widened before, on slices `offset` elements behind
/// an aligned address.
fn assert_siblings(a: &[f32], b: &[f32], offset: usize) {
    let pad = vec![0.0; offset];
    let b_moved = [&pad, b].concat();
    let b = &b_moved[offset..];
    let f16s: Vec<f16> = pad.iter().chain(a).map(|&a| f16::from_f32(a)).collect();
    let bf16s: Vec<bf16> = pad.iter().chain(a).map(|&a| bf16::from_f32(a)).collect();
    let (f16s, bf16s) = (&f16s[offset..], &bf16s[offset..]);
    let wide_f16: Vec<f32> = f16s.iter().map(|a| a.to_f32()).collect();
    let wide_bf16: Vec<f32> = bf16s.iter().map(|a| a.to_f32()).collect();
    let want = [SCALAR.dot_f32(&wide_f16, b), SCALAR.dot_f32(&wide_bf16, b)];
    for kernels in siblings().chain([SCALAR]) {
        let got = [kernels.dot_f16(f16s, b), kernels.dot_bf16(bf16s, b)];
        for (got, want) in got.into_iter().zip(want) {
            assert!(same(got, want), "{kernels:?} n={}: {got:e}, not {want:e}", a.len());
        }
    }
}

#[test]
fn dots_of_halves_equal_dot_f32_for_every_length_up_to_three_blocks_and_any_alignment() {
    let mut g = Gen::from_size_and_seed(64, 1);
    for n in 0..=3 * 64 {
        let (a, b) = (tame(&mut g, n), tame(&mut g, n));
        for offset in 0..16 {
            assert_siblings(&a, &b, offset);
        }
    }
}

#[test]
fn dots_of_halves_equal_dot_f32_on_adversarial_values() {
    check(10_000, |g| {
        let n = below(g, 400);
        let (a, b) = (any(g, n), any(g, n));
        assert_siblings(&a, &b, 0);
    });
}

#[test]
fn dots_of_halves_keep_a_lane_of_minus_zero_that_has_no_further_element() {
    // All lanes underflow to -0, lane 0 twice: one that takes 0 * 0 besides makes the sum +0.
    let a = vec![-f32::MIN_POSITIVE; 65];
    let bf16s: Vec<bf16> = a.iter().map(|&a| bf16::from_f32(a)).collect();
    let b = vec![1e-30; 65];
    let want = SCALAR.dot_f32(&a, &b);
    assert_eq!(want.to_bits(), (-0.0f32).to_bits());
    for kernels in siblings() {
        assert!(same(kernels.dot_bf16(&bf16s, &b), want), "{kernels:?}");
    }
}

#[test]
#[should_panic(expected = "dot_f16: lengths of a and b\n  left: 2\n right: 3")]
fn dot_f16_panics_with_both_lengths() {
    Kernels::new(Isa::detect()).dot_f16(&[f16::ONE; 2], &[1.0; 3]);
}

#[test]
#[should_panic(expected = "dot_bf16: lengths of a and b\n  left: 2\n right: 3")]
fn dot_bf16_panics_with_both_lengths() {
    Kernels::new(Isa::detect()).dot_bf16(&[bf16::ONE; 2], &[1.0; 3]);
}
