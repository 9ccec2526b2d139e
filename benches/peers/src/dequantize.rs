//! Rows of every format to f32.

use std::hint::black_box;
use std::rc::Rc;

use candle_core::quantized::k_quants::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K,
    BlockQ8_0, GgmlType,
};
use quintile::formats::Format;
use quintile::isa::Isa;
use quintile::kernels::Kernels;

use crate::qdot::candle_row;
use crate::{Group, Kernel, check, floats};

pub fn groups(values: usize) -> Vec<Group> {
    vec![
        group::<BlockQ4_0>(Format::Q4_0, values),
        group::<BlockQ4_1>(Format::Q4_1, values),
        group::<BlockQ5_0>(Format::Q5_0, values),
        group::<BlockQ5_1>(Format::Q5_1, values),
        group::<BlockQ8_0>(Format::Q8_0, values),
        group::<BlockQ2K>(Format::Q2K, values),
        group::<BlockQ3K>(Format::Q3K, values),
        group::<BlockQ4K>(Format::Q4K, values),
        group::<BlockQ5K>(Format::Q5K, values),
        group::<BlockQ6K>(Format::Q6K, values),
    ]
}

fn group<T: GgmlType + 'static>(format: Format, values: usize) -> Group {
    let name = format!("{format} to f32");
    let mut bytes = vec![0; format.row_bytes(values).expect("whole blocks")];
    Kernels::new(Isa::SCALAR).quantize_weights(format, &floats(values, 17), &mut bytes);
    let bytes: Rc<[u8]> = bytes.into();
    let ours = Kernels::new(Isa::detect());
    let row = candle_row::<T>(&bytes);
    let row_bytes = bytes.len();
    let (mut out, mut theirs) = (vec![0.0; values], vec![0.0; values]);
    ours.dequantize(format, &bytes, &mut out);
    T::to_float(&row, &mut theirs);
    // A product and a difference, of numbers up to two times the largest weight: a rounding each, in either order.
    let largest = out.iter().fold(0.0, |largest: f32, w| largest.max(w.abs()));
    for (&ours, &theirs) in out.iter().zip(&theirs) {
        check(&name, "candle", theirs.into(), ours.into(), f64::from(8.0 * f32::EPSILON * largest));
    }
    let run_ours = Box::new(move || {
        ours.dequantize(format, black_box(&bytes), black_box(&mut out));
    });
    let run_theirs = Box::new(move || T::to_float(black_box(&row), black_box(&mut theirs)));
    let kernels = vec![
        Kernel { name: format!("quintile {}", Isa::detect().level()), run: run_ours },
        Kernel { name: "candle".into(), run: run_theirs },
    ];
    Group { name, values, bytes: row_bytes, kernels }
}
