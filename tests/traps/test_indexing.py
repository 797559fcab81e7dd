"""Where implementations read and write at the wrong places: each test fails for the wrong reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from tests.traps.both import answer, answers, refusals, same

from diptych.testing import Case

NAN = np.float32(np.nan)


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def test_gather_counts_from_the_end_and_refuses_what_is_outside() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    same(answer("Gather", [x, ints(-1, 0)], {"axis": 1}, opset=13), x[:, [2, 0]])
    same(answer("GatherElements", [x, ints(-1, 0)[None]], {"axis": 1}, opset=13), [[2, 0]])
    same(answer("GatherND", [x, ints(-1, -3)[None]], opset=13), [3])
    refusals("Gather", [x, ints(3)], {"axis": 1}, opset=13)
    refusals("Gather", [x, ints(-4)], {"axis": 1}, opset=13)
    refusals("GatherND", [x, ints(2, 0)[None]], opset=13)
    assert answer("Gather", [x, np.array(1)], opset=13).shape == (3,)


def test_gather_nd_of_batches() -> None:
    """Rank q + r - last - 1 - b."""
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    where = np.array([[[1]], [[2]]], dtype=np.int64)
    same(answer("GatherND", [x, where], {"batch_dims": 1}, opset=12), [[[2, 3]], [[10, 11]]])


@pytest.mark.parametrize("op_type", ["Scatter", "ScatterElements"])
def test_the_last_of_duplicates_stays(op_type: str) -> None:
    x, updates = np.zeros(3, np.float32), np.array([1, 2, 3, 4], np.float32)
    same(answer(op_type, [x, ints(1, -2, 1, 0), updates], opset=9 if op_type == "Scatter" else 13), [4, 3, 0])


def test_duplicates_accumulate() -> None:
    x, updates = np.ones(3, np.float32), np.array([2, 3, -5], np.float32)
    for reduction, expected in {"add": [1, 1, 1], "mul": [1, -30, 1], "max": [1, 3, 1], "min": [1, -5, 1]}.items():
        same(answer("ScatterElements", [x, ints(1, 1, -2), updates], {"reduction": reduction}, opset=18), expected)
        same(answer("ScatterND", [x, ints(1, 1, 1)[:, None], updates], {"reduction": reduction}, opset=18), expected)


def test_non_zero_of_a_scalar_has_no_rows() -> None:
    assert answer("NonZero", [np.array(3.0, np.float32)], opset=13).shape == (0, 1)
    assert answer("NonZero", [np.array(0.0, np.float32)], opset=13).shape == (0, 0)


def test_one_hot_wraps_once_and_is_off_outside() -> None:
    values = np.array([5, 9], np.int32)
    expected = [[9, 5, 5], [5, 5, 9], [5, 5, 9], [9, 5, 5], [5, 5, 5], [5, 5, 5]]
    for depth in (np.array(3), ints(3), np.array(3.9, np.float32), np.array([3], np.uint8)):
        same(answer("OneHot", [ints(0, 2, -1, -3, 3, -4), depth, values], opset=11), expected)
    same(answer("OneHot", [np.array([1.9, -0.9, NAN]), ints(2), values], opset=11), [[5, 9], [9, 5], [9, 5]])
    top = np.array([2**64 - 1, 1], dtype=np.uint64)  # would be -1 as int64
    same(answer("OneHot", [top, ints(2), values], opset=11), [[5, 5], [5, 9]])
    assert answer("OneHot", [ints(1), np.array(0), values], opset=11).shape == (1, 0)
    refusals("OneHot", [ints(1), np.array(-1), values], opset=11)
    refusals("OneHot", [ints(1), ints(2, 3), values], opset=11)
    refusals("OneHot", [ints(1), np.array(2), values[:1]], opset=11)


def test_one_hot_inserts_the_axis() -> None:
    where, values = ints(0, 1, 1).reshape(1, 3), np.array([0, 1], np.float32)
    for axis, shape in ((0, (2, 1, 3)), (1, (1, 2, 3)), (-1, (1, 3, 2)), (-3, (2, 1, 3))):
        y = answer("OneHot", [where, np.array(2), values], {"axis": axis}, opset=11)
        same(y, np.moveaxis(np.eye(2, dtype=np.float32)[where], -1, axis).reshape(shape))


def test_range_does_not_turn_round_and_counts_by_products() -> None:
    same(answer("Range", [np.array(5), np.array(1), np.array(1)], opset=11), ints())
    same(answer("Range", [ints(10), ints(4), ints(-2)], opset=11), ints(10, 8, 6))  # scalars as [1]
    step = np.float32(0.1)
    y = answer("Range", [np.float32(0) + np.zeros((), np.float32), np.array(1, np.float32), np.array(step)], opset=11)
    same(y, np.arange(10, dtype=np.float32) * step)  # 0.1 added ten times is something else


def test_top_k_takes_a_scalar_in_a_vector() -> None:
    values, places = answers("TopK", [np.array([1, 3, 3, 2], np.float32), ints(2)], opset=11, n_outputs=2)
    same(values, [3, 3])
    same(places, [1, 2])


def test_compress() -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    same(answer("Compress", [x, np.array([False, True])], {"axis": 0}, opset=9), x[1:2])  # shorter than the axis
    same(answer("Compress", [x, np.array([True, False, True])], opset=11), [0, 2])
    same(answer("Compress", [x, np.array([True])], {"axis": -1}, opset=11), x[:, :1])
    assert answer("Compress", [x, np.array([], bool)], {"axis": 1}, opset=11).shape == (3, 0)
    refusals("Compress", [x, np.array([False, False, True])], {"axis": 1}, opset=11)
    refusals("Compress", [x, np.array([[True]])], opset=11)


def unique(x: Any, **attributes: Any) -> list[Any]:
    return answers("Unique", [x], attributes, opset=11, n_outputs=4)


def test_unique_indices_are_first_occurrences() -> None:
    y, first, inverse, counts = unique(np.array([2.0, 1, 1, 3, 4, 3]))
    same(y, [1, 2, 3, 4])
    same(first, ints(1, 0, 3, 4))
    same(inverse, ints(1, 0, 0, 2, 3, 2))
    same(counts, ints(2, 1, 2, 1))


def test_unsorted_unique_keeps_the_order_of_appearance() -> None:
    y, first, inverse, counts = unique(np.array([2.0, 1, 1, 3, 4, 3]), sorted=0)
    same(y, [2, 1, 3, 4])
    same(first, ints(0, 1, 3, 4))
    same(inverse, ints(0, 1, 1, 2, 3, 2))
    same(counts, ints(1, 2, 2, 1))
    y, first, _, _ = unique(np.array([[3, 1, 3], [0, 5, 0]]), sorted=0, axis=1)
    same(y, [[3, 1], [0, 5]])
    same(first, ints(0, 1))


def test_unique_orders_numbers_zeros_and_nans() -> None:
    """A ruling: one zero, one NaN, which is last; the first occurrence is what is kept, bits and all."""
    other = np.array([0xFFC00001], np.uint32).view(np.float32)[0]
    y, first, inverse, _ = unique(np.array([other, np.inf, -0.0, 1, NAN, 0.0, -np.inf], np.float32))
    assert (
        y.view(np.uint32).tolist() == np.array([-np.inf, -0.0, 1, np.inf, other], np.float32).view(np.uint32).tolist()
    )
    same(first, ints(6, 2, 3, 1, 0))
    same(inverse, ints(4, 3, 1, 2, 4, 1, 0))
    y, *_ = unique(np.array([1 + 2j, 1 + 1j, complex(np.nan, 0), 0.5 + 9j, complex(np.nan, 0), complex(1, np.nan)]))
    assert str(y.tolist()) == "[(0.5+9j), (1+1j), (1+2j), (1+nanj), (nan+0j)]"
    y, *_ = unique(np.array([[0.0, NAN], [-0.0, NAN], [0.0, 1]], np.float32), axis=0)
    same(y, [[0, 1], [0, NAN]])


def test_unique_of_strings_bools_and_nothing() -> None:
    y, _, inverse, _ = unique(np.array(["b", "", "ä", "a", "b", "z"], dtype=object))
    assert y.tolist() == ["", "a", "b", "z", "ä"]  # code points
    same(inverse, ints(2, 0, 4, 1, 2, 3))
    same(unique(np.array([True, False, True]))[0], [False, True])
    for axis, shape in ((0, (1, 0)), (1, (3, 0))):
        assert unique(np.zeros((3, 0), np.float32), axis=axis)[0].shape == shape
    assert [value.shape for value in unique(np.zeros(0, np.float32))] == [(0,)] * 4
    assert unique(np.array(7.0))[0].shape == (1,)
    refusals("Unique", [np.zeros(2)], {"sorted": 2}, opset=11)
    refusals("Unique", [np.array(7.0)], {"axis": 0}, opset=11)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_unique_is_onnx_reference_where_that_is_right(axis: int | None) -> None:
    x = np.random.default_rng(3).integers(0, 2, (7, 4, 3))
    attributes = {} if axis is None else {"axis": axis}
    case = Case("Unique", "", 11, (x,), attributes, 4)
    expected = ReferenceEvaluator(case.model()).run(None, case.feeds())
    for actual, value in zip(answers("Unique", [x], attributes, opset=11, n_outputs=4), expected, strict=True):
        same(actual, np.asarray(value))


def test_tensor_scatter_wraps_only_when_circular() -> None:
    cache, update = np.zeros((2, 4, 1), np.float32), np.array([1, 2, 3, 4], np.float32).reshape(2, 2, 1)
    y = answer("TensorScatter", [cache, update, ints(2, 1)], opset=24)
    same(y[..., 0], [[0, 0, 1, 2], [0, 3, 4, 0]])
    y = answer("TensorScatter", [cache, update, ints(3, -6)], {"mode": "circular"}, opset=24)
    same(y[..., 0], [[2, 0, 0, 1], [0, 0, 3, 4]])
    same(answer("TensorScatter", [cache, update], opset=24)[..., 0], [[1, 2, 0, 0], [3, 4, 0, 0]])
    refusals("TensorScatter", [cache, update, ints(3, 0)], opset=24)
    refusals("TensorScatter", [cache, update, ints(-1, 0)], opset=24)
    refusals("TensorScatter", [cache, update, ints(0, 0)], {"axis": 0}, opset=24)
    refusals("TensorScatter", [cache[:, :1], update], {"mode": "circular"}, opset=24)


def test_eye_like() -> None:
    x = np.zeros((2, 3), np.int32)
    same(answer("EyeLike", [x], {"k": 1}, opset=9), np.eye(2, 3, 1, dtype=np.int32))
    same(answer("EyeLike", [x], {"k": -1, "dtype": 10}, opset=9), np.eye(2, 3, -1, dtype=np.float16))
    same(answer("EyeLike", [x], {"k": 2**62}, opset=9), np.zeros((2, 3), np.int32))
    refusals("EyeLike", [x], {"dtype": 16}, opset=9)  # bfloat16 came with version 22
    refusals("EyeLike", [x], {"dtype": 8}, opset=22)
    refusals("EyeLike", [np.zeros(3)], opset=22)
