//! The five loops around a micro-kernel.

use core::ops::Range;

use super::pack::Source;
use super::{Line, MOST_COLUMNS, MOST_ROWS, Product, Start, Strip, Tile};

/// Depth of a block, where a micro-kernel does not say less. A panel of `b`, of 16 columns, stays in the first-level cache while strips of `a` pass, in as many
/// of `ways` as leave one for `c` and the rest to `a` by the sides of the micro-kernel: `(ways - 1) / (1 + 6/16)` (Low et
/// al., "Analytical modeling is enough for high-performance BLIS", 2016), of twelve eight, 32 KiB (Zen 5, Intel since
/// 2019). Of eight (Zen 2 to 4), five, a depth of 320; there a panel comes from the second-level cache in part, at 11
/// bytes a cycle of 32 that it gives.
pub const KC: usize = 512;
/// Rows of a block: packed, `a` takes 336 KiB, a third of a second-level cache of 1 MiB and two thirds of one of 512
/// KiB. Larger blocks were no faster.
pub const MC: usize = 168;
/// Columns of a block: packed, `b` takes 4 MiB, about what a core has of the third-level caches of today.
pub const NC: usize = 2048;

/// A block of `b` of so many elements at most stays in place: with that of `a` it fits a first-level cache.
const SMALL: usize = 64 * 64;
/// Rows of `a` that are so many elements apart at most stay in place: six take at most three ways of a first-level cache,
/// and a block six of a second-level cache of 1 MiB. Rows 4 KiB apart would compete for a few lines.
const NEAR: usize = 512;

/// A block of `b` of more elements, 2 MiB, is prefetched, panel by panel, and so is the output: of 1024 columns that cost
/// as much as it saved, of 512 1 to 2%; of 2048 it saved 1 to 5%.
const FAR: usize = 512 << 10;

/// Multiplies by a sibling's micro-kernel.
///
/// # Safety
/// As for [`Sgemm`](super::Sgemm), with the features of the tile.
pub unsafe fn multiply<T: Tile>(product: &Product<'_>, space: &mut [Line]) {
    const { assert!(T::MR <= MOST_ROWS && T::NR <= MOST_COLUMNS) };
    const { assert!(T::KC <= KC && NC.is_multiple_of(T::NR)) };
    let &Product { rows, depth, columns, .. } = product;
    if depth == 0 {
        // SAFETY: the caller's promise.
        return unsafe { product.finish(0..rows, 0..columns) };
    }
    let (mc, kc, nc) = (even(rows, MC, T::MR), even(depth, T::KC, 1), even(columns, NC, T::NR));
    let (a_space, b_space) = space.split_at_mut((mc.min(rows) * kc).div_ceil(16));
    for j in steps(columns, nc) {
        for p in steps(depth, kc) {
            let b = product.b.at(p.start, j.start);
            // SAFETY: a part of the operand, and `space_len` counts room for it.
            let mut b = unsafe { Panels::pack::<T>(b, p.len(), j.len(), rows, b_space) };
            for i in steps(rows, mc) {
                let a = product.a.at(i.start, p.start);
                // SAFETY: as above.
                let a = unsafe { Rows::pack::<T>(a, i.len(), p.len(), columns, a_space) };
                for jr in steps(j.len(), T::NR) {
                    for ir in steps(i.len(), T::MR) {
                        if b.is_far() {
                            b.prefetch::<T>(jr.end, &ir, i.len());
                        }
                        let c = Corner { product, row: i.start, column: j.start };
                        let from_output = p.start > 0 || product.start == Start::Output;
                        // SAFETY: both parts are packed, and their product is a part of the output.
                        unsafe { c.multiply::<T>(&a, &b, ir, &jr, from_output) };
                    }
                }
                b.are_packed();
                if p.end == depth {
                    // SAFETY: a part of the output.
                    unsafe { product.finish(i, j.clone()) };
                }
            }
        }
    }
}

/// Parts of `0..end`, each of `step` but the last.
fn steps(end: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..end).step_by(step).map(move |start| start..end.min(start + step))
}

