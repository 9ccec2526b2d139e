//! Where results go: an output, divided by rows among those who compute them.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Range, RangeInclusive};
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

    /// Some rows of an output whose columns begin `stride` elements apart, element `(0, 0)` of which lies at `out`: for threads that
    /// share no slice, as those of a foreign host.
    ///
    /// # Safety
    /// The elements of these rows in every column lie in one allocation, and until the view is gone nothing else reads or
    /// writes them.
    ///
    /// # Panics
    /// If the stride is less than the last row's end.
    pub unsafe fn from_raw(
        out: *mut f32,
        columns: usize,
        rows: Range<usize>,
        stride: usize,
    ) -> Outputs<'a> {
        assert!(rows.start <= rows.end, "outputs: rows {rows:?}");
        assert!(stride >= rows.end, "outputs: rows {rows:?} in columns {stride} apart");
        let first = out.wrapping_add(rows.start);
        Outputs { first, rows, columns, stride, lifetime: PhantomData }
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

    /// All elements, column by column, where nothing lies between.
    pub(super) fn as_dense(&mut self) -> Option<&mut [f32]> {
        let is_dense = self.rows.len() == self.stride;
        // SAFETY: all rows of every column are of the slice that is borrowed for `'a`, one column behind the other, and so are
        // this view's alone; `&mut self` lends them.
        is_dense.then(|| unsafe {
            core::slice::from_raw_parts_mut(self.first, self.columns * self.stride)
        })
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
///
/// A chunk has half of what would be each thread's part of the rows that are left: the first are long, and the last so
/// short that nobody waits long for another.
#[derive(Debug)]
pub struct OutputChunks<'a> {
    whole: Outputs<'a>,
    threads: usize,
    least: usize,
    most: usize,
    /// Rows of all before the first that nobody has taken.
    claimed: AtomicUsize,
}

impl<'a> OutputChunks<'a> {
    /// For so many threads, of a number of rows in `range`, the last perhaps below it.
    ///
    /// # Panics
    /// If the range is empty or begins with 0, or there are no threads.
    pub fn new(whole: Outputs<'a>, threads: usize, range: RangeInclusive<usize>) -> Self {
        let (least, most) = range.into_inner();
        assert!(0 < least && least <= most, "outputs: chunks of {least} to {most} rows");
        assert!(threads > 0, "outputs: chunks for no thread");
        OutputChunks { whole, threads, least, most, claimed: AtomicUsize::new(0) }
    }

    /// How many there are at most.
    pub fn most(&self) -> usize {
        self.whole.rows.len().div_ceil(self.least)
    }

    /// The end of the chunk that begins behind so many rows.
    fn end(&self, claimed: usize) -> Option<usize> {
        let left = self.whole.rows.len() - claimed;
        let chunk = (left / (2 * self.threads)).clamp(self.least, self.most);
        // In whole multiples of the least: panels stay whole.
        let chunk = chunk / self.least * self.least;
        (left > 0).then(|| claimed + chunk.min(left))
    }

    /// A chunk that nobody else gets; `None` when all are taken.
    pub fn claim(&self) -> Option<Outputs<'a>> {
        // The count rises up to that of all rows, so no row is given out twice.
        let start =
            self.claimed.fetch_update(Relaxed, Relaxed, |claimed| self.end(claimed)).ok()?;
        let end = self.end(start)?;
        let first = self.whole.rows.start;
        // SAFETY: chunks begin where others end, and the view of all is never used.
        Some(unsafe { self.whole.part(first + start..first + end) })
    }
}

#[cfg(all(test, feature = "std"))]
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
        for (rows, threads, least) in
            [(0, 2, 4), (1, 2, 4), (4, 2, 4), (61, 2, 4), (61, 9, 1), (61, 1, 100)]
        {
            let mut out = vec![0.0; 3 * rows];
            let whole = Outputs::new(&mut out, 3, rows);
            let chunks = OutputChunks::new(whole, threads, least..=1000);
            let claimed = AtomicUsize::new(0);
            let work = || {
                while let Some(mut outputs) = chunks.claim() {
                    claimed.fetch_add(1, Relaxed);
                    assert!(outputs.rows().start.is_multiple_of(least));
                    (0..3).for_each(|c| outputs.column(c).iter_mut().for_each(|x| *x += 1.0));
                }
            };
            std::thread::scope(|scope| {
                scope.spawn(work);
                scope.spawn(work);
            });
            assert!(chunks.claim().is_none());
            assert!(claimed.load(Relaxed) <= chunks.most());
            assert!(out.iter().all(|&x| x == 1.0), "{rows} rows, {threads} threads, {least}");
        }
    }

    #[test]
    fn chunks_are_long_at_first_and_short_at_last() {
        let mut out = [0.0; 100];
        let chunks = OutputChunks::new(Outputs::new(&mut out, 1, 100), 2, 8..=20);
        let lens: Vec<usize> =
            core::iter::from_fn(|| chunks.claim()).map(|outputs| outputs.rows().len()).collect();
        assert_eq!(lens, [16, 16, 16, 8, 8, 8, 8, 8, 8, 4]);
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
