//! Arguments that make no sense: a status for each, and nothing else.

use std::ffi::c_void;
use std::ptr;

use quintile::formats::Format;

use crate::api::*;
use crate::rows::weights;
use crate::{Bytes, c, floats};

/// Lengths whose products overflow, and others.
const HUGE: [usize; 5] =
    [usize::MAX, usize::MAX - 255, isize::MAX as usize + 1, usize::MAX / 4 + 1, 1 << 60];

const Q5_K: u32 = 13;

#[test]
fn rows_refuse_null_short_long_misaligned_and_overlapping_memory() {
    let api = api();
    let (row, x) = (weights(Format::Q5K, 1, 512), floats(512, 0));
    let (r, n) = (row.as_ptr().cast(), row.len());
    let mut blocks = Bytes::aligned(640);
    let act_mut: *mut c_void = blocks.as_mut_ptr();
    let act = act_mut.cast_const();
    let mut out = vec![0f32; 512];
    let (o, x) = (out.as_mut_ptr(), x.as_ptr());
    let (null, nul, nulf) = (ptr::null(), ptr::null_mut(), ptr::null());
    let odd = x.cast::<u8>().wrapping_add(1).cast::<f32>();
    let odd_out = o.cast::<u8>().wrapping_add(2).cast::<f32>();
    // SAFETY: what is too short or misaligned is said to be so, and never touched; so below.
    unsafe {
        let dot = api.quintile_dot_f32;
        assert_eq!(dot(nulf, x, 4, o), NULL_POINTER);
        assert_eq!(dot(x, nulf, 4, o), NULL_POINTER);
        assert_eq!(dot(x, x, 4, ptr::null_mut()), NULL_POINTER);
        assert_eq!(dot(odd, x, 4, o), MISALIGNED);
        assert_eq!(dot(x, odd, 4, o), MISALIGNED);
        assert_eq!(dot(nulf, nulf, 0, o), OK);
        assert_eq!(out[0].to_bits(), 0);
        // The last would fit the address space.
        for &huge in &HUGE[..4] {
            assert_eq!(dot(x, x, huge, o), OVERFLOW, "{huge:x}");
        }

        let dequantize = api.quintile_dequantize;
        assert_eq!(dequantize(Q5_K, null, n, o, 512), NULL_POINTER);
        assert_eq!(dequantize(Q5_K, r, n, ptr::null_mut(), 512), NULL_POINTER);
        assert_eq!(dequantize(Q5_K, r, n, odd_out, 512), MISALIGNED);
        assert_eq!(dequantize(Q5_K, r, n, row.as_ptr().cast_mut().cast(), 512), OVERLAP);
        for (bytes, values) in [(n - 1, 512), (n + 1, 512), (n, 511), (n, 256), (0, 512), (n, 0)] {
            assert_eq!(dequantize(Q5_K, r, bytes, o, values), WRONG_SIZE, "{bytes} {values}");
        }
        for id in [4, 5, 9, 16, 24, 31, 99, u32::MAX] {
            assert_eq!(dequantize(id, r, n, o, 512), UNKNOWN_FORMAT);
        }
        for huge in HUGE {
            let status = dequantize(Q5_K, r, n, o, huge);
            assert!([WRONG_SIZE, OVERFLOW].contains(&status), "{huge:x}: {status}");
            let status = dequantize(0, r, n, o, huge);
            assert!([WRONG_SIZE, OVERFLOW].contains(&status), "{huge:x}: {status}");
        }

        let exact = api.quintile_dot_exact;
        assert_eq!(exact(Q5_K, null, n, x, 512, o), NULL_POINTER);
        assert_eq!(exact(Q5_K, r, n, nulf, 512, o), NULL_POINTER);
        assert_eq!(exact(Q5_K, r, n, x, 512, ptr::null_mut()), NULL_POINTER);
        assert_eq!(exact(Q5_K, r, n - 1, x, 512, o), WRONG_SIZE);
        assert_eq!(exact(Q5_K, r, n, odd, 512, o), MISALIGNED);
        assert_eq!(exact(99, r, n, x, 512, o), UNKNOWN_FORMAT);

        let mut bytes = 0;
        assert_eq!((api.quintile_row_bytes)(Q5_K, 512, ptr::null_mut()), NULL_POINTER);
        assert_eq!((api.quintile_row_bytes)(Q5_K, 100, &mut bytes), WRONG_SIZE);
        assert_eq!((api.quintile_row_bytes)(0, usize::MAX, &mut bytes), OVERFLOW);
        assert_eq!((api.quintile_quantized_bytes)(0, 512, &mut bytes), UNSUPPORTED);
        assert_eq!((api.quintile_quantized_bytes)(Q5_K, 8, &mut bytes), WRONG_SIZE);

        let quantize = api.quintile_quantize;
        assert_eq!(quantize(Q5_K, nulf, 512, act_mut, 640), NULL_POINTER);
        assert_eq!(quantize(Q5_K, x, 512, nul, 640), NULL_POINTER);
        assert_eq!(quantize(Q5_K, x, 512, act_mut, 639), WRONG_SIZE);
        assert_eq!(quantize(Q5_K, odd, 512, act_mut, 640), MISALIGNED);
        assert_eq!(quantize(Q5_K, x, 512, act_mut.cast::<u8>().add(32).cast(), 640), MISALIGNED);
        assert_eq!(quantize(Q5_K, act.cast(), 512, act_mut, 640), OVERLAP);
        assert_eq!(quantize(1, x, 512, act_mut, 640), UNSUPPORTED);
        assert_eq!(quantize(Q5_K, x, 512, act_mut, 640), OK);

        let dot = api.quintile_dot_quantized;
        assert_eq!(dot(Q5_K, null, n, act, 640, 512, o), NULL_POINTER);
        assert_eq!(dot(Q5_K, r, n, null, 640, 512, o), NULL_POINTER);
        assert_eq!(dot(Q5_K, r, n, act, 640, 512, ptr::null_mut()), NULL_POINTER);
        assert_eq!(dot(Q5_K, r, n, act, 320, 512, o), WRONG_SIZE);
        assert_eq!(dot(Q5_K, r, n - 1, act, 640, 512, o), WRONG_SIZE);
        assert_eq!(dot(Q5_K, r, n, act.cast::<u8>().add(4).cast(), 640, 512, o), MISALIGNED);
        assert_eq!(dot(0, r, n, act, 640, 512, o), UNSUPPORTED);
        assert_eq!(dot(Q5_K, r, n, act, 640, 512, o), OK);
    }
}

