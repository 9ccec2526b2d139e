//! AVX2.
//!
//! # Bound
//! For 16 values of 8 rows and one column: 4 `vpmaddubsw`, 3 `vpaddw`, 1 `vpmaddwd` by the scales, 1 `vpaddd`: nine
//! operations for 128 multiplications, on three vector ports three cycles. A super-block takes 16 of these, 16 more
//! operations for minimums or offsets, and 8 in f32: 168, 56 cycles for 2048 multiplications, 36.6 a cycle.

use core::arch::x86_64::*;

use super::{Gemm, Gemms, PANEL, ROWS, Tile};
use crate::formats::{
    ActBlock, Block, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K, f16_value, q3_k_scale_words,
    scale_min_words,
};
use crate::kernels::qdot::avx2::super_blocks::{load, two_bits};
use crate::kernels::sibling::sibling;

pub const GEMMS: Gemms = Gemms {
    q2_k: Some(sibling!(tile::<BlockQ2K> as Gemm)),
    q3_k: Some(sibling!(tile::<BlockQ3K> as Gemm)),
    q4_k: Some(sibling!(tile::<BlockQ4K> as Gemm)),
    q5_k: Some(sibling!(tile::<BlockQ5K> as Gemm)),
    q6_k: Some(sibling!(tile::<BlockQ6K> as Gemm)),
};

/// A super-block of eight rows.
#[repr(C, align(64))]
struct Panel {
    /// Element `i`: values `4 i` to `4 i + 3` of each row, unsigned.
    quants: [[u8; 32]; 64],
    /// Of each run of values that share one: the scale of each row, twice in 16 bits.
    scales: [[u32; PANEL]; 16],
    /// What multiplies each two sums of 16 activations, two numbers of 16 bits for each row.
    mins: [[u32; PANEL]; 8],
    d: [f32; PANEL],
    dmin: [f32; PANEL],
}

/// A super-block of one row, unpacked.
struct Unpacked {
    /// 32 values each, unsigned.
    quants: [__m256i; 8],
    scales: [i8; 16],
    /// What multiplies each sum of 16 activations.
    mins: [i16; 16],
    d: f32,
    dmin: f32,
}

/// A format whose rows can be interleaved.
trait Interleave: Block {
    /// Values that share a scale: 16 or 32.
    const SHARED: usize;
    /// How many sums of two products of neighbours fit 16 bits: 2 or 4.
    const DEPTH: usize;
    /// Whether `mins` are multiplied by `dmin`; otherwise they belong to the sum of products.
    const HAS_MINS: bool;

    /// # Safety
    /// The caller enables AVX2 and F16C.
    unsafe fn unpack(&self) -> Unpacked;
}

#[target_feature(enable = "avx2,fma,f16c")]
fn tile<B: Interleave>(w: &[u8], rows: usize, x: &[ActBlock], blocks: usize, out: &mut Tile) {
    /// Columns that share each load of weights: four sums, four registers of weights, scales and products fit 16.
    const WIDE: usize = 4;
    const EMPTY: Panel = Panel {
        quants: [[0; 32]; 64],
        scales: [[0; PANEL]; 16],
        mins: [[0; PANEL]; 8],
        d: [0.0; PANEL],
        dmin: [0.0; PANEL],
    };
    let mut panels = [EMPTY; ROWS / PANEL];
    let panels = &mut panels[..rows / PANEL];
    let w = B::slice(w);
    let columns = x.len().checked_div(blocks).unwrap_or(0);
    out[..columns].as_flattened_mut().fill(0.0);
    for i in 0..blocks {
        for (panel, w) in panels.iter_mut().zip(w.chunks_exact(PANEL * blocks)) {
            interleave(core::array::from_fn(|r| &w[r * blocks + i]), panel);
        }
        let x = |c: usize| &x[c * blocks + i];
        let (wide, rest) = out[..columns].as_chunks_mut::<WIDE>();
        for (g, out) in wide.iter_mut().enumerate() {
            let x = core::array::from_fn(|c| x(WIDE * g + c));
            for (p, panel) in panels.iter().enumerate() {
                add::<B, WIDE>(panel, x, out, p);
            }
        }
        let first = WIDE * wide.len();
        for (c, out) in rest.iter_mut().enumerate() {
            for (p, panel) in panels.iter().enumerate() {
                add::<B, 1>(panel, [x(first + c)], core::array::from_mut(out), p);
            }
        }
    }
}

