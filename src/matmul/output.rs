//! Where results go: an output, divided by rows among those who compute them.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The results of some rows, for every column: what one call computes, and nobody else holds.
///
/// Element `(column, row)` of an output lies at `column * stride + row`: the results of a few rows are a short run in
/// each column, which no slice describes. So a view holds where they begin, and lends them column by column.
pub struct Outputs<'a> {
    /// Element `(0, rows.start)`.
    first: *mut f32,
    rows: Range<usize>,
    columns: usize,
    stride: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: a view is an exclusive borrow of its elements, as `&mut [f32]` is.
unsafe impl Send for Outputs<'_> {}
// SAFETY: a shared view gives no access to elements.
unsafe impl Sync for Outputs<'_> {}

impl<'a> Outputs<'a> {
    /// All of an output `[columns, rows]`, row-major.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn new(out: &'a mut [f32], columns: usize, rows: usize) -> Self {
        assert_eq!(
            Some(out.len()),
            columns.checked_mul(rows),
            "outputs: {columns} columns of {rows}"
        );
        Self::with_stride(out, columns, rows, rows)
    }

    /// All of an output `[columns, rows]` whose columns begin `stride` elements apart; what lies between is left alone.
    ///
    /// # Panics
    /// If the stride is less than `rows`, or the last column reaches beyond `out`.
    pub fn with_stride(out: &'a mut [f32], columns: usize, rows: usize, stride: usize) -> Self {
        assert!(stride >= rows, "outputs: {rows} rows in columns {stride} apart");
        let reach = columns
            .checked_sub(1)
            .map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(rows));
        assert!(
            reach.is_some_and(|reach| reach <= out.len()),
            "outputs: {columns} columns of {rows}, {stride} apart, in {} elements",
            out.len()
        );
        Outputs { first: out.as_mut_ptr(), rows: 0..rows, columns, stride, lifetime: PhantomData }
    }

    /// The rows.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The results of one column, a row each.
    ///
    /// # Panics
    /// If there are not so many columns.
    #[inline]
    pub fn column(&mut self, column: usize) -> &mut [f32] {
        assert!(column < self.columns, "outputs: column {column} of {}", self.columns);
        // SAFETY: the constructors found every column to lie inside the slice that is borrowed for `'a`; views of the same
        // slice have disjoint rows, at most `stride` of them, so no other view has these elements, and `&mut self`
        // lets this one lend one column at a time.
        unsafe {
            core::slice::from_raw_parts_mut(self.first.add(column * self.stride), self.rows.len())
        }
    }

    /// The rows before `row`, and those from it on.
    ///
    /// # Panics
    /// If it is none of the rows, nor the one after them.
    pub fn split_at(self, row: usize) -> (Outputs<'a>, Outputs<'a>) {
        let Range { start, end } = self.rows;
        assert!(start <= row && row <= end, "outputs: {start}..{end} split at {row}");
        // SAFETY: the halves have disjoint rows, and `self` is gone.
        unsafe { (self.part(start..row), self.part(row..end)) }
    }

    /// A view of some of the rows.
    ///
    /// # Safety
    /// No other view that is used meanwhile, this one included, has any of them.
    unsafe fn part(&self, rows: Range<usize>) -> Outputs<'a> {
        debug_assert!(
            self.rows.start <= rows.start && rows.start <= rows.end && rows.end <= self.rows.end
        );
        // Without columns there is no element, and the pointer is never followed.
        let first = self.first.wrapping_add(rows.start - self.rows.start);
        Outputs { first, rows, ..*self }
    }
}

impl fmt::Debug for Outputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outputs { rows, columns, stride, .. } = self;
        f.debug_struct("Outputs")
            .field("rows", rows)
            .field("columns", columns)
            .field("stride", stride)
            .finish()
    }
}

/// An output that threads take chunks of rows from, each the next when it has done its last.
#[derive(Debug)]
pub struct OutputChunks<'a> {
    whole: Outputs<'a>,
    chunk: usize,
    claimed: AtomicUsize,
}

impl<'a> OutputChunks<'a> {
    /// Chunks of `chunk` rows; the last may have fewer.
    ///
    /// # Panics
    /// If `chunk` is 0.
    pub fn new(whole: Outputs<'a>, chunk: usize) -> Self {
        assert!(chunk > 0, "outputs: chunks of no rows");
        OutputChunks { whole, chunk, claimed: AtomicUsize::new(0) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.whole.rows.len().div_ceil(self.chunk)
    }

    /// A chunk that nobody else gets; `None` when all are taken.
    pub fn claim(&self) -> Option<Outputs<'a>> {
        // The counter stands still at the last, and cannot wrap: no number is given out twice.
        let next = |claimed| (claimed < self.count()).then_some(claimed + 1);
        let i = self.claimed.fetch_update(Relaxed, Relaxed, next).ok()?;
        let start = self.whole.rows.start + i * self.chunk;
        let end = self.whole.rows.end.min(start.saturating_add(self.chunk));
        // SAFETY: chunks of different numbers have disjoint rows, and the view of all is never used.
        Some(unsafe { self.whole.part(start..end) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_rows_of_every_column_and_nothing_between() {
        let mut out = vec![0.0; 3 * 10 + 7];
        let (mut first, rest) = Outputs::with_stride(&mut out, 4, 7, 10).split_at(2);
        let (mut second, mut third) = rest.split_at(7);
        assert_eq!([first.rows(), second.rows(), third.rows()], [0..2, 2..7, 7..7]);
        for c in 0..4 {
            first.column(c).fill(1.0);
            second.column(c).fill(2.0);
            third.column(c).fill(3.0);
        }
        for (i, x) in out.into_iter().enumerate() {
            let want =
                [(0..2, 1.0), (2..7, 2.0)].into_iter().find(|(rows, _)| rows.contains(&(i % 10)));
            assert_eq!(x, want.map_or(0.0, |(_, x)| x), "element {i}");
        }
    }

    #[test]
    fn threads_claim_every_row_once() {
        for (rows, chunk) in [(0, 4), (1, 4), (4, 4), (61, 4), (61, 1000)] {
            let mut out = vec![0.0; 3 * rows];
            let chunks = OutputChunks::new(Outputs::new(&mut out, 3, rows), chunk);
            let work = || {
                while let Some(mut outputs) = chunks.claim() {
                    (0..3).for_each(|c| outputs.column(c).iter_mut().for_each(|x| *x += 1.0));
                }
            };
            std::thread::scope(|scope| {
                scope.spawn(work);
                scope.spawn(work);
            });
            assert!(chunks.claim().is_none());
            assert!(out.iter().all(|&x| x == 1.0), "{rows} rows in chunks of {chunk}");
        }
    }

    #[test]
    #[should_panic(expected = "2 columns of 5, 10 apart, in 14 elements")]
    fn a_column_beyond_the_slice_is_refused() {
        Outputs::with_stride(&mut [0.0; 14], 2, 5, 10);
    }

    #[test]
    #[should_panic(expected = "4..9 split at 3")]
    fn a_split_outside_the_rows_is_refused() {
        let mut out = [0.0; 9];
        let (_, last) = Outputs::new(&mut out, 1, 9).split_at(4);
        let _ = last.split_at(3);
    }

    #[test]
    fn an_output_without_columns_or_rows_is_divided_too() {
        let (a, b) = Outputs::new(&mut [], 0, 5).split_at(3);
        assert_eq!((a.rows(), b.rows(), a.columns()), (0..3, 3..5, 0));
        let mut none = Outputs::new(&mut [], 5, 0);
        assert!(none.column(4).is_empty());
    }
}
