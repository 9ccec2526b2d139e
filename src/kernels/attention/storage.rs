//! How keys and values are stored: f32, f16, or blocks of 32 bytes with a scale.

use half::f16;

use super::{Attend, AttendQueries, KEY_LANES};
use crate::formats::{ActBlock, ActScale, BLOCK_32, SUPER_BLOCK};
use crate::kernels::Kernels;

/// A type of cache, and the layout of the [contract](super).
///
/// A key or a value takes [`units`](Self::units) of its head's slice; sixteen keys are a group, interleaved.
pub trait Storage: private::Siblings {
    /// What the cache is a slice of.
    type Unit: Copy + Default + core::fmt::Debug + Send + Sync + 'static;

    /// Its name: that of the numbers.
    const NAME: &'static str;

    /// Elements that share a scale: a head has a multiple of them.
    const BLOCK: usize;

    /// Units of a key or a value of `head_dim` elements, a multiple of [`BLOCK`](Self::BLOCK).
    fn units(head_dim: usize) -> usize;

    /// Stores a key as number `lane` of a group of [`KEY_LANES`].
    ///
    /// # Panics
    /// If there is no such lane, or a length disagrees.
    fn store_key(kernels: &Kernels, key: &[f32], lane: usize, group: &mut [Self::Unit]);

    /// Clears the keys of some groups, from number `lane` of each on.
    fn clear_keys(groups: &mut [Self::Unit], lane: usize);

    /// Stores a value.
    ///
    /// # Panics
    /// If a length disagrees.
    fn store_value(kernels: &Kernels, value: &[f32], out: &mut [Self::Unit]);
}

pub(super) mod private {
    use super::{Attend, AttendQueries, Kernels};

    /// What the kernels need of a storage; sealed, as each has its own siblings.
    pub trait Siblings: Copy + Send + Sync + 'static {
        fn attend(kernels: &Kernels) -> Attend<Self>
        where
            Self: super::Storage;
        fn attend_queries(kernels: &Kernels) -> AttendQueries<Self>
        where
            Self: super::Storage;
    }
}

/// Keys and values as blocks of 32 elements: a scale in f16, and bytes.
///
/// A value is a row of [`BlockQ8_0`](crate::formats::BlockQ8_0), 34 bytes each. Of the keys of a group, the blocks of the same
/// elements lie together, 544 bytes: sixteen scales, then for each of the 32 elements sixteen bytes.
#[derive(Clone, Copy, Debug)]
pub enum Q8_0 {}

impl Q8_0 {
    /// Bytes of a block.
    pub(super) const BYTES: usize = 2 + BLOCK_32;
    /// Bytes of the blocks of a group's keys.
    pub(super) const GROUP_BYTES: usize = KEY_LANES * Q8_0::BYTES;
    /// Where their quants begin.
    pub(super) const GROUP_QUANTS: usize = 2 * KEY_LANES;
}

macro_rules! floats {
    ($($element:ident, $name:literal, $attend:ident, $attend_queries:ident, $convert:expr;)+) => {$(
        impl private::Siblings for $element {
            fn attend(kernels: &Kernels) -> Attend<$element> {
                kernels.$attend.run
            }
            fn attend_queries(kernels: &Kernels) -> AttendQueries<$element> {
                kernels.$attend_queries.run
            }
        }

        impl Storage for $element {
            type Unit = $element;
            const NAME: &'static str = $name;
            const BLOCK: usize = 1;

            fn units(head_dim: usize) -> usize {
                head_dim
            }

            fn store_key(kernels: &Kernels, key: &[f32], lane: usize, group: &mut [$element]) {
                check_group::<$element>(key, lane, group);
                let mut lane = group[lane..].iter_mut().step_by(KEY_LANES);
                let mut stored = [$element::default(); 64];
                for key in key.chunks(stored.len()) {
                    let stored = &mut stored[..key.len()];
                    $convert(kernels, key, stored);
                    // The lane last: a pair without its first is not taken from the other.
                    stored.iter().zip(lane.by_ref()).for_each(|(&x, slot)| *slot = x);
                }
            }

            fn clear_keys(groups: &mut [$element], lane: usize) {
                for lanes in groups.chunks_exact_mut(KEY_LANES) {
                    lanes[lane..].fill($element::default());
                }
            }

            fn store_value(kernels: &Kernels, value: &[f32], out: &mut [$element]) {
                check_value::<$element>(value, out);
                $convert(kernels, value, out);
            }
        }
    )+};
}
floats! {
    f32, "f32", attend_f32, attend_queries_f32, |_: &Kernels, x, out: &mut [f32]| out.copy_from_slice(x);
    f16, "f16", attend_f16, attend_queries_f16, Kernels::narrow_f16;
}

