//! Products of matrices: plan, pack, activations, run.

use core::ffi::{c_char, c_void};
use core::ops::Range;

use super::entry::{apart, check, entry, region, slice, slice_mut, text, write};
use super::{QUINTILE_ALIGNMENT, Status, level};
use crate::formats::{ActBlock, Format};
use crate::isa::Caches;
use crate::kernels::gemm::ROWS;
use crate::kernels::sgemm::{Line, Start};
use crate::matmul::{self, Activations, Epilogue, Outputs, PlanError};

const _: () = assert!(align_of::<Line>() == QUINTILE_ALIGNMENT);

/// How a matrix of weights `[rows, k]`, row-major, is multiplied by at most so many columns of activations. Filled by
/// quintile_plan_init, and read only from then on: it may be copied, and shared by any threads.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Plan {
    /// The weights' format: its number in GGUF files.
    pub format: u32,
    /// Which kernels: quintile_level_name names them.
    pub level: u32,
    /// Rows of the weights: outputs of a column.
    pub rows: usize,
    /// Length of a row and of a column.
    pub k: usize,
    /// Columns at most.
    pub columns: usize,
    /// Rows are divided at multiples of this.
    pub row_multiple: usize,
    /// Bytes of one row as files hold it.
    pub row_bytes: usize,
    /// Bytes of all rows when packed.
    pub packed_bytes: usize,
    /// Bytes of the activations of one column.
    pub column_bytes: usize,
    /// Bytes of the activations of all columns.
    pub activation_bytes: usize,
    /// Bytes of scratch that each thread needs, its own, for any number of products.
    pub scratch_bytes: usize,
    /// The size of cache that panels are made for.
    pub cache_bytes: usize,
}

/// A product: `out[c * out_stride + r]` becomes the dot of row `r` of the weights and column `c` of the activations. All threads that
/// compute parts of it read the same one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Product {
    /// All rows, packed by quintile_pack, at a multiple of QUINTILE_ALIGNMENT; or null, and then `weights` is read.
    pub packed: *const c_void,
    /// Its bytes: packed_bytes of the plan.
    pub packed_bytes: usize,
    /// All rows as files hold them, at any address. Takes no memory, and more time for many columns than packed rows; the same bits.
    pub weights: *const c_void,
    /// Its bytes: rows * row_bytes of the plan.
    pub weights_bytes: usize,
    /// What quintile_activations wrote, at a multiple of QUINTILE_ALIGNMENT.
    pub activations: *const c_void,
    /// Its bytes: columns * column_bytes of the plan, or more.
    pub activations_bytes: usize,
    /// Columns of this product: at most those planned.
    pub columns: usize,
    /// The output.
    pub out: *mut f32,
    /// Its numbers: (columns - 1) * out_stride + rows, or more. What lies between columns is left alone.
    pub out_len: usize,
    /// Numbers from one column to the next: the plan's rows, or more.
    pub out_stride: usize,
    /// A number that is added to each row's results at last; or null.
    pub bias: *const f32,
    /// Its numbers: the plan's rows.
    pub bias_len: usize,
    /// If not 0, the product is added to what `out` holds.
    pub accumulate: u32,
}

/// A plan of the caller's, checked.
struct Planned {
    plan: matmul::Plan,
    format: Format,
    rows: usize,
    k: usize,
    columns: usize,
    row_bytes: usize,
    column_bytes: usize,
}

impl Planned {
    fn new(
        format: u32,
        level: u32,
        rows: usize,
        k: usize,
        columns: usize,
        cache: usize,
    ) -> Result<Self, Status> {
        let (format, kernels) = (level::format(format)?, level::at(level)?);
        let plan = matmul::Plan::for_cache(cache, kernels, format, rows, k, columns);
        let plan = plan.map_err(|error| match error {
            PlanError::Blocks { .. } => Status::WrongSize,
            PlanError::TooLarge { .. } => Status::Overflow,
        })?;
        // None of these sizes overflows, or there were no plan.
        let row_bytes = format.row_bytes(k).ok_or(Status::Overflow)?;
        let column_bytes = match format.activation() {
            Some(_) => ActBlock::count(k) * size_of::<ActBlock>(),
            None => (k * size_of::<f32>()).next_multiple_of(QUINTILE_ALIGNMENT),
        };
        Ok(Planned { plan, format, rows, k, columns, row_bytes, column_bytes })
    }

