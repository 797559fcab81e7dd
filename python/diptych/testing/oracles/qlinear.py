"""Oracles of com.microsoft's operators on quantized numbers.

What a quantized number stands for is one product of binary32, whose bits IEEE 754 says; the oracle of ONNX's operator
says what becomes of it and how exactly; that divided by the scale is a known integer, but where it lies near a half.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import ORACLES, WIDE, Expected, evaluation_factor, oracle, tiny, unit, wide
from diptych.testing.values import Array

U = WIDE(unit(np.float32))


def real(x: Array, scale: Array, zero_point: Array | None) -> Array:
    """What quantized numbers stand for, in binary32."""
    steps = x.astype(np.int64) - (0 if zero_point is None else zero_point.astype(np.int64).reshape(()))
    with np.errstate(all="ignore"):
        return np.asarray(steps.astype(np.float32) * scale.reshape(()))


def quantized(y: Expected, scale: Array, zero_point: Array | None, dtype: Any) -> list[Expected | None] | None:
    """Numbers known to a bound as integers."""
    if not np.isfinite(wide(scale)).all() or not np.isfinite(y.exact).all():
        return None
    with np.errstate(all="ignore"):
        quotient = y.exact / wide(scale).reshape(())
        lost = (y.slack + U * np.abs(y.exact)) / np.abs(wide(scale).reshape(())) + tiny(np.float32, 2)
    if not np.isfinite(quotient).all():
        return None
    ends = np.iinfo(dtype)
    point = WIDE(0) if zero_point is None else wide(zero_point).reshape(())
    exact = np.clip(np.rint(quotient) + point, ends.min, ends.max)
    doubtful = np.abs(np.abs(quotient - np.floor(quotient)) - 0.5) <= lost
    slack = np.where(doubtful | (lost >= 0.5), np.minimum(1 + 2 * lost, 256), 0)
    # The text does not say in which order and precision: one quantum more or less is an honest evaluation.
    return [Expected(exact, slack + (evaluation_factor() > 1))]


def through(
    case: Case, op_type: str, opset: int, operands: list[Array], attributes: dict[str, Any], parameters: Any
) -> list[Expected | None] | None:
    """ONNX's operator on numbers, quantized again."""
    with np.errstate(all="ignore"):
        found = ORACLES[op_type](Case(op_type, "", opset, tuple(operands), attributes, 1))
    if found is None or found[0] is None:
        return None
    return quantized(found[0], *parameters)


def filled(case: Case, count: int) -> list[Any]:
    """All inputs, those absent at the end too."""
    return [*case.inputs, *[None] * (count - len(case.inputs))]


@oracle("QLinearAdd", "QLinearMul")
def binary(case: Case) -> list[Expected | None] | None:
    """Add or Mul of what both stand for."""
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = filled(case, 8)
    operands = [real(a, a_scale, a_zero), real(b, b_scale, b_zero)]
    return through(case, case.op_type.removeprefix("QLinear"), 14, operands, {}, (scale, zero, a.dtype))


@oracle("QLinearSigmoid", "QLinearLeakyRelu")
def unary(case: Case) -> list[Expected | None] | None:
    """Sigmoid or LeakyRelu of what x stands for."""
    x, x_scale, x_zero, scale, zero = filled(case, 5)
    attributes = {"alpha": case.attributes.get("alpha", 0.01)} if case.op_type == "QLinearLeakyRelu" else {}
    name = case.op_type.removeprefix("QLinear")
    return through(case, name, 16, [real(x, x_scale, x_zero)], attributes, (scale, zero, x.dtype))


@oracle("QLinearGlobalAveragePool", "QLinearAveragePool")
def pool(case: Case) -> list[Expected | None] | None:
    """ONNX's pool, channels first."""
    x, x_scale, x_zero, scale, zero = filled(case, 5)
    attributes = dict(case.attributes)
    last = attributes.pop("channels_last", 0)
    numbers = real(x, x_scale, x_zero)
    if last:
        numbers = numbers.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))
    name = case.op_type.removeprefix("QLinear")
    found = through(case, name, 22, [numbers], attributes, (scale, zero, x.dtype))
    if found is None or not last:
        return found
    [y] = found
    assert y is not None
    axes = (0, *range(2, x.ndim), 1)
    return [Expected(y.exact.transpose(axes), np.broadcast_to(y.slack, y.exact.shape).transpose(axes))]


