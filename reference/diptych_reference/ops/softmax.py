"""Softmax and LogSoftmax: the maximum subtracted first, so nothing overflows. Hardmax: where the maximum is."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from diptych_reference import numerics
from diptych_reference.axes import normal_axis
from diptych_reference.errors import ShapeError
from diptych_reference.numerics import lane_sum, maximum_over
from diptych_reference.operator import Array, operator
from diptych_reference.ops.elementwise import rounded


@operator("Softmax", since=13)
def softmax(input: Array, *, axis: int = -1) -> Array:
    """Along `axis`: `m = max x; e = exp(rn(x - m)); r = rn(1 / lanesum(e)); y = rn(e * r)`."""
    along = (normal_axis(axis, input.ndim),)
    return rounded(lambda x: softmax_over(x, along), input)


def softmax_over(x: Array, axes: tuple[int, ...]) -> Array:
    """The program over several axes taken as one, in the type of `x`."""
    if x.size == 0:
        return x
    e = numerics.exp(x - maximum_over(x, axes, keepdims=True))
    return np.asarray(e * (x.dtype.type(1) / lane_sum(e, axes, keepdims=True)))


@operator("LogSoftmax", since=13)
def log_softmax(input: Array, *, axis: int = -1) -> Array:
    """Along `axis`: `m`, `e` as Softmax has them; `l = log(lanesum(e)); y = rn(rn(x - m) - l)`."""
    along = (normal_axis(axis, input.ndim),)
    return rounded(lambda x: log_softmax_over(x, along), input)


def log_softmax_over(x: Array, axes: tuple[int, ...]) -> Array:
    """The program over several axes taken as one, in the type of `x`."""
    if x.size == 0:
        return x
    d = x - maximum_over(x, axes, keepdims=True)
    return np.asarray(d - numerics.log(lane_sum(numerics.exp(d), axes, keepdims=True)))


def coerced(program: Callable[[Array, tuple[int, ...]], Array], input: Array, axis: int) -> Array:
    """`program` on the input seen as a matrix, [axes before `axis`, the others], over all of the second axis."""
    if not -input.ndim <= axis <= input.ndim:
        raise ShapeError(f"axis {axis} is outside [{-input.ndim}, {input.ndim}]")
    split = axis % input.ndim if axis < 0 else axis
    matrix = input.reshape(math.prod(input.shape[:split]), math.prod(input.shape[split:]))
    return rounded(lambda x: program(x, (1,)), matrix).reshape(input.shape)


@operator("Softmax", since=(1, 11))
def softmax_1(input: Array, *, axis: int = 1) -> Array:
    """Softmax over all axes from `axis` on, taken as one."""
    return coerced(softmax_over, input, axis)


@operator("LogSoftmax", since=(1, 11))
def log_softmax_1(input: Array, *, axis: int = 1) -> Array:
    """LogSoftmax over all axes from `axis` on, taken as one."""
    return coerced(log_softmax_over, input, axis)


@operator("Hardmax", since=13)
def hardmax(input: Array, *, axis: int = -1) -> Array:
    """1 at the first maximum along `axis`, else 0. As in ArgMax, -0 equals +0 and a NaN wins."""
    along = (normal_axis(axis, input.ndim),)
    return rounded(lambda x: hardmax_over(x, along), input)


def hardmax_over(x: Array, axes: tuple[int, ...]) -> Array:
    """1 at the first maximum along one axis (`axes` has one)."""
    if x.size == 0:
        return x
    (axis,) = axes
    places = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    return np.asarray(places == np.argmax(x, axis=axis, keepdims=True)).astype(x.dtype)


@operator("Hardmax", since=(1, 11))
def hardmax_1(input: Array, *, axis: int = 1) -> Array:
    """Hardmax over all axes from `axis` on, taken as one."""
    return coerced(hardmax_over, input, axis)
