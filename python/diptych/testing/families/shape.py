"""Operators that arrange elements anew."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array


def int64(values: Any) -> Array:
    """A shape, pads or axes as an input."""
    return np.array(values, dtype=np.int64)


def given(s: Sketch, name: str, values: list[int]) -> list[Array]:
    """`values` as the attribute of that name where this version has it, else as an input."""
    if name in s.row.attributes:
        s.set(name, values)
        return []
    return [int64(values)]


@shape_rule("Size", "NonZero")
def any_tensor(s: Sketch) -> list[Any]:
    """One tensor of any shape."""
    return [s.tensor(s.shape())]


@shape_rule("Shape")
def shape(s: Sketch) -> list[Any]:
    """One tensor; start and end may lie outside."""
    for name in ("start", "end"):
        s.attribute(name, 0, 1, 2, -1, -2, 7, -7)
    return [s.tensor(s.shape())]


@shape_rule("Reshape")
def reshape(s: Sketch) -> list[Any]:
    """A tensor and another shape of as many elements, with a 0 that copies and a -1 that is inferred."""
    x = s.shape()
    zero_copies = not s.attribute("allowzero", 0, 1)
    target = reshaped(s, x, zero_copies)
    return [s.tensor(x), *given(s, "shape", target)]


def reshaped(s: Sketch, x: tuple[int, ...], zero_copies: bool) -> list[int]:
    """A target for `x`."""
    if 0 in x:
        return list(x) if zero_copies else [0, *(s.integer(0, 3) for _ in range(s.integer(0, 2)))]
    left, target = math.prod(x), []
    for _ in range(s.integer(0, 3)):
        target.append(s.choose(*(n for n in (1, 2, 3, 4, 5, 7, 8, 16, left) if left % n == 0)))
        left //= target[-1]
    if left != 1:
        target.append(left)
    for i, n in enumerate(target):
        if zero_copies and i < len(x) and x[i] == n and s.coin():
            target[i] = 0
    if target and s.coin():
        target[s.integer(0, len(target) - 1)] = -1
    return target


@shape_rule("Flatten")
def flatten(s: Sketch) -> list[Any]:
    """A tensor, split before `axis`."""
    x = s.shape((0 if s.since >= 9 else 1, 4))
    default = s.row.default("axis")
    choices = range(0 if s.since < 11 else -len(x), len(x) + 1)
    if len(x) >= default:
        s.attribute("axis", *choices)
    else:
        s.set("axis", s.choose(*choices))
    return [s.tensor(x)]


@shape_rule("Squeeze")
def squeeze(s: Sketch) -> list[Any]:
    """A tensor with sides of 1, and all or some of these axes."""
    x = list(s.shape())
    axes = shapes.subset(s.draw, len(x))
    if not s.coin():
        return [s.tensor(x)]
    for axis in axes:
        x[axis] = 1
    return [s.tensor(x), *given(s, "axes", [a % len(x) if s.since < 11 else a for a in axes])]


@shape_rule("Unsqueeze")
def unsqueeze(s: Sketch) -> list[Any]:
    """A tensor and axes of the output."""
    x = s.shape((0, 3))
    rank = len(x) + s.integer(0, 2)
    axes = shapes.permutation(s.draw, rank)[: rank - len(x)]
    if s.since >= 11 and s.coin():
        axes = [axis - rank for axis in axes]
    return [s.tensor(x), *given(s, "axes", axes)]


@shape_rule("Transpose")
def transpose(s: Sketch) -> list[Any]:
    """A tensor and perhaps a permutation of its axes."""
    x = s.shape()
    if s.coin():
        s.set("perm", shapes.permutation(s.draw, len(x)))
    return [s.tensor(x)]


@shape_rule("Concat")
def concat(s: Sketch) -> list[Any]:
    """One to four tensors that agree but along one axis."""
    x = s.shape((1 if s.since >= 4 else 2, 4), limit=400)
    axis = s.attribute("axis", *range(0 if s.since < 11 else -len(x), len(x)))
    axis = 1 if axis is None else axis  # version 1 has a default that its schema does not say
    tensors = []
    for _ in range(s.integer(1, 4)):
        dims = list(x)
        dims[axis] = shapes.side(s.draw, 9)
        tensors.append(s.tensor(dims))
    return tensors


@shape_rule("Split")
def split(s: Sketch) -> list[Any]:
    """A tensor made of pieces along an axis; equal ones need not be named."""
    x = list(s.shape((1, 4), limit=400))
    axis = s.attribute("axis", *range(0 if s.since < 11 else -len(x), len(x))) or 0
    s.n_outputs = s.integer(1, 4)
    if s.since == 18 and s.coin():
        s.set("num_outputs", s.n_outputs)
        x[axis] = s.n_outputs * s.integer(1, 4) - s.integer(0, 1) * (s.n_outputs > 1)
        return [s.tensor(x)]
    if s.coin():
        lengths = [s.integer(0, 5) for _ in range(s.n_outputs)]
        x[axis] = sum(lengths)
        if s.since == 1 and s.coin():
            return [s.tensor(x), np.array(lengths).astype(s.dtype)]
        return [s.tensor(x), *given(s, "split", lengths)]
    x[axis] = s.n_outputs * s.integer(0, 4)
    return [s.tensor(x)]


@shape_rule("Expand")
def expand(s: Sketch) -> list[Any]:
    """A tensor and a shape that broadcast together."""
    full = s.shape()
    x = shapes.operand(s.draw, full)
    return [s.tensor(x), int64(shapes.operand(s.draw, full) if s.coin() else full)]


@shape_rule("Tile")
def tile(s: Sketch) -> list[Any]:
    """A tensor and how often it is repeated; version 1 along one axis, both numbers in the tensor's type."""
    if s.since == 1:
        x = s.shape((1, 4), limit=200)
        return [s.tensor(x), *(np.array(n).astype(s.dtype) for n in (s.integer(1, 3), s.integer(0, len(x) - 1)))]
    x = s.shape(limit=200)
    return [s.tensor(x), int64([s.choose(1, 2, 3, 0) for _ in x])]


