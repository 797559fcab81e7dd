//! Elementary functions of binary32 lanes: docs/numerics.md, section 3, and reference/diptych_reference/numerics/float32.py,
//! which explains them.

use super::coefficients as c;
use super::f64::{fraction_digits, horner as horner_f64, power_special_cases};
use crate::lanes::*;

type F32<const N: usize> = Simd<f32, N>;
type F64<const N: usize> = Simd<f64, N>;

/// Adding 1.5 * 2^23 leaves no bit for a fraction: the sum is rounded to an integer, which stands in its low bits.
const MAGIC: f32 = 12_582_912.0;
const MAGIC_F64: f64 = 6_755_399_441_055_744.0;
const SQRT_HALF_BITS: i32 = 0x3f35_04f3;
const SQRT_2_MINUS_1: f32 = f32::from_bits(0x3ed4_13cd);
const SIGN: u32 = 0x8000_0000;

/// The polynomial with these coefficients, lowest power first, by fused multiply-adds.
#[inline(always)]
fn horner<A: Arch, const N: usize, const K: usize>(coefficients: &[f32; K], x: F32<N>) -> F32<N> {
    let mut value = F32::splat(coefficients[K - 1]);
    for &coefficient in coefficients[..K - 1].iter().rev() {
        value = A::fma(value, x, F32::splat(coefficient));
    }
    value
}

#[inline(always)]
fn power_of_two<const N: usize>(n: Simd<i32, N>) -> F32<N> {
    F32::from_bits(((n + Simd::splat(127)) << Simd::splat(23)).cast())
}

/// `magnitude` (not negative) with the sign bit of `sign`.
#[inline(always)]
pub(super) fn with_sign<const N: usize>(magnitude: F32<N>, sign: F32<N>) -> F32<N> {
    let bits = magnitude.to_bits() & Simd::splat(!SIGN);
    F32::from_bits(bits | (sign.to_bits() & Simd::splat(SIGN)))
}

// [panel: Exp]
/// e^x for any x.
#[inline(always)]
pub fn exp<A: Arch, const N: usize>(x: F32<N>) -> F32<N> {
    let (high, low) = (F32::splat(89.0), F32::splat(-105.0));
    let x = x.simd_gt(high).select(high, x);
    let x = x.simd_lt(low).select(low, x);
    let (p, n) = exp_reduced::<A, N>(x);
    let half = n >> Simd::splat(1); // 2^n itself may be no binary32: two steps, of which the first is exact
    (p * power_of_two(half)) * power_of_two(n - half)
}
// [/panel]

/// The same bits as [`exp`] for -87 <= x <= 88 and NaN, where one step of scaling is exact.
#[inline(always)]
fn exp_bounded<A: Arch, const N: usize>(x: F32<N>) -> F32<N> {
    let (p, n) = exp_reduced::<A, N>(x);
    p * power_of_two(n)
}

/// (p, n) with e^x = 2^n p.
#[inline(always)]
fn exp_reduced<A: Arch, const N: usize>(x: F32<N>) -> (F32<N>, Simd<i32, N>) {
    let magic = F32::splat(MAGIC);
    let one = F32::splat(1.0);
    let shifted = A::fma(x, F32::splat(c::LOG2_E), magic);
    let k = shifted - magic;
    let r = A::fma(k, F32::splat(-c::LN2[1]), A::fma(k, F32::splat(-c::LN2[0]), x));
    let p = A::fma(A::fma(horner::<A, N, 5>(&c::EXP, r), r, one), r, one);
    (p, (shifted.to_bits() - magic.to_bits()).cast())
}

/// log(2^e (1 + f)) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1.
#[inline(always)]
fn log_reduced<A: Arch, const N: usize>(f: F32<N>, e: F32<N>) -> F32<N> {
    let z = f * f;
    let y = horner::<A, N, 9>(&c::LOG, f) * (f * z);
    let y = A::fma(e, F32::splat(c::LN2[1]), y);
    let y = f + A::fma(F32::splat(-0.5), z, y);
    A::fma(e, F32::splat(c::LN2[0]), y)
}

