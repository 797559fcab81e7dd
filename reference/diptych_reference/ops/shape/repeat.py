"""Expand and Tile."""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import ShapeError
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape.arguments import integers, normalize_axis


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
