"""Losses: what is ignored, what a mean is divided by, classes that do not exist."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.traps.both import answer, answers, refusals, same

OP = "NegativeLogLikelihoodLoss"
X = np.array([[-1, -2], [-4, -8], [-16, -32]], np.float32)


@pytest.mark.parametrize("opset", [12, 13, 22])
def test_what_is_ignored_takes_no_part_in_a_mean(opset: int) -> None:
    targets = np.array([0, 1, 1])
    same(answer(OP, [X, targets], opset=opset), (1 + 8 + 32) / np.float32(3))
    same(answer(OP, [X, targets], {"ignore_index": 1}, opset=opset), 1.0)
    same(answer(OP, [X, targets], {"ignore_index": 1, "reduction": "sum"}, opset=opset), 1.0)
    same(answer(OP, [X, targets], {"ignore_index": 1, "reduction": "none"}, opset=opset), [1, 0, 0])
    weights = np.array([0.5, 0.25], np.float32)
    same(answer(OP, [X, targets, weights], opset=opset), np.float32(0.5 + 2 + 8))
    same(answer(OP, [X, targets, weights], {"ignore_index": 0}, opset=opset), np.float32(20))


def test_nothing_left_is_not_a_number() -> None:
    same(answer(OP, [X, np.array([1, 1, 1])], {"ignore_index": 1}, opset=22), math.nan)
    same(answer(OP, [X, np.array([1, 1, 1])], {"ignore_index": 1, "reduction": "sum"}, opset=22), 0.0)
    empty = np.zeros((0, 2), np.float32)
    same(answer(OP, [empty, np.zeros(0, np.int64)], opset=22), math.nan)
    same(answer(OP, [empty, np.zeros(0, np.int64)], {"reduction": "sum"}, opset=22), 0.0)


def test_an_ignored_target_hides_what_stands_there() -> None:
    """The ignored index may be no class, and the prediction there may be anything."""
    x = np.array([[-1, -2], [math.nan, math.inf]], np.float32)
    same(answer(OP, [x, np.array([1, -7])], {"ignore_index": -7}, opset=22), 2.0)
    same(answer(OP, [x, np.array([1, 0])], {"ignore_index": 0}, opset=22), 2.0)
    no_classes = np.zeros((2, 0), np.float32)
    same(answer(OP, [no_classes, np.array([9, 9])], {"ignore_index": 9, "reduction": "none"}, opset=22), [0, 0])


@pytest.mark.parametrize("target", [-1, 2, 2**40])
@pytest.mark.parametrize("op_type", [OP, "SoftmaxCrossEntropyLoss"])
def test_a_class_that_does_not_exist_is_an_error(op_type: str, target: int) -> None:
    """Negative ones do not count from the end."""
    refusals(op_type, [X, np.array([0, target, 1])], opset=13)


def test_losses_of_rank_0_and_further_axes() -> None:
    x = np.arange(2 * 3 * 2 * 2, dtype=np.float64).reshape(2, 3, 2, 2)
    targets = np.array([[[0, 1], [2, 0]], [[1, 1], [0, 2]]], np.int32)
    expected = [[[-x[n, targets[n, i, j], i, j] for j in (0, 1)] for i in (0, 1)] for n in (0, 1)]
    same(answer(OP, [x, targets], {"reduction": "none"}, opset=22), expected)
    total = answer(OP, [x, targets], {"reduction": "sum"}, opset=22)
    assert total.shape == ()
    same(total, np.sum(expected))
    refusals(OP, [x, targets[:, :1]], {"reduction": "none"}, opset=22)
    refusals(OP, [x, targets], {"reduction": "median"}, opset=22)


def test_cross_entropy_of_impossible_classes() -> None:
    scores = np.array([[-math.inf, 0], [0, -math.inf], [-math.inf, -math.inf]], np.float32)
    loss, log_prob = answers(
        "SoftmaxCrossEntropyLoss", [scores, np.array([0, 0, 0])], {"reduction": "none"}, opset=13, n_outputs=2
    )
    same(loss, [math.inf, -0.0, math.nan])
    same(log_prob, [[-math.inf, 0], [0, -math.inf], [math.nan, math.nan]])


def test_16_bit_losses_sum_in_binary32_and_log_prob_is_rounded_apart() -> None:
    """4096 losses of 1 would stop at 2048 in float16; the loss is not that of the rounded log_prob."""
    x = np.full((4096, 1), -1, np.float16)
    same(answer(OP, [x, np.zeros(4096, np.int64)], {"reduction": "sum"}, opset=22), 4096, np.float16)
    scores: Any = np.array([[0.1, 0.7, -0.3]], np.float16)
    single = answer("SoftmaxCrossEntropyLoss", [scores.astype(np.float32), np.array([2])], opset=13)
    same(answer("SoftmaxCrossEntropyLoss", [scores, np.array([2])], opset=13), single.astype(np.float16))
