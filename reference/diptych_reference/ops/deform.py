"""Deformable convolution: a convolution that reads its input at places of its own for every output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from diptych_reference.errors import ShapeError
from diptych_reference.numerics import widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.conv import check_weights, continued, with_bias
from diptych_reference.windows import Windows, windows

OUTSIDE = -100.0  # a place whose neighbours all lie in the padding: for coordinates that are no numbers


@operator("DeformConv", since=(19, 22))
def deform_conv(
    x: Array,
    w: Array,
    offset: Array,
    b: Array | None = None,
    mask: Array | None = None,
    *,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    offset_group: int = 1,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """`x` [N, C, size…] with `w` [M, C/group, kernel…] and `b` [M] -> [N, M, output…].

    `offset` [N, offset_group * kernel positions * axes, output…] moves every kernel position of every output, alike for
    the channels of an offset group; `mask` [N, offset_group * kernel positions, output…] scales what is read there.
    One chain of fused multiply-adds over the weights in row-major order (channel, kernel position), from +0.
    """
    check_weights(x, w, kernel_shape, group, channels=w.shape[1] * group if w.ndim > 1 else 0)
    n, channels, rank = x.shape[0], x.shape[1], x.ndim - 2
    view = windows(x.shape[2:], w.shape[2:], strides, dilations, pads)
    taps = math.prod(view.kernel)
    if offset_group < 1 or channels % offset_group:
        raise ShapeError(f"{channels} channels cannot be divided into {offset_group} offset groups")
    check_shape("offset", offset, (n, offset_group * taps * rank, *view.output))
    moved = offset.astype(np.float64).reshape(n, offset_group, taps, rank, *view.output)
    scale = None
    if mask is not None:
        check_shape("mask", mask, (n, offset_group * taps, *view.output))
        scale = widen(mask).reshape(n, offset_group, taps, 1, *view.output)
    columns = np.empty((n, offset_group, channels // offset_group, taps, *view.output), widen(x).dtype)
    for tap, position in enumerate(view.positions()):
        read = sampled(widen(x), view, position, moved[:, :, tap])
        columns[:, :, :, tap] = read if scale is None else read * scale[:, :, tap]
    m, terms = w.shape[0], w.shape[1] * taps
    weights = np.moveaxis(widen(w).reshape(group, m // group, terms), 2, 0)  # [terms, G, M/G]
    acc = np.zeros((n, group, m // group, *view.output), columns.dtype)
    acc = continued(acc, columns.reshape(n, group, terms, *view.output), weights)
    return with_bias(acc.reshape(n, m, *view.output), b, x.dtype)


def check_shape(name: str, value: Array, expected: tuple[int, ...]) -> None:
    """ShapeError unless `value` has that shape."""
    if value.shape != expected:
        raise ShapeError(f"{name} has shape {list(value.shape)}, expected {list(expected)}")


def sampled(x: Array, view: Windows, position: tuple[int, ...], moved: Array) -> Array:
    """What one kernel position reads: [N, groups, C/groups, output…] for offsets `moved` [N, groups, axes, output…].

    The place `rn(o * stride - pad + k * dilation + offset)` lies between 2^axes elements. Each has the product of its
    distances' complements as weight, axis by axis, all in binary64 and rounded once; elements in row-major order,
    `acc = rn(w_0 * x_0)`, `acc = rn(acc + rn(w_i * x_i))`, those outside of the input being +0.
    """
    n, groups = moved.shape[:2]
    rank, channels = len(view.size), x.shape[1] // groups
    size, places = math.prod(view.size), math.prod(view.output)
    flat = x.reshape(n, groups, channels, size)
    flat = np.concatenate([flat, np.zeros((*flat.shape[:3], 1), x.dtype)], axis=3)  # the last one is outside
    below, part = [], []
    for axis in range(rank):
        start = np.arange(view.output[axis]) * view.strides[axis] - view.pads[axis][0]
        start = start + position[axis] * view.dilations[axis]
        place = start.astype(np.float64).reshape(-1, *(1,) * (rank - 1 - axis)) + moved[:, :, axis]
        place = np.where(np.isfinite(place), place, OUTSIDE)
        below.append(np.floor(place))
        part.append(place - below[-1])
    total = None
    for corner in product((0, 1), repeat=rank):
        weight = np.ones(1)
        where, inside = np.zeros(1, np.int64), np.ones(1, np.bool_)
        for axis, step in enumerate(corner):
            weight = weight * (part[axis] if step else 1 - part[axis])
            at = below[axis] + step
            within = (at >= 0) & (at < view.size[axis])
            where, inside = where * view.size[axis] + np.where(within, at, 0).astype(np.int64), inside & within
        place = np.where(inside, where, size).reshape(n, groups, 1, places)
        read = np.take_along_axis(flat, np.broadcast_to(place, (*flat.shape[:3], places)), axis=3)
        term = weight.astype(x.dtype).reshape(n, groups, 1, places) * read
        total = term if total is None else total + term
    assert total is not None  # a convolution has an axis
    return np.asarray(total).reshape(n, groups, channels, *view.output)
