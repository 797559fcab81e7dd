"""Elementary functions for every float type: float32.py, float64.py and circular*.py behind one name each.

float16 and bfloat16 widen to binary32 and are rounded once at the end (docs/numerics.md, section 3).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from diptych_reference.numerics import circular32, circular64, float32, float64
from diptych_reference.numerics.conversion import Array, is_float, round_to, to_integer, widen

Function = Callable[[Array], Array]


def _apply(in_float32: Function, in_float64: Function, x: Array) -> Array:
    x = np.asarray(x)
    if not is_float(x.dtype):
        raise TypeError(f"elementary functions take float16, bfloat16, float32 or float64, not {x.dtype}")
    flat = np.atleast_1d(widen(x))
    with np.errstate(all="ignore"):
        y = (in_float64 if x.dtype == np.float64 else in_float32)(flat)
    return round_to(y.reshape(x.shape), x.dtype)


def exp(x: Array) -> Array:
    """e^x."""
    return _apply(float32.exp, float64.exp, x)


def log(x: Array) -> Array:
    """Natural logarithm; of +-0 it is -inf, below 0 NaN."""
    return _apply(float32.log, float64.log, x)


def erf(x: Array) -> Array:
    """Error function."""
    return _apply(float32.erf, float64.erf, x)


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return _apply(float32.tanh, float64.tanh, x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    return _apply(float32.sigmoid, float64.sigmoid, x)


def softplus(x: Array) -> Array:
    """log(1 + e^x)."""
    return _apply(float32.softplus, float64.softplus, x)


def sin(x: Array) -> Array:
    """Sine of x radians."""
    return _apply(float32.sin, float64.sin, x)


def cos(x: Array) -> Array:
    """Cosine of x radians."""
    return _apply(float32.cos, float64.cos, x)


def tan(x: Array) -> Array:
    """Tangent of x radians."""
    return _apply(circular32.tan, circular64.tan, x)


def asin(x: Array) -> Array:
    """Arc sine; NaN outside [-1, 1]."""
    return _apply(circular32.asin, circular64.asin, x)


def acos(x: Array) -> Array:
    """Arc cosine; NaN outside [-1, 1]."""
    return _apply(circular32.acos, circular64.acos, x)


def atan(x: Array) -> Array:
    """Arc tangent."""
    return _apply(circular32.atan, circular64.atan, x)


def sinh(x: Array) -> Array:
    """Hyperbolic sine."""
    return _apply(circular32.sinh, circular64.sinh, x)


def cosh(x: Array) -> Array:
    """Hyperbolic cosine."""
    return _apply(circular32.cosh, circular64.cosh, x)


def asinh(x: Array) -> Array:
    """Inverse hyperbolic sine."""
    return _apply(circular32.asinh, circular64.asinh, x)


def acosh(x: Array) -> Array:
    """Inverse hyperbolic cosine; NaN below 1."""
    return _apply(circular32.acosh, circular64.acosh, x)


def atanh(x: Array) -> Array:
    """Inverse hyperbolic tangent; +-1 gives an infinity, beyond them NaN."""
    return _apply(circular32.atanh, circular64.atanh, x)


def power(x: Array, y: Array) -> Array:
    """x^y, broadcast, in the dtype of x; y of any numeric type.

    Float x: y converts to binary64. Integer x and y: repeated squaring, wrapping; a negative exponent gives 0, but for
    x = 1 and x = -1. Integer x and float y: the binary64 power of both, toward zero, saturating, NaN to 0.
    """
    x, y = np.broadcast_arrays(np.atleast_1d(x), np.atleast_1d(y))
    with np.errstate(all="ignore"):
        if is_float(x.dtype):
            exponent = y.astype(np.float64)
            in_type = float64.power if x.dtype == np.float64 else float32.power
            return round_to(in_type(widen(x), exponent), x.dtype)
        if is_float(y.dtype):
            return to_integer(float64.power(x.astype(np.float64), y.astype(np.float64)), x.dtype)
        return _integer_power(x, y)


def _integer_power(x: Array, y: Array) -> Array:
    """Integers by repeated squaring."""
    result, base, left = np.ones_like(x), x.copy(), np.where(y < 0, 0, y).astype(y.dtype)
    while left.any():
        result = np.where(left & 1 == 1, result * base, result)
        base = base * base
        left = left >> 1
    if y.dtype.kind == "u":
        return result
    alternating = np.where(y & 1 == 1, x, np.ones_like(x))  # (-1)^y
    unit = (x == 1) | (x == -1) if x.dtype.kind == "i" else x == 1
    return np.where(y < 0, np.where(unit, alternating, np.zeros_like(x)), result)
