//! Scratch memory of products, which threads take turns with.

use std::sync::{Mutex, PoisonError};

use crate::kernels::gemm::Workspace;
use crate::kernels::sgemm::Line;
use crate::matmul::Scratch;

/// As much scratch memory as threads have needed at once; none is given back before the session ends.
#[derive(Default)]
pub struct Workspaces(Mutex<Vec<Owned>>);

#[derive(Default)]
struct Owned {
    /// One, once there was need.
    space: Vec<Workspace>,
    tile: Vec<f32>,
    lines: Vec<Line>,
}

impl Workspaces {
    /// Calls `product` with scratch for so many columns, of `depth` where the format is not quantised, that nobody else
    /// has meanwhile; with none where so few need none.
    pub fn lend(
        &self,
        columns: usize,
        depth: Option<usize>,
        product: impl FnOnce(Option<&mut Scratch<'_>>),
    ) {
        let len = Scratch::tile_len(columns);
        if len == 0 {
            return product(None);
        }
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut owned = free().pop().unwrap_or_default();
        owned.space.resize(1, Workspace::ZERO);
        owned.tile.resize(len.max(owned.tile.len()), 0.0);
        let lines = depth.map_or(0, |depth| Scratch::lines_len(columns, depth));
        owned.lines.resize(lines.max(owned.lines.len()), Line::ZERO);
        product(Some(&mut Scratch::new(&mut owned.space[0], &mut owned.tile, &mut owned.lines)));
        free().push(owned);
    }
}
