//! One small case of every kernel and sibling: what an interpreter gets through in a minute (`scripts/miri.sh`).
//!
//! Miri interprets the intrinsics, and finds what no CPU notices: reads outside the slice that a pointer came from,
//! misaligned references, uninitialised bytes. Eight it does not know: they have bodies of their own there
//! (`src/kernels/uninterpreted.rs`). The quantisation of weights is left to the other tests.

use half::{bf16, f16};
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::{Isa, Level};
use quintile::kernels::Kernels;
use quintile::kernels::attention::{HeadCache, KEY_LANES, Q8_0, Queries, Softmax, Storage};
use quintile::kernels::elementwise::RopePairs;
use quintile::kernels::gemm::{MR, ROWS, Workspace};
use quintile::kernels::sgemm::{Line, Start, View, ViewMut, space_len};
use quintile::matmul::{Activations, Epilogue, Outputs, Plan, quantize_columns};

const SCALAR: Kernels = Kernels::new(Isa::SCALAR);

/// Around a register, the 64 lanes, and a block of 32; and one whose reads begin at a line of the cache.
const LENGTHS: [usize; 9] = [0, 1, 7, 8, 33, 64, 65, 131, 349];

/// Interpreted, a level with wider vectors is alone: those below it are for a run without its features. pulp's own siblings
/// touch parts of registers by assembly, which Miri does not know.
fn siblings() -> impl Iterator<Item = Kernels> {
    let is_wide = !matches!(Isa::detect().level(), Level::Generic | Level::Avx2 | Level::Neon);
    let runs = move |isa: &Isa| match isa.level() {
        Level::Scalar => false,
        Level::Generic => !cfg!(miri),
        level => !(cfg!(miri) && is_wide) || level == Isa::detect().level(),
    };
    Isa::available().filter(runs).map(Kernels::new)
}

/// Interpreted with wider vectors, the level between: all that it has of its own are dots of rows of signed bytes.
fn avx_vnni(format: Format) -> Option<Kernels> {
    let signed = matches!(format, Format::Q8_0 | Format::Q8K);
    let between = cfg!(miri) && signed && Isa::detect().level() == Level::Avx512Vnni;
    between
        .then(|| Isa::force(Level::AvxVnni).expect("scripts/miri.sh sets the feature"))
        .map(Kernels::new)
}

fn bits(n: usize, seed: u32) -> impl Iterator<Item = u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..n).map(move |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}

/// Numbers between -2 and 2.
fn floats(n: usize, seed: u32) -> Vec<f32> {
    bits(n, seed).map(|bits| (bits >> 16) as i16 as f32 / 16384.0).collect()
}

/// Halves of either sign between 2^-6 and 4.
fn half_bits(n: usize, seed: u32) -> Vec<u16> {
    bits(n, seed).map(|bits| (bits & 0x83ff | (9 + (bits >> 16) % 8) << 10) as u16).collect()
}

/// A row of any bytes whose f16 scales are finite, behind a byte that takes it to an odd address.
fn row(format: Format, blocks: usize) -> Vec<u8> {
    let bytes = bits(1 + blocks * format.block_bytes(), 3).map(|bits| (bits >> 8) as u8 & 0x3f);
    bytes.collect()
}

fn columns(format: Format, values: usize) -> [Vec<ActBlock>; 4] {
    let scale = format.activation().expect("a quantised format");
    std::array::from_fn(|c| {
        let mut blocks = vec![ActBlock::ZERO; ActBlock::count(values)];
        SCALAR.quantize(scale, &floats(values, 10 + c as u32), &mut blocks);
        blocks
    })
}

#[track_caller]
fn assert_same(got: &[f32], want: &[f32], what: &dyn std::fmt::Display) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
        assert!(same, "{what}: value {i} is {got:e}, not {want:e}");
    }
}

#[test]
#[cfg(all(miri, target_arch = "x86_64"))]
fn what_is_interpreted_are_the_intrinsics_of_the_features_that_are_built() {
    let level = match (cfg!(target_feature = "avx512vnni"), cfg!(target_feature = "avxvnni")) {
        (true, _) => Level::Avx512Vnni,
        (false, true) => Level::AvxVnni,
        (false, false) => Level::Avx2,
    };
    assert_eq!(Isa::detect().level(), level);
}

