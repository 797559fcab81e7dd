"""Oracles of Softmax and the normalizations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import (
    SUBNORMAL,
    WIDE,
    Expected,
    evaluation_factor,
    finfo,
    gamma,
    lane_depth,
    oracle,
    own_unit,
    tiny,
    unit,
    wide,
)
from diptych.testing.values import Array


@oracle("Softmax", "LogSoftmax")
def softmax(case: Case) -> list[Expected | None]:
    """Exponentials err by the distance from the greatest; before opset 13 all axes from `axis` on are one."""
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
    from_e = np.where(e == 0, 0, u * (np.abs(d) + 4 * evaluation_factor()))  # rounding d, then exp itself
    count = math.prod(x.shape[axis] for axis in axes)
    from_sum = np.sum(np.where(e == 0, 0, e * from_e), axis=axes, keepdims=True) / total + gamma(
        lane_depth(count), dtype
    )
    if case.op_type == "Softmax":
        y = e / total
        return [Expected(y, y * (from_e + from_sum + 4 * u) * WIDE(1.01) + tiny(dtype, count + 2))]
    log = np.log(total)
    y = d - log
    own = u * (np.abs(d) + np.abs(y) + 4 * evaluation_factor() * np.abs(log))
    return [Expected(y, own + from_sum * WIDE(1.01) + tiny(dtype, 2))]


@oracle("LayerNormalization")
def layer_normalization(case: Case) -> list[Expected | None] | None:
    """By the conditioning of mean and variance, in binary32 (the stash type)."""
    dtype = case.inputs[0].dtype
    if case.attributes.get("stash_type", 1) != 1:
        return None
    x, scale = wide(case.inputs[0]), wide(case.inputs[1])
    bias = wide(case.inputs[2]) if len(case.inputs) > 2 else WIDE(0)
    axes = tuple(range(case.attributes.get("axis", -1) % x.ndim, x.ndim))
    epsilon = WIDE(np.float32(case.attributes.get("epsilon", 1e-5)))
    u, h = WIDE(2.0**-24), gamma(lane_depth(math.prod(x.shape[axis] for axis in axes)) + 2, np.float32)

    def mean(t: Array) -> Array:
        return np.asarray(np.mean(t, axis=axes, keepdims=True))

    d = x - mean(x)
    # Lost of d, for double too what is below binary32, since it is rounded to the stash type first.
    lost = h * mean(np.abs(x)) + u * np.abs(d) + u * np.abs(x) + SUBNORMAL
    variance = mean(d * d) + epsilon
    relative = (mean(2 * np.abs(d) * lost + lost * lost) + h * mean(d * d)) / variance + u
    inverse = 1 / np.sqrt(variance)
    relative = np.where(relative < 0.1, 0.6 * relative + 3 * u, np.inf)
    slack = np.abs(d) * inverse * (relative + 2 * u) + lost * inverse
    narrow = WIDE(2.0**-53 if dtype == np.float64 else float(finfo(dtype).eps) / 2)
    reach = np.max(np.abs(x) + np.abs(d), axis=axes, keepdims=True, initial=0)
    slack = np.where((reach > 2.0**57) | (variance < 2.0**-100), np.inf, slack)  # a row's squares over- or underflow
    exact = d * inverse * scale
    slack = np.abs(scale) * (slack + narrow * np.abs(d * inverse)) + narrow * (2 * np.abs(exact) + np.abs(bias)) * WIDE(
        1.01
    )
    least = max(SUBNORMAL, float(finfo(dtype).smallest_subnormal))
    top = float(finfo(dtype).max)
    slack = np.where(np.abs(exact) + slack > top, np.inf, slack)  # infinite before the bias can bring it back
    return [Expected(exact + bias, slack + least * (2 + np.abs(scale)))]


def standardized(x: Array, axes: tuple[int, ...], epsilon: Any, dtype: Any, centered: bool = True) -> Expected:
    """`(x - mean) / sqrt(var + epsilon)` over some axes, computed in `dtype`; not `centered`: with a mean of 0."""
    u = WIDE(unit(dtype))
    mean, inverse = statistics(x, axes, epsilon, dtype, centered)
    d = x - mean.exact
    lost = mean.slack + u * np.abs(d) + u * np.abs(x) + tiny(dtype)
    slack = np.abs(d) * (inverse.slack + 2 * u * inverse.exact) + lost * inverse.exact
    return Expected(d * inverse.exact, np.where(np.isinf(inverse.slack), np.inf, slack))


def statistics(
    x: Array, axes: tuple[int, ...], epsilon: Any, dtype: Any, centered: bool = True
) -> tuple[Expected, Expected]:
    """The mean (0 if not `centered`) and `1 / sqrt(var + epsilon)`, computed in `dtype`, with the reduced axes kept."""
    u, double = WIDE(unit(dtype)), np.dtype(dtype) == np.float64
    count = math.prod(x.shape[axis] for axis in axes)
    h = gamma(lane_depth(count) + 2, dtype)

    def mean(t: Array) -> Array:
        return np.asarray(np.sum(t, axis=axes, keepdims=True) / WIDE(count))

    centre = mean(x) if centered else np.zeros_like(mean(x))
    d = x - centre
    # Lost of d; for double in float also what is below binary32, since it is rounded to the stash type first.
    off = h * mean(np.abs(x)) + tiny(dtype) if centered else np.zeros_like(centre)
    lost = off + u * np.abs(d) + u * np.abs(x) + tiny(dtype)
    variance = mean(d * d) + epsilon
    relative = (mean(2 * np.abs(d) * lost + lost * lost) + h * mean(d * d)) / variance + u
    inverse = 1 / np.sqrt(variance)
    relative = np.where(relative < 0.1, 0.6 * relative + 3 * u, np.inf)
    reach = np.max(np.abs(x) + np.abs(d), axis=axes, keepdims=True, initial=0)
    over, under = (WIDE(2) ** 480, WIDE(2) ** -900) if double else (WIDE(2) ** 57, WIDE(2) ** -100)
    # Infinite where a row's squares over- or underflow.
    beyond = (reach > over) | (variance < under)
    off = np.where(reach * count > over * over, np.inf, off)
    return Expected(centre, off), Expected(inverse, np.where(beyond, np.inf, inverse * relative))


def scaled(h: Expected, types: tuple[Any, ...], scale: Array, bias: Array | np.floating[Any]) -> Expected:
    """`h` rounded to each of `types`, then `* scale` and `+ bias` in the last of them, each rounded."""
    halves = [WIDE(float(finfo(t).eps) / 2) for t in types]
    least = sum(float(finfo(t).smallest_subnormal) for t in types) + SUBNORMAL
    top = min(float(finfo(t).max) for t in types)
    exact = h.exact * scale
    slack = np.abs(scale) * (h.slack + sum(halves) * np.abs(h.exact)) * WIDE(1.01)
    slack = slack + halves[-1] * (2 * np.abs(exact) + np.abs(bias)) * WIDE(1.01) + least * (2 + np.abs(scale))
    return Expected(exact + bias, np.where((np.abs(exact) + slack > top) | (np.abs(h.exact) > top / 2), np.inf, slack))


@oracle("RMSNormalization")
def rms_normalization(case: Case) -> list[Expected | None] | None:
    """`standardized` about zero, then scaled."""
    if case.attributes.get("stash_type", 1) != 1:
        return None
    x, scale = wide(case.inputs[0]), wide(case.inputs[1])
    axes = tuple(range(case.attributes.get("axis", -1) % x.ndim, x.ndim))
    h = standardized(x, axes, WIDE(np.float32(case.attributes.get("epsilon", 1e-5))), np.float32, centered=False)
    return [scaled(h, (case.inputs[0].dtype, case.inputs[1].dtype), scale, WIDE(0))]


@oracle("SimplifiedLayerNormalization")
def simplified_layer_normalization(case: Case) -> list[Expected | None] | None:
    """RMSNormalization, and the inverse deviation."""
    first = rms_normalization(case)
    if first is None:
        return None
    x = wide(case.inputs[0])
    axes = tuple(range(case.attributes.get("axis", -1) % x.ndim, x.ndim))
    epsilon = WIDE(np.float32(case.attributes.get("epsilon", 1e-5)))
    return [*first, statistics(x, axes, epsilon, np.float32, centered=False)[1]]


@oracle("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")
def skip_layer_normalization(case: Case) -> list[Expected | None] | None:
    """The sum has the bits that IEEE 754 says; what follows it is LayerNormalization or RMSNormalization of them."""
    simplified = case.op_type == "SkipSimplifiedLayerNormalization"
    x, skip, gamma, *rest = (*case.inputs, None, None)
    beta, bias = (None, rest[0]) if simplified else rest[:2]
    total = sum_of(x, skip, bias)
    epsilon = case.attributes.get("epsilon", 1e-12)
    operands = (total, gamma) if beta is None else (total, gamma, beta)
    following = ("RMSNormalization", rms_normalization) if simplified else ("LayerNormalization", layer_normalization)
    y = following[1](Case(following[0], "", 23, operands, {"epsilon": epsilon}, 1))
    assert y is not None
    last = (total.ndim - 1,)
    mean, inverse = statistics(wide(total), last, WIDE(np.float32(epsilon)), np.float32, centered=not simplified)
    return [y[0], mean, inverse, Expected(wide(total))]


def sum_of(x: Array, *addends: Array | None) -> Array:
    """`x` and what is to be added, one after the other, each sum rounded to the type of `x`."""
    for addend in addends:
        if addend is not None:
            narrow = x.dtype.itemsize == 2
            wider = (x.astype(np.float32) + addend.astype(np.float32)) if narrow else x + addend
            x = wider.astype(x.dtype)
    return x


@oracle("EmbedLayerNormalization")
def embed_layer_normalization(case: Case) -> list[Expected | None] | None:
    """LayerNormalization of a sum whose bits IEEE 754 says."""
    ids, segment_ids, words, positions, segments, gamma, beta, *rest = case.inputs
    mask, position_ids = (*rest, None, None)[:2]
    length = ids.shape[1]
    at = np.tile(np.arange(length), (len(ids), 1)) if position_ids is None else position_ids + 0 * ids
    at_segment = 0 * ids if segment_ids is None else segment_ids
    total = sum_of(words[ids], positions[at], None if segments is None else segments[at_segment])
    attributes = {"epsilon": case.attributes.get("epsilon", 1e-12)}
    y = layer_normalization(Case("LayerNormalization", "", 17, (total, gamma, beta), attributes, 1))
    assert y is not None
    counts = np.array([0 if mask is None else list(row).count(1) for row in (ids if mask is None else mask)])
    return [y[0], Expected(wide(counts.reshape(len(ids)).astype(np.int32))), Expected(wide(total))]


@oracle("GroupNormalization", "InstanceNormalization")
def group_normalization(case: Case) -> list[Expected | None] | None:
    """Each group `standardized`; scale and bias are of groups before opset 21, of channels from there on."""
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    if case.attributes.get("stash_type", 1) != 1:
        return None
    groups = case.attributes.get("num_groups", x.shape[1])
    if x.size == 0:
        return [Expected(x)]
    per_channel = case.op_type == "GroupNormalization" and case.opset >= 21
    computed = np.float32 if per_channel or dtype != np.float64 else np.float64
    grouped, epsilon = x.reshape(x.shape[0], groups, -1), WIDE(np.float32(case.attributes.get("epsilon", 1e-5)))
    h = standardized(grouped, (2,), epsilon, computed)
    if evaluation_factor() > 1:
        h = Expected(h.exact, h.slack + folded(grouped, epsilon, computed))
    h = Expected(h.exact.reshape(x.shape), np.asarray(h.slack).reshape(x.shape))
    repeats = 1 if per_channel else x.shape[1] // groups
    scale, bias = (np.repeat(wide(p), repeats).reshape(-1, *(1,) * (x.ndim - 2)) for p in case.inputs[1:])
    return [scaled(h, (dtype if per_channel else computed,), scale, bias)]


def folded(x: Array, epsilon: Any, dtype: Any) -> Array:
    """What is lost more where the mean is taken into the bias: `x * f + (bias - mean * f)`, a rounding each."""
    mean, inverse = statistics(x, (2,), epsilon, dtype)
    return np.asarray(3 * unit(dtype) * (np.abs(x) + np.abs(mean.exact)) * inverse.exact)


@oracle("MeanVarianceNormalization")
def mean_variance_normalization(case: Case) -> list[Expected | None]:
    """`standardized` without epsilon: unsound where the deviation vanishes."""
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
    """Division by a norm that must neither overflow nor underflow."""
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
    """Inference only: a factor and an addend a channel."""
    x, scale, b, mean, variance = map(wide, case.inputs)
    if case.attributes.get("training_mode") or case.n_outputs > 1:
        return None
    dtype = case.inputs[0].dtype
    s = scale / np.sqrt(variance + WIDE(np.float32(case.attributes.get("epsilon", 1e-5))))
    shape = (*s.shape, *(1,) * (x.ndim - 1 - s.ndim))
    s, b, mean = (value.reshape(shape) for value in (s, b, mean))
    u, double = unit(dtype), own_unit(dtype, 2.0**-50) * 4
    slack = u * (np.abs(x * s) + 2 * np.abs(b - mean * s) + np.abs((x - mean) * s + b))
    slack = (
        slack * WIDE(1.01)
        + double * (np.abs(b) + np.abs(mean * s) + np.abs(x * s))
        + tiny(dtype, 2) * (1 + np.abs(x) + np.abs(mean))
    )
    top = float(finfo(np.float64 if dtype == np.float64 else np.float32).max)
    return [Expected((x - mean) * s + b, np.where(np.abs(s) + np.abs(mean * s) + np.abs(b) > top / 4, np.inf, slack))]


@oracle("LRN")
def local_response(case: Case) -> list[Expected | None]:
    """A power of a sum of squares around each channel."""
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
    top = float(finfo(np.float64 if dtype == np.float64 else np.float32).max)
    sound = (
        (total < top / 4) & (base > 2.0**-60) & ((total > 2.0**-100) | (bias > 0)) & (np.power(base, beta) < top / 4)
    )
    return [Expected(exact, np.where(sound | np.isnan(exact), relative * np.abs(exact) + tiny(dtype, 4), np.inf))]
