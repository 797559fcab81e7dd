"""Sequences and optionals."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TypeProto, helper

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array, onnx_name, onnx_number
from diptych_reference.values import NOTHING, Sequence


def sequence(s: Sketch, least: int = 0) -> Sequence:
    """Up to four tensors of the leading dtype, of any shapes; perhaps none, which have a type too."""
    return Sequence([s.tensor(s.shape((0, 3), limit=64)) for _ in range(s.integer(least, 4))], s.dtype)


def index(s: Sketch, n: int, end: int) -> Array:
    """A position in -n .. end-1, as an integer of either type and of rank 0 or 1."""
    dtype = s.choose(np.int64, np.int32)
    return np.full(s.choose((), (1,)), s.integer(-n, end - 1), dtype=dtype)


@shape_rule("SequenceConstruct")
def construct(s: Sketch) -> list[Any]:
    """One to four tensors."""
    return list(sequence(s, least=1))


@shape_rule("SequenceEmpty")
def empty(s: Sketch) -> list[Any]:
    """A type, float if it is left out."""
    if s.dtype != np.float32 or s.coin():
        s.set("dtype", onnx_number(s.dtype))
    return []


@shape_rule("SequenceLength")
def length(s: Sketch) -> list[Any]:
    """Any sequence."""
    return [sequence(s)]


@shape_rule("SequenceAt")
def at(s: Sketch) -> list[Any]:
    """A sequence and a position in it."""
    items = sequence(s, least=1)
    return [items, index(s, len(items), len(items))]


@shape_rule("SequenceErase")
def erase(s: Sketch) -> list[Any]:
    """A sequence and perhaps a position in it."""
    items = sequence(s, least=1)
    return [items, index(s, len(items), len(items)) if s.coin() else None]


@shape_rule("SequenceInsert")
def insert(s: Sketch) -> list[Any]:
    """A sequence, a tensor, and perhaps a position, its end included."""
    items = sequence(s)
    tensor = s.tensor(s.shape((0, 3), limit=64))
    return [items, tensor, index(s, len(items), len(items) + 1) if s.coin() else None]


@shape_rule("ConcatFromSequence")
def concat_from_sequence(s: Sketch) -> list[Any]:
    """Tensors of one shape, except along the axis if it is not new."""
    new = s.attribute("new_axis", 0, 1)
    shape = s.shape((0 if new else 1, 3), limit=64)
    axis = s.set("axis", s.axis(len(shape) + bool(new)))
    items = []
    for _ in range(s.integer(1, 4)):
        own = list(shape)
        if not new:
            own[axis] = s.choose(own[axis], 0, 1, 3)
        items.append(s.tensor(own))
    return [Sequence(items)]


@shape_rule("SplitToSequence")
def split_to_sequence(s: Sketch) -> list[Any]:
    """A tensor and no split, a scalar, or lengths that add up."""
    x = s.tensor(s.shape((1, 4), limit=200))
    axis = s.attribute("axis", *range(x.ndim), *range(-x.ndim, 0))
    s.attribute("keepdims", 1, 0)
    n, dtype = x.shape[axis], s.choose(np.int64, np.int32)
    match s.choose("none", "scalar", "list"):
        case "scalar":
            return [x, np.array(s.choose(1, 2, 3, n + 5), dtype)]
        case "list":
            cuts = sorted(s.integer(0, n) for _ in range(s.integer(0, 3)))
            return [x, np.diff([0, *cuts, n]).astype(dtype)]
    return [x]


@shape_rule("Optional")
def optional(s: Sketch) -> list[Any]:
    """A tensor or a sequence, or a type of nothing."""
    kind = s.choose("tensor", "sequence", "nothing")
    if kind == "nothing":
        s.set("type", declared_type(s))
        return []
    return [s.tensor(s.shape()) if kind == "tensor" else sequence(s, least=1)]


def declared_type(s: Sketch) -> TypeProto:
    """A tensor or sequence of the leading dtype."""
    tensor = helper.make_tensor_type_proto(onnx_number(s.dtype), None)
    return helper.make_sequence_type_proto(tensor) if s.coin() else tensor


@shape_rule("OptionalGetElement")
def get_element(s: Sketch) -> list[Any]:
    """An optional with a value, which is that value."""
    return [s.tensor(s.shape()) if s.coin() else sequence(s, least=1)]


@shape_rule("OptionalHasElement")
def has_element(s: Sketch) -> list[Any]:
    """An optional with a value or without, or, from version 18 on, no input."""
    kinds = ("tensor", "sequence", "nothing") if s.since < 18 else ("tensor", "sequence", "nothing", "absent")
    match s.choose(*kinds):
        case "tensor":
            return [s.tensor(s.shape())]
        case "sequence":
            return [sequence(s)]
        case "nothing":
            return [NOTHING]
    return []


@shape_rule("Identity")
def identity(s: Sketch) -> list[Any]:
    """One tensor of any shape; where the version takes them, a sequence, or an optional that holds nothing."""
    x = s.tensor(s.shape())
    spelled = f"tensor({onnx_name(s.dtype)})"
    kinds = ["tensor", "tensor"]
    kinds += ["sequence"] if s.row.allows("V", f"seq({spelled})") else []
    kinds += ["nothing"] if s.row.allows("V", f"optional({spelled})") else []
    match s.choose(*kinds):
        case "sequence":
            return [Sequence([x, *(s.tensor(shapes.operand(s.draw, x.shape)) for _ in range(s.integer(0, 2)))])]
        case "nothing":
            return [NOTHING]
    return [x]
