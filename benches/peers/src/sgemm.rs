//! Products of f32 matrices, `[n, n] x [n, n]`, row-major, on one thread.

use std::rc::Rc;

use quintile::isa::{Isa, Level};
use quintile::kernels::Kernels;
use quintile::kernels::sgemm::{self, Line, Start, View, ViewMut};

use crate::{Group, Kernel, check, floats};

/// OpenBLAS, as C sees it.
#[cfg(feature = "openblas")]
mod openblas {
    use std::ffi::c_int;

    #[link(name = "openblas")]
    unsafe extern "C" {
        #[allow(clippy::too_many_arguments)]
        fn cblas_sgemm(
            order: c_int,
            transpose_a: c_int,
            transpose_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: f32,
            a: *const f32,
            row_a: c_int,
            b: *const f32,
            row_b: c_int,
            beta: f32,
            c: *mut f32,
            row_c: c_int,
        );
    }

    pub fn multiply(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
        const ROW_MAJOR: c_int = 101;
        const AS_IT_IS: c_int = 111;
        assert!([a.len(), b.len(), c.len()] == [n * n; 3]);
        let n = c_int::try_from(n).expect("a small matrix");
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        // SAFETY: all three hold `n` rows of `n`.
        unsafe {
            cblas_sgemm(ROW_MAJOR, AS_IT_IS, AS_IT_IS, n, n, n, 1.0, a, n, b, n, 0.0, c, n);
        }
    }
}

fn gemm(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    assert!([a.len(), b.len(), c.len()] == [n * n; 3]);
    let (a, b, c, row) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), n as isize);
    let none = gemm::Parallelism::None;
    // SAFETY: all three hold `n` rows of `n`. It computes `0 * c + 1 * a * b`, and does not read c.
    unsafe {
        gemm::gemm(
            n, n, n, c, 1, row, false, a, 1, row, b, 1, row, 0.0, 1.0, false, false, false, none,
        );
    }
}

fn matrixmultiply(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    assert!([a.len(), b.len(), c.len()] == [n * n; 3]);
    let (a, b, c, row) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), n as isize);
    // SAFETY: all three hold `n` rows of `n`.
    unsafe { matrixmultiply::sgemm(n, n, n, 1.0, a, row, 1, b, row, 1, 0.0, c, row, 1) }
}

/// Anybody's: the operands, the output, the size.
type Multiply = Box<dyn FnMut(&[f32], &[f32], &mut [f32], usize)>;

/// All of them, for matrices of `n` rows and columns.
pub fn group(n: usize) -> Group {
    let name = format!("sgemm of {n}");
    let a: Rc<[f32]> = floats(n * n, 0).into();
    let b: Rc<[f32]> = floats(n * n, 400).into();
    let mut group =
        Group { name: name.clone(), values: n * n, bytes: 12 * n * n, kernels: Vec::new() };
    let mut add = |kernel: &str, mut multiply: Multiply| {
        let mut c = vec![f32::NAN; n * n];
        multiply(&a, &b, &mut c, n);
        // Elements of every part of the output, each of which could be wrong by itself.
        for at in (0..n * n).step_by(97).chain([n * n - 1]) {
            let products =
                || (0..n).map(|p| f64::from(a[at / n * n + p]) * f64::from(b[p * n + at % n]));
            let magnitudes: f64 = products().map(f64::abs).sum();
            // Of any order of summation: a rounding for each product and each sum.
            let bound = n as f64 * f64::from(f32::EPSILON) * magnitudes;
            check(&name, kernel, c[at].into(), products().sum(), bound);
        }
        let (a, b) = (Rc::clone(&a), Rc::clone(&b));
        let run = Box::new(move || multiply(&a, &b, &mut c, n));
        group.kernels.push(Kernel { name: kernel.into(), run });
    };
    for level in [Level::Avx2, Level::Generic] {
        let Ok(isa) = Isa::force(level) else { continue };
        let kernels = Kernels::new(isa);
        let mut space = vec![Line::ZERO; sgemm::space_len(n, n, n)];
        let multiply = move |a: &[f32], b: &[f32], c: &mut [f32], n: usize| {
            let (a, b) = (View::row_major(a, n, n), View::row_major(b, n, n));
            kernels.sgemm(a, b, ViewMut::row_major(c, n, n), Start::Zero, None, &mut space);
        };
        add(&format!("quintile {level}"), Box::new(multiply));
    }
    #[cfg(feature = "openblas")]
    add("OpenBLAS", Box::new(openblas::multiply));
    add("gemm", Box::new(gemm));
    add("matrixmultiply", Box::new(matrixmultiply));
    group
}
