//! Products of a batch: every token a column.

use crate::formats::{ActBlock, ActScale};
use crate::kernels::{Kernels, gemm};
use crate::matmul::{self, Activations, OutputChunks, Outputs};

use super::weights::Matrix;
use super::workspaces::Workspaces;
use super::{Model, Pool};

/// The columns of one or more products, in every form that their matrices' formats want.
pub struct Columns<'a> {
    pool: &'a Pool,
    model: &'a Model,
    workspaces: &'a Workspaces,
    count: usize,
    f32: &'a [f32],
    per_32: &'a [ActBlock],
    per_256: &'a [ActBlock],
}

impl<'a> Columns<'a> {
    /// Quantises `x`, rows of as many values as the matrices have columns, as these want it.
    pub fn new(
        pool: &'a Pool,
        model: &'a Model,
        workspaces: &'a Workspaces,
        x: &'a [f32],
        per_32: &'a mut Vec<ActBlock>,
        per_256: &'a mut Vec<ActBlock>,
        matrices: &[&Matrix],
    ) -> Self {
        let k = matrices[0].k;
        for (scale, out) in [(ActScale::Per32, &mut *per_32), (ActScale::Per256, &mut *per_256)] {
            if matrices.iter().any(|m| m.format().activation() == Some(scale)) {
                quantize_rows(pool, model.kernels(), scale, x, k, out);
            }
        }
        Columns { pool, model, workspaces, count: x.len() / k, f32: x, per_32, per_256 }
    }

    /// Computes every product; threads claim chunks of rows of all of them.
    pub fn multiply<const N: usize>(&self, products: [(&Matrix, &mut Vec<f32>); N]) {
        let total: usize = products.iter().map(|(m, _)| m.rows).sum();
        // A slow thread must not hold up the others; a chunk must be worth its claim, and of many columns what it takes
        // to lay these out, which a workspace of rows shares.
        let (per_thread, range) = if matmul::Scratch::tile_len(self.count) > 0 {
            (4, 64..=gemm::MC)
        } else {
            (8, 16..=usize::MAX)
        };
        let chunk = total.div_ceil(self.pool.threads() * per_thread).next_multiple_of(gemm::ROWS);
        let chunk = chunk.clamp(*range.start(), *range.end());
        let products = products.map(|(matrix, out)| {
            let x = Activations::for_format(matrix.format(), self.f32, self.per_32, self.per_256);
            let outputs = Outputs::new(out, self.count, matrix.rows);
            (self.model.weights(matrix), x, OutputChunks::new(outputs, chunk))
        });
        let tasks = products.iter().map(|(_, _, chunks)| chunks.count()).sum();
        self.pool.run(tasks, |_| {
            let mut claims = products.iter().map(|(w, x, chunks)| (w, *x, chunks.claim()));
            let claimed = claims.find_map(|(w, x, out)| Some((w, x, out?)));
            let (weights, x, mut out) = claimed.expect("as many tasks as chunks");
            let depth = matches!(x, Activations::F32(_)).then(|| weights.k());
            self.workspaces.lend(self.count, depth, |scratch| {
                matmul::run(self.model.kernels(), weights, x, &mut out, scratch);
            });
        });
    }
}

fn quantize_rows(
    pool: &Pool,
    kernels: &Kernels,
    scale: ActScale,
    x: &[f32],
    k: usize,
    out: &mut Vec<ActBlock>,
) {
    let blocks = ActBlock::count(k);
    out.resize(x.len() / k * blocks, ActBlock::ZERO);
    pool.chunks_mut(out, blocks, |row, out| {
        kernels.quantize(scale, &x[row * k..(row + 1) * k], out);
    });
}
