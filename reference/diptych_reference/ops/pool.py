"""Pools: a window's sum, mean or maximum. float16 and bfloat16 compute in binary32 and round once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.numerics import is_float, lane_sum, maximum_over, power, round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape import integers
from diptych_reference.windows import Windows, explicit_pads, per_axis, windows


@operator("AveragePool", since=(1, 7, 10, 11, 19, 22))
def average_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """The sum of a window's input positions in row-major order, divided by their count.

    With count_include_pad the count includes padding, but never what hangs over the padded input (ceil_mode). A window
    without any input position gives +0. Version 1 counts input positions only; ceil_mode came in 10, dilations in 19.
    """
    view = pool_windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if 0 in x.shape[:2]:
        return np.empty(x.shape[:2] + view.output, x.dtype)
    padded = view.pad(widen(x), -0.0)  # x + -0 is x for every x: padding takes no part in the sum
    total = np.full(x.shape[:2] + view.output, -0.0, padded.dtype)
    for position in view.positions():
        total = total + view.at(padded, position)
    count = covered(view, include_pad=1 if count_include_pad else 0)
    mean = np.where(covered(view, include_pad=0) == 0, total.dtype.type(0), total / count.astype(total.dtype))
    return round_to(mean, x.dtype)


def pool_windows(
    x: Array,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int,
) -> Windows:
    """The windows of a pool over the axes of `x` from 2 on."""
    if x.ndim < 3:
        raise ShapeError(f"X has shape {list(x.shape)}, expected a rank of at least 3")
    return windows(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)


def covered(view: Windows, include_pad: int) -> Array:
    """How many positions of the input (with `include_pad`: of the padded input) each window sees, shape [output…]."""
    reach = [(begin, end) for begin, end in view.pads]
    ones = np.pad(np.ones(view.size, np.int64), reach, constant_values=include_pad)
    ones = np.pad(ones, [(0, extra) for extra in view.overhang])
    count = np.zeros(view.output, np.int64)
    for position in view.positions():
        count = count + view.at(ones, position)
    return count


@operator("MaxPool", since=(8, 10, 11, 12, 22))
def max_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
) -> tuple[Array, Array]:
    """The maximum of a window's input positions and its index in all of `x`, the first one in row-major order.

    -0 is below +0; a NaN is above everything. Indices are flat over [N, C, size…], with storage_order=1 column-major
    over size…. A window without any input position gives -infinity (the least integer) and index -1. ceil_mode and
    dilations came in 10.
    """
    view = pool_windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if 0 in x.shape[:2]:
        return np.empty(x.shape[:2] + view.output, x.dtype), np.empty(x.shape[:2] + view.output, np.int64)
    lowest = -math.inf if is_float(x.dtype) else np.iinfo(x.dtype).min
    padded, where = view.pad(widen(x), lowest), view.pad(flat_indices(x.shape, storage_order), -1)
    best = np.full(x.shape[:2] + view.output, lowest, padded.dtype)
    index = np.full(best.shape, -1, np.int64)
    for position in view.positions():
        value, place = view.at(padded, position), view.at(where, position)
        better = (place >= 0) & (above(value, best) | (index < 0))
        best, index = np.where(better, value, best), np.where(better, place, index)
    return (round_to(best, x.dtype) if is_float(x.dtype) else best), index


def above(a: Array, b: Array) -> Array:
    """`a > b` with -0 below +0 and NaN above all numbers."""
    if not is_float(a.dtype):
        return np.asarray(a > b)
    zeros = (a == 0) & (b == 0) & np.signbit(b) & ~np.signbit(a)
    return np.asarray((a > b) | (np.isnan(a) & ~np.isnan(b)) | zeros)


def flat_indices(shape: tuple[int, ...], storage_order: int) -> Array:
    """The flat index of every element of a tensor [N, C, size…]."""
    n, c, *size = shape
    plane = np.arange(math.prod(size), dtype=np.int64)
    plane = plane.reshape(size[::-1]).T if storage_order else plane.reshape(size)
    start = np.arange(n * c, dtype=np.int64) * math.prod(size)
    return start.reshape(n, c, *(1,) * len(size)) + plane


@operator("MaxPool", since=1)
def max_pool_1(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """MaxPool without indices."""
    return max_pool(x, auto_pad=auto_pad, kernel_shape=kernel_shape, pads=pads, strides=strides)[0]


@operator("GlobalAveragePool", since=(1, 22))
def global_average_pool(x: Array) -> Array:
    """The lane sum over all axes from 2 on, divided by their size."""
    axes = spatial_axes(x)
    count = math.prod(x.shape[2:])
    total = lane_sum(x, axes, keepdims=True)
    return round_to(total / total.dtype.type(count), x.dtype)


@operator("GlobalMaxPool", since=(1, 22))
def global_max_pool(x: Array) -> Array:
    """The maximum over all axes from 2 on; -infinity where they are empty."""
    axes = spatial_axes(x)
    if math.prod(x.shape[2:]) == 0:
        return np.full(x.shape[:2] + (1,) * len(axes), -math.inf, x.dtype)
    return maximum_over(x, axes, keepdims=True)


def spatial_axes(x: Array) -> tuple[int, ...]:
    """All axes from 2 on."""
    if x.ndim < 2:
        raise ShapeError(f"X has shape {list(x.shape)}, expected a rank of at least 2")
    return tuple(range(2, x.ndim))


@operator("LpPool", since=(2, 11, 18, 22))
def lp_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """The norm `(sum |x|^p)^(1/p)` of a window's input positions, summed in row-major order; padding adds nothing.

    A window without any input position gives +0. ceil_mode and dilations came in 18.
    """
    return lp_norms(x, pool_windows(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode), p)


@operator("LpPool", since=1)
def lp_pool_1(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    kernel_shape: Sequence[int] | None = None,
    p: float = 2.0,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """As version 2, for any positive p; the schema does not demand the kernel_shape, but nothing can do without."""
    if kernel_shape is None:
        raise InvalidModelError("kernel_shape is missing")
    return lp_norms(x, pool_windows(x, kernel_shape, strides, None, pads, auto_pad, 0), p)


def lp_norms(x: Array, view: Windows, p: float) -> Array:
    """The norm of every window, in the type of `x`."""
    terms = lp_terms(x, p)
    if 0 in x.shape[:2]:
        return np.empty(x.shape[:2] + view.output, x.dtype)
    padded = view.pad(terms, 0)  # a term is never -0, so +0 takes no part in the sum
    total = np.zeros(x.shape[:2] + view.output, padded.dtype)
    for position in view.positions():
        total = total + view.at(padded, position)
    return round_to(lp_root(total, p), x.dtype)


def lp_terms(x: Array, p: float) -> Array:
    """`|x|^p` in the computing type: itself for p = 1, a product for p = 2, else by the power function."""
    if not (p > 0 and math.isfinite(p)):
        raise InvalidModelError(f"p is {p}, expected a positive number")
    magnitude = np.abs(widen(x))
    if p == 1:
        return magnitude
    return magnitude * magnitude if p == 2 else power(magnitude, np.array(float(p)))


def lp_root(total: Array, p: float) -> Array:
    """`total^(1/p)`: itself for p = 1, the square root for p = 2, else by the power function, 1/p in binary64."""
    if p == 1:
        return total
    return np.asarray(np.sqrt(total)) if p == 2 else power(total, np.array(1.0 / float(p)))


@operator("GlobalLpPool", since=(2, 22))
def global_lp_pool(x: Array, *, p: int = 2) -> Array:
    """The norm over all axes from 2 on: `(lane sum of |x|^p)^(1/p)`."""
    return round_to(lp_root(lane_sum(lp_terms(x, p), spatial_axes(x), keepdims=True), p), x.dtype)


@operator("GlobalLpPool", since=1)
def global_lp_pool_1(x: Array, *, p: float = 2.0) -> Array:
    """As version 2, for any positive p."""
    return round_to(lp_root(lane_sum(lp_terms(x, p), spatial_axes(x), keepdims=True), p), x.dtype)


@operator("MaxUnpool", since=(9, 11, 22))
def max_unpool(
    x: Array,
    i: Array,
    output_shape: Array | None = None,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """The elements of `x` at the places `i`, which are flat over all of the unpooled tensor; +0 elsewhere.

    Without output_shape the unpooled tensor has the sizes that `pads` leave. With it, `pads` are ignored: the sizes are
    those without padding, cut down to output_shape where that is less (so much padding there was), and what
    output_shape has beyond them is +0. Of two elements with one place the last one stays.
    """
    if x.ndim < 3 or i.shape != x.shape:
        raise ShapeError(f"X and I have shapes {list(x.shape)} and {list(i.shape)}, expected one of rank 3 at least")
    rank = x.ndim - 2
    kernel, step = per_axis("kernel_shape", kernel_shape, 1, rank, 1), per_axis("strides", strides, 1, rank, 1)
    padding = explicit_pads(pads, rank)
    full = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], step, kernel, strict=True)]
    if output_shape is None:
        frame = output = [*x.shape[:2], *(f - b - e for f, (b, e) in zip(full, padding, strict=True))]
    else:
        output = integers(output_shape, "output_shape")
        if len(output) != x.ndim or output[:2] != list(x.shape[:2]):
            raise ShapeError(f"output_shape is {output} for X of shape {list(x.shape)}")
        frame = [min(f, o) for f, o in zip([*x.shape[:2], *full], output, strict=True)]
    if min(frame, default=0) < 0:
        raise ShapeError(f"X of shape {list(x.shape)} unpools to {frame}")
    if ((i < 0) | (i >= math.prod(frame))).any():
        raise InvalidInputError(f"an index is outside 0 .. {math.prod(frame) - 1}, the places of a tensor {frame}")
    unpooled = np.zeros(math.prod(frame), x.dtype)
    unpooled[i.reshape(-1)] = x.reshape(-1)  # in order: NumPy keeps the last of several
    result = np.zeros(output, x.dtype)
    result[tuple(slice(0, n) for n in frame)] = unpooled.reshape(frame)
    return result
