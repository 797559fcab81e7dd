"""Tangent, the hyperbolic functions and all their inverses in binary64 (docs/numerics.md, section 3.2).

Multiplication, addition, division and square root, never fused. The plans are those of circular32.py. What binary64
cannot hold there, it is given a second number for: `high + low`, from TwoSum, Dekker's product and the remainders of
divisions and square roots. The low part enters where the last sum is formed, so that each function ends with one
rounding of a value known to some 60 bits.
"""

from __future__ import annotations

import numpy as np

from diptych_reference.numerics import coefficients as c
from diptych_reference.numerics.conversion import Array
from diptych_reference.numerics.float32 import horner_f64, with_sign
from diptych_reference.numerics.float64 import (
    cos_terms,
    exp_terms,
    exponent_and_mantissa,
    log_plus,
    power_of_two,
    reduce_half_pi,
    sin_terms,
    two_product,
    two_sum,
)


def odd(coefficients: tuple[float, ...], a: Array) -> Array:
    """`a + a * (z * P(z))`, z = a * a: an odd function near 0."""
    y: Array = a + tail(coefficients, a, a * a)
    return y


def tail(coefficients: tuple[float, ...], a: Array, z: Array) -> Array:
    """`a * (z * P(z))`: what the function adds to its argument."""
    y: Array = a * (z * horner_f64(coefficients, z))
    return y


def divide(high: Array, low: Array, divisor: Array, divisor_low: Array) -> tuple[Array, Array]:
    """(q, e): (high + low) / (divisor + divisor_low) is nearly q + e. Where q is not finite, e is anything."""
    q = high / divisor
    p, error = two_product(q, divisor)
    return q, (((high - p) - error) + (low - q * divisor_low)) / divisor


def square_root(high: Array, low: Array) -> tuple[Array, Array]:
    """(s, e): sqrt(high + low) is nearly s + e. e is 0 where high is 0."""
    s = np.sqrt(high)
    p, error = two_product(s, s)
    return s, (((high - p) - error) + low) / np.where(s > 0, s + s, 1.0)


def tan(x: Array) -> Array:
    """Tangent of x radians, from sine and cosine as sums of two numbers. Infinities give NaN."""
    r, rest, quadrant = reduce_half_pi(x)
    sine, cosine = two_sum(*sin_terms(r, rest)), two_sum(*cos_terms(r, rest))
    turned = quadrant & 1 == 1
    (high, low), (divisor, divisor_low) = (
        [np.where(turned, other, own) for own, other in zip(one, two, strict=True)]
        for one, two in ((sine, cosine), (cosine, sine))
    )
    q, error = divide(high, low, divisor, divisor_low)
    y = q + error
    return np.where(turned != np.signbit(x), -y, y)


def half_angle(a: Array) -> tuple[Array, Array]:
    """(s, e): asin(sqrt((1 - a) / 2)) = s + e for 1/2 <= a <= 1; NaN above."""
    z = (1.0 - a) * 0.5  # exact
    s, error = square_root(z, np.zeros_like(z))
    return s, error + tail(c.ASIN_F64, s, z)


def asin(x: Array) -> Array:
    """Arc sine; NaN outside [-1, 1]. Above 1/2 pi/2 less twice `half_angle`."""
    a = np.abs(x)
    s, low = half_angle(a)
    high, error = two_sum(np.full_like(a, c.HALF_PI_F64[0]), -2.0 * s)
    far = high + (error + (c.HALF_PI_F64[1] - 2.0 * low))
    return with_sign(np.where(a <= 0.5, odd(c.ASIN_F64, a), far), x)


def acos(x: Array) -> Array:
    """Arc cosine; NaN outside [-1, 1]: pi/2 - asin(x), or by the half angle, which for x < 0 is taken from pi."""
    a = np.abs(x)
    s, low = half_angle(a)
    near = a <= 0.5
    taken, taken_low = np.where(near, x, s), np.where(near, tail(c.ASIN_F64, x, x * x), low)
    high, error = two_sum(np.full_like(a, c.HALF_PI_F64[0]), -taken)
    y = high + (error + (c.HALF_PI_F64[1] - taken_low))
    return np.where(near, y, 2.0 * np.where(x < 0, y, s + low))


ATAN_STEPS = (7 / 16, 11 / 16, 19 / 16, 39 / 16)
ATAN_STARTS = ((0.0, 0.0), c.ATAN_HALF, tuple(0.5 * p for p in c.HALF_PI_F64), c.ATAN_THREE_HALVES, c.HALF_PI_F64)