FAR = np.iinfo(np.int32).max


@shape_rule("Slice")
def slice_(s: Sketch) -> list[Any]:
    """A tensor, starts and ends that may lie outside, perhaps axes, and steps of either sign."""
    x = s.shape((1, 4))
    axes = shapes.permutation(s.draw, len(x))[: s.integer(1, len(x))]
    if s.since >= 10 and s.coin():
        axes = [axis - len(x) for axis in axes]
    named = s.coin()
    lengths = [x[a] for a in axes] if named else list(x[: len(axes)])
    starts = [s.choose(0, 1, 2, -1, -2, n - 1, -n, n + 1, -n - 2, FAR, -FAR) for n in lengths]
    ends = [s.choose(n, n - 1, 1, -1, 0, 2, -n, n + 2, -n - 2, FAR, -FAR - 1) for n in lengths]
    if s.since == 1:
        s.set("starts", starts)
        s.set("ends", ends)
        if named:
            s.set("axes", axes)
        return [s.tensor(x)]
    index = s.input_dtype("starts")
    steps = [s.choose(1, 2, -1, 3, -2, FAR) for _ in lengths] if s.coin() else None
    return [
        s.tensor(x),
        *(None if v is None else np.array(v, index) for v in (starts, ends, axes if named else None, steps)),
    ]


@shape_rule("Pad")
def pad(s: Sketch) -> list[Any]:
    """A tensor and pads around all or some axes; negative ones (version 2) leave at least an element."""
    mode = s.attribute("mode", "constant", "edge", "reflect", *(("wrap",) if s.since >= 19 else ()))
    x = s.shape(limit=300, least=0 if mode in (b"constant", "constant") else 1)
    axes = list(range(len(x)))
    named = s.coin() and "axes" in s.row.inputs
    if named:
        axes = shapes.permutation(s.draw, len(x))[: s.integer(0, len(x))]
    pads = [pad_amounts(s, x[axis]) for axis in axes]
    amounts = [begin for begin, _ in pads] + [end for _, end in pads]
    if s.since <= 2:
        s.set("paddings" if s.since == 1 else "pads", amounts)
        s.attribute("value", 1.5, -0.0, 3e38)
        return [s.tensor(x)]
    value = s.tensor(()) if s.coin() else None
    index = s.input_dtype("axes") if named else None
    if named and s.coin():
        axes = [axis - len(x) for axis in axes]
    return [s.tensor(x), int64(amounts), value, *([np.array(axes, index)] if named else [])]


