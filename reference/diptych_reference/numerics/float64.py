"""Elementary functions in binary64 (docs/numerics.md, section 3): multiplication and addition only, no fused operation.

Where one binary64 number is not enough, a value is carried as the unevaluated sum of two, `high + low`. TwoSum and
Dekker's product give the exact rounding error of an addition and of a multiplication as a second number. The plan of
each function is that of float32.py.
"""

from __future__ import annotations

import numpy as np

from diptych_reference.numerics import coefficients as c
from diptych_reference.numerics.conversion import Array
from diptych_reference.numerics.float32 import (
    MAGIC_F64,
    horner_f64,
    power_special_cases,
    two_over_pi_digits,
    with_sign,
)

SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
SQRT_2_MINUS_1 = float.fromhex("0x1.a827999fcef32p-2")
SPLITTER = 2.0**27 + 1.0
LOW_32 = np.uint64(0xFFFFFFFF)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """(s, e): s = rn(a + b) and s + e == a + b exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def split(a: Array) -> tuple[Array, Array]:
    """`a` as the sum of two numbers of at most 26 bits (Veltkamp)."""
    scaled = a * SPLITTER
    high = scaled - (scaled - a)
    return high, a - high


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """(p, e): p = rn(a * b) and p + e == a * b exactly, short of overflow and underflow (Dekker)."""
    p = a * b
    a1, a0 = split(a)
    b1, b0 = split(b)
    return p, ((a1 * b1 - p) + a1 * b0 + a0 * b1) + a0 * b0


def power_of_two(n: Array) -> Array:
    """2^n for int64 n in -1022 .. 1023, from its bit pattern."""
    return np.asarray((n + 1023) << 52).view(np.float64)


def exp(x: Array) -> Array:
    """e^x. Overflows to inf above 709.782712893384; underflows gradually, to 0 below -745.13321910194122."""
    return exp_of_sum(np.where(x > 710.0, 710.0, np.where(x < -746.0, -746.0, x)), np.zeros_like(x))


def exp_of_sum(high: Array, low: Array) -> Array:
    """exp(high + low) for |high| <= 800 and a `low` that is small beside it."""
    n, r = exp_terms(high, low)
    half = n >> 1
    scaled: Array = ((1.0 + r) * power_of_two(half)) * power_of_two(n - half)
    return scaled


def exp_terms(high: Array, low: Array) -> tuple[Array, Array]:
    """(n, r) with exp(high + low) = 2^n (1 + r)."""
    shifted = high * c.LOG2_E_F64 + MAGIC_F64
    k = shifted - MAGIC_F64
    r, rest = two_sum(high - k * c.LN2_F64[0], low - k * c.LN2_F64[1])  # the first difference is exact
    n = shifted.view(np.int64) - np.float64(MAGIC_F64).view(np.int64)
    return n, r + (rest + (r * r) * horner_f64(c.EXP_F64, r))


def log_reduced(f: Array, e: Array) -> Array:
    """log(2^e (1 + f)) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1."""
    return log_plus(f, e * c.LN2_F64[0], e * c.LN2_F64[1])


def log_plus(f: Array, high: Array, low: Array) -> Array:
    """log(1 + f) + high + low for f as above; `high` has few bits or is 0, `low` is small beside the sum.

    With s = f / (2 + f), log(1 + f) = 2s + s R(s^2); 2s is written f - s f, and s f as f^2/2 - s f^2/2, so that the
    rounding of s only touches small terms.
    """
    s = f / (2.0 + f)
    z = s * s
    half_square = (0.5 * f) * f
    small = s * (half_square + z * horner_f64(c.LOG_F64, z)) + low
    return high - ((half_square - small) - f)


def exponent_and_mantissa(x: Array) -> tuple[Array, Array]:
    """(e, m), both binary64, with x = 2^e m and sqrt(1/2) <= m < sqrt(2), for positive finite x (also subnormal)."""
    tiny = x < 2.0**-1022
    bits = np.where(tiny, x * 2.0**54, x).view(np.int64)
    e = (bits - SQRT_HALF_BITS) >> 52
    m = (bits - (e << 52)).view(np.float64)
    return e.astype(np.float64) - np.where(tiny, 54.0, 0.0), m


def log(x: Array) -> Array:
    """Natural logarithm. +-0 gives -inf, a negative number NaN."""
    e, m = exponent_and_mantissa(x)
    y = log_reduced(m - 1.0, e)
    y = np.where(x == np.inf, x, np.where(x == 0, -np.inf, y))
    return np.where(x >= 0, y, np.nan)


def erf(x: Array) -> Array:
    """Error function: below 0.5 a polynomial in x^2; up to 6 one for each half unit, about its middle."""
    a = np.abs(x)
    small = a + a * horner_f64(c.ERF_F64, a * a)
    piece = np.where((a >= 0.5) & (a < 6.0), a + a, 1.0).astype(np.int64)
    distance = a - (piece.astype(np.float64) + 0.5) * 0.5
    rows = np.array(c.ERF_PIECES)
    large = rows[piece - 1, -1]
    for power in range(rows.shape[1] - 2, -1, -1):
        large = large * distance + rows[piece - 1, power]
    large = np.where(a >= 6.0, 1.0, large)
    return with_sign(np.where(a < 0.5, small, large), x)


def tanh(x: Array) -> Array:
    """Hyperbolic tangent: a polynomial below 0.625, above it 1 - 2 / (exp(2x) + 1)."""
    a = np.abs(x)
    z = a * a
    small = a + (a * z) * horner_f64(c.TANH_F64, z)
    t = np.where(a > 22.0, 22.0, a)  # tanh(22) rounds to 1
    large = 1.0 - 2.0 / (exp(t + t) + 1.0)
    return with_sign(np.where(a < 0.625, small, large), x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), from exp(-|x|), the quotient corrected by its remainder as in float32.py."""
    z = exp(-np.abs(x))
    t = 1.0 + z
    low = z - (t - 1.0)
    reciprocal = 1.0 / t
    numerator = np.where(x < 0, z, 1.0)
    quotient = numerator * reciprocal
    product, error = two_product(quotient, t)
    remainder = ((numerator - product) - error) - quotient * low
    y: Array = quotient + remainder * reciprocal
    return y


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
    z = exp(-np.abs(x))
    above = z > SQRT_2_MINUS_1
    f = np.where(above, 0.5 * z - 0.5, z)
    return np.where(x > 0, x, 0.0) + log_reduced(f, np.where(above, 1.0, 0.0))


