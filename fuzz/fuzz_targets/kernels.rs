//! Any bytes as rows of weights: every level that this CPU has gives the bits of the definition.
//!
//! The first bytes choose an operation, a format and lengths; the others are weights, and activations within their domain.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;

/// Values of a row at most.
const MOST: usize = 768;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[operation, format, length, seed], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let format = Format::ALL[usize::from(format) % Format::ALL.len()];
    let siblings = || Isa::available().map(Kernels::new);
    let repeated =
        |count: usize| bytes.iter().copied().cycle().take(if bytes.is_empty() { 0 } else { count });
    let floats: Vec<f32> =
        bytes.as_chunks().0.iter().take(MOST).map(|four| f32::from_le_bytes(*four)).collect();

    match operation % 6 {
        0 => {
            let row = row(format, length, &mut repeated(MOST * 4));
            let values = row.len() / format.block_bytes() * format.block_len();
            same(siblings(), "dequantize", |kernels| {
                let mut out = vec![0.0; values];
                kernels.dequantize(format, &row, &mut out);
                out
            });
        }
        1 if format.activation().is_some() => {
            let row = row(format, length, &mut repeated(MOST * 4));
            let values = row.len() / format.block_bytes() * format.block_len();
            let x = columns(values, seed, repeated(4 * MOST));
            same(siblings(), "qdot", |kernels| vec![kernels.qdot(format, &row, &x[0])]);
            same(siblings(), "qdot4", |kernels| {
                kernels.qdot4(format, &row, x.each_ref().map(|x| &x[..])).to_vec()
            });
            same(siblings(), "gemv", |kernels| {
                let mut out = [0.0; 2];
                kernels.gemv(format, &[&row[..], &row].concat(), &x[0], &mut out);
                out.to_vec()
            });
        }
        2 if format.activation().is_some() => {
            let row = row(format, length, &mut repeated(MOST * 4));
            let values = row.len() / format.block_bytes() * format.block_len();
            let mut x = floats;
            x.resize(values, 1.0);
            same(siblings(), "qdot_exact", |kernels| vec![kernels.qdot_exact(format, &row, &x)]);
        }
        3 => same(siblings(), "quantize", |kernels| {
            let scale = if seed % 2 == 0 { ActScale::Per32 } else { ActScale::Per256 };
            let mut out = vec![ActBlock::ZERO; ActBlock::count(floats.len())];
            kernels.quantize(scale, &floats, &mut out);
            let numbers = |b: &ActBlock| {
                let quants = b.qs.map(f32::from);
                [&quants[..], &b.bsums.map(f32::from), &b.d].concat()
            };
            out.iter().flat_map(numbers).collect()
        }),
        4 => {
            let (a, b) = floats.split_at(floats.len() / 2);
            same(siblings(), "dot_f32", |kernels| vec![kernels.dot_f32(a, &b[..a.len()])]);
        }
        _ => {
            let (a, b) = floats.split_at(floats.len() / 2);
            same(siblings(), "silu_mul, softmax", |kernels| {
                let (mut gate, mut weights) = (a.to_vec(), b.to_vec());
                kernels.silu_mul(&mut gate, &b[..a.len()]);
                kernels.softmax(&mut weights);
                [gate, weights].concat()
            });
        }
    }
});

/// A row of some blocks.
fn row(format: Format, length: u8, bytes: &mut dyn Iterator<Item = u8>) -> Vec<u8> {
    let blocks = usize::from(length) % (MOST / format.block_len().max(1) + 1);
    let mut row: Vec<u8> = bytes.take(blocks * format.block_bytes()).collect();
    row.resize(blocks * format.block_bytes(), 0);
    row
}

/// Four columns of quants within their domain, with their sums, and scales that are numbers.
fn columns(values: usize, seed: u8, mut bytes: impl Iterator<Item = u8>) -> [Vec<ActBlock>; 4] {
    std::array::from_fn(|c| {
        let mut blocks = vec![ActBlock::ZERO; ActBlock::count(values)];
        for (b, block) in blocks.iter_mut().enumerate() {
            let present = (values - 256 * b).min(256);
            for quant in &mut block.qs[..present] {
                *quant = (bytes.next().unwrap_or(seed).wrapping_add(c as u8) as i8).max(-127);
            }
            for (sum, quants) in block.bsums.iter_mut().zip(block.qs.as_chunks::<16>().0) {
                *sum = quants.iter().map(|&q| i16::from(q)).sum();
            }
            block.d[..present.div_ceil(32)].fill(f32::from(seed) / 64.0);
        }
        blocks
    })
}

/// Every level computes the same bits as the first; a NaN is a NaN.
fn same(levels: impl Iterator<Item = Kernels>, what: &str, run: impl Fn(&Kernels) -> Vec<f32>) {
    let mut want: Option<Vec<f32>> = None;
    for kernels in levels {
        let got = run(&kernels);
        let Some(want) = &want else {
            want = Some(got);
            continue;
        };
        let is_same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        let level = kernels.isa().level();
        assert!(got.iter().zip(want).all(is_same), "{what} at {level}: {got:?}, not {want:?}");
    }
}
