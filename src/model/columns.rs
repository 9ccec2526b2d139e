//! Products of a batch: every token a column.

use crate::formats::{ActBlock, ActScale};
use crate::kernels::{Kernels, gemm};
use crate::matmul::{self, Activations, OutputChunks, Outputs};

use super::divide::Chunks;
use super::stats::{Operation, Timer};
use super::weights::Matrix;
use super::workspaces::Workspaces;
use super::{Model, Pool};

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
    /// `[columns, k]`.
    pub x: &'a [f32],
    pub quantised: &'a Quantised,
}

impl Columns<'_> {
    /// Computes every product; threads claim chunks of rows of all of them.
    pub fn multiply<const N: usize>(&self, products: [(&Matrix, &mut Vec<f32>); N]) {
        /// Bytes of weights that are worth a claim: about 2 us of memory's bandwidth.
        const LEAST_BYTES: usize = 32 << 10;
        let columns = self.x.len() / products[0].0.k;
        let threads = self.pool.threads();
        // Of many columns, a chunk must be worth what it takes to lay these out, which a workspace of rows shares.
        let total: usize = products.iter().map(|(m, _)| m.rows).sum();
        let many = total.div_ceil(4 * threads).next_multiple_of(gemm::ROWS).clamp(64, gemm::MC);
        let Quantised { per_32, per_256, lens } = self.quantised;
        let products = products.map(|(matrix, out)| {
            let (per_32, per_256) = (&per_32[..lens[0]], &per_256[..lens[1]]);
            let x = Activations::for_format(matrix.format(), self.x, per_32, per_256);
            let weights = self.model.weights(matrix);
            let range = if matmul::Scratch::tile_len(columns) > 0 {
                many..=many
            } else {
                let least = (LEAST_BYTES / weights.row_bytes().max(1)).next_multiple_of(gemm::MR);
                least.max(gemm::MR)..=usize::MAX
            };
            let outputs = Outputs::new(out, columns, matrix.rows);
            (weights, x, OutputChunks::new(outputs, threads, range))
        });
        let floats = products.iter().filter(|(_, x, _)| matches!(x, Activations::F32(_)));
        let depth = floats.map(|(weights, ..)| weights.k()).max();
        let most: usize = products.iter().map(|(_, _, chunks)| chunks.most()).sum();
        self.pool.run(most.min(threads), |_| {
            self.workspaces.lend(|space| {
                let mut scratch = space.product(columns, depth);
                for (weights, x, chunks) in &products {
                    while let Some(mut out) = chunks.claim() {
                        self.timer.weights(out.rows().len() * weights.row_bytes());
                        self.timer.time(Operation::Matmul(weights.format()), || {
                            let kernels = self.model.kernels();
                            matmul::run(kernels, weights, *x, &mut out, scratch.as_mut());
                        });
                    }
                }
            });
        });
    }
}
