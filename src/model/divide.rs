//! Slices that threads take pieces of, several of them in step.

use std::marker::PhantomData;
use std::ops::Range;

/// Something that is divided into pieces, each of which one thread gets.
///
/// # Safety
/// Pieces of different numbers have nothing in common, and may be used by any thread.
pub unsafe trait Divide: Sync {
    /// A piece.
    type Piece;

    /// How many there are.
    fn pieces(&self) -> usize;

    /// A piece.
    ///
    /// # Safety
    /// `i` is below the number of pieces, and each is asked for once.
    unsafe fn piece(&self, i: usize) -> Self::Piece;
}

/// A slice in pieces of the same length; the last may be shorter.
pub struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    chunk: usize,
    pieces: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: the pointer is used to make disjoint exclusive slices of `T: Send` only.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    /// Pieces of `chunk` items, as [`chunks_mut`](slice::chunks_mut) numbers them.
    ///
    /// # Panics
    /// If `chunk` is 0.
    pub fn of(items: &'a mut [T], chunk: usize) -> Self {
        let pieces = items.len().div_ceil(chunk);
        Chunks { start: items.as_mut_ptr(), len: items.len(), chunk, pieces, slice: PhantomData }
    }

    /// `rows` pieces of equal length; of no items, so many empty ones.
    ///
    /// # Panics
    /// If the items do not divide into so many.
    pub fn rows(items: &'a mut [T], rows: usize) -> Self {
        let chunk = items.len().checked_div(rows).unwrap_or(0);
        assert_eq!(chunk * rows, items.len(), "rows of {} items", items.len());
        Chunks {
            start: items.as_mut_ptr(),
            len: items.len(),
            chunk,
            pieces: rows,
            slice: PhantomData,
        }
    }

    /// The first so many pieces, and the others.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn split_at(self, pieces: usize) -> (Self, Self) {
        assert!(pieces <= self.pieces, "{pieces} of {} pieces", self.pieces);
        let at = (pieces * self.chunk).min(self.len);
        // SAFETY: at most as far as the slice reaches.
        let start = unsafe { self.start.add(at) };
        let rest = Chunks { start, len: self.len - at, pieces: self.pieces - pieces, ..self };
        (Chunks { len: at, pieces, ..self }, rest)
    }

    /// Pieces of as many rows each as these pieces are of rows: of `rows` of them.
    pub fn grouped(self, rows: usize) -> Self {
        Chunks { chunk: self.chunk * rows, pieces: self.pieces.div_ceil(rows), ..self }
    }
}

// SAFETY: pieces are disjoint parts of a slice of `T: Send`.
unsafe impl<'a, T: Send> Divide for Chunks<'a, T> {
    type Piece = &'a mut [T];

    fn pieces(&self) -> usize {
        self.pieces
    }

    unsafe fn piece(&self, i: usize) -> &'a mut [T] {
        debug_assert!(i < self.pieces);
        let at = (i * self.chunk).min(self.len);
        // SAFETY: inside the slice that is borrowed exclusively for `'a`; each piece is asked for once.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), self.chunk.min(self.len - at)) }
    }
}

/// Rows of equal length, cut across: a piece is the same few items of every row, or of some rows.
pub struct Strips<'a, T> {
    start: *mut T,
    rows: usize,
    len: usize,
    width: usize,
    /// Strips that are a piece each; each of those behind them is so many pieces of fewer rows.
    whole: usize,
    parts: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: as for `Chunks`.
unsafe impl<T: Send> Sync for Strips<'_, T> {}

impl<'a, T> Strips<'a, T> {
    /// Strips of `width` items of each of the rows that `items` divides into; the last may have fewer. What is left when each of
    /// `threads` has got as many strips as the others is divided by rows, at least `least` of them a piece.
    ///
    /// # Panics
    /// If it does not divide into so many, or any of the last three is 0.
    pub fn of(items: &'a mut [T], rows: usize, width: usize, threads: usize, least: usize) -> Self {
        let len = items.len().checked_div(rows).unwrap_or(0);
        assert_eq!(len * rows, items.len(), "rows of {} items", items.len());
        Strips {
            start: items.as_mut_ptr(),
            rows,
            len,
            width,
            whole: len / width / threads * threads,
            parts: (rows / least).clamp(1, threads),
            slice: PhantomData,
        }
    }
}

// SAFETY: pieces have different items of each row, or different rows, of a slice of `T: Send`.
unsafe impl<'a, T: Send> Divide for Strips<'a, T> {
    type Piece = Strip<'a, T>;

