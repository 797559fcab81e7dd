//! Tangent, the hyperbolic functions and all their inverses of binary64 lanes: docs/numerics.md, section 3.2, and
//! reference/diptych_reference/numerics/circular64.py, which explains them.

use super::coefficients as c;
use super::f64::{
    cos_terms, exp_terms, exponent_and_mantissa, horner, log_plus, power_of_two, reduce_half_pi, sin_terms,
    two_product, two_sum, with_sign,
};
use crate::lanes::*;

type F64<const N: usize> = Simd<f64, N>;
/// An unevaluated sum, high and low.
type Sum<const N: usize> = (F64<N>, F64<N>);

/// `a + a * (z * P(z))`, z = a * a.
#[inline(always)]
fn odd<const N: usize, const K: usize>(coefficients: &[f64; K], a: F64<N>) -> F64<N> {
    a + tail(coefficients, a, a * a)
}

/// `a * (z * P(z))`.
#[inline(always)]
fn tail<const N: usize, const K: usize>(coefficients: &[f64; K], a: F64<N>, z: F64<N>) -> F64<N> {
    a * (z * horner(coefficients, z))
}

/// The quotient of two sums.
#[inline(always)]
fn divide<const N: usize>((high, low): Sum<N>, (divisor, divisor_low): Sum<N>) -> Sum<N> {
    let q = high / divisor;
    let (p, error) = two_product(q, divisor);
    (q, (((high - p) - error) + (low - q * divisor_low)) / divisor)
}

/// The square root of a sum.
#[inline(always)]
fn square_root<const N: usize>((high, low): Sum<N>) -> Sum<N> {
    let s = StdFloat::sqrt(high);
    let (p, error) = two_product(s, s);
    let divisor = s.simd_gt(F64::splat(0.0)).select(s + s, F64::splat(1.0));
    (s, (((high - p) - error) + low) / divisor)
}

/// Tangent of x radians; NaN for infinities.
#[inline(always)]
pub fn tan<const N: usize>(x: F64<N>) -> F64<N> {
    let (r, rest, quadrant) = reduce_half_pi(x);
    let ((s, s_low), (c, c_low)) = (sin_terms(r, rest), cos_terms(r, rest));
    let ((s, s_low), (c, c_low)) = (two_sum(s, s_low), two_sum(c, c_low));
    let odd = quadrant & Simd::splat(1);
    let turned = odd.simd_eq(Simd::splat(1));
    let numerator = (turned.select(c, s), turned.select(c_low, s_low));
    let (q, error) = divide(numerator, (turned.select(s, c), turned.select(s_low, c_low)));
    let flip = (odd << Simd::splat(63)) ^ (x.to_bits() & Simd::splat(1 << 63));
    F64::from_bits((q + error).to_bits() ^ flip)
}

/// asin(sqrt((1 - a) / 2)) for 1/2 <= a <= 1; NaN above.
#[inline(always)]
fn half_angle<const N: usize>(a: F64<N>) -> Sum<N> {
    let z = (F64::splat(1.0) - a) * F64::splat(0.5);
    let (s, error) = square_root((z, F64::splat(0.0)));
    (s, error + tail(&c::ASIN_F64, s, z))
}

/// Arc sine; NaN outside [-1, 1].
#[inline(always)]
pub fn asin<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    let two = F64::splat(2.0);
    let (s, low) = half_angle(a);
    let (high, error) = two_sum(F64::splat(c::HALF_PI_F64[0]), -two * s);
    let far = high + (error + (F64::splat(c::HALF_PI_F64[1]) - two * low));
    with_sign(a.simd_le(F64::splat(0.5)).select(odd(&c::ASIN_F64, a), far), x)
}

/// Arc cosine; NaN outside [-1, 1].
#[inline(always)]
pub fn acos<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    let (s, low) = half_angle(a);
    let near = a.simd_le(F64::splat(0.5));
    let (taken, taken_low) = (near.select(x, s), near.select(tail(&c::ASIN_F64, x, x * x), low));
    let (high, error) = two_sum(F64::splat(c::HALF_PI_F64[0]), -taken);
    let y = high + (error + (F64::splat(c::HALF_PI_F64[1]) - taken_low));
    let far = F64::splat(2.0) * x.simd_lt(F64::splat(0.0)).select(y, s + low);
    near.select(y, far)
}

