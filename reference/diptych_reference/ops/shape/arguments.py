"""Axes and integers as attributes and inputs give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.operator import Array


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