/// A plan, and memory for it.
struct Case {
    plan: Plan,
    weights: Vec<u8>,
    x: Vec<f32>,
    packed: Bytes,
    activations: Bytes,
    scratch: Bytes,
    out: Vec<f32>,
}

const ROWS: usize = 70;
const COLUMNS: usize = 9;

impl Case {
    fn new() -> Case {
        let mut plan = std::mem::MaybeUninit::<Plan>::uninit();
        // SAFETY: a place for the plan.
        let plan = unsafe {
            let (at, level) = (plan.as_mut_ptr(), ptr::null());
            assert_eq!((api().quintile_plan_init)(at, level, Q5_K, ROWS, 256, COLUMNS), OK);
            plan.assume_init()
        };
        Case {
            plan,
            weights: weights(Format::Q5K, ROWS, 256),
            x: floats(COLUMNS * 256, 1),
            packed: Bytes::aligned(plan.packed_bytes),
            activations: Bytes::aligned(plan.activation_bytes),
            scratch: Bytes::aligned(plan.scratch_bytes),
            out: vec![0.0; ROWS * COLUMNS],
        }
    }

    fn product(&mut self) -> Product {
        Product {
            packed: self.packed.as_ptr(),
            packed_bytes: self.plan.packed_bytes,
            weights: ptr::null(),
            weights_bytes: 0,
            activations: self.activations.as_ptr(),
            activations_bytes: self.plan.activation_bytes,
            columns: COLUMNS,
            out: self.out.as_mut_ptr(),
            out_len: self.out.len(),
            out_stride: ROWS,
            bias: ptr::null(),
            bias_len: 0,
            accumulate: 0,
        }
    }

    /// Runs a product that was changed.
    fn run(&mut self, change: impl Fn(&mut Plan, &mut Product)) -> i32 {
        let mut product = self.product();
        let mut plan = self.plan;
        change(&mut plan, &mut product);
        let bytes = self.scratch.len;
        // SAFETY: what the changes break is said by the numbers beside.
        unsafe { (api().quintile_run)(&plan, &product, self.scratch.as_mut_ptr(), bytes, 0, 1) }
    }
}

#[test]
fn plans_refuse_formats_shapes_and_levels_that_are_none() {
    let init = api().quintile_plan_init;
    let mut place = std::mem::MaybeUninit::<Plan>::uninit();
    let at = place.as_mut_ptr();
    // SAFETY: a place for the plan, and texts that end in a zero.
    unsafe {
        assert_eq!(init(ptr::null_mut(), ptr::null(), Q5_K, 1, 256, 1), NULL_POINTER);
        assert_eq!(init(at, ptr::null(), 99, 1, 256, 1), UNKNOWN_FORMAT);
        assert_eq!(init(at, ptr::null(), Q5_K, 1, 255, 1), WRONG_SIZE);
        assert_eq!(init(at, c("best").as_ptr(), Q5_K, 1, 256, 1), INVALID_OPTION);
        let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
        assert_eq!(init(at, c(foreign).as_ptr(), Q5_K, 1, 256, 1), UNSUPPORTED);
        for huge in HUGE {
            for [rows, k, columns] in
                [[huge, 256, 1], [1, huge & !255, 1], [1, 256, huge], [0, huge & !255, 0]]
            {
                let status = init(at, ptr::null(), Q5_K, rows, k, columns);
                assert_eq!(status, OVERFLOW, "{rows:x} {k:x} {columns:x}");
            }
        }
        for [rows, k, columns] in [[0, 256, 1], [1, 0, 1], [1, 256, 0], [0, 0, 0]] {
            assert_eq!(init(at, ptr::null(), Q5_K, rows, k, columns), OK);
        }
    }
}