def pad_amounts(s: Sketch, length: int) -> tuple[int, int]:
    """What is added before and after an axis; what is taken away leaves an element."""
    if s.since > 1 and length > 1 and s.coin():
        begin = s.integer(0, length - 1)
        return -begin, s.choose(0, 2, begin + 1 - length)
    return s.integer(0, 3), s.integer(0, 3)


@shape_rule("Dropout")
def dropout(s: Sketch) -> list[Any]:
    """A tensor; training with a seed where the version has one."""
    x = s.tensor(s.shape())
    s.n_outputs = s.integer(1, 2)
    if s.since >= 12:
        s.set("seed", s.integer(0, 100))
        ratio_type = s.input_dtype("ratio")
        ratio = np.array(s.choose(0.5, 0.0, 0.25, 0.75)).astype(ratio_type) if s.coin() else None
        return [x, ratio, np.array(s.coin()) if s.coin() else None]
    s.attribute("ratio", 0.5, 0.0, 0.3)
    s.attribute("is_test", 1, 0)
    return [x]


@shape_rule("CenterCropPad")
def center_crop_pad(s: Sketch) -> list[Any]:
    """A tensor, and lengths of all or some axes, shorter and longer ones."""
    x = s.shape(limit=300)
    axes = list(range(len(x)))
    if s.coin():
        axes = shapes.subset(s.draw, len(x))
        s.set("axes", axes)
    lengths = [s.choose(x[a], max(0, x[a] - 1), x[a] + 1, x[a] + 4, x[a] // 2, 0) for a in axes]
    return [s.tensor(x), np.array(lengths, s.input_dtype("shape"))]


def images(s: Sketch, limit: int) -> tuple[int, int, int, int]:
    """Four lengths, of about `limit` elements at most."""
    n, c, h, w = s.shape((4, 4), limit)
    return n, c, h, w


@shape_rule("DepthToSpace")
def depth_to_space(s: Sketch) -> list[Any]:
    """Images whose channels make up blocks."""
    b = s.set("blocksize", s.choose(2, 1, 3, 4))
    s.attribute("mode", "DCR", "CRD")
    n, depth, h, w = images(s, 400)
    return [s.tensor((n, depth * b * b, h, w))]


@shape_rule("SpaceToDepth")
def space_to_depth(s: Sketch) -> list[Any]:
    """Images that are made of whole blocks."""
    b = s.set("blocksize", s.choose(2, 1, 3, 4))
    s.attribute("mode", "DCR", "CRD")
    n, c, h, w = images(s, 400)
    return [s.tensor((n, c, h * b, w * b))]


@shape_rule("ReverseSequence")
def reverse_sequence(s: Sketch) -> list[Any]:
    """Sequences and how many of their steps are turned round; the axes both ways."""
    x = s.shape((2, 4), limit=600)
    batch = 1
    if s.coin():
        batch = s.set("batch_axis", s.choose(0, 1))
        s.set("time_axis", 1 - batch)
    steps = x[1 - batch]
    return [s.tensor(x), int64([s.choose(steps, 0, min(1, steps), steps // 2) for _ in range(x[batch])])]


@shape_rule("Trilu")
def trilu(s: Sketch) -> list[Any]:
    """Matrices, and perhaps a diagonal, which may lie outside; a scalar or of one element."""
    x = s.shape((2, 4))
    s.attribute("upper", 0, 1)
    k = int64(s.choose(0, 1, -1, 2, -3, x[-1], -x[-2], 99, -99, FAR**2, -(FAR**2))) if s.coin() else None
    return [s.tensor(x), k if k is None or s.coin() else k.reshape(1)]
