//! Parts of operands, and how they are copied where no sibling does it faster.

use super::view::{Elements, View};
use crate::formats::Format;
use crate::kernels::arith::Arith;
use crate::kernels::chain::scalar::{Bf16, F16, F32, Weight};

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An f32 of this machine.
    Native,
    F32,
    F16,
    Bf16,
}

/// From an element of an operand on: element (i, j) is `i * row + j * column` elements behind `start`, at any address.
#[derive(Clone, Copy)]
pub struct Source {
    pub start: *const u8,
    pub kind: Kind,
    pub row: usize,
    pub column: usize,
}

impl Source {
    pub fn of(view: View<'_>) -> Source {
        let (start, kind) = match view.elements {
            Elements::Floats(floats) => (floats.as_ptr().cast(), Kind::Native),
            Elements::Bytes(Format::F16, bytes) => (bytes.as_ptr(), Kind::F16),
            Elements::Bytes(Format::Bf16, bytes) => (bytes.as_ptr(), Kind::Bf16),
            Elements::Bytes(_, bytes) => (bytes.as_ptr(), Kind::F32),
        };
        Source { start, kind, row: view.row_stride, column: view.column_stride }
    }

    /// From element (i, j) on.
    pub fn at(self, i: usize, j: usize) -> Source {
        let width = match self.kind {
            Kind::Native | Kind::F32 => 4,
            Kind::F16 | Kind::Bf16 => 2,
        };
        let offset = (i * self.row + j * self.column) * width;
        Source { start: self.start.wrapping_add(offset), ..self }
    }

    /// Its numbers, where a micro-kernel can read rows of them in place.
    pub fn floats(self) -> Option<*const f32> {
        let are_floats = match self.kind {
            Kind::Native => true,
            Kind::F32 => cfg!(target_endian = "little"),
            Kind::F16 | Kind::Bf16 => false,
        };
        let start: *const f32 = self.start.cast();
        (are_floats && self.column == 1 && start.is_aligned()).then_some(start)
    }

    /// # Safety
    /// The element exists.
    #[inline(always)]
    pub unsafe fn read<A: Arith>(self, i: usize, j: usize) -> f32 {
        let at = self.at(i, j).start;
        // SAFETY: the caller promises the element, of these bytes.
        unsafe {
            match self.kind {
                Kind::Native => at.cast::<f32>().read_unaligned(),
                Kind::F32 => one::<A, F32, 4>(at),
                Kind::F16 => one::<A, F16, 2>(at),
                Kind::Bf16 => one::<A, Bf16, 2>(at),
            }
        }
    }
}

/// A number of this machine.
pub struct Native;

impl Weight for Native {
    const BYTES: usize = 4;
    #[inline(always)]
    fn load8<A: Arith>(bytes: &[u8]) -> [f32; 8] {
        let words = bytes.as_chunks::<4>().0.first_chunk::<8>().expect("eight numbers");
        words.map(f32::from_ne_bytes)
    }
}

/// # Safety
/// `N` bytes can be read.
#[inline(always)]
unsafe fn one<A: Arith, W: Weight, const N: usize>(at: *const u8) -> f32 {
    let mut bytes = [0; 8 * 4];
    // SAFETY: the caller promises the bytes.
    bytes[..N].copy_from_slice(unsafe { core::slice::from_raw_parts(at, N) });
    W::load8::<A>(&bytes)[0]
}

/// Copies elements: (i, j) to `out[i * out_row + j]`.
///
/// # Safety
/// As for [`Tile::gather`](super::Tile::gather).
#[inline(always)]
pub unsafe fn gather<A: Arith>(
    source: Source,
    rows: usize,
    columns: usize,
    out: *mut f32,
    out_row: usize,
) {
    if source.column == 1 {
        // SAFETY: as the caller promises.
        return unsafe {
            match source.kind {
                Kind::Native => rows_of::<A, Native>(source, rows, columns, out, out_row),
                Kind::F32 => rows_of::<A, F32>(source, rows, columns, out, out_row),
                Kind::F16 => rows_of::<A, F16>(source, rows, columns, out, out_row),
                Kind::Bf16 => rows_of::<A, Bf16>(source, rows, columns, out, out_row),
            }
        };
    }
    for i in 0..rows {
        for j in 0..columns {
            // SAFETY: the caller promises the elements and the room.
            unsafe { *out.add(i * out_row + j) = source.read::<A>(i, j) };
        }
    }
}

/// Elements of a row lie one behind the other.
///
/// # Safety
/// As for [`gather`]; the elements are of this kind.
#[inline(always)]
unsafe fn rows_of<A: Arith, W: Weight>(
    source: Source,
    rows: usize,
    columns: usize,
    out: *mut f32,
    out_row: usize,
) {
    for i in 0..rows {
        // SAFETY: the caller promises the elements and the room.
        let (from, to) = unsafe {
            let from = core::slice::from_raw_parts(source.at(i, 0).start, columns * W::BYTES);
            (from, core::slice::from_raw_parts_mut(out.add(i * out_row), columns))
        };
        let (body, tail) = to.as_chunks_mut::<8>();
        for (to, from) in body.iter_mut().zip(from.chunks_exact(8 * W::BYTES)) {
            *to = W::load8::<A>(from);
        }
        if !tail.is_empty() {
            let mut padded = [0; 8 * 4];
            let rest = &from[from.len() - tail.len() * W::BYTES..];
            padded[..rest.len()].copy_from_slice(rest);
            tail.copy_from_slice(&W::load8::<A>(&padded)[..tail.len()]);
        }
    }
}
