"""Reading and writing elements at computed places: indices in range, from either end, with duplicates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array


def indices(s: Sketch, shape: tuple[int, ...], length: int, dtype: Any = np.int64) -> Array:
    """Indices into an axis of `length`, positive unless `shape` is empty; from opset 11 on negative ones too."""
    size = math.prod(shape)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    least = -length if s.since >= 11 and s.coin() else 0
    return (random.integers(least, length, size) if size else np.zeros(0)).reshape(shape).astype(dtype)


@shape_rule("Gather")
def gather(s: Sketch) -> list[Any]:
    """Data, and indices of any shape."""
    data = list(s.shape((1, 4), limit=300))
    axis = s.attribute("axis", *range(0 if s.since < 11 else -len(data), len(data)))
    where = s.shape((0, 3), limit=60)
    if math.prod(where):
        data[axis] = max(data[axis], 1)
    return [s.tensor(data), indices(s, where, data[axis], s.input_dtype("indices"))]


def element_indices(s: Sketch) -> tuple[list[int], Array]:
    """A shape of data and indices of its rank, no longer than it beside `axis`."""
    data = list(s.shape((1, 4), limit=300))
    axis = s.attribute("axis", *range(-len(data), len(data)))
    along = axis % len(data)
    dims = [n if s.coin() else s.integer(0, n) for n in data]
    dims[along] = s.choose(1, 2, 3, 0, 7, 17)
    if math.prod(dims):
        data[along] = max(data[along], 1)
    return data, indices(s, tuple(dims), data[along], s.input_dtype("indices"))


@shape_rule("GatherElements")
def gather_elements(s: Sketch) -> list[Any]:
    """Data and indices of one rank."""
    data, where = element_indices(s)
    return [s.tensor(data), where]


@shape_rule("Scatter", "ScatterElements")
def scatter_elements(s: Sketch) -> list[Any]:
    """Data, indices and as many updates."""
    data, where = element_indices(s)
    reduction(s)
    return [s.tensor(data), where, s.tensor(where.shape)]


def reduction(s: Sketch) -> None:
    """How updates combine. Only numbers are ordered, added and multiplied."""
    if s.dtype.kind in "ObcV":
        s.attribute("reduction", "none")
    else:
        s.attribute("reduction", "none", "add", "mul", *(("max", "min") if s.since >= 18 else ()))


def coordinates(s: Sketch, lead: tuple[int, ...], sides: tuple[int, ...]) -> Array:
    """Index tuples [*lead, len(sides)], each in range."""
    columns = [indices(s, lead, n) for n in sides]
    return np.stack(columns, axis=-1) if columns else np.zeros((*lead, 0), np.int64)


@shape_rule("GatherND")
def gather_nd(s: Sketch) -> list[Any]:
    """Data and index tuples, perhaps one set for each element of the batch dimensions."""
    data = s.shape((1, 4), limit=300, least=1)
    batch = s.attribute("batch_dims", *range(len(data))) or 0
    depth = s.integer(1, len(data) - batch)
    lead = (*data[:batch], *s.shape((0, 2), limit=20))
    return [s.tensor(data), coordinates(s, lead, data[batch : batch + depth])]


@shape_rule("ScatterND")
def scatter_nd(s: Sketch) -> list[Any]:
    """Data, index tuples, and updates of what is left of the data's dimensions."""
    data = s.shape((1, 4), limit=300, least=1)
    depth = s.integer(1, len(data))
    lead = shapes.shape(s.draw, (0, 2), 20)
    reduction(s)
    return [s.tensor(data), coordinates(s, lead, data[:depth]), s.tensor((*lead, *data[depth:]))]


@shape_rule("Compress")
def compress(s: Sketch) -> list[Any]:
    """Data, along an axis or flat, and a condition that may be too short."""
    data = s.shape((1, 4), limit=600)
    length = math.prod(data)
    if s.coin():
        length = data[s.set("axis", s.choose(*range(0 if s.since < 11 else -len(data), len(data))))]
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    count = s.choose(length, max(0, length - 1), length // 2, 0)
    return [s.tensor(data), random.random(count) < s.choose(0.5, 0.1, 0.9, 1.0)]


@shape_rule("OneHot")
def one_hot(s: Sketch) -> list[Any]:
    """Indices inside and outside, of any numeric type; a depth, a scalar or of one element."""
    shape = s.shape((0, 3), limit=100)
    s.attribute("axis", *range(0 if s.since < 11 else -len(shape) - 1, len(shape) + 1), -1)
    depth = s.choose(3, 1, 2, 7, 17, 0)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    where = s.tensor(shape)
    if s.coin():  # mostly inside
        near = random.integers(0 if s.dtype.kind == "u" else -depth - 1, depth + 2, shape)
        where = np.asarray(near + (0.75 if s.dtype.kind == "f" and s.coin() else 0)).astype(s.dtype)
    classes = np.array(depth).astype(s.input_dtype("depth"))
    return [where, classes if s.coin() else classes.reshape(1), s.tensor((2,), s.input_dtype("values"))]


@shape_rule("TensorScatter")
def tensor_scatter(s: Sketch) -> list[Any]:
    """A cache, an update no longer than it along an axis, and perhaps where each batch is written."""
    cache = list(s.shape((2, 4), limit=400))
    # The default axis, -2, is the batch axis of a matrix.
    along = (s.attribute if len(cache) > 2 else s.set)(
        "axis", s.choose(*range(1, len(cache)), *range(-1, 1 - len(cache), -1))
    )
    steps = s.choose(1, 2, 0, 3, cache[along])
    cache[along] = max(cache[along], steps)
    update = list(cache)
    update[along] = steps
    mode = s.attribute("mode", "linear", "circular")
    most = cache[along] - steps
    places = (0, most, most // 2) if mode in ("linear", b"linear") else (0, 1, most + 1, 99, -1, -99, 2**62, -(2**62))
    start = np.array([s.choose(*places) for _ in range(cache[0])], np.int64) if s.coin() else None
    return [s.tensor(cache), s.tensor(update), start]


@shape_rule("Unique")
def unique(s: Sketch) -> list[Any]:
    """A tensor with repetitions, its elements or slices along an axis; any number of the outputs."""
    x = s.shape((0, 3), limit=200)
    s.attribute("sorted", 0, 1)
    s.n_outputs = s.integer(1, 4)
    data = s.tensor(x)
    if x and s.coin():
        axis = s.set("axis", s.choose(*range(-len(x), len(x))))
        if x[axis] and s.coin():  # whole slices that are repeated
            again = np.random.default_rng(s.integer(0, 0xFFFF)).integers(0, min(3, x[axis]), x[axis])
            data = np.take(data, again, axis=axis)
    return [data]
