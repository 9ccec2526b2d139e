//! Registers of f32 of any width, and how keys and values come into them.

use half::f16;

use super::Q8_0;
use super::scalar::Widen;
use crate::formats::BLOCK_32;

/// Registers of f32.
///
/// # Safety
/// To be used inside functions that enable the CPU's features, by pointers that hold as many elements.
pub unsafe trait Lanes: Copy {
    type Register: Copy;
    /// Elements of a register: a divisor of [`KEY_LANES`].
    const LANES: usize;
    unsafe fn splat(x: f32) -> Self::Register;
    /// The value of an f16 in every lane.
    unsafe fn splat_f16(bits: u16) -> Self::Register;
    unsafe fn load(from: *const f32) -> Self::Register;
    unsafe fn load_f16(from: *const f16) -> Self::Register;
    /// Signed bytes.
    unsafe fn load_i8(from: *const u8) -> Self::Register;
    unsafe fn store(to: *mut f32, x: Self::Register);
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register;
    unsafe fn mul(a: Self::Register, b: Self::Register) -> Self::Register;
}

/// A storage that registers are loaded of.
pub trait Load: Widen {
    /// A register of scales, where there are any.
    type Scale<L: Lanes>: Copy;

    /// The scales of elements `d..` of the keys from `lane` on in a group.
    ///
    /// # Safety
    /// As [`Lanes`].
    unsafe fn key_scale<L: Lanes>(
        group: *const Self::Unit,
        d: usize,
        lane: usize,
    ) -> Self::Scale<L>;

    /// The scale of elements `d..` of a value.
    ///
    /// # Safety
    /// As [`Lanes`].
    unsafe fn value_scale<L: Lanes>(value: *const Self::Unit, d: usize) -> Self::Scale<L>;

    /// # Safety
    /// As [`Lanes`].
    unsafe fn load<L: Lanes>(from: *const Self::Unit, scale: Self::Scale<L>) -> L::Register;
}

macro_rules! without_scales {
    ($element:ident, $load:ident) => {
        impl Load for $element {
            type Scale<L: Lanes> = ();

            #[inline(always)]
            unsafe fn key_scale<L: Lanes>(_: *const $element, _: usize, _: usize) {}

            #[inline(always)]
            unsafe fn value_scale<L: Lanes>(_: *const $element, _: usize) {}

            #[inline(always)]
            unsafe fn load<L: Lanes>(from: *const $element, (): ()) -> L::Register {
                // SAFETY: by the caller.
                unsafe { L::$load(from) }
            }
        }
    };
}
without_scales!(f32, load);
without_scales!(f16, load_f16);

impl Load for Q8_0 {
    type Scale<L: Lanes> = L::Register;

    #[inline(always)]
    unsafe fn key_scale<L: Lanes>(group: *const u8, d: usize, lane: usize) -> L::Register {
        // SAFETY: by the caller; sixteen scales lie before the quants of sixteen keys.
        unsafe { L::load_f16(group.add(d / BLOCK_32 * Q8_0::GROUP_BYTES + 2 * lane).cast()) }
    }

    #[inline(always)]
    unsafe fn value_scale<L: Lanes>(value: *const u8, d: usize) -> L::Register {
        // SAFETY: by the caller; a scale lies before the quants of 32 elements.
        unsafe {
            let scale = value.add(d / BLOCK_32 * Q8_0::BYTES).cast::<u16>();
            L::splat_f16(u16::from_le(scale.read_unaligned()))
        }
    }

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8, scale: L::Register) -> L::Register {
        // SAFETY: by the caller.
        unsafe { L::mul(scale, L::load_i8(from)) }
    }
}
