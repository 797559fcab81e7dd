//! What a vector of binary32 or binary64 can do, so that a kernel over both is written once.

use super::{circular32, circular64, f32, f64};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Numbers, or vectors of numbers, with IEEE arithmetic and the total order of docs/numerics.md, section 1.
pub trait Arithmetic:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The number in every lane; exact for every binary32.
    fn from_f32(value: ::core::primitive::f32) -> Self;
    /// The greater; NaN if either is; +0 above -0.
    fn maximum(self, other: Self) -> Self;
    /// The lesser; NaN if either is; -0 below +0.
    fn minimum(self, other: Self) -> Self;
    /// Square root, rounded.
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
}

/// A vector of binary32 or binary64 with the elementary functions of docs/numerics.md, section 3.
pub trait Real: Arithmetic {
    /// One lane.
    type Scalar: Arithmetic;

    fn splat(value: Self::Scalar) -> Self;
    /// The number in every lane, rounded.
    fn from_f64(value: ::core::primitive::f64) -> Self;
    fn exp<A: Arch>(self) -> Self;
    fn log<A: Arch>(self) -> Self;
    fn erf<A: Arch>(self) -> Self;
    fn tanh<A: Arch>(self) -> Self;
    fn sigmoid<A: Arch>(self) -> Self;
    fn softplus<A: Arch>(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    /// Rounded to integral, ties to even.
    fn rint(self) -> Self;
    /// `a * b + c`: rounded once in binary32, multiplied then added in binary64.
    fn multiply_add<A: Arch>(a: Self, b: Self, c: Self) -> Self;
    /// 1, -1, +0 for zeros, NaN.
    fn sign(self) -> Self;
    /// `below` in the lanes that are below zero, else `otherwise` (also for NaN).
    fn select_negative(self, below: Self, otherwise: Self) -> Self;
    /// `above` in the lanes greater than `bound`, else `otherwise` (also for NaN).
    fn select_greater(self, bound: Self, above: Self, otherwise: Self) -> Self;
    /// `max(self, +0)`: -0 gives +0, NaN stays.
    fn relu(self) -> Self;
    /// `max(0, min(1, self))`.
    fn clamp_unit(self) -> Self;
}

macro_rules! scalar {
    ($t:ident) => {
        impl Arithmetic for ::core::primitive::$t {
            #[inline(always)]
            fn from_f32(value: ::core::primitive::f32) -> Self {
                value.into()
            }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                Simd::<_, 1>::splat(self).maximum(Simd::splat(other))[0]
            }
            #[inline(always)]
            fn minimum(self, other: Self) -> Self {
                Simd::<_, 1>::splat(self).minimum(Simd::splat(other))[0]
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                StdFloat::sqrt(Simd::<_, 1>::splat(self))[0]
            }
            #[inline(always)]
            fn abs(self) -> Self {
                SimdFloat::abs(Simd::<_, 1>::splat(self))[0]
            }
        }
    };
}
scalar!(f32);
scalar!(f64);

