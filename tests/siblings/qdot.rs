//! Dots of quantised rows.

use quickcheck::Arbitrary;
use quintile::formats::ActBlock;

use crate::draw::*;

#[test]
fn qdot_equals_scalar_for_every_format_on_any_bytes() {
    check(10_000, |g| {
        for format in quantised_formats() {
            let blocks = usize::arbitrary(g) % 20 * 32 / format.block_len().min(64);
            let k = blocks * format.block_len();
            // The row starts at any address.
            let offset = usize::arbitrary(g) % 64;
            let bytes = [vec![0; offset], hard_row(g, format, blocks)].concat();
            let row = &bytes[offset..];
            let act = format.activation().expect("a quantised format");
            let x: [Vec<ActBlock>; 4] = std::array::from_fn(|_| activations(g, act, k));
            let want = x.each_ref().map(|x| SCALAR.qdot(format, row, x));
            for kernels in siblings() {
                let one = x.each_ref().map(|x| kernels.qdot(format, row, x));
                let four = kernels.qdot4(format, row, x.each_ref().map(|x| &x[..]));
                assert_all_same(&one, &want, format_args!("{kernels:?} {format} x1"));
                assert_all_same(&four, &want, format_args!("{kernels:?} {format} x4"));
            }
        }
    });
}

#[test]
fn qdot2x2_equals_four_scalar_dots_for_every_format_on_any_bytes() {
    check(10_000, |g| {
        for format in quantised_formats() {
            let blocks = usize::arbitrary(g) % 20 * 32 / format.block_len().min(64);
            let k = blocks * format.block_len();
            let offsets = [0; 2].map(|_| usize::arbitrary(g) % 64);
            let bytes = offsets.map(|n| [vec![0; n], hard_row(g, format, blocks)].concat());
            let rows = [&bytes[0][offsets[0]..], &bytes[1][offsets[1]..]];
            let act = format.activation().expect("a quantised format");
            let x = [0; 2].map(|_| activations(g, act, k));
            let x = x.each_ref().map(|x| &x[..]);
            let want = rows.map(|row| x.map(|x| SCALAR.qdot(format, row, x)));
            for kernels in siblings() {
                let got = kernels.qdot2x2(format, rows, x);
                let equal = all_same(got.as_flattened(), want.as_flattened());
                assert!(equal, "{kernels:?} {format}: {got:?}, not {want:?}");
            }
        }
    });
}

#[test]
fn qdot_agrees_with_the_dequantised_row_in_f64() {
    check(10_000, |g| {
        for format in quantised_formats() {
            let blocks = 1 + usize::arbitrary(g) % 9;
            let k = blocks * format.block_len();
            let row = quantised_row(g, format, blocks);
            let mut w = vec![0.0; k];
            format.dequantize(&row, &mut w);
            if w.iter().any(|w| !w.is_finite() || w.abs() > 1e4) {
                continue;
            }
            let act = format.activation().expect("a quantised format");
            let mut x = vec![ActBlock::ZERO; ActBlock::count(k)];
            SCALAR.quantize(act, &tame(g, k), &mut x);
            let products: Vec<f64> = (0..k)
                .map(|i| {
                    let x = &x[i / 256];
                    f64::from(w[i]) * f64::from(x.d[i % 256 / 32]) * f64::from(x.qs[i % 256])
                })
                .collect();
            let truth: f64 = products.iter().sum();
            // Minimums cancel against quants: the bound takes the size of what is added, not of the sum.
            let size: f64 = products.iter().map(|p| p.abs()).sum::<f64>() * 8.0 + 1e-3;
            let got = f64::from(SCALAR.qdot(format, &row, &x));
            assert!((got - truth).abs() <= size * 1e-5, "{format}: {got:e}, not {truth:e}");
        }
    });
}
