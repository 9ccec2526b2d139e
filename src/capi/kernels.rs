//! Kernels: one row at a time.

use core::ffi::c_void;

use half::{bf16, f16};

use super::entry::{apart, entry, region, slice, slice_mut, write};
use super::{QUINTILE_ALIGNMENT, Status, level};
use crate::formats::{ActBlock, Format};

const _: () = assert!(align_of::<ActBlock>() == QUINTILE_ALIGNMENT);

/// Bytes of a row of `n` values in a format.
pub(super) fn row_bytes(format: Format, n: usize) -> Result<usize, Status> {
    if !n.is_multiple_of(format.block_len()) {
        return Err(Status::WrongSize);
    }
    format.row_bytes(n).ok_or(Status::Overflow)
}

/// A row of `n` values, of which there must be the bytes.
///
/// # Safety
/// As the [module](super) says.
unsafe fn row<'a>(
    format: Format,
    row: *const c_void,
    bytes: usize,
    n: usize,
) -> Result<&'a [u8], Status> {
    if bytes != row_bytes(format, n)? {
        return Err(Status::WrongSize);
    }
    // SAFETY: the caller's promise.
    unsafe { slice(row.cast(), bytes) }
}

/// Blocks of activations for rows of `n` values.
fn blocks(format: Format, n: usize) -> Result<usize, Status> {
    row_bytes(format, n)?;
    match format.activation() {
        Some(_) => Ok(ActBlock::count(n)),
        None => Err(Status::Unsupported),
    }
}

/// Bytes of a row of `n` values in a format, which is a number of GGUF (ggml_type). UNKNOWN_FORMAT; WRONG_SIZE if they are no whole
/// number of blocks; OVERFLOW.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_row_bytes(format: u32, n: usize, bytes: *mut usize) -> Status {
    entry(|| {
        let count = row_bytes(level::format(format)?, n)?;
        // SAFETY: the caller's promise, as the module says; so below.
        unsafe { write(bytes, count) }
    })
}

/// The sum of `a[i] * b[i]`, in f32 by 64 lanes whose order is fixed. `out` is one number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_dot_f32(
    a: *const f32,
    b: *const f32,
    n: usize,
    out: *mut f32,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let (a, b) = unsafe { (slice(a, n)?, slice(b, n)?) };
        // SAFETY: the caller's promise.
        unsafe { write(out, level::kernels().dot_f32(a, b)) }
    })
}

/// Writes the `n` values of a row as f32. The row lies at any address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_dequantize(
    format: u32,
    row_data: *const c_void,
    row_data_bytes: usize,
    out: *mut f32,
    n: usize,
) -> Status {
    entry(|| {
        let format = level::format(format)?;
        // SAFETY: the caller's promise.
        let row = unsafe { row(format, row_data, row_data_bytes, n)? };
        apart(&region(out, n), &[region(row.as_ptr(), row.len())])?;
        // SAFETY: the caller's promise, and apart from the row.
        level::kernels().dequantize(format, row, unsafe { slice_mut(out, n)? });
        Ok(())
    })
}

/// The dot of a row with f32 activations, none of them rounded: the bits of quintile_dot_f32 with the dequantised row. A quantised row
/// lies at any address, one of F32, F16 or BF16 at a multiple of its elements (else MISALIGNED).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_dot_exact(
    format: u32,
    row_data: *const c_void,
    row_data_bytes: usize,
    x: *const f32,
    n: usize,
    out: *mut f32,
) -> Status {
    entry(|| {
        let (format, kernels) = (level::format(format)?, level::kernels());
        // SAFETY: the caller's promise.
        let (row, x) = unsafe { (row(format, row_data, row_data_bytes, n)?, slice(x, n)?) };
        if cfg!(target_endian = "big") && format.activation().is_none() {
            return Err(Status::Unsupported);
        }
        // SAFETY: so many bytes are there, `n` elements of the format, any bits of which are a number.
        let dot = unsafe {
            match format {
                Format::F32 => kernels.dot_f32(slice::<f32>(row.as_ptr().cast(), n)?, x),
                Format::F16 => kernels.dot_f16(slice::<f16>(row.as_ptr().cast(), n)?, x),
                Format::Bf16 => kernels.dot_bf16(slice::<bf16>(row.as_ptr().cast(), n)?, x),
                _ => kernels.qdot_exact(format, row, x),
            }
        };
        // SAFETY: the caller's promise.
        unsafe { write(out, dot) }
    })
}

/// Bytes of `n` activations as quintile_quantize writes them for rows of this format. UNSUPPORTED for F32, F16 and BF16, whose
/// activations stay what they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_quantized_bytes(
    format: u32,
    n: usize,
    bytes: *mut usize,
) -> Status {
    entry(|| {
        let blocks = blocks(level::format(format)?, n)?;
        let count = blocks.checked_mul(size_of::<ActBlock>()).ok_or(Status::Overflow)?;
        // SAFETY: the caller's promise.
        unsafe { write(bytes, count) }
    })
}

/// Rounds `n` activations to bytes with a scale for each 32 or 256 of them, as rows of this format want them. `quantized` has
/// quintile_quantized_bytes, at a multiple of QUINTILE_ALIGNMENT. NaN or an infinity makes every dot with its scale NaN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_quantize(
    format: u32,
    x: *const f32,
    n: usize,
    quantized: *mut c_void,
    quantized_bytes: usize,
) -> Status {
    entry(|| {
        let format = level::format(format)?;
        let blocks = blocks(format, n)?;
        if blocks.checked_mul(size_of::<ActBlock>()) != Some(quantized_bytes) {
            return Err(Status::WrongSize);
        }
        let quantized: *mut ActBlock = quantized.cast();
        apart(&region(quantized, blocks), &[region(x, n)])?;
        // SAFETY: the caller's promise, and they are apart; any bytes are a block.
        let (x, out) = unsafe { (slice(x, n)?, slice_mut(quantized, blocks)?) };
        let scale = format.activation().ok_or(Status::Unsupported)?;
        level::kernels().quantize(scale, x, out);
        Ok(())
    })
}

/// The dot of a quantised row of `n` values, at any address, with what quintile_quantize made of as many activations for the same
/// format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_dot_quantized(
    format: u32,
    row_data: *const c_void,
    row_data_bytes: usize,
    quantized: *const c_void,
    quantized_bytes: usize,
    n: usize,
    out: *mut f32,
) -> Status {
    entry(|| {
        let format = level::format(format)?;
        let blocks = blocks(format, n)?;
        if blocks.checked_mul(size_of::<ActBlock>()) != Some(quantized_bytes) {
            return Err(Status::WrongSize);
        }
        // SAFETY: the caller's promise.
        let row = unsafe { row(format, row_data, row_data_bytes, n)? };
        // SAFETY: the caller's promise; any bytes are a block.
        let x: &[ActBlock] = unsafe { slice(quantized.cast(), blocks)? };
        // SAFETY: the caller's promise.
        unsafe { write(out, level::kernels().qdot(format, row, x)) }
    })
}