    /// # Safety
    /// As the [module](super) says.
    unsafe fn read(plan: *const Plan) -> Result<Self, Status> {
        if plan.is_null() {
            return Err(Status::NullPointer);
        }
        // SAFETY: the caller's promise.
        let p = unsafe { plan.read_unaligned() };
        Self::new(p.format, p.level, p.rows, p.k, p.columns, p.cache_bytes)
    }

    fn scratch_lines(&self) -> usize {
        self.plan.scratch_lines().max(self.plan.unpacked_scratch_lines())
    }

    /// Lines, and what it takes to begin at one wherever the memory does.
    fn scratch_bytes(&self) -> usize {
        match self.scratch_lines() {
            0 => 0,
            lines => lines * size_of::<Line>() + QUINTILE_ALIGNMENT - 1,
        }
    }

    /// Rows of one part of so many, of which all but the last begin and end at multiples of [`ROWS`].
    fn share(&self, ith: usize, nth: usize) -> Result<Range<usize>, Status> {
        if ith >= nth {
            return Err(Status::OutOfRange);
        }
        let runs = self.rows.div_ceil(ROWS) as u128;
        // A part of the runs, and so at most as many.
        let row = |i: usize| self.rows.min((runs * i as u128 / nth as u128) as usize * ROWS);
        Ok(row(ith)..row(ith + 1))
    }
}

/// Plans products of weights `[rows, k]` of a format, a number of GGUF, by at most so many columns: fills `plan`, sizes included.
/// `level` names kernels ("scalar", "avx2-asm", ...) or is null for the fastest; it changes no bit of any result.
/// UNKNOWN_FORMAT; WRONG_SIZE if k is no whole number of blocks; OVERFLOW; INVALID_OPTION if no level has the name; UNSUPPORTED
/// if the CPU lacks it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_plan_init(
    plan: *mut Plan,
    level: *const c_char,
    format: u32,
    rows: usize,
    k: usize,
    columns: usize,
) -> Status {
    entry(|| {
        let level = match level.is_null() {
            true => level::best(),
            // SAFETY: the caller's promise.
            false => level::named(unsafe { text(level)? }.to_bytes())?,
        };
        let cache_bytes = Caches::get().l2;
        let planned = Planned::new(format, level, rows, k, columns, cache_bytes)?;
        let Planned { row_bytes, column_bytes, .. } = planned;
        let filled = Plan {
            format,
            level,
            rows,
            k,
            columns,
            row_multiple: ROWS,
            row_bytes,
            packed_bytes: planned.plan.packed_lines() * size_of::<Line>(),
            column_bytes,
            activation_bytes: columns * column_bytes,
            scratch_bytes: planned.scratch_bytes(),
            cache_bytes,
        };
        // SAFETY: the caller's promise.
        unsafe { write(plan, filled) }
    })
}

/// The rows of part `ith` of `nth`: those that quintile_run computes for these, and a good division for quintile_pack. Parts
/// are as even as multiples of row_multiple let them be; with more parts than those, some have no rows. OUT_OF_RANGE if ith
/// is not below nth.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_plan_share(
    plan: *const Plan,
    ith: usize,
    nth: usize,
    first_row: *mut usize,
    rows: *mut usize,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let share = unsafe { Planned::read(plan)? }.share(ith, nth)?;
        // SAFETY: the caller's promise.
        unsafe {
            write(first_row, share.start)?;
            write(rows, share.len())
        }
    })
}

/// Packs rows of which `weights` is, at any address, what a file holds: these rows alone, rows * row_bytes. They begin at a
/// multiple of row_multiple, and end at one or with the matrix (else OUT_OF_RANGE). `packed` is the memory of all rows, packed_bytes
/// at a multiple of QUINTILE_ALIGNMENT: threads may pack different rows of it at the same time. What is packed is for the plan that it
/// was packed by, on this CPU.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_pack(
    plan: *const Plan,
    first_row: usize,
    rows: usize,
    weights: *const c_void,
    weights_bytes: usize,
    packed: *mut c_void,
    packed_bytes: usize,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let planned = unsafe { Planned::read(plan)? };
        let end = first_row.checked_add(rows).ok_or(Status::Overflow)?;
        let whole = |row: usize| row.is_multiple_of(ROWS) || row == planned.rows;
        if end > planned.rows || !whole(first_row) || !whole(end) {
            return Err(Status::OutOfRange);
        }
        if rows == 0 {
            return Ok(());
        }
        let lines = planned.plan.packed_lines();
        if weights_bytes != rows * planned.row_bytes || packed_bytes != lines * size_of::<Line>() {
            return Err(Status::WrongSize);
        }
        if lines == 0 {
            return Ok(());
        }
        let packed: *mut Line = packed.cast();
        check(packed, lines)?;
        let part = planned.plan.lines(first_row..end);
        let out = packed.wrapping_add(part.start);
        apart(&region(out, part.len()), &[region(weights.cast::<u8>(), weights_bytes)])?;
        // SAFETY: the caller's promise; of what is written, these rows' lines alone, inside of `packed`; any bits are numbers.
        let (bytes, out) =
            unsafe { (slice(weights.cast(), weights_bytes)?, slice_mut(out, part.len())?) };
        planned.plan.pack(first_row..end, bytes, out);
        Ok(())
    })
}