/// The size of parts of `total` that are as few as parts of `most` would be, but equal: a multiple.
fn even(total: usize, most: usize, multiple: usize) -> usize {
    let parts = total.div_ceil(most - most % multiple).max(1);
    total.div_ceil(parts).next_multiple_of(multiple).max(multiple)
}

/// A block of `a`, rows of floats.
struct Rows {
    start: *const f32,
    /// Elements from row to row.
    row: usize,
    rows: usize,
}

impl Rows {
    /// # Safety
    /// The source has the elements, and `space` room for them.
    unsafe fn pack<T: Tile>(
        source: Source,
        rows: usize,
        depth: usize,
        columns: usize,
        space: &mut [Line],
    ) -> Rows {
        if let Some(start) = source.floats()
            && (source.row <= NEAR || columns <= T::NR)
        {
            return Rows { start, row: source.row, rows };
        }
        debug_assert!(rows * depth <= 16 * space.len());
        let out = space.as_mut_ptr().cast();
        // SAFETY: the caller promises the elements and the room.
        unsafe { T::gather(source, rows, depth, out, depth) };
        Rows { start: out, row: depth, rows }
    }
}

/// Where whole panels of a block lie.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Where the caller has them.
    Source,
    /// There, and the first strip of rows packs each.
    Moving,
    Packed,
}

/// A block of `b`, in panels of a sibling's columns; the last of fewer is packed in any case.
struct Panels {
    place: Place,
    source: *const f32,
    /// Elements from row to row there.
    row: usize,
    packed: *mut f32,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// # Safety
    /// As for [`Rows::pack`].
    unsafe fn pack<T: Tile>(
        source: Source,
        depth: usize,
        columns: usize,
        rows: usize,
        space: &mut [Line],
    ) -> Panels {
        debug_assert!(depth * columns.next_multiple_of(T::NR) <= 16 * space.len());
        let place = match source.floats() {
            None => Place::Packed,
            Some(_) if depth * columns <= SMALL || rows <= T::MR => Place::Source,
            Some(_) => Place::Moving,
        };
        let packed: *mut f32 = space.as_mut_ptr().cast();
        for j in steps(columns, T::NR) {
            let is_whole = j.len() == T::NR;
            if is_whole && place != Place::Packed {
                continue;
            }
            // SAFETY: the caller promises the elements, and room for whole panels.
            unsafe {
                let out = packed.add(j.start * depth);
                if !is_whole {
                    // What is left over of something else could be slow to multiply.
                    out.write_bytes(0, T::NR * depth);
                }
                T::gather(source.at(0, j.start), depth, j.len(), out, T::NR);
            }
        }
        Panels { place, source: source.start.cast(), row: source.row, packed, depth, columns }
    }

    /// The first rows have passed.
    fn are_packed(&mut self) {
        if self.place == Place::Moving {
            self.place = Place::Packed;
        }
    }

    /// Too large for a second-level cache.
    fn is_far(&self) -> bool {
        self.depth * self.columns > FAR
    }

    fn place<T: Tile>(&self, column: usize) -> Place {
        if column + T::NR <= self.columns { self.place } else { Place::Packed }
    }

    /// A panel's first row where it is packed.
    fn packed(&self, column: usize) -> *mut f32 {
        self.packed.wrapping_add(column * self.depth)
    }

    /// A panel as some rows find it, and the elements from row to row.
    fn panel<T: Tile>(&self, column: usize, rows_are_first: bool) -> (*const f32, usize) {
        match self.place::<T>(column) {
            Place::Moving if !rows_are_first => (self.packed(column), T::NR),
            Place::Packed => (self.packed(column), T::NR),
            Place::Source | Place::Moving => (self.source.wrapping_add(column), self.row),
        }
    }

    /// Asks for a panel while the one before is multiplied, each strip `ir` of `rows` for a share of it.
    fn prefetch<T: Tile>(&self, column: usize, ir: &Range<usize>, rows: usize) {
        if column < self.columns {
            let (panel, row) = self.panel::<T>(column, true);
            let share = self.depth.div_ceil(rows.div_ceil(T::MR));
            let first = ir.start / T::MR * share;
            for p in first..self.depth.min(first + share) {
                T::prefetch(panel.wrapping_add(p * row).cast());
            }
        }
    }
}

