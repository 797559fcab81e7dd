"""Normalisations: mean and deviation over the batch, a row, a group, a channel (docs/numerics.md, section 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.axes import normal_axes, normal_axis
from diptych_reference.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from diptych_reference.numerics import accumulator, fma, is_float, lane_sum, round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.elementwise import rounded
from diptych_reference.signature import dtype_of

EPSILON = np.float32(1e-9)  # what the function body of MeanVarianceNormalization adds to a standard deviation


@operator("BatchNormalization", since=(14, 15))
def batch_normalization(
    x: Array,
    scale: Array,
    b: Array,
    input_mean: Array,
    input_var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> tuple[Array, ...]:
    """`fma(x, s, t)` for each channel (axis 1); `s` and `t` from the given statistics, in training from the batch's.

    Training also returns the running mean and variance: `rn(rn(input * momentum) + rn(current * rn(1 - momentum)))`.
    """
    if not training_mode:
        return (normalize(x, scale, b, input_mean, input_var, epsilon),)
    parameter_shape(x, scale, input_mean=input_mean, input_var=input_var)
    mean, variance = batch_statistics(x, spatial=True)
    y = normalize(x, scale, b, mean, variance, epsilon)
    return y, moved(input_mean, mean, momentum), moved(input_var, variance, momentum)


def normalize(x: Array, scale: Array, b: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    """`s = scale / sqrt(var + epsilon)` and `t = b - mean * s` in binary64, rounded once; then `fma(x, s, t)`.

    The statistics have the shape of `x`'s axes from 1 on, or of axis 1 alone.
    """
    shape = parameter_shape(x, scale, B=b, mean=mean, var=variance)
    wide = widen(x)
    s = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    t = b.astype(np.float64) - mean.astype(np.float64) * s
    spread = (*shape, *(1,) * (x.ndim - 1 - scale.ndim))
    s, t = (value.astype(wide.dtype).reshape(spread) for value in (s, t))
    return round_to(fma(wide, s, t), x.dtype)


def parameter_shape(x: Array, scale: Array, **parameters: Array) -> tuple[int, ...]:
    """The shape that scale and the other parameters have: that of `x`'s axes from 1 on, or of axis 1 alone."""
    shape = x.shape[1 : 1 + scale.ndim]
    for name, value in {"scale": scale, **parameters}.items():
        if value.shape != shape or x.ndim < 2:
            raise ShapeError(f"{name} has shape {list(value.shape)}, expected {list(shape)} for X {list(x.shape)}")
    return shape


def batch_statistics(x: Array, spatial: bool) -> tuple[Array, Array]:
    """Mean and population variance over the batch and (`spatial`) all axes from 2 on."""
    axes = (0, *range(2, x.ndim)) if spatial else (0,)
    mean, _, variance = moments(widen(x), axes)
    return np.squeeze(mean, axes), np.squeeze(variance, axes)


def moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Mean, `x - mean` and population variance, two passes of lane sums; the reduced axes are kept."""
    count = x.dtype.type(math.prod(x.shape[axis] for axis in axes))
    mean = lane_sum(x, axes, keepdims=True) / count
    d = x - mean
    return mean, d, lane_sum(d * d, axes, keepdims=True) / count


def moved(running: Array, current: Array, momentum: float) -> Array:
    """The running statistic moved towards the batch's."""
    wide = widen(running)
    keep = wide.dtype.type(momentum)
    return round_to(wide * keep + current.astype(wide.dtype) * (wide.dtype.type(1) - keep), running.dtype)


@operator("BatchNormalization", since=9)
def batch_normalization_9(
    x: Array,
    scale: Array,
    b: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    n_outputs: int,
) -> tuple[Array, ...]:
    """Trains where more outputs than Y are asked for: running mean and variance, then the batch's own."""
    return trained_or_not(x, scale, b, mean, var, epsilon, momentum, n_outputs, spatial=True)


@operator("BatchNormalization", since=7)
def batch_normalization_7(
    x: Array,
    scale: Array,
    b: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    n_outputs: int,
) -> tuple[Array, ...]:
    """As version 9; without `spatial` each position has statistics of its own."""
    return trained_or_not(x, scale, b, mean, var, epsilon, momentum, n_outputs, bool(spatial))


@operator("BatchNormalization", since=(1, 6))
def batch_normalization_1(
    x: Array,
    scale: Array,
    b: Array,
    mean: Array,
    var: Array,
    *,
    consumed_inputs: Any = None,
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
    n_outputs: int,
) -> tuple[Array, ...]:
    """As version 7, and `is_test` rules training out."""
    asked = 1 if is_test else n_outputs
    return trained_or_not(x, scale, b, mean, var, epsilon, momentum, asked, bool(spatial))