@oracle("QLinearSoftmax")
def softmax(case: Case) -> list[Expected | None] | None:
    """Softmax of the version that the attribute says."""
    x, x_scale, x_zero, scale, zero = filled(case, 5)
    opset = 13 if case.attributes["opset"] >= 13 else 11
    axis = {"axis": case.attributes.get("axis", -1)}
    return through(case, "Softmax", opset, [real(x, x_scale, x_zero)], axis, (scale, zero, x.dtype))


@oracle("QLinearConcat")
def concat(case: Case) -> list[Expected | None] | None:
    """Joined numbers, quantized again."""
    scale, zero, *inputs = case.inputs
    numbers = [real(*inputs[i : i + 3]) for i in range(0, len(inputs), 3)]
    joined = np.concatenate(numbers, axis=case.attributes["axis"])
    return quantized(Expected(wide(joined)), scale, zero, zero.dtype)


@oracle("QLinearWhere")
def where(case: Case) -> list[Expected | None] | None:
    """Chosen numbers, quantized again."""
    condition, x, x_scale, x_zero, y, y_scale, y_zero, scale, zero = case.inputs
    chosen = np.where(condition, real(x, x_scale, x_zero), real(y, y_scale, y_zero))
    return quantized(Expected(wide(chosen)), scale, zero, x.dtype)


# Products that become numbers


def along_columns(values: Array, b: Array) -> Array:
    """Scales or zero points of B, one in all or one a column, made to broadcast to the product."""
    return values.reshape(()) if values.size == 1 else values


def product(a: Array, a_scale: Any, b: Array, b_scale: Array, b_zero: Array | None, bias: Array | None) -> Expected:
    """`a`, less its zero point, times B, scaled, plus a bias: exact sums, three roundings and one."""
    right = wide(b) - (0 if b_zero is None else along_columns(wide(b_zero), b))
    left = a if a.ndim > 1 else a[None]
    acc = np.matmul(left, right if b.ndim > 1 else right[:, None])
    with np.errstate(all="ignore"):
        scale = a_scale * along_columns(wide(b_scale), b)
        exact = acc * scale
        beyond = (np.abs(scale) > 2.0**100) | ((np.abs(scale) < 2.0**-120) & (exact != 0))
        total = exact + (0 if bias is None else wide(bias))
        slack = 3.1 * U * np.abs(exact) + 1.1 * U * np.abs(total) + tiny(np.float32, 2)
        slack = np.where(beyond, np.inf, slack)
    squeezed = tuple(axis for axis, m in ((-2, a), (-1, b)) if m.ndim == 1)
    return Expected(np.squeeze(total, squeezed), np.squeeze(slack, squeezed))


@oracle("MatMulIntegerToFloat")
def matmul_integer_to_float(case: Case) -> list[Expected | None] | None:
    """An exact product of integers, scaled."""
    a, b, a_scale, b_scale, a_zero, b_zero, bias = filled(case, 7)
    left = wide(a) - (0 if a_zero is None else wide(a_zero).reshape(()))
    return [product(left, wide(a_scale).reshape(()), b, b_scale, b_zero, bias)]


@oracle("DynamicQuantizeMatMul")
def dynamic_quantize_matmul(case: Case) -> list[Expected | None] | None:
    """The quantization of A is a few operations of binary32, whose bits IEEE 754 says."""
    a, b, b_scale, b_zero, bias = filled(case, 5)
    if not np.isfinite(a).all():
        return None
    with np.errstate(all="ignore"):
        zero = np.float32(0)
        low, high = np.minimum(a.min(initial=0), zero), np.maximum(a.max(initial=0), zero)
        width = (high - low) / np.float32(255)
        scale = np.float32(1) if width == 0 else width
        if not np.isfinite(scale):
            return None
        point = np.rint(np.clip(zero - low / scale, 0, 255))
        left = np.clip(np.rint(a / scale) + point, 0, 255) - point
    return [product(wide(left), WIDE(scale), b, b_scale, b_zero, bias)]
