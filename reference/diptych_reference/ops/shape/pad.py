"""Pad and CenterCropPad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape.arguments import integers, normalize_axes


@operator("Pad", since=1)
def pad_1(data: Array, *, paddings: Sequence[int], mode: str = "constant", value: float = 0.0) -> Array:
    """`data` with `paddings` [begins, ends] elements put before and after each axis."""
    return padded(data, integers(paddings, "paddings"), None, mode, data.dtype.type(value))


@operator("Pad", since=2)
def pad_2(data: Array, *, pads: Sequence[int], mode: str = "constant", value: float = 0.0) -> Array:
    """As version 1; negative `pads` remove elements."""
    return padded(data, integers(pads, "pads"), None, mode, data.dtype.type(value))


@operator("Pad", since=(11, 13))
def pad_11(data: Array, pads: Array, constant_value: Array | None = None, *, mode: str = "constant") -> Array:
    """As version 2, with pads and value inputs."""
    return padded(data, integers(pads, "pads"), None, mode, constant_of(constant_value, data))


@operator("Pad", since=18)
def pad_18(
    data: Array,
    pads: Array,
    constant_value: Array | None = None,
    axes: Array | None = None,
    *,
    mode: str = "constant",
) -> Array:
    """As version 19, without its mode wrap."""
    chosen = None if axes is None else integers(axes, "axes")
    return padded(data, integers(pads, "pads"), chosen, mode, constant_of(constant_value, data))


@operator("Pad", since=(19, 21, 23, 24, 25))
def pad(
    data: Array,
    pads: Array,
    constant_value: Array | None = None,
    axes: Array | None = None,
    *,
    mode: str = "constant",
) -> Array:
    """`data` with `pads` [begins, ends] put around `axes` (default: all). Negative pads remove elements first.

    Modes: constant (`constant_value`, default 0, "" or False), reflect (the edge not repeated), edge, wrap.
    """
    chosen = None if axes is None else integers(axes, "axes")
    return padded(data, integers(pads, "pads"), chosen, mode, constant_of(constant_value, data), (*MODES, "wrap"))


def constant_of(value: Array | None, data: Array) -> Any:
    """The padding element: the one element of `value`, or the type's zero."""
    if value is None:
        return "" if data.dtype == object else np.zeros((), data.dtype)[()]  # float8e8m0 has no 0: its least number
    if value.size != 1:
        raise ShapeError(f"constant_value has shape {list(value.shape)}, expected a scalar")
    return value.reshape(-1)[0]


MODES = ("constant", "reflect", "edge")


def padded(
    data: Array, pads: list[int], axes: list[int] | None, mode: str, value: Any, modes: tuple[str, ...] = MODES
) -> Array:
    """Crop by the negative pads, then pad axis by axis."""
    along = list(range(data.ndim)) if axes is None else normalize_axes(axes, data.ndim)
    if len(pads) != 2 * len(along):
        raise ShapeError(f"{len(pads)} pads for {len(along)} axes, expected two for each")
    if mode not in modes:
        raise InvalidInputError(f"mode is {mode!r}, expected one of {modes}")
    amounts = list(zip(along, pads[: len(along)], pads[len(along) :], strict=True))
    for axis, before, after in amounts:
        length = data.shape[axis]
        kept = slice(max(0, -before), max(0, -before, length - max(0, -after)))
        if max(0, -before) + max(0, -after) > length:
            raise ShapeError(f"pads {before}, {after} remove more than the {length} elements of axis {axis}")
        data = data[(slice(None),) * axis + (kept,)]
    for axis, before, after in amounts:
        data = padded_along(data, axis, max(0, before), max(0, after), mode, value)
    return data


def padded_along(data: Array, axis: int, before: int, after: int, mode: str, value: Any) -> Array:
    """`before` and `after` elements put around one axis."""
    length = data.shape[axis]
    if before == after == 0:
        return data
    if mode == "constant":
        dims = list(data.shape)
        dims[axis] += before + after
        result = np.full(dims, value, dtype=data.dtype)
        result[(slice(None),) * axis + (slice(before, before + length),)] = data
        return result
    if length == 0:
        raise ShapeError(f"mode {mode!r} has no elements to take along axis {axis} of shape {list(data.shape)}")
    position = np.arange(-before, length + after)
    if mode == "wrap":
        position %= length
    elif mode == "edge":
        position = np.clip(position, 0, length - 1)
    else:  # there and back again, the edges once
        position = np.abs((position + length - 1) % max(1, 2 * (length - 1)) - (length - 1))
    return np.take(data, position, axis=axis)


@operator("CenterCropPad", since=18)
def center_crop_pad(input_data: Array, shape: Array, *, axes: Sequence[int] | None = None) -> Array:
    """The middle of `input_data`, `shape[i]` long along `axes[i]` (default: all), with zeros around what is too short.

    Of an odd number of elements to cut or to add, the smaller half is before: a crop starts at floor(surplus / 2).
    """
    lengths = integers(shape, "shape")
    along = list(range(input_data.ndim)) if axes is None else normalize_axes(axes, input_data.ndim)
    if len(lengths) != len(along) or any(n < 0 for n in lengths):
        raise ShapeError(f"shape {lengths} for {len(along)} axes, expected one length >= 0 for each")
    before, after = [], []
    for axis, length in zip(along, lengths, strict=True):
        missing = length - input_data.shape[axis]
        half = missing // 2 if missing >= 0 else -(-missing // 2)
        before.append(half)
        after.append(missing - half)
    return padded(input_data, before + after, along, "constant", constant_of(None, input_data))