def trained_or_not(
    x: Array,
    scale: Array,
    b: Array,
    mean: Array,
    var: Array,
    epsilon: float,
    momentum: float,
    n_outputs: int,
    spatial: bool,
) -> tuple[Array, ...]:
    """Versions 1 to 9: one output is inference, more are training (Y, mean, var, saved_mean, saved_var)."""
    if n_outputs == 1:
        return (normalize(x, scale, b, mean, var, epsilon),)
    parameter_shape(x, scale, mean=mean, var=var)
    batch_mean, batch_var = batch_statistics(x, spatial)
    y = normalize(x, scale, b, batch_mean, batch_var, epsilon)
    saved = (round_to(batch_mean, mean.dtype), round_to(batch_var, var.dtype))
    return y, moved(mean, batch_mean, momentum), moved(var, batch_var, momentum), *saved


@operator("LayerNormalization", since=17)
def layer_normalization(
    x: Array, scale: Array, b: Array | None = None, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Array, Array, Array]:
    """Over all axes from `axis` on. Statistics in the stash type, scale and bias in the type of `x`, each rounded.

    Returns Y, the mean and the inverse standard deviation; the last two in the stash type, with the reduced axes kept.
    """
    stash = stash_dtype(stash_type)
    axes = tuple(range(normal_axis(axis, x.ndim), x.ndim))
    wide = stashed(x, stash)
    mean, d, variance = moments(wide, axes)
    inverse = wide.dtype.type(1) / np.sqrt(variance + wide.dtype.type(epsilon))
    y = rounded(np.multiply, round_to(d * inverse, x.dtype), scale)
    if b is not None:
        y = rounded(np.add, y, b)
    if y.shape != x.shape:
        raise ShapeError(f"scale {list(scale.shape)} or bias does not broadcast into X of shape {list(x.shape)}")
    return y, round_to(mean, stash), round_to(inverse, stash)


def stash_dtype(stash_type: int) -> np.dtype[Any]:
    """The type that statistics are rounded to."""
    stash = dtype_of(stash_type)
    if not is_float(stash):
        raise UnsupportedOperatorError(f"stash_type {stash_type} ({stash}), expected a floating-point type")
    return stash


def stashed(x: Array, stash: np.dtype[Any]) -> Array:
    """`x` rounded to the stash type, in the type that one computes in."""
    return round_to(widen(x), stash).astype(accumulator(stash))


