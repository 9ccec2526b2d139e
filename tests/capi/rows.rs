//! Rows and products: the bits of the Rust interface, from any threads.

use std::ptr;
use std::thread;

use quintile::formats::{ActBlock, Format};
use quintile::isa::Isa;
use quintile::kernels::Kernels;
use quintile::matmul::{self, Activations, Epilogue, Outputs, Weights, quantize_columns};

use crate::api::*;
use crate::{Bytes, c, environment, floats};

const ROWS: usize = 100;
const K: usize = 512;
const COLUMNS: usize = 11;

pub fn kernels() -> Kernels {
    Kernels::new(Isa::detect())
}

/// Rows of a format, some of whose values are subnormal.
pub fn weights(format: Format, rows: usize, k: usize) -> Vec<u8> {
    let mut bytes = vec![0; rows * format.row_bytes(k).unwrap()];
    match format {
        // Nothing quantises to it: a scale of f32, 256 bytes, 16 sums of two bytes.
        Format::Q8K => {
            for (b, block) in bytes.chunks_exact_mut(format.block_bytes()).enumerate() {
                block[..4].copy_from_slice(&(0.001 * (1 + b % 5) as f32).to_le_bytes());
                block[4..260].iter_mut().enumerate().for_each(|(i, q)| *q = (i * 31 + b) as u8);
            }
        }
        _ => kernels().quantize_weights(format, &floats(rows * k, 3), &mut bytes),
    }
    bytes
}

