"""Random numbers that are the same on every machine: docs/numerics.md, "Random numbers".

All start from `u`, the stream `random_sample` of NumPy's MT19937, seeded with 32 bits: 53-bit uniform numbers in
[0, 1), taken in the row-major order of the output. The seed is the attribute `seed`, toward zero and modulo 2^32. A
node without one draws other numbers than any other node, and others in every run: its seed is `seed_of` its place, a
text that holds the session's seed, the number of the run, and the node's name with those of the nodes around it. So
two sessions that do the same draw the same.

Everything is computed in binary64 and rounded once, to the type of the output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.numerics import exp, is_float, log, maximum_over, round_to
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape import integers
from diptych_reference.signature import dtype_of

Stream = np.random.RandomState


def seed_of(place: str) -> int:
    """32 bits out of a text: FNV-1a in 64 bits, stirred as SplitMix64 does, since FNV's last letters move few bits."""
    state = 0xCBF29CE484222325
    for byte in place.encode("utf-8"):
        state = (state ^ byte) * 0x100000001B3 % 2**64
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return (state ^ state >> 31) % 2**32


def stream(seed: float | None, place: str) -> Stream:
    """The generator of a node at its start."""
    if seed is None:
        return Stream(seed_of(place))
    if not math.isfinite(seed):
        raise InvalidModelError(f"seed is {seed}, expected a finite number")
    return Stream(int(seed) % 2**32)


def dimensions(shape: Sequence[int]) -> list[int]:
    """The attribute `shape`."""
    dims = integers(shape, "shape")
    if any(n < 0 for n in dims):
        raise ShapeError(f"shape {dims} has a negative dimension")
    return dims


def float_type(dtype: int | None, input: Array) -> np.dtype[np.generic]:
    """The attribute `dtype`, else the type of `input`, which must be a float."""
    found = input.dtype if dtype is None else dtype_of(dtype)
    if not is_float(found):
        raise InvalidTypeError(f"random numbers of {found} were asked for, expected a floating-point type")
    return found


def uniform(u: Stream, shape: Sequence[int], low: float, high: float) -> Array:
    """`rn(low + rn(u * rn(high - low)))`."""
    return low + u.random_sample(tuple(shape)) * (high - low)


def normal(u: Stream, shape: Sequence[int], mean: float, scale: float) -> Array:
    """`rn(mean + rn(scale * z))`, z by Marsaglia's polar method.

    Points (x, y) with x = 2u - 1, y = 2u' - 1 are drawn until one lies inside the unit circle, but not at its centre:
    0 < s = x^2 + y^2 < 1. With f = sqrt(-2 log(s) / s), it gives the two numbers f y, f x.
    """
    count = math.prod(shape)
    points = np.zeros((0, 2))
    while (missing := -(-count // 2) - len(points)) > 0:
        drawn = 2.0 * u.random_sample((missing, 2)) - 1.0
        s = drawn[:, 0] * drawn[:, 0] + drawn[:, 1] * drawn[:, 1]
        points = np.concatenate([points, drawn[(s < 1.0) & (s != 0.0)]])
    x, y = points[:, 0], points[:, 1]
    s = x * x + y * y
    f = np.sqrt(-2.0 * log(s) / s)
    z = np.stack([f * y, f * x], axis=-1).reshape(-1)[:count]
    return mean + scale * z.reshape(shape)


@operator("RandomUniform", since=(1, 22))
def random_uniform(
    *, shape: Sequence[int], dtype: int = 1, seed: float | None = None, low: float = 0.0, high: float = 1.0, place: str
) -> Array:
    """Numbers from `low` to `high`, evenly. In narrow types rounding can give `high` itself."""
    dims = dimensions(shape)
    return round_to(uniform(stream(seed, place), dims, low, high), dtype_of(dtype))


@operator("RandomUniformLike", since=(1, 22))
def random_uniform_like(
    input: Array,
    *,
    dtype: int | None = None,
    seed: float | None = None,
    low: float = 0.0,
    high: float = 1.0,
    place: str,
) -> Array:
    """As RandomUniform, in the shape of `input` and, without `dtype`, of its type."""
    return round_to(uniform(stream(seed, place), input.shape, low, high), float_type(dtype, input))


@operator("RandomNormal", since=(1, 22))
def random_normal(
    *,
    shape: Sequence[int],
    dtype: int = 1,
    seed: float | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    place: str,
) -> Array:
    """Numbers around `mean`, normally distributed with the standard deviation `scale`."""
    dims = dimensions(shape)
    return round_to(normal(stream(seed, place), dims, mean, scale), dtype_of(dtype))


@operator("RandomNormalLike", since=(1, 22))
def random_normal_like(
    input: Array,
    *,
    dtype: int | None = None,
    seed: float | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    place: str,
) -> Array:
    """As RandomNormal, in the shape of `input` and, without `dtype`, of its type."""
    return round_to(normal(stream(seed, place), input.shape, mean, scale), float_type(dtype, input))


@operator("Bernoulli", since=(15, 22))
def bernoulli(input: Array, *, dtype: int | None = None, seed: float | None = None, place: str) -> Array:
    """1 with the probability that `input` says, else 0: whether `u < p` in binary64."""
    ones = stream(seed, place).random_sample(input.shape) < input.astype(np.float64)
    return np.asarray(ones).astype(input.dtype if dtype is None else dtype_of(dtype))


@operator("Multinomial", since=(7, 22))
def multinomial(input: Array, *, dtype: int = 6, seed: float | None = None, sample_size: int = 1, place: str) -> Array:
    """[batch, class] logarithms of weights to [batch, sample_size] classes, each drawn by weight.

    Of a row: `w = exp(rn(x - max x))`, `c` = its running sums. A sample is the first class with `c > rn(u * c_last)`;
    where rounding leaves none, the last one with a weight above 0.
    """
    if input.ndim != 2 or sample_size < 0:
        raise ShapeError(f"input {list(input.shape)}, sample_size {sample_size}; expected [batch, class], 0 or more")
    batch, classes = input.shape
    x = input.astype(np.float64)
    if batch and not classes:
        raise ShapeError("there is no class to draw")
    greatest = maximum_over(x, (1,), keepdims=True) if batch else x
    if not np.isfinite(greatest).all():
        raise InvalidInputError("a row of log-probabilities has a NaN, an infinity, or nothing but -infinity")
    u = stream(seed, place).random_sample((batch, sample_size))
    weights = exp(x - greatest)
    c = running_sums(weights)
    result = np.zeros((batch, sample_size), dtype=dtype_of(dtype))
    for row in range(batch):
        possible = np.flatnonzero(weights[row])[-1]
        first = np.searchsorted(c[row], u[row] * c[row, -1], side="right")
        result[row] = np.minimum(first, possible)
    return result


def running_sums(x: Array) -> Array:
    """Sequential sums along the last axis: `c_0 = x_0`, `c_k = rn(c_{k-1} + x_k)`."""
    sums = x.copy()
    for k in range(1, x.shape[-1]):
        sums[..., k] = sums[..., k - 1] + x[..., k]
    return sums
