"""Losses: how far predictions are from the labels (docs/numerics.md, section 4).

N instances, C classes, any further axes d. float16 and bfloat16 compute in binary32 and round once, at the end.
"""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.numerics import lane_sum, round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.softmax import log_softmax_over


@operator("NegativeLogLikelihoodLoss", since=(12, 13, 22))
def negative_log_likelihood_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """`input` [N, C, d...], log-probabilities; `target` [N, d...], classes; `weight` [C].

    `-input` at each target, times the class's weight; +0 where the target is `ignore_index`. All of them, [N, d...]
    (reduction "none"), their lane sum ("sum"), or that divided by the sum of the weights that took part ("mean").
    """
    return round_to(loss(widen(input), target, weight, ignore_index, reduction), input.dtype)


@operator("SoftmaxCrossEntropyLoss", since=(12, 13))
def softmax_cross_entropy_loss(
    scores: Array,
    labels: Array,
    weights: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[Array, Array]:
    """NegativeLogLikelihoodLoss of LogSoftmax along axis 1, not rounded between; and that LogSoftmax (log_prob)."""
    if scores.ndim < 2:
        raise ShapeError(f"scores have shape {list(scores.shape)}, expected classes on axis 1")
    log_prob = log_softmax_over(widen(scores), (1,))
    result = loss(log_prob, labels, weights, ignore_index, reduction)
    return round_to(result, scores.dtype), round_to(log_prob, scores.dtype)


def loss(y: Array, target: Array, weight: Array | None, ignore_index: int | None, reduction: str) -> Array:
    """The loss of log-probabilities `y` [N, C, d...], in their type."""
    if reduction not in ("none", "sum", "mean"):
        raise InvalidModelError(f"reduction is {reduction!r}, expected 'none', 'sum' or 'mean'")
    if y.ndim < 2 or target.shape != (*y.shape[:1], *y.shape[2:]):
        raise ShapeError(f"targets have shape {list(target.shape)} for classes on axis 1 of {list(y.shape)}")
    if weight is not None and weight.shape != y.shape[1:2]:
        raise ShapeError(f"weights have shape {list(weight.shape)}, expected {[y.shape[1]]}")
    counted = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    lost, weights = terms(y, target, weight, counted)
    if reduction == "none":
        return lost
    total = lane_sum(lost)
    if reduction == "sum":
        return total
    return total / (y.dtype.type(np.count_nonzero(counted)) if weight is None else lane_sum(weights))


def terms(y: Array, target: Array, weight: Array | None, counted: Array) -> tuple[Array, Array]:
    """Each target's loss and weight, [N, d...]; both +0 where it is not counted."""
    classes = y.shape[1]
    wrong = counted & ((target < 0) | (target >= classes))
    if wrong.any():
        raise InvalidInputError(f"class {target[wrong][0]}: expected one of {classes}, or the ignored index")
    zeros = np.zeros(target.shape, y.dtype)
    if not counted.any():
        return zeros, zeros
    place = np.where(counted, target, 0)
    picked = -np.take_along_axis(y, np.expand_dims(place, 1), axis=1).squeeze(1)
    weights = np.ones_like(zeros) if weight is None else widen(weight)[place]
    return np.where(counted, picked * weights, zeros), np.where(counted, weights, zeros)
