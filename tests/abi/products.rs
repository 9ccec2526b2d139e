//! The products: dots, chains and quantised rows.

use half::{bf16, f16};
use quintile::formats::{ActBlock, Format};
use quintile::kernels::gemm::{MC, MR, NR, ROWS, Workspace};
use quintile::kernels::sgemm::{Line, Start, View, ViewMut, space_len};
use quintile::matmul::{Activations, Epilogue, Outputs, Plan};

use crate::guard::{Buffer, Side};
use crate::registers::call;
use crate::{SCALAR, activations, bits_of, cases, lengths, row, values};

#[test]
fn dot_f32_keeps_to_its_slices_and_registers() {
    let (mut a, mut b) = (Buffer::new(1000), Buffer::new(1000));
    for n in lengths() {
        let (x, y) = (values(n, 1), values(n, 2));
        let want = SCALAR.dot_f32(&x, &y);
        for (kernels, side) in cases() {
            let (a, b) = (a.input(side, &x), b.input(side, &y));
            let label = format_args!("dot_f32 of {n}, {kernels:?}, {side:?}");
            let got = call(label, || kernels.dot_f32(a, b));
            assert_eq!(got.to_bits(), want.to_bits(), "{label}");
        }
    }
}

#[test]
fn dots_of_halves_keep_to_their_slices_and_registers() {
    let (mut a, mut h, mut b) = (Buffer::new(1000), Buffer::new(1000), Buffer::new(1000));
    for n in lengths() {
        let (wide, y) = (values(n, 1), values(n, 2));
        let x: Vec<f16> = wide.iter().map(|&x| f16::from_f32(x)).collect();
        let brain: Vec<bf16> = wide.iter().map(|&x| bf16::from_f32(x)).collect();
        let want = [SCALAR.dot_f16(&x, &y), SCALAR.dot_bf16(&brain, &y)];
        for (kernels, side) in cases() {
            let (a, h, b) = (a.input(side, &x), h.input(side, &brain), b.input(side, &y));
            let label = format_args!("dots of halves, {n}, {kernels:?}, {side:?}");
            let f16s = call(label, || kernels.dot_f16(a, b));
            let bf16s = call(label, || kernels.dot_bf16(h, b));
            assert_eq!(bits_of(&[f16s, bf16s]), bits_of(&want), "{label}");
        }
    }
}

#[test]
fn qdot_exact_keeps_to_its_slices_and_registers() {
    let (mut w, mut x) = (Buffer::new(9 * 320), Buffer::new(9 * 256));
    for format in Format::ALL.into_iter().filter(|format| format.activation().is_some()) {
        let most = if format.block_len() == 32 { 24 } else { 5 };
        for blocks in 0..=most {
            let (weights, vector) = (row(format, blocks), values(blocks * format.block_len(), 2));
            let want = SCALAR.qdot_exact(format, &weights, &vector);
            for (kernels, side) in cases() {
                let (w, x) = (w.input(side, &weights), x.input(side, &vector));
                let label = format_args!("qdot_exact of {blocks} {format}, {kernels:?}, {side:?}");
                let got = call(label, || kernels.qdot_exact(format, w, x));
                assert_eq!(got.to_bits(), want.to_bits(), "{label}");
            }
        }
    }
}

