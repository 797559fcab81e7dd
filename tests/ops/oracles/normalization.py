"""Oracles of Softmax and the normalizations."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
from tests.ops.oracles.base import SUBNORMAL, WIDE, Expected, gamma, lane_depth, oracle, tiny, unit, wide

from diptych.testing import Case
from diptych.testing.values import Array


@oracle("Softmax", "LogSoftmax")
def softmax(case: Case) -> list[Expected | None]:
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    axes: tuple[int, ...] = (case.attributes.get("axis", -1) % x.ndim,)
    if case.opset < 13:
        axes = tuple(range(case.attributes.get("axis", 1) % x.ndim, x.ndim))
    if x.size == 0:
        return [Expected(x)]
    u = WIDE(unit(dtype))
    d = x - np.max(x, axis=axes, keepdims=True)
    e = np.exp(d)
    total = np.sum(e, axis=axes, keepdims=True)
    from_e = np.where(e == 0, 0, u * (np.abs(d) + 4))  # rounding d, then exp itself
    count = math.prod(x.shape[axis] for axis in axes)
    from_sum = np.sum(np.where(e == 0, 0, e * from_e), axis=axes, keepdims=True) / total + gamma(
        lane_depth(count), dtype
    )
    if case.op_type == "Softmax":
        y = e / total
        return [Expected(y, y * (from_e + from_sum + 4 * u) * WIDE(1.01) + tiny(dtype, count + 2))]
    y = d - np.log(total)
    return [
        Expected(y, u * (np.abs(d) + np.abs(y) + 4 * np.abs(np.log(total))) + from_sum * WIDE(1.01) + tiny(dtype, 2))
    ]


@oracle("LayerNormalization")
def layer_normalization(case: Case) -> list[Expected | None] | None:
    dtype = case.inputs[0].dtype
    if case.attributes.get("stash_type", 1) != 1:
        return None
    x, scale = wide(case.inputs[0]), wide(case.inputs[1])
    bias = wide(case.inputs[2]) if len(case.inputs) > 2 else WIDE(0)
    axes = tuple(range(case.attributes.get("axis", -1) % x.ndim, x.ndim))
    epsilon = WIDE(np.float32(case.attributes.get("epsilon", 1e-5)))
    u, h = WIDE(2.0**-24), gamma(lane_depth(math.prod(x.shape[axis] for axis in axes)) + 2, np.float32)

    def mean(t: Array) -> Array:
        return np.mean(t, axis=axes, keepdims=True)

    d = x - mean(x)
    # Lost of d, for double too what is below binary32, since it is rounded to the stash type first.
    lost = h * mean(np.abs(x)) + u * np.abs(d) + u * np.abs(x) + SUBNORMAL
    variance = mean(d * d) + epsilon
    relative = (mean(2 * np.abs(d) * lost + lost * lost) + h * mean(d * d)) / variance + u
    inverse = 1 / np.sqrt(variance)
    relative = np.where(relative < 0.1, 0.6 * relative + 3 * u, np.inf)
    slack = np.abs(d) * inverse * (relative + 2 * u) + lost * inverse
    narrow = WIDE(2.0**-53 if dtype == np.float64 else float(ml_dtypes.finfo(dtype).eps) / 2)
    reach = np.max(np.abs(x) + np.abs(d), axis=axes, keepdims=True, initial=0)
    slack = np.where((reach > 2.0**57) | (variance < 2.0**-100), np.inf, slack)  # a row's squares over- or underflow
    exact = d * inverse * scale
    slack = np.abs(scale) * (slack + narrow * np.abs(d * inverse)) + narrow * (2 * np.abs(exact) + np.abs(bias)) * WIDE(
        1.01
    )
    least = max(SUBNORMAL, float(ml_dtypes.finfo(dtype).smallest_subnormal))
    top = float(ml_dtypes.finfo(dtype).max)
    slack = np.where(np.abs(exact) + slack > top, np.inf, slack)  # infinite before the bias can bring it back
    return [Expected(exact + bias, slack + least * (2 + np.abs(scale)))]


def standardized(x: Array, axes: tuple[int, ...], epsilon: Any, dtype: Any, centered: bool = True) -> Expected:
    """`(x - mean) / sqrt(var + epsilon)` over some axes, computed in `dtype`; not `centered`: with a mean of 0."""
    u, double = WIDE(unit(dtype)), np.dtype(dtype) == np.float64
    count = math.prod(x.shape[axis] for axis in axes)
    h = gamma(lane_depth(count) + 2, dtype)

    def mean(t: Array) -> Array:
        return np.asarray(np.sum(t, axis=axes, keepdims=True) / WIDE(count))

    d = x - mean(x) if centered else x
    # Lost of d; for double in float also what is below binary32, since it is rounded to the stash type first.
    lost = (h * mean(np.abs(x)) if centered else 0) + u * np.abs(d) + u * np.abs(x) + tiny(dtype)
    variance = mean(d * d) + epsilon
    relative = (mean(2 * np.abs(d) * lost + lost * lost) + h * mean(d * d)) / variance + u
    inverse = 1 / np.sqrt(variance)
    relative = np.where(relative < 0.1, 0.6 * relative + 3 * u, np.inf)
    slack = np.abs(d) * inverse * (relative + 2 * u) + lost * inverse
    reach = np.max(np.abs(x) + np.abs(d), axis=axes, keepdims=True, initial=0)
    over, under = (WIDE(2) ** 480, WIDE(2) ** -900) if double else (WIDE(2) ** 57, WIDE(2) ** -100)
    # Infinite where a row's squares over- or underflow.
    return Expected(d * inverse, np.where((reach > over) | (variance < under), np.inf, slack))


def scaled(h: Expected, types: tuple[Any, ...], scale: Array, bias: Array) -> Expected:
    """`h` rounded to each of `types`, then `* scale` and `+ bias` in the last of them, each rounded."""
    halves = [WIDE(float(ml_dtypes.finfo(t).eps) / 2) for t in types]
    least = sum(float(ml_dtypes.finfo(t).smallest_subnormal) for t in types) + SUBNORMAL
    top = min(float(ml_dtypes.finfo(t).max) for t in types)
    exact = h.exact * scale
    slack = np.abs(scale) * (h.slack + sum(halves) * np.abs(h.exact)) * WIDE(1.01)
    slack = slack + halves[-1] * (2 * np.abs(exact) + np.abs(bias)) * WIDE(1.01) + least * (2 + np.abs(scale))
    return Expected(exact + bias, np.where((np.abs(exact) + slack > top) | (np.abs(h.exact) > top / 2), np.inf, slack))


@oracle("RMSNormalization")
def rms_normalization(case: Case) -> list[Expected | None] | None:
    if case.attributes.get("stash_type", 1) != 1:
        return None
    x, scale = wide(case.inputs[0]), wide(case.inputs[1])
    axes = tuple(range(case.attributes.get("axis", -1) % x.ndim, x.ndim))
    h = standardized(x, axes, WIDE(np.float32(case.attributes.get("epsilon", 1e-5))), np.float32, centered=False)
    return [scaled(h, (case.inputs[0].dtype, case.inputs[1].dtype), scale, WIDE(0))]


@oracle("GroupNormalization", "InstanceNormalization")
def group_normalization(case: Case) -> list[Expected | None] | None:
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    if case.attributes.get("stash_type", 1) != 1:
        return None
    groups = case.attributes.get("num_groups", x.shape[1])
    if x.size == 0:
        return [Expected(x)]
    per_channel = case.op_type == "GroupNormalization" and case.opset >= 21
    computed = np.float32 if per_channel or dtype != np.float64 else np.float64
    h = standardized(
        x.reshape(x.shape[0], groups, -1), (2,), WIDE(np.float32(case.attributes.get("epsilon", 1e-5))), computed
    )
    h = Expected(h.exact.reshape(x.shape), np.asarray(h.slack).reshape(x.shape))
    repeats = 1 if per_channel else x.shape[1] // groups
    scale, bias = (np.repeat(wide(p), repeats).reshape(-1, *(1,) * (x.ndim - 2)) for p in case.inputs[1:])
    return [scaled(h, (dtype if per_channel else computed,), scale, bias)]


@oracle("MeanVarianceNormalization")
def mean_variance_normalization(case: Case) -> list[Expected | None]:
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    axes = tuple(axis % x.ndim for axis in case.attributes.get("axes", (0, 2, 3))) or tuple(range(x.ndim))
    if x.size == 0:
        return [Expected(x)]
    computed = np.float64 if dtype == np.float64 else np.float32
    h = standardized(x, axes, WIDE(0), computed)
    d = x - np.mean(x, axis=axes, keepdims=True)
    deviation = np.sqrt(np.mean(d * d, axis=axes, keepdims=True))
    slack = np.where(deviation > 0, np.asarray(h.slack) + 4 * WIDE(unit(dtype)) * np.abs(h.exact), np.inf)
    return [Expected(d / (deviation + WIDE(np.float32(1e-9))), slack)]


@oracle("LpNormalization")
def lp_normalization(case: Case) -> list[Expected | None]:
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    axis, squared = case.attributes.get("axis", -1), case.attributes.get("p", 2) == 2
    total = np.sum(x * x if squared else np.abs(x), axis=axis, keepdims=True)
    norm = np.sqrt(total) if squared else total
    y = np.where(norm == 0, 0, x / norm)
    relative = gamma(lane_depth(x.shape[axis]) + 4, dtype)
    over, under = (WIDE(2) ** 1000, WIDE(2) ** -900) if dtype == np.float64 else (WIDE(2) ** 120, WIDE(2) ** -100)
    sound = (total < over) & ((total > under) | (total == 0) | (not squared)) | np.isnan(total)
    return [Expected(y, np.where(sound, relative * np.abs(y) + tiny(dtype, 2), np.inf))]


@oracle("BatchNormalization")
def batch_normalization(case: Case) -> list[Expected | None] | None:
    x, scale, b, mean, variance = map(wide, case.inputs)
    if case.attributes.get("training_mode") or case.n_outputs > 1:
        return None
    dtype = case.inputs[0].dtype
    s = scale / np.sqrt(variance + WIDE(np.float32(case.attributes.get("epsilon", 1e-5))))
    shape = (*s.shape, *(1,) * (x.ndim - 1 - s.ndim))
    s, b, mean = (value.reshape(shape) for value in (s, b, mean))
    u, double = unit(dtype), 2.0**-50
    slack = u * (np.abs(x * s) + 2 * np.abs(b - mean * s) + np.abs((x - mean) * s + b))
    slack = (
        slack * WIDE(1.01) + double * (np.abs(b) + np.abs(mean * s) + np.abs(x * s)) + tiny(dtype, 2) * (1 + np.abs(x))
    )
    top = float(ml_dtypes.finfo(np.float64 if dtype == np.float64 else np.float32).max)
    return [Expected((x - mean) * s + b, np.where(np.abs(s) + np.abs(mean * s) + np.abs(b) > top / 4, np.inf, slack))]


@oracle("LRN")
def local_response(case: Case) -> list[Expected | None]:
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    defaults = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}
    alpha, beta, bias = (WIDE(np.float32(case.attributes.get(name, value))) for name, value in defaults.items())
    size, channels = case.attributes["size"], x.shape[1]
    total = np.zeros_like(x)
    for c in range(channels):
        first, last = max(0, c - (size - 1) // 2), min(channels, c + size // 2 + 1)
        total[:, c] = np.sum(x[:, first:last] ** 2, axis=1)
    base = bias + alpha / size * total
    exact = x / np.power(base, beta)
    relative = gamma(size + 6, dtype) * (np.abs(beta) * 2 + 4)
    top = float(ml_dtypes.finfo(np.float64 if dtype == np.float64 else np.float32).max)
    sound = (
        (total < top / 4) & (base > 2.0**-60) & ((total > 2.0**-100) | (bias > 0)) & (np.power(base, beta) < top / 4)
    )
    return [Expected(exact, np.where(sound | np.isnan(exact), relative * np.abs(exact) + tiny(dtype, 4), np.inf))]
