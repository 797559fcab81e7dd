"""The discrete Fourier transform as a rounding program (docs/numerics.md, section 4), in binary64.

A transform of length n = r m takes r interleaved transforms of length m and combines them with a *butterfly* of radix
r. Read from the inside, that is one stage for each factor of n: 4 as often as it divides n, then 2, then 3, 5, 7 … in
order. Each stage is a few NumPy operations on whole arrays. Lengths with a prime factor above 31 go through Bluestein's
convolution, whose own transforms have powers of two as lengths.

Real and imaginary parts are arrays of their own, [lines, n].
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from diptych_reference.numerics.circle import circle
from diptych_reference.operator import Array

GREATEST = 31  # the greatest prime with a butterfly

Complex = tuple[Array, Array]


def transform(x: Complex) -> Complex:
    """`X_k = sum_t x_t e^(-2 pi i k t / n)` along the last axis."""
    n = x[0].shape[-1]
    radices = factors(n)
    return bluestein(x) if radices is None else stages(x, radices)


def inverse(x: Complex) -> Complex:
    """The inverse: real and imaginary parts change places before and after the transform; each is divided by n."""
    imaginary, real = transform((x[1], x[0]))
    n = np.float64(real.shape[-1])
    return real / n, imaginary / n


def factors(n: int) -> list[int] | None:
    """The radices of the stages in their order; None if a prime factor is too great for a butterfly."""
    found: list[int] = []
    for radix in (4, 2, *range(3, GREATEST + 1, 2)):
        while n % radix == 0:
            found.append(radix)
            n //= radix
    return found if n == 1 else None


def stages(x: Complex, radices: list[int]) -> Complex:
    """Stage by stage. Between two, [lines, n / length, length] holds the transforms of the interleaved parts."""
    lines, n = x[0].shape
    length = 1
    for radix in radices:
        after = n // (length * radix)
        re, im = (part.reshape(lines, radix, after, length) for part in x)
        parts = [(re[:, q], im[:, q]) for q in range(radix)]
        if length > 1:  # the first stage's factors are all 1
            cos, sin = twiddles(radix, length)
            parts = [parts[0], *(turn(parts[q], cos[q], sin[q]) for q in range(1, radix))]
        outputs = butterfly(parts)
        joined = [np.stack([y[part] for y in outputs], axis=2).reshape(lines, n) for part in range(2)]
        x = joined[0], joined[1]
        length *= radix
    return x


@lru_cache(maxsize=64)
def twiddles(radix: int, length: int) -> Complex:
    """Cosines and sines of `2 pi q k / (radix * length)`, [radix, length]."""
    k = np.arange(radix, dtype=np.int64)[:, None] * np.arange(length, dtype=np.int64)
    return circle(k, radix * length)


def turn(x: Complex, cos: Array, sin: Array) -> Complex:
    """`x (cos - i sin)`: two products and one sum for each part, each rounded."""
    re, im = x
    return re * cos + im * sin, im * cos - re * sin


def butterfly(z: list[Complex]) -> list[Complex]:
    """The transform of length `len(z)`: 2, 4 or an odd prime."""
    if len(z) == 2:
        return [add(z[0], z[1]), subtract(z[0], z[1])]
    if len(z) == 4:
        even, odd = (add(z[0], z[2]), subtract(z[0], z[2])), (add(z[1], z[3]), subtract(z[1], z[3]))
        return [add(even[0], odd[0]), minus_i(even[1], odd[1]), subtract(even[0], odd[0]), plus_i(even[1], odd[1])]
    return odd_butterfly(z)


def odd_butterfly(z: list[Complex]) -> list[Complex]:
    """Radix r: pairs `s_j = z_j + z_(r-j)`, `d_j = z_j - z_(r-j)`, then for each output the sums over j in order."""
    r = len(z)
    half = r // 2
    s = [add(z[j], z[r - j]) for j in range(1, half + 1)]
    d = [subtract(z[j], z[r - j]) for j in range(1, half + 1)]
    cos, sin = circle(np.arange(r, dtype=np.int64), r)
    total = z[0]
    for pair in s:
        total = add(total, pair)
    outputs = [total] * r
    for p in range(1, half + 1):
        u, v = z[0], scale(d[0], sin[p])
        for j in range(1, half + 1):
            u = add(u, scale(s[j - 1], cos[j * p % r]))
            if j > 1:
                v = add(v, scale(d[j - 1], sin[j * p % r]))
        outputs[p], outputs[r - p] = minus_i(u, v), plus_i(u, v)
    return outputs


def add(a: Complex, b: Complex) -> Complex:
    """`a + b`."""
    return a[0] + b[0], a[1] + b[1]


def subtract(a: Complex, b: Complex) -> Complex:
    """`a - b`."""
    return a[0] - b[0], a[1] - b[1]


def scale(a: Complex, factor: Array) -> Complex:
    """`a * factor`, the factor real."""
    return a[0] * factor, a[1] * factor


def minus_i(a: Complex, b: Complex) -> Complex:
    """`a - i b`."""
    return a[0] + b[1], a[1] - b[0]


def plus_i(a: Complex, b: Complex) -> Complex:
    """`a + i b`."""
    return a[0] - b[1], a[1] + b[0]


def bluestein(x: Complex) -> Complex:
    """Any length: with `2 k t = k^2 + t^2 - (k - t)^2` the transform is a convolution with a chirp.

    `c_t = e^(-i pi t^2 / n)`; `a_t = x_t c_t`, with zeros up to m, the power of two from 2n - 1 on; `A` and `B` are the
    transforms of `a` and of the conjugate chirp around 0; `X_k = c_k p_k`, p the inverse transform of `rn(A B)`.
    """
    lines, n = x[0].shape
    cos, sin, (response_re, response_im) = chirp(n)
    m = len(response_re)
    a = tuple(np.zeros((lines, m)) for _ in range(2))
    a[0][:, :n], a[1][:, :n] = turn(x, cos, sin)
    re, im = transform((a[0], a[1]))
    p_re, p_im = inverse((re * response_re - im * response_im, re * response_im + im * response_re))
    return turn((p_re[:, :n], p_im[:, :n]), cos, sin)


@lru_cache(maxsize=16)
def chirp(n: int) -> tuple[Array, Array, Complex]:
    """Cosines and sines of `pi t^2 / n`, [n], and the transform of the conjugate chirp around 0, [m]."""
    m = 1 << (2 * n - 2).bit_length()
    t = np.arange(n, dtype=np.int64)
    cos, sin = circle(t * t % (2 * n), 2 * n)
    around = np.zeros(m), np.zeros(m)
    for part, values in zip(around, (cos, sin), strict=True):
        part[:n] = values
        part[m - n + 1 :] = values[:0:-1]
    re, im = transform((around[0][None], around[1][None]))
    return cos, sin, (re[0], im[0])
