"""Numbers between types, and the two comparisons that IEEE 754 leaves open (docs/numerics.md, section 1)."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
NARROW = (np.dtype(np.float16), BFLOAT16)  # types that compute in binary32


def is_float(dtype: DTypeLike) -> bool:
    """Whether `dtype` is float16, bfloat16, float32 or float64."""
    return np.dtype(dtype) in (*NARROW, np.dtype(np.float32), np.dtype(np.float64))


def accumulator(dtype: DTypeLike) -> np.dtype[Any]:
    """The type a program of `dtype` computes in: float32 for float16 and bfloat16, else the type itself."""
    return np.dtype(np.float32) if np.dtype(dtype) in NARROW else np.dtype(dtype)


def widen(x: Array) -> Array:
    """`x` in the type its program computes in. Exact."""
    return x.astype(accumulator(x.dtype), copy=False)


def round_to(x: Array, dtype: DTypeLike) -> Array:
    """Float `x` rounded once to the float type `dtype`, ties to even."""
    dtype = np.dtype(dtype)
    with np.errstate(all="ignore"):
        if dtype == BFLOAT16 and x.dtype == np.float64:
            x = round_to_odd(x)  # ml_dtypes goes through binary32 and would round twice
        return x.astype(dtype, copy=False)


def round_to_odd(x: Array) -> Array:
    """binary64 `x` in binary32: where it is inexact, the neighbour whose last bit is 1.

    That one can neither be a float of fewer bits nor lie halfway between two, so a later rounding acts as the only one.
    """
    near = x.astype(np.float32)
    error = x - near.astype(np.float64)
    bits = near.view(np.int32)
    inexact = (error != 0) & np.isfinite(near) & (bits & 1 == 0)
    step = np.where((error < 0) == np.signbit(near), 1, -1).astype(np.int32)
    return np.where(inexact, bits + step, bits).view(np.float32)


def to_integer(x: Array, dtype: DTypeLike) -> Array:
    """Float `x` toward zero as an integer, saturating at the ends of `dtype`; NaN gives 0."""
    dtype = np.dtype(dtype)
    ends = np.iinfo(dtype)
    wide = np.trunc(x.astype(np.float64))  # every float type is exact in binary64
    # The greatest int64 or uint64 is no binary64: compare with the power of two above it, which is one.
    above = wide >= float(ends.max + 1)
    below = wide <= float(ends.min)
    inside = np.where(above | below | np.isnan(wide), 0.0, wide)
    result = np.where(above, dtype.type(ends.max), inside.astype(dtype))
    return np.where(below, dtype.type(ends.min), result).astype(dtype, copy=False)


def _zero_aware(select: np.ufunc, zero_sum_sign: int, a: Array, b: Array) -> Array:
    """Minimum or maximum by `select`, then zeros settled: sums of zeros are +0 unless both are -0."""
    if not is_float(a.dtype):
        return np.asarray(select(a, b))
    x, y = widen(a), widen(b)
    with np.errstate(all="ignore"):
        chosen = np.asarray(select(x, y))  # NumPy's maximum and minimum hand a NaN operand on
        zeros = (x == 0) & (y == 0)
        settled = x + y if zero_sum_sign > 0 else -(-x + -y)
        return np.asarray(np.where(zeros, settled, chosen).astype(a.dtype, copy=False))


def maximum(a: Array, b: Array) -> Array:
    """The greater of two operands of one dtype, broadcast; NaN if either is NaN; +0 above -0."""
    return _zero_aware(np.maximum, +1, np.asarray(a), np.asarray(b))


def minimum(a: Array, b: Array) -> Array:
    """The lesser of two operands of one dtype, broadcast; NaN if either is NaN; -0 below +0."""
    return _zero_aware(np.minimum, -1, np.asarray(a), np.asarray(b))


def _zero_aware_over(select: np.ufunc, extreme_zero: float, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Minimum or maximum over `axes` by `select`; a zero result is `extreme_zero` if any operand is, else the other."""
    wide = widen(x)
    with np.errstate(all="ignore"):
        result = np.asarray(select.reduce(wide, axis=axes, keepdims=True))
        if is_float(x.dtype):
            extreme = (wide == 0) & (np.signbit(wide) == np.signbit(extreme_zero))
            found = np.logical_or.reduce(extreme, axis=axes, keepdims=True)
            zero = np.where(found, wide.dtype.type(extreme_zero), wide.dtype.type(-extreme_zero))
            result = np.where(result == 0, zero, result)
        result = result.astype(x.dtype, copy=False)
        return result if keepdims else np.squeeze(result, axes)


def maximum_over(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """The maximum over `axes`, ordered as `maximum`. The reduced axes are not empty."""
    return _zero_aware_over(np.maximum, +0.0, x, axes, keepdims)


def minimum_over(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """The minimum over `axes`, ordered as `minimum`. The reduced axes are not empty."""
    return _zero_aware_over(np.minimum, -0.0, x, axes, keepdims)
