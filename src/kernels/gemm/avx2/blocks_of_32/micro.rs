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
    let mut columns = [x; N];
    for (c, column) in columns.iter_mut().enumerate() {
        *column = x.wrapping_byte_add(c * stride);
    }
    for b in 0..blocks {
        let first = w.wrapping_add(b * B::REGISTERS);
        let w = [first, first.wrapping_byte_add(second)];
        // SAFETY: both panels have this block, of as many registers.
        let load = |p: usize, i: usize| unsafe { _mm256_loadu_si256(w[p].add(i).cast()) };

        let mut isum = [[_mm256_setzero_si256(); 2]; N];
        for run in 0..8 / B::DEPTH {
            // Of so many groups of four values, sums fit 16 bits.
            let mut words = [[_mm256_setzero_si256(); 2]; N];
            for g in 0..B::DEPTH {
                let g = B::DEPTH * run + g;
                for c in 0..N {
                    // SAFETY: each column has this block, of eight groups; the load takes any address.
                    let x = unsafe {
                        let qs = (*columns[c].add(b / 8)).qs.as_ptr().add(32 * (b % 8) + 4 * g);
                        _mm256_set1_epi32(qs.cast::<i32>().read_unaligned())
                    };
                    for (p, words) in words[c].iter_mut().enumerate() {
                        let pairs = if B::SIGNED {
                            let x = _mm256_xor_si256(x, load(p, g));
                            _mm256_maddubs_epi16(load(p, 8 + g), x)
                        } else {
                            _mm256_maddubs_epi16(load(p, g), x)
                        };
                        *words = _mm256_add_epi16(*words, pairs);
                    }
                }
            }
            for c in 0..N {
                for p in 0..2 {
                    let sums = _mm256_madd_epi16(words[c][p], ones);
                    isum[c][p] = _mm256_add_epi32(isum[c][p], sums);
                }
            }
        }

        for c in 0..N {
            // SAFETY: each column has this block.
            let x = unsafe { &*columns[c].add(b / 8) };
            let dx = _mm256_set1_ps(x.d[b % 8]);
            let [low, high] = x.bsums.as_chunks::<2>().0[b % 8];
            let sums = _mm256_set1_epi32(i32::from(low) & 0xffff | i32::from(high) << 16);
            for p in 0..2 {
                let lane = &mut lanes[b % 8][2 * c + p];
                let mut isum = isum[c][p];
                if B::SIGNED {
                    isum = _mm256_add_epi32(isum, load(p, B::QUANTS + 1));
                }
                if B::OFFSET != 0 {
                    let offset = _mm256_madd_epi16(sums, _mm256_set1_epi16(-B::OFFSET));
                    isum = _mm256_add_epi32(isum, offset);
                }
                // SAFETY: an element holds eight numbers.
                let mut acc = unsafe { _mm256_loadu_ps(lane.as_ptr()) };
                let d = _mm256_mul_ps(_mm256_castsi256_ps(load(p, B::QUANTS)), dx);
                acc = _mm256_fmadd_ps(d, _mm256_cvtepi32_ps(isum), acc);
                if B::HAS_MINS {
                    let m = _mm256_mul_ps(_mm256_castsi256_ps(load(p, B::QUANTS + 1)), dx);
                    let xsum = _mm256_cvtepi32_ps(_mm256_madd_epi16(sums, ones));
                    acc = _mm256_fmadd_ps(m, xsum, acc);
                }
                // SAFETY: an element holds eight numbers.
                unsafe { _mm256_storeu_ps(lane.as_mut_ptr(), acc) };
            }
        }
    }
}
