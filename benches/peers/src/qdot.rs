//! Quantised rows times quantised activations.

use std::hint::black_box;
use std::rc::Rc;

use candle_core::quantized::k_quants::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4K, BlockQ5_0, BlockQ5K, BlockQ6K, BlockQ8_0, GgmlType,
};
use quintile::formats::{ActBlock, Format};
use quintile::isa::{Isa, Level};
use quintile::kernels::Kernels;

use crate::{Group, Kernel, check, floats};

/// quintile's levels that are worth a line: the best of this CPU, and the one below where it has its own kernels.
pub fn levels() -> Vec<Isa> {
    let by_hand = |isa: &Isa| !matches!(isa.level(), Level::Scalar | Level::Generic);
    let found: Vec<Isa> = Isa::available().filter(by_hand).collect();
    if found.is_empty() { vec![Isa::detect()] } else { found }
}

pub fn groups(values: usize) -> Vec<Group> {
    vec![
        group::<BlockQ4_0>(Format::Q4_0, values),
        group::<BlockQ5_0>(Format::Q5_0, values),
        group::<BlockQ8_0>(Format::Q8_0, values),
        group::<BlockQ2K>(Format::Q2K, values),
        group::<BlockQ3K>(Format::Q3K, values),
        group::<BlockQ4K>(Format::Q4K, values),
        group::<BlockQ5K>(Format::Q5K, values),
        group::<BlockQ6K>(Format::Q6K, values),
    ]
}

/// The blocks that candle reads in a row of bytes: both follow the file format.
pub fn candle_row<T: GgmlType>(bytes: &[u8]) -> Vec<T> {
    assert_eq!(bytes.len() % size_of::<T>(), 0, "whole blocks");
    let mut row = vec![T::zeros(); bytes.len() / size_of::<T>()];
    // SAFETY: the blocks are `repr(C)`, of integers and f16, without padding: any bytes are blocks, and `row` has room
    // for as many.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), row.as_mut_ptr().cast(), bytes.len()) };
    row
}

fn group<T: GgmlType + 'static>(format: Format, values: usize) -> Group
where
    T::VecDotType: 'static,
{
    let name = format!("{format} row dot");
    let scalar = Kernels::new(Isa::SCALAR);
    let x = floats(values, 600);
    let mut bytes = vec![0; format.row_bytes(values).expect("whole blocks")];
    scalar.quantize_weights(format, &floats(values, 17), &mut bytes);
    let mut weights = vec![0.0; values];
    scalar.dequantize(format, &bytes, &mut weights);
    // Of the row as it is, times activations that nobody rounds. A correct kernel rounds each by at most a step of the
    // bytes it makes of them, 1/127 of the largest that shares their scale: 256 share one, or fewer.
    let exact: f64 = weights.iter().zip(&x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
    let bound = weights.chunks(256).zip(x.chunks(256)).map(|(weights, x)| {
        let largest = x.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        weights.iter().map(|w| f64::from(w.abs() * largest / 127.0)).sum::<f64>()
    });
    let bound: f64 = bound.sum();
    let mut kernels = Vec::new();
    let bytes: Rc<[u8]> = bytes.into();
    for isa in levels() {
        let ours = Kernels::new(isa);
        let name_of_level = format!("quintile {}", isa.level());
        let mut blocks = vec![ActBlock::ZERO; ActBlock::count(values)];
        ours.quantize(format.activation().expect("a quantised format"), &x, &mut blocks);
        let got = f64::from(ours.qdot(format, &bytes, &blocks));
        check(&name, &name_of_level, got, exact, bound);
        let bytes = Rc::clone(&bytes);
        let run = Box::new(move || {
            black_box(ours.qdot(format, black_box(&bytes), black_box(&blocks)));
        });
        kernels.push(Kernel { name: name_of_level, run });
    }
    let row = candle_row::<T>(&bytes);
    let mut blocks = vec![T::VecDotType::zeros(); values / T::VecDotType::BLCK_SIZE];
    T::VecDotType::from_float(&x, &mut blocks);
    check(&name, "candle", f64::from(T::vec_dot(values, &row, &blocks)), exact, bound);
    let run = Box::new(move || {
        black_box(T::vec_dot(values, black_box(&row), black_box(&blocks)));
    });
    kernels.push(Kernel { name: "candle".into(), run });
    Group { name, values, bytes: bytes.len(), kernels }
}
