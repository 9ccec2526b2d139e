//! Any arguments at the entries for C, as long as no memory is promised that is not there: a status for each.
//!
//! The bytes are a list of calls; sizes are small, near to each other, or absurd, and pointers null, aligned or not.
#![no_main]

#[path = "../../tests/capi/api.rs"]
#[allow(dead_code)]
mod api;

use std::cell::RefCell;
use std::ffi::c_char;
use std::ptr;

use api::{OK, Plan, Product, api};
use libfuzzer_sys::fuzz_target;

/// Bytes of each piece of memory that is promised: f32s fill it up to a size of [`MOST`].
const ROOM: usize = 1 << 20;
/// What a size is at most, but for the absurd ones.
const MOST: usize = 1 << 12;
/// Never passed with the size that would agree with them: that would be a promise of memory.
const ABSURD: [usize; 4] = [usize::MAX, usize::MAX - 255, 1 << 63, usize::MAX / 4 + 1];

#[derive(Clone)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u8; 64]);

/// Lines of a part of the memory: its bytes, and room for what is not aligned.
const LINES: usize = ROOM / 64 + 1;

thread_local! {
    /// Made once: no status depends on what is there.
    static MEMORY: RefCell<Vec<Line>> = RefCell::new(vec![Line([0x21; 64]); 6 * LINES]);
}

/// What the bytes choose.
struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Choices<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.bytes.next().copied()
    }

    /// A small number, a multiple of a block, or an absurd one.
    fn size(&mut self) -> Option<usize> {
        let (kind, n) = (self.byte()?, usize::from(self.byte()?));
        Some(match kind % 8 {
            0 => n,
            1..=3 => 32 * n % MOST,
            4 | 5 => 256 * (n % 16),
            6 => (256 * (n % 16)).wrapping_add_signed(isize::from(kind as i8) / 8) % MOST,
            _ => ABSURD[n % ABSURD.len()],
        })
    }

    /// Into memory of [`ROOM`] bytes and 64 more.
    fn place<T>(&mut self, memory: *mut T) -> Option<*mut T> {
        Some(match self.byte()? % 16 {
            0 => ptr::null_mut(),
            1 => memory.wrapping_byte_add(1),
            2 => memory.wrapping_byte_add(32),
            _ => memory,
        })
    }
}

fuzz_target!(|bytes: &[u8]| {
    MEMORY.with_borrow_mut(|memory| {
        let mut parts = memory.chunks_exact_mut(LINES).map(|part| part.as_mut_ptr().cast::<u8>());
        let parts = std::array::from_fn(|_| parts.next().expect("six parts"));
        let mut choices = Choices { bytes: bytes.iter() };
        while call(&mut choices, parts).is_some() {}
    });
});

fn call(
    choices: &mut Choices<'_>,
    [a, b, c, out, space, scratch_memory]: [*mut u8; 6],
) -> Option<()> {
    let api = api();
    let (entry, format) = (choices.byte()?, u32::from(choices.byte()? % 33));
    let (n, bytes) = (choices.size()?, choices.size()?);
    let (a, b, out) = (choices.place(a)?, choices.place(b)?, choices.place(out)?);
    let mut size = 0;
    // What a row of `n` values takes, most of the time; never of an absurd number, which nothing was made for.
    // SAFETY: a place for the answer.
    let row_bytes = match unsafe { (api.quintile_row_bytes)(format, n, &mut size) } {
        OK if n <= MOST && bytes % 8 > 0 => size,
        _ => bytes,
    };
    // SAFETY: all memory is `ROOM` bytes from any of its first 33; a size is at most `MOST`, or so large that it is refused, or that no other size
    // agrees with it. The largest row, of f32, takes 16 KiB.
    let status = unsafe {
        match entry % 8 {
            0 => (api.quintile_dot_f32)(a.cast(), b.cast(), n, out.cast()),
            1 => (api.quintile_dequantize)(format, a.cast(), row_bytes, out.cast(), n),
            2 => (api.quintile_dot_exact)(format, a.cast(), row_bytes, b.cast(), n, out.cast()),
            3 => {
                let status = (api.quintile_quantized_bytes)(format, n, &mut size);
                let bytes = match status {
                    OK if n <= MOST && bytes % 8 > 0 => size,
                    _ => bytes,
                };
                (api.quintile_quantize)(format, a.cast(), n, out.cast(), bytes)
            }
            4 => {
                let status = (api.quintile_quantized_bytes)(format, n, &mut size);
                let bytes = match status {
                    OK if n <= MOST && bytes % 8 > 0 => size,
                    _ => bytes,
                };
                (api.quintile_dot_quantized)(
                    format,
                    a.cast(),
                    row_bytes,
                    b.cast(),
                    bytes,
                    n,
                    out.cast(),
                )
            }
            _ => return product(choices, format, [a, b, c, out, space, scratch_memory]),
        }
    };
    assert!((0..=16).contains(&status), "entry {entry}: status {status}");
    Some(())
}

