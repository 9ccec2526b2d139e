//! Intrinsics that Miri does not interpret (nightly of May 2026). For it, functions of the same names stand here whose
//! bodies it does, so that everything around them is interpreted: loads, masks, lengths, and the sibling's arithmetic.
//!
//! Natively these are the intrinsics themselves. A sibling imports by name what it takes from here, which goes before the
//! same names of `core::arch`. What the bodies prove nothing about is the intrinsic's own meaning: where a CPU has the
//! features, the tests below compare both.

#[cfg(miri)]
pub use bodies::*;
#[cfg(not(miri))]
pub use core::arch::x86_64::{
    _mm256_cvtps_ph, _mm512_cmp_ps_mask, _mm512_cvtph_ps, _mm512_cvtps_ph, _mm512_max_ps,
    _mm512_permutex2var_epi16, _mm512_permutex2var_ps, _mm512_permutexvar_epi16,
};

#[cfg(any(miri, test))]
mod bodies {
    use core::arch::x86_64::*;
    use core::array::from_fn;
    use core::mem::transmute;

    use half::f16;

    fn words(v: __m512i) -> [u16; 32] {
        // SAFETY: 64 bytes either, of which any bits are a value; so below.
        unsafe { transmute(v) }
    }

    fn floats(v: __m512) -> [f32; 16] {
        // SAFETY: as above.
        unsafe { transmute(v) }
    }

    /// `vpermw`.
    #[target_feature(enable = "avx512bw")]
    pub fn _mm512_permutexvar_epi16(order: __m512i, a: __m512i) -> __m512i {
        let a = words(a);
        // SAFETY: as above.
        unsafe { transmute(words(order).map(|i| a[usize::from(i % 32)])) }
    }

    /// `vpermt2w`.
    #[target_feature(enable = "avx512bw")]
    pub fn _mm512_permutex2var_epi16(a: __m512i, order: __m512i, b: __m512i) -> __m512i {
        let both = [words(a), words(b)];
        let at = |i: u16| both.as_flattened()[usize::from(i % 64)];
        // SAFETY: as above.
        unsafe { transmute(words(order).map(at)) }
    }

    /// `vpermt2ps`.
    #[target_feature(enable = "avx512f")]
    pub fn _mm512_permutex2var_ps(a: __m512, order: __m512i, b: __m512) -> __m512 {
        let both = [floats(a), floats(b)];
        // SAFETY: as above.
        let order: [u32; 16] = unsafe { transmute(order) };
        // SAFETY: as above.
        unsafe { transmute(order.map(|i| both.as_flattened()[i as usize % 32])) }
    }