    fn pieces(&self) -> usize {
        self.whole + (self.len.div_ceil(self.width) - self.whole) * self.parts
    }

    unsafe fn piece(&self, i: usize) -> Strip<'a, T> {
        debug_assert!(i < self.pieces());
        let (strip, part, parts) = match i.checked_sub(self.whole) {
            None => (i, 0, 1),
            Some(i) => (self.whole + i / self.parts, i % self.parts, self.parts),
        };
        let at = strip * self.width;
        Strip {
            start: self.start,
            len: self.len,
            items: at..self.len.min(at + self.width),
            rows: self.rows * part / parts..self.rows * (part + 1) / parts,
            slice: PhantomData,
        }
    }
}

/// Rows of equal length, cut both ways: into groups of neighbouring rows, and each of these into strips of as many items of
/// every row of the group.
pub struct Grid<'a, T> {
    start: *mut T,
    len: usize,
    width: usize,
    /// Of each group, the row behind its last.
    ends: &'a [usize],
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: as for `Chunks`.
unsafe impl<T: Send> Sync for Grid<'_, T> {}

impl<'a, T> Grid<'a, T> {
    /// Groups that end with these rows, of the rows of `len` items that `items` divides into, in strips of `width` items; the
    /// last of a group may have fewer.
    ///
    /// # Panics
    /// If the ends do not rise up to the number of rows, or `len` or `width` is 0.
    pub fn of(items: &'a mut [T], len: usize, width: usize, ends: &'a [usize]) -> Self {
        assert!(len > 0 && width > 0, "strips of {width} items of {len}");
        let rows = ends.last().copied().unwrap_or(0);
        assert!(ends.is_sorted(), "groups that end with the rows {ends:?}");
        assert_eq!(Some(items.len()), rows.checked_mul(len), "rows of {len} items");
        Grid { start: items.as_mut_ptr(), len, width, ends, slice: PhantomData }
    }

    fn strips(&self) -> usize {
        self.len.div_ceil(self.width)
    }
}

// SAFETY: groups have different rows, strips different items of each, of a slice of `T: Send`.
unsafe impl<'a, T: Send> Divide for Grid<'a, T> {
    type Piece = (usize, Strip<'a, T>);

    fn pieces(&self) -> usize {
        self.ends.len() * self.strips()
    }

    unsafe fn piece(&self, i: usize) -> (usize, Strip<'a, T>) {
        debug_assert!(i < self.pieces());
        let (group, strip) = (i / self.strips(), i % self.strips());
        let first = group.checked_sub(1).map_or(0, |before| self.ends[before]);
        let at = strip * self.width;
        let strip = Strip {
            start: self.start,
            len: self.len,
            items: at..self.len.min(at + self.width),
            rows: first..self.ends[group],
            slice: PhantomData,
        };
        (group, strip)
    }
}

/// A piece of [`Strips`] or of a [`Grid`].
pub struct Strip<'a, T> {
    start: *mut T,
    len: usize,
    items: Range<usize>,
    rows: Range<usize>,
    slice: PhantomData<&'a mut [T]>,
}

impl<T> Strip<'_, T> {
    /// Where its items are in each row.
    pub fn items(&self) -> Range<usize> {
        self.items.clone()
    }

    /// Its rows.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The items of a row.
    pub fn row(&mut self, row: usize) -> &mut [T] {
        assert!(self.rows.contains(&row), "row {row} of {:?}", self.rows);
        // SAFETY: inside the slice that is borrowed exclusively for the lifetime; no other piece has these items, and `&mut self`
        // lends one row at a time.
        unsafe {
            let start = self.start.add(row * self.len + self.items.start);
            std::slice::from_raw_parts_mut(start, self.items.len())
        }
    }
}

macro_rules! divide_in_step {
    ($($name:ident)+) => {
        // SAFETY: as each of them.
        unsafe impl<$($name: Divide),+> Divide for ($($name,)+) {
            type Piece = ($($name::Piece,)+);

            fn pieces(&self) -> usize {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                let pieces = [$($name.pieces()),+];
                assert!(pieces.iter().all(|&n| n == pieces[0]), "not in step: {pieces:?} pieces");
                pieces[0]
            }

            unsafe fn piece(&self, i: usize) -> Self::Piece {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                // SAFETY: by the caller.
                unsafe { ($($name.piece(i),)+) }
            }
        }
    };
}
divide_in_step!(A B);
divide_in_step!(A B C);
divide_in_step!(A B C D);

