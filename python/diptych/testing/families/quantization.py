"""QuantizeLinear and its kin: one scale for all, one an index of an axis, or one a block."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array, numpy_dtype, onnx_name, onnx_number

FLOATS = ("float", "float16", "bfloat16")


def granularity(s: Sketch) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of X and of its scales; sets axis and block_size."""
    x = s.shape((1, 4))
    forms = ["tensor", "axis", "block"][: 1 + ("axis" in s.row.attributes) + ("block_size" in s.row.attributes)]
    form = s.choose(*forms)
    if form == "tensor":
        return x, s.choose((), (1,))
    axis = s.set("axis", s.choose(*range(-len(x), len(x))))
    if form == "axis":
        return x, (x[axis],)
    block = s.set("block_size", s.choose(1, 2, 3, 16))
    scales = list(x)
    scales[axis] = -(-x[axis] // block)
    return x, tuple(scales)


def scales(s: Sketch, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Scales: mostly positive numbers as they are used, now and then anything."""
    if s.choose(True, True, True, False):
        numbers = np.abs(s.tensor(shape, numpy_dtype("float"), specials=False)) / 8 + 0.0625
        return np.maximum(numbers, 1).astype(dtype) if dtype.kind == "i" else numbers.astype(dtype)
    return s.tensor(shape, dtype)


def quantized(
    s: Sketch, shape: tuple[int, ...] | None, name: str, channels: tuple[int, ...], terms: int = 1
) -> list[Array]:
    """A tensor, and scales and zero points of shape `channels`. No shape: those of an output, without a tensor.

    An output that sums `terms` products mostly has a scale at which it does not saturate.
    """
    tensors = [] if shape is None else [s.tensor(shape, s.input_dtype(f"{name}_zero_point"))]
    given = scales(s, channels, s.input_dtype(f"{name}_scale"))
    if shape is None:
        with np.errstate(all="ignore"):
            given = (given * given.dtype.type(s.choose(8, 64, 1) * max(terms, 1))).astype(given.dtype)
    return [*tensors, given, s.tensor(channels, s.input_dtype(f"{name}_zero_point"))]


@shape_rule("QuantizeLinear")
def quantize_linear(s: Sketch) -> list[Any]:
    """X, scales, and perhaps zero points, whose type is the output's."""
    x, shape = granularity(s)
    inputs = [s.tensor(x), scales(s, shape, s.input_dtype("y_scale"))]
    s.attribute("saturate", 1, 0)
    s.attribute("precision", 0, *map(onnx_number, map(numpy_dtype, FLOATS)))
    if s.coin():
        return [*inputs, s.tensor(shape, s.input_dtype("y_zero_point"))]
    targets = s.row.types(s.row.inputs["y_zero_point"])
    s.attribute("output_dtype", *(onnx_number(dtype) for dtype in targets))
    return inputs


@shape_rule("DequantizeLinear")
def dequantize_linear(s: Sketch) -> list[Any]:
    """X, scales, and perhaps zero points of X's type; a scale without a mantissa needs the output type said."""
    x, shape = granularity(s)
    scale_name = "x_scale"
    dtype = s.input_dtype(scale_name)
    inputs = [s.tensor(x), scales(s, shape, dtype)]
    if onnx_name(dtype) == "float8e8m0":
        s.set("output_dtype", onnx_number(numpy_dtype(s.choose(*FLOATS))))
    else:
        s.attribute("output_dtype", *map(onnx_number, map(numpy_dtype, FLOATS)))
    return [*inputs, s.tensor(shape) if s.coin() else None]


@shape_rule("DynamicQuantizeLinear")
def dynamic_quantize_linear(s: Sketch) -> list[Any]:
    """A tensor; scale and zero point are outputs."""
    s.n_outputs = 3
    return [s.tensor(s.shape(), specials=s.coin())]
