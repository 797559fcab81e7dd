"""One number in, one number out: arithmetic, roundings and elementary functions (docs/numerics.md, section 4).

Operands broadcast as in NumPy from opset 7 on. Integers wrap. float16 and bfloat16 compute in binary32 and round once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.numerics import is_float, maximum, minimum, round_to, widen
from diptych_reference.operator import Array, operator


def rounded(program: Callable[..., Array], *operands: Array) -> Array:
    """Run `program` in the type the operands compute in; round its result once to the type of the first."""
    dtype = operands[0].dtype
    result = np.asarray(program(*map(widen, operands)))
    return round_to(result, dtype) if is_float(dtype) else result.astype(dtype, copy=False)


def aligned(a: Array, b: Array, axis: int | None, broadcast: int) -> Array:
    """`b` reshaped to broadcast into `a` as opsets 1 to 6 have it: its axes are `a`'s from `axis` on (or the last)."""
    if not broadcast:
        if a.shape != b.shape:
            raise ShapeError(f"shapes {list(a.shape)} and {list(b.shape)} differ and broadcast=0")
        return b
    start = a.ndim - b.ndim if axis is None else axis % max(a.ndim, 1)
    shape = b.shape + (1,) * (a.ndim - start - b.ndim)
    if start < 0 or len(shape) > a.ndim or np.broadcast_shapes(a.shape, shape) != a.shape:
        raise ShapeError(f"shape {list(b.shape)} does not broadcast into {list(a.shape)} from axis {axis} on")
    return b.reshape(shape)


# Arithmetic


@operator("Add", since=(7, 13, 14))
def add(a: Array, b: Array) -> Array:
    """`rn(a + b)`."""
    return rounded(np.add, a, b)


@operator("Add", since=(1, 6))
def add_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0, consumed_inputs: Any = None) -> Array:
    """Add with opset 1's broadcasting; `consumed_inputs` was a hint about memory."""
    return add(a, aligned(a, b, axis, broadcast))


@operator("Sub", since=(7, 13, 14))
def sub(a: Array, b: Array) -> Array:
    """`rn(a - b)`."""
    return rounded(np.subtract, a, b)


@operator("Sub", since=(1, 6))
def sub_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0, consumed_inputs: Any = None) -> Array:
    """Sub with opset 1's broadcasting."""
    return sub(a, aligned(a, b, axis, broadcast))


@operator("Mul", since=(7, 13, 14))
def mul(a: Array, b: Array) -> Array:
    """`rn(a * b)`."""
    return rounded(np.multiply, a, b)


@operator("Mul", since=(1, 6))
def mul_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0, consumed_inputs: Any = None) -> Array:
    """Mul with opset 1's broadcasting."""
    return mul(a, aligned(a, b, axis, broadcast))


@operator("Div", since=(7, 13, 14))
def div(a: Array, b: Array) -> Array:
    """`rn(a / b)`; integers: toward zero, x / 0 = 0, the least integer / -1 is itself."""
    return rounded(np.divide, a, b) if is_float(a.dtype) else integer_quotient(a, b)


@operator("Div", since=(1, 6))
def div_1(a: Array, b: Array, *, axis: int | None = None, broadcast: int = 0, consumed_inputs: Any = None) -> Array:
    """Div with opset 1's broadcasting."""
    return div(a, aligned(a, b, axis, broadcast))


def integer_quotient(a: Array, b: Array) -> Array:
    """`a / b` toward zero, total: x / 0 = 0, and x / -1 is the wrapping -x."""
    zero, minus_one = b == 0, (b < 0) & (b + 1 == 0)
    divisor = np.where(zero | minus_one, np.ones_like(b), b)
    floor = a // divisor
    inexact_below = (floor * divisor != a) & ((a < 0) != (divisor < 0))
    quotient = floor + inexact_below.astype(a.dtype)
    return np.asarray(np.where(zero, np.zeros_like(a), np.where(minus_one, np.zeros_like(a) - a, quotient)))


