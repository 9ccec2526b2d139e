//! Row dots of Q5_K, by intrinsics and in assembly.

use core::arch::x86_64::*;
use std::hint::black_box;

use quintile::formats::ActBlock;

/// A super-block as the file stores it.
#[repr(C)]
pub struct Block {
    d: u16,
    dmin: u16,
    scales: [u8; 12],
    qh: [u8; 32],
    qs: [u8; 128],
}

impl Block {
    pub const BYTES: usize = 176;

    pub fn row(bytes: &[u8]) -> &[Block] {
        assert!(
            bytes.len().is_multiple_of(Self::BYTES) && bytes.as_ptr().cast::<Block>().is_aligned()
        );
        // SAFETY: any bytes are a `Block`, whose size is `BYTES`; the address was checked.
        unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / Self::BYTES) }
    }
}

const _: () = assert!(size_of::<Block>() == Block::BYTES);

/// How fifth bits reach bit 4 of their bytes.
pub const SHIFTS: u8 = 0;
pub const TABLES: u8 = 1;
/// How a scale reaches every lane.
pub const SHUFFLES: u8 = 0;
pub const BROADCASTS: u8 = 1;

/// Partial sums in lanes, folded at the end of the row.
#[target_feature(enable = "avx2,fma,f16c")]
pub fn free<const BITS: u8, const SCALES: u8>(row: &[Block], x: &[ActBlock]) -> f32 {
    let (mut acc, mut acc_min) = (_mm256_setzero_ps(), _mm256_setzero_ps());
    for (w, x) in row.iter().zip(x) {
        let (isum, msum) = sums::<BITS, SCALES>(w, x);
        let d = d_dmin_times_dx(w, x);
        acc = _mm256_fmadd_ps(_mm256_broadcastss_ps(d), _mm256_cvtepi32_ps(isum), acc);
        let dmin = _mm256_broadcastss_ps(_mm_movehdup_ps(d));
        acc_min = _mm256_fmadd_ps(dmin, _mm256_cvtepi32_ps(msum), acc_min);
    }
    super::fold(_mm256_sub_ps(acc, acc_min))
}

/// By the contract.
#[target_feature(enable = "avx2,fma,f16c")]
pub fn ordered<const BITS: u8, const SCALES: u8>(row: &[Block], x: &[ActBlock]) -> f32 {
    let mut acc = _mm_setzero_ps();
    for (w, x) in row.iter().zip(x) {
        let pairs = halved::<BITS, SCALES>(w, x);
        let pairs =
            _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
        let both = _mm_add_epi32(pairs, _mm_shuffle_epi32::<0b10_11_00_01>(pairs));
        let both = _mm_cvtepi32_ps(both);
        let d = d_dmin_times_dx(w, x);
        acc = _mm_fmadd_ss(d, both, acc);
        acc = _mm_fnmadd_ss(_mm_movehdup_ps(d), _mm_movehl_ps(both, both), acc);
    }
    _mm_cvtss_f32(acc)
}

/// In each half, two lanes that add up to its part of isum, and two for msum.
#[inline]
#[target_feature(enable = "avx2")]
fn halved<const BITS: u8, const SCALES: u8>(w: &Block, x: &ActBlock) -> __m256i {
    let (isum, msum) = sums::<BITS, SCALES>(w, x);
    // Two shuffles fewer than by `vphaddd`.
    let (i, m) = (_mm256_castsi256_pd(isum), _mm256_castsi256_pd(msum));
    let crossed = _mm256_castpd_si256(_mm256_shuffle_pd::<0b0101>(i, m));
    _mm256_add_epi32(_mm256_blend_epi32::<0b1100_1100>(isum, msum), crossed)
}

/// `d·dx` and `dmin·dx`.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn d_dmin_times_dx(w: &Block, x: &ActBlock) -> __m128 {
    let both = i32::from(w.d) | i32::from(w.dmin) << 16;
    _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(both)), _mm_set1_ps(x.d[0]))
}

