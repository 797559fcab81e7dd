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
