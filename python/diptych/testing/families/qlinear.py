"""Operators of com.microsoft on quantized numbers: those of ONNX, with scales and zero points."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import shapes
from diptych.testing.families.conv import batch, spatial_rank, window
from diptych.testing.families.quantization import scales
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import numpy_dtype

FLOAT = numpy_dtype("float")


def parameters(s: Sketch, *, optional: bool = True) -> list[Any]:
    """A scale and a zero point, which may be absent."""
    shape = tuple(s.choose((), (1,)))
    absent = optional and s.coin()
    return [scales(s, shape, FLOAT), None if absent else s.tensor(tuple(s.choose((), (1,))))]


@shape_rule("QLinearAdd", "QLinearMul", domain="com.microsoft")
def qlinear_binary(s: Sketch) -> list[Any]:
    """Two operands that broadcast."""
    shape = s.shape()
    operands = [shape, shapes.operand(s.draw, shape)]
    if s.coin():
        operands.reverse()
    a, b = (s.tensor(operand) for operand in operands)
    return [a, *parameters(s), b, *parameters(s), *parameters(s)]


@shape_rule("QLinearLeakyRelu", "QLinearSigmoid", domain="com.microsoft")
def qlinear_unary(s: Sketch) -> list[Any]:
    """One tensor; a long one has every number there is."""
    s.attribute("alpha", 0.01, 0.5, -1.5, 0.0)
    x = s.choose(None, None, (300,)) or s.shape()
    return [s.tensor(x), *parameters(s), *parameters(s)]


@shape_rule("QLinearGlobalAveragePool", domain="com.microsoft")
def qlinear_global_average_pool(s: Sketch) -> list[Any]:
    """X [N, C, size…], or channels last."""
    x = (batch(s), s.choose(1, 2, 3, 17), *s.shape((1, 3), limit=200))
    return [arranged(s, x), *parameters(s, optional=False), *parameters(s, optional=False)]


@shape_rule("QLinearAveragePool", domain="com.microsoft")
def qlinear_average_pool(s: Sketch) -> list[Any]:
    """X [N, C, size…], or channels last."""
    view = window(s, spatial_rank(s))
    s.set("kernel_shape", list(view.kernel))
    for name in ("ceil_mode", "count_include_pad"):
        s.attribute(name, 0, 1)
    x = (batch(s), s.choose(1, 2, 3, 17), *view.size)
    return [arranged(s, x), *parameters(s), *parameters(s)]


def arranged(s: Sketch, x: tuple[int, ...]) -> Any:
    """A tensor of that shape, or with its channels last."""
    last = s.attribute("channels_last", 0, 1)
    return s.tensor((x[0], *x[2:], x[1]) if last else x)


@shape_rule("QLinearSoftmax", domain="com.microsoft")
def qlinear_softmax(s: Sketch) -> list[Any]:
    """X and an axis; the meaning of an opset."""
    x = s.shape((1, 4))
    s.set("opset", s.choose(13, 11, 22, 1))
    s.attribute("axis", *range(-len(x), len(x)))
    return [s.tensor(x), *parameters(s), *parameters(s, optional=False)]


@shape_rule("QLinearConcat", domain="com.microsoft")
def qlinear_concat(s: Sketch) -> list[Any]:
    """Some tensors that differ along one axis, each with its scale and zero point."""
    x = s.shape((1, 4), limit=300)
    axis = s.set("axis", s.axis(len(x)))
    inputs = parameters(s, optional=False)
    for _ in range(s.integer(1, 3)):
        shape = list(x)
        shape[axis] = shapes.side(s.draw, 5)
        inputs += [s.tensor(shape), *parameters(s, optional=False)]
    return inputs


@shape_rule("QLinearWhere", domain="com.microsoft")
def qlinear_where(s: Sketch) -> list[Any]:
    """A condition and two operands that broadcast."""
    shape = s.shape()
    condition, x, y = (shapes.operand(s.draw, shape) for _ in range(3))
    quantized = [[s.tensor(of), *parameters(s, optional=False)] for of in (x, y)]
    return [s.tensor(condition, np.dtype(np.bool_)), *quantized[0], *quantized[1], *parameters(s, optional=False)]