/// A plan, and with it every entry that takes one.
fn product(
    choices: &mut Choices<'_>,
    format: u32,
    [a, b, c, out, space, scratch_memory]: [*mut u8; 6],
) -> Option<()> {
    const LEVELS: [&[u8]; 4] = [b"avx2\0", b"scalar\0", b"generic\0", b"what?\0"];
    let api = api();
    let level = LEVELS
        .get(usize::from(choices.byte()?) % 8)
        .map_or(ptr::null(), |name| name.as_ptr().cast::<c_char>());
    // So few that panels fit the memory.
    let small = |n: usize| if n < MOST { n % 48 } else { n };
    let (rows, k, columns) =
        (small(choices.size()?), choices.size()?.min(1 << 62), small(choices.size()?));
    let k = if k <= MOST { k % 1025 } else { k };
    let mut plan = std::mem::MaybeUninit::<Plan>::zeroed();
    // SAFETY: a name that ends in a zero, or null, and the place of a plan.
    let status =
        unsafe { (api.quintile_plan_init)(plan.as_mut_ptr(), level, format, rows, k, columns) };
    if status != OK {
        assert!((0..=16).contains(&status), "plan: status {status}");
        return Some(());
    }
    // SAFETY: zeros, or what the entry wrote: numbers.
    let mut plan = unsafe { plan.assume_init() };
    if plan.packed_bytes > ROOM
        || plan.activation_bytes > ROOM
        || plan.scratch_bytes > ROOM
        || 4 * rows * columns > ROOM / 2
    {
        return Some(());
    }
    let exact = [
        plan.rows * plan.row_bytes,
        plan.packed_bytes,
        plan.activation_bytes,
        plan.scratch_bytes,
        rows * columns,
    ];
    let mut nearly = |size: usize| {
        Some(match choices.byte()? % 16 {
            0 => size.wrapping_sub(1),
            1 => 0,
            2 => ABSURD[0],
            _ => size,
        })
    };
    let (weights, packed, activations, scratch) =
        (nearly(exact[0])?, nearly(exact[1])?, nearly(exact[2])?, nearly(exact[3])?);
    let (first, count) = (nearly(0)?, nearly(rows)?);
    let (nth, out_len) = (nearly(1)?, nearly(exact[4])?);
    if choices.byte()? % 16 == 0 {
        // A plan that no one made.
        plan.k = choices.size()?;
        plan.level = u32::from(choices.byte()?);
    }
    let product = Product {
        packed: if choices.byte()? % 2 == 0 { ptr::null() } else { c.cast() },
        packed_bytes: packed,
        weights: a.cast(),
        weights_bytes: weights,
        activations: space.cast(),
        activations_bytes: activations,
        columns: nearly_columns(choices, columns)?,
        out: out.cast(),
        out_len,
        out_stride: rows,
        bias: ptr::null(),
        bias_len: 0,
        accumulate: u32::from(choices.byte()? % 2),
    };
    let (mut share, mut share_rows) = (0, 0);
    // Sizes are what the memory has, one less, none, or absurd.
    if [weights, packed, activations, scratch, out_len]
        .iter()
        .any(|&size| size > ROOM && size != ABSURD[0] && size != usize::MAX)
    {
        return Some(());
    }
    // SAFETY: as `call` says of memory; scratch is its own. A size that is absurd is no size that anything has.
    let statuses = unsafe {
        [
            (api.quintile_plan_share)(&plan, first, nth, &mut share, &mut share_rows),
            (api.quintile_pack)(&plan, first, count, a.cast(), weights, c.cast(), packed),
            (api.quintile_activations)(
                &plan,
                b.cast(),
                columns.saturating_mul(k).min(ROOM / 4),
                k,
                0,
                columns,
                space.cast(),
                activations,
            ),
            match scratch {
                ..ROOM => {
                    (api.quintile_run)(&plan, &product, scratch_memory.cast(), scratch, first, nth)
                }
                _ => OK,
            },
        ]
    };
    assert!(statuses.iter().all(|status| (0..=16).contains(status)), "{statuses:?}");
    Some(())
}

fn nearly_columns(choices: &mut Choices<'_>, columns: usize) -> Option<usize> {
    Some(match choices.byte()? % 8 {
        0 => columns + 1,
        1 => ABSURD[1],
        _ => columns,
    })
}