/// Adds a super-block of panel `p` to its rows of some columns.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add<B: Interleave, const N: usize>(
    w: &Panel,
    x: [&ActBlock; N],
    out: &mut [[f32; ROWS]; N],
    p: usize,
) {
    let mut isum = [_mm256_setzero_si256(); N];
    for (s, quants) in w.quants.as_chunks::<4>().0.iter().enumerate() {
        let quants = [load(&quants[0]), load(&quants[1]), load(&quants[2]), load(&quants[3])];
        let scales = words(&w.scales[16 * s / B::SHARED]);
        for (isum, x) in isum.iter_mut().zip(x) {
            let x = &x.qs.as_chunks::<4>().0[4 * s..4 * s + 4];
            let product = |i: usize| {
                let x = _mm256_set1_epi32(i32::from_le_bytes(x[i].map(|x| x as u8)));
                _mm256_maddubs_epi16(quants[i], x)
            };
            let low = _mm256_add_epi16(product(0), product(1));
            let high = _mm256_add_epi16(product(2), product(3));
            if B::DEPTH == 4 {
                let scaled = _mm256_madd_epi16(_mm256_add_epi16(low, high), scales);
                *isum = _mm256_add_epi32(*isum, scaled);
            } else {
                *isum = _mm256_add_epi32(*isum, _mm256_madd_epi16(low, scales));
                *isum = _mm256_add_epi32(*isum, _mm256_madd_epi16(high, scales));
            }
        }
    }
    let (d, dmin) = (floats(&w.d), floats(&w.dmin));
    for ((isum, x), out) in isum.into_iter().zip(x).zip(out) {
        let mut msum = if B::HAS_MINS { _mm256_setzero_si256() } else { isum };
        for (mins, sums) in w.mins.iter().zip(x.bsums.as_chunks::<2>().0) {
            let sums = i32::from(sums[0]) & 0xffff | i32::from(sums[1]) << 16;
            let product = _mm256_madd_epi16(words(mins), _mm256_set1_epi32(sums));
            msum = _mm256_add_epi32(msum, product);
        }
        let out = &mut out.as_chunks_mut::<PANEL>().0[p];
        let dx = _mm256_set1_ps(x.d[0]);
        let mut acc = floats(out);
        if B::HAS_MINS {
            acc = _mm256_fmadd_ps(_mm256_mul_ps(d, dx), _mm256_cvtepi32_ps(isum), acc);
            acc = _mm256_fnmadd_ps(_mm256_mul_ps(dmin, dx), _mm256_cvtepi32_ps(msum), acc);
        } else {
            acc = _mm256_fmadd_ps(_mm256_mul_ps(d, dx), _mm256_cvtepi32_ps(msum), acc);
        }
        // SAFETY: the array holds eight numbers.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), acc) };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn words(words: &[u32; 8]) -> __m256i {
    // SAFETY: the array holds 32 bytes.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn floats(floats: &[f32; 8]) -> __m256 {
    // SAFETY: the array holds eight numbers.
    unsafe { _mm256_loadu_ps(floats.as_ptr()) }
}

/// Unpacks a super-block of eight rows.
#[target_feature(enable = "avx2,fma,f16c")]
fn interleave<B: Interleave>(w: [&B; PANEL], panel: &mut Panel) {
    let mut rows = [[_mm256_setzero_si256(); 8]; PANEL];
    for (r, w) in w.into_iter().enumerate() {
        // SAFETY: the features are enabled.
        let w = unsafe { w.unpack() };
        rows[r] = w.quants;
        for (scales, s) in panel.scales.iter_mut().zip(&w.scales[..256 / B::SHARED]) {
            scales[r] = u32::from(i16::from(*s) as u16) * 0x1_0001;
        }
        for (mins, m) in panel.mins.iter_mut().zip(w.mins.as_chunks::<2>().0) {
            mins[r] = u32::from(m[0] as u16) | u32::from(m[1] as u16) << 16;
        }
        panel.d[r] = w.d;
        panel.dmin[r] = w.dmin;
    }
    for (j, out) in panel.quants.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let columns = transposed(rows.map(|row| row[j]));
        for (column, out) in columns.into_iter().zip(out) {
            // SAFETY: the array holds 32 bytes.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), column) };
        }
    }
}

/// Eight rows of eight 32-bit words, transposed.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(r: [__m256i; 8]) -> [__m256i; 8] {
    let pairs = |a, b| [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)];
    let fours = |a, b| [_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)];
    let quarter = |a, b, c, d| {
        let ([low_0, high_0], [low_1, high_1]) = (pairs(a, b), pairs(c, d));
        let ([w0, w1], [w2, w3]) = (fours(low_0, low_1), fours(high_0, high_1));
        [w0, w1, w2, w3]
    };
    // Words 0 to 3 of four rows in the lower halves, 4 to 7 in the upper ones.
    let first = quarter(r[0], r[1], r[2], r[3]);
    let second = quarter(r[4], r[5], r[6], r[7]);
    core::array::from_fn(|i| {
        let (a, b) = (first[i % 4], second[i % 4]);
        if i < 4 {
            _mm256_permute2x128_si256::<0x20>(a, b)
        } else {
            _mm256_permute2x128_si256::<0x31>(a, b)
        }
    })
}

