//! What turns rows into rows: quantisation, the elementwise operations, attention.

use half::{bf16, f16};
use quintile::formats::{ActBlock, ActScale, Format};
use quintile::kernels::Kernels;
use quintile::kernels::attention::{
    CHUNK, HeadCache, KEY_LANES, Q8_0, Queries, Softmax, Storage, TILE,
};
use quintile::kernels::elementwise::RopePairs;

use crate::guard::{Buffer, Plain};
use crate::registers::call;
use crate::{SCALAR, bits_of, cases, lengths, row, values};

#[test]
fn quantize_keeps_to_its_slices_and_registers() {
    let (mut x, mut out) = (Buffer::new(1000), Buffer::new(4));
    for scale in [ActScale::Per32, ActScale::Per256] {
        for n in lengths().chain(193..=3 * 256) {
            let from = values(n, 1);
            let mut want = vec![ActBlock::ZERO; ActBlock::count(n)];
            SCALAR.quantize(scale, &from, &mut want);
            for (kernels, side) in cases() {
                let x = x.input(side, &from);
                let place = out.output(side, &vec![ActBlock::ZERO; want.len()]);
                let label = format_args!("quantize {n} {scale:?}, {kernels:?}, {side:?}");
                call(label, || kernels.quantize(scale, x, place));
                assert_eq!(out.written(), want, "{label}");
            }
        }
    }
}

#[test]
fn quantize_weights_keeps_to_its_slices_and_registers() {
    let (mut x, mut out) = (Buffer::new(24 * 256), Buffer::new(24 * 256 * 4));
    for format in Format::ALL {
        // Every count up to a group of eight sub-blocks, and three of the groups.
        let counts = if format.block_len() == 256 { 0..=3 } else { 0..=24 };
        for blocks in counts {
            let from = values(blocks * format.block_len(), 1);
            let mut want = vec![0; blocks * format.block_bytes()];
            SCALAR.quantize_weights(format, &from, &mut want);
            for (kernels, side) in cases() {
                let x = x.input(side, &from);
                let place = out.output(side, &vec![9; want.len()]);
                let label =
                    format_args!("quantize_weights {blocks} {format}, {kernels:?}, {side:?}");
                call(label, || kernels.quantize_weights(format, x, place));
                assert_eq!(out.written(), want, "{label}");
            }
        }
    }
}

