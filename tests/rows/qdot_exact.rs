use quickcheck::Gen;
use quintile::formats::Format;
use quintile::isa::Isa;
use quintile::kernels::Kernels;

use crate::draw::{SCALAR, any, below, check, row, same, siblings, stride, tame};

fn quantised() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(|format| format.activation().is_some())
}

/// Compares with the dot of the dequantised row, on operands `offset` bytes and elements behind an
/// aligned address.
fn assert_siblings(format: Format, row: &[u8], x: &[f32], offset: usize) {
    let mut w = vec![0.0; x.len()];
    format.dequantize(row, &mut w);
    let want = SCALAR.dot_f32(&w, x);
    let row = [&vec![0; offset], row].concat();
    let x = [&vec![0.0; offset % 16], x].concat();
    let (row, x) = (&row[offset..], &x[offset % 16..]);
    for kernels in siblings().chain([SCALAR]) {
        let got = kernels.qdot_exact(format, row, x);
        assert!(same(got, want), "{kernels:?} {format} n={}: {got:e}, not {want:e}", x.len());
    }
}

#[test]
fn qdot_exact_is_the_dot_of_the_dequantised_row_on_adversarial_values() {
    check(4_000, |g| {
        for format in quantised() {
            let blocks = below(g, if format.block_len() == 32 { 20 } else { 5 });
            let (row, x) = (row(g, format, blocks), any(g, blocks * format.block_len()));
            assert_siblings(format, &row, &x, below(g, 64));
        }
    });
}

#[test]
fn qdot_exact_is_the_dot_of_the_dequantised_row_for_every_length_and_alignment() {
    let mut g = Gen::from_size_and_seed(64, 2);
    for format in quantised() {
        for blocks in 0..=5 {
            let (row, x) = (row(&mut g, format, blocks), tame(&mut g, blocks * format.block_len()));
            for offset in (0..64).step_by(stride()) {
                assert_siblings(format, &row, &x, offset);
            }
        }
    }
}

#[test]
fn qdot_exact_keeps_the_sign_of_a_weight_that_is_zero() {
    // Quants of 32 are zero weights of Q6_K, and a negative scale makes them -0: with these activations
    // every lane underflows to -0 first, and a +0 would show in the sum.
    let mut first = [0u8; 210];
    first[..128].fill(0x11);
    first[128..192].fill(0xaa);
    first[192..208].fill(0xff);
    first[208] = 1;
    let mut second = first;
    second[..128].fill(0);
    let row = [first, second].concat();
    let x = [[f32::from_bits(1); 256], [1.0; 256]].concat();
    let want = SCALAR.qdot_exact(Format::Q6K, &row, &x);
    assert_eq!(want.to_bits(), (-0.0f32).to_bits());
    assert_siblings(Format::Q6K, &row, &x, 0);
}

#[test]
fn qdot_exact_agrees_with_f64() {
    check(300, |g| {
        for format in quantised() {
            let n = (1 + below(g, 4)) * format.block_len();
            let (x, mut row) = (tame(g, n), vec![0; format.row_bytes(n).expect("whole blocks")]);
            format.quantize(&tame(g, n), &mut row);
            let mut w = vec![0.0; n];
            format.dequantize(&row, &mut w);
            let products = || w.iter().zip(&x).map(|(&w, &x)| f64::from(w) * f64::from(x));
            let size: f64 = products().map(f64::abs).sum();
            let error =
                (f64::from(SCALAR.qdot_exact(format, &row, &x)) - products().sum::<f64>()).abs();
            let bound = size * (n as f64 / 64.0 + 7.0) * 2f64.powi(-24);
            assert!(error <= bound, "{format} n={n}: {error:e} > {bound:e}");
        }
    });
}

#[test]
#[should_panic(expected = "bytes of a Q8_0 row of 64 values\n  left: Some(34)\n right: Some(68)")]
fn qdot_exact_panics_with_both_numbers_on_a_wrong_length() {
    Kernels::new(Isa::detect()).qdot_exact(Format::Q8_0, &[0; 34], &[0.0; 64]);
}

#[test]
#[should_panic(expected = "qdot_exact: F16 is not quantised")]
fn qdot_exact_refuses_a_format_that_is_not_quantised() {
    Kernels::new(Isa::detect()).qdot_exact(Format::F16, &[0; 2], &[0.0; 1]);
}