#[test]
fn chain_keeps_to_its_slices_and_registers() {
    let (mut w, mut x, mut out) = (Buffer::new(20 * 70 * 4), Buffer::new(70), Buffer::new(20));
    for format in [Format::F32, Format::F16, Format::Bf16] {
        for (k, rows) in (0..=33).chain([63, 64, 65]).flat_map(|k| (0..=17).map(move |r| (k, r))) {
            let (weights, vector) = (row(format, k * rows), values(k, 2));
            let mut want = vec![0.0; rows];
            SCALAR.chain(format, &weights, &vector, &mut want);
            for (kernels, side) in cases() {
                let (w, x) = (w.input(side, &weights), x.input(side, &vector));
                let place = out.output(side, &vec![9.0; rows]);
                let label = format_args!("chain of {rows} x {k} {format}, {kernels:?}, {side:?}");
                call(label, || kernels.chain(format, w, x, place));
                assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn qdot_keeps_to_its_slices_and_registers() {
    let mut w = Buffer::new(9 * 320);
    let mut columns: [Buffer<ActBlock>; 4] = std::array::from_fn(|_| Buffer::new(9));
    for format in Format::ALL.into_iter().filter(|format| format.activation().is_some()) {
        // Three super-blocks of blocks of 32; nine super-blocks: twice the four that share a loop, and one.
        let most = if format.block_len() == 32 { 24 } else { 9 };
        for blocks in 0..=most {
            let k = blocks * format.block_len();
            let scale = format.activation().expect("quantised");
            let (weights, seeds) = (row(format, blocks), [3, 4, 5, 6]);
            let x = seeds.map(|seed| activations(scale, k, seed));
            let want = x.each_ref().map(|x| SCALAR.qdot(format, &weights, x));
            for (kernels, side) in cases() {
                let w = w.input(side, &weights);
                let mut x = x.iter();
                let x = columns.each_mut().map(|c| c.input(side, x.next().expect("four")));
                let label = format_args!("qdot of {blocks} {format}, {kernels:?}, {side:?}");
                let got = call(label, || kernels.qdot(format, w, x[0]));
                assert_eq!(got.to_bits(), want[0].to_bits(), "{label}");
                let label = format_args!("qdot4 of {blocks} {format}, {kernels:?}, {side:?}");
                let got = call(label, || kernels.qdot4(format, w, x));
                assert_eq!(bits_of(&got), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn qdot2x2_keeps_to_its_slices_and_registers() {
    let mut rows: [Buffer<u8>; 2] = std::array::from_fn(|_| Buffer::new(9 * 320));
    let mut columns: [Buffer<ActBlock>; 2] = std::array::from_fn(|_| Buffer::new(9));
    for format in Format::ALL.into_iter().filter(|format| format.activation().is_some()) {
        let most = if format.block_len() == 32 { 24 } else { 5 };
        for blocks in 0..=most {
            let scale = format.activation().expect("quantised");
            let x = [3, 4].map(|seed| activations(scale, blocks * format.block_len(), seed));
            let first = row(format, blocks);
            // The rows differ: the second is the first from its end.
            let second = first.rchunks(format.block_bytes()).collect::<Vec<_>>().concat();
            let weights = [first, second];
            let want = weights.each_ref().map(|w| x.each_ref().map(|x| SCALAR.qdot(format, w, x)));
            for (kernels, side) in cases() {
                let [first, second] = rows.each_mut();
                let w = [first.input(side, &weights[0]), second.input(side, &weights[1])];
                let [first, second] = columns.each_mut();
                let x = [first.input(side, &x[0]), second.input(side, &x[1])];
                let label = format_args!("qdot2x2 of {blocks} {format}, {kernels:?}, {side:?}");
                let got = call(label, || kernels.qdot2x2(format, w, x));
                let (got, want) = (got.as_flattened(), want.as_flattened());
                assert_eq!(bits_of(got), bits_of(want), "{label}");
            }
        }
    }
}

#[test]
fn gemv_keeps_to_its_slices_and_registers() {
    let (mut w, mut x, mut out) = (Buffer::new(5 * 3 * 320), Buffer::new(3), Buffer::new(5));
    for format in Format::ALL {
        let Some(scale) = format.activation() else { continue };
        let most = 3 * 256 / format.block_len();
        for (rows, blocks) in (0..=5).flat_map(|rows| [0, 1, most].map(|n| (rows, n))) {
            let weights = row(format, rows * blocks);
            let acts = activations(scale, blocks * format.block_len(), 3);
            let dot = |r: usize| {
                let bytes = blocks * format.block_bytes();
                SCALAR.qdot(format, &weights[r * bytes..][..bytes], &acts)
            };
            let want: Vec<f32> = (0..rows).map(dot).collect();
            for (kernels, side) in cases() {
                let (w, x) = (w.input(side, &weights), x.input(side, &acts));
                let place = out.output(side, &vec![9.0; rows]);
                let label =
                    format_args!("gemv of {rows} x {blocks} {format}, {kernels:?}, {side:?}");
                call(label, || kernels.gemv(format, w, x, place));
                assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn gemm_keeps_to_its_slices_and_registers() {
    const BLOCKS: usize = 2;
    /// Many at AVX2, which takes other loops up to 24.
    const MANY: usize = 4 * NR + 2;
    let (mut w, mut x) = (Buffer::new(2 * ROWS * BLOCKS * 320), Buffer::new(MANY * BLOCKS));
    let (mut out, mut space) = (Buffer::new(2 * ROWS * MANY), Box::new(Workspace::ZERO));
    for format in Format::ALL {
        let Some(scale) = format.activation() else { continue };
        for (rows, columns) in [
            (MR, 1),
            (MR, NR),
            (MR, 3),
            (2 * MR, 4),
            (2 * MR, NR + 3),
            (ROWS, NR),
            (ROWS + MR, 5),
            (MR, MANY),
        ] {
            let weights = row(format, rows * BLOCKS * 256 / format.block_len());
            let acts = activations(scale, columns * BLOCKS * 256, 3);
            let want: Vec<f32> = acts
                .chunks(BLOCKS)
                .flat_map(|x| {
                    weights.chunks(weights.len() / rows).map(move |w| SCALAR.qdot(format, w, x))
                })
                .collect();
            for (kernels, side) in cases().filter(|(kernels, _)| kernels.has_gemm(format)) {
                let (w, x) = (w.input(side, &weights), x.input(side, &acts));
                let place = out.output(side, &vec![9.0; rows * columns]);
                let label =
                    format_args!("gemm of {rows} x {columns} {format}, {kernels:?}, {side:?}");
                call(label, || kernels.gemm(format, w, x, BLOCKS, &mut space, place));
                assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn packed_products_keep_to_their_slices_and_registers() {
    const MOST: usize = 2 * ROWS + 5;
    /// Columns lie further apart than there are rows.
    const STRIDE: usize = MOST + 1;
    let (mut w, mut x) = (Buffer::new(MOST * 2 * 1024), Buffer::new(2 * (NR + 3)));
    let (mut floats, mut bias) = (Buffer::new(513 * (NR + 3)), Buffer::new(MOST));
    let mut packed = Buffer::new((MOST + ROWS) * 2 * 1024 / 64);
    let mut scratch = Buffer::new(Workspace::LINES + MC * (NR + 3) / 16 + 16384);
    let mut out = Buffer::new(STRIDE * (NR + 3));
    for format in Format::ALL {
        let k = if format.block_len() == 32 { 288 } else { 512 };
        for (rows, columns) in
            [(1, 1), (5, NR + 1), (ROWS, 3), (ROWS + 9, 1), (2 * ROWS, 2), (MOST, NR + 3)]
        {
            let weights = row(format, rows * k / format.block_len());
            let acts = match format.activation() {
                None => Vec::new(),
                Some(scale) => (0..columns as u32).flat_map(|c| activations(scale, k, c)).collect(),
            };
            let columns_of_floats = values((columns - 1) * (k + 1) + k, 3);
            let (added, before) = (values(rows, 7), values(STRIDE * (columns - 1) + rows, 8));
            let mut want: Option<Vec<u32>> = None;
            let scalar = std::iter::once((SCALAR, Side::Start));
            for (kernels, side) in scalar.chain(cases()) {
                let plan = Plan::new(&kernels, format, rows, k, columns).expect("small");
                let lines = packed.output(side, &vec![Line::ZERO; plan.packed_lines()]);
                let label =
                    format_args!("packed {rows} x {k} x {columns} {format}, {kernels:?}, {side:?}");
                call(label, || plan.pack(0..rows, w.input(side, &weights), lines));
                let lines = packed.written().to_vec();
                let lines = packed.input(side, &lines);
                let x = match format.activation() {
                    None => Activations::Strided(floats.input(side, &columns_of_floats), k + 1),
                    Some(_) => Activations::Blocks(x.input(side, &acts)),
                };
                let space = scratch.output(side, &vec![Line::ZERO; plan.scratch_lines()]);
                let bias = Some(bias.input(side, &added));
                let epilogue = Epilogue { start: Start::Output, bias };
                let place = out.output(side, &before);
                let mut outputs = Outputs::with_stride(place, columns, rows, STRIDE);
                call(label, || plan.run(lines, x, &mut outputs, epilogue, space));
                scratch.written();
                let got = bits_of(out.written());
                assert_eq!(got, *want.get_or_insert(got.clone()), "{label}");
            }
        }
    }
}

#[test]
fn sgemm_keeps_to_its_slices_and_registers() {
    const MOST: usize = 34;
    let (mut a, mut b) = (Buffer::new(MOST * MOST), Buffer::new(MOST * MOST * 4));
    let (mut out, mut space) = (Buffer::new(MOST * MOST), Buffer::new(space_len(MOST, MOST, MOST)));
    for format in [Format::F32, Format::F16, Format::Bf16] {
        // Strips of each number of rows, whole panels and parts of one, and both orders of `b`.
        let shapes = (1..=15).map(|rows| [rows, 9, 16]);
        let shapes = shapes.chain((1..=17).map(|columns| [7, 8, columns]));
        let shapes = shapes.chain([[13, 17, 20], [14, 3, 32], [15, 9, 34]]);
        for [rows, depth, columns] in shapes {
            let x = values(rows * depth, 2);
            let weights = row(format, depth * columns);
            for strides in [[columns, 1], [1, depth]] {
                let product = |kernels: &quintile::kernels::Kernels,
                               x: &[f32],
                               w: &[u8],
                               out: &mut [f32],
                               space: &mut [Line]| {
                    let a = View::row_major(x, rows, depth);
                    let b = View::weights(format, w, [depth, columns], strides);
                    let c = ViewMut::row_major(out, rows, columns);
                    kernels.sgemm(a, b, c, Start::Zero, None, space);
                };
                let lines = vec![Line::ZERO; space_len(rows, depth, columns)];
                let mut want = vec![0.0; rows * columns];
                product(&SCALAR, &x, &weights, &mut want, &mut lines.clone());
                for (kernels, side) in cases() {
                    let (x, w) = (a.input(side, &x), b.input(side, &weights));
                    let lines = space.output(side, &lines);
                    let place = out.output(side, &vec![9.0; rows * columns]);
                    let label = format_args!(
                        "sgemm of {rows} x {depth} x {columns} {format} {strides:?}, {kernels:?}, {side:?}"
                    );
                    call(label, || product(&kernels, x, w, place, lines));
                    space.written();
                    assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
                }
            }
        }
    }
}