    /// `vmaxps`: the second operand, unless the first is larger.
    #[target_feature(enable = "avx512f")]
    pub fn _mm512_max_ps(a: __m512, b: __m512) -> __m512 {
        let (a, b) = (floats(a), floats(b));
        let max: [f32; 16] = from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] });
        // SAFETY: as above.
        unsafe { transmute(max) }
    }

    /// `vcmpps`, of which the predicate "unordered" is used.
    #[target_feature(enable = "avx512f")]
    pub fn _mm512_cmp_ps_mask<const PREDICATE: i32>(a: __m512, b: __m512) -> __mmask16 {
        const { assert!(PREDICATE == _CMP_UNORD_Q) };
        let pairs = floats(a).into_iter().zip(floats(b));
        let bits = pairs.map(|(a, b)| u16::from(a.is_nan() || b.is_nan()));
        bits.rev().fold(0, |mask, bit| mask << 1 | bit)
    }

    /// `vcvtph2ps` of 512 bits, by two of 256.
    #[target_feature(enable = "avx512f,f16c")]
    pub fn _mm512_cvtph_ps(a: __m256i) -> __m512 {
        let halves = [_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a)];
        // SAFETY: as above.
        unsafe { transmute(halves.map(|half| _mm256_cvtph_ps(half))) }
    }

    /// `vcvtps2ph` of 512 bits, to nearest.
    #[target_feature(enable = "avx512f")]
    pub fn _mm512_cvtps_ph<const ROUNDING: i32>(a: __m512) -> __m256i {
        const { assert!(ROUNDING == _MM_FROUND_TO_NEAREST_INT) };
        // SAFETY: as above, of 32 bytes.
        unsafe { transmute(floats(a).map(f16::from_f32_const)) }
    }

    /// `vcvtps2ph` of 256 bits, to nearest.
    #[target_feature(enable = "f16c")]
    pub fn _mm256_cvtps_ph<const ROUNDING: i32>(a: __m256) -> __m128i {
        const { assert!(ROUNDING == _MM_FROUND_TO_NEAREST_INT) };
        // SAFETY: as above, of 32 bytes and 16.
        unsafe { transmute(transmute::<__m256, [f32; 8]>(a).map(f16::from_f32_const)) }
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use core::arch::x86_64::*;
    use core::mem::transmute;

    use super::bodies;
    use crate::isa::{Isa, Level};

    /// 64 bytes of anything, or of numbers around those that conversions treat apart.
    fn registers() -> impl Iterator<Item = [u32; 16]> {
        let edges =
            [0, 0x8000_0000, 0x7f80_0000, 0xff80_0001, 0x7fc1_2345, 0x477f_efff, 0x477f_f000];
        let more =
            [0x3380_0000, 0x3300_0000, 0x3300_0001, 0x387f_e000, 0x387f_ffff, 0x3f80_1000, 1];
        let mut state = 1u32;
        (0..2000).map(move |round| {
            core::array::from_fn(|i| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                match (round + i) % 3 {
                    0 => [edges, more][state as usize / 7 % 2][state as usize % 7],
                    _ => state,
                }
            })
        })
    }

    #[test]
    fn halves_are_rounded_as_f16c_does() {
        if Isa::force(Level::Avx2).is_err() {
            return;
        }
        for lanes in registers() {
            let lanes: [[u32; 8]; 2] =
                [lanes[..8].try_into().unwrap(), lanes[8..].try_into().unwrap()];
            for lanes in lanes {
                // SAFETY: the CPU has F16C; arrays and registers of the same size.
                unsafe {
                    let x = transmute::<[u32; 8], __m256>(lanes);
                    let want = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
                    let got = bodies::_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
                    let [want, got] = [want, got].map(|x| transmute::<__m128i, [u16; 8]>(x));
                    assert_eq!(got, want, "{lanes:x?}");
                }
            }
        }
    }

    #[test]
    fn bodies_have_the_bits_of_the_intrinsics() {
        if Isa::force(Level::Avx512).is_err() {
            return;
        }
        let bits = |v: __m512i| -> [u32; 16] {
            // SAFETY: the same size, any bits.
            unsafe { transmute(v) }
        };
        let mut before = [0; 16];
        for lanes in registers() {
            // SAFETY: the CPU has AVX-512 F and BW, and F16C; arrays and registers of the same size.
            unsafe {
                let [a, b] = [lanes, before].map(|x| transmute::<[u32; 16], __m512i>(x));
                let (x, y) = (_mm512_castsi512_ps(a), _mm512_castsi512_ps(b));
                let half = _mm512_castsi512_si256(a);
                let word = |v| bits(_mm512_castps_si512(v));
                let narrow = |v| bits(_mm512_zextsi256_si512(v));
                assert_eq!(
                    bits(bodies::_mm512_permutexvar_epi16(b, a)),
                    bits(_mm512_permutexvar_epi16(b, a))
                );
                assert_eq!(
                    bits(bodies::_mm512_permutex2var_epi16(a, b, a)),
                    bits(_mm512_permutex2var_epi16(a, b, a))
                );
                assert_eq!(
                    word(bodies::_mm512_permutex2var_ps(x, b, y)),
                    word(_mm512_permutex2var_ps(x, b, y))
                );
                assert_eq!(word(bodies::_mm512_max_ps(x, y)), word(_mm512_max_ps(x, y)));
                assert_eq!(
                    bodies::_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, y),
                    _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, y)
                );
                assert_eq!(word(bodies::_mm512_cvtph_ps(half)), word(_mm512_cvtph_ps(half)));
                assert_eq!(
                    narrow(bodies::_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)),
                    narrow(_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x))
                );
            }
            before = lanes;
        }
    }
}