def sin(x: Array) -> Array:
    """Sine of x radians. Infinities give NaN."""
    r, rest, quadrant = reduce_half_pi(x)
    y = np.where(quadrant & 1 == 1, cos_of_sum(r, rest), sin_of_sum(r, rest))
    return np.where((quadrant & 2 == 2) != np.signbit(x), -y, y)


def cos(x: Array) -> Array:
    """Cosine of x radians. Infinities give NaN."""
    r, rest, quadrant = reduce_half_pi(x)
    y = np.where(quadrant & 1 == 1, sin_of_sum(r, rest), cos_of_sum(r, rest))
    return np.where((quadrant + 1) & 2 == 2, -y, y)


def sin_of_sum(r: Array, rest: Array) -> Array:
    """sin(r + rest), |r| <= pi/4."""
    high, low = sin_terms(r, rest)
    return high + low


def sin_terms(r: Array, rest: Array) -> tuple[Array, Array]:
    """The two numbers whose sum is sin(r + rest)."""
    z = r * r
    return r, (r * z) * horner_f64(c.SIN_F64, z) + (rest - (0.5 * z) * rest)


def cos_of_sum(r: Array, rest: Array) -> Array:
    """cos(r + rest), |r| <= pi/4."""
    high, low = cos_terms(r, rest)
    return high + low


def cos_terms(r: Array, rest: Array) -> tuple[Array, Array]:
    """The two numbers whose sum is cos(r + rest): 1 - z/2, whose rounding error is added back, and the others."""
    z = r * r
    half = 0.5 * z
    w = 1.0 - half
    return w, ((1.0 - w) - half) + ((z * z) * horner_f64(c.COS_F64, z) - r * rest)


def reduce_half_pi(x: Array) -> tuple[Array, Array, Array]:
    """(r, rest, quadrant): |x| = r + rest + quadrant * pi/2 modulo 2 pi, |r| <= pi/4. Infinities and NaN: r is NaN."""
    a = np.abs(x)
    r = np.where(a < np.inf, a, np.nan)
    rest, quadrant = np.zeros_like(r), np.zeros(r.shape, np.int64)
    large = r > c.HALF_PI_F64[0] * 0.5
    if large.any():
        r[large], rest[large], quadrant[large] = reduce_large(a[large])
    return r, rest, quadrant


