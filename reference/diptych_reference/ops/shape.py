"""Operators that arrange elements anew and compute nothing: each output element is an input element, bit for bit.

Rounding program of the whole family: moves elements (NaN payloads and the sign of zero are kept). Every element type,
strings included. Shape and Size count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.operator import Array, operator


def normalize_axis(axis: int, rank: int) -> int:
    """`axis` in 0 .. rank-1; negative ones count from the end."""
    if not -rank <= axis < rank:
        raise InvalidInputError(f"axis {axis} is outside [{-rank}, {rank - 1}]")
    return axis + rank if axis < 0 else axis


def normalize_axes(axes: Iterable[int], rank: int) -> list[int]:
    """Each axis in 0 .. rank-1, none twice."""
    normal = [normalize_axis(axis, rank) for axis in axes]
    if len(set(normal)) < len(normal):
        raise InvalidInputError(f"axes {normal} name an axis twice")
    return normal


def integers(values: Array | Sequence[int], name: str) -> list[int]:
    """A 1-D integer input (or a list attribute) as Python ints."""
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise ShapeError(f"{name} has shape {list(values.shape)}, expected one dimension")
        return [int(value) for value in values]
    return [int(value) for value in values]


@operator("Identity", since=(1, 13, 14, 16, 19, 21, 23, 24, 25))
def identity(input: Any) -> Any:
    """The input: a tensor, from 14 on a sequence, from 16 on an optional."""
    return input


@operator("Shape", since=(1, 13))
def shape_1(data: Array) -> Array:
    """The input's dimensions as int64."""
    return np.array(data.shape, dtype=np.int64)


@operator("Shape", since=(15, 19, 21, 23, 24, 25))
def shape(data: Array, *, start: int = 0, end: int | None = None) -> Array:
    """Dimensions `start` to `end` (exclusive) as int64; negative ones count from the end, then are clamped."""
    return np.array(data.shape[slice(start, end)], dtype=np.int64)


@operator("Size", since=(1, 13, 19, 21, 23, 24, 25))
def size(data: Array) -> Array:
    """The number of elements, an int64 scalar."""
    return np.array(data.size, dtype=np.int64)


def reshaped(data: Array, target: list[int], copy_zeros: bool) -> Array:
    """`data` in row-major order as `target`; one -1 is inferred; with `copy_zeros` a 0 copies the input's dimension."""
    if any(n < -1 for n in target) or target.count(-1) > 1:
        raise ShapeError(f"shape {target}: dimensions are >= 0, and one of them may be -1")
    if copy_zeros and any(n == 0 and i >= data.ndim for i, n in enumerate(target)):
        raise ShapeError(f"shape {target}: a 0 has no dimension of {list(data.shape)} to copy")
    if not copy_zeros and 0 in target and -1 in target:
        raise ShapeError(f"shape {target}: with allowzero a shape may not hold both 0 and -1")
    dims = [data.shape[i] if n == 0 and copy_zeros else n for i, n in enumerate(target)]
    known = math.prod(n for n in dims if n != -1)
    if -1 in dims:
        if known == 0 or data.size % known:
            raise ShapeError(
                f"shape {list(data.shape)} has {data.size} elements, which -1 in {dims} cannot make up for"
            )
        dims[dims.index(-1)] = data.size // known
    elif known != data.size:
        raise ShapeError(f"shape {list(data.shape)} has {data.size} elements, the new shape {dims} has {known}")
    return data.reshape(dims)


@operator("Reshape", since=1)
def reshape_1(data: Array, *, shape: Sequence[int] = (), consumed_inputs: Sequence[int] = ()) -> Array:
    """`data` in a new shape, an attribute: 0 copies a dimension, -1 is inferred."""
    return reshaped(data, integers(shape, "shape"), copy_zeros=True)


@operator("Reshape", since=(5, 13))
def reshape_5(data: Array, shape: Array) -> Array:
    """`data` in a new shape: 0 copies a dimension, -1 is inferred."""
    return reshaped(data, integers(shape, "shape"), copy_zeros=True)


