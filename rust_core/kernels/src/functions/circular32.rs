//! Tangent, the hyperbolic functions and all their inverses of binary32 lanes, in binary64, rounded once: docs/numerics.md,
//! section 3.1, and reference/diptych_reference/numerics/circular32.py, which explains them.

use super::coefficients as c;
use super::f32::{cos_f64, exp2_f64, log2_f64, reduce_half_pi, sin_f64, with_sign};
use super::f64::horner;
use crate::lanes::*;

type F32<const N: usize> = Simd<f32, N>;
type F64<const N: usize> = Simd<f64, N>;

const HALF_PI: f64 = c::HALF_PI_F64[0];
const TAN_EIGHTH_PI: f64 = f64::from_bits(0x3fda_8279_9000_0000);
const TAN_THREE_EIGHTHS_PI: f64 = f64::from_bits(0x4003_50f3_3000_0000);

#[inline(always)]
fn wide<const N: usize>(x: F32<N>) -> F64<N> {
    x.cast()
}

/// `a + a * (z * P(z))`, z = a * a.
#[inline(always)]
fn odd<const N: usize, const K: usize>(coefficients: &[f64; K], a: F64<N>) -> F64<N> {
    let z = a * a;
    a + a * (z * horner(coefficients, z))
}

// [panel: Tan]
/// Tangent of x radians; NaN for infinities.
#[inline(always)]
pub fn tan<const N: usize>(x: F32<N>) -> F32<N> {
    let (r, quadrant) = reduce_half_pi(x);
    let (sine, cosine) = (sin_f64(r), cos_f64(r));
    let turned = (quadrant & Simd::splat(1)).simd_eq(Simd::splat(1));
    let y: F32<N> = (turned.select(-cosine, sine) / turned.select(sine, cosine)).cast();
    F32::from_bits(y.to_bits() ^ (x.to_bits() & Simd::splat(0x8000_0000)))
}
// [/panel]

// [panel: Asin]
/// Arc sine; NaN outside [-1, 1].
#[inline(always)]
pub fn asin<const N: usize>(x: F32<N>) -> F32<N> {
    let a = wide(x).abs();
    let far = F64::splat(HALF_PI) - F64::splat(2.0) * half_angle(a);
    let y = a.simd_le(F64::splat(0.5)).select(odd(&c::ASIN_F32, a), far);
    with_sign(y.cast(), x)
}
// [/panel]

// [panel: Acos]
/// Arc cosine; NaN outside [-1, 1].
#[inline(always)]
pub fn acos<const N: usize>(x: F32<N>) -> F32<N> {
    let wide = wide(x);
    let a = wide.abs();
    let far = F64::splat(2.0) * half_angle(a);
    let far = wide.simd_lt(F64::splat(0.0)).select(F64::splat(2.0 * HALF_PI) - far, far);
    a.simd_le(F64::splat(0.5)).select(F64::splat(HALF_PI) - odd(&c::ASIN_F32, wide), far).cast()
}
// [/panel]

/// asin(sqrt((1 - a) / 2)) for 1/2 <= a <= 1; NaN above.
#[inline(always)]
fn half_angle<const N: usize>(a: F64<N>) -> F64<N> {
    odd(&c::ASIN_F32, StdFloat::sqrt((F64::splat(1.0) - a) * F64::splat(0.5)))
}

// [panel: Atan]
/// Arc tangent.
#[inline(always)]
pub fn atan<const N: usize>(x: F32<N>) -> F32<N> {
    let a = wide(x).abs();
    let one = F64::splat(1.0);
    let (great, middle) = (a.simd_gt(F64::splat(TAN_THREE_EIGHTHS_PI)), a.simd_gt(F64::splat(TAN_EIGHTH_PI)));
    let numerator = great.select(-one, middle.select(a - one, a));
    let divisor = great.select(a, middle.select(a + one, one));
    let start = great.select(F64::splat(HALF_PI), middle.select(F64::splat(0.5 * HALF_PI), F64::splat(0.0)));
    let y = start + odd(&c::ATAN_F32, numerator / divisor);
    with_sign(y.cast(), x)
}
// [/panel]

/// e^a for 0 <= a; from 100 on it is e^100.
#[inline(always)]
fn exponential<const N: usize>(a: F64<N>) -> F64<N> {
    let bound = F64::splat(100.0);
    exp2_f64(a.simd_gt(bound).select(bound, a) * F64::splat(c::LOG2_E_F64))
}

// [panel: Sinh]
/// Hyperbolic sine.
#[inline(always)]
pub fn sinh<const N: usize>(x: F32<N>) -> F32<N> {
    let a = wide(x).abs();
    let one = F64::splat(1.0);
    let e = exponential(a);
    let y = a.simd_lt(one).select(odd(&c::SINH_F32, a), F64::splat(0.5) * (e - one / e));
    with_sign(y.cast(), x)
}
// [/panel]

// [panel: Cosh]
/// Hyperbolic cosine.
#[inline(always)]
pub fn cosh<const N: usize>(x: F32<N>) -> F32<N> {
    let e = exponential(wide(x).abs());
    (F64::splat(0.5) * (e + F64::splat(1.0) / e)).cast()
}
// [/panel]

/// log(a) for a > 0, infinity for infinity.
#[inline(always)]
fn logarithm<const N: usize>(a: F64<N>) -> F64<N> {
    a.simd_lt(F64::splat(f64::INFINITY)).select(log2_f64(a) * F64::splat(c::LN2_ROUNDED), a)
}

// [panel: Asinh]
/// Inverse hyperbolic sine.
#[inline(always)]
pub fn asinh<const N: usize>(x: F32<N>) -> F32<N> {
    let a = wide(x).abs();
    let far = logarithm(a + StdFloat::sqrt(a * a + F64::splat(1.0)));
    let y = a.simd_lt(F64::splat(0.5)).select(odd(&c::ASINH_F32, a), far);
    with_sign(y.cast(), x)
}
// [/panel]

// [panel: Acosh]
/// Inverse hyperbolic cosine; NaN below 1.
#[inline(always)]
pub fn acosh<const N: usize>(x: F32<N>) -> F32<N> {
    let wide = wide(x);
    let one = F64::splat(1.0);
    let y = logarithm(wide + StdFloat::sqrt((wide - one) * (wide + one)));
    wide.simd_ge(one).select(y, F64::splat(f64::NAN)).cast()
}
// [/panel]

// [panel: Atanh]
/// Inverse hyperbolic tangent; NaN beyond +-1.
#[inline(always)]
pub fn atanh<const N: usize>(x: F32<N>) -> F32<N> {
    let a = wide(x).abs();
    let (one, half) = (F64::splat(1.0), F64::splat(0.5));
    let far = a.simd_le(one).select(half * logarithm((one + a) / (one - a)), F64::splat(f64::NAN));
    with_sign(a.simd_lt(half).select(odd(&c::ATANH_F32, a), far).cast(), x)
}
// [/panel]