// [panel: Log]
/// Natural logarithm: log(+-0) = -inf, NaN below 0.
#[inline(always)]
pub fn log<A: Arch, const N: usize>(x: F32<N>) -> F32<N> {
    let zero = F32::splat(0.0);
    let tiny = x.simd_lt(F32::splat(f32::MIN_POSITIVE));
    let bits: Simd<i32, N> = tiny.select(x * F32::splat(8_388_608.0), x).to_bits().cast();
    let e = (bits - Simd::splat(SQRT_HALF_BITS)) >> Simd::splat(23);
    let m = F32::from_bits((bits - (e << Simd::splat(23))).cast());
    let e = e.cast::<f32>() - tiny.select(F32::splat(23.0), zero);
    let y = log_reduced::<A, N>(m - F32::splat(1.0), e);
    let y = x.simd_eq(F32::splat(f32::INFINITY)).select(x, y);
    let y = x.simd_eq(zero).select(F32::splat(f32::NEG_INFINITY), y);
    x.simd_ge(zero).select(y, F32::splat(f32::NAN))
}
// [/panel]

// [panel: Erf]
/// Error function.
#[inline(always)]
pub fn erf<A: Arch, const N: usize>(x: F32<N>) -> F32<N> {
    let a = x.abs();
    let small = A::fma(a, horner::<A, N, 6>(&c::ERF_SMALL, a * a), a);
    let four = F32::splat(4.0);
    let t = a.simd_gt(four).select(four, a);
    let large = F32::splat(1.0) - exp_bounded::<A, N>(horner::<A, N, 7>(&c::ERF_LARGE, t));
    with_sign(a.simd_lt(F32::splat(0.875)).select(small, large), x)
}
// [/panel]

// [panel: Tanh]
/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<A: Arch, const N: usize>(x: F32<N>) -> F32<N> {
    let a = x.abs();
    let z = a * a;
    let one = F32::splat(1.0);
    let small = A::fma(a * z, horner::<A, N, 5>(&c::TANH, z), a);
    let ten = F32::splat(10.0);
    let t = a.simd_gt(ten).select(ten, a);
    let large = one - F32::splat(2.0) / (exp_bounded::<A, N>(t + t) + one);
    with_sign(a.simd_lt(F32::splat(0.625)).select(small, large), x)
}
// [/panel]

// [panel: Sigmoid com.microsoft.QLinearSigmoid]
/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid<A: Arch, const N: usize>(x: F32<N>) -> F32<N> {
    let one = F32::splat(1.0);
    let z = exp::<A, N>(-x.abs());
    let t = one + z;
    let low = z - (t - one);
    let reciprocal = one / t;
    let numerator = x.simd_lt(F32::splat(0.0)).select(z, one);
    let quotient = numerator * reciprocal;
    let remainder = A::fma(-quotient, low, A::fma(-quotient, t, numerator));
    A::fma(remainder, reciprocal, quotient)
}
// [/panel]

// [panel: Softplus]
/// log(1 + e^x).
#[inline(always)]
pub fn softplus<A: Arch, const N: usize>(x: F32<N>) -> F32<N> {
    let zero = F32::splat(0.0);
    let z = exp::<A, N>(-x.abs());
    let above = z.simd_gt(F32::splat(SQRT_2_MINUS_1));
    let f = above.select(A::fma(F32::splat(0.5), z, F32::splat(-0.5)), z);
    let e = above.select(F32::splat(1.0), zero);
    x.simd_gt(zero).select(x, zero) + log_reduced::<A, N>(f, e)
}
// [/panel]