@operator("Reshape", since=(14, 19, 21, 23, 24, 25))
def reshape(data: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """`data` in a new shape: 0 copies a dimension (with `allowzero` it is a 0), -1 is inferred."""
    return reshaped(data, integers(shape, "shape"), copy_zeros=not allowzero)


@operator("Flatten", since=(1, 9, 11, 13, 21, 23, 24, 25))
def flatten(input: Array, *, axis: int = 1) -> Array:
    """A matrix: dimensions before `axis` make the rows, the others the columns. `axis` may equal the rank."""
    if not -input.ndim <= axis <= input.ndim:
        raise InvalidInputError(f"axis {axis} is outside [{-input.ndim}, {input.ndim}]")
    split = axis + input.ndim if axis < 0 else axis
    return input.reshape(math.prod(input.shape[:split]), math.prod(input.shape[split:]))


@operator("Squeeze", since=(1, 11))
def squeeze_1(data: Array, *, axes: Sequence[int] | None = None) -> Array:
    """`data` without the dimensions `axes`, all of length 1; without `axes`, without any dimension of length 1."""
    return squeezed(data, None if axes is None else integers(axes, "axes"))


@operator("Squeeze", since=(13, 21, 23, 24, 25))
def squeeze(data: Array, axes: Array | None = None) -> Array:
    """As version 1, with `axes` an input; a scalar counts as one axis."""
    return squeezed(data, None if axes is None else integers(np.atleast_1d(axes), "axes"))


def squeezed(data: Array, axes: list[int] | None) -> Array:
    """`data` without the dimensions `axes` (None: all of length 1)."""
    if axes is None:
        return data.reshape([n for n in data.shape if n != 1])
    dropped = normalize_axes(axes, data.ndim)
    if any(data.shape[axis] != 1 for axis in dropped):
        raise ShapeError(f"shape {list(data.shape)}: axes {dropped} are not all of length 1")
    return data.reshape([n for axis, n in enumerate(data.shape) if axis not in dropped])


@operator("Unsqueeze", since=(1, 11))
def unsqueeze_1(data: Array, *, axes: Sequence[int]) -> Array:
    """`data` with dimensions of length 1 at `axes` of the output, in any order."""
    return unsqueezed(data, integers(axes, "axes"))


@operator("Unsqueeze", since=(13, 21, 23, 24, 25))
def unsqueeze(data: Array, axes: Array) -> Array:
    """As version 1, with `axes` an input; a scalar counts as one axis."""
    return unsqueezed(data, integers(np.atleast_1d(axes), "axes"))


def unsqueezed(data: Array, axes: list[int]) -> Array:
    """`data` with dimensions of length 1 at `axes`, which count in the output."""
    inserted = normalize_axes(axes, data.ndim + len(axes))
    dims = list(data.shape)
    for axis in sorted(inserted):
        dims.insert(axis, 1)
    return data.reshape(dims)


@operator("Transpose", since=(1, 13, 21, 23, 24, 25))
def transpose(data: Array, *, perm: Sequence[int] | None = None) -> Array:
    """Output dimension i is input dimension `perm[i]`; without `perm` the dimensions are reversed."""
    order = list(range(data.ndim))[::-1] if perm is None else normalize_axes(perm, data.ndim)
    if len(order) != data.ndim:
        raise ShapeError(f"perm {order} is no permutation of the axes of shape {list(data.shape)}")
    return data.transpose(order)


@operator("Concat", since=1)
def concat_1(*inputs: Array, axis: int = 1) -> Array:
    """The inputs one after the other along `axis`."""
    return joined(inputs, axis)


@operator("Concat", since=(4, 11, 13))
def concat(*inputs: Array, axis: int) -> Array:
    """The inputs one after the other along `axis`. Empty ones count: all other dimensions must agree."""
    return joined(inputs, axis)


def joined(inputs: Sequence[Array], axis: int) -> Array:
    """The inputs one after the other along `axis`."""
    if not inputs:
        raise ShapeError("Concat without inputs")
    along = normalize_axis(axis, inputs[0].ndim)
    return np.concatenate(inputs, axis=along)


@operator("Split", since=1)
def split_1(
    input: Array, lengths: Array | None = None, *, axis: int = 0, split: Sequence[int] | None = None, n_outputs: int
) -> tuple[Array, ...]:
    """Pieces of `input` along `axis`: lengths from the second input or the attribute, else equal ones."""
    return given_or_equal(input, axis, split if lengths is None else lengths, n_outputs)


@operator("Split", since=(2, 11))
def split_2(input: Array, *, axis: int = 0, split: Sequence[int] | None = None, n_outputs: int) -> tuple[Array, ...]:
    """Pieces of `input` along `axis`: lengths from the attribute, else equal ones, as many as the node has outputs."""
    return given_or_equal(input, axis, split, n_outputs)


@operator("Split", since=13)
def split_13(input: Array, split: Array | None = None, *, axis: int = 0, n_outputs: int) -> tuple[Array, ...]:
    """As version 2, with the lengths an input."""
    return given_or_equal(input, axis, split, n_outputs)


@operator("Split", since=18)
def split(
    input: Array, split: Array | None = None, *, axis: int = 0, num_outputs: int | None = None, n_outputs: int
) -> tuple[Array, ...]:
    """Pieces of `input` along `axis`: of lengths `split`, or `num_outputs` of ceil(n / num_outputs), the last less."""
    if split is not None and num_outputs is not None:
        raise InvalidInputError("give either the input split or the attribute num_outputs, not both")
    if split is not None:
        return cut(input, axis, integers(split, "split"))
    if num_outputs not in (None, n_outputs):
        raise InvalidInputError(f"num_outputs is {num_outputs}, the node has {n_outputs} outputs")
    length = input.shape[normalize_axis(axis, input.ndim)]
    chunk = -(-length // n_outputs)
    return cut(input, axis, [max(0, min(chunk, length - i * chunk)) for i in range(n_outputs)])


def given_or_equal(input: Array, axis: int, lengths: Array | Sequence[int] | None, pieces: int) -> tuple[Array, ...]:
    """Consecutive pieces of `input` along `axis`: of these lengths, or (None) `pieces` equal ones."""
    if lengths is not None:
        return cut(input, axis, integers(lengths, "split"))
    length = input.shape[normalize_axis(axis, input.ndim)]
    if length % pieces:
        raise ShapeError(f"length {length} along axis {axis} is not divisible into {pieces} equal parts")
    return cut(input, axis, [length // pieces] * pieces)


def cut(input: Array, axis: int, lengths: list[int]) -> tuple[Array, ...]:
    """Consecutive pieces of `input` along `axis`."""
    along = normalize_axis(axis, input.ndim)
    if any(n < 0 for n in lengths) or sum(lengths) != input.shape[along]:
        raise ShapeError(f"split {lengths} does not make up the length {input.shape[along]} of axis {along}")
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    before = (slice(None),) * along
    return tuple(input[(*before, slice(end - n, end))] for n, end in zip(lengths, ends, strict=True))


@operator("Expand", since=(8, 13))
def expand(input: Array, shape: Array) -> Array:
    """`input` broadcast together with `shape`; a 1 in `shape` keeps the input's dimension."""
    return np.broadcast_to(input, np.broadcast_shapes(input.shape, tuple(integers(shape, "shape"))))


@operator("Tile", since=1)
def tile_1(input: Array, tiles: Array, axis: Array) -> Array:
    """`input` repeated `tiles` times along one `axis`; both scalars of the input's type."""
    repeats = [1] * input.ndim
    repeats[normalize_axis(int(axis.reshape(())), input.ndim)] = int(tiles.reshape(()))
    return repeated(input, repeats)


@operator("Tile", since=(6, 13))
def tile(input: Array, repeats: Array) -> Array:
    """`input` repeated `repeats[i]` times along axis i."""
    return repeated(input, integers(repeats, "repeats"))


def repeated(input: Array, repeats: list[int]) -> Array:
    """`input` repeated `repeats[i]` times along axis i."""
    if len(repeats) != input.ndim or any(n < 0 for n in repeats):
        raise ShapeError(f"repeats {repeats} for shape {list(input.shape)}: expected {input.ndim} counts >= 0")
    return np.tile(input, repeats)


@operator("Slice", since=1)
def slice_1(data: Array, *, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None = None) -> Array:
    """Elements `starts[i]` to `ends[i]` (exclusive) along `axes[i]`; negative ones count from the end; clamped."""
    return sliced(data, integers(starts, "starts"), integers(ends, "ends"), axes, None)


@operator("Slice", since=(10, 11, 13))
def slice_(data: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Array:
    """Every `steps[i]`-th element from `starts[i]` to `ends[i]` (exclusive) along `axes[i]`; negative: backwards.

    Negative starts and ends count from the end, once; then they are clamped, a backward end to -1 (before the first).
    """
    return sliced(data, integers(starts, "starts"), integers(ends, "ends"), axes, steps)


def sliced(
    data: Array,
    starts: list[int],
    ends: list[int],
    axes: Array | Sequence[int] | None,
    steps: Array | Sequence[int] | None,
) -> Array:
    """The slice of Slice-13."""
    along = list(range(len(starts))) if axes is None else integers(axes, "axes")
    strides = [1] * len(starts) if steps is None else integers(steps, "steps")
    if not len(starts) == len(ends) == len(along) == len(strides):
        raise ShapeError(f"{len(starts)} starts, {len(ends)} ends, {len(along)} axes and {len(strides)} steps")
    if 0 in strides:
        raise InvalidInputError("a step is 0")
    chosen = [slice(None)] * data.ndim
    for axis, start, end, step in zip(normalize_axes(along, data.ndim), starts, ends, strides, strict=True):
        chosen[axis] = clamped(start, end, step, data.shape[axis])
    return data[tuple(chosen)]


def clamped(start: int, end: int, step: int, length: int) -> slice:
    """The slice of one axis. Unlike Python's, a backward slice that starts before the first element starts at it."""
    low, high = (0, length) if step > 0 else (-1, length - 1)
    start, end = (n + length if n < 0 else n for n in (start, end))
    start, end = min(max(start, 0), high), min(max(end, low), high)
    return slice(start, None if end < 0 else end, step) if length else slice(0, 0)


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


@operator("Pad", since=(18, 19, 21, 23, 24, 25))
def pad(
    data: Array,
    pads: Array,
    constant_value: Array | None = None,
    axes: Array | None = None,
    *,
    mode: str = "constant",
) -> Array:
    """`data` with `pads` [begins, ends] put around `axes` (default: all). Negative pads remove elements first.

    Modes: constant (`constant_value`, default 0, "" or False), reflect (the edge not repeated), edge, wrap (19).
    """
    chosen = None if axes is None else integers(axes, "axes")
    return padded(data, integers(pads, "pads"), chosen, mode, constant_of(constant_value, data))


def constant_of(value: Array | None, data: Array) -> Any:
    """The padding element: the one element of `value`, or the type's zero."""
    if value is None:
        return "" if data.dtype == object else np.zeros((), data.dtype)[()]  # float8e8m0 has no 0: its least number
    if value.size != 1:
        raise ShapeError(f"constant_value has shape {list(value.shape)}, expected a scalar")
    return value.reshape(-1)[0]


def padded(data: Array, pads: list[int], axes: list[int] | None, mode: str, value: Any) -> Array:
    """Crop by the negative pads, then pad axis by axis."""
    along = list(range(data.ndim)) if axes is None else normalize_axes(axes, data.ndim)
    if len(pads) != 2 * len(along):
        raise ShapeError(f"{len(pads)} pads for {len(along)} axes, expected two for each")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise InvalidInputError(f"mode is {mode!r}, expected constant, reflect, edge or wrap")
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