impl private::Siblings for Q8_0 {
    fn attend(kernels: &Kernels) -> Attend<Q8_0> {
        kernels.attend_q8_0.run
    }
    fn attend_queries(kernels: &Kernels) -> AttendQueries<Q8_0> {
        kernels.attend_queries_q8_0.run
    }
}

impl Storage for Q8_0 {
    type Unit = u8;
    const NAME: &'static str = "q8_0";
    const BLOCK: usize = BLOCK_32;

    fn units(head_dim: usize) -> usize {
        head_dim / BLOCK_32 * Q8_0::BYTES
    }

    fn store_key(kernels: &Kernels, key: &[f32], lane: usize, group: &mut [u8]) {
        check_group::<Q8_0>(key, lane, group);
        let mut blocks = group.chunks_exact_mut(Q8_0::GROUP_BYTES);
        each_block(kernels, key, |scale, quants| {
            let block = blocks.next().expect("one for each block of the key");
            let (scales, lanes) = block.split_at_mut(Q8_0::GROUP_QUANTS);
            scales[2 * lane..2 * lane + 2].copy_from_slice(&scale);
            let lanes = lanes[lane..].iter_mut().step_by(KEY_LANES);
            lanes.zip(quants).for_each(|(slot, &q)| *slot = q as u8);
        });
    }

    fn clear_keys(groups: &mut [u8], lane: usize) {
        for block in groups.chunks_exact_mut(Q8_0::GROUP_BYTES) {
            let (scales, quants) = block.split_at_mut(Q8_0::GROUP_QUANTS);
            scales[2 * lane..].fill(0);
            quants.chunks_exact_mut(KEY_LANES).for_each(|lanes| lanes[lane..].fill(0));
        }
    }

    fn store_value(kernels: &Kernels, value: &[f32], out: &mut [u8]) {
        check_value::<Q8_0>(value, out);
        let mut blocks = out.chunks_exact_mut(Q8_0::BYTES);
        each_block(kernels, value, |scale, quants| {
            let block = blocks.next().expect("one for each block of the value");
            block[..2].copy_from_slice(&scale);
            block[2..].iter_mut().zip(quants).for_each(|(slot, &q)| *slot = q as u8);
        });
    }
}

/// Calls `store` with the scale and the quants of each 32 of the numbers.
fn each_block(kernels: &Kernels, x: &[f32], mut store: impl FnMut([u8; 2], &[i8])) {
    for x in x.chunks(SUPER_BLOCK) {
        let (mut blocks, mut scales) = ([ActBlock::ZERO], [f16::ZERO; SUPER_BLOCK / BLOCK_32]);
        kernels.quantize(ActScale::Per32, x, &mut blocks);
        let [ActBlock { qs, d, .. }] = &blocks;
        kernels.narrow_f16(d, &mut scales);
        let quants = qs[..x.len()].chunks_exact(BLOCK_32);
        scales.iter().zip(quants).for_each(|(d, quants)| store(d.to_le_bytes(), quants));
    }
}

fn check_group<S: Storage>(key: &[f32], lane: usize, group: &[S::Unit]) {
    check_head::<S>(key.len());
    assert!(lane < KEY_LANES, "store_key: lane {lane} of {KEY_LANES}");
    let needed = KEY_LANES * S::units(key.len());
    assert_eq!(group.len(), needed, "store_key: a group of keys of {} elements", key.len());
}

fn check_value<S: Storage>(value: &[f32], out: &[S::Unit]) {
    check_head::<S>(value.len());
    assert_eq!(out.len(), S::units(value.len()), "store_value: a value of {}", value.len());
}

/// That a head can be stored.
pub(super) fn check_head<S: Storage>(head_dim: usize) {
    let whole = head_dim.is_multiple_of(S::BLOCK);
    assert!(whole, "a head of {head_dim} elements in {} blocks of {}", S::NAME, S::BLOCK);
}
