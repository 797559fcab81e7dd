//! Elementary functions of binary64 lanes, by multiplication and addition alone: docs/numerics.md, section 3, and
//! reference/diptych_reference/numerics/float64.py, which explains them.

use super::coefficients as c;
use crate::lanes::*;

type F64<const N: usize> = Simd<f64, N>;

const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
const SQRT_HALF_BITS: i64 = 0x3fe6_a09e_667f_3bcd;
const SQRT_2_MINUS_1: f64 = f64::from_bits(0x3fda_8279_99fc_ef32);
const SIGN: u64 = 1 << 63;

/// The polynomial with these coefficients, lowest power first: multiply, round, add, round.
#[inline(always)]
pub(super) fn horner<const N: usize, const K: usize>(coefficients: &[f64; K], x: F64<N>) -> F64<N> {
    let mut value = F64::splat(coefficients[K - 1]);
    for &coefficient in coefficients[..K - 1].iter().rev() {
        value = value * x + F64::splat(coefficient);
    }
    value
}

/// (s, e): s = rn(a + b) and s + e == a + b exactly (Knuth).
#[inline(always)]
pub(super) fn two_sum<const N: usize>(a: F64<N>, b: F64<N>) -> (F64<N>, F64<N>) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// `a` as the sum of two numbers of at most 26 bits (Veltkamp).
#[inline(always)]
fn split<const N: usize>(a: F64<N>) -> (F64<N>, F64<N>) {
    let scaled = a * F64::splat(134_217_729.0);
    let high = scaled - (scaled - a);
    (high, a - high)
}

/// (p, e): p = rn(a * b) and p + e == a * b exactly, short of overflow and underflow (Dekker).
#[inline(always)]
pub(super) fn two_product<const N: usize>(a: F64<N>, b: F64<N>) -> (F64<N>, F64<N>) {
    let p = a * b;
    let ((a1, a0), (b1, b0)) = (split(a), split(b));
    (p, ((a1 * b1 - p) + a1 * b0 + a0 * b1) + a0 * b0)
}

#[inline(always)]
pub(super) fn power_of_two<const N: usize>(n: Simd<i64, N>) -> F64<N> {
    F64::from_bits(((n + Simd::splat(1023)) << Simd::splat(52)).cast())
}

/// `magnitude` with the sign bit of `sign`.
#[inline(always)]
pub(super) fn with_sign<const N: usize>(magnitude: F64<N>, sign: F64<N>) -> F64<N> {
    let bits = magnitude.to_bits() & Simd::splat(!SIGN);
    F64::from_bits(bits | (sign.to_bits() & Simd::splat(SIGN)))
}

/// Integers of less than 52 bits as binary64. SSE2 and AVX2 have no such instruction: they are added to the bits of 1.5 * 2^52.
#[inline(always)]
fn from_integer<const N: usize>(n: Simd<i64, N>) -> F64<N> {
    let magic = F64::splat(MAGIC);
    F64::from_bits((n + magic.to_bits().cast::<i64>()).cast()) - magic
}

/// e^x.
#[inline(always)]
pub fn exp<const N: usize>(x: F64<N>) -> F64<N> {
    let (high, low) = (F64::splat(710.0), F64::splat(-746.0));
    let x = x.simd_gt(high).select(high, x);
    let x = x.simd_lt(low).select(low, x);
    exp_of_sum(x, F64::splat(0.0))
}

/// exp(high + low) for |high| <= 800 and a `low` that is small beside it.
#[inline(always)]
fn exp_of_sum<const N: usize>(high: F64<N>, low: F64<N>) -> F64<N> {
    let (n, r) = exp_terms(high, low);
    let half = n >> Simd::splat(1);
    ((F64::splat(1.0) + r) * power_of_two(half)) * power_of_two(n - half)
}

