"""Axes as attributes and inputs name them: negative ones count from the end."""

from __future__ import annotations

from collections.abc import Iterable

from diptych_reference.errors import InvalidInputError, ShapeError


def normal_axis(axis: int, rank: int) -> int:
    """`axis` as an index in 0 .. rank-1; ShapeError outside [-rank, rank)."""
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} is outside [{-rank}, {rank}) for rank {rank}")
    return int(axis) % rank


def normal_axes(axes: Iterable[int], rank: int) -> tuple[int, ...]:
    """Sorted distinct axes; an axis named twice is an error."""
    found = sorted(normal_axis(axis, rank) for axis in axes)
    if len(set(found)) < len(found):
        raise InvalidInputError(f"axes {list(axes)} name an axis twice")
    return tuple(found)
