"""Tensors made from attributes, shapes and ranges.

Rounding program: Constant, ConstantOfShape and EyeLike move elements. Range: element i is
`rn(start + rn(i * delta))` with i converted to the type (integers wrap; float16 and bfloat16 in binary32, each element
rounded once), for 0 <= i < n. n is `max(ceil(rn(rn(limit - start) / delta)), 0)` in binary64, exact for integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.numerics.conversion import round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape import integers
from diptych_reference.signature import dtype_of


@operator("Constant", since=(1, 9))
def constant_1(*, value: Array) -> Array:
    """The attribute."""
    return value


@operator("Constant", since=11)
def constant_11(*, value: Array | None = None, sparse_value: Array | None = None) -> Array:
    """The one attribute given; a sparse tensor is made dense."""
    return only(value=value, sparse_value=sparse_value)


@operator("Constant", since=(12, 13, 19, 21, 23, 24, 25))
def constant(
    *,
    value: Array | None = None,
    sparse_value: Array | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_string: str | None = None,
    value_strings: Sequence[str] | None = None,
) -> Array:
    """The one attribute given: a tensor, an int64, float or string scalar, or a 1-D tensor of these."""
    return only(
        value=value,
        sparse_value=sparse_value,
        value_int=None if value_int is None else np.array(value_int, dtype=np.int64),
        value_ints=None if value_ints is None else np.array(value_ints, dtype=np.int64),
        value_float=None if value_float is None else np.array(value_float, dtype=np.float32),
        value_floats=None if value_floats is None else np.array(value_floats, dtype=np.float32),
        value_string=None if value_string is None else np.array(value_string, dtype=object),
        value_strings=None if value_strings is None else np.array(value_strings, dtype=object),
    )


def only(**attributes: Array | None) -> Array:
    """The one attribute that is given."""
    given = {name: value for name, value in attributes.items() if value is not None}
    if len(given) != 1:
        raise InvalidModelError(f"got the attributes {sorted(given)}, expected exactly one of {sorted(attributes)}")
    return next(iter(given.values()))


@operator("ConstantOfShape", since=(9, 20, 21, 23, 24, 25))
def constant_of_shape(input: Array, *, value: Array | None = None) -> Array:
    """A tensor of the shape `input`, filled with the one element of `value`, by default the float 0."""
    dims = integers(input, "the shape")
    if any(n < 0 for n in dims):
        raise ShapeError(f"shape {dims} has a negative dimension")
    if value is None:
        return np.zeros(dims, dtype=np.float32)
    if value.size != 1:
        raise InvalidModelError(f"value has shape {list(value.shape)}, expected one element")
    return np.full(dims, value.reshape(-1)[0], dtype=value.dtype)


@operator("EyeLike", since=(9, 22))
def eye_like(input: Array, *, dtype: int | None = None, k: int = 0) -> Array:
    """A matrix of the shape of `input`, of its type or `dtype`: 1 at (i, i + k), elsewhere 0."""
    if input.ndim != 2:
        raise ShapeError(f"shape {list(input.shape)}, expected two dimensions")
    row, column = np.arange(input.shape[0])[:, None], np.arange(input.shape[1])
    diagonal = min(max(k, -input.shape[0]), input.shape[1])  # beyond these there is nothing
    ones: Array = column - row == diagonal
    return ones.astype(input.dtype if dtype is None else dtype_of(dtype))


@operator("Range", since=11)
def range_11(start: Array, limit: Array, delta: Array) -> Array:
    """`start, start + delta, …` up to and without `limit`."""
    return progression(start, limit, delta)


@operator("Range", since=27)
def range_(start: Array, limit: Array, delta: Array, *, stash_type: int = 1) -> Array:
    """As version 11. For float16 and bfloat16 `stash_type` 1 computes in binary32, which version 11 does here too."""
    if stash_type != 1:
        raise InvalidModelError(f"stash_type is {stash_type}, expected 1 (float)")
    return progression(start, limit, delta)


def progression(start: Array, limit: Array, delta: Array) -> Array:
    """`rn(start + rn(i * delta))` for i below the number of elements."""
    if not start.size == limit.size == delta.size == 1:
        raise ShapeError(
            f"start, limit and delta have shapes {start.shape}, {limit.shape}, {delta.shape}, expected scalars"
        )
    first, step = widen(start.reshape(())), widen(delta.reshape(()))
    i = np.arange(count(start.reshape(()), limit.reshape(()), delta.reshape(()))).astype(first.dtype)
    values = first + i * step
    return values if values.dtype == start.dtype else round_to(values, start.dtype)


def count(start: Array, limit: Array, delta: Array) -> int:
    """The number of elements: how many steps of `delta` from `start` stay before `limit`."""
    if not delta:
        raise InvalidInputError("delta is 0")
    if start.dtype.kind in "iu":
        return max(0, -((int(start) - int(limit)) // int(delta)))
    first, last, step = (value.astype(np.float64) for value in (start, limit, delta))
    steps = np.ceil((last - first) / step)
    if not math.isfinite(steps):
        raise InvalidInputError(f"a range from {first} to {last} by {step} has no finite length")
    return max(0, int(steps))
