"""Elementary functions in binary32 (docs/numerics.md, section 3). float16 and bfloat16 come here widened.

Two families. exp, log, erf, tanh, sigmoid and softplus are polynomials in fused multiply-adds, at most 2 units in the
last place (ULP) off. sin, cos and power run in binary64 with plain multiplication and addition and round once at the
end, at most 1 ULP.

All follow one plan: *reduce* the argument to a short interval by an identity (exp(x) = 2^n exp(r), log(2^e m) = e ln
2 + log m), evaluate a *polynomial* there, *rebuild*. Odd functions run on |x| and take their sign at the end, which
also keeps -0. Special values mostly need no branch: NaN runs through the arithmetic, and arguments beyond the range
in which the result is finite and not zero are clamped just outside it, so that the last scaling overflows or
underflows as it should.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diptych_reference.numerics import coefficients as c
from diptych_reference.numerics.conversion import Array
from diptych_reference.numerics.multiply_add import fma

F32 = np.float32
# Adding 1.5 * 2^23 leaves no bit for a fraction: the sum is rounded to an integer, which stands in its low bits.
MAGIC = F32(1.5 * 2**23)
MAGIC_F64 = 1.5 * 2**52
SQRT_HALF_BITS = np.int32(0x3F3504F3)
SQRT_2_MINUS_1 = F32(float.fromhex("0x1.a8279ap-2"))


def horner(coefficients: Sequence[np.float32], x: Array) -> Array:
    """The polynomial with these coefficients, lowest power first, by fused multiply-adds."""
    value: Array = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = fma(value, x, coefficient)
    return value


def horner_f64(coefficients: Sequence[float], x: Array) -> Array:
    """The same in binary64: multiply, round, add, round."""
    value: Array = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def power_of_two(n: Array) -> Array:
    """2^n for int32 n in -126 .. 127, from its bit pattern."""
    return np.asarray((n + np.int32(127)) << np.int32(23)).view(F32)


def with_sign(magnitude: Array, sign: Array) -> Array:
    """`magnitude` with the sign bit of `sign`, also where `sign` is -0 or NaN."""
    return np.copysign(magnitude, sign)


def exp(x: Array) -> Array:
    """e^x. Overflows to inf above 88.722839; underflows gradually, to 0 below -103.97208."""
    x = np.where(x > F32(89), F32(89), np.where(x < F32(-105), F32(-105), x))
    shifted = fma(x, c.LOG2_E, MAGIC)
    k = shifted - MAGIC  # the integer nearest x / ln 2
    r = fma(k, -c.LN2[1], fma(k, -c.LN2[0], x))  # |r| <= ln 2 / 2; the first step is exact
    p = fma(fma(horner(c.EXP, r), r, F32(1)), r, F32(1))
    n = shifted.view(np.int32) - MAGIC.view(np.int32)
    half = n >> np.int32(1)  # 2^n itself may be no binary32: two steps, of which the first is exact
    scaled: Array = (p * power_of_two(half)) * power_of_two(n - half)
    return scaled


def log_reduced(f: Array, e: Array) -> Array:
    """log(2^e (1 + f)) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1: small terms first."""
    z = f * f
    y = horner(c.LOG, f) * (f * z)
    y = fma(e, c.LN2[1], y)
    y = f + fma(F32(-0.5), z, y)
    return fma(e, c.LN2[0], y)


def log(x: Array) -> Array:
    """Natural logarithm. +-0 gives -inf, a negative number NaN."""
    tiny = x < F32(2.0**-126)
    bits = np.where(tiny, x * F32(2.0**23), x).view(np.int32)
    # x = 2^e m with sqrt(1/2) <= m < sqrt(2): the difference of bit patterns has e in its upper bits.
    e = (bits - SQRT_HALF_BITS) >> np.int32(23)
    m = (bits - (e << np.int32(23))).view(F32)
    y = log_reduced(m - F32(1), e.astype(F32) - np.where(tiny, F32(23), F32(0)))
    y = np.where(x == F32(np.inf), x, np.where(x == 0, F32(-np.inf), y))
    return np.where(x >= 0, y, F32(np.nan))


def erf(x: Array) -> Array:
    """Error function: a polynomial below 0.875, above it 1 - exp(log(erfc)) with a polynomial for log(erfc)."""
    a = np.abs(x)
    small = fma(a, horner(c.ERF_SMALL, a * a), a)
    large = F32(1) - exp(horner(c.ERF_LARGE, np.where(a > F32(4), F32(4), a)))  # erf(4) rounds to 1
    return with_sign(np.where(a < F32(0.875), small, large), x)


def tanh(x: Array) -> Array:
    """Hyperbolic tangent: a polynomial below 0.625, above it 1 - 2 / (exp(2x) + 1)."""
    a = np.abs(x)
    z = a * a
    small = fma(a * z, horner(c.TANH, z), a)
    t = np.where(a > F32(10), F32(10), a)  # tanh(10) rounds to 1
    large = F32(1) - F32(2) / (exp(t + t) + F32(1))
    return with_sign(np.where(a < F32(0.625), small, large), x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), from exp(-|x|) so that it underflows gradually on the left.

    The quotient is corrected by its remainder: without that, the roundings of 1 + z and of the division reach 2.4 ULP
    where the result lies just below a power of two.
    """
    z = exp(-np.abs(x))
    t = F32(1) + z
    low = z - (t - F32(1))  # t + low is 1 + z
    reciprocal = F32(1) / t
    numerator = np.where(x < 0, z, F32(1))
    quotient = numerator * reciprocal
    remainder = fma(-quotient, low, fma(-quotient, t, numerator))
    return fma(remainder, reciprocal, quotient)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log(1 + z), z = exp(-|x|). For small z, 1 + z is never formed: f is z itself."""
    z = exp(-np.abs(x))
    above = z > SQRT_2_MINUS_1
    f = np.where(above, fma(F32(0.5), z, np.full_like(z, -0.5)), z)  # 1 + z = 2 (1 + (z - 1) / 2)
    y: Array = np.where(x > 0, x, F32(0)) + log_reduced(f, np.where(above, F32(1), F32(0)))
    return y


def sin(x: Array) -> Array:
    """Sine of x radians. Infinities give NaN."""
    r, quadrant = reduce_half_pi(x)
    y = np.where(quadrant & 1 == 1, cos_f64(r), sin_f64(r))
    y = np.where(quadrant & 2 == 2, -y, y).astype(F32)
    return np.where(np.signbit(x), -y, y)


def cos(x: Array) -> Array:
    """Cosine of x radians. Infinities give NaN."""
    r, quadrant = reduce_half_pi(x)
    y = np.where(quadrant & 1 == 1, sin_f64(r), cos_f64(r))
    return np.where((quadrant + 1) & 2 == 2, -y, y).astype(F32)


def sin_f64(r: Array) -> Array:
    """sin(r), |r| <= pi/4, to 2^-37."""
    z = r * r
    y: Array = r + r * (z * horner_f64(c.SIN_F32, z))
    return y


def cos_f64(r: Array) -> Array:
    """cos(r), |r| <= pi/4, to 2^-34."""
    z = r * r
    y: Array = 1.0 + z * horner_f64(c.COS_F32, z)
    return y


def reduce_half_pi(x: Array) -> tuple[Array, Array]:
    """(r, quadrant) with |x| = r + quadrant * pi/2 modulo 2 pi, |r| <= pi/4. r is binary64; 4 quadrants are 0."""
    a = np.abs(x).astype(np.float64)
    shifted = a * c.TWO_OVER_PI + MAGIC_F64
    k = shifted - MAGIC_F64
    r = (a - k * c.HALF_PI_F32[0]) - k * c.HALF_PI_F32[1]  # below 2^24 both k * head and the difference are exact
    quadrant = shifted.view(np.int64)
    large = (a >= 2.0**24) & (a < np.inf)
    if large.any():
        r[large], quadrant[large] = reduce_large(a[large])
    return r, quadrant


def reduce_large(a: Array) -> tuple[Array, Array]:
    """The same for 2^24 <= a < 2^128 (Payne and Hanek): multiply by those digits of 2 / pi that count modulo 4.

    a = m 2^q with a 24-bit integer m. Of 2 / pi, digits left of weight 2^(1 - q) only add multiples of 4. The 96
    digits from there on, times m, give a * 2 / pi modulo 4 in units of 2^-94, of which the upper 64 bits are formed.
    """
    bits = a.view(np.int64)
    m = ((bits & 0xFFFFFFFFFFFFF) | 0x10000000000000).astype(np.uint64) >> np.uint64(29)
    q = (bits >> 52) - (1023 + 23)
    high, middle, low = two_over_pi_digits(q, 3)
    v = ((m * high) << np.uint64(32)) + m * middle + ((m * low) >> np.uint64(32))  # modulo 2^64
    quadrant = (v + np.uint64(1 << 61)) >> np.uint64(62)
    rest = (v - (quadrant << np.uint64(62))).view(np.int64)
    return rest.astype(np.float64) * (c.HALF_PI_F64[0] * 2.0**-62), quadrant.view(np.int64)


def two_over_pi_digits(q: Array, count: int) -> list[Array]:
    """`count` groups of 32 binary digits of 2 / pi, from weight 2^(1 - q) on. The table starts at weight 2^63."""
    start = 62 + q
    word, shift = start >> 5, (32 - (start & 31)).astype(np.uint64)
    digits = np.array(c.TWO_OVER_PI_DIGITS, np.uint64)
    return [
        (((digits[word + i] << np.uint64(32)) | digits[word + i + 1]) >> shift) & np.uint64(0xFFFFFFFF)
        for i in range(count)
    ]


def log2_f64(a: Array) -> Array:
    """log2(a) in binary64, to about 2^-43 of itself, for positive finite normal `a`."""
    bits = a.view(np.int64)
    e = (bits - 0x3FE6A09E667F3BCD) >> 52  # a = 2^e m, sqrt(1/2) <= m < sqrt(2)
    m = (bits - (e << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    y: Array = e.astype(np.float64) + s * horner_f64(c.LOG2_F32, s * s)
    return y


def exp2_f64(t: Array) -> Array:
    """2^t in binary64, to about 2^-40 of itself, for |t| <= 1000."""
    shifted = t + MAGIC_F64
    r = t - (shifted - MAGIC_F64)
    scale = ((shifted.view(np.int64) - np.float64(MAGIC_F64).view(np.int64) + 1023) << 52).view(np.float64)
    y: Array = (1.0 + r * horner_f64(c.EXP2_F32, r)) * scale
    return y


def power(x: Array, y: Array) -> Array:
    """x^y for binary32 x and binary64 y, special cases as C's pow; x * x where y is 2. In binary64: 2^(y log2 |x|)."""
    a = np.abs(x).astype(np.float64)
    log2 = np.where(a == 0, -np.inf, np.where(a < np.inf, log2_f64(a), a))
    t = y * log2
    t = np.where(t > 1000.0, 1000.0, np.where(t < -1000.0, -1000.0, t))  # far outside binary32
    return np.where(y == 2.0, x * x, power_special_cases(x, y, exp2_f64(t).astype(F32)))


def power_special_cases(x: Array, y: Array, value: Array) -> Array:
    """The sign of x^y and the cases in which it is 1 or NaN whatever |x|^y (`value`, of x's type) says."""
    one = value.dtype.type(1)
    integer = np.rint(y) == y
    odd = integer & (np.rint(y * 0.5) != y * 0.5)
    value = np.where(np.signbit(x) & odd, -value, value)
    value = np.where((x < 0) & (x > -np.inf) & ~integer, value.dtype.type(np.nan), value)
    return np.where((y == 0) | (x == 1) | ((x == -1) & (np.abs(y) == np.inf)), one, value)