@operator("Mod", since=28)
def mod(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """The rest of `a / b` with the quotient rounded down (fmod=0: sign of `b`) or toward zero (fmod=1: sign of `a`).

    Integers: `x mod 0 = 0`. Floats: the truncating rest r is exact; of the other sign than b, it becomes `rn(r + b)`,
    and a zero takes the sign of b.
    """
    if fmod not in (0, 1):
        raise InvalidModelError(f"fmod is {fmod}, expected 0 or 1")
    if is_float(a.dtype):
        return rounded(np.fmod if fmod else floored_rest, a, b)  # C's fmod is exact: there is nothing to round
    rest = a - integer_quotient(a, b) * b
    rest = np.where(b == 0, np.zeros_like(rest), rest)
    other_sign = (rest != 0) & ((rest < 0) != (b < 0))
    return rest if fmod else np.asarray(np.where(other_sign, rest + b, rest))


def floored_rest(a: Array, b: Array) -> Array:
    """`a - floor(a / b) * b` of floats."""
    rest = np.fmod(a, b)
    other_sign = (rest != 0) & (np.signbit(rest) != np.signbit(b))
    return np.where(rest == 0, np.copysign(np.zeros_like(rest), b), np.where(other_sign, rest + b, rest))


@operator("Mod", since=(10, 13))
def mod_10(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """Mod that takes floats with fmod=1 alone."""
    if is_float(a.dtype) and fmod == 0:
        raise InvalidModelError("Mod of floats before opset 28 needs fmod=1")
    return mod(a, b, fmod=fmod)


@operator("Abs", since=(6, 13))
def abs_(x: Array) -> Array:
    """The absolute value: the sign bit cleared; the least integer is its own absolute value."""
    return rounded(np.abs, x)


@operator("Abs", since=1)
def abs_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Abs with opset 1's memory hint."""
    return abs_(x)


@operator("Neg", since=(6, 13))
def neg(x: Array) -> Array:
    """`-x`: the sign bit flipped; integers wrap."""
    return rounded(np.negative, x)


@operator("Neg", since=1)
def neg_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Neg with opset 1's memory hint."""
    return neg(x)


@operator("Sqrt", since=(6, 13))
def sqrt(x: Array) -> Array:
    """`rn(sqrt(x))`; NaN below zero; -0 stays -0."""
    return rounded(np.sqrt, x)


@operator("Sqrt", since=1)
def sqrt_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Sqrt with opset 1's memory hint."""
    return sqrt(x)


@operator("Reciprocal", since=(6, 13))
def reciprocal(x: Array) -> Array:
    """`rn(1 / x)`."""
    return rounded(lambda wide: wide.dtype.type(1) / wide, x)


@operator("Reciprocal", since=1)
def reciprocal_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Reciprocal with opset 1's memory hint."""
    return reciprocal(x)


@operator("Pow", since=(7, 12, 13, 15))
def pow_(x: Array, y: Array) -> Array:
    """`x ** y` in the type of `x` (docs/numerics.md, section 3). Integers with an integer exponent wrap."""
    return np.asarray(numerics.power(x, y)).reshape(np.broadcast_shapes(x.shape, y.shape))


@operator("Pow", since=1)
def pow_1(x: Array, y: Array, *, axis: int | None = None, broadcast: int = 0) -> Array:
    """Pow with opset 1's broadcasting."""
    return pow_(x, aligned(x, y, axis, broadcast))


# Roundings and sign


@operator("Floor", since=(6, 13))
def floor(x: Array) -> Array:
    """The greatest integer not above `x`; the sign of zero is kept."""
    return rounded(np.floor, x)


@operator("Floor", since=1)
def floor_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Floor with opset 1's memory hint."""
    return floor(x)


@operator("Ceil", since=(6, 13))
def ceil(x: Array) -> Array:
    """The least integer not below `x`; the sign is kept, so -0.5 gives -0."""
    return rounded(np.ceil, x)


@operator("Ceil", since=1)
def ceil_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Ceil with opset 1's memory hint."""
    return ceil(x)


@operator("Round", since=(11, 22))
def round_(x: Array) -> Array:
    """The nearest integer, halves to even; the sign is kept."""
    return rounded(np.rint, x)


@operator("Sign", since=(9, 13))
def sign(x: Array) -> Array:
    """1, -1, or +0 for both zeros; NaN stays NaN."""
    if is_float(x.dtype):
        return rounded(lambda w: np.where(w > 0, 1, np.where(w < 0, -1, np.where(w == 0, 0, w))).astype(w.dtype), x)
    return np.asarray((x > 0).astype(x.dtype) - (x < 0).astype(x.dtype))


# Elementary functions: numerics.py defines them


@operator("Exp", since=(6, 13))
def exp(x: Array) -> Array:
    """The exponential, e to the power `x`."""
    return rounded(numerics.exp, x)


@operator("Exp", since=1)
def exp_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Exp with opset 1's memory hint."""
    return exp(x)


@operator("Log", since=(6, 13))
def log(x: Array) -> Array:
    """The natural logarithm."""
    return rounded(numerics.log, x)


@operator("Log", since=1)
def log_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Log with opset 1's memory hint."""
    return log(x)


@operator("Sin", since=(7, 22))
def sin(x: Array) -> Array:
    """The sine of `x` radians."""
    return rounded(numerics.sin, x)


@operator("Cos", since=(7, 22))
def cos(x: Array) -> Array:
    """The cosine of `x` radians."""
    return rounded(numerics.cos, x)


@operator("Tan", since=(7, 22))
def tan(input: Array) -> Array:
    """The tangent of `input` radians."""
    return rounded(numerics.tan, input)


@operator("Asin", since=(7, 22))
def asin(input: Array) -> Array:
    """The arc sine, NaN outside [-1, 1]."""
    return rounded(numerics.asin, input)


@operator("Acos", since=(7, 22))
def acos(input: Array) -> Array:
    """The arc cosine, NaN outside [-1, 1]."""
    return rounded(numerics.acos, input)


@operator("Atan", since=(7, 22))
def atan(input: Array) -> Array:
    """The arc tangent."""
    return rounded(numerics.atan, input)


@operator("Sinh", since=(9, 22))
def sinh(input: Array) -> Array:
    """The hyperbolic sine."""
    return rounded(numerics.sinh, input)


@operator("Cosh", since=(9, 22))
def cosh(input: Array) -> Array:
    """The hyperbolic cosine."""
    return rounded(numerics.cosh, input)


@operator("Asinh", since=(9, 22))
def asinh(input: Array) -> Array:
    """The inverse hyperbolic sine."""
    return rounded(numerics.asinh, input)


@operator("Acosh", since=(9, 22))
def acosh(input: Array) -> Array:
    """The inverse hyperbolic cosine, NaN below 1."""
    return rounded(numerics.acosh, input)


@operator("Atanh", since=(9, 22))
def atanh(input: Array) -> Array:
    """The inverse hyperbolic tangent, NaN beyond +-1."""
    return rounded(numerics.atanh, input)


@operator("Erf", since=(9, 13))
def erf(x: Array) -> Array:
    """The error function. Integers: in binary64, then toward zero."""
    return through_float64(numerics.erf, x)


def through_float64(program: Callable[[Array], Array], x: Array) -> Array:
    """`program` on floats as `rounded`; on integers in binary64, its result toward zero."""
    if is_float(x.dtype):
        return rounded(program, x)
    return numerics.to_integer(program(x.astype(np.float64)), x.dtype)


# Any number of operands, left to right


@operator("Sum", since=(8, 13))
def sum_(data_0: Array, *data: Array) -> Array:
    """The sum of the inputs, left to right."""
    return rounded(lambda *operands: reduce(np.add, operands), data_0, *data)


@operator("Mean", since=(8, 13))
def mean(data_0: Array, *data: Array) -> Array:
    """`rn(sum / n)`, the sum left to right, n the number of inputs."""
    return rounded(lambda *operands: reduce(np.add, operands) / operands[0].dtype.type(len(operands)), data_0, *data)


@operator("Max", since=(8, 12, 13))
def max_(data_0: Array, *data: Array) -> Array:
    """The greatest of the inputs: -0 below +0, NaN if any is NaN."""
    return reduce(maximum, data, data_0)


@operator("Min", since=(8, 12, 13))
def min_(data_0: Array, *data: Array) -> Array:
    """The least of the inputs: -0 below +0, NaN if any is NaN."""
    return reduce(minimum, data, data_0)


def same_shapes(data: tuple[Array, ...]) -> tuple[Array, ...]:
    """The inputs themselves; ShapeError where their shapes differ (no broadcasting before opset 8)."""
    if len({x.shape for x in data}) > 1:
        raise ShapeError(f"inputs of shapes {[list(x.shape) for x in data]}: before opset 8 they must be the same")
    return data


@operator("Sum", since=(1, 6))
def sum_1(data_0: Array, *data: Array, consumed_inputs: Any = None) -> Array:
    """Sum of inputs of one shape."""
    return sum_(*same_shapes((data_0, *data)))


@operator("Mean", since=(1, 6))
def mean_1(data_0: Array, *data: Array, consumed_inputs: Any = None) -> Array:
    """Mean of inputs of one shape."""
    return mean(*same_shapes((data_0, *data)))


@operator("Max", since=(1, 6))
def max_1(data_0: Array, *data: Array, consumed_inputs: Any = None) -> Array:
    """Max of inputs of one shape."""
    return max_(*same_shapes((data_0, *data)))


@operator("Min", since=(1, 6))
def min_1(data_0: Array, *data: Array, consumed_inputs: Any = None) -> Array:
    """Min of inputs of one shape."""
    return min_(*same_shapes((data_0, *data)))


@operator("Clip", since=(11, 12, 13))
def clip(input: Array, min: Array | None = None, max: Array | None = None) -> Array:
    """`min(max, max(input, min))`, so `max` wins where they cross; an absent bound does not bound; NaN stays."""
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and bound.size != 1:
            raise ShapeError(f"{name} has shape {list(bound.shape)}, expected a scalar")
    result = input if min is None else maximum(input, min.reshape(()))
    return result if max is None else minimum(result, max.reshape(()))


@operator("Clip", since=6)
def clip_6(input: Array, *, min: float = -3.4028234663852886e38, max: float = 3.4028234663852886e38) -> Array:
    """Clip with bounds as attributes; the default bounds are binary32's greatest numbers, whatever the input's type."""
    return clip(input, *(round_to(np.array([bound]), input.dtype) for bound in (min, max)))


@operator("Clip", since=1)
def clip_1(input: Array, *, min: float | None = None, max: float | None = None, consumed_inputs: Any = None) -> Array:
    """Clip with optional bounds as attributes."""
    bounds = (None if bound is None else round_to(np.array([bound]), input.dtype) for bound in (min, max))
    return clip(input, *bounds)
