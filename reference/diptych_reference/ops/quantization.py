"""Between real numbers and small integers (or small floats) with a scale and a zero point.

Rounding programs:

QuantizeLinear: in the type P of the scale (or of `precision`): `q = rn(x / scale)`, operands converted to P first;
scales of int32 and float8e8m0 mean P = float. Integers: `y = clamp(rint(q) + zero_point)` to the output type, `rint` to
nearest even, the sum exact (q saturates at int32, NaN counts as 0). Small floats: `rn(q + zero_point)` in binary32,
rounded once more to the type; with `saturate` (always for float4 and float6) values beyond the greatest finite one,
infinities too, become it; NaN stays, in float4 and float6 it is -0.

DequantizeLinear: in binary32 `rn(rn(x - zero_point) * scale)`, the difference of integers exact before its rounding;
the product is rounded once more to the output type.

Requantization (QLinearMatMul, QLinearConv): in binary32 `m = rn(rn(a_scale * b_scale) / y_scale)` and
`q = rn(rn(acc) * m)`; then as QuantizeLinear, saturating: `clamp(rint(q) + zero_point)`, float8 `rn(q + zero_point)`.

DynamicQuantizeLinear: `scale = (max(0, max x) - min(0, min x)) / 255`, 1 where that is 0 (the spec leaves it open);
`zero_point = rint(clamp(0 - min / scale))`; `y = clamp(rint(x / scale) + zero_point)`.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

from diptych_reference.errors import InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.numerics.conversion import (
    is_float,
    maximum,
    maximum_over,
    minimum,
    minimum_over,
    round_to,
    to_integer,
)
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape import normalize_axis
from diptych_reference.signature import dtype_of

SMALL_INTEGERS = [np.dtype(t) for t in (ml_dtypes.uint4, ml_dtypes.int4, ml_dtypes.uint2, ml_dtypes.int2)]
INTEGERS = [np.dtype(t) for t in (np.uint8, np.int8, np.uint16, np.int16)] + SMALL_INTEGERS
FLOAT8 = [
    np.dtype(t)
    for t in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz)
]
FLOAT4_AND_6 = [np.dtype(t) for t in (ml_dtypes.float4_e2m1fn, ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn)]


@operator("QuantizeLinear", since=10)
def quantize_linear_10(x: Array, y_scale: Array, y_zero_point: Array | None = None) -> Array:
    """`saturate(round(x / y_scale) + y_zero_point)` with one scale for the whole tensor."""
    if y_scale.size != 1:
        raise ShapeError(f"y_scale has shape {list(y_scale.shape)}, expected a scalar")
    return quantize_linear(x, y_scale, y_zero_point)


@operator("QuantizeLinear", since=(13, 19, 21, 23, 24, 25, 28))
def quantize_linear(
    x: Array,
    y_scale: Array,
    y_zero_point: Array | None = None,
    *,
    axis: int = 1,
    saturate: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
) -> Array:
    """As version 10, or with a scale for each index of `axis` or (21) each block of `block_size` along it.

    Divided in the type `precision` (23). Output type: the zero point's, `output_dtype` (21) or uint8; float8 since 19,
    4-bit and 16-bit integers since 21.
    """
    target = np.dtype(np.uint8)
    if y_zero_point is not None:
        target = y_zero_point.dtype
        check_granularity(y_scale, y_zero_point)
        if output_dtype and dtype_of(output_dtype) != target:
            raise InvalidTypeError(f"output_dtype is {dtype_of(output_dtype)}, y_zero_point has {target}")
    elif output_dtype:
        target = dtype_of(output_dtype)
    computed = division_type(y_scale, precision)
    scale = spread(to_precision(y_scale, computed), x.shape, axis, block_size)
    q = round_to(widened(to_precision(x, computed)) / widened(scale), computed)
    zero_point = None if y_zero_point is None else spread(y_zero_point, x.shape, axis, block_size)
    if target in INTEGERS:
        return to_integers(q, zero_point, target)
    if target in FLOAT8 or target in FLOAT4_AND_6:
        shifted = widened(q) if zero_point is None else widened(q) + widened(zero_point)
        return to_small_float(shifted, target, bool(saturate) or target in FLOAT4_AND_6)
    raise InvalidTypeError(f"QuantizeLinear does not produce {target}")


def check_granularity(scale: Array, zero_point: Array) -> None:
    """Scale and zero point have one shape; [] and [1] say the same."""
    if scale.shape != zero_point.shape and not scale.size == zero_point.size == 1:
        raise ShapeError(f"scale {list(scale.shape)} and zero point {list(zero_point.shape)} differ")


def division_type(scale: Array, precision: int) -> np.dtype[np.generic]:
    """The type x / scale is computed in."""
    chosen = dtype_of(precision) if precision else scale.dtype
    if precision and not is_float(chosen):
        raise InvalidModelError(f"precision is {chosen}, expected a float type")
    return chosen if is_float(chosen) else np.dtype(np.float32)


def to_precision(x: Array, dtype: np.dtype[np.generic]) -> Array:
    """`x` converted to the type of the division, rounded once."""
    return round_to(x, dtype) if is_float(x.dtype) else round_to(x.astype(np.float64), dtype)


def widened(x: Array) -> Array:
    """`x` in binary32, exact; binary64 stays."""
    return x if x.dtype == np.float64 else x.astype(np.float32)


def to_integers(q: Array, zero_point: Array | None, target: np.dtype[np.generic]) -> Array:
    """`clamp(rint(q) + zero_point)` as `target`."""
    ends = ml_dtypes.iinfo(target)  # type: ignore[no-untyped-call]
    steps = to_integer(np.rint(widened(q)), np.int32).astype(np.int64)
    shifted = steps if zero_point is None else steps + zero_point.astype(np.int64)
    return np.clip(shifted, int(ends.min), int(ends.max)).astype(target)


def to_small_float(x: Array, target: np.dtype[np.generic], saturate: bool) -> Array:
    """`x` rounded to nearest even; with `saturate` never beyond the greatest finite value."""
    greatest = float(ml_dtypes.finfo(target).max)  # type: ignore[no-untyped-call]
    if target in FLOAT4_AND_6:  # which have no NaN
        x = np.where(np.isnan(x), x.dtype.type(-0.0), x)
    return (np.clip(x, -greatest, greatest) if saturate else x).astype(target)


def spread(values: Array, shape: tuple[int, ...], axis: int, block_size: int) -> Array:
    """Scales or zero points made to broadcast to `shape`: one for all, one an index of `axis` or one a block."""
    if block_size:
        along = normalize_axis(axis, len(shape))
        blocks = tuple(-(-n // block_size) if i == along else n for i, n in enumerate(shape))
        if block_size < 0 or values.shape != blocks:
            raise ShapeError(
                f"scale has shape {list(values.shape)}, expected {list(blocks)} for blocks of {block_size}"
            )
        return np.take(values, np.arange(shape[along]) // block_size, axis=along)
    if values.size == 1 and values.ndim <= 1:
        return values.reshape(())
    along = normalize_axis(axis, len(shape))
    if values.shape != (shape[along],):
        raise ShapeError(
            f"scale has shape {list(values.shape)}, expected a scalar or [{shape[along]}] for axis {along}"
        )
    return values.reshape([n if i == along else 1 for i, n in enumerate(shape)])


def requantized(acc: Array, a_scale: Array, b_scale: Array, y_scale: Array, y_zero_point: Array) -> Array:
    """`acc`, which counts in `a_scale * b_scale`, in `y_scale` instead, as the type of `y_zero_point`.

    Scales broadcast to `acc`; `y_scale` and `y_zero_point` are one value.
    """
    if y_scale.size != 1 or y_zero_point.size != 1:
        raise ShapeError(f"y_scale {list(y_scale.shape)} and y_zero_point {list(y_zero_point.shape)}: expected scalars")
    factor = widened(a_scale) * widened(b_scale) / widened(y_scale).reshape(())
    q = acc.astype(np.float32) * factor
    zero_point, target = y_zero_point.reshape(()), y_zero_point.dtype
    if target in INTEGERS:
        return to_integers(q, zero_point, target)
    return to_small_float(q + widened(zero_point), target, saturate=True)


@operator("DequantizeLinear", since=10)
def dequantize_linear_10(x: Array, x_scale: Array, x_zero_point: Array | None = None) -> Array:
    """`(x - x_zero_point) * x_scale` with one scale for the whole tensor."""
    if x_scale.size != 1:
        raise ShapeError(f"x_scale has shape {list(x_scale.shape)}, expected a scalar")
    return dequantize_linear(x, x_scale, x_zero_point)


@operator("DequantizeLinear", since=(13, 19, 21, 23, 24, 25, 28))
def dequantize_linear(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Array:
    """As version 10, or with a scale for each index of `axis` or (21) each block of `block_size` along it.

    The output type is `output_dtype` (23) or that of the scale; float8 since 19, 4-bit and 16-bit integers since 21.
    """
    target = dtype_of(output_dtype) if output_dtype else x_scale.dtype
    if not is_float(target):
        raise InvalidTypeError(f"DequantizeLinear does not produce {target}; give output_dtype")
    if x_zero_point is not None:
        check_granularity(x_scale, x_zero_point)
    scale = spread(x_scale, x.shape, axis, block_size).astype(np.float32)
    zero_point = None if x_zero_point is None else spread(x_zero_point, x.shape, axis, block_size)
    return round_to(difference(x, zero_point) * scale, target)


def difference(x: Array, zero_point: Array | None) -> Array:
    """`x - zero_point` in binary32, rounded once."""
    wide: DTypeLike = np.int64 if x.dtype.kind in "iu" or x.dtype in SMALL_INTEGERS else np.float32
    steps = x.astype(wide)
    return (steps if zero_point is None else steps - zero_point.astype(wide)).astype(np.float32)


@operator("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(x: Array) -> tuple[Array, Array, Array]:
    """`x` as uint8, scale and zero point chosen from its range and 0: y, y_scale, y_zero_point."""
    zero = np.zeros((), dtype=np.float32)
    greatest = maximum(zero, maximum_over(x, tuple(range(x.ndim)))) if x.size else zero
    least = minimum(zero, minimum_over(x, tuple(range(x.ndim)))) if x.size else zero
    width = (greatest - least) / np.float32(255)
    scale = np.where(width == 0, np.float32(1), width)
    centre = np.clip(zero - least / scale, 0, 255)
    zero_point = to_integer(np.rint(centre), np.uint8)
    return to_integers(x / scale, zero_point, np.dtype(np.uint8)), scale, zero_point
