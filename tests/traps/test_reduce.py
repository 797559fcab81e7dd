"""Traps of reductions, running products and extremes: empty sets, no axes, overflow, NaN and ties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.traps.both import answer, answers, refusals, same

from diptych.testing.values import Array

INF, NAN = math.inf, math.nan
FLOATS = (np.float32, np.float64, np.float16)
REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
)  # fmt: skip


def over(op_type: str, x: Any, axes: list[int] | None = None, dtype: Any = np.float32, **attributes: int) -> Array:
    """A reduction with its axes as an input."""
    opset = 20 if op_type in ("ReduceMax", "ReduceMin") else 18
    given = None if axes is None else np.array(axes, np.int64)
    return np.asarray(answer(op_type, [np.asarray(x, dtype), given], attributes, opset=opset))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("op_type", "expected"),
    [
        ("ReduceL1", 0.0), ("ReduceL2", 0.0), ("ReduceLogSum", -INF), ("ReduceLogSumExp", -INF), ("ReduceMax", -INF),
        ("ReduceMean", NAN), ("ReduceMin", INF), ("ReduceProd", 1.0), ("ReduceSum", 0.0), ("ReduceSumSquare", 0.0),
    ],
)  # fmt: skip
def test_reductions_of_nothing(op_type: str, expected: float, dtype: Any) -> None:
    same(over(op_type, np.zeros((2, 0, 3)), [1], dtype, keepdims=0), np.full((2, 3), expected), dtype)
    same(over(op_type, np.zeros((2, 0, 3)), None, dtype), np.full((1, 1, 1), expected), dtype)
    assert over(op_type, np.zeros((0, 2)), [1], dtype).shape == (0, 1)  # nothing is reduced to nothing


LEAST, GREATEST = -(2**31), 2**31 - 1


@pytest.mark.parametrize(
    ("op_type", "expected"),
    [
        ("ReduceL1", 0), ("ReduceL2", 0), ("ReduceLogSum", LEAST), ("ReduceLogSumExp", LEAST), ("ReduceMax", LEAST),
        ("ReduceMean", 0), ("ReduceMin", GREATEST), ("ReduceProd", 1), ("ReduceSum", 0), ("ReduceSumSquare", 0),
    ],
)  # fmt: skip
def test_reductions_of_no_integers(op_type: str, expected: int) -> None:
    """Minus infinity is not supported by the type: its least number stands for it."""
    same(over(op_type, np.zeros((1, 0)), [1], np.int32, keepdims=0), [expected])


@pytest.mark.parametrize("attribute", [False, True])
@pytest.mark.parametrize("op_type", REDUCTIONS)
def test_no_axes_are_all_axes(op_type: str, attribute: bool) -> None:
    x = np.array([[1, 2], [3, 4]], np.float32)
    whole = over(op_type, x, [0, 1])
    same(over(op_type, x, []), whole)
    same(over(op_type, x, None), whole)
    if attribute:
        same(answer(op_type, [x], opset=11), whole)


@pytest.mark.parametrize("axes", [[], None])
@pytest.mark.parametrize(
    ("op_type", "expected"),
    [
        ("ReduceL1", [2, 0.5, 3]), ("ReduceL2", [2, 0.5, 3]), ("ReduceSumSquare", [4, 0.25, 9]),
        ("ReduceLogSum", [NAN, math.log(0.5), math.log(3)]), ("ReduceLogSumExp", [-2, 0.5, 3]),
        ("ReduceMax", [-2, 0.5, 3]), ("ReduceMean", [-2, 0.5, 3]), ("ReduceMin", [-2, 0.5, 3]),
        ("ReduceProd", [-2, 0.5, 3]), ("ReduceSum", [-2, 0.5, 3]),
    ],
)  # fmt: skip
def test_noop_with_empty_axes_skips_the_reduction_alone(
    op_type: str, expected: list[float], axes: list[int] | None
) -> None:
    """Squares, magnitudes and logarithms are still taken."""
    same(over(op_type, [-2, 0.5, 3], axes, noop_with_empty_axes=1), expected)
    if op_type in ("ReduceL1", "ReduceL2"):
        same(over(op_type, [-2, 3], axes, np.int32, noop_with_empty_axes=1), [2, 3])


@pytest.mark.parametrize("dtype", FLOATS)
def test_log_sum_exp_does_not_overflow(dtype: Any) -> None:
    """Nor underflow; infinities of both signs and NaN are what they would be without rounding."""
    x = [[1000, 1000], [-1000, -1000], [-INF, -INF], [INF, 1], [INF, -INF], [-INF, 1], [NAN, 1], [NAN, INF]]
    log2 = np.array(math.log(2), np.float32 if dtype == np.float16 else dtype)
    expected = np.array([1000 + log2, -1000 + log2, -INF, INF, INF, 1, NAN, NAN]).astype(dtype)
    for array, axis in ((np.array(x, dtype), 1), (np.array(x, dtype).T, 0)):
        for times in (1, 20):  # along rows, and down columns of several vectors
            wide = np.repeat(array, times, axis=1 - axis)
            found = over("ReduceLogSumExp", wide, [axis], dtype, keepdims=0)
            same(found, np.repeat(expected, times), dtype)


@pytest.mark.parametrize(
    ("op_type", "rows", "expected"),
    [
        ("ReduceLogSum", [[20, 5], [-3, 1], [0, 0], [GREATEST, 1]], [3, 0, LEAST, 0]),
        ("ReduceLogSumExp", [[20, 5], [-3, 1], [-7, -9], [GREATEST, LEAST]], [20, 1, -6, GREATEST]),
        ("ReduceL1", [[LEAST, 0], [-3, 4], [GREATEST, 1], [0, 0]], [LEAST, 7, LEAST, 0]),
        ("ReduceSumSquare", [[1 << 16, 3], [-3, 4], [46341, 0], [0, 0]], [9, 25, 46341**2 - 2**32, 0]),
    ],
)
def test_reductions_of_integers(op_type: str, rows: list[list[int]], expected: list[int]) -> None:
    """Sums wrap; logarithms go through binary64, toward zero."""
    same(over(op_type, rows, [1], np.int32, keepdims=0), expected)
    same(over(op_type, np.transpose(rows), [0], np.int32, keepdims=0), expected)


def test_extremes_hand_a_nan_on() -> None:
    x = [[1, NAN, 3], [NAN, 1, 3], [2, 1, 3]]
    same(over("ReduceMax", x, [1], keepdims=0), [NAN, NAN, 3])
    same(over("ReduceMin", x, [1], keepdims=0), [NAN, NAN, 1])


def test_a_nan_is_the_extreme() -> None:
    """The first one, or with select_last_index the last; among TopK it is above all numbers."""
    x = np.array([1, NAN, 3, NAN, -INF], np.float32)
    for op_type in ("ArgMax", "ArgMin"):
        same(answer(op_type, [x], {"axis": 0}, opset=13), [1])
        same(answer(op_type, [x], {"axis": 0, "select_last_index": 1}, opset=13), [3])
    for largest, values, indices in ((1, [NAN, NAN, 3], [1, 3, 2]), (0, [-INF, 1, 3], [4, 0, 2])):
        found = answers("TopK", [x, np.array([3])], {"largest": largest}, opset=11, n_outputs=2)
        same(found[0], values)
        same(found[1], indices)


def test_extremes_take_the_first_of_equals() -> None:
    x = np.array([[2, 5, 5, 2], [-0.0, 0.0, 0.0, -0.0]], np.float32)
    for op_type, first, last in (("ArgMax", [1, 0], [2, 3]), ("ArgMin", [0, 0], [3, 3])):
        same(answer(op_type, [x], {"axis": 1, "keepdims": 0}, opset=13), first)
        same(answer(op_type, [x], {"axis": 1, "keepdims": 0, "select_last_index": 1}, opset=13), last)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("ordered", [0, 1])
def test_top_k_takes_the_lower_index_of_equals(dtype: Any, ordered: int) -> None:
    """For the greatest and for the least."""
    x = np.array([3, 1, 3, 2, 1, 3], dtype)
    for largest, indices in ((1, [0, 2, 5, 3, 1]), (0, [1, 4, 3, 0, 2])):
        attributes = {"largest": largest, "sorted": ordered}
        found = answers("TopK", [x, np.array([5])], attributes, opset=11, n_outputs=2)
        same(found[1], indices)
        same(found[0], x[indices])


def test_an_empty_axis_has_no_extreme() -> None:
    for op_type in ("ArgMax", "ArgMin"):
        refusals(op_type, [np.zeros((2, 0), np.float32)], {"axis": 1}, opset=13)
        assert answer(op_type, [np.zeros((0, 2), np.float32)], {"axis": 1}, opset=13).shape == (0, 1)


@pytest.mark.parametrize(
    ("exclusive", "reverse", "expected"),
    [(0, 0, [2, 6, 24, 0]), (1, 0, [1, 2, 6, 24]), (0, 1, [0, 0, 0, 0]), (1, 1, [0, 0, 0, 1])],
)
def test_cum_prod(exclusive: int, reverse: int, expected: list[int]) -> None:
    """Exclusive products start from 1, from either end."""
    for dtype in (np.float32, np.int32, np.uint64):
        x = np.array([[2, 3, 4, 0]], dtype)
        attributes = {"exclusive": exclusive, "reverse": reverse}
        same(answer("CumProd", [x, np.array(-1)], attributes, opset=26), [expected], dtype)
        same(answer("CumProd", [x.T, np.array(0)], attributes, opset=26), np.array([expected]).T, dtype)


def test_cum_prod_keeps_the_product_unrounded() -> None:
    """float16: each result is the binary32 product, rounded once."""
    x = np.full(6, 1.001, np.float16)
    product, expected = np.float32(1), []
    for factor in x.astype(np.float32):
        product = product * factor
        expected.append(np.float16(product))
    same(answer("CumProd", [x, np.array(0)], opset=26), expected)
