"""Tensors out of attributes, shapes and ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import is_floating, onnx_number


@shape_rule("Constant")
def constant(s: Sketch) -> list[Any]:
    """A tensor as an attribute; from version 12 on also a number or string, or a list of them."""
    words: dict[str, tuple[str, Any]] = {
        "int64": ("int", -7),
        "float32": ("float", 0.1),
        "object": ("string", "text"),
    }
    if s.dtype.name in words and "value_int" in s.row.attributes and s.coin():
        name, value = words[s.dtype.name]
        if s.coin():
            s.set(f"value_{name}", value)
        else:
            s.set(f"value_{name}s", [value] * s.integer(1, 3))
        return []
    s.set("value", s.tensor(s.shape(limit=100)))
    return []


@shape_rule("ConstantOfShape")
def constant_of_shape(s: Sketch) -> list[Any]:
    """A shape, and the one element it is filled with; a float 0 if none is given."""
    if s.dtype != np.float32 or s.coin():
        s.set("value", s.tensor((1,)))
    return [np.array(s.shape(), dtype=np.int64)]


@shape_rule("EyeLike")
def eye_like(s: Sketch) -> list[Any]:
    """A matrix, whose shape counts; perhaps a type and a diagonal, which may lie outside."""
    x = s.shape((2, 2), limit=400)
    output_type(s)
    s.attribute("k", 1, -1, 0, 2, -3, 99, -(2**62), 2**62)
    return [s.tensor(x)]


def output_type(s: Sketch) -> Any:
    """The attribute `dtype`, one of the types of the output, or left out."""
    types = s.row.types(s.row.schema.outputs[0].type_str)
    return s.attribute("dtype", *map(onnx_number, types))


@shape_rule("Range")
def range_(s: Sketch) -> list[Any]:
    """Start, limit and delta: `count` steps and a bit, in either direction; halves for floats."""
    unsigned = s.dtype.kind == "u"
    count = s.choose(3, 0, 1, 2, 7, 16, 17, 37)
    delta = s.choose(1, 2, 3) if unsigned else s.choose(1, 2, 3, -1, -2)
    if is_floating(s.dtype):
        delta = delta * s.choose(1, 0.5, 0.1)
    start = s.choose(0, 1, 5) if not unsigned or delta > 0 else 0
    limit = start + count * delta - s.choose(0, delta / 2 if is_floating(s.dtype) else 0)
    if s.choose(False, False, False, True) and not unsigned:  # nothing at all
        limit = start - delta
    return [np.array(value).astype(s.dtype) for value in (start, limit, delta)]