// [panel: Sin]
/// Sine of x radians; NaN for infinities.
#[inline(always)]
pub fn sin<const N: usize>(x: F32<N>) -> F32<N> {
    let (r, quadrant) = reduce_half_pi(x);
    let one = Simd::splat(1i64);
    let y = (quadrant & one).simd_eq(one).select(cos_f64(r), sin_f64(r));
    let negative: Simd<u64, N> = ((quadrant >> one) << Simd::splat(63)).cast();
    let y: F32<N> = F64::from_bits(y.to_bits() ^ negative).cast();
    F32::from_bits(y.to_bits() ^ (x.to_bits() & Simd::splat(SIGN)))
}
// [/panel]

// [panel: Cos]
/// Cosine of x radians; NaN for infinities.
#[inline(always)]
pub fn cos<const N: usize>(x: F32<N>) -> F32<N> {
    let (r, quadrant) = reduce_half_pi(x);
    let one = Simd::splat(1i64);
    let y = (quadrant & one).simd_eq(one).select(sin_f64(r), cos_f64(r));
    let negative: Simd<u64, N> = (((quadrant + one) >> one) << Simd::splat(63)).cast();
    F64::from_bits(y.to_bits() ^ negative).cast()
}
// [/panel]

#[inline(always)]
pub(super) fn sin_f64<const N: usize>(r: F64<N>) -> F64<N> {
    let z = r * r;
    r + r * (z * horner_f64(&c::SIN_F32, z))
}

#[inline(always)]
pub(super) fn cos_f64<const N: usize>(r: F64<N>) -> F64<N> {
    let z = r * r;
    F64::splat(1.0) + z * horner_f64(&c::COS_F32, z)
}

/// (r, quadrant): |x| = r + quadrant * pi/2 modulo 2 pi, |r| <= pi/4; of `quadrant` the two low bits count.
#[inline(always)]
pub(super) fn reduce_half_pi<const N: usize>(x: F32<N>) -> (F64<N>, Simd<i64, N>) {
    let a: F64<N> = x.abs().cast();
    let magic = F64::splat(MAGIC_F64);
    let shifted = a * F64::splat(c::TWO_OVER_PI) + magic;
    let k = shifted - magic;
    let r = (a - k * F64::splat(c::HALF_PI_F32[0])) - k * F64::splat(c::HALF_PI_F32[1]);
    let quadrant: Simd<i64, N> = shifted.to_bits().cast();
    let large = a.simd_ge(F64::splat(16_777_216.0)) & a.simd_lt(F64::splat(f64::INFINITY));
    if !large.any() {
        return (r, quadrant);
    }
    let (mut r, mut quadrant, a) = (r.to_array(), quadrant.to_array(), a.to_array());
    for lane in 0..N {
        if large.test(lane) {
            (r[lane], quadrant[lane]) = reduce_large(a[lane]);
        }
    }
    (F64::from_array(r), Simd::from_array(quadrant))
}

/// Payne and Hanek's reduction for 2^24 <= a < 2^128, a binary32: `reduce_large` in float32.py.
#[inline(always)]
fn reduce_large(a: f64) -> (f64, i64) {
    let bits = a.to_bits();
    let m = ((bits & 0x000f_ffff_ffff_ffff) | 0x0010_0000_0000_0000) >> 29;
    let [high, middle, low] = fraction_digits::<3>((bits >> 52) as i64 - (1023 + 23));
    let v = (m.wrapping_mul(high) << 32).wrapping_add(m * middle).wrapping_add((m * low) >> 32);
    let quadrant = v.wrapping_add(1 << 61) >> 62;
    let rest = v.wrapping_sub(quadrant << 62) as i64;
    const UNIT: f64 = c::HALF_PI_F64[0] / 4_611_686_018_427_387_904.0; // pi/2 * 2^-62
    (rest as f64 * UNIT, quadrant as i64)
}

