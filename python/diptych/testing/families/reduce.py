"""Reductions over axes, running sums, and places of extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule

LONG = ((4095,), (4097,), (2, 4097), (4097, 2), (8, 513, 2))  # about a chunk of 4096 terms


@shape_rule(
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
)  # fmt: skip
def reduction(s: Sketch) -> list[Any]:
    """A tensor and axes: an attribute or an input, absent, empty, or some of them from either end."""
    dims = s.choose(*(None,) * 9, LONG)
    x = s.choose(*dims) if dims else s.shape(limit=2048)
    s.attribute("keepdims", 1, 0)
    if "axes" in s.row.attributes:
        axes = shapes.subset(s.draw, len(x))
        if axes and s.coin():
            s.set("axes", [axis % len(x) if s.since < 11 else axis for axis in axes])
        return [s.tensor(x)]
    s.attribute("noop_with_empty_axes", 0, 1)
    return [s.tensor(x), np.array(shapes.subset(s.draw, len(x)), dtype=np.int64) if s.coin() else None]


@shape_rule("ArgMax", "ArgMin")
def extreme_index(s: Sketch) -> list[Any]:
    """A tensor whose `axis` is not empty."""
    x = list(s.shape((1, 4), limit=600))
    axis = s.attribute("axis", *range(0 if s.since < 11 else -len(x), len(x)))
    x[axis] = max(x[axis], 1)
    s.attribute("keepdims", 1, 0)
    s.attribute("select_last_index", 0, 1)
    return [s.tensor(x)]


@shape_rule("CumProd", "CumSum")
def running(s: Sketch) -> list[Any]:
    """A tensor and an axis, a scalar or of one element."""
    x = s.shape((1, 4))
    axis = np.full(s.choose((), (1,)), s.axis(len(x)), dtype=s.input_dtype("axis"))
    s.attribute("exclusive", 0, 1)
    s.attribute("reverse", 0, 1)
    return [s.tensor(x), axis]


@shape_rule("TopK")
def top_k(s: Sketch) -> list[Any]:
    """A tensor and k up to the length of its axis."""
    x = list(s.shape((1, 3), limit=600))
    axis = s.attribute("axis", *range(0 if s.since < 11 else -len(x), len(x)))
    s.attribute("largest", 1, 0)
    s.attribute("sorted", 1, 0)
    s.n_outputs = 2
    if s.since == 1:
        x[axis] = max(x[axis], 1)
        s.set("k", s.integer(1, x[axis]))
        return [s.tensor(x)]
    return [s.tensor(x), np.array([s.integer(0, x[axis])], dtype=np.int64)]
