"""Operators of com.microsoft on quantized numbers: DequantizeLinear, the operator of ONNX on floats, QuantizeLinear.

Nothing else is rounded, and every result between is a binary32 number. Scales and zero points are one value each; an
absent zero point is 0. The result has the type of the quantized operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from diptych_reference.errors import InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.operator import REQUIRED, Array, operator
from diptych_reference.ops import activation, elementwise, logical, pool, softmax
from diptych_reference.ops.quantization import dequantize_linear, quantize_linear
from diptych_reference.ops.shape import join

MICROSOFT = "com.microsoft"


def real(x: Array, scale: Array, zero_point: Array | None) -> Array:
    """What quantized numbers stand for."""
    return dequantize_linear(x, one("scale", scale), zero_of(x.dtype, zero_point))


def levels(y: Array, scale: Array, zero_point: Array | None, dtype: np.dtype[np.generic]) -> Array:
    """Numbers quantized to `dtype`."""
    return quantize_linear(y, one("scale", scale), zero_of(dtype, zero_point))


def zero_of(dtype: np.dtype[np.generic], zero_point: Array | None) -> Array:
    """The zero point, 0 where it is absent."""
    return np.zeros((), dtype) if zero_point is None else one("zero point", zero_point)


def one(name: str, value: Array) -> Array:
    """The one value of a scale or zero point."""
    if value.size != 1 or value.ndim > 1:
        raise ShapeError(f"a {name} has shape {list(value.shape)}, expected one value")
    return value.reshape(())


@operator("QLinearAdd", since=1, domain=MICROSOFT)
def qlinear_add(
    a: Array,
    a_scale: Array,
    a_zero_point: Array | None = None,
    b: Array = REQUIRED,
    b_scale: Array = REQUIRED,
    b_zero_point: Array | None = None,
    c_scale: Array = REQUIRED,
    c_zero_point: Array | None = None,
) -> Array:
    """Add, whose operands broadcast."""
    total = elementwise.add(real(a, a_scale, a_zero_point), real(b, b_scale, b_zero_point))
    return levels(total, c_scale, c_zero_point, a.dtype)


@operator("QLinearMul", since=1, domain=MICROSOFT)
def qlinear_mul(
    a: Array,
    a_scale: Array,
    a_zero_point: Array | None = None,
    b: Array = REQUIRED,
    b_scale: Array = REQUIRED,
    b_zero_point: Array | None = None,
    c_scale: Array = REQUIRED,
    c_zero_point: Array | None = None,
) -> Array:
    """Mul, whose operands broadcast."""
    product = elementwise.mul(real(a, a_scale, a_zero_point), real(b, b_scale, b_zero_point))
    return levels(product, c_scale, c_zero_point, a.dtype)


@operator("QLinearSigmoid", since=1, domain=MICROSOFT)
def qlinear_sigmoid(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    y_scale: Array = REQUIRED,
    y_zero_point: Array | None = None,
) -> Array:
    """Sigmoid."""
    return levels(activation.sigmoid(real(x, x_scale, x_zero_point)), y_scale, y_zero_point, x.dtype)


@operator("QLinearLeakyRelu", since=1, domain=MICROSOFT)
def qlinear_leaky_relu(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    y_scale: Array = REQUIRED,
    y_zero_point: Array | None = None,
    *,
    alpha: float = 0.01,
) -> Array:
    """LeakyRelu."""
    y = activation.leaky_relu(real(x, x_scale, x_zero_point), alpha=alpha)
    return levels(y, y_scale, y_zero_point, x.dtype)


@operator("QLinearGlobalAveragePool", since=1, domain=MICROSOFT)
def qlinear_global_average_pool(
    x: Array, x_scale: Array, x_zero_point: Array, y_scale: Array, y_zero_point: Array, *, channels_last: int = 0
) -> Array:
    """GlobalAveragePool of [N, C, ...], with `channels_last` of [N, ..., C]."""
    y = arranged(pool.global_average_pool, real(x, x_scale, x_zero_point), channels_last)
    return levels(y, y_scale, y_zero_point, x.dtype)


@operator("QLinearAveragePool", since=1, domain=MICROSOFT)
def qlinear_average_pool(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    y_scale: Array = REQUIRED,
    y_zero_point: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """AveragePool of [N, C, ...], with `channels_last` of [N, ..., C]."""

    def program(numbers: Array) -> Array:
        return pool.average_pool(
            numbers,
            auto_pad=auto_pad,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            kernel_shape=kernel_shape,
            pads=pads,
            strides=strides,
        )

    return levels(arranged(program, real(x, x_scale, x_zero_point), channels_last), y_scale, y_zero_point, x.dtype)


def arranged(program: Callable[[Array], Array], x: Array, channels_last: int) -> Array:
    """`program`, which has channels on axis 1, of an array that may have them on the last."""
    if not channels_last:
        return program(x)
    if x.ndim < 2:
        raise ShapeError(f"X has shape {list(x.shape)}, expected channels on the last of two axes at least")
    return np.moveaxis(program(np.ascontiguousarray(np.moveaxis(x, -1, 1))), 1, -1)


@operator("QLinearSoftmax", since=1, domain=MICROSOFT)
def qlinear_softmax(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    y_scale: Array = REQUIRED,
    y_zero_point: Array = REQUIRED,
    *,
    axis: int = -1,
    opset: int,
) -> Array:
    """Softmax as `opset` has it: from 13 on along `axis`, before over all axes from `axis` on."""
    if opset < 1:
        raise InvalidModelError(f"opset is {opset}, expected a version of ai.onnx")
    program = softmax.softmax if opset >= 13 else softmax.softmax_1
    return levels(program(real(x, x_scale, x_zero_point), axis=axis), y_scale, y_zero_point, x.dtype)


@operator("QLinearConcat", since=1, domain=MICROSOFT)
def qlinear_concat(y_scale: Array, y_zero_point: Array, *inputs: Array, axis: int) -> Array:
    """Concat of (x, scale, zero point), (x, scale, zero point) .., all of the type of `y_zero_point`."""
    if len(inputs) % 3:
        raise InvalidModelError(f"{len(inputs)} inputs to concatenate, expected three for each: x, scale, zero point")
    numbers = []
    for x, scale, zero_point in zip(inputs[::3], inputs[1::3], inputs[2::3], strict=True):
        if x.dtype != y_zero_point.dtype or zero_point.dtype != x.dtype or scale.dtype != np.float32:
            raise InvalidTypeError(
                f"to concatenate: {x.dtype}, {scale.dtype}, {zero_point.dtype}, expected {y_zero_point.dtype}, float32"
                f" and {y_zero_point.dtype}"
            )
        numbers.append(real(x, scale, zero_point))
    return levels(join.concat(*numbers, axis=axis), y_scale, y_zero_point, y_zero_point.dtype)


@operator("QLinearWhere", since=1, domain=MICROSOFT)
def qlinear_where(
    condition: Array,
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    y: Array,
    y_scale: Array,
    y_zero_point: Array,
    z_scale: Array,
    z_zero_point: Array,
) -> Array:
    """Where, whose operands broadcast."""
    chosen = logical.where(condition, real(x, x_scale, x_zero_point), real(y, y_scale, y_zero_point))
    return levels(chosen, z_scale, z_zero_point, x.dtype)