/// Within a cache line: a load of what a store across two lines wrote would wait for both.
#[repr(C, align(32))]
struct Aligned([i32; 8]);

/// The integer sums of a super-block, in lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn sums<const BITS: u8, const SCALES: u8>(w: &Block, x: &ActBlock) -> (__m256i, __m256i) {
    let bytes = scale_min_bytes(w);
    // Byte selectors: -1 makes a zero of a byte.
    let mins = _mm256_shuffle_epi8(
        bytes,
        _mm256_setr_epi8(
            8, -1, 8, -1, 9, -1, 9, -1, 10, -1, 10, -1, 11, -1, 11, -1, //
            12, -1, 12, -1, 13, -1, 13, -1, 14, -1, 14, -1, 15, -1, 15, -1,
        ),
    );
    // SAFETY: `bsums` are 32 bytes, at offset 256 of a block aligned to 64.
    let msum = _mm256_madd_epi16(mins, unsafe { _mm256_load_si256(x.bsums.as_ptr().cast()) });
    let mut stored = Aligned([0; 8]);
    if SCALES == BROADCASTS {
        let twice = _mm256_shuffle_epi8(
            bytes,
            _mm256_setr_epi8(
                0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, //
                4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1,
            ),
        );
        // SAFETY: `stored` holds 32 bytes, aligned to 32.
        unsafe { _mm256_store_si256(stored.0.as_mut_ptr().cast(), twice) };
    }
    // The compiler is not to see what was stored: it would make shuffles of it again.
    let stored = if SCALES == BROADCASTS { black_box(&stored) } else { &stored };
    let scale = |j: usize| {
        if SCALES == BROADCASTS {
            _mm256_set1_epi32(stored.0[j])
        } else {
            _mm256_shuffle_epi8(bytes, _mm256_set1_epi16((0x8000 + j) as i16))
        }
    };
    let fifth = fifth_bits::<BITS>(&w.qh);
    let nibble = _mm256_set1_epi8(0x0f);
    let mut isum = [_mm256_setzero_si256(); 2];
    for g in 0..4 {
        // SAFETY: `g < 4`: 32 of 128 bytes.
        let qs = unsafe { _mm256_loadu_si256(w.qs.as_ptr().add(32 * g).cast()) };
        let low = _mm256_or_si256(_mm256_and_si256(qs, nibble), fifth[2 * g]);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(qs), nibble);
        let high = _mm256_or_si256(high, fifth[2 * g + 1]);
        for (half, weights) in [low, high].into_iter().enumerate() {
            let j = 2 * g + half;
            // SAFETY: `j < 8`: 32 of 256 bytes, aligned as the block is.
            let x = unsafe { _mm256_load_si256(x.qs.as_ptr().add(32 * j).cast()) };
            let pairs = _mm256_maddubs_epi16(weights, x);
            isum[half] = _mm256_add_epi32(isum[half], _mm256_madd_epi16(pairs, scale(j)));
        }
    }
    (_mm256_add_epi32(isum[0], isum[1]), msum)
}

/// Bit `j` of each byte at bit 4, for the eight sub-blocks.
#[inline]
#[target_feature(enable = "avx2")]
fn fifth_bits<const BITS: u8>(qh: &[u8; 32]) -> [__m256i; 8] {
    // SAFETY: the array holds 32 bytes.
    let qh = unsafe { _mm256_loadu_si256(qh.as_ptr().cast()) };
    if BITS == TABLES {
        let nibble = _mm256_set1_epi8(0x0f);
        let low = _mm256_and_si256(qh, nibble);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(qh), nibble);
        return core::array::from_fn(|j| {
            let entry: [i8; 16] = core::array::from_fn(|i| ((i >> (j % 4) & 1) << 4) as i8);
            // SAFETY: `entry` holds 16 bytes.
            let entry = unsafe { _mm_loadu_si128(entry.as_ptr().cast()) };
            let table = _mm256_broadcastsi128_si256(entry);
            _mm256_shuffle_epi8(table, if j < 4 { low } else { high })
        });
    }
    let bit_4 = _mm256_set1_epi8(0x10);
    [
        _mm256_and_si256(_mm256_slli_epi16::<4>(qh), bit_4),
        _mm256_and_si256(_mm256_slli_epi16::<3>(qh), bit_4),
        _mm256_and_si256(_mm256_slli_epi16::<2>(qh), bit_4),
        _mm256_and_si256(_mm256_slli_epi16::<1>(qh), bit_4),
        _mm256_and_si256(qh, bit_4),
        _mm256_and_si256(_mm256_srli_epi16::<1>(qh), bit_4),
        _mm256_and_si256(_mm256_srli_epi16::<2>(qh), bit_4),
        _mm256_and_si256(_mm256_srli_epi16::<3>(qh), bit_4),
    ]
}

