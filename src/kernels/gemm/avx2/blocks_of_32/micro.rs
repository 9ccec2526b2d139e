//! The micro-kernel in intrinsics.

use core::arch::x86_64::*;

use super::{Interleave, Tile};
use crate::formats::ActBlock;

/// The [`Micro`](super::Micro) of `N` columns.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe extern "sysv64" fn add<B: Interleave, const N: usize>(
    w: *const [u8; 32],
    second: usize,
    x: *const ActBlock,
    stride: usize,
    tile: *mut Tile,
    blocks: usize,
) {
    // SAFETY: the caller promises that this is a tile.
    let lanes = unsafe { &mut (*tile).0 };
    let ones = _mm256_set1_epi16(1);
    for b in 0..blocks {
        // SAFETY: both panels have this block.
        let w = unsafe {
            let w = w.add(b * B::REGISTERS);
            [w, w.byte_add(second)].map(|w| core::slice::from_raw_parts(w, B::REGISTERS))
        };
        // SAFETY: each column has this block.
        let x: [&ActBlock; N] =
            core::array::from_fn(|c| unsafe { &*x.byte_add(c * stride).add(b / 8) });
        let qs = x.map(|x| x.qs.as_chunks::<32>().0[b % 8].as_chunks::<4>().0);

        let mut isum = [[_mm256_setzero_si256(); 2]; N];
        let mut words = [[_mm256_setzero_si256(); 2]; N];
        for g in 0..8 {
            let quants = w.map(|w| load(&w[g]));
            let magnitudes = if B::SIGNED { w.map(|w| load(&w[8 + g])) } else { quants };
            for c in 0..N {
                let x = _mm256_set1_epi32(i32::from_le_bytes(qs[c][g].map(|q| q as u8)));
                for p in 0..2 {
                    let x = if B::SIGNED { _mm256_sign_epi8(x, quants[p]) } else { x };
                    let pairs = _mm256_maddubs_epi16(magnitudes[p], x);
                    words[c][p] = if g % B::DEPTH == 0 {
                        pairs
                    } else {
                        _mm256_add_epi16(words[c][p], pairs)
                    };
                    if (g + 1) % B::DEPTH == 0 {
                        let sums = _mm256_madd_epi16(words[c][p], ones);
                        isum[c][p] =
                            if g < B::DEPTH { sums } else { _mm256_add_epi32(isum[c][p], sums) };
                    }
                }
            }
        }

        let (_, scales) = w[0].split_at(if B::SIGNED { 16 } else { 8 });
        let (_, other) = w[1].split_at(if B::SIGNED { 16 } else { 8 });
        let d = [scales, other].map(|s| _mm256_castsi256_ps(load(&s[0])));
        for c in 0..N {
            let dx = _mm256_set1_ps(x[c].d[b % 8]);
            let [low, high] = x[c].bsums.as_chunks::<2>().0[b % 8];
            let sums = _mm256_set1_epi32(i32::from(low) & 0xffff | i32::from(high) << 16);
            for p in 0..2 {
                let lane = &mut lanes[b % 8][2 * c + p];
                let mut isum = isum[c][p];
                if B::OFFSET != 0 {
                    let offset = _mm256_madd_epi16(sums, _mm256_set1_epi16(-B::OFFSET));
                    isum = _mm256_add_epi32(isum, offset);
                }
                // SAFETY: an element holds eight numbers.
                let acc = unsafe { _mm256_loadu_ps(lane.as_ptr()) };
                let mut acc =
                    _mm256_fmadd_ps(_mm256_mul_ps(d[p], dx), _mm256_cvtepi32_ps(isum), acc);
                if B::HAS_MINS {
                    let m = _mm256_castsi256_ps(load(&[scales, other][p][1]));
                    let xsum = _mm256_cvtepi32_ps(_mm256_madd_epi16(sums, ones));
                    acc = _mm256_fmadd_ps(_mm256_mul_ps(m, dx), xsum, acc);
                }
                // SAFETY: an element holds eight numbers.
                unsafe { _mm256_storeu_ps(lane.as_mut_ptr(), acc) };
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array holds 32 bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}
