//! Dense products of f32, `C = A B` with `A` `[m, k]`, `B` `[k, n]`, `C` `[m, n]`, all row-major: the three loops that one
//! writes first, and what is made of them.
//!
//! | function | what it is |
//! |---|---|
//! | [`naive`] | three loops |
//! | [`blocked`] | blocks that fit a first-level cache |
//! | [`parallel`] | [`blocked`], rows divided among threads |
//! | [`simd`] | [`Kernels::sgemm`] |
//! | [`simd_parallel`] | that, rows divided among threads |
//!
//! All return the same bits, by the contract of [`sgemm`]. None allocates; threads are the caller's
//! ([`Threads`]), and so is the space that packing takes.

use crate::isa::DefaultEnvironment;
use crate::kernels::Kernels;
use crate::kernels::sgemm::{self, Line, Start, View, ViewMut};

/// The sizes of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of `A` and `C`.
    pub m: usize,
    /// Columns of `A`, rows of `B`.
    pub k: usize,
    /// Columns of `B` and `C`.
    pub n: usize,
}

/// What runs tasks on some threads.
///
/// # Safety
/// [`run`](Self::run) calls no task twice, and returns after the last has ended.
pub unsafe trait Threads {
    /// How many there are, the caller's included.
    fn count(&self) -> usize;

