//! Slices that threads take pieces of, several of them in step.

use std::marker::PhantomData;

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
