"""Reductions over axes, running sums, and the places of extremes. Sums follow docs/numerics.md, section 2.

Before opset 18 (ReduceSum: 13) the axes are an attribute, then an input. No axes means all of them, or, with
noop_with_empty_axes, none: then each element is reduced alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from diptych_reference.axes import normal_axes, normal_axis
from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.numerics import (
    exp,
    is_float,
    lane_product,
    lane_sum,
    log,
    maximum_over,
    minimum_over,
    round_to,
    sequential_product,
    sequential_sum,
    to_integer,
    widen,
)
from diptych_reference.operator import Array, operator
from diptych_reference.ops.elementwise import integer_quotient
from diptych_reference.ops.matmul import round_back

Reduction = Callable[[Array, tuple[int, ...], bool], Array]  # data, axes, keepdims


def total(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The lane sum, rounded once to the type; integers wrap."""
    return round_back(lane_sum(data, axes, keepdims), data.dtype)


def product(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The lane product, rounded once to the type; integers wrap."""
    return round_back(lane_product(data, axes, keepdims), data.dtype)


def mean(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The lane sum divided by the count; integers: the wrapping sum, divided toward zero. Of nothing: NaN, or 0."""
    count = math.prod(data.shape[axis] for axis in axes)
    summed = lane_sum(data, axes, keepdims)
    if is_float(data.dtype):
        return round_to(summed / summed.dtype.type(count), data.dtype)
    return integer_quotient(summed, np.full_like(summed, count))


def norm(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """`sqrt(lanesum(rn(x * x)))`; integers: the wrapping sum's root in binary64, toward zero."""
    wide = widen(data)
    summed = lane_sum(wide * wide, axes, keepdims)
    if is_float(data.dtype):
        return round_to(np.sqrt(summed), data.dtype)
    return to_integer(np.sqrt(summed.astype(np.float64)), data.dtype)


def magnitude(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """`lanesum(|x|)`; integers wrap, and so does the magnitude of the least one."""
    return round_back(lane_sum(np.abs(widen(data)), axes, keepdims), data.dtype)


def sum_square(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """`lanesum(rn(x * x))`; integers wrap."""
    wide = widen(data)
    return round_back(lane_sum(wide * wide, axes, keepdims), data.dtype)


def log_sum(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """`log(lanesum)`, of nothing -infinity; integers: the wrapping sum's logarithm in binary64, toward zero."""
    summed = lane_sum(data, axes, keepdims)
    if is_float(data.dtype):
        return round_to(log(summed), data.dtype)
    return to_integer(log(summed.astype(np.float64)), data.dtype)


def log_sum_exp(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """`m + log(lanesum(exp(rn(x - m))))` with `m = max x`, so that nothing overflows; of nothing -infinity.

    An m that is not finite is left out: then the sum is 0, infinity or NaN, which is right as it is. Integers: in
    binary64, then toward zero.
    """
    wide = widen(data) if is_float(data.dtype) else data.astype(np.float64)
    m = greatest(wide, axes, True)
    m = np.where(np.isfinite(m), m, wide.dtype.type(0))
    result = m + log(lane_sum(exp(wide - m), axes, True))
    rounded = round_to(result, data.dtype) if is_float(data.dtype) else to_integer(result, data.dtype)
    return rounded if keepdims else np.squeeze(rounded, axes)


def greatest(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The maximum; of nothing: -infinity, the least integer, or false."""
    if 0 in (data.shape[axis] for axis in axes):
        return empty_extreme(data, axes, keepdims, -1)
    return maximum_over(data, axes, keepdims)


def least(data: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The minimum; of nothing: +infinity, the greatest integer, or true."""
    if 0 in (data.shape[axis] for axis in axes):
        return empty_extreme(data, axes, keepdims, +1)
    return minimum_over(data, axes, keepdims)


def empty_extreme(data: Array, axes: tuple[int, ...], keepdims: bool, sign: int) -> Array:
    """The value an empty maximum (`sign` -1) or minimum (+1) has, in the reduced shape."""
    if is_float(data.dtype):
        value: float | int | bool = sign * math.inf
    elif data.dtype == bool:
        value = sign > 0
    else:
        value = np.iinfo(data.dtype).max if sign > 0 else np.iinfo(data.dtype).min
    shape = (1 if axis in axes else n for axis, n in enumerate(data.shape) if keepdims or axis not in axes)
    return np.full(tuple(shape), value, data.dtype)


def reduce_over(
    reduction: Reduction, data: Array, axes: Sequence[int] | Array | None, keepdims: int, noop: int = 0
) -> Array:
    """`reduction` over `axes`; none named: over all, or with `noop` over none."""
    named = [] if axes is None else [int(axis) for axis in np.asarray(axes).reshape(-1)]
    chosen = normal_axes(named, data.ndim) if named or noop else tuple(range(data.ndim))
    return reduction(data, chosen, bool(keepdims))


def register(op_type: str, reduction: Reduction, attribute_axes: tuple[int, ...], input_axes: tuple[int, ...]) -> None:
    """Both signatures of a reduction: axes as an attribute in the older versions, as an input in the newer ones."""

    def with_attribute(data: Array, *, axes: Sequence[int] | None = None, keepdims: int = 1) -> Array:
        return reduce_over(reduction, data, axes, keepdims)

    def with_input(
        data: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Array:
        return reduce_over(reduction, data, axes, keepdims, noop_with_empty_axes)

    with_attribute.__doc__ = with_input.__doc__ = reduction.__doc__
    operator(op_type, since=attribute_axes)(with_attribute)
    operator(op_type, since=input_axes)(with_input)


register("ReduceSum", total, (1, 11), (13,))
register("ReduceProd", product, (1, 11, 13), (18,))
register("ReduceMean", mean, (1, 11, 13), (18,))
register("ReduceL2", norm, (1, 11, 13), (18,))
register("ReduceL1", magnitude, (1, 11, 13), (18,))
register("ReduceSumSquare", sum_square, (1, 11, 13), (18,))
register("ReduceLogSum", log_sum, (1, 11, 13), (18, 28))
register("ReduceLogSumExp", log_sum_exp, (1, 11, 13), (18, 28))
register("ReduceMax", greatest, (1, 11, 12, 13), (18, 20))
register("ReduceMin", least, (1, 11, 12, 13), (18, 20))


@operator("ArgMax", since=(1, 11, 12, 13))
def arg_max(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """The index of the maximum along `axis`: the first of equals (-0 equals +0), or (12) the last; a NaN wins."""
    return extreme_index(np.argmax, data, axis, keepdims, select_last_index)


@operator("ArgMin", since=(1, 11, 12, 13))
def arg_min(data: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """The index of the minimum along `axis`: the first of equals (-0 equals +0), or (12) the last; a NaN wins."""
    return extreme_index(np.argmin, data, axis, keepdims, select_last_index)


def extreme_index(search: Callable[..., Array], data: Array, axis: int, keepdims: int, last: int) -> Array:
    """`search` is NumPy's argmax or argmin, which takes the first of equals and lets a NaN win."""
    axis = normal_axis(axis, data.ndim)
    if data.shape[axis] == 0:
        raise ShapeError(f"axis {axis} of shape {list(data.shape)} is empty, so it has no extreme")
    wide = widen(data)
    index = search(np.flip(wide, axis) if last else wide, axis=axis, keepdims=bool(keepdims))
    return np.asarray(data.shape[axis] - 1 - index if last else index, dtype=np.int64)


@operator("CumSum", since=(11, 14))
def cum_sum(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Running sums along `axis`, each rounded once to the type. `exclusive`: from +0 and without the element itself."""
    return running(sequential_sum, 0, x, axis, exclusive, reverse)


@operator("CumProd", since=26)
def cum_prod(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Running products along `axis`, each rounded once to the type. `exclusive`: from 1, without the element itself."""
    return running(sequential_product, 1, x, axis, exclusive, reverse)


def running(
    scan: Callable[[Array, int], Array], start: int, x: Array, axis: Array, exclusive: int, reverse: int
) -> Array:
    """The partial results of `scan` along `axis`, which begins with `start` where it is exclusive."""
    if axis.size != 1:
        raise ShapeError(f"axis has shape {list(axis.shape)}, expected a scalar")
    along = normal_axis(int(axis.reshape(())), x.ndim)
    if x.size == 0:
        return x.copy()
    terms = np.flip(x, along) if reverse else x
    if exclusive:
        before = np.full(tuple(1 if i == along else n for i, n in enumerate(x.shape)), start, x.dtype)
        keep = tuple(slice(0, -1) if i == along else slice(None) for i in range(x.ndim))
        terms = np.concatenate([before, terms[keep]], axis=along)
    partial = round_back(scan(terms, along), x.dtype)
    return np.flip(partial, along) if reverse else partial


@operator("TopK", since=(10, 11, 24))
def top_k(x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Array, Array]:
    """The `k` greatest (or least) elements along `axis` in order, and their indices.

    Equal elements: the lower index first. NaN is above every number; -0 equals +0. `sorted=0` leaves the order open: it
    is the same here. `largest` and `sorted` came in 11.
    """
    along = normal_axis(axis, x.ndim)
    if k.size != 1 or not 0 <= int(k.reshape(())) <= x.shape[along]:
        raise InvalidInputError(f"k = {k.tolist()}, expected one number in 0 .. {x.shape[along]}")
    keys = widen(x)
    if largest:  # a stable ascending sort from behind, read backwards, keeps equal elements in order
        order = x.shape[along] - 1 - np.flip(np.argsort(np.flip(keys, along), axis=along, kind="stable"), along)
    else:
        order = np.argsort(keys, axis=along, kind="stable")
    indices = np.take(order, np.arange(int(k.reshape(()))), axis=along).astype(np.int64)
    return np.take_along_axis(x, indices, axis=along), indices


@operator("TopK", since=1)
def top_k_1(x: Array, *, axis: int = -1, k: int) -> tuple[Array, Array]:
    """TopK with `k` as an attribute."""
    return top_k(x, np.asarray(k), axis=axis)
