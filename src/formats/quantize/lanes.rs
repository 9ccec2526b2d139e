//! Eight searches side by side: lane `j` works on sub-block `j`.
//!
//! Every operation is an IEEE operation on eight numbers, so a search written over [`Lanes`] says
//! exactly what the search of one sub-block computes, and returns the same bits with any
//! implementation: [`Portable`], which is the definition, or the register of an ISA.

use core::array::from_fn;
use core::ops::{Add, Div, Mul, Neg, Sub};

/// Sub-blocks that are searched together.
pub const LANES: usize = 8;

/// One number of each of eight sub-blocks.
pub(crate) trait Lanes:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    fn new(lanes: [f32; LANES]) -> Self;
    fn to_array(self) -> [f32; LANES];

    /// `other` where it is smaller than `self`.
    fn min(self, other: Self) -> Self;

    /// `other` where it is larger than `self`.
    fn max(self, other: Self) -> Self;

    fn abs(self) -> Self;

    /// `self` where `a > b`, else `other`.
    fn where_greater(self, a: Self, b: Self, other: Self) -> Self;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self::new([value; LANES])
    }

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }

    /// The nearest integers, ties to even, of magnitudes below 2^22.
    #[inline(always)]
    fn round(self) -> Self {
        (self + Self::splat(super::ROUND)) - Self::splat(super::ROUND)
    }

    /// `self / other`, and 0 where `other` is not above `floor`.
    #[inline(always)]
    fn div_above(self, other: Self, floor: f32) -> Self {
        (self / other).where_greater(other, Self::splat(floor), Self::zero())
    }

    /// The largest lane, or 0.
    #[inline(always)]
    fn largest(self) -> f32 {
        self.to_array().into_iter().fold(0.0, |max, x| if x > max { x } else { max })
    }

    /// The sum of the lanes, in the order of a tree.
    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.to_array();
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}

/// Plain arrays: the definition.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Portable(from_fn(|j| f(self.0[j], other.0[j])))
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn new(lanes: [f32; LANES]) -> Self {
        Portable(lanes)
    }

    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        self.0
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > a { b } else { a })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Portable(self.0.map(f32::abs))
    }

    #[inline(always)]
    fn where_greater(self, a: Self, b: Self, other: Self) -> Self {
        Portable(from_fn(|j| if a.0[j] > b.0[j] { self.0[j] } else { other.0[j] }))
    }
}

impl Add for Portable {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl Sub for Portable {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl Mul for Portable {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
}

impl Div for Portable {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
}

impl Neg for Portable {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Portable(self.0.map(|x| -x))
    }
}