fn bits(out: &[f32]) -> Vec<u32> {
    out.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn versions_and_names_are_those_of_the_crate() {
    let api = api();
    let read = |text: *const std::ffi::c_char| {
        // SAFETY: texts of the library end in a zero and stay.
        unsafe { std::ffi::CStr::from_ptr(text) }.to_str().unwrap()
    };
    // SAFETY: these take numbers alone; so do all calls below.
    unsafe {
        assert_eq!((api.quintile_abi_version)(), 1);
        assert_eq!((api.quintile_contract_version)(), quintile::kernels::CONTRACT_VERSION);
        assert_eq!(read((api.quintile_version)()), env!("CARGO_PKG_VERSION"));
        assert_eq!(read((api.quintile_level_name)(u32::MAX)), Isa::detect().level().name());
        assert!((api.quintile_level_name)(99).is_null());
        for id in 0..50 {
            match (Format::from_gguf_id(id), (api.quintile_format_name)(id)) {
                (Some(format), name) => assert_eq!(read(name), format.name()),
                (None, name) => assert!(name.is_null(), "{id}"),
            }
        }
        for status in -3..300 {
            let text = read((api.quintile_status_text)(status));
            assert_eq!(text == "unknown status", !(0..=BUSY).contains(&status) && status != 255);
        }
    }
}

#[test]
fn rows_have_the_bits_of_the_rust_interface_at_any_address() {
    let (api, kernels) = (api(), kernels());
    let x = floats(K, 40);
    for format in Format::ALL {
        let (id, bytes) = (format.gguf_id(), weights(format, 1, K));
        let mut count = 0;
        // SAFETY: a place for the result.
        assert_eq!(unsafe { (api.quintile_row_bytes)(id, K, &mut count) }, OK);
        assert_eq!(count, bytes.len());
        for offset in [0, 1, 4, 33] {
            let row = Bytes::copy(offset, &bytes);
            let mut values = vec![0.0; K];
            let mut dot = 0.0;
            // SAFETY: slices with their lengths; so below.
            unsafe {
                let (row, out) = (row.as_ptr(), values.as_mut_ptr());
                assert_eq!((api.quintile_dequantize)(id, row, count, out, K), OK);
                let status = (api.quintile_dot_exact)(id, row, count, x.as_ptr(), K, &mut dot);
                let natural = if format.activation().is_some() { 1 } else { format.block_bytes() };
                assert_eq!(status, if offset % natural == 0 { OK } else { MISALIGNED }, "{format}");
                if status == OK {
                    let mut plain = 0.0;
                    let a = values.as_ptr();
                    assert_eq!((api.quintile_dot_f32)(a, x.as_ptr(), K, &mut plain), OK);
                    assert_eq!(dot.to_bits(), plain.to_bits(), "{format}");
                }
            }
            let mut want = vec![0.0; K];
            kernels.dequantize(format, &bytes, &mut want);
            assert_eq!(bits(&values), bits(&want), "{format}");

            let Some(scale) = format.activation() else { continue };
            let mut blocks = vec![ActBlock::ZERO; ActBlock::count(K)];
            kernels.quantize(scale, &x, &mut blocks);
            let mut bytes_of_x = 0;
            // SAFETY: as above.
            unsafe {
                assert_eq!((api.quintile_quantized_bytes)(id, K, &mut bytes_of_x), OK);
                let mut quantized = Bytes::aligned(bytes_of_x);
                let out = quantized.as_mut_ptr();
                assert_eq!((api.quintile_quantize)(id, x.as_ptr(), K, out, bytes_of_x), OK);
                let (row, x) = (row.as_ptr(), quantized.as_ptr());
                let status =
                    (api.quintile_dot_quantized)(id, row, count, x, bytes_of_x, K, &mut dot);
                assert_eq!(status, OK);
            }
            assert_eq!(dot.to_bits(), kernels.qdot(format, &bytes, &blocks).to_bits(), "{format}");
        }
    }
}

/// What a product must be, in columns `stride` apart.
fn want(format: Format, bytes: &[u8], x: &[f32], columns: usize, bias: &[f32]) -> Vec<f32> {
    let kernels = kernels();
    let mut blocks = vec![ActBlock::ZERO; columns * ActBlock::count(K)];
    let x = match format.activation() {
        None => Activations::F32(&x[..columns * K]),
        Some(scale) => {
            quantize_columns(&kernels, scale, x, K, K, &mut blocks);
            Activations::Blocks(&blocks)
        }
    };
    let mut out = vec![0.5; columns * ROWS];
    let w = Weights::new(format, ROWS, K, bytes).unwrap();
    let start = quintile::kernels::sgemm::Start::Output;
    let epilogue = Epilogue { start, bias: Some(bias) };
    let mut outputs = Outputs::new(&mut out, columns, ROWS);
    matmul::run_with(&kernels, &w, x, &mut outputs, None, epilogue);
    out
}

/// Pointers that threads share.
#[derive(Clone, Copy)]
struct Shared<T>(T);
// SAFETY: threads use disjoint parts of what it points to, or read.
unsafe impl<T> Send for Shared<T> {}

impl<T: Copy> Shared<T> {
    fn get(self) -> T {
        self.0
    }
}

/// A product by so many threads, packed or in place, all of them misplaced where they may be.
fn product(
    format: Format,
    bytes: &[u8],
    x: &[f32],
    columns: usize,
    packs: bool,
    nth: usize,
) -> Vec<f32> {
    const STRIDE: usize = ROWS + 3;
    let api = api();
    let bias = floats(ROWS, 9);
    let mut plan = std::mem::MaybeUninit::<Plan>::uninit();
    // SAFETY: a place for the plan, which is filled where the status is OK.
    let plan = unsafe {
        let status = (api.quintile_plan_init)(
            plan.as_mut_ptr(),
            ptr::null(),
            format.gguf_id(),
            ROWS,
            K,
            COLUMNS,
        );
        assert_eq!(status, OK, "{format}");
        plan.assume_init()
    };
    let weights = Bytes::copy(1, bytes);
    let mut packed = Bytes::aligned(plan.packed_bytes);
    let mut activations = Bytes::aligned(plan.activation_bytes);
    let mut out = vec![0.5; columns * STRIDE];
    let packed_at = packed.as_mut_ptr();
    let activations_at = activations.as_mut_ptr();
    let product = Product {
        packed: if packs { packed_at } else { ptr::null_mut() },
        packed_bytes: plan.packed_bytes,
        weights: weights.as_ptr(),
        weights_bytes: bytes.len(),
        activations: activations_at,
        activations_bytes: plan.activation_bytes,
        columns,
        out: out.as_mut_ptr(),
        out_len: out.len(),
        out_stride: STRIDE,
        bias: bias.as_ptr(),
        bias_len: ROWS,
        accumulate: 1,
    };
    let shared = Shared((packed_at, activations_at, &product, weights.as_ptr::<u8>()));
    let barrier = std::sync::Barrier::new(nth);
    thread::scope(|scope| {
        for i in 0..nth {
            let (barrier, plan) = (&barrier, &plan);
            scope.spawn(move || {
                let (packed, activations, product, weights) = shared.get();
                let (mut first, mut rows) = (0, 0);
                let mut scratch = Bytes::beside(i % 64, plan.scratch_bytes);
                // SAFETY: each thread has rows, columns and scratch of its own; the barrier separates writing from reading.
                unsafe {
                    let status = (api.quintile_plan_share)(plan, i, nth, &mut first, &mut rows);
                    assert_eq!(status, OK);
                    let from = weights.add(first * plan.row_bytes).cast();
                    let (count, bytes) = (rows * plan.row_bytes, plan.packed_bytes);
                    let status = (api.quintile_pack)(plan, first, rows, from, count, packed, bytes);
                    assert_eq!(status, OK);
                    let (from, to) = (columns * i / nth, columns * (i + 1) / nth);
                    let bytes = plan.activation_bytes;
                    let status = (api.quintile_activations)(
                        plan,
                        x.as_ptr(),
                        x.len(),
                        K,
                        from,
                        to - from,
                        activations,
                        bytes,
                    );
                    assert_eq!(status, OK);
                    barrier.wait();
                    let (at, bytes) = (scratch.as_mut_ptr(), plan.scratch_bytes);
                    assert_eq!((api.quintile_run)(plan, product, at, bytes, i, nth), OK);
                }
            });
        }
    });
    for column in out.chunks(STRIDE) {
        assert!(column[ROWS..].iter().all(|&gap| gap == 0.5), "{format}: between columns");
    }
    out.chunks(STRIDE).flat_map(|column| &column[..ROWS]).copied().collect()
}

#[test]
fn products_have_the_bits_of_the_rust_interface_in_any_parts() {
    let (x, bias) = (floats(COLUMNS * K, 7), floats(ROWS, 9));
    for format in Format::ALL {
        let bytes = weights(format, ROWS, K);
        for columns in [1, 3, COLUMNS] {
            let want = bits(&want(format, &bytes, &x, columns, &bias));
            for (packs, nth) in [(true, 1), (true, 3), (true, 9), (false, 1), (false, 2)] {
                let got = product(format, &bytes, &x, columns, packs, nth);
                assert_eq!(bits(&got), want, "{format}, {columns} columns, {nth}, {packs}");
            }
        }
    }
}

#[test]
fn sixty_four_threads_at_once_get_the_same_bits() {
    let (x, bias) = (floats(COLUMNS * K, 7), floats(ROWS, 9));
    let format = Format::Q5K;
    let bytes = weights(format, ROWS, K);
    let want = bits(&want(format, &bytes, &x, COLUMNS, &bias));
    // As parts of one product, and each with one of its own.
    assert_eq!(bits(&product(format, &bytes, &x, COLUMNS, true, 64)), want);
    thread::scope(|scope| {
        for i in 0..64 {
            let (x, bytes, want) = (&x, &bytes, &want);
            scope.spawn(move || {
                assert_eq!(&bits(&product(format, bytes, x, COLUMNS, i % 2 == 0, 1)), want);
            });
        }
    });
}

#[test]
fn a_fast_host_gets_the_bits_of_the_default_environment_and_keeps_its_own() {
    let api = api();
    let (a, b) = (floats(1000, 0), floats(1000, 5).iter().map(|x| x * 1e-41).collect::<Vec<_>>());
    let dot = || {
        let mut dot = 0.0;
        // SAFETY: slices with their lengths.
        let status = unsafe { (api.quintile_dot_f32)(a.as_ptr(), b.as_ptr(), 1000, &mut dot) };
        (status, f32::to_bits(dot))
    };
    let want = dot();
    let before = environment::read();
    environment::write(environment::FAST);
    let got = dot();
    let after = environment::read();
    environment::write(before);
    assert_eq!((got, after), (want, environment::FAST));
    assert!(f32::from_bits(want.1).is_subnormal());
}

#[test]
fn every_level_of_this_cpu_can_be_asked_for() {
    let api = api();
    for isa in Isa::available() {
        let name = c(isa.level().name());
        let mut plan = std::mem::MaybeUninit::<Plan>::uninit();
        // SAFETY: a place for the plan.
        let status = unsafe {
            (api.quintile_plan_init)(plan.as_mut_ptr(), name.as_ptr(), 13, ROWS, K, COLUMNS)
        };
        assert_eq!(status, OK, "{name:?}");
    }
}
