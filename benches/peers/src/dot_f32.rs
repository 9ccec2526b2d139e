//! Inner products of f32.

use std::hint::black_box;
use std::rc::Rc;

use numkong::Dot;
use quintile::kernels::Kernels;

use crate::{Group, Kernel, check, floats};

/// OpenBLAS, as C sees it.
#[cfg(feature = "openblas")]
mod openblas {
    use std::ffi::{CStr, c_char, c_int};

    #[link(name = "openblas")]
    unsafe extern "C" {
        fn cblas_sdot(n: c_int, x: *const f32, step_x: c_int, y: *const f32, step_y: c_int) -> f32;
        fn openblas_get_corename() -> *const c_char;
    }

    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        let n = c_int::try_from(a.len()).expect("a short row");
        // SAFETY: both slices hold `n` values, one after the other.
        unsafe { cblas_sdot(n, a.as_ptr(), 1, b.as_ptr(), 1) }
    }

    pub fn core() -> String {
        // SAFETY: the library returns a string that lives as long as it is loaded.
        let name = unsafe { CStr::from_ptr(openblas_get_corename()) };
        format!("OpenBLAS for {}", name.to_string_lossy())
    }
}

pub fn openblas_core() -> String {
    #[cfg(feature = "openblas")]
    return openblas::core();
    #[cfg(not(feature = "openblas"))]
    "OpenBLAS not built in (--features openblas)".into()
}

/// What a Rust programmer writes first.
fn plain(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Any crate's, widened.
type Dot64 = Box<dyn Fn(&[f32], &[f32]) -> f64>;

pub fn group(values: usize) -> Group {
    const NAME: &str = "f32 dot";
    let a: Rc<[f32]> = floats(values, 0).into();
    let b: Rc<[f32]> = floats(values, 400).into();
    let exact: f64 = a.iter().zip(&*b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    let magnitudes: f64 = a.iter().zip(&*b).map(|(&a, &b)| f64::from((a * b).abs())).sum();
    // Of any order of summation: a rounding for each product and each sum.
    let bound = values as f64 * f64::from(f32::EPSILON) * magnitudes;
    let mut group = Group { name: NAME.into(), values, bytes: 8 * values, kernels: Vec::new() };
    let mut add = |name: &str, dot: Dot64| {
        check(NAME, name, dot(&a, &b), exact, bound);
        let (a, b) = (Rc::clone(&a), Rc::clone(&b));
        let run = Box::new(move || {
            black_box(dot(black_box(&a), black_box(&b)));
        });
        group.kernels.push(Kernel { name: name.into(), run });
    };
    for isa in crate::qdot::levels() {
        let kernels = Kernels::new(isa);
        let name = format!("quintile {}", isa.level());
        add(&name, Box::new(move |a, b| f64::from(kernels.dot_f32(a, b))));
    }
    #[cfg(feature = "openblas")]
    add("OpenBLAS", Box::new(|a, b| f64::from(openblas::dot(a, b))));
    add("numkong (f64 sums)", Box::new(|a, b| f32::dot(a, b).expect("lengths agree")));
    add("plain loop", Box::new(|a, b| f64::from(plain(a, b))));
    group
}
