//! Every sibling of every kernel returns the bits of the scalar definition.

use half::f16;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::kernels::attention::{CHUNK, CacheElement, HeadCache, KEY_LANES, Softmax, TILE};
use quintile::kernels::elementwise::RopePairs;

const SCALAR: Kernels = Kernels::new(Isa::SCALAR);

fn siblings() -> impl Iterator<Item = Kernels> {
    Isa::available().filter(|&isa| isa != Isa::SCALAR).map(Kernels::new)
}

/// Lengths around every SIMD width, the 64 lanes, and the blocks of 32 and 256.
const LENGTHS: [usize; 34] = [
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 56, 63, 64, 65, 95, 96, 127, 128,
    129, 191, 255, 256, 257, 511, 513, 640, 1000,
];

/// Equal bits; a NaN equals a NaN, whatever its payload.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a == b && zeros_lose_their_sign())
}

/// Whether the tests run under Valgrind, where only memory is looked at: it computes `-(a·b) + c` as
/// `-(a·b - c)`, so the instruction `vfnmadd` gives -0 for +0.
fn zeros_lose_their_sign() -> bool {
    std::env::var_os("QUINTILE_UNDER_VALGRIND").is_some()
}

fn all_same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| same(a, b))
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
struct Tame(f32);

impl Arbitrary for Tame {
    fn arbitrary(g: &mut Gen) -> Self {
        Tame(i16::arbitrary(g) as f32 / 8192.0)
    }
}

fn vector<T: Arbitrary>(g: &mut Gen, n: usize) -> Vec<T> {
    (0..n).map(|_| T::arbitrary(g)).collect()
}

fn any(g: &mut Gen, n: usize) -> Vec<f32> {
    vector::<AnyF32>(g, n).into_iter().map(|x| x.0).collect()
}

fn tame(g: &mut Gen, n: usize) -> Vec<f32> {
    vector::<Tame>(g, n).into_iter().map(|x| x.0).collect()
}

fn length(g: &mut Gen) -> usize {
    if bool::arbitrary(g) {
        LENGTHS[usize::arbitrary(g) % LENGTHS.len()]
    } else {
        usize::arbitrary(g) % 700
    }
}

/// A row of a quantised format: any bytes, with scales that are finite in most blocks.
fn quantised_row(g: &mut Gen, format: Format, blocks: usize) -> Vec<u8> {
    let mut row: Vec<u8> = vector(g, blocks * format.block_bytes());
    for block in row.chunks_mut(format.block_bytes()) {
        if u8::arbitrary(g) < 8 {
            continue;
        }
        let scale = f16::from_f32(i8::arbitrary(g) as f32 / 1024.0).to_le_bytes();
        for &at in scale_offsets(format) {
            block[at..at + 2].copy_from_slice(&scale);
        }
        if format == Format::Q8K {
            block[..4].copy_from_slice(&0.01f32.to_le_bytes());
        }
    }
    row
}

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

fn quantised_formats() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(|f| f.activation().is_some())
}

/// Share of the random cases that are run, in percent: `QUINTILE_CASES=10000` for a long run, less where an
/// emulator makes each case slow.
fn percent() -> u64 {
    std::env::var("QUINTILE_CASES").map_or(100, |n| n.parse().expect("QUINTILE_CASES is a number"))
}

