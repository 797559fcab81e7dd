"""Softmax, LogSoftmax, Hardmax: below opset 13 over a matrix, stable at any magnitude, ties and NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.traps.both import answer, refusals, same


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


@pytest.mark.parametrize("opset", [1, 11])
def test_below_13_the_input_is_a_matrix(opset: int) -> None:
    """All axes from `axis` on are one; the default axis is 1."""
    x = np.array([[[1, 5], [5, 2]]], np.float32)
    same(answer("Hardmax", [x], opset=opset), [[[0, 1], [0, 0]]])
    same(answer("Softmax", [np.zeros((2, 3, 4), np.float32)], opset=opset), np.full((2, 3, 4), np.float32(1) / 12))
    y = answer("LogSoftmax", [np.zeros((2, 3, 4), np.float32)], {"axis": 2}, opset=opset)
    assert np.allclose(y, -math.log(4))
    same(
        answer("Softmax", [np.zeros((2, 3), np.float32)], {"axis": 0}, opset=opset), np.full((2, 3), np.float32(1) / 6)
    )
    same(answer("Hardmax", [x], {"axis": 3}, opset=opset), np.ones((1, 2, 2)))  # each number a matrix row


def test_from_13_on_it_is_one_axis_the_last() -> None:
    x = np.array([[[1, 5], [5, 2]]], np.float32)
    same(answer("Hardmax", [x], opset=13), [[[0, 1], [1, 0]]])
    same(answer("Hardmax", [x], {"axis": 0}, opset=13), np.ones((1, 2, 2)))
    same(answer("Softmax", [np.zeros((2, 3, 4), np.float32)], opset=13), np.full((2, 3, 4), 0.25))
    refusals("Hardmax", [x], {"axis": 3}, opset=13)


def test_hardmax_takes_the_first_of_equals_and_nan_for_the_greatest() -> None:
    same(answer("Hardmax", [floats(3, 1, 3)], opset=13), [1, 0, 0])
    same(answer("Hardmax", [floats(-0.0, 0.0)], opset=13), [1, 0])
    same(answer("Hardmax", [floats(1, math.nan, math.inf, math.nan)], opset=13), [0, 1, 0, 0])
    same(answer("Hardmax", [np.zeros((0, 3), np.float32)], opset=13), np.zeros((0, 3)))
    same(answer("Hardmax", [np.zeros((3, 0), np.float32)], {"axis": 0}, opset=13), np.zeros((3, 0)))


def test_large_numbers_do_not_overflow() -> None:
    same(answer("Softmax", [floats(1000, 1000)], opset=13), [0.5, 0.5])
    same(answer("Softmax", [floats(-1e30, 1e30)], opset=13), [0, 1])
    same(answer("LogSoftmax", [floats(0, -1000)], opset=13), [0, -1000])
    same(answer("Softplus", [floats(200, 88.8, -200)], opset=22), [200, np.float32(88.8), 0])
    assert float(answer("Softplus", [floats(-50)], opset=22)[0]) == pytest.approx(math.exp(-50))


@pytest.mark.parametrize("opset", [12, 13])
def test_cross_entropy_is_stable_too(opset: int) -> None:
    """As the text has it, Log(Softmax) would be -inf."""
    scores = floats(1000, 0, 0, -1000, 1, 1).reshape(3, 2)
    labels = np.array([0, 1, 1])
    loss = answer("SoftmaxCrossEntropyLoss", [scores, labels], {"reduction": "none"}, opset=opset)
    same(loss, [-0.0, 1000, loss[2]])
    assert float(loss[2]) == pytest.approx(math.log(2))


def test_16_bit_softmax_sums_in_binary32() -> None:
    """A sum of 4096 ones would stop at 2048 in float16."""
    same(answer("Softmax", [np.zeros(4096, np.float16)], opset=13), np.full(4096, 1 / 4096))