/// Calls `f(i, piece)` for every piece, on the calling thread.
pub fn each_here<D: Divide>(all: D, f: impl Fn(usize, D::Piece)) {
    // SAFETY: each once.
    (0..all.pieces()).for_each(|i| f(i, unsafe { all.piece(i) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<D: Divide>(divide: D) -> Vec<D::Piece> {
        // SAFETY: each once.
        (0..divide.pieces()).map(|i| unsafe { divide.piece(i) }).collect()
    }

    #[test]
    fn strips_are_all_items_and_what_threads_cannot_share_is_divided_by_rows() {
        for threads in 1..6 {
            let mut items = vec![0; 5 * 7];
            let strips = all(Strips::of(&mut items, 5, 3, threads, 2));
            let whole = 2 - 2 % threads;
            let parts = if threads == 1 { 1 } else { 2 };
            assert_eq!(strips.len(), whole + (3 - whole) * parts, "{threads} threads");
            for mut strip in strips {
                assert!(strip.rows().len() >= 2 && strip.items().start.is_multiple_of(3));
                for row in strip.rows() {
                    let start = strip.items().start;
                    for (i, item) in strip.row(row).iter_mut().enumerate() {
                        *item += 1 + 7 * row + start + i;
                    }
                }
            }
            assert_eq!(items, (1..=5 * 7).collect::<Vec<_>>(), "{threads} threads");
        }
        assert!(all(Strips::<u8>::of(&mut [], 3, 2, 1, 1)).is_empty());
    }

    #[test]
    fn a_grid_is_all_items_once_each_by_the_group_of_its_row() {
        let mut items = vec![0; 6 * 7];
        let ends = [2, 2, 5, 6];
        let mut pieces = all(Grid::of(&mut items, 7, 3, &ends));
        assert_eq!(pieces.len(), 4 * 3);
        for (group, strip) in &mut pieces {
            for row in strip.rows() {
                let start = strip.items().start;
                for (i, item) in strip.row(row).iter_mut().enumerate() {
                    *item += 100 * (*group + 1) + 7 * row + start + i;
                }
            }
        }
        let group = |row| 1 + ends.iter().filter(|&&end| end <= row).count();
        let want: Vec<usize> = (0..6 * 7).map(|i| 100 * group(i / 7) + i).collect();
        assert_eq!(items, want);
        assert!(all(Grid::<u8>::of(&mut [], 7, 3, &[])).is_empty());
    }

    #[test]
    #[should_panic(expected = "groups that end with the rows [3, 2]")]
    fn a_grid_whose_groups_overlap_is_refused() {
        Grid::of(&mut [0; 14], 7, 3, &[3, 2]);
    }

    #[test]
    fn pieces_are_those_of_chunks_mut_and_of_rows() {
        let mut items: Vec<u32> = (0..10).collect();
        let want: Vec<Vec<u32>> = items.chunks(4).map(<[u32]>::to_vec).collect();
        assert_eq!(all(Chunks::of(&mut items, 4)), want);
        let want: Vec<Vec<u32>> = items.chunks(2).map(<[u32]>::to_vec).collect();
        assert_eq!(all(Chunks::rows(&mut items, 5)), want);
        let want: Vec<Vec<u32>> = items.chunks(6).map(<[u32]>::to_vec).collect();
        assert_eq!(all(Chunks::rows(&mut items, 5).grouped(3)), want);
        let lens =
            |chunks: Chunks<'_, u32>| all(chunks).iter().map(|c| c.len()).collect::<Vec<_>>();
        assert_eq!(lens(Chunks::rows(&mut [], 3)), [0; 3]);
        assert_eq!(lens(Chunks::rows(&mut [], 3).grouped(2)), [0; 2]);
    }

    #[test]
    fn several_slices_are_divided_in_step() {
        let (mut a, mut b) = ([1, 2, 3, 4], ["x", "y"]);
        let pieces = all((Chunks::rows(&mut a, 2), Chunks::rows(&mut b, 2)));
        assert_eq!(*pieces[1].0, [3, 4]);
        assert_eq!(*pieces[1].1, ["y"]);
    }

    #[test]
    #[should_panic(expected = "not in step: [2, 3] pieces")]
    fn slices_of_different_numbers_of_pieces_are_refused() {
        let (mut a, mut b) = ([1, 2], [1, 2, 3]);
        all((Chunks::rows(&mut a, 2), Chunks::rows(&mut b, 3)));
    }
}
