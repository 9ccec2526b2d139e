//! Products of the matmul layer, packed or not, with and without what is added to them.

use std::ops::Range;

use half::{bf16, f16};
use quickcheck::{Arbitrary, Gen};
use quintile::formats::{ActBlock, Format};
use quintile::kernels::Kernels;
use quintile::kernels::gemm::{MC, ROWS, Workspace};
use quintile::kernels::sgemm::{Line, Start};
use quintile::matmul::{self, Activations, Epilogue, Outputs, Plan, Scratch, Weights};

use crate::draw::*;

/// Elements between columns of the output that belong to none.
const GAP: usize = 3;

/// A product, and what each of its elements must be.
struct Case {
    format: Format,
    rows: usize,
    k: usize,
    columns: usize,
    weights: Vec<u8>,
    /// Of unquantised formats: columns, `stride` values apart.
    floats: Vec<f32>,
    stride: usize,
    blocks: Vec<ActBlock>,
    start: Start,
    bias: Option<Vec<f32>>,
    /// The output, in columns `rows + GAP` apart, before and after.
    before: Vec<f32>,
    want: Vec<f32>,
}

impl Case {
    fn new(g: &mut Gen, format: Format, rows: usize, k: usize, columns: usize) -> Case {
        let weights: Vec<u8> = match format {
            Format::F32 => tame(g, rows * k).iter().flat_map(|x| x.to_le_bytes()).collect(),
            Format::F16 => {
                tame(g, rows * k).iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
            }
            Format::Bf16 => {
                tame(g, rows * k).iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect()
            }
            _ => (0..rows).flat_map(|_| hard_row(g, format, k / format.block_len())).collect(),
        };
        let stride = k + usize::arbitrary(g) % 3;
        let floats = tame(g, columns * stride);
        let blocks = match format.activation() {
            None => Vec::new(),
            Some(scale) => (0..columns).flat_map(|_| activations(g, scale, k)).collect(),
        };
        let start = if bool::arbitrary(g) { Start::Zero } else { Start::Output };
        let bias = bool::arbitrary(g).then(|| any(g, rows));
        let before = any(g, columns * (rows + GAP));
        let mut want = before.clone();
        for (c, out) in want.chunks_exact_mut(rows + GAP).enumerate() {
            for (r, out) in out[..rows].iter_mut().enumerate() {
                let row = &weights[r * (weights.len() / rows)..][..weights.len() / rows];
                let added = if start == Start::Output { *out } else { 0.0 };
                *out = if format.activation().is_some() {
                    let n = ActBlock::count(k);
                    let dot = SCALAR.qdot(format, row, &blocks[c * n..][..n]);
                    if start == Start::Output { added + dot } else { dot }
                } else {
                    let mut chain = [added];
                    SCALAR.chain_onto(format, row, &floats[c * stride..][..k], &mut chain);
                    chain[0]
                };
                *out = bias.as_ref().map_or(*out, |bias| *out + bias[r]);
            }
        }
        Case {
            format,
            rows,
            k,
            columns,
            weights,
            floats,
            stride,
            blocks,
            start,
            bias,
            before,
            want,
        }
    }