/// Arc tangent.
#[inline(always)]
pub fn atan<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    let (one, two, half) = (F64::splat(1.0), F64::splat(2.0), F64::splat(1.5));
    let [half_pi, half_pi_low] = c::HALF_PI_F64;
    let nearest = [
        (7.0 / 16.0, (a + a) - one, two + a, c::ATAN_HALF),
        (11.0 / 16.0, a - one, a + one, [0.5 * half_pi, 0.5 * half_pi_low]),
        (19.0 / 16.0, a - half, one + half * a, c::ATAN_THREE_HALVES),
        (39.0 / 16.0, -one, a, c::HALF_PI_F64),
    ];
    let (mut numerator, mut divisor, mut start, mut start_low) = (a, one, F64::splat(0.0), F64::splat(0.0));
    for &(step, n, d, [s, s_low]) in &nearest {
        let beyond = a.simd_ge(F64::splat(step));
        (numerator, divisor) = (beyond.select(n, numerator), beyond.select(d, divisor));
        (start, start_low) = (beyond.select(F64::splat(s), start), beyond.select(F64::splat(s_low), start_low));
    }
    let t = numerator / divisor;
    let (high, error) = two_sum(start, t);
    with_sign(high + (error + (start_low + tail(&c::ATAN_F64, t, t * t))), x)
}

/// (n, y, e, w) for 0 <= a: e^a is 2^n (y + e), e^-a is 2^n w; from 712 on as for 712.
#[inline(always)]
fn exponentials<const N: usize>(a: F64<N>) -> (Simd<i64, N>, Sum<N>, F64<N>) {
    let bound = F64::splat(712.0);
    let (n, r) = exp_terms(a.simd_gt(bound).select(bound, a), F64::splat(0.0));
    let (y, error) = two_sum(F64::splat(1.0), r);
    let twice = Simd::splat(0i64) - (n + n);
    let least = Simd::splat(-1000);
    let twice = twice.simd_gt(least).select(twice, least);
    (n, (y, error), power_of_two(twice) / y)
}

/// 2^(n - 1) y.
#[inline(always)]
fn scaled<const N: usize>(n: Simd<i64, N>, y: F64<N>) -> F64<N> {
    let half = n >> Simd::splat(1);
    (y * power_of_two(half)) * power_of_two(n - Simd::splat(1) - half)
}

/// Hyperbolic sine.
#[inline(always)]
pub fn sinh<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    let (n, (y, error), w) = exponentials(a);
    let (high, low) = two_sum(y, -w);
    let far = scaled(n, high + (low + error));
    with_sign(a.simd_lt(F64::splat(1.0)).select(odd(&c::SINH_F64, a), far), x)
}

/// Hyperbolic cosine.
#[inline(always)]
pub fn cosh<const N: usize>(x: F64<N>) -> F64<N> {
    let (n, (y, error), w) = exponentials(x.abs());
    let (high, low) = two_sum(y, w);
    scaled(n, high + (low + error))
}

/// log((high + low) 2^doublings) for high > 0 and a `low` below its last place; infinity for infinity.
#[inline(always)]
fn logarithm<const N: usize>((high, low): Sum<N>, doublings: F64<N>) -> F64<N> {
    let (e, m) = exponent_and_mantissa(high);
    let e = e + doublings;
    let rest = e * F64::splat(c::LN2_F64[1]) + low / high;
    let y = log_plus(m - F64::splat(1.0), e * F64::splat(c::LN2_F64[0]), rest);
    high.simd_lt(F64::splat(f64::INFINITY)).select(y, high)
}

/// log(a + sqrt(a^2 + one)), one = +-1, for a >= 1/2 where the root exists; from 2^28 on log(2 a).
#[inline(always)]
fn log_of_sum<const N: usize>(a: F64<N>, one: f64) -> F64<N> {
    let (p, error) = two_product(a, a);
    let (square, rest) = two_sum(p, F64::splat(one));
    let (root, root_low) = square_root((square, rest + error));
    let (high, low) = two_sum(a, root);
    let great = a.simd_ge(F64::splat(268_435_456.0));
    let zero = F64::splat(0.0);
    let sum = (great.select(a, high), great.select(zero, low + root_low));
    logarithm(sum, great.select(F64::splat(1.0), zero))
}

/// Inverse hyperbolic sine.
#[inline(always)]
pub fn asinh<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    with_sign(a.simd_lt(F64::splat(0.5)).select(odd(&c::ASINH_F64, a), log_of_sum(a, 1.0)), x)
}

/// Inverse hyperbolic cosine; NaN below 1.
#[inline(always)]
pub fn acosh<const N: usize>(x: F64<N>) -> F64<N> {
    x.simd_ge(F64::splat(1.0)).select(log_of_sum(x, -1.0), F64::splat(f64::NAN))
}

/// Inverse hyperbolic tangent; NaN beyond +-1.
#[inline(always)]
pub fn atanh<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    let (zero, one, half) = (F64::splat(0.0), F64::splat(1.0), F64::splat(0.5));
    let quotient = divide(two_sum(one, a), (one - a, zero));
    let pole = a.simd_eq(one).select(F64::splat(f64::INFINITY), F64::splat(f64::NAN));
    let far = a.simd_lt(one).select(half * logarithm(quotient, zero), pole);
    with_sign(a.simd_lt(half).select(odd(&c::ATANH_F64, a), far), x)
}
