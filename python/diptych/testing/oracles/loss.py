"""Oracles of the losses."""

from __future__ import annotations

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, finfo, gamma, lane_depth, oracle, tiny, unit, wide
from diptych.testing.oracles.normalization import softmax


@oracle("NegativeLogLikelihoodLoss")
def negative_log_likelihood(case: Case) -> list[Expected | None]:
    """Of log-probabilities that are exact."""
    return [reduced(case, Expected(wide(case.inputs[0]), np.zeros(case.inputs[0].shape)))]


@oracle("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(case: Case) -> list[Expected | None]:
    """LogSoftmax along the classes, then the loss of it."""
    log_softmax = Case("LogSoftmax", "", 13, (case.inputs[0],), {"axis": 1}, 1)
    [log_prob] = softmax(log_softmax) if case.inputs[0].size else [Expected(wide(case.inputs[0]))]
    return [reduced(case, log_prob), log_prob] if log_prob else [None, None]


def reduced(case: Case, y: Expected) -> Expected:
    """The loss of log-probabilities."""
    targets, dtype = case.inputs[1], case.inputs[0].dtype
    weights = wide(case.inputs[2]) if len(case.inputs) > 2 else np.ones(y.exact.shape[1], WIDE)
    lost, slack, weight = (np.zeros(targets.shape, WIDE) for _ in range(3))
    errors = np.broadcast_to(np.asarray(y.slack, WIDE), y.exact.shape)
    for place, target in np.ndenumerate(targets):
        if target != case.attributes.get("ignore_index"):
            at = (place[0], int(target), *place[1:])
            weight[place] = weights[target]
            lost[place] = -y.exact[at] * weights[target]
            slack[place] = np.abs(weights[target]) * errors[at] + unit(dtype) * np.abs(lost[place]) + tiny(dtype)
    reduction = case.attributes.get("reduction", "mean")
    if reduction == "none":
        return Expected(lost, slack)
    top = float(finfo(np.float64 if dtype == np.float64 else np.float32).max)
    h, magnitude = gamma(lane_depth(lost.size) + 2, dtype), np.sum(np.abs(lost))
    total, error = np.sum(lost), np.sum(slack) * WIDE(1.01) + h * magnitude + tiny(dtype, lost.size)
    error = np.inf if magnitude > top / 2 else error
    if reduction == "sum":
        return Expected(np.asarray(total), error)
    divisor = np.sum(weight)
    relative = h * np.sum(np.abs(weight)) / np.abs(divisor) if divisor != 0 else WIDE(0 if not weight.any() else 1)
    y_mean = np.asarray(total / divisor)
    sound = relative < 0.1 and np.sum(np.abs(weight)) < top / 2
    bound = (error / np.abs(divisor) + np.abs(y_mean) * (relative + unit(dtype))) * WIDE(1.2) + tiny(dtype)
    return Expected(y_mean, bound if sound or np.isnan(y_mean) else np.inf)