#[test]
fn a_plan_that_was_tampered_with_is_a_status_or_another_plan() {
    let mut case = Case::new();
    assert_eq!(case.run(|_, _| {}), OK);
    assert_eq!(case.run(|plan, _| plan.format = 99), UNKNOWN_FORMAT);
    assert_eq!(case.run(|plan, _| plan.level = 99), UNSUPPORTED);
    let foreign = if cfg!(target_arch = "aarch64") { 2 } else { 8 };
    assert_eq!(case.run(|plan, _| plan.level = foreign), UNSUPPORTED);
    for huge in HUGE {
        assert_eq!(case.run(|plan, _| plan.rows = huge), OVERFLOW);
        assert_ne!(case.run(|plan, _| plan.k = huge), OK);
        assert_eq!(case.run(|plan, _| plan.columns = huge), OVERFLOW);
        // Of sizes that follow from others, what a plan says does not matter.
        let sizes = |plan: &mut Plan, _: &mut Product| {
            (plan.packed_bytes, plan.column_bytes, plan.scratch_bytes) = (huge, huge, huge);
            (plan.row_bytes, plan.activation_bytes, plan.row_multiple) = (huge, huge, huge);
        };
        assert_eq!(case.run(sizes), OK);
        let status = case.run(|plan, _| plan.cache_bytes = huge);
        assert!([OK, BUFFER_TOO_SMALL].contains(&status), "{status}");
    }
    assert_ne!(case.run(|plan, _| plan.rows += 32), OK);
    assert_ne!(case.run(|plan, _| plan.k += 256), OK);
}