macro_rules! vector {
    ($t:ident, $circular:ident, [$($arch:ident)?], $multiply_add:expr) => {
        impl<const N: usize> Arithmetic for Simd<::core::primitive::$t, N> {
            #[inline(always)]
            fn from_f32(value: ::core::primitive::f32) -> Self {
                Self::splat(value.into())
            }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                let greater = self.simd_gt(other).select(self, other);
                // Equal numbers have equal bits, but for zeros: the sign is that of both.
                let equal = Self::from_bits(self.to_bits() & other.to_bits());
                let chosen = self.simd_eq(other).select(equal, greater);
                self.simd_ne(self).select(self, chosen)
            }
            #[inline(always)]
            fn minimum(self, other: Self) -> Self {
                let lesser = self.simd_lt(other).select(self, other);
                let equal = Self::from_bits(self.to_bits() | other.to_bits());
                let chosen = self.simd_eq(other).select(equal, lesser);
                self.simd_ne(self).select(self, chosen)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                StdFloat::sqrt(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                SimdFloat::abs(self)
            }
        }

        impl<const N: usize> Real for Simd<::core::primitive::$t, N> {
            type Scalar = ::core::primitive::$t;
            #[inline(always)]
            fn splat(value: Self::Scalar) -> Self {
                Simd::splat(value)
            }
            #[inline(always)]
            fn from_f64(value: ::core::primitive::f64) -> Self {
                Simd::splat(value as ::core::primitive::$t)
            }
            #[inline(always)]
            fn exp<A: Arch>(self) -> Self {
                $t::exp::<$($arch,)? N>(self)
            }
            #[inline(always)]
            fn log<A: Arch>(self) -> Self {
                $t::log::<$($arch,)? N>(self)
            }
            #[inline(always)]
            fn erf<A: Arch>(self) -> Self {
                $t::erf::<$($arch,)? N>(self)
            }
            #[inline(always)]
            fn tanh<A: Arch>(self) -> Self {
                $t::tanh::<$($arch,)? N>(self)
            }
            #[inline(always)]
            fn sigmoid<A: Arch>(self) -> Self {
                $t::sigmoid::<$($arch,)? N>(self)
            }
            #[inline(always)]
            fn softplus<A: Arch>(self) -> Self {
                $t::softplus::<$($arch,)? N>(self)
            }
            #[inline(always)]
            fn sin(self) -> Self {
                $t::sin(self)
            }
            #[inline(always)]
            fn cos(self) -> Self {
                $t::cos(self)
            }
            #[inline(always)]
            fn tan(self) -> Self {
                $circular::tan(self)
            }
            #[inline(always)]
            fn asin(self) -> Self {
                $circular::asin(self)
            }
            #[inline(always)]
            fn acos(self) -> Self {
                $circular::acos(self)
            }
            #[inline(always)]
            fn atan(self) -> Self {
                $circular::atan(self)
            }
            #[inline(always)]
            fn sinh(self) -> Self {
                $circular::sinh(self)
            }
            #[inline(always)]
            fn cosh(self) -> Self {
                $circular::cosh(self)
            }
            #[inline(always)]
            fn asinh(self) -> Self {
                $circular::asinh(self)
            }
            #[inline(always)]
            fn acosh(self) -> Self {
                $circular::acosh(self)
            }
            #[inline(always)]
            fn atanh(self) -> Self {
                $circular::atanh(self)
            }
            #[inline(always)]
            fn floor(self) -> Self {
                $t::floor(self)
            }
            #[inline(always)]
            fn ceil(self) -> Self {
                $t::ceil(self)
            }
            #[inline(always)]
            fn rint(self) -> Self {
                if mutant::on(Mutant::RoundTiesAway) {
                    let half = Self::from_f32(0.5);
                    return self.select_negative($t::ceil(self - half), $t::floor(self + half));
                }
                $t::rint(self)
            }
            #[inline(always)]
            fn multiply_add<A: Arch>(a: Self, b: Self, c: Self) -> Self {
                $multiply_add(a, b, c)
            }
            #[inline(always)]
            fn sign(self) -> Self {
                let (zero, one) = (Self::from_f32(0.0), Self::from_f32(1.0));
                let y = self.simd_gt(zero).select(one, self);
                let y = self.simd_lt(zero).select(-one, y);
                self.simd_eq(zero).select(zero, y)
            }
            #[inline(always)]
            fn select_negative(self, below: Self, otherwise: Self) -> Self {
                self.simd_lt(Self::from_f32(0.0)).select(below, otherwise)
            }
            #[inline(always)]
            fn select_greater(self, bound: Self, above: Self, otherwise: Self) -> Self {
                self.simd_gt(bound).select(above, otherwise)
            }
            // [panel: relu]
            #[inline(always)]
            fn relu(self) -> Self {
                let zero = Self::from_f32(0.0);
                let below = if mutant::on(Mutant::LostPositiveZero) { self.simd_lt(zero) } else { self.simd_le(zero) };
                below.select(zero, self)
            }
            // [/panel]
            #[inline(always)]
            fn clamp_unit(self) -> Self {
                let (zero, one) = (Self::from_f32(0.0), Self::from_f32(1.0));
                let y = self.simd_ge(one).select(one, self);
                self.simd_le(zero).select(zero, y)
            }
        }
    };
}
vector!(f32, circular32, [A], A::fma);
vector!(f64, circular64, [], |a: Self, b: Self, c: Self| a * b + c);