    fn activations(&self) -> Activations<'_> {
        match self.format.activation() {
            None => Activations::Strided(&self.floats, self.stride),
            Some(_) => Activations::Blocks(&self.blocks),
        }
    }

    fn epilogue(&self) -> Epilogue<'_> {
        Epilogue { start: self.start, bias: self.bias.as_deref() }
    }

    /// Calls `run` for each of some ranges of rows of the output, the last first.
    fn outputs(&self, ranges: &[Range<usize>], mut run: impl FnMut(&mut Outputs<'_>)) -> Vec<f32> {
        let mut out = self.before.clone();
        let stride = self.rows + GAP;
        let mut rest = Outputs::with_stride(&mut out, self.columns, self.rows, stride);
        for range in ranges.iter().rev() {
            let (before, mut part) = rest.split_at(range.start);
            run(&mut part);
            rest = before;
        }
        out
    }

    fn assert(&self, got: &[f32], what: &str) {
        for (at, (&got, &want)) in got.iter().zip(&self.want).enumerate() {
            let Case { format, rows, k, columns, start, .. } = self;
            let (c, r, bias) = (at / (rows + GAP), at % (rows + GAP), self.bias.is_some());
            assert!(
                same(got, want),
                "{what} {format} {rows} x {k} x {columns}, {start:?}, bias {bias}, row {r}, column {c}: {got:e}, not {want:e}"
            );
        }
    }

    /// Packed in some ranges, and multiplied in others.
    fn assert_packed(&self, kernels: &Kernels, packing: &[Range<usize>], running: &[Range<usize>]) {
        let &Case { format, rows, k, columns, .. } = self;
        let plan = Plan::new(kernels, format, rows, k, columns + 1).expect("small");
        // Bits that count nowhere are NaN.
        let mut packed = vec![Line::ZERO; plan.packed_lines()];
        Line::bytes_mut(&mut packed).fill(0xff);
        let row_bytes = format.row_bytes(k).expect("whole blocks");
        for rows in packing.iter().rev() {
            let bytes = &self.weights[rows.start * row_bytes..rows.end * row_bytes];
            plan.pack(rows.clone(), bytes, &mut packed[plan.lines(rows.clone())]);
        }
        let mut scratch = vec![Line::ZERO; plan.scratch_lines()];
        let got = self.outputs(running, |out| {
            Line::bytes_mut(&mut scratch).fill(0xff);
            plan.run(&packed, self.activations(), out, self.epilogue(), &mut scratch);
        });
        self.assert(&got, &format!("{kernels:?} packed"));
    }

    /// As the rows are, with scratch and without.
    fn assert_unpacked(&self, kernels: &Kernels, ranges: &[Range<usize>]) {
        let &Case { format, rows, k, columns, .. } = self;
        let w = Weights::new(format, rows, k, &self.weights).expect("agrees");
        let (x, epilogue) = (self.activations(), self.epilogue());
        let got = self.outputs(ranges, |out| matmul::run_with(kernels, &w, x, out, None, epilogue));
        self.assert(&got, &format!("{kernels:?} without scratch"));
        let mut space = Box::new(Workspace::ZERO);
        let mut tile = vec![f32::NAN; Scratch::tile_len(columns)];
        let mut lines = vec![Line::ZERO; Scratch::lines_len(columns, k)];
        let mut scratch = Scratch::new(&mut space, &mut tile, &mut lines);
        let got = self.outputs(ranges, |out| {
            matmul::run_with(kernels, &w, x, out, Some(&mut scratch), epilogue);
        });
        self.assert(&got, &format!("{kernels:?} with scratch"));
    }
}

/// `0..rows`, cut at multiples of some step.
fn cut(g: &mut Gen, rows: usize, step: usize) -> Vec<Range<usize>> {
    let mut cuts = vec![0];
    cuts.extend((1..rows.div_ceil(step)).map(|i| i * step).filter(|_| bool::arbitrary(g)));
    let ends = cuts[1..].iter().copied().chain([rows]).collect::<Vec<_>>();
    cuts.into_iter().zip(ends).map(|(start, end)| start..end).collect()
}

fn assert_product(g: &mut Gen, format: Format, rows: usize, k: usize, columns: usize) {
    let case = Case::new(g, format, rows, k, columns);
    for kernels in siblings().chain([SCALAR]) {
        case.assert_packed(&kernels, &cut(g, rows, ROWS), &cut(g, rows, ROWS));
        case.assert_unpacked(&kernels, &cut(g, rows, 5));
    }
}

#[test]
fn products_equal_scalar_dots_for_every_format_range_number_of_columns_and_epilogue() {
    check(50, |g| {
        let (rows, columns) = (1 + usize::arbitrary(g) % 100, 1 + usize::arbitrary(g) % 20);
        for format in Format::ALL {
            let k = format.block_len() * (usize::arbitrary(g) % (600 / format.block_len()).min(20));
            assert_product(g, format, rows, k, columns);
        }
    });
}