/// (n, r) with exp(high + low) = 2^n (1 + r).
#[inline(always)]
pub(super) fn exp_terms<const N: usize>(high: F64<N>, low: F64<N>) -> (Simd<i64, N>, F64<N>) {
    let magic = F64::splat(MAGIC);
    let shifted = high * F64::splat(c::LOG2_E_F64) + magic;
    let k = shifted - magic;
    let (r, rest) = two_sum(high - k * F64::splat(c::LN2_F64[0]), low - k * F64::splat(c::LN2_F64[1]));
    ((shifted.to_bits() - magic.to_bits()).cast(), r + (rest + (r * r) * horner(&c::EXP_F64, r)))
}

/// log(2^e (1 + f)) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1.
#[inline(always)]
fn log_reduced<const N: usize>(f: F64<N>, e: F64<N>) -> F64<N> {
    log_plus(f, e * F64::splat(c::LN2_F64[0]), e * F64::splat(c::LN2_F64[1]))
}

/// log(1 + f) + high + low for f as above; `high` has few bits or is 0, `low` is small beside the sum.
#[inline(always)]
pub(super) fn log_plus<const N: usize>(f: F64<N>, high: F64<N>, low: F64<N>) -> F64<N> {
    let s = f / (F64::splat(2.0) + f);
    let z = s * s;
    let half_square = (F64::splat(0.5) * f) * f;
    let small = s * (half_square + z * horner(&c::LOG_F64, z)) + low;
    high - ((half_square - small) - f)
}

/// (e, m) with x = 2^e m, sqrt(1/2) <= m < sqrt(2), for positive finite x.
#[inline(always)]
pub(super) fn exponent_and_mantissa<const N: usize>(x: F64<N>) -> (F64<N>, F64<N>) {
    let tiny = x.simd_lt(F64::splat(f64::MIN_POSITIVE));
    let bits: Simd<i64, N> = tiny.select(x * F64::splat(18_014_398_509_481_984.0), x).to_bits().cast();
    let e = (bits - Simd::splat(SQRT_HALF_BITS)) >> Simd::splat(52);
    let m = F64::from_bits((bits - (e << Simd::splat(52))).cast());
    (from_integer(e) - tiny.select(F64::splat(54.0), F64::splat(0.0)), m)
}

/// Natural logarithm: log(+-0) = -inf, NaN below 0.
#[inline(always)]
pub fn log<const N: usize>(x: F64<N>) -> F64<N> {
    let zero = F64::splat(0.0);
    let (e, m) = exponent_and_mantissa(x);
    let y = log_reduced(m - F64::splat(1.0), e);
    let y = x.simd_eq(F64::splat(f64::INFINITY)).select(x, y);
    let y = x.simd_eq(zero).select(F64::splat(f64::NEG_INFINITY), y);
    x.simd_ge(zero).select(y, F64::splat(f64::NAN))
}

/// Error function.
#[inline(always)]
pub fn erf<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    let small = a + a * horner(&c::ERF_F64, a * a);
    let inside = a.simd_ge(F64::splat(0.5)) & a.simd_lt(F64::splat(6.0));
    let piece = inside.select(a + a, F64::splat(1.0)).to_array();
    // Plain loops: core's array functions with closures are not inlined here, and would be calls into baseline code.
    let (mut row, mut middle) = ([0; N], [0.0; N]);
    for lane in 0..N {
        row[lane] = piece[lane] as usize - 1; // 1 <= piece < 12
        middle[lane] = (piece[lane] as u32 as f64 + 0.5) * 0.5;
    }
    let distance = a - F64::from_array(middle);
    let degree = c::ERF_PIECES[0].len() - 1;
    let mut large = erf_coefficient(&row, degree);
    for power in (0..degree).rev() {
        large = large * distance + erf_coefficient(&row, power);
    }
    let large = a.simd_ge(F64::splat(6.0)).select(F64::splat(1.0), large);
    with_sign(a.simd_lt(F64::splat(0.5)).select(small, large), x)
}

