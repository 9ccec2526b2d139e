//! Assembly: `asm/aarch64/dot_f32_neon.S`.

crate::kernels::assembly::symbols! {
    extern "C";
    /// # Safety
    /// `n` elements can be read at `a` and at `b`.
    fn quintile_dot_f32_neon(a: *const f32, b: *const f32, n: usize) -> f32;
}

/// # Safety
/// The slices have the same length.
pub unsafe fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the caller promises the length; aarch64 has Advanced SIMD.
    unsafe { quintile_dot_f32_neon(a.as_ptr(), b.as_ptr(), a.len()) }
}