    /// Calls `task(i)` once for each `i < tasks`, and returns when all are done.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// Threads that are made for each product and end with it: some tens of microseconds each, and allocations.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Scoped(pub core::num::NonZeroUsize);

// SAFETY: tasks are claimed from a cursor, and the scope waits for its threads.
#[cfg(feature = "std")]
unsafe impl Threads for Scoped {
    fn count(&self) -> usize {
        self.0.get()
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        let next = AtomicUsize::new(0);
        let work = || {
            let claim = || Some(next.fetch_add(1, Relaxed)).filter(|&i| i < tasks);
            while let Some(i) = claim() {
                task(i);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.count().min(tasks) {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// Three loops, every element a chain.
///
/// # Panics
/// As all functions here: if a slice has another length than the shape says.
pub fn naive(kernels: &Kernels, shape: Shape, a: &[f32], b: &[f32], c: &mut [f32]) {
    let _environment = DefaultEnvironment::enter();
    shape.assert(a, b, c);
    kernels.sgemm_naive(a, b, c, shape.k, shape.n);
}

/// The same in blocks that fit a first-level cache, as the compiler vectorises them.
///
/// # Panics
/// As [`naive`].
pub fn blocked(kernels: &Kernels, shape: Shape, a: &[f32], b: &[f32], c: &mut [f32]) {
    let _environment = DefaultEnvironment::enter();
    shape.assert(a, b, c);
    kernels.sgemm_blocked(a, b, c, shape.k, shape.n);
}

/// [`blocked`], rows divided among threads.
///
/// # Panics
/// As [`naive`].
pub fn parallel(
    kernels: &Kernels,
    threads: &impl Threads,
    shape: Shape,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
) {
    shape.assert(a, b, c);
    let rows = shape.m.div_ceil(threads.count()).max(1);
    divide(threads, rows, shape, c, &|_, shape: Shape, at: usize, c: &mut [f32]| {
        let a = &a[at * shape.k..(at + shape.m) * shape.k];
        kernels.sgemm_blocked(a, b, c, shape.k, shape.n);
    });
}

/// `C = A B`, or, from [`Start::Output`], `C += A B`; with a bias, an element for each column, added at last. `space` has
/// [`sgemm::space_len`] lines of these sizes.
///
/// # Panics
/// As [`naive`], or if the space is too small.
#[allow(clippy::too_many_arguments)] // those of BLAS
pub fn simd(
    kernels: &Kernels,
    shape: Shape,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    start: Start,
    bias: Option<&[f32]>,
    space: &mut [Line],
) {
    let _environment = DefaultEnvironment::enter();
    shape.assert(a, b, c);
    let Shape { m, k, n } = shape;
    let (a, b) = (View::row_major(a, m, k), View::row_major(b, k, n));
    kernels.sgemm(a, b, ViewMut::row_major(c, m, n), start, bias, space);
}

/// Lines of space that [`simd_parallel`] takes with so many threads.
pub const fn parallel_space_len(shape: Shape, threads: usize) -> usize {
    threads * share_len(shape, threads)
}

const fn share_len(Shape { m, k, n }: Shape, threads: usize) -> usize {
    sgemm::space_len(m.div_ceil(threads), k, n)
}

/// [`simd`], rows divided among threads, with [`parallel_space_len`] lines.
///
/// # Panics
/// As [`simd`].
#[allow(clippy::too_many_arguments)] // those of BLAS
pub fn simd_parallel(
    kernels: &Kernels,
    threads: &impl Threads,
    shape: Shape,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    start: Start,
    bias: Option<&[f32]>,
    space: &mut [Line],
) {
    shape.assert(a, b, c);
    let count = threads.count();
    let (rows, share) = (shape.m.div_ceil(count).max(1), share_len(shape, count));
    assert!(space.len() >= count * share, "matmul: {} of {} lines", space.len(), count * share);
    let space = Parts::new(space, share);
    divide(threads, rows, shape, c, &|task, shape: Shape, at: usize, c: &mut [f32]| {
        let a = &a[at * shape.k..(at + shape.m) * shape.k];
        // SAFETY: each task runs once, and has a part of its own.
        simd(kernels, shape, a, b, c, start, bias, unsafe { space.part(task) });
    });
}

/// What a task does: with its number, the shape of its rows, the first of them, and their output.
type Body<'a> = dyn Fn(usize, Shape, usize, &mut [f32]) + Sync + 'a;

/// Calls `body` for rows and rows, on the threads.
fn divide(threads: &impl Threads, rows: usize, shape: Shape, c: &mut [f32], body: &Body<'_>) {
    let c = Parts::new(c, rows * shape.n);
    threads.run(shape.m.div_ceil(rows), &|task| {
        let at = task * rows;
        let m = rows.min(shape.m - at);
        let _environment = DefaultEnvironment::enter();
        // SAFETY: each task runs once, and has rows of its own.
        body(task, Shape { m, ..shape }, at, unsafe { c.part(task) });
    });
}

impl Shape {
    fn assert(self, a: &[f32], b: &[f32], c: &[f32]) {
        let Shape { m, k, n } = self;
        assert_eq!(a.len(), m * k, "matmul: elements of A");
        assert_eq!(b.len(), k * n, "matmul: elements of B");
        assert_eq!(c.len(), m * n, "matmul: elements of C");
    }
}

/// A slice that tasks divide: part `i` is `chunks_mut(len)`'s `i`th.
struct Parts<'a, T> {
    start: *mut T,
    total: usize,
    len: usize,
    slice: core::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: `part` hands out disjoint exclusive slices of `T: Send`.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    fn new(slice: &'a mut [T], len: usize) -> Self {
        let (start, total) = (slice.as_mut_ptr(), slice.len());
        Parts { start, total, len, slice: core::marker::PhantomData }
    }

    /// # Safety
    /// No two of the same number are used at once.
    #[allow(clippy::mut_from_ref)] // disjoint ones
    unsafe fn part(&self, i: usize) -> &mut [T] {
        let start = (i * self.len).min(self.total);
        let len = self.len.min(self.total - start);
        // SAFETY: inside the slice, which is borrowed exclusively; the caller promises the rest.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use core::num::NonZeroUsize;

    fn floats(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i + seed) * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
    }

    #[test]
    fn all_functions_return_the_same_bits_on_any_number_of_threads() {
        for isa in Isa::available() {
            let kernels = Kernels::new(isa);
            for [m, k, n] in [[1, 1, 1], [5, 40, 33], [70, 65, 64], [0, 3, 2], [3, 0, 2], [2, 3, 0]]
            {
                let shape = Shape { m, k, n };
                let (a, b) = (floats(m * k, 0), floats(k * n, 400));
                let mut want = vec![9.0; m * n];
                naive(&kernels, shape, &a, &b, &mut want);
                let mut c = vec![8.0; m * n];
                blocked(&kernels, shape, &a, &b, &mut c);
                assert_eq!(c, want, "{isa:?} blocked {shape:?}");
                for threads in [1, 2, 3, 7] {
                    let scoped = Scoped(NonZeroUsize::new(threads).unwrap());
                    c.fill(7.0);
                    parallel(&kernels, &scoped, shape, &a, &b, &mut c);
                    assert_eq!(c, want, "{isa:?} parallel {shape:?}");
                    let mut space = vec![Line::ZERO; parallel_space_len(shape, threads)];
                    c.fill(6.0);
                    let zero = Start::Zero;
                    simd_parallel(&kernels, &scoped, shape, &a, &b, &mut c, zero, None, &mut space);
                    assert_eq!(c, want, "{isa:?} simd_parallel {shape:?}");
                }
            }
        }
    }

    #[test]
    fn a_product_is_added_to_what_the_output_holds_and_a_bias_to_each_row() {
        let shape = Shape { m: 2, k: 1, n: 2 };
        let (a, b, bias) = ([2.0, 3.0], [10.0, 20.0], [0.5, 0.25]);
        let mut c = [1.0, 2.0, 3.0, 4.0];
        let mut space = vec![Line::ZERO; sgemm::space_len(2, 1, 2)];
        let kernels = Kernels::new(Isa::detect());
        simd(&kernels, shape, &a, &b, &mut c, Start::Output, Some(&bias), &mut space);
        assert_eq!(c, [21.5, 42.25, 33.5, 64.25]);
    }
}
