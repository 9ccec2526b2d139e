//! What the forward pass does between its products.

use quintile::kernels::Kernels;
use quintile::kernels::elementwise::RopePairs;

use crate::draw::*;

#[test]
fn elementwise_siblings_equal_scalar() {
    check(10_000, |g| {
        let n = length(g);
        let (x, y) = (any(g, n), any(g, n));
        for kernels in siblings() {
            let run = |k: &Kernels| {
                let (mut silu, mut gelu, mut soft) = (x.clone(), x.clone(), x.clone());
                k.silu_mul(&mut silu, &y);
                k.gelu_mul(&mut gelu, &y);
                let (max, sum) = k.exp_sum(&mut soft);
                let mut norm = vec![0.0; n];
                k.rms_norm(&x, &y, 1e-5, &mut norm);
                let angles: Vec<[f32; 2]> = y.as_chunks::<2>().0.to_vec();
                let (mut near, mut far) = (x.clone(), x.clone());
                k.rope(RopePairs::Neighbours, &mut near, &angles);
                k.rope(RopePairs::Halves, &mut far, &angles);
                let (mut exp, mut sum_of_both) = (x.clone(), x.clone());
                k.exp(&mut exp);
                k.add(&mut sum_of_both, &y);
                let mut capped = x.clone();
                k.soft_cap(&mut capped, 50.0);
                [silu, gelu, soft, vec![max, sum], norm, near, far, exp, sum_of_both, capped]
            };
            for (i, (got, want)) in run(&kernels).iter().zip(run(&SCALAR)).enumerate() {
                assert_all_same(got, &want, format_args!("{kernels:?} operation {i}, n={n}"));
            }
        }
    });
}