#[test]
fn dots_of_floats_equal_scalar() {
    for n in LENGTHS {
        let (a, b) = (floats(n + 1, 1), floats(n + 1, 2));
        let halves = half_bits(n + 1, 3);
        let f16s: Vec<f16> = halves.iter().map(|&bits| f16::from_bits(bits)).collect();
        let bf16s: Vec<bf16> =
            a.iter().map(|a| bf16::from_bits((a.to_bits() >> 16) as u16)).collect();
        let run = |k: &Kernels| {
            [
                k.dot_f32(&a[1..], &b[1..]),
                k.dot_f16(&f16s[1..], &b[1..]),
                k.dot_bf16(&bf16s[1..], &b[1..]),
            ]
        };
        for kernels in siblings() {
            assert_same(&run(&kernels), &run(&SCALAR), &format_args!("{kernels:?} n={n}"));
        }
    }
}

#[test]
fn rows_equal_scalar() {
    for format in Format::ALL {
        // Five super-blocks, or nine blocks of 32: the last group of four, or of eight, is not whole.
        let blocks = if format.block_len() == 256 { 5 } else { 288 / format.block_len() };
        let values = blocks * format.block_len();
        let (row, x) = (row(format, blocks), floats(values, 7));
        let row = &row[1..];
        let quantised = format.activation().is_some();
        let run = |k: &Kernels| {
            let mut out = vec![0.0; values];
            k.dequantize(format, row, &mut out);
            if quantised {
                let x8 = columns(format, values);
                out.extend(x8.each_ref().map(|x| k.qdot(format, row, x)));
                out.extend(k.qdot4(format, row, x8.each_ref().map(|x| &x[..])));
                out.push(k.qdot_exact(format, row, &x));
            } else {
                let mut sums = vec![0.0; 9];
                let k_len = values / 9;
                k.chain(format, row, &x[..k_len], &mut sums);
                out.extend(sums);
            }
            out
        };
        for kernels in siblings().chain(avx_vnni(format)) {
            assert_same(&run(&kernels), &run(&SCALAR), &format_args!("{kernels:?} {format}"));
        }
    }
}

#[test]
fn a_product_of_rows_and_columns_equals_scalar_row_dots() {
    // A tile and a part of one.
    const N: usize = ROWS + MR;
    // Interpreted, a format of each kind of micro-kernel: with minimums of 16 and of 32, with an offset, and of 32.
    let kinds = [Format::Q2K, Format::Q5K, Format::Q6K, Format::Q4_1, Format::Q8_0];
    let mut space = Box::new(Workspace::ZERO);
    let formats = Format::ALL.into_iter().filter(|format| format.activation().is_some());
    for format in formats.filter(|format| !cfg!(miri) || kinds.contains(format)) {
        let per_row = 256 / format.block_len();
        let rows = row(format, N * per_row);
        let [x, y, ..] = columns(format, 256);
        for kernels in siblings() {
            // Fours of rows, and one alone.
            let few = &rows[1..][..5 * (rows.len() - 1) / N];
            let mut out = [9.0; 5];
            kernels.gemv(format, few, &x, &mut out);
            let want: Vec<_> =
                few.chunks(few.len() / 5).map(|w| SCALAR.qdot(format, w, &x)).collect();
            assert_same(&out, &want, &format_args!("gemv {kernels:?} {format}"));
        }
        for kernels in siblings().filter(|kernels| kernels.has_gemm(format)) {
            let mut out = [9.0; 2 * N];
            let both = [&x[..], &y[..]].concat();
            kernels.gemm(format, &rows[1..], &both, 1, &mut space, &mut out);
            for (r, w) in rows[1..].chunks(rows[1..].len() / N).enumerate() {
                let want = [&x, &y].map(|x| SCALAR.qdot(format, w, x));
                let got = [out[r], out[N + r]];
                assert_same(&got, &want, &format_args!("{kernels:?} {format} row {r}"));
            }
            // Packed, where the level packs: of a panel in part, and its last rows are none.
            let Some(run) = kernels.packed_lines(format, 256) else { continue };
            let mut lines = vec![Line::ZERO; 2 * run];
            kernels.pack(format, &rows[1..], 256, &mut lines);
            let mut packed = [9.0; 2 * N];
            kernels.gemm_packed(format, &lines, 256, &both, &mut space, &mut packed);
            assert_same(&packed, &out, &format_args!("{kernels:?} packed {format}"));
        }
    }
}