/// Makes activations of columns `first_column` to `first_column + columns - 1`, as rows of the plan's format want them. `x` holds
/// column c at x[c * x_stride], x_stride being k or more. `activations` is the memory of all columns, columns * column_bytes at a
/// multiple of QUINTILE_ALIGNMENT: threads may write different columns of it at the same time.
/// OUT_OF_RANGE for columns that are not planned; BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_activations(
    plan: *const Plan,
    x: *const f32,
    x_len: usize,
    x_stride: usize,
    first_column: usize,
    columns: usize,
    activations: *mut c_void,
    activations_bytes: usize,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let planned = unsafe { Planned::read(plan)? };
        let Planned { k, column_bytes, format, .. } = planned;
        let end = first_column.checked_add(columns).ok_or(Status::Overflow)?;
        if end > planned.columns {
            return Err(Status::OutOfRange);
        }
        if columns == 0 || k == 0 {
            return Ok(());
        }
        if x_stride < k || activations_bytes < end * column_bytes {
            return Err(if x_stride < k { Status::WrongSize } else { Status::BufferTooSmall });
        }
        let reach = (end - 1).checked_mul(x_stride).and_then(|last| last.checked_add(k));
        if reach.ok_or(Status::Overflow)? > x_len {
            return Err(Status::WrongSize);
        }
        let lines = column_bytes / size_of::<Line>();
        let all: *mut Line = activations.cast();
        check(all, end * lines)?;
        let out = all.wrapping_add(first_column * lines);
        apart(&region(out, columns * lines), &[region(x, x_len)])?;
        // SAFETY: the caller's promise; of what is written, these columns alone, inside of `activations`.
        let x = &unsafe { slice(x, x_len)? }[first_column * x_stride..];
        match format.activation() {
            Some(scale) => {
                let blocks = columns * ActBlock::count(k);
                // SAFETY: as above; any bytes are a block.
                let out = unsafe { slice_mut(out.cast::<ActBlock>(), blocks)? };
                matmul::quantize_columns(level::kernels(), scale, x, k, x_stride, out);
            }
            None => {
                // SAFETY: as above.
                let out = Line::floats_mut(unsafe { slice_mut(out, columns * lines)? });
                for (out, x) in out.chunks_exact_mut(16 * lines).zip(x.chunks(x_stride)) {
                    out[..k].copy_from_slice(&x[..k]);
                }
            }
        }
        Ok(())
    })
}

