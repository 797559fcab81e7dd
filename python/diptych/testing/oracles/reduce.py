"""Oracles of reductions and sums along an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import (
    WIDE,
    Expected,
    chained,
    evaluation_factor,
    finfo,
    gamma,
    lane_depth,
    moves,
    oracle,
    spacing,
    tiny,
    unit,
    wide,
)
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


@oracle("ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare")
def reduction(case: Case) -> list[Expected | None]:
    """A lane sum of terms, then a division, a root or a logarithm."""
    x, dtype, over, count = reduced(case)
    terms = x * x if case.op_type in ("ReduceL2", "ReduceSumSquare") else np.abs(x) if case.op_type == "ReduceL1" else x
    total, magnitude = (np.asarray(np.sum(t, **over)) for t in (terms, np.abs(terms)))
    h = lane_depth(count) + 2
    if case.op_type in ("ReduceSum", "ReduceL1", "ReduceSumSquare"):
        return [chained(total, magnitude, h, dtype)]
    if case.op_type == "ReduceLogSum":
        return [logarithm(chained(total, magnitude, h, dtype), dtype)]
    if case.op_type == "ReduceMean":
        sums = chained(total, magnitude, h, dtype)
        return [Expected(total / WIDE(count), sums.slack / WIDE(max(count, 1)) + tiny(dtype))]
    root = np.sqrt(total)
    lost = math.sqrt(tiny(dtype, count + 1))  # squares that underflow
    top = float(finfo(np.float64 if dtype == np.float64 else np.float32).max)
    return [Expected(root, np.where(total > top / 2, np.inf, gamma(h + 1, dtype) * root + lost))]


def logarithm(of: Expected, dtype: np.dtype[Any]) -> Expected:
    """The logarithm of a value that is known to a bound; only its class where the bound reaches zero."""
    exact = np.log(of.exact)
    share = of.slack / np.abs(np.where(of.exact == 0, 1, of.exact))
    ulps = 2 * evaluation_factor()
    slack = 2 * share + ulps * spacing(exact, np.float64 if dtype == np.float64 else np.float32)
    return Expected(exact, np.where((share < 0.5) & (of.exact != 0) | (of.slack == 0), slack, np.inf))


@oracle("ReduceLogSumExp")
def log_sum_exp(case: Case) -> list[Expected | None]:
    """Terms e^d, d = x - m: the difference is off by |d| roundings, the exponential by two, their sum as a lane sum."""
    x, dtype, over, count = reduced(case)
    everything = np.asarray(np.max(x, **{**over, "keepdims": True}, initial=-np.inf))
    m = np.where(np.isfinite(everything), everything, 0)
    d = x - m
    terms = np.exp(d)
    total = np.asarray(np.sum(terms, **over))
    m = np.asarray(np.max(m, **over, initial=-np.inf)) if m.size else np.zeros(total.shape, WIDE)
    m = np.where(np.isfinite(m), m, 0)
    wrong = np.asarray(
        np.sum(np.where(np.isfinite(d), terms * (np.abs(d) + 3 * evaluation_factor()), 0), **over)
    ) * unit(dtype)
    sums = Expected(total, np.where(np.isfinite(total), wrong, 0) + gamma(lane_depth(count), dtype) * total)
    log = logarithm(sums, dtype)
    exact = m + log.exact
    last = spacing(exact, np.float64 if dtype == np.float64 else np.float32)
    return [Expected(exact, log.slack + last)]


@oracle("CumProd")
def cum_prod(case: Case) -> list[Expected | None] | None:
    """Relative errors of the factors; a partial product that may overflow or underflow says nothing of later ones."""
    if case.attributes.get("exclusive") or case.attributes.get("reverse"):
        return None
    x, axis, dtype = wide(case.inputs[0]), int(case.inputs[1].reshape(())), case.inputs[0].dtype
    exact = np.cumprod(x, axis=axis)
    reach = np.cumsum(np.where(x == 0, 0, np.abs(np.log2(np.abs(np.where(x == 0, 1, x))))), axis=axis)
    slack = gamma(x.shape[axis], dtype) * np.abs(exact)
    return [Expected(exact, np.where(reach < (1000 if dtype == np.float64 else 120), slack, np.inf))]


@oracle("CumSum")
def cum_sum(case: Case) -> list[Expected | None] | None:
    """Chains of additions along the axis, in order only."""
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