/// Eight scales, then eight minimums, of six bits, in both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn scale_min_bytes(w: &Block) -> __m256i {
    // SAFETY: the 16 bytes are `scales` and the first four of `qh`.
    let words = unsafe { _mm_loadu_si128((&raw const w.scales).cast()) };
    let words = _mm256_broadcastsi128_si256(words);
    // Of the words a, b, c: the low bits from a, c, b, c >> 4, the top bits of the second and the fourth from a and b.
    let low = _mm256_shuffle_epi32::<0b10_01_10_00>(words);
    let low = _mm256_srlv_epi32(low, _mm256_setr_epi32(0, 0, 0, 4, 0, 0, 0, 4));
    let bits = [0x3f3f_3f3f, 0x0f0f_0f0f, 0x3f3f_3f3f, 0x0f0f_0f0f];
    let low = _mm256_and_si256(low, four_words(bits));
    let top = _mm256_srli_epi32::<2>(_mm256_shuffle_epi32::<0b01_01_00_00>(words));
    let top = _mm256_and_si256(top, four_words([0, 0x3030_3030, 0, 0x3030_3030]));
    _mm256_or_si256(low, top)
}

/// The words in both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn four_words([a, b, c, d]: [i32; 4]) -> __m256i {
    _mm256_setr_epi32(a, b, c, d, a, b, c, d)
}

// The product's own loop, by its files, under symbols of the bench.
#[cfg(not(any(windows, target_vendor = "apple")))]
core::arch::global_asm!(
    ".text",
    ".macro OPEN_SYMBOL name\n.globl \\name\n\\name\\():\n.endm",
    ".macro CLOSE_SYMBOL name\n.endm",
    concat!(
        include_str!("../../asm/x86_64/macros.S"),
        include_str!("../../asm/x86_64/super_blocks.S"),
        include_str!("../../asm/x86_64/q5_k_dot_avx2.S"),
        include_str!("q5_k.S"),
    ),
    options(raw)
);

#[cfg(not(any(windows, target_vendor = "apple")))]
pub mod assembly {
    use quintile::formats::ActBlock;

    use super::Block;

    unsafe extern "sysv64" {
        fn free_order_q5_k_free(row: *const Block, x: *const ActBlock, blocks: usize) -> f32;
        fn quintile_q5_k_dot_avx2(row: *const Block, x: *const ActBlock, blocks: usize) -> f32;
    }

    /// # Safety
    /// The CPU has AVX2, FMA and F16C.
    pub unsafe fn free(row: &[Block], x: &[ActBlock]) -> f32 {
        assert!(!row.is_empty() && row.len().is_multiple_of(2) && row.len() == x.len());
        // SAFETY: as many blocks can be read at both; the caller promises the features.
        unsafe { free_order_q5_k_free(row.as_ptr(), x.as_ptr(), row.len()) }
    }

    /// # Safety
    /// The CPU has AVX2, FMA and F16C.
    pub unsafe fn ordered(row: &[Block], x: &[ActBlock]) -> f32 {
        assert_eq!(row.len(), x.len());
        // SAFETY: as many blocks can be read at both; the caller promises the features.
        unsafe { quintile_q5_k_dot_avx2(row.as_ptr(), x.as_ptr(), row.len()) }
    }
}
