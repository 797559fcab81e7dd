"""The same elements under another shape: Identity, Reshape, Flatten, Squeeze, Unsqueeze; and Shape and Size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape.arguments import integers, normalize_axes


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