#[test]
fn products_of_one_to_twenty_columns_equal_scalar_dots() {
    let mut g = Gen::from_size_and_seed(64, 21);
    for columns in 1..=20 {
        for format in Format::ALL {
            assert_product(&mut g, format, ROWS + 5, 256, columns);
        }
    }
}

#[test]
fn products_of_one_row_to_more_than_two_panels_equal_scalar_dots() {
    let mut g = Gen::from_size_and_seed(64, 22);
    for rows in 1..=2 * ROWS + 1 {
        for format in quantised_formats() {
            assert_product(&mut g, format, rows, 256, 7);
        }
    }
}

#[test]
fn products_of_more_rows_than_a_block_and_of_long_rows_equal_scalar_dots() {
    let mut g = Gen::from_size_and_seed(64, 23);
    for format in Format::ALL {
        assert_product(&mut g, format, 3 * MC + ROWS + 3, 256, 2);
        // More than 568 blocks of 32, and than 12 super-blocks; of K formats, an odd number.
        assert_product(&mut g, format, 19, 75 * 256, 9);
    }
}

#[test]
#[should_panic(expected = "rows 0..40 are no multiple of 32")]
fn a_range_that_cuts_a_panel_is_refused() {
    let plan = Plan::new(&SCALAR, Format::Q5K, 100, 256, 1).expect("small");
    plan.lines(0..40);
}

#[test]
#[should_panic(expected = "3 columns, planned 2")]
fn more_columns_than_planned_are_refused() {
    let plan = Plan::new(&SCALAR, Format::F32, 1, 1, 2).expect("small");
    let mut out = [0.0; 3];
    let mut out = Outputs::new(&mut out, 3, 1);
    let packed = vec![Line::ZERO; plan.packed_lines()];
    plan.run(&packed, Activations::F32(&[1.0; 3]), &mut out, Epilogue::NONE, &mut []);
}

#[test]
fn a_plan_that_cannot_be_is_an_error() {
    for kernels in siblings().chain([SCALAR]) {
        for format in Format::ALL {
            let sizes = [usize::MAX, 1 << 62, usize::MAX / 2 + 1, 1 << 50];
            for most in sizes.map(|size| size - size % 256) {
                for [rows, k, columns] in
                    [[most, 256, 1], [2, most, 1], [1, 256, most], [0, most, 0]]
                {
                    let plan = Plan::new(&kernels, format, rows, k, columns);
                    if most > 1 << 50 {
                        let error = plan.expect_err("too large").to_string();
                        assert!(error.contains("more than memory can hold"), "{error}");
                    }
                }
            }
            if format.block_len() > 1 {
                let error = Plan::new(&kernels, format, 1, 33, 1).expect_err("no block of 33");
                let want = format!("rows of 33 are no whole number of {format} blocks");
                assert_eq!(error.to_string(), want);
            }
            // Neither rows, columns nor values.
            for [rows, k, columns] in [[0, 256, 3], [3, 0, 3], [3, 256, 0], [0, 0, 0]] {
                let plan = Plan::new(&kernels, format, rows, k, columns).expect("small");
                let mut packed = vec![Line::ZERO; plan.packed_lines()];
                let w = vec![0; rows * format.row_bytes(k).expect("whole blocks")];
                plan.pack(0..rows, &w, &mut packed);
                let blocks = vec![ActBlock::ZERO; columns * ActBlock::count(k)];
                let floats = vec![0.0; columns * k];
                let x = Activations::for_format(format, &floats, &blocks, &blocks);
                let mut out = vec![9.0; columns * rows];
                let mut outputs = Outputs::new(&mut out, columns, rows);
                let mut scratch = vec![Line::ZERO; plan.scratch_lines()];
                plan.run(&packed, x, &mut outputs, Epilogue::NONE, &mut scratch);
                assert!(out.iter().all(|&y| y == 0.0), "{kernels:?} {format}");
            }
        }
    }
}
