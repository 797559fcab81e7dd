"""Reading and writing elements at computed places.

Rounding program: moves elements. ScatterElements and ScatterND with a reduction combine, for each target, the old value
with the updates in their row-major order, each step rounded (float16 and bfloat16 accumulate in binary32 and round
once). Negative indices count from the end; an index out of range is an error.

Unique compares as docs/numerics.md says: -0 equals +0, all NaNs are one value above every number, complex numbers by
their real, then their imaginary parts, strings by their code points. What is kept is the first occurrence, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.numerics.conversion import is_float, maximum, minimum, round_to, to_integer, widen
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


@operator("TensorScatter", since=24)
def tensor_scatter(
    past_cache: Array, update: Array, write_indices: Array | None = None, *, axis: int = -2, mode: str = "linear"
) -> Array:
    """`past_cache` with `update` written from place `write_indices[b]` (default 0) of `axis` on, for each batch b.

    Mode linear: what is written must fit; circular: places are taken modulo the length of the axis.
    """
    along = normalize_axis(axis, past_cache.ndim)
    if along == 0 or mode not in ("linear", "circular"):
        raise InvalidModelError(f"axis {axis}, mode {mode!r}; expected no batch axis, and linear or circular")
    batch, length = past_cache.shape[0], past_cache.shape[along]
    others = [update.shape[:along], update.shape[along + 1 :]]
    if others != [past_cache.shape[:along], past_cache.shape[along + 1 :]] or update.shape[along] > length:
        raise ShapeError(f"update {list(update.shape)} does not fit in {list(past_cache.shape)} along axis {along}")
    start = np.zeros(batch, dtype=np.int64) if write_indices is None else write_indices
    if start.shape != (batch,):
        raise ShapeError(f"write_indices have shape {list(start.shape)}, expected [{batch}]")
    steps = update.shape[along]
    if mode == "linear" and ((start < 0) | (start > length - steps)).any():
        raise InvalidInputError(f"write_indices {start.tolist()}, expected numbers in 0 .. {length - steps}")
    places = (start[:, None] % max(length, 1) + np.arange(steps)) % max(length, 1)  # [batch, step]
    present = past_cache.copy()
    before = (slice(None),) * (along - 1)
    for b in range(batch):
        present[b][(*before, places[b])] = update[b]
    return present


@operator("Compress", since=(9, 11, 28))
def compress(input: Array, condition: Array, *, axis: int | None = None) -> Array:
    """The slices along `axis` (None: the elements, flat) at which `condition` is true; it may be too short."""
    data = input.reshape(-1) if axis is None else input
    along = 0 if axis is None else normalize_axis(axis, input.ndim)
    if condition.ndim != 1 or len(condition) > data.shape[along]:
        raise ShapeError(f"condition has shape {list(condition.shape)}, expected up to {data.shape[along]} elements")
    return np.take(data, np.flatnonzero(condition), axis=along)


@operator("OneHot", since=(9, 11, 28))
def one_hot(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    """`values[1]` where an index is, else `values[0]`, along a new dimension `axis` of length `depth`.

    An index counts from the end if negative; outside [-depth, depth - 1] it is nowhere. Floats go toward zero.
    """
    if depth.size != 1 or values.shape != (2,):
        raise ShapeError(f"depth {list(depth.shape)} and values {list(values.shape)}, expected a scalar and [2]")
    classes = int(whole(depth.reshape(1))[0])
    if classes < 0:
        raise InvalidInputError(f"depth is {classes}, expected 0 or more")
    along = normalize_axis(axis, indices.ndim + 1)
    place = whole(indices)
    if place.dtype.kind == "i":
        place = np.where((place < 0) & (place >= -classes), place + classes, place)
    counter = np.arange(classes, dtype=place.dtype).reshape(-1, *(1,) * (indices.ndim - along))
    hot: Array = np.expand_dims(place, along) == counter
    return values[hot.astype(np.int64)]


def whole(numbers: Array) -> Array:
    """Numbers as int64, floats toward zero as Cast has them; uint64 stays, since int64 does not hold it."""
    if is_float(numbers.dtype):
        return to_integer(numbers, np.int64)
    return numbers if numbers.dtype == np.uint64 else numbers.astype(np.int64)


@operator("Unique", since=(11, 28))
def unique(x: Array, *, axis: int | None = None, sorted: int = 1) -> tuple[Array, Array, Array, Array]:
    """The distinct elements of `x` (with `axis`: slices along it), ascending, or (`sorted` 0) as they first occur.

    Slices are ordered by their first different element. Also, each int64 and of one dimension: where each first occurs;
    for each element or slice of `x`, which of the distinct ones it is; how often each occurs.
    """
    if sorted not in (0, 1):
        raise InvalidModelError(f"sorted is {sorted}, expected 0 or 1")
    data = x.reshape(-1) if axis is None else x
    along = 0 if axis is None else normalize_axis(axis, x.ndim)
    rows = np.moveaxis(ranks(data), along, 0)
    group, first = grouped(list(rows.reshape(len(rows), math.prod(rows.shape[1:])).T), len(rows))
    if not sorted:
        order = np.argsort(first)
        group, first = np.argsort(order)[group], first[order]
    counts = np.bincount(group, minlength=len(first)).astype(np.int64)
    return np.take(data, first, axis=along), first, group, counts


def ranks(x: Array) -> Array:
    """For each element how many distinct lesser ones there are: integers that are ordered and equal as elements are."""
    flat = x.reshape(-1)
    if x.dtype == object:
        numbers = {text: rank for rank, text in enumerate(sorted(set(flat)))}
        return np.array([numbers[text] for text in flat], dtype=np.int64).reshape(x.shape)
    parts = [flat.real, flat.imag] if x.dtype.kind == "c" else [flat]
    keys = []
    for part in map(widen, parts):
        if part.dtype.kind == "f":
            nan = np.isnan(part)
            keys += [nan, np.where(nan, 0, part)]  # False is below True; -0 equals 0
        else:
            keys.append(part)
    return grouped(keys, len(flat))[0].reshape(x.shape)


def grouped(keys: list[Array], count: int) -> tuple[Array, Array]:
    """`count` items by `keys`, the most significant first: (the group of each item, the first item of each group)."""
    order = np.lexsort(keys[::-1]) if keys else np.arange(count)  # stable
    different = np.zeros(count, dtype=bool)
    different[:1] = True
    for key in keys:
        different[1:] |= key[order][1:] != key[order][:-1]
    group = np.empty(count, dtype=np.int64)
    place = np.flatnonzero(different)
    group[order] = np.searchsorted(place, np.arange(count), side="right") - 1
    return group, order[place].astype(np.int64)
