//! How far two versions of a tensor are apart.

use crate::model::Pool;
use crate::tensor::Tensor;

/// Values that a thread compares at a time; sums are formed in this order whatever the threads.
const CHUNK: usize = 1 << 14;

/// The difference of two tensors, value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// Values of each.
    pub values: usize,
    /// Root of the mean squared difference; NaN if a difference is.
    pub rmse: f64,
    /// The largest difference, without sign; NaN if a difference is.
    pub max: f64,
    /// Root of the mean square of the first tensor: what to see `rmse` in proportion to.
    pub rms: f64,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    difference: f64,
    square: f64,
    max: f64,
}

impl Difference {
    /// That of equal tensors. (How large the values are is not looked at: `rms` is 0.)
    pub fn none(values: usize) -> Difference {
        Difference { values, ..Difference::default() }
    }

    /// `rmse` in proportion to `rms`; 0 where nothing differs.
    pub fn relative(&self) -> f64 {
        if self.rmse == 0.0 { 0.0 } else { self.rmse / self.rms }
    }

    /// Compares `a` with `b`, whatever their formats; `None` if their shapes differ.
    ///
    /// The same figures come out for any number of threads.
    pub fn of(a: Tensor<'_>, b: Tensor<'_>, pool: &Pool) -> Option<Difference> {
        if a.dims() != b.dims() {
            return None;
        }
        let values = a.k() * a.rows();
        let mut sums = vec![Sums::default(); values.div_ceil(CHUNK)];
        pool.chunks_mut(&mut sums, 1, |i, sums| {
            let range = i * CHUNK..values.min((i + 1) * CHUNK);
            sums[0] = Sums::of(&dequantized(a, range.clone()), &dequantized(b, range));
        });
        let total = sums.into_iter().fold(Sums::default(), Sums::plus);
        let mean = |sum: f64| libm::sqrt(sum / values as f64);
        let (rmse, rms) = (mean(total.difference), mean(total.square));
        Some(Difference { values, rmse, max: total.max, rms })
    }
}

impl Sums {
    fn of(a: &[f32], b: &[f32]) -> Sums {
        a.iter().zip(b).fold(Sums::default(), |sums, (&a, &b)| {
            let (a, b) = (f64::from(a), f64::from(b));
            // Equal infinities are no difference.
            let difference = if a == b { 0.0 } else { a - b };
            sums.plus(Sums {
                difference: difference * difference,
                square: a * a,
                max: difference.abs(),
            })
        })
    }

    fn plus(self, other: Sums) -> Sums {
        let greater = |a: f64, b: f64| if a.is_nan() || a >= b { a } else { b };
        Sums {
            difference: self.difference + other.difference,
            square: self.square + other.square,
            max: greater(self.max, other.max),
        }
    }
}

/// Some of the values of a tensor; `range` begins and ends between blocks.
fn dequantized(tensor: Tensor<'_>, range: std::ops::Range<usize>) -> Vec<f32> {
    let format = tensor.format();
    let at = |value: usize| value / format.block_len() * format.block_bytes();
    let mut values = vec![0.0; range.len()];
    format.dequantize(&tensor.bytes()[at(range.start)..at(range.end)], &mut values);
    values
}
