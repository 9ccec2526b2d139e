//! Hosts that flush subnormals or round otherwise: products have the bits of the default environment, and the host's is as
//! it was.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

mod word;

use std::hint::black_box;

use quintile::formats::{ActBlock, Format};
use quintile::isa::{DefaultEnvironment, Isa};
use quintile::kernels::Kernels;
use quintile::kernels::sgemm::{Line, Start};
use quintile::matmul::{
    self, Activations, Epilogue, Outputs, Plan, Weights, f32::Shape, quantize_columns,
};

const ROWS: usize = 40;
const K: usize = 512;
const COLUMNS: usize = 9;

/// Values whose products are subnormal, and rounded.
fn floats(n: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 % 1013) as f32 - 506.0) / 339.0 * scale).collect()
}

/// What `compute` gives by default; and it must give the same in a host's environment, and leave that.
fn same_in_a_fast_host<T: PartialEq + std::fmt::Debug>(what: &str, compute: impl Fn() -> T) -> T {
    let want = compute();
    let before = word::read();
    word::write(word::FAST);
    let got = compute();
    let after = word::read();
    word::write(before);
    assert_eq!(after, word::FAST, "{what}: the environment of the host");
    assert!(got == want, "{what}: the bits");
    want
}

fn bits(out: &[f32]) -> Vec<u32> {
    out.iter().map(|x| x.to_bits()).collect()
}

/// Otherwise nothing here would be tested.
#[test]
fn a_fast_host_computes_other_numbers() {
    let x = black_box([f32::MIN_POSITIVE, 1.0 / 3.0, 3.0]);
    let compute = || black_box([black_box(x[0]) / black_box(2.0), black_box(x[1]) * x[2] * x[1]]);
    let before = word::read();
    let want = compute();
    word::write(word::FAST);
    let fast = compute();
    let environment = DefaultEnvironment::enter();
    let held = compute();
    drop(environment);
    let after = word::read();
    word::write(before);
    assert_eq!(after, word::FAST);
    assert_eq!(fast[0], 0.0);
    assert!(fast[1] > want[1]);
    assert_eq!(bits(&held), bits(&want));
}

#[test]
fn products_of_every_format_have_the_bits_of_the_default_environment() {
    let kernels = Kernels::new(Isa::detect());
    for format in Format::ALL.into_iter().filter(|&format| format != Format::Q8K) {
        // Scales of f16 must not vanish; activations make the products small.
        let values = floats(ROWS * K, 1e-3);
        let mut bytes = vec![0; ROWS * format.row_bytes(K).unwrap()];
        kernels.quantize_weights(format, &values, &mut bytes);
        let x = floats(COLUMNS * K, if format.activation().is_some() { 1e-28 } else { 1e-36 });
        let bias = floats(ROWS, 1e-38);
        for columns in [1, 4, COLUMNS] {
            let out = same_in_a_fast_host(format.name(), || {
                let plan = Plan::new(&kernels, format, ROWS, K, columns).unwrap();
                let mut packed = vec![Line::ZERO; plan.packed_lines()];
                plan.pack(0..ROWS, &bytes, &mut packed);
                let mut blocks = vec![ActBlock::ZERO; columns * ActBlock::count(K)];
                let x = match format.activation() {
                    None => Activations::Strided(&x[..columns * K], K),
                    Some(scale) => {
                        quantize_columns(&kernels, scale, &x, K, K, &mut blocks);
                        Activations::Blocks(&blocks)
                    }
                };
                let mut scratch = vec![Line::ZERO; plan.scratch_lines()];
                let mut out = vec![0.0; 2 * columns * ROWS];
                let (planned, plain) = out.split_at_mut(columns * ROWS);
                let mut planned = Outputs::new(planned, columns, ROWS);
                plan.run(&packed, x, &mut planned, Epilogue::bias(&bias), &mut scratch);
                let w = Weights::new(format, ROWS, K, &bytes).unwrap();
                let mut plain = Outputs::new(plain, columns, ROWS);
                matmul::run_with(&kernels, &w, x, &mut plain, None, Epilogue::bias(&bias));
                bits(&out)
            });
            assert_eq!(out[..columns * ROWS], out[columns * ROWS..], "{format}");
        }
    }
}

#[test]
fn products_of_f32_matrices_have_the_bits_of_the_default_environment() {
    let kernels = Kernels::new(Isa::detect());
    let shape = Shape { m: 17, k: 40, n: 33 };
    let (a, b) = (floats(shape.m * shape.k, 1e-20), floats(shape.k * shape.n, 1e-19));
    let threads = matmul::f32::Scoped(std::num::NonZeroUsize::new(2).unwrap());
    let len = matmul::f32::parallel_space_len(shape, 2);
    let all = same_in_a_fast_host("f32", || {
        let mut out = [(); 5].map(|()| vec![0.0; shape.m * shape.n]);
        let mut space = vec![Line::ZERO; len];
        let zero = Start::Zero;
        matmul::f32::naive(&kernels, shape, &a, &b, &mut out[0]);
        matmul::f32::blocked(&kernels, shape, &a, &b, &mut out[1]);
        matmul::f32::parallel(&kernels, &threads, shape, &a, &b, &mut out[2]);
        matmul::f32::simd(&kernels, shape, &a, &b, &mut out[3], zero, None, &mut space);
        let last = &mut out[4];
        matmul::f32::simd_parallel(&kernels, &threads, shape, &a, &b, last, zero, None, &mut space);
        out.map(|out| bits(&out))
    });
    assert!(all.iter().all(|out| *out == all[0]));
    assert!(all[0].iter().any(|&x| f32::from_bits(x).is_subnormal()));
}

#[cfg(feature = "driver")]
#[test]
fn a_forward_pass_has_the_bits_of_the_default_environment_on_any_threads() {
    use quintile::model::{Model, Pool, Session};

    let model = Model::open("tests/data/tiny/gemma3.gguf").unwrap();
    for threads in [1, 3] {
        same_in_a_fast_host("logits", || {
            // Its threads begin with the host's environment.
            let pool = Pool::new(threads.try_into().unwrap()).unwrap();
            let mut session = Session::new(&model, &pool, &Default::default()).unwrap();
            session.forward(&[1, 70, 300, 44, 9]).unwrap();
            session.forward(&[2]).unwrap();
            bits(session.logits())
        });
    }
}