#[test]
fn a_planned_product_equals_scalar() {
    const N: usize = ROWS + 3;
    // Of panels, of rows that are copied, and of what is not quantised.
    let formats = [Format::Q5K, Format::Q4_1, Format::Q8K, Format::Bf16];
    for format in formats.into_iter().filter(|format| !cfg!(miri) || *format != Format::Q8K) {
        let k = if format.block_len() == 1 { 9 } else { 256 };
        let rows = row(format, N * k / format.block_len());
        let mut blocks = vec![ActBlock::ZERO; 2 * ActBlock::count(k)];
        let x = floats(2 * k + 1, 5);
        if let Some(scale) = format.activation() {
            quantize_columns(&SCALAR, scale, &x, k, k + 1, &mut blocks);
        }
        let x = match format.activation() {
            None => Activations::Strided(&x, k + 1),
            Some(_) => Activations::Blocks(&blocks),
        };
        let run = |kernels: &Kernels| {
            let plan = Plan::new(kernels, format, N, k, 2).unwrap();
            let mut packed = vec![Line::ZERO; plan.packed_lines()];
            plan.pack(0..N, &rows[1..], &mut packed);
            let mut scratch = vec![Line::ZERO; plan.scratch_lines()];
            let mut out = floats(2 * N, 6);
            let (first, last) = Outputs::new(&mut out, 2, N).split_at(ROWS);
            let epilogue = Epilogue { start: Start::Output, bias: Some(&floats(N, 7)) };
            for mut part in [last, first] {
                plan.run(&packed, x, &mut part, epilogue, &mut scratch);
            }
            out
        };
        for kernels in siblings() {
            assert_same(&run(&kernels), &run(&SCALAR), &format_args!("{kernels:?} {format}"));
        }
    }
}

/// Packed from both orders, and read in place.
#[test]
fn a_product_of_matrices_equals_scalar() {
    let [rows, depth, columns] = [8, 9, 19];
    let (x, halves) = (floats(rows * depth, 1), half_bits(depth * columns, 2));
    let halves: Vec<u8> = halves.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let wide = floats(depth * columns, 3);
    let operands = [
        View::row_major(&wide, depth, columns),
        View::row_major(&wide, columns, depth).transposed(),
        View::weights(Format::F16, &halves, [depth, columns], [1, depth]),
        View::weights(Format::Bf16, &halves, [depth, columns], [columns, 1]),
    ];
    for b in operands {
        let run = |k: &Kernels| {
            let mut out = floats(rows * columns, 4);
            let mut space = vec![Line::ZERO; space_len(rows, depth, columns)];
            let c = ViewMut::row_major(&mut out, rows, columns);
            let a = View::row_major(&x, rows, depth);
            k.sgemm(a, b, c, Start::Output, Some(&x[..columns]), &mut space);
            out
        };
        for kernels in siblings() {
            assert_same(&run(&kernels), &run(&SCALAR), &format_args!("{kernels:?} {b:?}"));
        }
    }
}

/// A whole strip of rows and one of another; columns that make more than a block in place, a panel and part of one.
/// Every seventh row is compared: the definition of all takes minutes, interpreted.
#[test]
fn a_matrix_that_the_micro_kernel_packs_equals_scalar() {
    let [rows, depth, columns] = [15, 109, 38];
    let (x, y) = (floats(rows * depth, 1), floats(depth * columns, 2));
    let run = |k: &Kernels, step: usize| {
        let rows = rows.div_ceil(step);
        let mut out = vec![0.0; rows * columns];
        let mut space = vec![Line::ZERO; space_len(rows, depth, columns)];
        let a = View::strided(&x, [rows, depth], [step * depth, 1]);
        let b = View::row_major(&y, depth, columns);
        let c = ViewMut::row_major(&mut out, rows, columns);
        k.sgemm(a, b, c, Start::Zero, None, &mut space);
        out
    };
    let want = run(&SCALAR, 7);
    for kernels in siblings() {
        let got = run(&kernels, 1);
        for (got, want) in got.chunks(columns).step_by(7).zip(want.chunks(columns)) {
            assert_same(got, want, &format_args!("{kernels:?}"));
        }
    }
}

