"""Oracles of reductions and sums along an axis."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
from tests.ops.oracles.base import WIDE, Expected, chained, gamma, lane_depth, moves, oracle, tiny, wide

from diptych.testing import Case
from diptych.testing.values import Array


def reduced_axes(case: Case) -> tuple[int, ...]:
    """The axes of a reduction."""
    rank = case.inputs[0].ndim
    axes = case.attributes.get("axes")
    if len(case.inputs) > 1:
        axes = case.inputs[1].tolist()
    if not axes and case.attributes.get("noop_with_empty_axes") and "axes" not in case.attributes:
        return ()
    return tuple(sorted({axis % rank for axis in axes})) if axes else tuple(range(rank))


def reduced(case: Case) -> tuple[Array, np.dtype[Any], dict[str, Any], int]:
    """The exact operand of a reduction, its type, what NumPy is to be told, and how many elements become one."""
    x, axes = wide(case.inputs[0]), reduced_axes(case)
    over = {"axis": axes, "keepdims": bool(case.attributes.get("keepdims", 1))}
    return x, case.inputs[0].dtype, over, math.prod(x.shape[axis] for axis in axes)


@oracle("ReduceSum", "ReduceMean", "ReduceL2")
def reduction(case: Case) -> list[Expected | None]:
    x, dtype, over, count = reduced(case)
    terms = x * x if case.op_type == "ReduceL2" else x
    total, magnitude = (np.asarray(np.sum(t, **over)) for t in (terms, np.abs(terms)))
    h = lane_depth(count) + 2
    if case.op_type == "ReduceSum":
        return [chained(total, magnitude, h, dtype)]
    if case.op_type == "ReduceMean":
        sums = chained(total, magnitude, h, dtype)
        return [Expected(total / WIDE(count), sums.slack / WIDE(max(count, 1)) + tiny(dtype))]
    root = np.sqrt(total)
    lost = math.sqrt(tiny(dtype, count + 1))  # squares that underflow
    top = float(ml_dtypes.finfo(np.float64 if dtype == np.float64 else np.float32).max)
    return [Expected(root, np.where(total > top / 2, np.inf, gamma(h + 1, dtype) * root + lost))]


@oracle("CumSum")
def cum_sum(case: Case) -> list[Expected | None] | None:
    if case.attributes.get("exclusive") or case.attributes.get("reverse"):
        return None
    x, axis = wide(case.inputs[0]), int(case.inputs[1].reshape(()))
    exact, magnitude = (np.cumsum(t, axis=axis) for t in (x, np.abs(x)))
    return [chained(exact, magnitude, x.shape[axis], case.inputs[0].dtype)]


@oracle("ReduceProd")
def product(case: Case) -> list[Expected | None]:
    """Relative errors of the factors; partial products may overflow or underflow, then only classes count."""
    x, dtype, over, count = reduced(case)
    exact = np.asarray(np.prod(x, **over))
    logarithms = np.where(x == 0, 0, np.abs(np.log2(np.abs(np.where(x == 0, 1, x)))))
    reach = np.asarray(np.sum(logarithms, **over))  # no partial product is further from 1
    limit = 1000 if dtype == np.float64 else 120
    slack = gamma(lane_depth(count) + 1, dtype) * np.abs(exact)
    return [Expected(exact, np.where(reach < limit, slack, np.inf))]


moves("ArgMax", "ArgMin", "ReduceMax", "ReduceMin", "TopK")