#[test]
fn dequantize_keeps_to_its_slices_and_registers() {
    let (mut w, mut out) = (Buffer::new(3 * 320), Buffer::new(3 * 256));
    for format in Format::ALL {
        // Every tail of the formats whose blocks are single values or 32 of them.
        let counts = match format.block_len() {
            1 => 0..=130,
            32 => 0..=9,
            _ => 0..=3,
        };
        for blocks in counts {
            let from = row(format, blocks);
            let mut want = vec![0.0; blocks * format.block_len()];
            SCALAR.dequantize(format, &from, &mut want);
            for (kernels, side) in cases() {
                let w = w.input(side, &from);
                let place = out.output(side, &vec![9.0; want.len()]);
                let label = format_args!("dequantize {blocks} {format}, {kernels:?}, {side:?}");
                call(label, || kernels.dequantize(format, w, place));
                assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn narrow_keeps_to_its_slices_and_registers() {
    let (mut x, mut halves, mut brains) = (Buffer::new(1000), Buffer::new(1000), Buffer::new(1000));
    for n in lengths() {
        let from = values(n, 1);
        let (mut half, mut brain) = (vec![f16::ZERO; n], vec![bf16::ZERO; n]);
        SCALAR.narrow_f16(&from, &mut half);
        SCALAR.narrow_bf16(&from, &mut brain);
        for (kernels, side) in cases() {
            let x = x.input(side, &from);
            let to_half = halves.output(side, &vec![f16::ONE; n]);
            let to_brain = brains.output(side, &vec![bf16::ONE; n]);
            let label = format_args!("narrow {n}, {kernels:?}, {side:?}");
            call(label, || kernels.narrow_f16(x, to_half));
            call(label, || kernels.narrow_bf16(x, to_brain));
            assert_eq!(halves.written(), half, "{label}");
            assert_eq!(brains.written(), brain, "{label}");
        }
    }
}

/// An operation on `x` in place, with `y` beside it; what it returns.
type InPlace = fn(&Kernels, x: &mut [f32], y: &[f32]) -> [f32; 2];

const IN_PLACE: [(&str, InPlace); 9] = [
    ("silu_mul", |k, x, y| (k.silu_mul(x, y), [0.0; 2]).1),
    ("gelu_mul", |k, x, y| (k.gelu_mul(x, y), [0.0; 2]).1),
    ("exp", |k, x, _| (k.exp(x), [0.0; 2]).1),
    ("add", |k, x, y| (k.add(x, y), [0.0; 2]).1),
    ("softmax", |k, x, _| (k.softmax(x), [0.0; 2]).1),
    ("exp_sum", |k, x, _| k.exp_sum(x).into()),
    ("rope of neighbours", |k, x, y| {
        (k.rope(RopePairs::Neighbours, x, y.as_chunks().0), [0.0; 2]).1
    }),
    ("rope of halves", |k, x, y| (k.rope(RopePairs::Halves, x, y.as_chunks().0), [0.0; 2]).1),
    ("merge_chunks", |k, x, y| {
        let mut state = Softmax { max: 0.5, sum: 3.0 };
        k.merge_chunks(&mut state, x, Softmax { max: 0.25, sum: 2.0 }, y);
        [state.max, state.sum]
    }),
];

#[test]
fn operations_in_place_keep_to_their_slices_and_registers() {
    let (mut x, mut y) = (Buffer::new(1000), Buffer::new(1000));
    for (name, operation) in IN_PLACE {
        for n in lengths() {
            let (from, beside) = (values(n, 1), values(n, 2));
            let mut want = from.clone();
            let returned = operation(&SCALAR, &mut want, &beside);
            for (kernels, side) in cases() {
                let (place, y) = (x.output(side, &from), y.input(side, &beside));
                let label = format_args!("{name} of {n}, {kernels:?}, {side:?}");
                let got = call(label, || operation(&kernels, place, y));
                assert_eq!(bits_of(&got), bits_of(&returned), "{label}");
                assert_eq!(bits_of(x.written()), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn rms_norm_keeps_to_its_slices_and_registers() {
    let (mut x, mut w, mut out) = (Buffer::new(1000), Buffer::new(1000), Buffer::new(1000));
    for n in lengths() {
        let (from, weights) = (values(n, 1), values(n, 2));
        let mut want = vec![0.0; n];
        SCALAR.rms_norm(&from, &weights, 1e-5, &mut want);
        for (kernels, side) in cases() {
            let (x, w) = (x.input(side, &from), w.input(side, &weights));
            let place = out.output(side, &vec![9.0; n]);
            let label = format_args!("rms_norm of {n}, {kernels:?}, {side:?}");
            call(label, || kernels.rms_norm(x, w, 1e-5, place));
            assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
        }
    }
}

/// Keys and values of some positions.
fn cache<S: Storage>(positions: usize, head_dim: usize) -> (Vec<S::Unit>, Vec<S::Unit>) {
    let units = S::units(head_dim);
    let group_len = KEY_LANES * units;
    let mut keys = vec![S::Unit::default(); positions.div_ceil(KEY_LANES) * group_len];
    let mut cached = vec![S::Unit::default(); positions * units];
    let (key, value) = (values(positions * head_dim, 1), values(positions * head_dim, 2));
    for p in 0..positions {
        let row = p * head_dim..(p + 1) * head_dim;
        let group = &mut keys[p / KEY_LANES * group_len..][..group_len];
        S::store_key(&SCALAR, &key[row.clone()], p % KEY_LANES, group);
        S::store_value(&SCALAR, &value[row], &mut cached[p * units..(p + 1) * units]);
    }
    (keys, cached)
}

/// The cache holds exactly what the contract asks for: keys in whole groups, values up to the last visible one.
fn attend_keeps_to_its_slices<S: Storage>()
where
    S::Unit: Plain,
{
    let dims = || [1, 3, 7, 8, 20, 32, 64, 80].into_iter().filter(|d| d % S::BLOCK == 0);
    let name = S::NAME;
    let most = (2 * TILE + KEY_LANES) * 80;
    let (mut keys, mut cached) = (Buffer::new(most), Buffer::new(most));
    let (mut q, mut out) = (Buffer::new(80), Buffer::new(80));
    let ends = [1, 2, 15, 16, 17, 63, 64, 65, 79, 127, 128, 129];
    let ranges = ends.iter().flat_map(|&end| [0, 1, end / 2, end - 1].map(|start| start..end));
    for visible in ranges.filter(|visible| !visible.is_empty() && visible.end <= CHUNK) {
        for head_dim in dims() {
            let (key_data, value_data) = cache::<S>(visible.end, head_dim);
            let query = values(head_dim, 3);
            let run = |kernels: &Kernels, q: &[f32], cache: HeadCache<'_, S>, out: &mut [f32]| {
                let state = kernels.attend(q, cache, visible.clone(), out);
                [state.max, state.sum]
            };
            let mut want = vec![0.0; head_dim];
            let cache = HeadCache { keys: &key_data, values: &value_data };
            let state = run(&SCALAR, &query, cache, &mut want);
            for (kernels, side) in cases() {
                let keys = keys.input(side, &key_data);
                let cached = cached.input(side, &value_data);
                let q = q.input(side, &query);
                let place = out.output(side, &vec![9.0; head_dim]);
                let label =
                    format_args!("attend {name} {visible:?} x {head_dim}, {kernels:?}, {side:?}");
                let cache = HeadCache { keys, values: cached };
                let got = call(label, || run(&kernels, q, cache, place));
                assert_eq!(bits_of(&got), bits_of(&state), "{label}");
                assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn attend_keeps_to_its_slices_and_registers() {
    attend_keeps_to_its_slices::<f32>();
    attend_keeps_to_its_slices::<f16>();
    attend_keeps_to_its_slices::<Q8_0>();
}

/// As of one query; one to seven of two tokens are blocks of every size.
fn attend_queries_keeps_to_its_slices<S: Storage>()
where
    S::Unit: Plain,
{
    let dims = || [1, 7, 8, 20, 32, 64, 80].into_iter().filter(|d| d % S::BLOCK == 0);
    let name = S::NAME;
    let most = (2 * TILE + KEY_LANES) * 80;
    let (mut keys, mut cached) = (Buffer::new(most), Buffer::new(most));
    let (mut q, mut out) = (Buffer::new(14 * 80 + 3), Buffer::new(14 * 80));
    for end in [2usize, 15, 16, 17, 33, 63, 64, 65, 79, 127, 128, 129] {
        for (head_dim, heads) in dims().flat_map(|d| [1, 2, 3, 5, 7].map(|heads| (d, heads))) {
            let visible = [end / 2..end - 1, end / 2..end].map(|v| v.start.min(v.end - 1)..v.end);
            let (key_data, value_data) = cache::<S>(end, head_dim);
            let stride = heads * head_dim + 3;
            let query = values(2 * stride - 3, 3);
            let run = |kernels: &Kernels, q: &[f32], cache: HeadCache<'_, S>, out: &mut [f32]| {
                let mut states = [Softmax::EMPTY; 14];
                let queries = Queries { q, head_dim, heads, stride, cap: None };
                kernels.attend_queries(queries, cache, &visible, out, &mut states[..2 * heads]);
                states.map(|state| [state.max, state.sum])
            };
            let mut want = vec![0.0; 2 * heads * head_dim];
            let cache = HeadCache { keys: &key_data, values: &value_data };
            let states = run(&SCALAR, &query, cache, &mut want);
            for (kernels, side) in cases() {
                let keys = keys.input(side, &key_data);
                let cached = cached.input(side, &value_data);
                let q = q.input(side, &query);
                let place = out.output(side, &vec![9.0; want.len()]);
                let label = format_args!(
                    "attend_queries {name} {visible:?} x {heads} x {head_dim}, {kernels:?}, {side:?}"
                );
                let cache = HeadCache { keys, values: cached };
                let got = call(label, || run(&kernels, q, cache, place));
                assert_eq!(bits_of(got.as_flattened()), bits_of(states.as_flattened()), "{label}");
                assert_eq!(bits_of(out.written()), bits_of(&want), "{label}");
            }
        }
    }
}

#[test]
fn attend_queries_keeps_to_its_slices_and_registers() {
    attend_queries_keeps_to_its_slices::<f32>();
    attend_queries_keeps_to_its_slices::<f16>();
    attend_queries_keeps_to_its_slices::<Q8_0>();
}