/// log2(a) to about 2^-43 of itself, for positive finite normal a.
#[inline(always)]
pub(super) fn log2_f64<const N: usize>(a: F64<N>) -> F64<N> {
    let (one, magic) = (F64::splat(1.0), F64::splat(MAGIC_F64));
    let bits: Simd<i64, N> = a.to_bits().cast();
    let e = (bits - Simd::splat(0x3fe6_a09e_667f_3bcd)) >> Simd::splat(52);
    let m = F64::from_bits((bits - (e << Simd::splat(52))).cast());
    // |e| < 2^51: adding it to the bits of 1.5 * 2^52 adds it to the number.
    let e = F64::from_bits((e + magic.to_bits().cast::<i64>()).cast()) - magic;
    let s = (m - one) / (m + one);
    e + s * horner_f64(&c::LOG2_F32, s * s)
}

/// 2^t to about 2^-40 of itself, for |t| <= 1000.
#[inline(always)]
pub(super) fn exp2_f64<const N: usize>(t: F64<N>) -> F64<N> {
    let magic = F64::splat(MAGIC_F64);
    let shifted = t + magic;
    let r = t - (shifted - magic);
    let n: Simd<i64, N> = (shifted.to_bits() - magic.to_bits()).cast();
    let scale = F64::from_bits(((n + Simd::splat(1023)) << Simd::splat(52)).cast());
    (F64::splat(1.0) + r * horner_f64(&c::EXP2_F32, r)) * scale
}

// [panel: Pow binary32]
/// x^y for binary32 x and binary64 y, special cases as C's pow; x * x where y is 2.
#[inline(always)]
pub fn power<const N: usize>(x: F32<N>, y: F64<N>) -> F32<N> {
    let wide: F64<N> = x.cast();
    let a = wide.abs();
    let log2 = log2_f64(a);
    let log2 = a.simd_lt(F64::splat(f64::INFINITY)).select(log2, a);
    let log2 = a.simd_eq(F64::splat(0.0)).select(F64::splat(f64::NEG_INFINITY), log2);
    let t = y * log2;
    let bound = F64::splat(1000.0); // far outside binary32
    let t = t.simd_lt(-bound).select(-bound, t);
    let t = t.simd_gt(bound).select(bound, t);
    let value: F32<N> = exp2_f64(t).cast();
    // The special cases only replace, so that they can be settled in binary64, where every binary32 is exact.
    let settled: F32<N> = power_special_cases(wide, y, value.cast()).cast();
    y.simd_eq(F64::splat(2.0)).cast::<i32>().select(x * x, settled)
}
// [/panel]

// [panel: Round]
/// Rounded to integral, ties to even; the sign is kept. No instruction of SSE2 does it: below 2^23 the sum with 2^23 does.
#[inline(always)]
pub fn rint<const N: usize>(x: F32<N>) -> F32<N> {
    let a = x.abs();
    let limit = F32::splat(8_388_608.0);
    // The sign goes on last: LLVM 22 gets the other order, select(p, with_sign(y, x), x), wrong on AVX-512 where x comes
    // from integer lanes (a masked vpternlogd with two operands exchanged).
    with_sign(a.simd_lt(limit).select((a + limit) - limit, a), x)
}
// [/panel]

// [panel: Floor]
/// The greatest integral number not above x; the sign is kept.
#[inline(always)]
pub fn floor<const N: usize>(x: F32<N>) -> F32<N> {
    let t = rint(x);
    let down = t - t.simd_gt(x).select(F32::splat(1.0), F32::splat(0.0));
    F32::from_bits(down.to_bits() | (x.to_bits() & Simd::splat(SIGN)))
}
// [/panel]

// [panel: Ceil]
/// The least integral number not below x; the sign is kept, so ceil(-0.5) is -0.
#[inline(always)]
pub fn ceil<const N: usize>(x: F32<N>) -> F32<N> {
    let t = rint(x);
    let up = t + t.simd_lt(x).select(F32::splat(1.0), F32::splat(0.0));
    F32::from_bits(up.to_bits() | (x.to_bits() & Simd::splat(SIGN)))
}
// [/panel]