#[test]
fn products_refuse_what_does_not_fit() {
    let mut case = Case::new();
    let (scratch, scratch_bytes) = (case.scratch.as_mut_ptr(), case.scratch.len);
    let (packed, activations) = (case.packed.as_ptr::<f32>(), case.activations.as_ptr::<f32>());
    let odd = |p: *const std::ffi::c_void| p.cast::<u8>().wrapping_add(4).cast();
    type Change<'a> = &'a dyn Fn(&mut Product);
    let changes: [(i32, Change<'_>); 21] = [
        (NULL_POINTER, &|p| p.packed = ptr::null()),
        (NULL_POINTER, &|p| p.activations = ptr::null()),
        (NULL_POINTER, &|p| p.out = ptr::null_mut()),
        (WRONG_SIZE, &|p| p.packed_bytes -= 1),
        (WRONG_SIZE, &|p| p.packed_bytes += 64),
        (BUFFER_TOO_SMALL, &|p| p.activations_bytes -= 1),
        (BUFFER_TOO_SMALL, &|p| p.out_len -= 1),
        (WRONG_SIZE, &|p| p.out_stride = ROWS - 1),
        (BUFFER_TOO_SMALL, &|p| p.out_stride = ROWS + 1),
        (OVERFLOW, &|p| p.out_stride = usize::MAX),
        (OUT_OF_RANGE, &|p| p.columns = COLUMNS + 1),
        (OUT_OF_RANGE, &|p| p.columns = usize::MAX),
        (MISALIGNED, &|p| p.packed = odd(p.packed)),
        (MISALIGNED, &|p| p.activations = odd(p.activations)),
        (MISALIGNED, &|p| p.out = p.out.cast::<u8>().wrapping_add(1).cast()),
        (OVERLAP, &|p| p.out = packed.cast_mut()),
        (OVERLAP, &|p| p.out = activations.cast_mut()),
        (WRONG_SIZE, &|p| (p.bias, p.bias_len) = (packed, ROWS - 1)),
        (OVERLAP, &|p| (p.bias, p.bias_len) = (p.out, ROWS)),
        (OK, &|p| p.columns = 0),
        (OK, &|p| p.columns = 2),
    ];
    for (want, change) in changes {
        assert_eq!(case.run(|_, product| change(product)), want);
    }
    let (plan, product) = (case.plan, case.product());
    let run = api().quintile_run;
    // SAFETY: as above.
    unsafe {
        assert_eq!(run(ptr::null(), &product, scratch, scratch_bytes, 0, 1), NULL_POINTER);
        assert_eq!(run(&plan, ptr::null(), scratch, scratch_bytes, 0, 1), NULL_POINTER);
        assert_eq!(run(&plan, &product, ptr::null_mut(), scratch_bytes, 0, 1), NULL_POINTER);
        assert_eq!(run(&plan, &product, scratch, scratch_bytes - 1, 0, 1), BUFFER_TOO_SMALL);
        assert_eq!(run(&plan, &product, product.out.cast(), scratch_bytes, 0, 1), OVERLAP);
        for [ith, nth] in [[0, 0], [1, 1], [usize::MAX, usize::MAX], [5, 3]] {
            assert_eq!(run(&plan, &product, scratch, scratch_bytes, ith, nth), OUT_OF_RANGE);
        }
        for [ith, nth] in [[usize::MAX - 1, usize::MAX], [0, usize::MAX], [999, 1000]] {
            assert_eq!(run(&plan, &product, scratch, scratch_bytes, ith, nth), OK);
        }
    }
}

#[test]
fn packing_and_activations_refuse_what_does_not_fit() {
    let mut case = Case::new();
    let plan = &case.plan;
    let (w, n) = (case.weights.as_ptr().cast(), case.weights.len());
    let (packed, bytes) = (case.packed.as_mut_ptr(), plan.packed_bytes);
    let (pack, activations) = (api().quintile_pack, api().quintile_activations);
    // SAFETY: what is wrong is said by the numbers, and never touched.
    unsafe {
        assert_eq!(pack(ptr::null(), 0, ROWS, w, n, packed, bytes), NULL_POINTER);
        assert_eq!(pack(plan, 0, ROWS, ptr::null(), n, packed, bytes), NULL_POINTER);
        assert_eq!(pack(plan, 0, ROWS, w, n, ptr::null_mut(), bytes), NULL_POINTER);
        assert_eq!(pack(plan, 0, ROWS, w, n - 1, packed, bytes), WRONG_SIZE);
        assert_eq!(pack(plan, 0, ROWS, w, n, packed, bytes - 64), WRONG_SIZE);
        assert_eq!(pack(plan, 1, ROWS - 1, w, n, packed, bytes), OUT_OF_RANGE);
        assert_eq!(pack(plan, 0, 33, w, n, packed, bytes), OUT_OF_RANGE);
        assert_eq!(pack(plan, 64, 32, w, n, packed, bytes), OUT_OF_RANGE);
        assert_eq!(pack(plan, 32, usize::MAX, w, n, packed, bytes), OVERFLOW);
        assert_eq!(pack(plan, 0, ROWS, packed, n, packed, bytes), OVERLAP);
        let beside = packed.cast::<u8>().wrapping_add(16).cast();
        assert_eq!(pack(plan, 0, ROWS, w, n, beside, bytes), MISALIGNED);
        assert_eq!(pack(plan, 0, ROWS, w, n, packed, bytes), OK);
        assert_eq!(pack(plan, 64, 6, w, 6 * plan.row_bytes, packed, bytes), OK);
        assert_eq!(pack(plan, ROWS, 0, ptr::null(), 0, ptr::null_mut(), 0), OK);

        let (x, len) = (case.x.as_ptr(), case.x.len());
        let (out, bytes) = (case.activations.as_mut_ptr(), plan.activation_bytes);
        assert_eq!(activations(ptr::null(), x, len, 256, 0, 1, out, bytes), NULL_POINTER);
        assert_eq!(activations(plan, ptr::null(), len, 256, 0, 1, out, bytes), NULL_POINTER);
        assert_eq!(activations(plan, x, len, 256, 0, 1, ptr::null_mut(), bytes), NULL_POINTER);
        assert_eq!(activations(plan, x, len, 255, 0, 1, out, bytes), WRONG_SIZE);
        assert_eq!(activations(plan, x, len - 1, 256, 0, COLUMNS, out, bytes), WRONG_SIZE);
        assert_eq!(activations(plan, x, len, usize::MAX, 0, 2, out, bytes), OVERFLOW);
        assert_eq!(activations(plan, x, len, 256, 1, COLUMNS, out, bytes), OUT_OF_RANGE);
        assert_eq!(activations(plan, x, len, 256, usize::MAX, 2, out, bytes), OVERFLOW);
        assert_eq!(activations(plan, x, len, 256, 0, COLUMNS, out, bytes - 1), BUFFER_TOO_SMALL);
        let beside = out.cast::<u8>().wrapping_add(32).cast();
        assert_eq!(activations(plan, x, len, 256, 0, 1, beside, bytes), MISALIGNED);
        assert_eq!(activations(plan, out.cast(), len, 256, 0, 1, out, bytes), OVERLAP);
        assert_eq!(activations(plan, x, len, 256, 0, COLUMNS, out, bytes), OK);
    }
}
