//! Assembly: `asm/x86_64/dot_f32_avx2.S`.

crate::kernels::assembly::symbols! {
    extern "sysv64";
    /// # Safety
    /// `n` elements can be read at `a` and at `b`; the CPU has AVX2 and FMA.
    fn quintile_dot_f32_avx2(a: *const f32, b: *const f32, n: usize) -> f32;
}

/// # Safety
/// The slices have the same length; the CPU has AVX2 and FMA.
pub unsafe fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the caller promises the length and the features.
    unsafe { quintile_dot_f32_avx2(a.as_ptr(), b.as_ptr(), a.len()) }
}