def atan(x: Array) -> Array:
    """Arc tangent, that of b more than of t = (a - b) / (1 + a b), b being 0, 1/2, 1, 3/2 or infinity (t = -1 / a)."""
    a = np.abs(x)
    numerator, divisor, start, start_low = a, np.ones_like(a), np.zeros_like(a), np.zeros_like(a)
    nearest = ((a + a) - 1.0, 2.0 + a), (a - 1.0, a + 1.0), (a - 1.5, 1.0 + 1.5 * a), (np.full_like(a, -1.0), a)
    for step, (n, d), (s, s_low) in zip(ATAN_STEPS, nearest, ATAN_STARTS[1:], strict=True):
        beyond = a >= step
        numerator, divisor = np.where(beyond, n, numerator), np.where(beyond, d, divisor)
        start, start_low = np.where(beyond, s, start), np.where(beyond, s_low, start_low)
    t = numerator / divisor
    high, error = two_sum(start, t)
    y = high + (error + (start_low + tail(c.ATAN_F64, t, t * t)))
    return with_sign(y, x)


def exponentials(a: Array) -> tuple[Array, Array, Array, Array]:
    """(n, y, e, w) for 0 <= a: e^a is 2^n (y + e), e^-a is 2^n w; from 712 on as for 712, where both overflow."""
    n, r = exp_terms(np.where(a > 712.0, 712.0, a), np.zeros_like(a))
    y, error = two_sum(np.ones_like(r), r)
    return n, y, error, power_of_two(np.maximum(-2 * n, -1000)) / y


def scaled(n: Array, y: Array) -> Array:
    """2^(n - 1) y, in two steps, of which the first is exact."""
    half = n >> 1
    result: Array = (y * power_of_two(half)) * power_of_two(n - 1 - half)
    return result


def sinh(x: Array) -> Array:
    """Hyperbolic sine: below 1 a polynomial, above it (e^a - e^-a) / 2."""
    a = np.abs(x)
    n, y, error, w = exponentials(a)
    high, low = two_sum(y, -w)
    return with_sign(np.where(a < 1.0, odd(c.SINH_F64, a), scaled(n, high + (low + error))), x)


def cosh(x: Array) -> Array:
    """Hyperbolic cosine, (e^a + e^-a) / 2."""
    n, y, error, w = exponentials(np.abs(x))
    high, low = two_sum(y, w)
    return scaled(n, high + (low + error))


def logarithm(high: Array, low: Array, doublings: Array | float = 0.0) -> Array:
    """log((high + low) 2^doublings) for high > 0 and a `low` below its last place; infinity for infinity."""
    e, m = exponent_and_mantissa(high)
    e = e + doublings
    y = log_plus(m - 1.0, e * c.LN2_F64[0], e * c.LN2_F64[1] + low / high)
    return np.where(high < np.inf, y, high)


def log_of_sum(a: Array, one: float) -> Array:
    """log(a + sqrt(a^2 + one)), one = +-1, for a >= 1/2 where the root exists; from 2^28 on log(2 a)."""
    p, error = two_product(a, a)
    square, rest = two_sum(p, np.full_like(a, one))
    root, root_low = square_root(square, rest + error)
    high, low = two_sum(a, root)
    great = a >= 2.0**28
    high, low = np.where(great, a, high), np.where(great, 0.0, low + root_low)
    return logarithm(high, low, np.where(great, 1.0, 0.0))


def asinh(x: Array) -> Array:
    """Inverse hyperbolic sine: below 1/2 a polynomial, above it log(a + sqrt(a^2 + 1))."""
    a = np.abs(x)
    return with_sign(np.where(a < 0.5, odd(c.ASINH_F64, a), log_of_sum(a, 1.0)), x)


def acosh(x: Array) -> Array:
    """Inverse hyperbolic cosine, log(x + sqrt(x^2 - 1)); NaN below 1."""
    return np.where(x >= 1, log_of_sum(x, -1.0), np.nan)


def atanh(x: Array) -> Array:
    """Inverse hyperbolic tangent: below 1/2 a polynomial, above it log((1 + a) / (1 - a)) / 2; NaN beyond +-1."""
    a = np.abs(x)
    q, low = divide(*two_sum(np.ones_like(a), a), 1.0 - a, np.zeros_like(a))
    far = np.where(a < 1.0, 0.5 * logarithm(q, low), np.where(a == 1.0, np.inf, np.nan))
    return with_sign(np.where(a < 0.5, odd(c.ATANH_F64, a), far), x)