/// Of Q4_K and Q5_K: eight scales, and each minimum twice.
fn scales_and_mins(packed: &[u8; 12]) -> ([i8; 16], [i16; 16]) {
    let [scales, mins] = scale_min_words(packed).map(u64::to_le_bytes);
    (
        core::array::from_fn(|j| scales[j % 8] as i8),
        core::array::from_fn(|j| i16::from(mins[j / 2])),
    )
}

/// The low nibbles of 32 bytes, then their high ones.
#[inline]
#[target_feature(enable = "avx2")]
fn nibbles(bytes: &[u8; 32]) -> [__m256i; 2] {
    let (bytes, nibble) = (load(bytes), _mm256_set1_epi8(0x0f));
    [_mm256_and_si256(bytes, nibble), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble)]
}

/// Bytes shifted to the right, or by a negative count to the left, and masked.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(bytes: __m256i, right: i32, mask: i8) -> __m256i {
    // Of words of 16 bits: what crosses from the other byte is masked away.
    let moved = if right >= 0 {
        _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(right))
    } else {
        _mm256_sll_epi16(bytes, _mm_cvtsi32_si128(-right))
    };
    _mm256_and_si256(moved, _mm256_set1_epi8(mask))
}

impl Interleave for BlockQ4K {
    const SHARED: usize = 32;
    const DEPTH: usize = 4;
    const HAS_MINS: bool = true;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let (scales, mins) = scales_and_mins(&self.scales);
        let mut quants = [_mm256_setzero_si256(); 8];
        for (quants, qs) in quants.as_chunks_mut().0.iter_mut().zip(self.qs.as_chunks().0) {
            *quants = nibbles(qs);
        }
        Unpacked { quants, scales, mins, d: f16_value(self.d), dmin: f16_value(self.dmin) }
    }
}

impl Interleave for BlockQ5K {
    const SHARED: usize = 32;
    const DEPTH: usize = 4;
    const HAS_MINS: bool = true;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let (scales, mins) = scales_and_mins(&self.scales);
        let qh = load(&self.qh);
        let mut quants = [_mm256_setzero_si256(); 8];
        for (j, quants) in quants.iter_mut().enumerate() {
            let low = nibbles(&self.qs.as_chunks().0[j / 2])[j % 2];
            *quants = _mm256_or_si256(low, bits(qh, j as i32 - 4, 0x10));
        }
        Unpacked { quants, scales, mins, d: f16_value(self.d), dmin: f16_value(self.dmin) }
    }
}

impl Interleave for BlockQ6K {
    const SHARED: usize = 16;
    const DEPTH: usize = 2;
    const HAS_MINS: bool = false;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let mut quants = [_mm256_setzero_si256(); 8];
        for (j, quants) in quants.iter_mut().enumerate() {
            let (half, b) = (j / 4, j % 4);
            let low = nibbles(&self.ql.as_chunks().0[2 * half + b % 2])[b / 2];
            let qh = load(&self.qh.as_chunks().0[half]);
            *quants = _mm256_or_si256(low, bits(qh, 2 * b as i32 - 4, 0x30));
        }
        Unpacked {
            quants,
            scales: self.scales,
            mins: self.scales.map(|s| -32 * i16::from(s)),
            d: f16_value(self.d),
            dmin: 0.0,
        }
    }
}

impl Interleave for BlockQ2K {
    const SHARED: usize = 16;
    const DEPTH: usize = 4;
    const HAS_MINS: bool = true;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let [a, b] =
            [&self.qs.as_chunks().0[0], &self.qs.as_chunks().0[1]].map(|q| two_bits(load(q)));
        Unpacked {
            quants: [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]],
            scales: self.scales.map(|s| (s & 15) as i8),
            mins: self.scales.map(|s| i16::from(s >> 4)),
            d: f16_value(self.d),
            dmin: f16_value(self.dmin),
        }
    }
}

impl Interleave for BlockQ3K {
    const SHARED: usize = 16;
    const DEPTH: usize = 4;
    const HAS_MINS: bool = false;
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn unpack(&self) -> Unpacked {
        let [a, b] =
            [&self.qs.as_chunks().0[0], &self.qs.as_chunks().0[1]].map(|q| two_bits(load(q)));
        let mut quants = [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]];
        let hmask = load(&self.hmask);
        for (j, quants) in quants.iter_mut().enumerate() {
            *quants = _mm256_or_si256(*quants, bits(hmask, j as i32 - 2, 4));
        }
        let words = q3_k_scale_words(&self.scales).map(u32::to_le_bytes);
        let scales: [i8; 16] = core::array::from_fn(|j| words[j / 4][j % 4] as i8 - 32);
        Unpacked {
            quants,
            scales,
            mins: scales.map(|s| -4 * i16::from(s)),
            d: f16_value(self.d),
            dmin: 0.0,
        }
    }
}
