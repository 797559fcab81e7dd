"""Truth values: connectives, comparisons and Where. Comparisons with NaN are false."""

from __future__ import annotations

import numpy as np

from diptych_reference.numerics import widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.elementwise import aligned


@operator("Not", since=1)
def not_(x: Array) -> Array:
    """`not x`."""
    return np.logical_not(x)


@operator("And", since=7)
def and_(a: Array, b: Array) -> Array:
    """`a and b`."""
    return np.logical_and(a, b)


@operator("And", since=1)
def and_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0) -> Array:
    """And with opset 1's broadcasting."""
    return and_(a, aligned(a, b, axis, broadcast))


@operator("Or", since=7)
def or_(a: Array, b: Array) -> Array:
    """`a or b`."""
    return np.logical_or(a, b)


@operator("Or", since=1)
def or_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0) -> Array:
    """Or with opset 1's broadcasting."""
    return or_(a, aligned(a, b, axis, broadcast))


@operator("Xor", since=7)
def xor(a: Array, b: Array) -> Array:
    """`a != b` of truth values."""
    return np.logical_xor(a, b)


@operator("Xor", since=1)
def xor_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0) -> Array:
    """Xor with opset 1's broadcasting."""
    return xor(a, aligned(a, b, axis, broadcast))


@operator("Equal", since=(7, 11, 13, 19))
def equal(a: Array, b: Array) -> Array:
    """`a == b`; both zeros are equal; strings from opset 19 on."""
    return np.asarray(widen(a) == widen(b), dtype=bool)


@operator("Equal", since=1)
def equal_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0) -> Array:
    """Equal with opset 1's broadcasting."""
    return equal(a, aligned(a, b, axis, broadcast))


@operator("Greater", since=(7, 9, 13))
def greater(a: Array, b: Array) -> Array:
    """`a > b`."""
    return np.asarray(widen(a) > widen(b))


@operator("Greater", since=1)
def greater_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0) -> Array:
    """Greater with opset 1's broadcasting."""
    return greater(a, aligned(a, b, axis, broadcast))


@operator("Less", since=(7, 9, 13))
def less(a: Array, b: Array) -> Array:
    """`a < b`."""
    return np.asarray(widen(a) < widen(b))


@operator("Less", since=1)
def less_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0) -> Array:
    """Less with opset 1's broadcasting."""
    return less(a, aligned(a, b, axis, broadcast))


@operator("GreaterOrEqual", since=(12, 16))
def greater_or_equal(a: Array, b: Array) -> Array:
    """`a >= b`."""
    return np.asarray(widen(a) >= widen(b))


@operator("LessOrEqual", since=(12, 16))
def less_or_equal(a: Array, b: Array) -> Array:
    """`a <= b`."""
    return np.asarray(widen(a) <= widen(b))


@operator("IsNaN", since=(9, 13, 20))
def is_nan(x: Array) -> Array:
    """Whether `x` is NaN. float8 types have one or several codes for it."""
    return np.isnan(numbers(x))


@operator("IsInf", since=(10, 20))
def is_inf(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    """Whether `x` is an infinity of a sign that is asked for. Of the float8 types only the E5M2 without UZ has any."""
    wide = numbers(x)
    found = ((wide == np.inf) & bool(detect_positive)) | ((wide == -np.inf) & bool(detect_negative))
    return np.asarray(found)


def numbers(x: Array) -> Array:
    """The elements in a type that NumPy classifies: float8 in binary32, exactly."""
    return x.astype(np.float32) if x.dtype.itemsize == 1 else widen(x)


@operator("Where", since=(9, 16))
def where(condition: Array, x: Array, y: Array) -> Array:
    """`x` where `condition` holds, else `y`; the bits are kept."""
    return np.where(condition, x, y)
