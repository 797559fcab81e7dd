"""Reading and writing elements at computed places.

Rounding program: moves elements. ScatterElements and ScatterND with a reduction combine, for each target, the old value
with the updates in their row-major order, each step rounded (float16 and bfloat16 accumulate in binary32 and round
once). Negative indices count from the end; an index out of range is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.numerics.conversion import is_float, maximum, minimum, round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape import normalize_axis


def positions(indices: Array, length: int) -> Array:
    """`indices` in 0 .. length-1 as NumPy's index type; negative ones count from the end."""
    wide = indices.astype(np.int64)
    if wide.size and (wide.min() < -length or wide.max() >= length):
        raise InvalidInputError(f"indices reach from {wide.min()} to {wide.max()}, expected [{-length}, {length - 1}]")
    return np.where(wide < 0, wide + length, wide)


@operator("Gather", since=(1, 11, 13))
def gather(data: Array, indices: Array, *, axis: int = 0) -> Array:
    """`output[i.., j.., k..] = data[i.., indices[j..], k..]`: the dimensions of `indices` take the place of `axis`."""
    along = normalize_axis(axis, data.ndim)
    return np.take(data, positions(indices, data.shape[along]), axis=along)


@operator("GatherElements", since=(11, 13))
def gather_elements(data: Array, indices: Array, *, axis: int = 0) -> Array:
    """`output[i, j, k] = data[i, indices[i, j, k], k]` for axis 1; the shape of `indices`."""
    along = normalize_axis(axis, data.ndim)
    return data[element_places(data, indices, along)]


def element_places(data: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """Index arrays of the places GatherElements reads and ScatterElements writes, each in the shape of `indices`."""
    fits = indices.ndim == data.ndim and all(
        n <= limit for i, (n, limit) in enumerate(zip(indices.shape, data.shape, strict=True)) if i != axis
    )
    if not fits:
        raise ShapeError(f"indices {list(indices.shape)} do not fit in data {list(data.shape)} beside axis {axis}")
    places: list[Array] = list(np.indices(indices.shape, sparse=True))
    places[axis] = positions(indices, data.shape[axis])
    return tuple(np.broadcast_arrays(*places))


@operator("GatherND", since=(11, 12, 13))
def gather_nd(data: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """`output[i..] = data[indices[i..]]`: the last dimension of `indices` holds coordinates in `data`.

    So for each element of the first `batch_dims` (12) dimensions, in which `data` and `indices` agree.
    """
    batch = data.shape[:batch_dims]
    if not 0 <= batch_dims < min(data.ndim, indices.ndim) or indices.shape[:batch_dims] != batch:
        raise ShapeError(f"batch_dims {batch_dims} for data {list(data.shape)}, indices {list(indices.shape)}")
    depth = indices.shape[-1]
    if not 1 <= depth <= data.ndim - batch_dims:
        raise ShapeError(f"indices {list(indices.shape)} have too many or no coordinates for data {list(data.shape)}")
    where = indices.shape[batch_dims:-1]
    grid: tuple[Array, ...] = np.indices(batch, sparse=True)
    counters = [counter.reshape(counter.shape + (1,) * len(where)) for counter in grid]
    chosen = data[(*counters, *coordinates(indices, data.shape[batch_dims : batch_dims + depth]))]
    return np.asarray(chosen, dtype=data.dtype)  # which matters for one string


def coordinates(indices: Array, shape: tuple[int, ...]) -> list[Array]:
    """The last dimension of `indices` taken apart: one array of positions for each dimension in `shape`."""
    return [positions(indices[..., i], length) for i, length in enumerate(shape)]


@operator("Scatter", since=(9, 11))  # the name before ScatterElements; deprecated in 11
@operator("ScatterElements", since=(11, 13, 16, 18))
def scatter_elements(data: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    """`data` with `output[i, indices[i, j, k], k] = updates[i, j, k]` for axis 1; of duplicates the last stays.

    With `reduction` (16) add, mul, max or min (18) the updates are combined with what is there.
    """
    along = normalize_axis(axis, data.ndim)
    if updates.shape != indices.shape:
        raise ShapeError(f"updates {list(updates.shape)} and indices {list(indices.shape)} differ")
    places = element_places(data, indices, along)
    targets = flat_places(places, data.shape)
    return scattered(data, targets, updates.reshape(-1), reduction)


@operator("ScatterND", since=(11, 13, 16, 18))
def scatter_nd(data: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """`data` with `output[indices[i..]] = updates[i..]`; of duplicates the last in row-major order.

    With `reduction` (16) add, mul, max or min (18) the updates are combined with what is there.
    """
    if indices.ndim == 0 or not 1 <= indices.shape[-1] <= data.ndim:
        raise ShapeError(f"indices {list(indices.shape)} have too many or no coordinates for data {list(data.shape)}")
    depth = indices.shape[-1]
    expected = indices.shape[:-1] + data.shape[depth:]
    if updates.shape != expected:
        raise ShapeError(f"updates have shape {list(updates.shape)}, expected {list(expected)}")
    rows = flat_places(coordinates(indices, data.shape[:depth]), data.shape[:depth])
    width = math.prod(data.shape[depth:])
    targets = (rows[:, None] * width + np.arange(width)).reshape(-1)
    return scattered(data, targets, updates.reshape(-1), reduction)


def flat_places(places: tuple[Array, ...] | list[Array], shape: tuple[int, ...]) -> Array:
    """Row-major positions in an array of `shape`, one for each element of the index arrays, flat."""
    flat = np.zeros(places[0].shape if places else (1,), dtype=np.int64)
    for place, length in zip(places, shape, strict=True):
        flat = flat * length + place
    return flat.reshape(-1)


def replace(old: Array, new: Array) -> Array:
    """Reduction none: the update itself."""
    return new


REDUCTIONS: dict[str, Callable[[Array, Array], Array]] = {
    "none": replace,
    "add": np.add,
    "mul": np.multiply,
    "max": maximum,
    "min": minimum,
}


def scattered(data: Array, targets: Array, updates: Array, reduction: str) -> Array:
    """`data` after `data[targets[i]] = reduce(data[targets[i]], updates[i])` for i in order.

    The i-th updates of all targets are applied together: first updates, then second ones, and so on.
    """
    if reduction not in REDUCTIONS:
        raise InvalidInputError(f"reduction is {reduction!r}, expected one of {sorted(REDUCTIONS)}")
    if data.dtype == object and reduction != "none":
        raise InvalidInputError(f"reduction {reduction!r} is not defined for strings")
    reduce = REDUCTIONS[reduction]
    narrow = is_float(data.dtype) and reduction in ("add", "mul")
    flat = np.array((widen(data) if narrow else data).reshape(-1))
    updates = widen(updates) if narrow else updates
    order = np.argsort(targets, kind="stable")
    grouped = targets[order]
    first = np.searchsorted(grouped, grouped, side="left")
    turn = np.arange(len(order)) - first  # how many updates of the same target come before
    by_turn = order[np.argsort(turn, kind="stable")]
    ends = np.flatnonzero(np.diff(np.sort(turn))) + 1
    for chosen in np.split(by_turn, ends):
        place = targets[chosen]
        flat[place] = reduce(flat[place], updates[chosen])
    result = flat.reshape(data.shape)
    return round_to(result, data.dtype) if narrow else result


@operator("NonZero", since=(9, 13))
def non_zero(x: Array) -> Array:
    """Coordinates of the elements that are not zero (nor an empty string), row-major: int64 [rank, n]."""
    return np.stack(np.nonzero(x.astype(bool))) if x.ndim else np.zeros((0, int(bool(x))), dtype=np.int64)
