//! What becomes of a product: it replaces what the output holds or is added to it, with a bias or without.

use core::ops::Range;

use super::Outputs;
use crate::kernels::sgemm::Start;

/// `C = A B`, `C += A B`, either with a bias: an element for each row of the weights, the same for all columns.
///
/// # Contract
/// - F32, F16 and BF16: the chain begins as `+0`, or as what the output holds; at last the bias is added. That is
///   [`sgemm`](crate::kernels::sgemm)'s contract.
/// - Quantised formats: `y` is the dot, as without an epilogue; `y = out + y` where the output is added to, then
///   `y = y + bias`. Each is one addition of f32, rounded.
///
/// So an epilogue changes no bit of what is added: a residual or a bias of a whole network can move into the product before
/// it, or out of it, where formats are quantised.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// Whether the product replaces what the output holds.
    pub start: Start,
    /// What is added at last: an element for each row of the matrix, whatever rows are computed.
    pub bias: Option<&'a [f32]>,
}

impl<'a> Epilogue<'a> {
    /// The product, and nothing else.
    pub const NONE: Epilogue<'static> = Epilogue { start: Start::Zero, bias: None };

    /// Whether it is [`NONE`](Self::NONE).
    pub(super) fn is_none(&self) -> bool {
        self.start == Start::Zero && self.bias.is_none()
    }

    /// With a bias.
    pub const fn bias(bias: &'a [f32]) -> Self {
        Epilogue { start: Start::Zero, bias: Some(bias) }
    }

    /// A bias must be of the matrix.
    pub(super) fn assert_fits(&self, rows: usize) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), rows, "matmul: elements of the bias");
        }
    }

    /// Adds the bias of rows from `row` on.
    pub(super) fn add_bias(&self, row: usize, out: &mut [f32]) {
        if let Some(bias) = self.bias {
            out.iter_mut().zip(&bias[row..]).for_each(|(out, bias)| *out += bias);
        }
    }

    /// Writes the dots of rows from `row` on.
    pub(super) fn write(&self, row: usize, dots: &[f32], out: &mut [f32]) {
        match self.start {
            Start::Zero => out.copy_from_slice(dots),
            Start::Output => out.iter_mut().zip(dots).for_each(|(out, dot)| *out += dot),
        }
        self.add_bias(row, out);
    }

    /// Writes the dots of some rows and all columns, which lie `stride` elements apart.
    pub(super) fn spread(
        &self,
        tile: &[f32],
        stride: usize,
        rows: Range<usize>,
        out: &mut Outputs<'_>,
    ) {
        let first = rows.start - out.rows().start;
        for (c, dots) in tile.chunks_exact(stride).enumerate() {
            self.write(rows.start, &dots[..rows.len()], &mut out.column(c)[first..][..rows.len()]);
        }
    }
}