/// A `Gen`-driven property, checked many times.
fn check(times: u64, property: fn(&mut Gen)) {
    /// Wraps the generator so that a property draws what it needs from it.
    #[derive(Clone, Debug)]
    struct Seed(usize);
    impl Arbitrary for Seed {
        fn arbitrary(g: &mut Gen) -> Self {
            Seed(usize::arbitrary(g))
        }
    }
    std::thread_local! {
        static PROPERTY: std::cell::Cell<Option<fn(&mut Gen)>> = const { std::cell::Cell::new(None) };
    }
    PROPERTY.set(Some(property));
    fn run(seed: Seed) -> bool {
        let mut g = Gen::from_size_and_seed(64, seed.0 as u64);
        PROPERTY.get().expect("set above")(&mut g);
        true
    }
    let times = (times * percent() / 100).max(1);
    QuickCheck::new().tests(times).quickcheck(run as fn(Seed) -> bool);
}

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
    // Lane 0 underflows to -0; the lanes beside it are absent in the tail.
    let mut a = vec![-0.0f32; 65];
    let b = vec![1.0f32; 65];
    a[64] = -f32::MIN_POSITIVE;
    for kernels in siblings() {
        assert!(same(kernels.dot_f32(&a, &b), SCALAR.dot_f32(&a, &b)), "{kernels:?}");
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
fn quantize_equals_scalar_on_adversarial_values() {
    check(5_000, |g| {
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
                    assert!(all_same(&got.d, &want.d), "{kernels:?}");
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
    check(2_000, |g| {
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

/// Activations at the corners of the domain as well as inside it.
fn activations(g: &mut Gen, scale: ActScale, k: usize) -> Vec<ActBlock> {
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

#[test]
fn qdot_equals_scalar_for_every_format_on_any_bytes() {
    check(3_000, |g| {
        for format in quantised_formats() {
            let blocks = usize::arbitrary(g) % 20 * 32 / format.block_len().min(64);
            let k = blocks * format.block_len();
            // The row starts at any address.
            let offset = usize::arbitrary(g) % 64;
            let mut bytes = vec![0; offset];
            bytes.extend(quantised_row(g, format, blocks));
            if u8::arbitrary(g) < 16 {
                let extreme = if bool::arbitrary(g) { 0xff } else { 0x80 };
                let scale = scale_offsets(format);
                for block in bytes[offset..].chunks_mut(format.block_bytes()) {
                    let start = if scale.first() == Some(&0) { scale.len() * 2 } else { 0 };
                    let end = scale.first().filter(|&&s| s > 0).copied().unwrap_or(block.len());
                    if format != Format::Q8K {
                        block[start..end].fill(extreme);
                    }
                }
            }
            let row = &bytes[offset..];
            let act = format.activation().expect("a quantised format");
            let x: [Vec<ActBlock>; 4] = std::array::from_fn(|_| activations(g, act, k));
            let want = x.each_ref().map(|x| SCALAR.qdot(format, row, x));
            for kernels in siblings() {
                let one = x.each_ref().map(|x| kernels.qdot(format, row, x));
                let four = kernels.qdot4(format, row, x.each_ref().map(|x| &x[..]));
                assert!(all_same(&one, &want), "{kernels:?} {format} x1: {one:?}, not {want:?}");
                assert!(all_same(&four, &want), "{kernels:?} {format} x4: {four:?}, not {want:?}");
            }
        }
    });
}

#[test]
fn qdot_agrees_with_the_dequantised_row_in_f64() {
    check(300, |g| {
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

#[test]
fn chain_equals_scalar_for_any_rows_and_lengths() {
    check(1_000, |g| {
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
                assert!(all_same(&got, &want), "{kernels:?} {format} {rows} rows of {k}");
            }
        }
    });
}

#[test]
fn elementwise_siblings_equal_scalar() {
    check(2_000, |g| {
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
                [silu, gelu, soft, vec![max, sum], norm, near, far, exp, sum_of_both]
            };
            for (i, (got, want)) in run(&kernels).iter().zip(run(&SCALAR)).enumerate() {
                assert!(all_same(got, &want), "{kernels:?} operation {i}, n={n}");
            }
        }
    });
}

fn attention_equals_scalar<E: CacheElement>(g: &mut Gen, convert: fn(f32) -> E) {
    let head_dim = [8, 20, 32, 64, 80, 128][usize::arbitrary(g) % 6];
    let start = usize::arbitrary(g) % CHUNK;
    let end = (start + 1 + usize::arbitrary(g) % (2 * TILE)).min(CHUNK);
    let room = end.next_multiple_of(KEY_LANES) * head_dim;
    // Keys that are not visible are garbage, and must not matter.
    let mut draw = |n| -> Vec<E> { any(g, n).into_iter().map(convert).collect() };
    let (mut keys, mut values) = (draw(room), draw(room));
    for p in start..end {
        for d in 0..head_dim {
            let x = Tame::arbitrary(g).0;
            keys[(p / KEY_LANES * head_dim + d) * KEY_LANES + p % KEY_LANES] = convert(x);
            values[p * head_dim + d] = convert(Tame::arbitrary(g).0);
        }
    }
    let q = tame(g, head_dim);
    let cache = HeadCache { keys: &keys, values: &values };
    let run = |k: &Kernels| {
        let mut out = vec![0.0; head_dim];
        let mut state = k.attend(&q, cache, start..end, &mut out);
        let next = Softmax { max: 0.25, sum: 3.0 };
        k.merge_chunks(&mut state, &mut out, next, &q);
        out.extend([state.max, state.sum]);
        out
    };
    let want = run(&SCALAR);
    assert!(want.iter().all(|x| !x.is_nan()));
    for kernels in siblings() {
        assert!(all_same(&run(&kernels), &want), "{kernels:?} {start}..{end}, head of {head_dim}");
    }
}

#[test]
fn attention_siblings_equal_scalar_and_ignore_invisible_keys() {
    check(300, |g| attention_equals_scalar::<f32>(g, |x| x));
    check(300, |g| attention_equals_scalar::<f16>(g, f16::from_f32));
}

#[test]
fn attention_agrees_with_softmax_in_f64() {
    let mut g = Gen::from_size_and_seed(64, 3);
    let (head_dim, n) = (16, 300);
    let q = tame(&mut g, head_dim);
    let (keys, values) = (tame(&mut g, n * head_dim), tame(&mut g, n * head_dim));
    let mut interleaved = vec![0.0; n.next_multiple_of(KEY_LANES) * head_dim];
    for p in 0..n {
        for d in 0..head_dim {
            interleaved[(p / KEY_LANES * head_dim + d) * KEY_LANES + p % KEY_LANES] =
                keys[p * head_dim + d];
        }
    }
    let mut out = vec![0.0; head_dim];
    let cache = HeadCache { keys: &interleaved, values: &values };
    let state = SCALAR.attend(&q, cache, 5..n, &mut out);
    let e: Vec<f64> = (5..n)
        .map(|p| {
            (0..head_dim)
                .map(|d| f64::from(q[d]) * f64::from(keys[p * head_dim + d]))
                .sum::<f64>()
                .exp()
        })
        .collect();
    let total: f64 = e.iter().sum();
    for d in 0..head_dim {
        let truth: f64 =
            (5..n).map(|p| e[p - 5] / total * f64::from(values[p * head_dim + d])).sum();
        let got = f64::from(out[d]) / f64::from(state.sum);
        assert!((got - truth).abs() < 1e-5, "{got} {truth}");
    }
}