def reduce_large(a: Array) -> tuple[Array, Array, Array]:
    """Payne and Hanek's reduction as in float32.py, from 192 digits of 2 / pi: 128 bits of the product are formed."""
    bits = a.view(np.int64)
    m = ((bits & 0xFFFFFFFFFFFFF) | 0x10000000000000).astype(np.uint64)
    m1, m0 = m >> np.uint64(32), m & LOW_32
    digits = two_over_pi_digits((bits >> 52) - (1023 + 52), 6)[::-1]  # lowest first
    product, carry, below = [], np.zeros_like(m), np.zeros_like(m)
    for digit in digits:  # schoolbook multiplication in base 2^32, modulo 2^192
        first = m0 * digit + carry
        second = m1 * below + (first & LOW_32)
        product.append(second & LOW_32)
        carry = (first >> np.uint64(32)) + (second >> np.uint64(32))
        below = digit
    v3, v2, v1, v0 = product[5], product[4], product[3], product[2]
    quadrant = ((v3 >> np.uint64(29)) + np.uint64(1)) >> np.uint64(1) & np.uint64(3)
    v3 = (v3 - (quadrant << np.uint64(30))) & LOW_32  # now a 128-bit two's complement number in units of 2^-126
    negative = v3 >> np.uint64(31) == 1
    v3, v2, v1, v0 = negate_where(negative, [v3, v2, v1, v0])
    high, error = two_sum(v3 * 2.0**-30, v2 * 2.0**-62)
    high, low = two_sum(high, error + (v1 * 2.0**-94 + v0 * 2.0**-126))
    p, error = two_product(high, np.full_like(high, c.HALF_PI_F64[0]))
    r, rest = two_sum(p, error + (high * c.HALF_PI_F64[1] + low * c.HALF_PI_F64[0]))
    return np.where(negative, -r, r), np.where(negative, -rest, rest), quadrant.view(np.int64)


def negate_where(negative: Array, words: list[Array]) -> list[Array]:
    """Two's complement negation, where asked, of numbers in 32-bit words (most significant first)."""
    result, carry = [], negative.astype(np.uint64)
    for word in reversed(words):
        flipped = np.where(negative, word ^ LOW_32, word) + carry
        result.append(flipped & LOW_32)
        carry = flipped >> np.uint64(32)
    return result[::-1]


def log_as_sum(x: Array) -> tuple[Array, Array]:
    """(high, low): log(x) to about 2^-64 of itself, for positive finite x."""
    e, m = exponent_and_mantissa(x)
    f = m - 1.0  # exact
    divisor, divisor_low = two_sum(m, np.ones_like(m))
    s = f / divisor
    p, error = two_product(s, divisor)
    s_low = (((f - p) - error) - s * divisor_low) / divisor
    z, z_low = two_product(s, s)
    z_low = z_low + (s + s) * s_low
    # 2/3 z + z^2 Q(z) as a sum, then times s, then plus 2 s and e ln 2.
    t, t_low = two_product(z, np.full_like(z, c.TWO_THIRDS[0]))
    t_low = t_low + (z * c.TWO_THIRDS[1] + z_low * c.TWO_THIRDS[0])
    t, error = two_sum(t, (z * z) * horner_f64(c.LOG_TAIL_F64, z))
    t_low = t_low + error
    u, u_low = two_product(s, t)
    u_low = u_low + (s * t_low + s_low * t)
    high, low = two_sum(s + s, u)
    low = low + (u_low + (s_low + s_low))
    total, error = two_sum(e * c.LN2_F64[0], high)
    return two_sum(total, error + (low + e * c.LN2_F64[1]))


def power(x: Array, y: Array) -> Array:
    """x^y, special cases as C's pow; x * x where y is 2. exp(y log |x|) with the logarithm as a sum of two numbers."""
    a = np.abs(x)
    high, low = log_as_sum(a)
    high = np.where(a == 0, -np.inf, np.where(a < np.inf, high, a))
    t, error = two_product(y, high)
    rest = error + y * low
    beyond = np.abs(t) > 800.0
    t = np.where(beyond, np.where(t > 0, 800.0, -800.0), t)
    value = exp_of_sum(t, np.where(beyond, 0.0, rest))
    return np.where(y == 2.0, x * x, power_special_cases(x, y, value))
