//! The dot of f32, and chains.

use half::f16;
use quickcheck::{Arbitrary, Gen};
use quintile::formats::Format;

use crate::draw::*;

#[test]
fn dot_f32_equals_scalar_for_every_length_up_to_three_blocks_and_any_alignment() {
    let mut g = Gen::from_size_and_seed(64, 1);
    for n in 0..=3 * 64 {
        for offset in 0..16 {
            let (a, b) = (tame(&mut g, n + offset), tame(&mut g, n + offset));
            let (a, b) = (&a[offset..], &b[offset..]);
            for kernels in siblings() {
                let (got, want) = (kernels.dot_f32(a, b), SCALAR.dot_f32(a, b));
                assert!(same(got, want), "{kernels:?} n={n}: {got:e}, not {want:e}");
            }
        }
    }
}

#[test]
fn dot_f32_equals_scalar_for_long_slices_that_begin_anywhere_in_a_line() {
    let mut g = Gen::from_size_and_seed(64, 2);
    for n in [511, 512, 513, 517, 575, 576, 583, 640, 703, 1000] {
        let (a, b) = (tame(&mut g, n + 16), tame(&mut g, n + 16));
        for (i, j) in (0..16).flat_map(|i| (0..16).map(move |j| (i, j))) {
            let (a, b) = (&a[i..][..n], &b[j..][..n]);
            let want = SCALAR.dot_f32(a, b);
            for kernels in siblings() {
                let got = kernels.dot_f32(a, b);
                assert!(same(got, want), "{kernels:?} n={n}, {i}, {j}: {got:e}, not {want:e}");
            }
        }
    }
}

#[test]
fn dot_f32_equals_scalar_on_adversarial_values() {
    check(10_000, |g| {
        let n = length(g);
        let (a, b) = (any(g, n), any(g, n));
        for kernels in siblings() {
            let (got, want) = (kernels.dot_f32(&a, &b), SCALAR.dot_f32(&a, &b));
            assert!(same(got, want), "{kernels:?} n={n}: {got:e}, not {want:e}");
        }
    });
}

#[test]
fn dot_f32_keeps_a_lane_of_minus_zero_that_has_no_further_element() {
    // All lanes underflow to -0, lane 0 twice: one that takes 0 * 0 besides makes the sum +0.
    let (a, b) = ([-f32::MIN_POSITIVE; 65], [1e-30; 65]);
    let want = SCALAR.dot_f32(&a, &b);
    assert_eq!(want.to_bits(), (-0.0f32).to_bits());
    for kernels in siblings() {
        assert!(same(kernels.dot_f32(&a, &b), want), "{kernels:?}");
    }
}

#[test]
fn dot_f32_is_close_to_the_truth_in_f64() {
    let mut g = Gen::from_size_and_seed(64, 7);
    for n in LENGTHS {
        let (a, b) = (tame(&mut g, n), tame(&mut g, n));
        let products = || a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        let bound =
            products().map(f64::abs).sum::<f64>() * (n as f64 / 64.0 + 7.0) * 2f64.powi(-24);
        let error = (f64::from(SCALAR.dot_f32(&a, &b)) - products().sum::<f64>()).abs();
        assert!(error <= bound, "n={n}: {error:e} > {bound:e}");
    }
}

#[test]
fn chain_equals_scalar_for_any_rows_and_lengths() {
    check(10_000, |g| {
        let (k, rows) = (length(g) % 130, usize::arbitrary(g) % 20);
        let (x, w) = (any(g, k), any(g, k * rows));
        for format in [Format::F32, Format::F16, Format::Bf16] {
            let bytes: Vec<u8> = w
                .iter()
                .flat_map(|w| match format {
                    Format::F32 => w.to_le_bytes().to_vec(),
                    Format::F16 => f16::from_f32(*w).to_le_bytes().to_vec(),
                    _ => half::bf16::from_f32(*w).to_le_bytes().to_vec(),
                })
                .collect();
            let mut want = vec![1.0; rows];
            SCALAR.chain(format, &bytes, &x, &mut want);
            for kernels in siblings() {
                let mut got = vec![2.0; rows];
                kernels.chain(format, &bytes, &x, &mut got);
                assert_all_same(
                    &got,
                    &want,
                    format_args!("{kernels:?} {format} {rows} rows of {k}"),
                );
            }
        }
    });
}

#[test]
fn chain_from_an_output_equals_scalar_and_a_chain_whose_first_product_is_the_output() {
    check(10_000, |g| {
        let (k, rows) = (length(g) % 130, usize::arbitrary(g) % 20);
        let (x, w) = (any(g, k), any(g, k * rows));
        // No -0, which is no product of a chain from +0.
        let before: Vec<f32> = any(g, rows).into_iter().map(|x| x + 0.0).collect();
        let bytes: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
        for format in [Format::F32, Format::F16, Format::Bf16] {
            // Any bits are halves.
            let bytes = &bytes[..rows * format.row_bytes(k).expect("any length")];
            let mut want = before.clone();
            SCALAR.chain_onto(format, bytes, &x, &mut want);
            for kernels in siblings() {
                let mut got = before.clone();
                kernels.chain_onto(format, bytes, &x, &mut got);
                assert_all_same(
                    &got,
                    &want,
                    format_args!("{kernels:?} {format} {rows} rows of {k}"),
                );
            }
            if format == Format::F32 {
                let row = |r: usize| [&[before[r]], &w[r * k..(r + 1) * k]].concat();
                let bytes: Vec<u8> =
                    (0..rows).flat_map(row).flat_map(|w| w.to_le_bytes()).collect();
                let mut got = vec![2.0; rows];
                SCALAR.chain(format, &bytes, &[&[1.0], &x[..]].concat(), &mut got);
                assert_all_same(&got, &want, format_args!("{rows} rows of {k}"));
            }
        }
    });
}
