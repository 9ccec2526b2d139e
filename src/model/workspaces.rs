//! Scratch memory of pieces of work, which threads take turns with.

use std::sync::{Mutex, PoisonError};

use crate::kernels::attention::Softmax;
use crate::kernels::gemm;
use crate::kernels::sgemm::Line;
use crate::matmul::Scratch;

/// As much scratch memory as threads have needed at once; none is given back before the session ends.
#[derive(Default)]
pub struct Workspaces {
    free: Mutex<Vec<Workspace>>,
    partials: Mutex<Partials>,
}

/// What attention leaves until it is merged: of pieces that threads share, so that there is one for all.
#[derive(Default)]
pub struct Partials {
    states: Vec<Softmax>,
    outputs: Vec<f32>,
}

/// What one thread needs; it grows to the largest piece of work seen.
#[derive(Default)]
pub struct Workspace {
    /// One, once there was need.
    panels: Vec<gemm::Workspace>,
    /// Results of a product, or of attention.
    results: Vec<f32>,
    /// Those of a gate's two products.
    gated: Vec<f32>,
    lines: Vec<Line>,
    states: Vec<Softmax>,
}

impl Workspaces {
    /// Makes one for each of so many threads, each with the scratch of products of so many columns.
    pub fn reserve(&self, threads: usize, columns: usize) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = threads.saturating_sub(free.len());
        free.extend((0..missing).map(|_| Workspace::default()));
        for space in &mut *free {
            let _ = space.gated(columns, None, gemm::MC);
        }
    }

    /// Calls `work` with a workspace that nobody else has meanwhile.
    pub fn lend(&self, work: impl FnOnce(&mut Workspace)) {
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut space = free().pop().unwrap_or_default();
        work(&mut space);
        free().push(space);
    }

    /// Calls `work` with what is left of pieces: for one caller at a time.
    pub fn partials(&self, work: impl FnOnce(&mut Partials)) {
        work(&mut self.partials.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Partials {
    /// The softmax of so many queries so far; and of so many others softmax and output.
    pub fn attention(
        &mut self,
        queries: usize,
        others: usize,
        head_dim: usize,
    ) -> (&mut [Softmax], &mut [Softmax], &mut [f32]) {
        let states = grown(&mut self.states, queries + others, Softmax::EMPTY);
        let (states, others_states) = states.split_at_mut(queries);
        (states, others_states, grown(&mut self.outputs, others * head_dim, 0.0))
    }
}

impl Workspace {
    /// Scratch of a product of so many columns, of `depth` where the format is not quantised; none where so few need none.
    pub fn product(&mut self, columns: usize, depth: Option<usize>) -> Option<Scratch<'_>> {
        self.gated(columns, depth, 0).0
    }

    /// As [`product`](Self::product), with room for so many rows of two products.
    pub fn gated(
        &mut self,
        columns: usize,
        depth: Option<usize>,
        rows: usize,
    ) -> (Option<Scratch<'_>>, [&mut [f32]; 2]) {
        let both = grown(&mut self.gated, 2 * rows * columns, 0.0);
        let len = Scratch::tile_len(columns);
        let scratch = (len > 0).then(|| {
            self.panels.resize(1, gemm::Workspace::ZERO);
            let lines = depth.map_or(0, |depth| Scratch::lines_len(columns, depth));
            let lines = grown(&mut self.lines, lines, Line::ZERO);
            Scratch::new(&mut self.panels[0], grown(&mut self.results, len, 0.0), lines)
        });
        (scratch, both.split_at_mut(rows * columns).into())
    }

    /// So many numbers, whatever they are.
    pub fn floats(&mut self, len: usize) -> &mut [f32] {
        grown(&mut self.results, len, 0.0)
    }

    /// Of so many queries: their softmax so far, that of the next keys, and what these add.
    pub fn attention(
        &mut self,
        queries: usize,
        head_dim: usize,
    ) -> (&mut [Softmax], &mut [Softmax], &mut [f32]) {
        let states = grown(&mut self.states, 2 * queries, Softmax::EMPTY);
        let (states, next) = states.split_at_mut(queries);
        (states, next, grown(&mut self.results, queries * head_dim, 0.0))
    }
}

/// The first `len` elements, whatever they hold.
fn grown<T: Copy>(buffer: &mut Vec<T>, len: usize, fill: T) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, fill);
    }
    &mut buffer[..len]
}