/// One coefficient of each lane's piece.
#[inline(always)]
fn erf_coefficient<const N: usize>(row: &[usize; N], power: usize) -> F64<N> {
    let mut coefficients = [0.0; N];
    for lane in 0..N {
        coefficients[lane] = c::ERF_PIECES[row[lane]][power];
    }
    F64::from_array(coefficients)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    let z = a * a;
    let one = F64::splat(1.0);
    let small = a + (a * z) * horner(&c::TANH_F64, z);
    let bound = F64::splat(22.0);
    let t = a.simd_gt(bound).select(bound, a);
    let large = one - F64::splat(2.0) / (exp(t + t) + one);
    with_sign(a.simd_lt(F64::splat(0.625)).select(small, large), x)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid<const N: usize>(x: F64<N>) -> F64<N> {
    let one = F64::splat(1.0);
    let z = exp(-x.abs());
    let t = one + z;
    let low = z - (t - one);
    let reciprocal = one / t;
    let numerator = x.simd_lt(F64::splat(0.0)).select(z, one);
    let quotient = numerator * reciprocal;
    let (product, error) = two_product(quotient, t);
    let remainder = ((numerator - product) - error) - quotient * low;
    quotient + remainder * reciprocal
}

/// log(1 + e^x).
#[inline(always)]
pub fn softplus<const N: usize>(x: F64<N>) -> F64<N> {
    let zero = F64::splat(0.0);
    let half = F64::splat(0.5);
    let z = exp(-x.abs());
    let above = z.simd_gt(F64::splat(SQRT_2_MINUS_1));
    let f = above.select(half * z - half, z);
    x.simd_gt(zero).select(x, zero) + log_reduced(f, above.select(F64::splat(1.0), zero))
}

/// Sine of x radians; NaN for infinities.
#[inline(always)]
pub fn sin<const N: usize>(x: F64<N>) -> F64<N> {
    let (r, rest, quadrant) = reduce_half_pi(x);
    let one = Simd::splat(1u64);
    let y = (quadrant & one).simd_eq(one).select(cos_of_sum(r, rest), sin_of_sum(r, rest));
    let negative = ((quadrant >> one) << Simd::splat(63)) ^ (x.to_bits() & Simd::splat(SIGN));
    F64::from_bits(y.to_bits() ^ negative)
}

/// Cosine of x radians; NaN for infinities.
#[inline(always)]
pub fn cos<const N: usize>(x: F64<N>) -> F64<N> {
    let (r, rest, quadrant) = reduce_half_pi(x);
    let one = Simd::splat(1u64);
    let y = (quadrant & one).simd_eq(one).select(sin_of_sum(r, rest), cos_of_sum(r, rest));
    F64::from_bits(y.to_bits() ^ (((quadrant + one) >> one) << Simd::splat(63)))
}

#[inline(always)]
fn sin_of_sum<const N: usize>(r: F64<N>, rest: F64<N>) -> F64<N> {
    let (high, low) = sin_terms(r, rest);
    high + low
}

/// The two numbers whose sum is sin(r + rest).
#[inline(always)]
pub(super) fn sin_terms<const N: usize>(r: F64<N>, rest: F64<N>) -> (F64<N>, F64<N>) {
    let z = r * r;
    (r, (r * z) * horner(&c::SIN_F64, z) + (rest - (F64::splat(0.5) * z) * rest))
}

#[inline(always)]
fn cos_of_sum<const N: usize>(r: F64<N>, rest: F64<N>) -> F64<N> {
    let (high, low) = cos_terms(r, rest);
    high + low
}

/// The two numbers whose sum is cos(r + rest).
#[inline(always)]
pub(super) fn cos_terms<const N: usize>(r: F64<N>, rest: F64<N>) -> (F64<N>, F64<N>) {
    let z = r * r;
    let one = F64::splat(1.0);
    let half = F64::splat(0.5) * z;
    let w = one - half;
    (w, ((one - w) - half) + ((z * z) * horner(&c::COS_F64, z) - r * rest))
}

/// (r, rest, quadrant): |x| = r + rest + quadrant * pi/2 modulo 2 pi, |r| <= pi/4.
#[inline(always)]
pub(super) fn reduce_half_pi<const N: usize>(x: F64<N>) -> (F64<N>, F64<N>, Simd<u64, N>) {
    let a = x.abs();
    let infinity = F64::splat(f64::INFINITY);
    let r = a.simd_lt(infinity).select(a, F64::splat(f64::NAN));
    let large = r.simd_gt(F64::splat(c::HALF_PI_F64[0] * 0.5));
    let (mut r, mut rest, mut quadrant) = (r.to_array(), [0.0; N], [0u64; N]);
    for lane in 0..N {
        if large.test(lane) {
            (r[lane], rest[lane], quadrant[lane]) = reduce_large(r[lane]);
        }
    }
    (F64::from_array(r), F64::from_array(rest), Simd::from_array(quadrant))
}

/// Payne and Hanek's reduction: `reduce_large` in float64.py.
#[inline(always)]
fn reduce_large(a: f64) -> (f64, f64, u64) {
    let bits = a.to_bits();
    let m = (bits & 0x000f_ffff_ffff_ffff) | 0x0010_0000_0000_0000;
    let d = fraction_digits::<6>((bits >> 52) as i64 - (1023 + 52));
    let (high, middle, low) = (d[0] << 32 | d[1], d[2] << 32 | d[3], d[4] << 32 | d[5]);
    let v = (u128::from(m.wrapping_mul(high)) << 64)
        .wrapping_add(u128::from(m) * u128::from(middle))
        .wrapping_add((u128::from(m) * u128::from(low)) >> 64);
    let quadrant = (v.wrapping_add(1 << 125) >> 126) as u64;
    let signed = v.wrapping_sub(u128::from(quadrant) << 126) as i128; // in units of 2^-126
    let magnitude = signed.unsigned_abs();
    let word = |i: u32| F64::<1>::splat(((magnitude >> (32 * i)) as u32) as f64);
    let unit = |exponent: i64| F64::<1>::splat(f64::from_bits(((1023 + exponent) as u64) << 52));
    let (high, error) = two_sum(word(3) * unit(-30), word(2) * unit(-62));
    let (high, low) = two_sum(high, error + (word(1) * unit(-94) + word(0) * unit(-126)));
    let half_pi = F64::splat(c::HALF_PI_F64[0]);
    let (p, error) = two_product(high, half_pi);
    let (r, rest) = two_sum(p, error + (high * F64::splat(c::HALF_PI_F64[1]) + low * half_pi));
    let sign = if signed < 0 { -1.0 } else { 1.0 };
    (sign * r[0], sign * rest[0], quadrant)
}

/// `COUNT` groups of 32 binary digits of 2 / pi, from the one of weight 2^(1 - q) on; -53 <= q <= 971.
#[inline(always)]
pub(super) fn fraction_digits<const COUNT: usize>(q: i64) -> [u64; COUNT] {
    let start = (62 + q) as usize;
    let (word, shift) = (start >> 5, 32 - (start & 31));
    let mut digits = [0; COUNT];
    for (i, digit) in digits.iter_mut().enumerate() {
        let (upper, lower) = (c::TWO_OVER_PI_DIGITS[word + i], c::TWO_OVER_PI_DIGITS[word + i + 1]);
        *digit = (((u64::from(upper) << 32) | u64::from(lower)) >> shift) & 0xffff_ffff;
    }
    digits
}

/// (high, low): log(x) to about 2^-64 of itself, for positive finite x.
#[inline(always)]
fn log_as_sum<const N: usize>(x: F64<N>) -> (F64<N>, F64<N>) {
    let (e, m) = exponent_and_mantissa(x);
    let f = m - F64::splat(1.0);
    let (divisor, divisor_low) = two_sum(m, F64::splat(1.0));
    let s = f / divisor;
    let (p, error) = two_product(s, divisor);
    let s_low = (((f - p) - error) - s * divisor_low) / divisor;
    let (z, z_low) = two_product(s, s);
    let z_low = z_low + (s + s) * s_low;
    let two_thirds = F64::splat(c::TWO_THIRDS[0]);
    let (t, t_low) = two_product(z, two_thirds);
    let t_low = t_low + (z * F64::splat(c::TWO_THIRDS[1]) + z_low * two_thirds);
    let (t, error) = two_sum(t, (z * z) * horner(&c::LOG_TAIL_F64, z));
    let t_low = t_low + error;
    let (u, u_low) = two_product(s, t);
    let u_low = u_low + (s * t_low + s_low * t);
    let (high, low) = two_sum(s + s, u);
    let low = low + (u_low + (s_low + s_low));
    let (total, error) = two_sum(e * F64::splat(c::LN2_F64[0]), high);
    two_sum(total, error + (low + e * F64::splat(c::LN2_F64[1])))
}

/// x^y, special cases as C's pow; x * x where y is 2.
#[inline(always)]
pub fn power<const N: usize>(x: F64<N>, y: F64<N>) -> F64<N> {
    let a = x.abs();
    let zero = F64::splat(0.0);
    let (high, low) = log_as_sum(a);
    let high = a.simd_lt(F64::splat(f64::INFINITY)).select(high, a);
    let high = a.simd_eq(zero).select(F64::splat(f64::NEG_INFINITY), high);
    let (t, error) = two_product(y, high);
    let rest = error + y * low;
    let bound = F64::splat(800.0);
    let beyond = t.abs().simd_gt(bound);
    let t = beyond.select(t.simd_gt(zero).select(bound, -bound), t);
    let value = exp_of_sum(t, beyond.select(zero, rest));
    y.simd_eq(F64::splat(2.0)).select(x * x, power_special_cases(x, y, value))
}

/// The sign of x^y and the cases in which it is 1 or NaN whatever |x|^y (`value`) says.
#[inline(always)]
pub(super) fn power_special_cases<const N: usize>(x: F64<N>, y: F64<N>, value: F64<N>) -> F64<N> {
    let (zero, one, infinity) = (F64::splat(0.0), F64::splat(1.0), F64::splat(f64::INFINITY));
    let half = y * F64::splat(0.5);
    let integer = rint(y).simd_eq(y);
    let odd = integer & rint(half).simd_ne(half);
    let flip = odd.select(x.to_bits() & Simd::splat(SIGN), Simd::splat(0));
    let value = F64::from_bits(value.to_bits() ^ flip);
    let undefined = x.simd_lt(zero) & x.simd_gt(-infinity) & !integer;
    let value = undefined.select(F64::splat(f64::NAN), value);
    let always = y.simd_eq(zero) | x.simd_eq(one) | (x.simd_eq(-one) & y.abs().simd_eq(infinity));
    always.select(one, value)
}

/// Rounded to integral, ties to even; the sign is kept.
#[inline(always)]
pub fn rint<const N: usize>(x: F64<N>) -> F64<N> {
    let a = x.abs();
    let limit = F64::splat(4_503_599_627_370_496.0);
    // The sign goes on last: LLVM 22 gets the other order, select(p, with_sign(y, x), x), wrong on AVX-512 where x comes
    // from integer lanes (a masked vpternlogd with two operands exchanged).
    with_sign(a.simd_lt(limit).select((a + limit) - limit, a), x)
}

/// The greatest integral number not above x; the sign is kept.
#[inline(always)]
pub fn floor<const N: usize>(x: F64<N>) -> F64<N> {
    let t = rint(x);
    let down = t - t.simd_gt(x).select(F64::splat(1.0), F64::splat(0.0));
    F64::from_bits(down.to_bits() | (x.to_bits() & Simd::splat(SIGN)))
}

/// The least integral number not below x; the sign is kept, so ceil(-0.5) is -0.
#[inline(always)]
pub fn ceil<const N: usize>(x: F64<N>) -> F64<N> {
    let t = rint(x);
    let up = t + t.simd_lt(x).select(F64::splat(1.0), F64::splat(0.0));
    F64::from_bits(up.to_bits() | (x.to_bits() & Simd::splat(SIGN)))
}
