//! Products of a batch: every token a column.

use crate::formats::{ActBlock, ActScale, SUPER_BLOCK};
use crate::kernels::{Kernels, gemm};
use crate::matmul::{self, Activations, OutputChunks, Outputs, Weights};

use super::config::Gate;
use super::divide::{Chunks, Strips};
use super::stats::{Operation, Timer};
use super::weights::Matrix;
use super::workspaces::Workspaces;
use super::{Model, Pool};

/// Values of a strip: rows of one call of a product, and whole blocks of activations.
const GATED: usize = gemm::MC;
const _: () = assert!(GATED.is_multiple_of(SUPER_BLOCK));

/// Columns that are worth unpacking a strip for: it costs as much as some of them.
const LEAST_COLUMNS: usize = 64;

/// Rows of activations as bytes, in each form that the matrices want which they are for; it grows to the largest seen.
#[derive(Default)]
pub struct Quantised {
    per_32: Vec<ActBlock>,
    per_256: Vec<ActBlock>,
    /// Blocks in use of each.
    lens: [usize; 2],
}

/// One row, or some, in both forms: empty in one that is not wanted.
pub type Row<'a> = (&'a mut [ActBlock], &'a mut [ActBlock]);

impl Quantised {
    /// Room for many rows, which are to be multiplied by this matrix, in strips that threads write. `None` where it does not want bytes,
    /// or rows or strips are too few for so many threads.
    pub fn strips(
        &mut self,
        rows: usize,
        matrix: &Matrix,
        threads: usize,
    ) -> Option<(ActScale, Strips<'_, ActBlock>)> {
        let scale = matrix.format().activation()?;
        // Results of few are too short to be kept from memory.
        let many = rows > gemm::FEW && matrix.k >= GATED / 2 * threads;
        many.then(|| {
            let _ = self.rows(rows, &[matrix]);
            let [len_32, len_256] = self.lens;
            let blocks = match scale {
                ActScale::Per32 => &mut self.per_32[..len_32],
                ActScale::Per256 => &mut self.per_256[..len_256],
            };
            (scale, Strips::of(blocks, rows, GATED / SUPER_BLOCK, threads, LEAST_COLUMNS))
        })
    }

    /// Room for `rows` of them, which are to be multiplied by these matrices: all in step, to be written.
    pub fn rows(
        &mut self,
        rows: usize,
        matrices: &[&Matrix],
    ) -> (Chunks<'_, ActBlock>, Chunks<'_, ActBlock>) {
        let len = |scale| {
            let wanted = matrices.iter().find(|m| m.format().activation() == Some(scale));
            wanted.map_or(0, |m| rows * ActBlock::count(m.k))
        };
        self.lens = [len(ActScale::Per32), len(ActScale::Per256)];
        let [per_32, per_256] = [&mut self.per_32, &mut self.per_256];
        for (blocks, len) in [(&mut *per_32, self.lens[0]), (&mut *per_256, self.lens[1])] {
            if blocks.len() < len {
                blocks.resize(len, ActBlock::ZERO);
            }
        }
        (
            Chunks::rows(&mut per_32[..self.lens[0]], rows),
            Chunks::rows(&mut per_256[..self.lens[1]], rows),
        )
    }
}

impl Quantised {
    /// One of so many rows, in both forms, as it was written.
    pub fn row(&self, row: usize, rows: usize) -> [&[ActBlock]; 2] {
        let [len_32, len_256] = self.lens.map(|len| len / rows);
        [
            &self.per_32[row * len_32..(row + 1) * len_32],
            &self.per_256[row * len_256..(row + 1) * len_256],
        ]
    }
}

/// Writes a row, in the forms that it has room in.
pub fn quantize(kernels: &Kernels, x: &[f32], (per_32, per_256): Row<'_>) {
    for (scale, out) in [(ActScale::Per32, per_32), (ActScale::Per256, per_256)] {
        if !out.is_empty() {
            kernels.quantize(scale, x, out);
        }
    }
}

/// Columns that are multiplied by matrices.
pub struct Columns<'a> {
    pub pool: &'a Pool,
    pub model: &'a Model,
    pub workspaces: &'a Workspaces,
    pub timer: Timer<'a>,
    /// How many.
    pub columns: usize,
    /// `[columns, k]`; nothing, if every matrix wants bytes.
    pub x: &'a [f32],
    pub quantised: &'a Quantised,
}

