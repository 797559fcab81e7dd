"""Tangent, the hyperbolic functions and all their inverses in binary32 (docs/numerics.md, section 3.1).

All run in binary64 with plain multiplication, addition, division and square root, and round once at the end: at most
1 ULP. binary64 has 29 bits more than the result, so that a cancellation of a few bits, as in 1 + a or pi/2 - y, costs
nothing. Only near the zeros of the odd functions an argument must not pass through a sum; there a polynomial runs.
"""

from __future__ import annotations

import numpy as np

from diptych_reference.numerics import coefficients as c
from diptych_reference.numerics.conversion import Array
from diptych_reference.numerics.float32 import (
    F32,
    cos_f64,
    exp2_f64,
    horner_f64,
    log2_f64,
    reduce_half_pi,
    sin_f64,
    with_sign,
)

HALF_PI = c.HALF_PI_F64[0]
TAN_EIGHTH_PI = float.fromhex("0x1.a82799p-2")  # tan(pi/8)
TAN_THREE_EIGHTHS_PI = float.fromhex("0x1.350f33p+1")  # tan(3 pi/8)


def odd(coefficients: tuple[float, ...], a: Array) -> Array:
    """`a + a * (z * P(z))`, z = a * a: an odd function near 0."""
    z = a * a
    y: Array = a + a * (z * horner_f64(coefficients, z))
    return y


def tan(x: Array) -> Array:
    """Tangent of x radians. Infinities give NaN."""
    r, quadrant = reduce_half_pi(x)
    sine, cosine = sin_f64(r), cos_f64(r)
    turned = quadrant & 1 == 1
    y = np.where(turned, -cosine, sine) / np.where(turned, sine, cosine)
    return np.where(np.signbit(x), -y, y).astype(F32)


def asin(x: Array) -> Array:
    """Arc sine; NaN outside [-1, 1]. Above 1/2 by the half angle, pi/2 less twice `half_angle`."""
    a = np.abs(x).astype(np.float64)
    y = np.where(a <= 0.5, odd(c.ASIN_F32, a), HALF_PI - 2.0 * half_angle(a))
    return with_sign(y.astype(F32), x)


def acos(x: Array) -> Array:
    """Arc cosine; NaN outside [-1, 1]."""
    wide = x.astype(np.float64)
    a = np.abs(wide)
    far = 2.0 * half_angle(a)
    y = np.where(a <= 0.5, HALF_PI - odd(c.ASIN_F32, wide), np.where(x < 0, 2.0 * HALF_PI - far, far))
    return y.astype(F32)


def half_angle(a: Array) -> Array:
    """asin(sqrt((1 - a) / 2)) for 1/2 <= a <= 1; NaN above."""
    return odd(c.ASIN_F32, np.sqrt((1.0 - a) * 0.5))


def atan(x: Array) -> Array:
    """Arc tangent, by tan(y - pi/4) = (a - 1) / (a + 1) and tan(y - pi/2) = -1 / a brought below tan(pi/8)."""
    a = np.abs(x).astype(np.float64)
    great, middle = a > TAN_THREE_EIGHTHS_PI, a > TAN_EIGHTH_PI
    numerator = np.where(great, -1.0, np.where(middle, a - 1.0, a))
    divisor = np.where(great, a, np.where(middle, a + 1.0, 1.0))
    start = np.where(great, HALF_PI, np.where(middle, 0.5 * HALF_PI, 0.0))
    y = start + odd(c.ATAN_F32, numerator / divisor)
    return with_sign(y.astype(F32), x)


def exponential(a: Array) -> Array:
    """e^a in binary64 for 0 <= a; from 100 on it is e^100, which is far outside binary32."""
    return exp2_f64(np.where(a > 100.0, 100.0, a) * c.LOG2_E_F64)


def sinh(x: Array) -> Array:
    """Hyperbolic sine: below 1 a polynomial, above it (e^a - e^-a) / 2."""
    a = np.abs(x).astype(np.float64)
    e = exponential(a)
    y = np.where(a < 1.0, odd(c.SINH_F32, a), 0.5 * (e - 1.0 / e))
    return with_sign(y.astype(F32), x)


def cosh(x: Array) -> Array:
    """Hyperbolic cosine, (e^a + e^-a) / 2."""
    e = exponential(np.abs(x).astype(np.float64))
    return np.asarray(0.5 * (e + 1.0 / e)).astype(F32)


def logarithm(a: Array) -> Array:
    """log(a) in binary64 for a > 0, infinity for infinity."""
    return np.where(a < np.inf, log2_f64(a) * c.LN2_ROUNDED, a)


def asinh(x: Array) -> Array:
    """Inverse hyperbolic sine: below 1/2 a polynomial, above it log(a + sqrt(a^2 + 1))."""
    a = np.abs(x).astype(np.float64)
    y = np.where(a < 0.5, odd(c.ASINH_F32, a), logarithm(a + np.sqrt(a * a + 1.0)))
    return with_sign(y.astype(F32), x)


def acosh(x: Array) -> Array:
    """Inverse hyperbolic cosine, log(x + sqrt((x - 1) (x + 1))); NaN below 1."""
    wide = x.astype(np.float64)
    y = logarithm(wide + np.sqrt((wide - 1.0) * (wide + 1.0)))
    return np.where(x >= 1, y, np.nan).astype(F32)


def atanh(x: Array) -> Array:
    """Inverse hyperbolic tangent: below 1/2 a polynomial, above it log((1 + a) / (1 - a)) / 2; NaN beyond +-1."""
    a = np.abs(x).astype(np.float64)
    far = np.where(a <= 1.0, 0.5 * logarithm((1.0 + a) / (1.0 - a)), np.nan)
    y = np.where(a < 0.5, odd(c.ATANH_F32, a), far)
    return with_sign(y.astype(F32), x)