#[test]
fn floats_are_narrowed_as_by_scalar() {
    let x = floats(37, 1);
    let edges = [f32::NAN, -f32::INFINITY, 65519.0, 65520.0, 1e-7, -1e-9];
    let x = [&x[..], &edges].concat();
    let run = |k: &Kernels| -> [Vec<u16>; 2] {
        let (mut halves, mut brains) = (vec![f16::ZERO; x.len()], vec![bf16::ZERO; x.len()]);
        k.narrow_f16(&x, &mut halves);
        k.narrow_bf16(&x, &mut brains);
        [halves.iter().map(|x| x.to_bits()).collect(), brains.iter().map(|x| x.to_bits()).collect()]
    };
    for kernels in siblings() {
        assert_eq!(run(&kernels), run(&SCALAR), "{kernels:?}");
    }
}

#[test]
fn activations_equal_scalar() {
    for n in [1, 31, 64, 300] {
        let x = floats(n + 1, 5);
        for scale in [ActScale::Per32, ActScale::Per256] {
            let run = |k: &Kernels| {
                let mut out = vec![ActBlock::ZERO; ActBlock::count(n)];
                k.quantize(scale, &x[1..], &mut out);
                out
            };
            for kernels in siblings() {
                assert_eq!(run(&kernels), run(&SCALAR), "{kernels:?} n={n}");
            }
        }
    }
}

#[test]
fn what_lies_between_products_equals_scalar() {
    for n in [0, 5, 8, 27] {
        let (x, y) = (floats(n, 1), floats(n, 2));
        let angles: Vec<[f32; 2]> = y.as_chunks::<2>().0.to_vec();
        let run = |k: &Kernels| {
            let mut out = vec![x.clone(); 8];
            k.silu_mul(&mut out[0], &y);
            k.gelu_mul(&mut out[1], &y);
            let (max, sum) = k.exp_sum(&mut out[2]);
            k.rms_norm(&x, &y, 1e-5, &mut out[3]);
            k.rope(RopePairs::Neighbours, &mut out[4], &angles);
            k.rope(RopePairs::Halves, &mut out[5], &angles);
            k.exp(&mut out[6]);
            k.add(&mut out[7], &y);
            out.push(vec![max, sum]);
            out.concat()
        };
        for kernels in siblings() {
            assert_same(&run(&kernels), &run(&SCALAR), &format_args!("{kernels:?} n={n}"));
        }
    }
}

#[test]
fn attention_equals_scalar() {
    fn check<S: Storage>(head_dim: usize) {
        let (end, units) = (11, S::units(head_dim));
        let mut keys = vec![S::Unit::default(); KEY_LANES * units];
        let mut values = vec![S::Unit::default(); end * units];
        for (p, value) in values.chunks_mut(units).enumerate() {
            S::store_key(&SCALAR, &floats(head_dim, p as u32), p, &mut keys);
            S::store_value(&SCALAR, &floats(head_dim, 100 + p as u32), value);
        }
        let cache = HeadCache::<S> { keys: &keys, values: &values };
        let q = floats(head_dim, 3);
        let run = |k: &Kernels| {
            let mut out = vec![0.0; head_dim];
            let state = k.attend(&q, cache, 3..end, &mut out);
            out.extend([state.max, state.sum]);
            // Seven of one token: a block, and one alone.
            let (mut outs, mut states) = (vec![0.0; 7 * head_dim], [Softmax::EMPTY; 7]);
            let queries = Queries {
                q: &floats(7 * head_dim, 4),
                head_dim,
                heads: 7,
                stride: 7 * head_dim,
                cap: None,
            };
            k.attend_queries(
                queries,
                cache,
                std::slice::from_ref(&(3..end)),
                &mut outs,
                &mut states,
            );
            out.extend(states.iter().flat_map(|state| [state.max, state.sum]));
            [out, outs].concat()
        };
        for kernels in siblings() {
            assert_same(&run(&kernels), &run(&SCALAR), &format_args!("{kernels:?}"));
        }
    }
    // Less than two registers; one of each kind of strip.
    for head_dim in [20, 84] {
        check::<f32>(head_dim);
        check::<f16>(head_dim);
    }
    check::<Q8_0>(96);
}
