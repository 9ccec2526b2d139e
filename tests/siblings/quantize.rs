//! Quantisation of activations and of weights.

use quickcheck::{Arbitrary, Gen};
use quintile::formats::{ActBlock, ActScale, Format};

use crate::draw::*;

#[test]
fn quantize_equals_scalar_on_adversarial_values() {
    check(10_000, |g| {
        let n = length(g);
        let x = if bool::arbitrary(g) { any(g, n) } else { tame(g, n) };
        for scale in [ActScale::Per32, ActScale::Per256] {
            let mut want = vec![ActBlock::ZERO; ActBlock::count(n)];
            SCALAR.quantize(scale, &x, &mut want);
            for kernels in siblings() {
                let mut got = vec![ActBlock::ZERO; ActBlock::count(n)];
                kernels.quantize(scale, &x, &mut got);
                for (got, want) in got.iter().zip(&want) {
                    assert_eq!((got.qs, got.bsums), (want.qs, want.bsums), "{kernels:?}");
                    assert_all_same(&got.d, &want.d, format_args!("{kernels:?}"));
                }
            }
        }
    });
}

#[test]
fn quantize_keeps_to_its_table() {
    for (x, d, q) in [
        ([f32::NAN, 1.0], f32::NAN, [0, 0]),
        ([f32::NEG_INFINITY, 1.0], f32::NAN, [0, 0]),
        ([1e-31, -1e-31], 0.0, [0, 0]),
        ([-0.0, 0.0], 0.0, [0, 0]),
        ([f32::MAX, f32::MIN], f32::MAX / 127.0, [127, -127]),
        // 0.5 / 127 and 1.5 / 127 of the largest: ties go to even.
        ([254.0, 1.0], 2.0, [127, 0]),
        ([254.0, -3.0], 2.0, [127, -2]),
    ] {
        for scale in [ActScale::Per32, ActScale::Per256] {
            let mut out = [ActBlock::ZERO];
            SCALAR.quantize(scale, &x, &mut out);
            assert!(same(out[0].d[0], d), "{x:?}: {}", out[0].d[0]);
            assert_eq!(out[0].qs[..2], q, "{x:?}");
        }
    }
}

#[test]
fn quants_lie_in_the_domain_and_sums_are_their_sums() {
    check(10_000, |g| {
        let n = length(g);
        let x = any(g, n);
        for scale in [ActScale::Per32, ActScale::Per256] {
            let mut out = vec![ActBlock::ZERO; ActBlock::count(n)];
            SCALAR.quantize(scale, &x, &mut out);
            for block in &out {
                assert!(block.qs.iter().all(|&q| q >= -127));
                for (sum, qs) in block.bsums.iter().zip(block.qs.chunks(16)) {
                    assert_eq!(i32::from(*sum), qs.iter().map(|&q| i32::from(q)).sum::<i32>());
                }
            }
        }
    });
}

/// A block's worth of weights: of one size, or of few different values, which give ties and empty ranges.
fn weights(g: &mut Gen) -> Vec<f32> {
    let size = 2f32.powi(i32::from(i8::arbitrary(g)) / 4);
    let mut x = if u8::arbitrary(g) < 32 { any(g, 256) } else { tame(g, 256) };
    if bool::arbitrary(g) {
        let kinds = 1 + usize::arbitrary(g) % 4;
        for i in kinds..x.len() {
            x[i] = x[usize::arbitrary(g) % kinds];
        }
    }
    x.iter().map(|x| x * size).collect()
}

#[test]
fn quantize_weights_equals_scalar_for_every_format() {
    check(10_000, |g| {
        let x = weights(g);
        for format in Format::ALL {
            let bytes = format.row_bytes(x.len()).expect("whole blocks");
            let mut want = vec![0; bytes];
            SCALAR.quantize_weights(format, &x, &mut want);
            for kernels in siblings() {
                let mut got = vec![0xa5; bytes];
                kernels.quantize_weights(format, &x, &mut got);
                assert!(got == want, "{kernels:?} {format} of {x:?}");
            }
        }
    });
}