/// The output of a block: its first element.
struct Corner<'a> {
    product: &'a Product<'a>,
    row: usize,
    column: usize,
}

impl Corner<'_> {
    fn at(&self, ir: usize, jr: usize) -> *mut f32 {
        self.product.c_at(self.row + ir, self.column + jr)
    }

    /// Runs the micro-kernel for the strip of `ir` and `jr`.
    ///
    /// # Safety
    /// The operands have its rows and columns, and the output its elements.
    unsafe fn multiply<T: Tile>(
        &self,
        a: &Rows,
        b: &Panels,
        ir: Range<usize>,
        jr: &Range<usize>,
        from_output: bool,
    ) {
        let is_first = self.row + ir.start == 0;
        let (panel, b_row) = b.panel::<T>(jr.start, is_first);
        let next = match () {
            () if !b.is_far() => core::ptr::null_mut(),
            () if ir.end < a.rows => self.at(ir.end, jr.start),
            () => self.at(0, jr.end),
        };
        let strip = Strip {
            a: a.start.wrapping_add(ir.start * a.row),
            a_row: 4 * a.row,
            b: panel,
            b_row: 4 * b_row,
            depth: b.depth,
            c: self.at(ir.start, jr.start),
            c_row: 4 * self.product.c_row,
            from_output: from_output.into(),
            next_c: next,
            packed: b.packed(jr.start),
        };
        // SAFETY: the caller's promise; the packed panel has room.
        unsafe {
            match b.place::<T>(jr.start) {
                Place::Moving if is_first => T::micro_packing(&strip),
                _ if jr.len() == T::NR => T::micro(ir.len(), &strip),
                _ => beside::<T>(ir.len(), jr.len(), strip),
            }
        }
    }
}

/// Elements of a strip's output.
#[repr(align(64))]
struct Output([f32; MOST_ROWS * MOST_COLUMNS]);

/// Runs the micro-kernel beside an output of fewer columns than it has.
///
/// # Safety
/// The strip reaches its operands, and `rows` times `columns` elements of output.
unsafe fn beside<T: Tile>(rows: usize, columns: usize, strip: Strip) {
    let mut tile = Output([0.0; MOST_ROWS * MOST_COLUMNS]);
    let row = |i: usize| strip.c.wrapping_byte_add(i * strip.c_row);
    // SAFETY: the tile has room for the sibling's rows and columns, the output the elements that are copied.
    unsafe {
        if strip.from_output == 1 {
            for (i, tile) in tile.0.chunks_exact_mut(T::NR).enumerate().take(rows) {
                tile[..columns].copy_from_slice(core::slice::from_raw_parts(row(i), columns));
            }
        }
        T::micro(rows, &Strip { c: tile.0.as_mut_ptr(), c_row: T::NR * 4, ..strip });
        for (i, tile) in tile.0.chunks_exact(T::NR).enumerate().take(rows) {
            core::slice::from_raw_parts_mut(row(i), columns).copy_from_slice(&tile[..columns]);
        }
    }
}

impl Product<'_> {
    /// Element (i, j) of the output.
    fn c_at(&self, i: usize, j: usize) -> *mut f32 {
        self.c.wrapping_add(i * self.c_row + j)
    }

    /// Ends chains: of no products at all, and with a bias.
    ///
    /// # Safety
    /// The part lies inside the output.
    unsafe fn finish(&self, rows: Range<usize>, columns: Range<usize>) {
        for i in rows {
            let row = self.c_at(i, columns.start);
            // SAFETY: the caller promises the elements.
            let row = unsafe { core::slice::from_raw_parts_mut(row, columns.len()) };
            if self.depth == 0 && self.start == Start::Zero {
                row.fill(0.0);
            }
            if let Some(bias) = self.bias {
                row.iter_mut().zip(&bias[columns.clone()]).for_each(|(c, bias)| *c += bias);
            }
        }
    }
}