impl Columns<'_> {
    /// Computes every product; threads claim chunks of rows of all of them.
    pub fn multiply<const N: usize>(&self, products: [(&Matrix, &mut Vec<f32>); N]) {
        /// Bytes of weights that are worth a claim: about 2 us of memory's bandwidth.
        const LEAST_BYTES: usize = 32 << 10;
        let columns = self.columns;
        let threads = self.pool.threads();
        // Of many columns, a chunk must be worth what it takes to lay these out, which a workspace of rows shares.
        let total: usize = products.iter().map(|(m, _)| m.rows).sum();
        let many = total.div_ceil(4 * threads).next_multiple_of(gemm::ROWS).clamp(64, gemm::MC);
        let products = products.map(|(matrix, out)| {
            let (weights, x) = self.factors(matrix);
            let range = if columns > gemm::FEW {
                many..=many
            } else if matmul::Scratch::tile_len(columns) > 0 {
                // All that a chunk shares is the reading of weights: small ones keep threads from waiting for each other.
                gemm::ROWS..=many
            } else {
                let least = (LEAST_BYTES / weights.row_bytes().max(1)).next_multiple_of(gemm::MR);
                least.max(gemm::MR)..=usize::MAX
            };
            let outputs = Outputs::new(out, columns, matrix.rows);
            let timer = self.timer.of_tensor(matrix.tensor);
            (weights, x, OutputChunks::new(outputs, threads, range), timer)
        });
        let depth = depth(products.iter().map(|(weights, x, ..)| (weights, x)));
        let most: usize = products.iter().map(|(_, _, chunks, _)| chunks.most()).sum();
        self.pool.run_traced(self.timer.tracer, most.min(threads), |_| {
            self.workspaces.lend(|space| {
                let mut scratch = space.product(columns, depth);
                for (weights, x, chunks, timer) in &products {
                    while let Some(mut out) = chunks.claim() {
                        timer.weights(out.rows().len() * weights.row_bytes());
                        timer.time(Operation::Matmul(weights.format()), || {
                            let kernels = self.model.kernels();
                            matmul::run(kernels, weights, *x, &mut out, scratch.as_mut());
                        });
                    }
                }
            });
        });
    }

    /// Writes `f(gate) · up` as the columns of the next product, strip by strip, as [`Quantised::strips`] has them: the results of the
    /// two products are read by the thread that wrote them, and go no further.
    pub fn multiply_gated(
        &self,
        [gate, up]: [&Matrix; 2],
        f: Gate,
        scale: ActScale,
        next: Strips<'_, ActBlock>,
    ) {
        let kernels = self.model.kernels();
        let products = [gate, up].map(|matrix| {
            let (weights, x) = self.factors(matrix);
            (weights, x, self.timer.of_tensor(matrix.tensor))
        });
        let depth = depth(products.iter().map(|(weights, x, _)| (weights, x)));
        self.pool.each(self.timer.tracer, next, |_, mut next| {
            let columns = next.rows();
            let items = next.items();
            let rows = SUPER_BLOCK * items.start..gate.rows.min(SUPER_BLOCK * items.end);
            self.workspaces.lend(|space| {
                let (mut scratch, mut results) = space.gated(columns.len(), depth, rows.len());
                for ((weights, x, timer), results) in products.iter().zip(&mut results) {
                    let (weights, x) =
                        (weights.part(rows.clone()), x.columns(columns.clone(), weights.k()));
                    timer.weights(rows.len() * weights.row_bytes());
                    timer.time(Operation::Matmul(weights.format()), || {
                        let mut out = Outputs::new(results, columns.len(), rows.len());
                        matmul::run(kernels, &weights, x, &mut out, scratch.as_mut());
                    });
                }
                let [gates, ups] = results;
                self.timer.time(Operation::Gate, || f.apply(kernels, gates, ups));
                self.timer.time(Operation::Quantise, || {
                    for (column, gated) in columns.zip(gates.chunks_exact(rows.len())) {
                        kernels.quantize(scale, gated, next.row(column));
                    }
                });
            });
        });
    }

    /// A matrix, and the columns in the form that it wants.
    pub fn factors(&self, matrix: &Matrix) -> (Weights<'_>, Activations<'_>) {
        let Quantised { per_32, per_256, lens } = self.quantised;
        let (per_32, per_256) = (&per_32[..lens[0]], &per_256[..lens[1]]);
        let x = Activations::for_format(matrix.format(), self.x, per_32, per_256);
        (self.model.weights(matrix), x)
    }
}

/// The longest row of a matrix that is not quantised.
pub fn depth<'a>(
    products: impl Iterator<Item = (&'a Weights<'a>, &'a Activations<'a>)>,
) -> Option<usize> {
    products.filter(|(_, x)| matches!(x, Activations::F32(_))).map(|(weights, _)| weights.k()).max()
}
