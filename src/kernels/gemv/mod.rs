//! Several quantised rows, one behind the other, times one column of byte activations: what decoding spends its time in.
//!
//! # Contract
//! Element `row` has the bits of [`Kernels::qdot`](super::Kernels::qdot) of that row.
//!
//! # What bounds it
//! Every byte of a model's weights is read once a token, so memory does. It keeps up only if the lines are asked for
//! earlier than the CPU's own prefetching asks: so weights are fetched [`AHEAD`], whatever kernel multiplies them.

use super::gemm::ByFormat;
use crate::formats::{ActBlock, Format};

#[cfg(asm_x86_64)]
pub(super) mod avx2_asm;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512vnni;

/// Bytes between what is fetched and what is read: 4 KiB take a core 80 to 140 ns at the 30 to 50 GB/s of one core, about the latency
/// of memory. On Zen 5, 1 KiB gave 25 to 26 GB/s, 2 KiB 26, 4 KiB 29, 8 KiB 29 (Q5_K rows of 1536 and 8960 from memory, one
/// thread; nothing, 20 to 26).
pub const AHEAD: usize = 4096;

/// Multiplies rows by a column.
///
/// # Safety
/// `w` holds a row for each element of `out`, at least one, whole blocks of the sibling's format, at least one; `x` as many
/// values as a row (rounded up to 256); and the CPU has the features that the sibling enables.
pub(super) type Gemv = unsafe fn(w: &[u8], x: &[ActBlock], out: &mut [f32]);

/// The siblings of one level, by weight format: `None` where row dots serve.
pub(super) type Gemvs = ByFormat<Gemv>;

impl super::Kernels {
    /// `out[r]` becomes the dot of row `r` and `x`, by the [contract](self). `w` holds the rows, one behind the other,
    /// at any address.
    ///
    /// # Panics
    /// If `format` is not quantised, or the lengths disagree.
    ///
    /// ```
    /// use quintile::{formats::{ActBlock, ActScale, Format}, isa::Isa, kernels::Kernels};
    ///
    /// let kernels = Kernels::new(Isa::detect());
    /// let mut x = [ActBlock::ZERO];
    /// kernels.quantize(ActScale::Per32, &[1.0; 32], &mut x);
    /// // Two rows of one block of Q8_0: the scale 1.0 as f16, then 32 quants.
    /// let rows = [2u8, 3].map(|q| [&[0x00, 0x3c][..], &[q; 32]].concat()).concat();
    /// let mut out = [0.0; 2];
    /// kernels.gemv(Format::Q8_0, &rows, &x, &mut out);
    /// assert_eq!(out, [64.0, 96.0]);
    /// ```
    pub fn gemv(&self, format: Format, w: &[u8], x: &[ActBlock], out: &mut [f32]) {
        let row_bytes = w.len().checked_div(out.len()).unwrap_or(0);
        assert_eq!(w.len(), row_bytes * out.len(), "gemv: bytes of {} rows", out.len());
        let blocks = row_bytes / format.block_bytes();
        assert_eq!(row_bytes % format.block_bytes(), 0, "gemv: bytes of a {format} row");
        let values = blocks * format.block_len();
        assert!(out.is_empty() || x.len() == ActBlock::count(values), "gemv: activation blocks");
        if row_bytes == 0 {
            return out.fill(0.0);
        }
        match self.gemvs.get(format) {
            // SAFETY: the lengths agree, and none is zero; `Kernels` is made from an `Isa`, which proves the features.
            Some(gemv) => unsafe { (gemv.run)(w, x, out) },
            None => {
                for (row, out) in w.chunks_exact(row_bytes).zip(out) {
                    fetch(row.as_ptr().wrapping_add(AHEAD), row_bytes);
                    *out = self.qdot(format, row, x);
                }
            }
        }
    }
}

impl super::Kernels {
    /// Calls `each(r, dots)` with the dots of row `r` and four columns, for each row of `w`, of `row_bytes` bytes: the bits of
    /// [`qdot4`](Self::qdot4). A batch of a few tokens waits for memory as one does, so weights are fetched [`AHEAD`] here too.
    ///
    /// # Panics
    /// As [`qdot4`](Self::qdot4), or if `row_bytes` is 0.
    pub fn qdot4_rows(
        &self,
        format: Format,
        w: &[u8],
        row_bytes: usize,
        x: [&[ActBlock]; 4],
        mut each: impl FnMut(usize, [f32; 4]),
    ) {
        for (r, row) in w.chunks_exact(row_bytes).enumerate() {
            fetch(row.as_ptr().wrapping_add(AHEAD), row_bytes);
            each(r, self.qdot4(format, row, x));
        }
    }
}

/// Asks for the lines of some bytes, where the language has an instruction for it; there need be none at that address.
#[inline(always)]
pub(super) fn fetch(from: *const u8, bytes: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for line in (0..bytes).step_by(64) {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 CPU has this instruction, which reads nothing a program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (from, bytes);
}