@operator("RMSNormalization", since=23)
def rms_normalization(x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Array:
    """Over all axes from `axis` on: `x / sqrt(mean(x * x) + epsilon)` in the stash type, rounded to the type of `x`.

    Then times the scale, in the scale's type: that is the type of Y.
    """
    return root_mean_square(x, scale, axis, epsilon, stash_type)[0]


@operator("SimplifiedLayerNormalization", since=1)
def simplified_layer_normalization(
    x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Array, Array]:
    """ONNX Runtime's RMSNormalization, which has a second output: the inverse root, in the stash type."""
    if stash_dtype(stash_type) not in (np.float32, np.float64):
        raise InvalidModelError(f"stash_type is {stash_type}, expected float or double")
    return root_mean_square(x, scale, axis, epsilon, stash_type)


def root_mean_square(x: Array, scale: Array, axis: int, epsilon: float, stash_type: int) -> tuple[Array, Array]:
    """Y of RMSNormalization, and `1 / sqrt(mean(x * x) + epsilon)` in the stash type, with the reduced axes kept."""
    stash = stash_dtype(stash_type)
    axes = tuple(range(normal_axis(axis, x.ndim), x.ndim))
    wide = stashed(x, stash)
    count = wide.dtype.type(math.prod(x.shape[axis] for axis in axes))
    mean_square = lane_sum(wide * wide, axes, keepdims=True) / count
    inverse = wide.dtype.type(1) / np.sqrt(mean_square + wide.dtype.type(epsilon))
    normalized = round_to(wide * inverse, x.dtype)
    y = rounded(np.multiply, round_to(normalized, scale.dtype), scale)
    if y.shape != x.shape:
        raise ShapeError(f"scale of shape {list(scale.shape)} does not broadcast into X of shape {list(x.shape)}")
    return y, round_to(inverse, stash)


@operator("GroupNormalization", since=21)
def group_normalization(
    x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1
) -> Array:
    """Each instance's groups of channels to mean 0 and deviation 1, in the stash type, rounded to the type of `x`.

    Then, rounding after each, times scale and plus bias: one number a channel.
    """
    h = standardized(stashed(grouped(x, num_groups), stash_dtype(stash_type)), epsilon)
    spread = (-1, *(1,) * (x.ndim - 2))
    for name, value in {"scale": scale, "bias": bias}.items():
        per_group(name, value, x.shape[1])
    y = rounded(np.multiply, round_to(h, x.dtype).reshape(x.shape), scale.reshape(spread))
    return rounded(np.add, y, bias.reshape(spread))


@operator("GroupNormalization", since=18)
def group_normalization_18(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5, num_groups: int) -> Array:
    """As version 21, but scale and bias are one number a group, and only the result is rounded to the type of `x`."""
    return scaled_groups(x, grouped(x, num_groups), scale, bias, epsilon)


def scaled_groups(x: Array, groups: Array, scale: Array, bias: Array, epsilon: float) -> Array:
    """`rn(rn(h * scale) + bias)` for `groups` [N, G, n] of `x`, `h` standardized, one scale and one bias a group."""
    h = standardized(widen(groups), epsilon)
    s, b = (
        widen(per_group(name, value, groups.shape[1]))[:, None]
        for name, value in {"scale": scale, "bias": bias}.items()
    )
    return round_to(h * s + b, x.dtype).reshape(x.shape)


def grouped(x: Array, groups: int) -> Array:
    """`x` [N, C, ...] as [N, groups, n]: `n` numbers of C / groups neighbouring channels."""
    if groups < 1:
        raise InvalidModelError(f"num_groups is {groups}, expected a positive number")
    if x.ndim < 2 or x.shape[1] % groups:
        raise ShapeError(f"X of shape {list(x.shape)}: expected channels on axis 1 that {groups} groups divide")
    return x.reshape(x.shape[0], groups, x.shape[1] // groups * math.prod(x.shape[2:]))


def per_group(name: str, value: Array, groups: int) -> Array:
    """`value`, which must have one number for each group (or channel)."""
    if value.shape != (groups,):
        raise ShapeError(f"{name} has shape {list(value.shape)}, expected {[groups]}")
    return value


def standardized(x: Array, epsilon: float) -> Array:
    """`d * inv` along the last axis of [N, G, n], `d = x - mean`, `inv = 1 / sqrt(var + epsilon)`."""
    _, d, variance = moments(x, (2,))
    return np.asarray(d * (x.dtype.type(1) / np.sqrt(variance + x.dtype.type(epsilon))))


@operator("InstanceNormalization", since=(6, 22))
def instance_normalization(input: Array, scale: Array, b: Array, *, epsilon: float = 1e-5) -> Array:
    """Each channel of each instance for itself: GroupNormalization-18 with as many groups as channels."""
    if input.ndim < 2:
        raise ShapeError(f"the input has shape {list(input.shape)}, expected channels on axis 1")
    channels = input.reshape(*input.shape[:2], math.prod(input.shape[2:]))
    return scaled_groups(input, channels, scale, b, epsilon)


@operator("InstanceNormalization", since=1)
def instance_normalization_1(
    input: Array, scale: Array, b: Array, *, consumed_inputs: Any = None, epsilon: float = 1e-5
) -> Array:
    """InstanceNormalization with opset 1's memory hint."""
    return instance_normalization(input, scale, b, epsilon=epsilon)


@operator("LpNormalization", since=(1, 22))
def lp_normalization(input: Array, *, axis: int = -1, p: int = 2) -> Array:
    """Along `axis`: `rn(x / norm)`, +0 where the norm is 0.

    The norm is `sqrt(lanesum(rn(x * x)))`, with p = 1 `lanesum(abs(x))`.
    """
    if p not in (1, 2):
        raise InvalidModelError(f"p is {p}, expected 1 or 2")
    along = (normal_axis(axis, input.ndim),)

    def program(x: Array) -> Array:
        norm = lane_sum(np.abs(x), along, keepdims=True) if p == 1 else np.sqrt(lane_sum(x * x, along, keepdims=True))
        return np.where(norm == 0, x.dtype.type(0), x / norm)

    return rounded(program, input)


@operator("MeanVarianceNormalization", since=(9, 13))
def mean_variance_normalization(x: Array, *, axes: Sequence[int] = (0, 2, 3)) -> Array:
    """`rn(d / rn(sqrt(var) + 1e-9))`, `d = x - mean`: statistics over `axes`, all of them if none is named."""
    over = normal_axes(axes, x.ndim) if axes else tuple(range(x.ndim))

    def program(wide: Array) -> Array:
        _, d, variance = moments(wide, over)
        return np.asarray(d / (np.sqrt(variance) + wide.dtype.type(EPSILON)))

    return rounded(program, x)


@operator("LRN", since=(1, 13))
def lrn(x: Array, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> Array:
    """Across channels (axis 1): `y = rn(x / pow(rn(bias + rn(rn(alpha / size) * q)), beta))`.

    `q` is the sequential sum of `rn(x * x)` over `size` channels around each, cut off at the ends.
    """
    if x.ndim < 2 or size < 1:
        raise ShapeError(f"size {size} and X of shape {list(x.shape)}: expected a positive size and channels on axis 1")
    return rounded(lambda wide: local_response(wide, alpha, beta, bias, size), x) if x.size else x.copy()


def local_response(x: Array, alpha: float, beta: float, bias: float, size: int) -> Array:
    """LRN in the type of `x`."""
    one = x.dtype.type
    squares = x * x
    total = np.empty_like(x)
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    for channel in range(x.shape[1]):
        first, last = max(0, channel - before), min(x.shape[1], channel + after + 1)
        total[:, channel] = squares[:, first]
        for other in range(first + 1, last):
            total[:, channel] += squares[:, other]
    base = one(bias) + one(alpha) / one(size) * total
    return np.divide(x, numerics.power(base, np.asarray(one(beta))))