/// Computes part `ith` of `nth` of a product, rows of every column, on the calling thread. Any threads may compute different parts
/// at the same time; `scratch`, scratch_bytes at any address, is this thread's own (else BUFFER_TOO_SMALL). The bits depend neither on
/// the parts nor on the number of columns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quintile_run(
    plan: *const Plan,
    product: *const Product,
    scratch: *mut c_void,
    scratch_bytes: usize,
    ith: usize,
    nth: usize,
) -> Status {
    entry(|| {
        // SAFETY: the caller's promise.
        let planned = unsafe { Planned::read(plan)? };
        if product.is_null() {
            return Err(Status::NullPointer);
        }
        // SAFETY: the caller's promise.
        let p = unsafe { product.read_unaligned() };
        let share = planned.share(ith, nth)?;
        if p.columns > planned.columns {
            return Err(Status::OutOfRange);
        }
        // SAFETY: the caller's promise.
        let x = unsafe { columns(&planned, &p)? };
        // SAFETY: the caller's promise.
        let epilogue = unsafe { epilogue(&planned, &p)? };
        let reach = reach(&planned, &p)?;
        if share.is_empty() || p.columns == 0 {
            return Ok(());
        }
        check(p.out, reach)?;
        if scratch_bytes < planned.scratch_bytes() {
            return Err(Status::BufferTooSmall);
        }
        let lines = planned.scratch_lines();
        let scratch: *mut u8 = scratch.cast();
        if lines > 0 {
            check(scratch, scratch_bytes)?;
        }
        let (out, own) = (region(p.out, reach), region(scratch, scratch_bytes));
        let weights = if p.packed.is_null() {
            region(p.weights.cast::<u8>(), p.weights_bytes)
        } else {
            region(p.packed.cast::<u8>(), p.packed_bytes)
        };
        let read = [
            weights,
            region(p.activations.cast::<u8>(), p.activations_bytes),
            region(p.bias, p.bias_len),
        ];
        apart(&out, &read)?;
        if lines > 0 {
            apart(&own, &read)?;
            apart(&own, &[out])?;
        }
        let scratch = scratch.wrapping_add(scratch.align_offset(QUINTILE_ALIGNMENT));
        // SAFETY: as many lines as `scratch_bytes` has room for behind any first address; this thread's own, and apart from
        // everything else.
        let scratch = unsafe { slice_mut(scratch.cast::<Line>(), lines)? };
        // SAFETY: all elements lie in the output, as `reach` found, and these rows are this call's.
        let mut out = unsafe { Outputs::from_raw(p.out, p.columns, share, p.out_stride) };
        if p.packed.is_null() {
            if p.weights.is_null() && planned.row_bytes > 0 {
                return Err(Status::NullPointer);
            }
            if p.weights_bytes != planned.rows * planned.row_bytes {
                return Err(Status::WrongSize);
            }
            // SAFETY: the caller's promise.
            let weights = unsafe { slice(p.weights.cast(), p.weights_bytes)? };
            planned.plan.run_unpacked(weights, x, &mut out, epilogue, scratch);
        } else {
            let lines = planned.plan.packed_lines();
            if p.packed_bytes != lines * size_of::<Line>() {
                return Err(Status::WrongSize);
            }
            // SAFETY: the caller's promise; any bits are numbers.
            let packed = unsafe { slice(p.packed.cast(), lines)? };
            planned.plan.run(packed, x, &mut out, epilogue, scratch);
        }
        Ok(())
    })
}

/// The columns of a product.
///
/// # Safety
/// As the [module](super) says.
unsafe fn columns<'a>(planned: &Planned, p: &Product) -> Result<Activations<'a>, Status> {
    let bytes = p.columns * planned.column_bytes;
    if p.activations_bytes < bytes {
        return Err(Status::BufferTooSmall);
    }
    Ok(match planned.format.activation() {
        Some(_) => {
            let blocks = bytes / size_of::<ActBlock>();
            // SAFETY: the caller's promise; any bytes are a block.
            Activations::Blocks(unsafe { slice(p.activations.cast(), blocks)? })
        }
        None => {
            // Columns begin at lines, which is more than numbers ask for: but one rule is enough.
            if bytes > 0 {
                check(p.activations.cast::<Line>(), bytes / size_of::<Line>())?;
            }
            let floats = bytes / size_of::<f32>();
            // SAFETY: the caller's promise.
            let x = unsafe { slice(p.activations.cast(), floats)? };
            Activations::Strided(x, planned.column_bytes / size_of::<f32>())
        }
    })
}

/// What a product is added to.
///
/// # Safety
/// As the [module](super) says.
unsafe fn epilogue<'a>(planned: &Planned, p: &Product) -> Result<Epilogue<'a>, Status> {
    let start = if p.accumulate == 0 { Start::Zero } else { Start::Output };
    if p.bias.is_null() {
        return Ok(Epilogue { start, bias: None });
    }
    if p.bias_len != planned.rows {
        return Err(Status::WrongSize);
    }
    // SAFETY: the caller's promise.
    Ok(Epilogue { start, bias: Some(unsafe { slice(p.bias, p.bias_len)? }) })
}

/// How many numbers of the output the product takes.
fn reach(planned: &Planned, p: &Product) -> Result<usize, Status> {
    if p.out_stride < planned.rows {
        return Err(Status::WrongSize);
    }
    let Some(last) = p.columns.checked_sub(1) else { return Ok(0) };
    let reach = last.checked_mul(p.out_stride).and_then(|at| at.checked_add(planned.rows));
    match reach {
        None => Err(Status::Overflow),
        Some(reach) if reach > p.out_len => Err(Status::BufferTooSmall),
        Some(reach) => Ok(reach),
    }
}
